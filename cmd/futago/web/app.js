// The page of `futago demo`: asks for the state twice a second and shows it. Everything that comes from a
// node, such as a reason or a value, is put in as text, never as markup.
"use strict";

const pollMillis = 500;
const $ = (id) => document.getElementById(id);

// fields returns the elements of root by their data-f.
function fields(root) {
  const found = {};
  for (const e of root.querySelectorAll("[data-f]")) found[e.dataset.f] = e;
  return found;
}

// put changes text only where it differs, so that selections and screen readers are left in peace.
function put(element, text) {
  text = String(text);
  if (element.textContent !== text) element.textContent = text;
}

function make(name, text, className) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

// setTone replaces the tone of an element: good, busy, bad or none.
function setTone(element, tone) {
  element.classList.remove("good", "busy", "bad");
  if (tone) element.classList.add(tone);
}

/* Numbers for people */

function count(n) { return n.toLocaleString("en-US"); }

function rate(n) {
  if (n === 0) return "0";
  return n < 10 ? n.toFixed(1) : count(Math.round(n));
}

function size(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) { n /= 1024; i++; }
  return (i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)) + " " + units[i];
}

function seconds(n) {
  if (n < 60) return n.toFixed(n < 10 ? 1 : 0) + " s";
  if (n < 3600) return Math.floor(n / 60) + " min " + Math.floor(n % 60) + " s";
  return Math.floor(n / 3600) + " h " + Math.floor(n % 3600 / 60) + " min";
}

function entries(n) { return n === 1 ? "1 entry" : count(n) + " entries"; }

/* Nodes */

const tones = { ready: "good", dead: "bad", silent: "bad" };
const toneOf = (state) => tones[state] || "busy";

// cards holds the fields of each node's card by the node's number.
const cards = {};

function addCard(id) {
  const card = $("node-template").content.cloneNode(true).querySelector("section");
  $("node-" + id).append(card);
  const f = fields(card);
  const title = "Node " + id;
  put(f.title, title);
  card.setAttribute("aria-label", title);
  cards[id] = { card, f, buttons: {}, busy: false };
  for (const b of card.querySelectorAll("[data-do]")) {
    cards[id].buttons[b.dataset.do] = b;
    b.addEventListener("click", () => operate(id, b.dataset.do));
  }
}

// operate asks the demo to kill or restart a node, and shows what it says.
async function operate(id, what) {
  const c = cards[id];
  c.busy = true;
  put(c.f.note, what === "kill" ? "killing …" : "starting …");
  showButtons(c);
  try {
    const text = await send("/" + what + "?node=" + id);
    put(c.f.note, what === "kill" ? "" : text.split("\n")[0]);
  } catch (e) {
    put(c.f.note, e.message.split("\n")[0]);
  }
  c.busy = false;
  poll();
}

function showButtons(c) {
  c.buttons.kill.disabled = c.busy || !c.alive;
  c.buttons.restart.disabled = c.busy;
  put(c.buttons.restart, c.alive ? "Restart" : "Start");
}

async function send(path, body) {
  const reply = await fetch(path, { method: "POST", headers: { "X-Futago-Demo": "1" }, body });
  const text = (await reply.text()).trim();
  if (!reply.ok) throw new Error(text || "status " + reply.status);
  return text;
}

function showNode(n) {
  const c = cards[n.node], f = c.f, s = n.status;
  c.alive = n.pid !== 0;
  c.card.dataset.tone = toneOf(n.state);
  put(f.state, n.state);
  setTone(f.state, toneOf(n.state));
  put(f.reason, n.reason);
  put(f.rate, s ? rate(n.ops_per_second) : "–");
  spark(c.card, n.history);
  put(f.addr, n.addr);
  put(f.pid, c.alive ? n.pid : "none");
  put(f.uptime, s ? seconds(s.uptime_seconds) : "–");
  put(f.items, s && s.store ? count(s.store.items) : "–");
  put(f.log, s && s.store ? size(s.store.bytes) + " in " + size(s.store.log_bytes) : "–");
  put(f.lag, s && s.peer ? lag(s.peer) : "–");
  showAck(f.ack, f["ack-text"], s, n.state);
  showButtons(c);
}

function showAck(word, text, s, state) {
  const a = s && s.store && state !== "silent" ? s.acknowledgement : null;
  let mode = "OFF", says = "No writes are acknowledged here.", tone = "";
  if (a && a.solo) {
    mode = "SOLO";
    says = "Writes are acknowledged by this node alone" + (a.solo_reason ? ": " + a.solo_reason + "." : ".");
    tone = "busy";
  } else if (a && (a.mode === "peer" || a.mode === "strict")) {
    mode = a.mode.toUpperCase();
    says = "A write is acknowledged once both nodes have it.";
    tone = "good";
  } else if (a) {
    mode = a.mode.toUpperCase();
    says = "Writes are acknowledged by this node.";
  }
  put(word, mode);
  put(text, says);
  setTone(word.parentElement, tone);
}

// lag says how far a node is behind its peer. Without a link nobody knows what the peer has written since.
function lag(peer) {
  const linked = peer.state === "stream" || peer.state === "snapshot";
  return linked ? entries(peer.lag_entries) + ", " + seconds(peer.lag_seconds) : "no link";
}

// showLink shows how records flow from one node to the other: the receiver knows best.
function showLink(from, to, nodes) {
  const link = $("link-" + from + "-" + to), f = fields(link);
  const source = nodes[from - 1], receiver = nodes[to - 1];
  const peer = receiver.state === "silent" ? null : receiver.status && receiver.status.peer;
  let word = "down", detail = "", tone = "bad";
  if (!peer) {
    detail = "node " + to + " is " + receiver.state;
  } else if (peer.state === "stream") {
    word = peer.lag_entries === 0 ? "in step" : "catching up";
    detail = entries(peer.lag_entries) + " behind, " + seconds(peer.lag_seconds);
    tone = peer.lag_entries === 0 ? "good" : "busy";
  } else if (peer.state === "snapshot") {
    word = "snapshot";
    detail = "part " + peer.snapshot_part + " of " + peer.snapshot_parts;
    tone = "busy";
  } else {
    word = peer.state === "connecting" ? "down" : peer.state;
    detail = source.pid === 0 ? "node " + from + " is dead" : peer.reason || "";
  }
  put(f.word, word);
  put(f.detail, detail);
  setTone(link, tone);
}

// spark draws a history of the last minute; its newest point is at the right edge.
function spark(root, points) {
  const line = root.querySelector(".spark .line"), area = root.querySelector(".spark .area");
  const top = Math.max(1, ...points), step = 120 / 59;
  const at = points.map((p, i) => (120 - (points.length - 1 - i) * step).toFixed(2) + " " + (31 - p / top * 29).toFixed(2));
  line.setAttribute("d", at.length > 1 ? "M" + at.join("L") : "");
  area.setAttribute("d", at.length > 1 ? "M" + at.join("L") + "L120 32L" + at[0].split(" ")[0] + " 32Z" : "");
}

/* Gateway */

const upstreamTones = { up: "good", penalty: "busy", not_ready: "busy", dead: "bad" };

function showGateway(g, nodes) {
  const root = $("gateway"), f = fields(root), s = g.status;
  put(f.state, s.state);
  setTone(f.state, s.state === "ready" ? "good" : s.state === "down" ? "bad" : "busy");
  put(f.reason, s.reason);
  put(f.rate, rate(g.requests_per_second));
  spark(root, g.history);
  put(f.addr, g.addr);
  put(f.connections, count(s.connections));
  put(f.uptime, seconds(s.uptime_seconds));
  while (f.upstreams.children.length < s.upstreams.length) {
    const li = make("li");
    li.append(make("span"), make("b"), make("span", "", "muted"));
    f.upstreams.append(li);
  }
  s.upstreams.forEach((u, i) => {
    const [name, state, detail] = f.upstreams.children[i].children;
    const node = nodes.find((n) => n.addr === u.addr);
    put(name, node ? "Node " + node.node : u.addr);
    put(state, u.state.replace("_", " "));
    setTone(state, upstreamTones[u.state]);
    let text = count(u.requests) + " requests";
    if (u.failures > 0) text += ", " + count(u.failures) + " failed";
    if (u.state !== "up") text += "; " + u.reason;
    put(detail, text);
  });
}

/* Events, steps and the line on top */

const drawn = {};

// changed says whether a list differs from the one last drawn under that name.
function changed(name, list) {
  const now = JSON.stringify(list);
  if (drawn[name] === now) return false;
  drawn[name] = now;
  return true;
}

function showEvents(events) {
  if (!changed("events", events)) return;
  $("events").replaceChildren(...events.map((e) => {
    const li = make("li", undefined, e.level.toLowerCase());
    const time = make("time", new Date(e.time).toLocaleTimeString("en-GB"));
    time.dateTime = e.time;
    li.append(time, make("span", e.source), make("p", e.text));
    return li;
  }));
}

function showSteps(steps) {
  if (!changed("steps", steps)) return;
  $("steps").replaceChildren(...steps.map((s) => {
    const li = make("li"), row = make("div"), copy = make("button", "Copy");
    copy.type = "button";
    copy.setAttribute("aria-label", "Copy: " + s.title);
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(s.command);
        put(copy, "Copied");
      } catch {
        put(copy, "Not allowed");
      }
      setTimeout(() => put(copy, "Copy"), 1500);
    });
    row.append(make("code", s.command), copy);
    li.append(make("p", s.title, "muted"), row);
    return li;
  }));
}

function showSummary(nodes) {
  const ready = nodes.filter((n) => n.state === "ready");
  const others = nodes.filter((n) => n.state !== "ready");
  let text = "Both nodes are ready.", tone = "good";
  if (others.length > 0) {
    text = others.map((n) => "Node " + n.node + " is " + n.state).join(", ") + ".";
    if (ready.length > 0) text += " Node " + ready[0].node + " goes on.";
    tone = others.every((n) => toneOf(n.state) === "busy") ? "busy" : "bad";
  }
  put($("summary"), text);
  setTone($("summary"), tone);
}

/* Keys */

const form = $("key-form");

async function readKey() {
  const key = form.elements.key.value;
  if (key === "") return;
  await Promise.all([...$("key-answers").children].map(async (row) => {
    const [, value, took] = row.children;
    let text, className = "";
    try {
      const reply = await fetch("/api/key?via=" + row.dataset.via + "&key=" + encodeURIComponent(key));
      if (!reply.ok) throw new Error(await reply.text());
      const a = await reply.json();
      put(took, (a.took_seconds * 1000).toFixed(1) + " ms");
      if (a.error) { text = a.error; className = "bad"; }
      else if (a.status === 200) { text = a.value + (a.cut ? " …" : ""); className = "value"; }
      else text = a.status === 404 ? "no such key" : "status " + a.status;
    } catch (e) {
      text = e.message;
      className = "bad";
      put(took, "");
    }
    value.className = className;
    put(value, text);
  }));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const via = form.elements.via.value;
  try {
    const text = await send("/api/key?via=" + via + "&key=" + encodeURIComponent(form.elements.key.value), form.elements.value.value);
    const a = JSON.parse(text), took = (a.took_seconds * 1000).toFixed(1) + " ms";
    put($("key-write"), a.error ? "Node " + via + ": " + a.error : "Written at node " + via + " in " + took + ".");
  } catch (e) {
    put($("key-write"), e.message);
  }
  await readKey();
});
$("key-read").addEventListener("click", readKey);

/* The loop */

let asked = 0, shown = 0, timer = 0;

async function poll() {
  clearTimeout(timer);
  const turn = ++asked;
  try {
    const reply = await fetch("/api/state", { signal: AbortSignal.timeout(3000) });
    if (!reply.ok) throw new Error("status " + reply.status);
    const s = await reply.json();
    // An answer that was overtaken by a newer one is old news.
    if (turn > shown) {
      shown = turn;
      show(s);
    }
  } catch {
    document.body.classList.add("away");
    put($("summary"), "The demo does not answer. Has it ended?");
    setTone($("summary"), "bad");
  }
  clearTimeout(timer);
  timer = setTimeout(poll, pollMillis);
}

function show(s) {
  document.body.classList.remove("away");
  put($("version"), "version " + s.version);
  showSummary(s.nodes);
  s.nodes.forEach(showNode);
  showLink(1, 2, s.nodes);
  showLink(2, 1, s.nodes);
  showGateway(s.gateway, s.nodes);
  showEvents(s.events);
  showSteps(s.steps);
}

addCard(1);
addCard(2);
poll();
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
