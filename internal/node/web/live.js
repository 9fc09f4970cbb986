// Asks a process once a second what it is like, and says whether what is shown is true now. While nobody looks it does not ask.
import { $, put, setTone, ask, seconds, clock } from "./dom.js";

const every = 1000;

let pid = 0;
let answered = 0;  // when the process did, by this machine's clock
let since = 0;     // when it stopped; 0: it answers
let turn = 0;
let timer = 0;
let name, show;

// lost says whether the process does not answer.
export const lost = () => since !== 0;

// startLive has show(status, first, reborn) called with each document: first says that it is the first one, reborn that the process was started
// anew since the last. It may take its time. The answer asks at once.
export function startLive(called, shows) {
  name = called;
  show = shows;
  document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
  return poll;
}

async function poll() {
  clearTimeout(timer);
  if (document.hidden) return;
  const mine = ++turn;
  try {
    const s = await ask("/status");
    if (mine !== turn) return; // a newer question is on its way
    const first = pid === 0, reborn = !first && pid !== s.pid;
    pid = s.pid;
    since = 0;
    answered = Date.now();
    await show(s, first, reborn);
  } catch (e) {
    if (mine !== turn) return;
    if (since === 0) since = answered || Date.now();
  }
  showLive();
  if (mine === turn) timer = setTimeout(poll, every);
}

function showLive() {
  document.body.classList.toggle("lost", lost());
  put($("live"), lost() ? "connection lost" : "live");
  setTone($("live"), lost() ? "bad" : "good");
  $("lost").hidden = !lost();
  if (lost()) {
    put($("lost-since"), "Connection lost since " + clock(since) + ".");
    put($("lost-for"), name + " has not answered for " + seconds(Math.floor((Date.now() - since) / 1000)) + ". What you see is what it said last; it is asked again each second.");
  }
}
