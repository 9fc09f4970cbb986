// Slow requests, hot and big keys, and how long commands take. Keys are hidden from who may not read them.
import { $, put, make, row, changed, ask, count, size, seconds, moment, short, keyText } from "./dom.js";
import { lookUp } from "./key.js";

// keyButton is a key that can be looked up, or says why there is none to see.
function keyButton(key, hidden) {
  if (!key) return make("span", hidden ? "hidden" : "–", "muted");
  const text = keyText(key);
  const b = make("button", text.length > 80 ? text.slice(0, 80) + "…" : text, "link");
  b.type = "button";
  b.title = "Look up this key";
  b.addEventListener("click", () => lookUp(key));
  return b;
}

// percent is a share for people.
const percent = (share) => (100 * share).toFixed(share < 0.0995 ? 1 : 0) + " %";

function showSlow(d) {
  const noted = d.counts.execution + d.counts.log + d.counts.ack;
  put($("slow-note"), d.threshold_seconds === 0 ? "Nothing is noted: slow-threshold is 0." :
    "From " + seconds(d.threshold_seconds) + " on; " + count(noted) + " since the start.");
  $("slow").hidden = d.slow.length === 0;
  $("slow-none").hidden = d.slow.length > 0;
  if (!changed("slow", [d.slow, d.keys_hidden])) return;
  const reasons = { execution: "execution", log: "log", ack: "disk or peer" };
  $("slow").tBodies[0].replaceChildren(...d.slow.map((s) => row(moment(s.time), seconds(s.seconds), reasons[s.waited_for] || s.waited_for,
    s.command === "round" ? "round of " + count(s.requests) : s.command.replaceAll("_", " ") + (s.requests > 1 ? " and " + count(s.requests - 1) + " more" : ""), keyButton(s.key, d.keys_hidden && s.key_size), s.client || "–", s.bytes ? size(s.bytes) : "–")));
}

// bar is a share as a length.
function bar(share) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 10");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("share");
  for (const [name, width] of [["all", 100], ["live", Math.max(1, 100 * share)]]) {
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    rect.classList.add(name);
    rect.setAttribute("width", width);
    rect.setAttribute("height", 10);
    svg.append(rect);
  }
  return svg;
}

function showHot(d) {
  put($("hot-note"), d.sample_requests === 0 ? "Nothing is sampled: sample-requests is 0." :
    count(d.samples) + " samples of the last " + seconds(Math.round(d.span_seconds)) + ", one request of " + d.sample_requests + ".");
  for (const [name, list] of [["hot", d.hot], ["big", d.big]]) {
    $(name).hidden = list.length === 0;
    $(name + "-none").hidden = list.length > 0;
  }
  if (changed("hot", [d.hot, d.keys_hidden])) {
    $("hot").tBodies[0].replaceChildren(...d.hot.map((k) => {
      const share = make("span", percent(k.share));
      share.prepend(bar(k.share));
      return row(keyButton(k.key, d.keys_hidden), share, short(Math.round(k.per_second)) + "/s", percent(k.write_share));
    }));
  }
  if (changed("big", [d.big, d.keys_hidden])) {
    $("big").tBodies[0].replaceChildren(...d.big.map((k) => row(keyButton(k.key, d.keys_hidden), size(k.size))));
  }
}

function showTimes(d) {
  const names = Object.keys(d.commands).sort((a, b) => d.commands[b].count - d.commands[a].count);
  const rows = names.map((n) => [n.replaceAll("_", " "), d.commands[n]]);
  if (d.rounds.count) rows.push(["round of a network loop", d.rounds]);
  if (d.ack_waits.count) rows.push(["wait for disk or peer", d.ack_waits]);
  $("times").hidden = rows.length === 0;
  $("times-none").hidden = rows.length > 0;
  put($("times-note"), "Of the last " + seconds(Math.round(d.span_seconds)) + ".");
  if (!changed("times", rows)) return;
  $("times").tBodies[0].replaceChildren(...rows.map(([name, t]) =>
    row(name, count(t.count), seconds(t.p50_seconds), seconds(t.p99_seconds), seconds(t.p999_seconds))));
}

export async function refreshNotes() {
  const [slow, hot, times] = await Promise.allSettled([ask("/slow?limit=50"), ask("/hot?limit=10"), ask("/latency")]);
  if (slow.value) showSlow(slow.value);
  if (hot.value) showHot(hot.value);
  if (times.value) showTimes(times.value);
}
