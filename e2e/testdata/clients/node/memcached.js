// memcached of npm, which speaks text. Arguments: two addresses of one store.
"use strict";
const { promisify } = require("node:util");
const Memcached = require("memcached");
const { same, run } = require("./check");

const names = ["get", "gets", "getMulti", "set", "add", "replace", "append", "prepend", "cas", "incr", "decr", "touch", "del", "flush", "version", "stats",
  "settings", "items"];

function client(servers) {
  const c = new Memcached(servers, { timeout: 5000, retries: 0, poolSize: 4 });
  const calls = { end: () => c.end() };
  for (const name of names) calls[name] = promisify(c[name]).bind(c);
  return calls;
}

// no is what a call gives that the server answered with no: the client makes some of these answers errors.
const no = async (call) => {
  try {
    return Boolean(await call);
  } catch (err) {
    return err.message.includes("not") || err.message.includes("Item") ? false : err;
  }
};

run(async (first, second) => {
  const c = client([first, second]);
  const one = client(first);
  const other = client(second);

  await one.flush();
  same("get nothing", await c.get("n-none"), undefined);
  for (const [name, value] of Object.entries({ text: "text", empty: "", int: 42, bool: true, object: { a: [1, 2] }, long: "x".repeat(100000),
    lines: "\r\nEND\r\n", buffer: Buffer.from([0, 13, 10, 255]) })) {
    same(`set ${name}`, await c.set(`n-${name}`, value, 60), true);
    for (const [where, at] of [["both", c], ["one", one], ["the other", other]]) {
      same(`get ${name} at ${where}`, await at.get(`n-${name}`), value);
    }
  }
  const keys = Array.from({ length: 200 }, (_, i) => `n-many-${i}`);
  await Promise.all(keys.map((key) => c.set(key, `value of ${key}`, 60)));
  const want = Object.fromEntries(keys.map((key) => [key, `value of ${key}`]));
  same("get many", { ...await c.getMulti([...keys, "n-none"]) }, want);
  same("get many at the other", { ...await other.getMulti(keys) }, want);

  same("add", await c.add("n-add", "1", 60), true);
  same("add again", await no(c.add("n-add", "2", 60)), false);
  same("replace nothing", await no(c.replace("n-none", "2", 60)), false);
  same("replace", await c.replace("n-add", "b", 60), true);
  same("append", await c.append("n-add", "c"), true);
  same("prepend", await c.prepend("n-add", "a"), true);
  same("appended", await other.get("n-add"), "abc");

  await c.set("n-cas", "a", 60);
  const { cas } = await one.gets("n-cas");
  same("cas", await other.cas("n-cas", "b", cas, 60), true);
  same("old cas", await no(one.cas("n-cas", "c", cas, 60)), false);
  same("after cas", await one.get("n-cas"), "b");

  await c.set("n-n", 40, 60);
  same("incr", await one.incr("n-n", 3), 43);
  same("decr", await other.decr("n-n", 1), 42);
  same("incr of nothing", await no(c.incr("n-none", 1)), false);
  same("touch", await c.touch("n-text", 60), true);
  same("touch nothing", await no(c.touch("n-none", 60)), false);
  same("delete", await one.del("n-add"), true);
  same("get deleted", await other.get("n-add"), undefined);
  same("delete again", await no(other.del("n-add")), false);

  same("version", (await c.version()).map((v) => v.server).sort(), [first, second].sort());
  const counted = process.env.STATS !== "proxy";
  same("stats", (await c.stats()).map((s) => s.curr_items > 100), [counted, counted]);
  same("settings", (await c.settings()).length, 2);
  await one.flush();
  same("get flushed", await other.get("n-text"), undefined);
  for (const each of [c, one, other]) each.end();
});
