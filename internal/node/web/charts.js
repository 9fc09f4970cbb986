// Charts of the node's figures. The node keeps ten minutes by the second and a day by the minute; the page asks for what is new.
import { $, put, make, ask, short, size, seconds } from "./dom.js";

const persecond = (n) => (n === null || n === undefined ? "–" : short(n) + "/s");
const bytespersecond = (n) => (n === null || n === undefined ? "–" : size(n) + "/s");

// Each chart: what its lines are called, and the column of each. A line that was never above 0 is left out, unless it is kept.
const charts = [
  { id: "ops", title: "Operations", unit: persecond, keep: 2, lines: { get: "gets_per_second", set: "sets_per_second", delete: "deletes_per_second", "incr, decr": "arithmetic_per_second", touch: "touches_per_second", other: "other_per_second" } },
  { id: "hits", title: "Hits and misses", unit: persecond, keep: 2, lines: { hits: "hits_per_second", misses: "misses_per_second" } },
  { id: "latency", title: "Latency", unit: seconds, log: true, keep: 0, lines: { "p50": "latency_p50_seconds", "p99": "latency_p99_seconds", "p99.9": "latency_p999_seconds", "p99 of rounds": "latency_round_p99_seconds", "p99 of waits": "latency_ack_p99_seconds" } },
  { id: "lag", title: "Replication lag", unit: (n) => short(n) + (n === 1 ? " entry" : " entries"), tick: short, keep: 2, lines: { "this node": "lag_entries", "its followers": "follower_lag_entries" } },
  { id: "connections", title: "Connections", unit: short, keep: 1, lines: { open: "connections" } },
  { id: "traffic", title: "Client traffic", unit: bytespersecond, bytes: true, keep: 2, lines: { received: "read_bytes_per_second", sent: "written_bytes_per_second" } },
  { id: "memory", title: "Memory", unit: size, bytes: true, keep: 2, lines: { anonymous: "memory_anonymous_bytes", "mapped files": "memory_mapped_bytes", "under max-memory": "memory_bounded_bytes" } },
  { id: "log", title: "Log", unit: size, bytes: true, keep: 2, lines: { "all segments": "log_bytes", "live records": "live_bytes" } },
  { id: "disk", title: "Free disk space", unit: size, bytes: true, keep: 1, close: true, lines: { free: "disk_free_bytes" } },
  { id: "failures", title: "Failures of the cluster", unit: persecond, keep: 3, lines: { "effect unknown": "unknown_per_second", "not reached": "unreached_per_second", repeated: "repeated_per_second" } },
  { id: "items", title: "Records", unit: short, keep: 1, close: true, lines: { records: "items" } },
];

// past is what was read of each step.
const past = { 1: { time_ms: [] }, 60: { time_ms: [] } };
const limits = { 1: 600, 60: 1440 };
let step = 1;
let askedMinutes = 0; // when the minutes were asked for last

// refresh asks for what is new of the step that is shown. A node that was started anew has another past.
export async function refresh(reborn) {
  const p = reborn ? (past[1] = { time_ms: [] }, past[60] = { time_ms: [] }, past[step]) : past[step];
  const known = p.time_ms.length;
  const last = known ? p.time_ms[known - 1] : 0;
  if (step === 60 && known && performance.now() - askedMinutes < 20000) return;
  if (step === 60) askedMinutes = performance.now();
  const fresh = await ask("/history?step=" + step + "&after=" + last);
  if (past[fresh.step_seconds] !== p) return;
  const more = fresh.time_ms.length;
  for (const name of new Set([...Object.keys(p), ...Object.keys(fresh)])) {
    if (name === "step_seconds") continue;
    const old = p[name] || new Array(known).fill(null);
    p[name] = old.concat(fresh[name] || new Array(more).fill(null)).slice(-limits[step]);
  }
  if (more > 0 || !shown) draw();
}

let shown = false;

// withGaps puts a hole where the node has no samples, so that no line is drawn over it.
function withGaps(columns) {
  const times = columns[0], out = columns.map(() => []);
  for (let i = 0; i < times.length; i++) {
    if (i > 0 && times[i] - times[i - 1] > 3.5 * step) {
      out[0].push(times[i - 1] + step);
      for (let c = 1; c < out.length; c++) out[c].push(null);
    }
    for (let c = 0; c < out.length; c++) out[c].push(columns[c][i]);
  }
  return out;
}

// colours reads the colours of lines, text and grid in force.
function colours() {
  const of = (name) => getComputedStyle($(name)).color;
  return { lines: [1, 2, 3, 4, 5, 6].map((i) => of("colour-" + i)), text: of("colour-text"), grid: of("colour-grid") };
}

const wide = (colour, alpha) => colour.replace(/^rgb\((.*)\)$/, "rgba($1, " + alpha + ")");

// byteTicks are powers of two, whose labels are round.
function byteTicks(u, axis, low, high) {
  const by = 2 ** Math.ceil(Math.log2(Math.max(high - low, 1) / 4));
  const ticks = [];
  for (let v = Math.ceil(low / by) * by; v <= high; v += by) ticks.push(v);
  return ticks;
}

// tenTicks are the powers of ten, for figures that differ by those.
function tenTicks(u, axis, low, high) {
  const ticks = [];
  for (let e = Math.round(Math.log10(low)); e <= Math.round(Math.log10(high)); e++) ticks.push(10 ** e);
  return ticks;
}

function build(c) {
  const colour = colours(), names = Object.keys(c.lines);
  const width = c.plot.clientWidth;
  if (c.u) c.u.destroy();
  c.u = new uPlot({
    width, height: 148, padding: [8, 18, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: "futago" }, y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { x: { time: true }, y: { distr: c.log ? 3 : 1, range: (u, low, high) => range(c, low, high) } },
    axes: [
      { stroke: colour.text, grid: { show: false }, ticks: { show: false }, size: 22, gap: 4, font: "11px system-ui, sans-serif", space: 58, incrs: [5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 10800, 14400, 21600],
        values: (u, at) => at.map((t) => new Date(t * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: step === 1 ? "2-digit" : undefined })) },
      { stroke: colour.text, grid: { stroke: colour.grid, width: 1 }, ticks: { show: false }, size: 62, gap: 5, font: "11px system-ui, sans-serif", space: 34,
        splits: c.bytes ? byteTicks : c.log ? tenTicks : undefined, values: (u, at) => at.map((v) => (v === null ? "" : (c.tick || c.unit)(v))) },
    ],
    series: [{}, ...names.map((name, i) => ({
      label: name, stroke: colour.lines[i], width: 1.6, points: { show: false }, spanGaps: false,
      fill: i === 0 ? wide(colour.lines[0], 0.12) : undefined,
    }))],
    hooks: { setCursor: [(u) => legend(c, u.cursor.idx)] },
  }, [[], ...names.map(() => [])], c.plot);
  c.width = width;
}

// range begins at 0, but for figures whose changes would not be seen then.
function range(c, low, high) {
  if (c.log) return low > 0 ? [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high * 1.01))] : [1e-6, 1e-3];
  if (low === null || high === null) return [0, 1];
  if (!c.close) return [0, high > 0 ? high * 1.08 : 1];
  const room = Math.max((high - low) * 0.1, Math.abs(high) * 0.002, 1);
  return [Math.max(0, low - room), high + room];
}

// legend names the lines with their values under the cursor, or the newest.
function legend(c, at) {
  const newest = at === null || at === undefined;
  Object.keys(c.lines).forEach((name, i) => {
    const data = c.u.data[i + 1];
    const v = newest ? data[data.length - 1] : data[at];
    const visible = c.u.series[i + 1].show;
    c.keys[i].hidden = !visible;
    put(c.keys[i].lastChild, v === null || v === undefined ? "–" : c.unit(v));
  });
}

function makeChart(c) {
  c.root = make("figure", undefined, "chart card");
  c.root.id = "chart-" + c.id;
  const head = make("figcaption");
  head.append(make("h3", c.title));
  c.list = make("ul", undefined, "keys");
  head.append(c.list);
  c.plot = make("div", undefined, "plot");
  c.plot.setAttribute("role", "img");
  c.plot.setAttribute("aria-label", c.title + " over time; the newest values stand above");
  c.root.append(head, c.plot);
  $("charts").append(c.root);
  relist(c);
}

function relist(c) {
  c.keys = Object.keys(c.lines).map((name, i) => {
    const li = make("li");
    li.append(make("i", undefined, "line-" + (i + 1)), make("span", name), make("b", "–"));
    return li;
  });
  c.list.replaceChildren(...c.keys);
}

function draw() {
  const p = past[step], times = p.time_ms.map((t) => t / 1000);
  for (const c of charts) {
    if (!c.root) makeChart(c);
    const names = Object.values(c.lines);
    const has = names.some((n) => p[n] && p[n].some((v) => v !== null));
    c.root.hidden = !has;
    if (!has) continue;
    if (!c.u || c.width !== c.plot.clientWidth) build(c);
    const columns = names.map((n) => p[n] || new Array(times.length).fill(null));
    c.u.setData(withGaps([times, ...columns]), true);
    // After the data: a chart that has none yet would fix its scale.
    columns.forEach((values, i) => {
      const show = i < c.keep || values.some((v) => v > 0);
      if (c.u.series[i + 1].show !== show) c.u.setSeries(i + 1, { show });
    });
    if (c.u.cursor.idx === null || c.u.cursor.left < 0) legend(c, null);
  }
  shown = true;
  put($("charts-note"), times.length < 2 ? "The first figures come in a moment." : "");
}

// redraw is for new colours and other widths.
export function redraw() {
  for (const c of charts) if (c.u && !c.root.hidden) { c.u.destroy(); c.u = null; }
  if (shown) draw();
}

export function startCharts() {
  for (const b of document.querySelectorAll("[data-step]")) {
    b.addEventListener("click", () => {
      step = Number(b.dataset.step);
      for (const o of document.querySelectorAll("[data-step]")) o.setAttribute("aria-pressed", String(o === b));
      if (past[step].time_ms.length) redraw();
      refresh(false).then(redraw, () => {});
    });
  }
  let width = 0;
  new ResizeObserver(() => {
    const now = $("charts").clientWidth;
    if (now !== width) { width = now; if (shown) draw(); }
  }).observe($("charts"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}
