// The dashboard of a node: asks it once a second what it is like, and shows that. While nobody looks it does not ask.
import { $, put, setTone, ask, seconds, clock } from "./dom.js";
import { showPair, showHealth } from "./pair.js";
import { refresh, redraw, startCharts } from "./charts.js";
import { startKey } from "./key.js";
import { showWarnings, showEvents, startEvents, refreshLists, refreshSettings, startSettings } from "./lists.js";
import { refreshNotes } from "./notes.js";
import { showActions, startActions } from "./actions.js";

const every = 1000;

let status = null; // the last document
let peers = [];    // what the others said last
let answered = 0;  // when the node did, by this machine's clock
let lost = 0;      // since when it does not
let turn = 0;
let timer = 0;

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

// showLive says whether what is shown is true now.
function showLive() {
  const gone = lost !== 0;
  document.body.classList.toggle("lost", gone);
  put($("live"), gone ? "connection lost" : "live");
  setTone($("live"), gone ? "bad" : "good");
  $("lost").hidden = !gone;
  if (gone) {
    put($("lost-since"), "Connection lost since " + clock(lost) + ".");
    put($("lost-for"), "This node has not answered for " + seconds(Math.floor((Date.now() - lost) / 1000)) + ". What you see is what it said last; it is asked again each second.");
  }
}

async function poll() {
  clearTimeout(timer);
  if (document.hidden) return;
  const mine = ++turn;
  try {
    const s = await ask("/status");
    if (mine !== turn) return; // a newer question is on its way
    const reborn = status !== null && status.pid !== s.pid;
    if (reborn || status === null) refreshSettings().catch(() => {});
    status = s;
    lost = 0;
    answered = Date.now();
    show();
    if (s.store) {
      await refresh(reborn).catch(() => {});
    }
  } catch (e) {
    if (mine !== turn) return;
    if (lost === 0) lost = answered || Date.now();
  }
  showLive();
  if (mine === turn) timer = setTimeout(poll, every);
}

// watch asks for what changes less often, each with its own pause.
function watch(pause, read) {
  let running = false;
  const step = async () => {
    if (!running && !document.hidden && status && status.store && lost === 0) {
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

/* Light and dark */

const themes = ["system", "light", "dark"];

function showTheme() {
  const now = document.documentElement.dataset.theme || "system";
  put($("theme-now"), now);
  $("theme").setAttribute("aria-label", "Theme: " + now);
}

$("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme || "system";
  const next = themes[(themes.indexOf(now) + 1) % themes.length];
  if (next === "system") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem("futago-theme");
  } else {
    document.documentElement.dataset.theme = next;
    localStorage.setItem("futago-theme", next);
  }
  showTheme();
  redraw();
});

showTheme();
startCharts();
startKey();
startEvents(() => status && showEvents(status.events || [], status.node));
startSettings();
startActions(() => { poll(); setTimeout(askPeers, 300); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) { poll(); askPeers(); askLists(); askNotes(); } });
poll().then(() => { askPeers(); askLists(); askNotes(); });
