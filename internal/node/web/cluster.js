// The dashboard of a front of a cluster: shows what it says of itself each second. A front promises less than a pair, and the page never
// says more than the front does.
import { $, fields, put, make, setTone, changed, count, short, seconds } from "./dom.js";
import { startLive } from "./live.js";
import { startThemes } from "./themes.js";
import { refresh, redraw, startCharts } from "./charts.js";

const slots = 16384;
const tones = { ready: "good", draining: "busy", down: "bad" };
const f = fields(document);

async function show(s, first, reborn) {
  const whole = s.slots === slots;
  document.title = (s.state === "ready" && whole ? "" : "● ") + "Front of a cluster · futago";
  put($("version"), "futago " + s.version + " · pid " + s.pid);
  put($("durability"), s.durability);
  put($("promise"), s.promise);
  put(f.state, s.state);
  setTone(f.state, s.state === "ready" && !whole ? "busy" : tones[s.state]);
  put(f.reason, s.reason);
  put(f.slots, count(s.slots) + " of " + count(slots) + (s.moving ? ", some are moving" : ""));
  setTone(f.slots, whole ? "" : "busy");
  put(f.masters, count((s.masters || []).length));
  put(f.items, short(s.items));
  put(f.clients, count(s.clients.curr_connections));
  put(f.listen, (s.listen || []).join(", "));
  put(f.uptime, seconds(Math.floor(s.uptime_seconds)));
  for (const [name, tone] of [["unknown", "bad"], ["unreached", "busy"], ["repeated", ""], ["swept", ""]]) {
    put(f[name], count(s[name]));
    setTone(f[name], s[name] > 0 ? tone : "");
  }
  put(f.requests, s.requests_per_second === null ? "–" : short(s.requests_per_second));
  put(f.latency, s.latency_p50_seconds === null ? "–" : seconds(s.latency_p50_seconds) + ", " + seconds(s.latency_p99_seconds));
  if (changed("masters", s.masters)) $("masters").replaceChildren(...(s.masters || []).map((addr) => make("li", addr)));
  $("masters-none").hidden = (s.masters || []).length > 0;
  await refresh(reborn).catch(() => {});
}

const poll = startLive("This front", show);
startThemes(redraw);
startCharts();
poll();
