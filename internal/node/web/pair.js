// The nodes and the links between them: this node as it says, others as they say, or where they do not, as this node knows them.
import { $, fields, put, make, setTone, count, short, size, seconds, entries, ago, moment } from "./dom.js";

const tones = { ready: "good", gone: "bad", "no answer": "bad" };
const toneOf = (state) => tones[state] || "busy";

// meters hold the last operation counts by node, to make rates of them.
const meters = {};

function rate(s) {
  if (!s.server) return null;
  const at = Date.parse(s.time), m = meters[s.node];
  if (!m || m.ops > s.server.ops || m.pid !== s.pid) {
    meters[s.node] = { at, ops: s.server.ops, pid: s.pid, rate: null };
  } else if (at - m.at >= 900) {
    meters[s.node] = { at, ops: s.server.ops, pid: s.pid, rate: (s.server.ops - m.ops) * 1000 / (at - m.at) };
  }
  return meters[s.node].rate;
}

function acknowledgement(s) {
  const a = s.acknowledgement;
  if (!s.store || !a) return ["–", ""];
  if (a.solo) return ["SOLO", "busy"];
  return [a.mode, ""];
}

// linksOf are the links on which a node follows others.
export const linksOf = (s) => [...(s.peer ? [s.peer] : []), ...(s.other_peers || [])];

function fillCard(card, v) {
  const f = fields(card), s = v.status;
  put(f.title, "Node " + v.node);
  put(f.mark, v.here ? "this node" : "");
  put(f.state, v.state);
  setTone(f.state, toneOf(v.state));
  card.dataset.tone = toneOf(v.state);
  put(f.reason, v.reason);
  f.facts.hidden = !s;
  f.facts.classList.toggle("old", Boolean(v.stale));
  f.open.hidden = v.here || !v.admin;
  if (!v.here && v.admin && f.open.dataset.to !== v.admin) {
    f.open.dataset.to = v.admin;
    f.open.href = "http://" + v.admin + "/";
  }
  if (!s) return;
  const r = v.stale ? null : rate(s), [ack, tone] = acknowledgement(s);
  put(f.ops, r === null ? "–" : short(r));
  put(f.items, s.store ? count(s.store.items) : "–");
  put(f.ack, ack + ", fsync " + s.fsync);
  setTone(f.ack, tone);
  put(f.clients, s.server ? count(s.server.curr_connections) : "–");
  put(f.memory, s.memory ? size(s.memory.anonymous_bytes) : s.store ? size(s.store.memory_bytes) : "–");
  put(f.log, s.store ? size(s.store.log_bytes) : "–");
  put(f.uptime, seconds(Math.floor(s.uptime_seconds)));
  put(f.addr, s.listen.length ? s.listen.join(", ") : "not open");
}

// heard holds the last answer of each other node, and when it came.
const heard = {};

// otherNode is what there is to say of a node by its own answer and by the links to it.
function otherNode(node, answer, link, follower, now) {
  const said = answer && answer.answer;
  if (said) {
    heard[node] = { status: said, at: Date.now() };
    let state = said.state, reason = said.reason;
    if (state === "ready" && !said.ready) { state = "unhealthy"; reason = "asks for no requests; see its /readyz"; }
    return { node, admin: answer.admin, status: said, state, reason: reason + " · since " + moment(said.since) };
  }
  const linked = link && (link.state === "stream" || link.state === "snapshot");
  const v = { node, admin: answer && answer.admin, stale: true, status: heard[node] && heard[node].status };
  if (linked || follower) {
    v.state = linked && link.peer_ready ? "ready" : linked ? "not ready" : "connected";
    v.reason = "as this node knows it" + (answer && answer.error ? ": " + answer.error : "");
    if (answer && answer.admin) { v.state = "no answer"; v.reason = "its admin port: " + answer.error; }
  } else {
    v.state = "gone";
    v.reason = link && link.reason ? link.reason : "there is no link to it";
  }
  if (heard[node]) v.reason += " · its last answer came at " + moment(heard[node].at);
  return v;
}

// showFlow shows how records come to `to` from `from`, by the word of the one who follows.
function showFlow(row, from, to, link, follower) {
  const f = fields(row);
  put(f.from, "Node " + from);
  put(f.to, "Node " + to);
  let word = "down", detail = "no link", tone = "bad";
  if (link) {
    detail = link.reason || "";
    if (link.state === "stream") {
      const late = link.lag_seconds > 0 ? ", " + seconds(link.lag_seconds) : "";
      word = link.lag_entries < 1000 && link.lag_seconds < 1 ? "in step" : "behind";
      detail = entries(link.lag_entries) + late;
      tone = word === "in step" ? "good" : "busy";
    } else if (link.state === "snapshot") {
      word = "copying";
      detail = Math.round(100 * link.snapshot_part / link.snapshot_parts) + " % of the keys";
      tone = "busy";
    } else if (link.state !== "connecting") {
      word = link.state;
    }
  } else if (follower) {
    word = follower.state === "snapshot" ? "copying" : follower.lag_entries < 1000 ? "in step" : "behind";
    detail = follower.state === "snapshot" ? Math.round(100 * follower.snapshot_part / follower.snapshot_parts) + " % of the keys" : entries(follower.lag_entries);
    tone = word === "in step" ? "good" : "busy";
  }
  put(f.word, word);
  put(f.detail, detail);
  setTone(row, tone);
}

// cards are the elements of each other node.
const cards = new Map();
let own;

function newCard() {
  return $("node-template").content.cloneNode(true).querySelector("section");
}

// showPair draws all nodes, and returns what is worth saying aloud.
export function showPair(s, peers) {
  if (!own) {
    own = newCard();
    own.id = "this-node";
    $("pair").append(own);
  }
  let state = s.state, reason = s.reason;
  if (state === "ready" && !s.ready) { state = "unhealthy"; reason = "asks for no requests; see /readyz"; }
  fillCard(own, { node: s.node, here: true, status: s, state, reason: reason + " · since " + moment(s.since) });

  const links = linksOf(s), others = new Set();
  for (const m of s.members || []) if (m.node !== s.node && !m.gone) others.add(m.node);
  for (const l of links) others.add(l.node);
  for (const f of s.followers || []) others.add(f.node);
  others.delete(s.node);
  const said = ["Node " + s.node + " is " + state + "."];
  for (const [node, c] of cards) {
    if (others.has(node)) continue;
    c.card.remove();
    c.flows.remove();
    cards.delete(node);
  }
  for (const node of [...others].sort((a, b) => a - b)) {
    if (!cards.has(node)) {
      const c = { card: newCard(), flows: $("flow-template").content.cloneNode(true).querySelector("section") };
      c.flows.setAttribute("aria-label", "Links between node " + s.node + " and node " + node);
      cards.set(node, c);
      $("pair").append(c.flows, c.card);
    }
    const c = cards.get(node);
    const link = links.find((l) => l.node === node), follower = (s.followers || []).find((f) => f.node === node);
    const answer = (peers || []).find((p) => p.node === node);
    const v = otherNode(node, answer, link, follower, s.time);
    if (node === 0) v.reason = link.addr + ": " + (link.reason || "not met yet");
    fillCard(c.card, v);
    if (node === 0) put(fields(c.card).title, "A node not met yet");
    const theirs = v.status && !v.stale && linksOf(v.status).find((l) => l.node === s.node);
    const [into, out] = c.flows.querySelectorAll(".flow");
    showFlow(into, node, s.node, link);
    showFlow(out, s.node, node, theirs, follower);
    said.push("Node " + node + " is " + v.state + ".");
  }
  $("pair").dataset.others = cards.size;
  own.style.gridRow = "1 / span " + Math.max(1, cards.size);
  return said.join(" ");
}

// showHealth fills the tiles between the nodes and the charts.
export function showHealth(s) {
  const f = fields($("health")), links = linksOf(s).filter((l) => l.node !== 0);
  const compared = links.filter((l) => l.equal !== undefined);
  const unequal = compared.filter((l) => !l.equal);
  let word = "not compared", note = links.length ? "nodes are compared when no writes come" : "there is no peer", tone = "";
  if (compared.length) {
    word = unequal.length ? "differ" : "equal";
    tone = unequal.length ? "busy" : "good";
    note = (unequal.length ? unequal.map((l) => l.unequal_ranges + " of 4096 ranges with node " + l.node).join(", ") + ", " : "") +
      "compared " + ago(compared[0].verified, s.time);
  }
  tile(f.equal, word, f["equal-note"], note, tone);
  const behind = links.length ? links.reduce((a, b) => (b.lag_seconds > a.lag_seconds || b.lag_seconds === a.lag_seconds && b.lag_entries > a.lag_entries ? b : a)) : null;
  tile(f.lag, behind ? seconds(behind.lag_seconds) : "–", f["lag-note"], behind ? entries(behind.lag_entries) + " behind node " + behind.node : "there is no peer",
    behind && behind.lag_seconds > 10 ? "busy" : "");
  const drift = links.length ? links.reduce((a, b) => (Math.abs(b.drift_ms) > Math.abs(a.drift_ms) ? b : a)) : null;
  tile(f.drift, drift ? (drift.drift_ms > 0 ? "+" : "") + drift.drift_ms + " ms" : "–", f["drift-note"],
    drift ? "clock of node " + drift.node + " to this one" : "there is no peer", drift && Math.abs(drift.drift_ms) > 5000 ? "busy" : "");
  const st = s.store || { conflicts: 0, damaged: 0, lost: 0 };
  tile(f.conflicts, count(st.conflicts), f["conflicts-note"], st.conflicts ? "since the start, listed below" : "since the start", st.conflicts ? "busy" : "");
  tile(f.damaged, count(st.damaged), f["damaged-note"], st.lost ? count(st.lost) + " records lost" : st.damaged ? "parts, given back by the peer" : "parts spoilt by the disk",
    st.lost ? "bad" : st.damaged ? "busy" : "");
  const a = s.acknowledgement || {};
  tile(f.solo, a.mode === "peer" ? seconds(Math.round(a.solo_seconds)) : "–", f["solo-note"],
    a.mode === "peer" ? (a.solo_count === 1 ? "1 time" : count(a.solo_count) + " times") + " since the start" : "with ack=" + (a.mode || "–"), a.solo ? "busy" : "");
}

function tile(value, text, note, detail, tone) {
  put(value, text);
  put(note, detail);
  setTone(value, tone);
}
