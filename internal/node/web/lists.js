// Warnings, events, conflicts, clients, segments and settings.
import { $, put, make, row, setTone, changed, ask, count, size, seconds, moment, clock, plural, keyText } from "./dom.js";
import { lookUp } from "./key.js";

/* Warnings */

export function showWarnings(list) {
  if (!changed("warnings", list)) return;
  $("warnings").hidden = list.length === 0;
  $("warning-list").replaceChildren(...list.map((w) => {
    const li = make("li", undefined, w.level === "error" ? "bad" : "busy");
    li.append(make("p", w.text), make("p", w.advice, "advice"));
    return li;
  }));
}

/* Events */

let filter = "all";

// showEvents lists them, the newest first, without the node: it is this one.
export function showEvents(events, node) {
  const list = events.filter((e) => filter === "all" || e.level !== "INFO").toReversed();
  if (!changed("events", [filter, list])) return;
  $("events").replaceChildren(...list.map((e) => {
    const li = make("li", undefined, e.level.toLowerCase());
    const time = make("time", moment(e.time));
    time.dateTime = e.time;
    li.append(time, make("span", e.level === "INFO" ? "" : e.level.toLowerCase(), "level"), make("p", e.text.replace(" node=" + node, "")));
    return li;
  }));
  $("events-none").hidden = list.length > 0;
}

export function startEvents(again) {
  for (const b of document.querySelectorAll("[data-events]")) {
    b.addEventListener("click", () => {
      filter = b.dataset.events;
      for (const o of document.querySelectorAll("[data-events]")) o.setAttribute("aria-pressed", String(o === b));
      again();
    });
  }
}

/* What is asked for every few seconds */

const side = (s) => (s.kind === "tombstone" ? "delete" : s.kind + " of " + size(s.size)) + " at node " + s.node + ", " + clock(s.time);

function showConflicts(d) {
  const list = d.conflicts.toReversed().slice(0, 50);
  if (!changed("conflicts", list)) return;
  $("conflicts-none").hidden = list.length > 0;
  $("conflicts").hidden = list.length === 0;
  $("conflicts").tBodies[0].replaceChildren(...list.map((c) => {
    const key = make("button", keyText(c.key), "link");
    key.type = "button";
    key.title = "Look up this key";
    key.addEventListener("click", () => lookUp(c.key));
    return row(moment(c.time), key, side(c.winner), side(c.loser));
  }));
}

function showClients(d) {
  put($("clients-note"), d.count > d.clients.length ? "the first " + d.clients.length + " of " + count(d.count) + " machines" : plural(d.count, "machine"));
  $("clients").hidden = d.clients.length === 0;
  $("clients-none").hidden = d.clients.length > 0;
  if (!changed("clients", d.clients)) return;
  $("clients").tBodies[0].replaceChildren(...d.clients.map((c) =>
    row(c.host, count(c.connections), c.idle_seconds < 1 ? "now" : seconds(Math.floor(c.idle_seconds)) + " ago", seconds(Math.floor(c.oldest_seconds)), c.listen.replace(/^tcp:/, ""))));
}

// maxBars is how many segments are drawn by themselves; of more, neighbours are put together.
const maxBars = 120;

function showSegments(d, s) {
  const all = d.sealed, per = Math.max(1, Math.ceil(all.length / maxBars)), bars = [];
  for (let i = 0; i < all.length; i += per) {
    const part = all.slice(i, i + per);
    bars.push({ size: part.reduce((n, x) => n + x.size, 0), live: part.reduce((n, x) => n + x.live, 0), copied: part.every((x) => x.copied), many: part.length });
  }
  if (s.store) {
    const share = s.store.log_bytes ? Math.round(100 * s.store.bytes / s.store.log_bytes) : 0;
    put($("segments-note"), plural(s.store.segments, "segment") + ", " + size(s.store.log_bytes) + ", " + share + " % of it live records. " +
      plural(s.store.compactions, "compaction") + " since the start" + (s.store.compact_failed ? ", " + count(s.store.compact_failed) + " failed" : "") + ".");
  }
  if (!changed("segments", bars)) return;
  $("segments-none").hidden = bars.length > 0;
  $("segments").replaceChildren(...bars.map((b) => {
    const share = b.size ? Math.min(100, Math.round(100 * b.live / b.size)) : 0;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 10 40");
    svg.setAttribute("preserveAspectRatio", "none");
    if (b.copied) svg.classList.add("copied");
    for (const [name, y] of [["all", 0], ["live", 40 - share * 0.4]]) {
      const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      rect.classList.add(name);
      rect.setAttribute("y", y);
      rect.setAttribute("width", 10);
      rect.setAttribute("height", 40 - y);
      svg.append(rect);
    }
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = (b.many > 1 ? b.many + " segments, " : "") + size(b.size) + ", " + share + " % live" + (b.copied ? ", made by compaction" : "");
    svg.append(title);
    return svg;
  }));
  $("segments").setAttribute("aria-label", "Sealed segments of the log, the oldest first, each with its share of live records");
}

export async function refreshLists(s) {
  const [clients, conflicts, segments] = await Promise.allSettled([ask("/clients"), ask("/conflicts?limit=50"), ask("/segments")]);
  if (clients.value) showClients(clients.value);
  if (conflicts.value) showConflicts(conflicts.value);
  if (segments.value) showSegments(segments.value, s);
}

/* Settings */

let settings = [];

function drawSettings() {
  const word = $("settings-filter").value.trim().toLowerCase(), all = $("settings-all").checked;
  const list = settings.filter((s) => (all || s.source !== "default") && (word === "" || s.name.includes(word)));
  $("settings").tBodies[0].replaceChildren(...list.map((s) => row(s.name, s.secret ? "hidden" : s.values.join(" ") || "–", s.source)));
  $("settings-none").hidden = list.length > 0;
  put($("settings-none"), settings.length === 0 ? "This node was started without a table of settings." : "None matches.");
}

export async function refreshSettings() {
  settings = (await ask("/settings")).settings;
  drawSettings();
}

export function startSettings() {
  $("settings-filter").addEventListener("input", drawSettings);
  $("settings-all").addEventListener("change", drawSettings);
}
