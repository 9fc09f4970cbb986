// memjs, which speaks the binary protocol. Arguments: two addresses of one store.
"use strict";
const memjs = require("memjs");
const { same, run } = require("./check");

run(async (first, second) => {
  const options = { timeout: 5, conntimeout: 5, expires: 60 };
  const c = memjs.Client.create(`${first},${second}`, options);
  const one = memjs.Client.create(first, options);
  const other = memjs.Client.create(second, options);
  const get = async (client, key) => {
    const { value } = await client.get(key);
    return value === null ? null : value.toString("latin1");
  };

  await one.flush();
  same("get nothing", await get(c, "j-none"), null);
  for (const [name, value] of Object.entries({ text: "text", empty: "", binary: "\x00\r\nEND\r\n", long: "x".repeat(100000) })) {
    same(`set ${name}`, await c.set(`j-${name}`, value, {}), true);
    for (const [where, client] of [["both", c], ["one", one], ["the other", other]]) {
      same(`get ${name} at ${where}`, await get(client, `j-${name}`), value);
    }
  }
  // All at once on one connection: replies come back to their requests by number.
  const keys = Array.from({ length: 200 }, (_, i) => `j-many-${i}`);
  await Promise.all(keys.map((key) => c.set(key, `value of ${key}`, {})));
  same("get all at once", await Promise.all(keys.map((key) => get(other, key))), keys.map((key) => `value of ${key}`));

  same("add", await c.add("j-add", "1", {}), true);
  same("add again", await c.add("j-add", "2", {}), false);
  same("replace nothing", await c.replace("j-none", "2", {}), false);
  same("replace", await c.replace("j-add", "b", {}), true);
  same("append", await c.append("j-add", "c"), true);
  same("prepend", await c.prepend("j-add", "a"), true);
  same("append to nothing", await c.append("j-none", "c").catch(() => false), false);
  same("appended", await get(other, "j-add"), "bca"); // this client's prepend sends an append

  same("increment with initial", (await one.increment("j-n", 3, { initial: 40 })).value, 40);
  same("increment", (await other.increment("j-n", 3, {})).value, 43);
  same("decrement", (await one.decrement("j-n", 1, {})).value, 42);
  same("number", await get(other, "j-n"), "42");

  same("touch", await c.touch("j-text", 60), true);
  same("touch nothing", await c.touch("j-none", 60), false);
  same("delete", await one.delete("j-add"), true);
  same("get deleted", await get(other, "j-add"), null);
  same("delete again", await other.delete("j-add"), false);

  const servers = [];
  await new Promise((resolve) => c.stats((err, server, stats) => {
    servers.push([err, server, Number(stats.curr_items) > 100]);
    if (servers.length === 2) resolve();
  }));
  const counted = process.env.STATS !== "proxy";
  same("stats", servers.sort(), [[null, first, counted], [null, second, counted]].sort());
  await one.flush();
  same("get flushed", await get(other, "j-text"), null);
  for (const client of [c, one, other]) client.quit();
});
