// The dashboard of a node: shows what it says of itself each second.
import { $, put, ask, seconds } from "./dom.js";
import { startLive, lost } from "./live.js";
import { startThemes } from "./themes.js";
import { showPair, showHealth } from "./pair.js";
import { refresh, redraw, startCharts } from "./charts.js";
import { startKey } from "./key.js";
import { showWarnings, showEvents, startEvents, refreshLists, refreshSettings, startSettings } from "./lists.js";
import { refreshNotes } from "./notes.js";
import { showActions, startActions } from "./actions.js";

let status = null; // the last document
let peers = [];    // what the others said last

function show() {
  const s = status;
  document.title = (s.state === "ready" && s.ready ? "" : "● ") + "Node " + s.node + " · futago";
  put($("node-name"), "node " + s.node);
  put($("version"), "futago " + s.version + " · pid " + s.pid + " · up " + seconds(Math.floor(s.uptime_seconds)));
  const spoken = showPair(s, peers);
  put($("spoken"), spoken);
  showHealth(s);
  showWarnings(s.warnings || []);
  showEvents(s.events || [], s.node);
  const othersReady = peers.some((p) => p.answer && p.answer.ready) || [s.peer, ...(s.other_peers || [])].some((l) => l && l.state === "stream" && l.peer_ready);
  showActions(s, othersReady);
}

async function showAll(s, first, reborn) {
  if (first || reborn) refreshSettings().catch(() => {});
  status = s;
  show();
  if (s.store) await refresh(reborn).catch(() => {});
}

// watch asks for what changes less often, each with its own pause.
function watch(pause, read) {
  let running = false;
  const step = async () => {
    if (!running && !document.hidden && status && status.store && !lost()) {
      running = true;
      await read().catch(() => {});
      running = false;
    }
  };
  setInterval(step, pause);
  return step;
}

const askPeers = watch(1500, async () => {
  peers = (await ask("/peers", 4000)).peers;
  show();
});
const askLists = watch(4000, () => refreshLists(status));
const askNotes = watch(3000, refreshNotes);

const poll = startLive("This node", showAll);
startThemes(redraw);
startCharts();
startKey();
startEvents(() => status && showEvents(status.events || [], status.node));
startSettings();
startActions(() => { poll(); setTimeout(askPeers, 300); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) { askPeers(); askLists(); askNotes(); } });
poll().then(() => { askPeers(); askLists(); askNotes(); });
