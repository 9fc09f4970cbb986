// What operators may do here. Each action is confirmed by the name of the node that does it.
import { $, put, setTone, act, fetchFile, size, moment } from "./dom.js";

const actions = {
  drain: {
    title: (n) => "Drain node " + n + "?",
    text: (n, others) => "It stops being ready at once and sends its clients away after two seconds, between their requests. It still follows its peers. " +
      "Undrain, or a restart, ends that." + (others ? "" : " No other node is ready: clients will have nowhere to go."),
    button: (n) => "Drain node " + n, danger: true,
    path: (others) => "/drain" + (others ? "" : "?force=1"),
  },
  undrain: {
    title: (n) => "Undrain node " + n + "?",
    text: () => "It is ready and serves clients again.",
    button: (n) => "Undrain node " + n,
    path: () => "/undrain",
  },
  verify: {
    title: (n) => "Compare node " + n + " with its peers now?",
    text: () => "Nodes compare what they hold by themselves, every 30 seconds while no writes come. This makes the next comparison due at once. " +
      "It costs next to nothing. Under steady writes use futago verify.",
    button: (n) => "Compare node " + n,
    path: () => "/verify",
  },
  sync: {
    title: (n) => "Sync the log of node " + n + "?",
    text: () => "Everything that was written so far is forced to the disk. Writes go on; with a slow disk they may wait for a moment.",
    button: (n) => "Sync node " + n,
    path: () => "/sync",
  },
  backup: {
    title: (n) => "Back up all that node " + n + " holds?",
    text: () => "The browser keeps it as one file, which futago restore reads. Clients are served meanwhile. For many gigabytes, and on a schedule, use " +
      "futago backup, which checks what it has written and takes only what changed.",
    button: (n) => "Back up node " + n,
    run: async (n) => "sent " + size(await fetchFile("/backup", "futago-" + new Date().toISOString().replace(/[-:]|\.\d+/g, "") + "-node" + n + "-full.fbk")),
  },
};

let known = { node: 0, others: false };

function say(text, tone) {
  put($("action-result"), text);
  setTone($("action-result"), tone);
}

// showActions offers what fits the state. othersReady tells that clients of this node have another one.
export function showActions(s, othersReady) {
  known = { node: s.node, others: othersReady };
  const drained = s.state === "drained";
  document.querySelector("[data-act=drain]").hidden = drained;
  document.querySelector("[data-act=undrain]").hidden = !drained;
  for (const b of document.querySelectorAll("[data-act]")) b.disabled = !s.store;
  for (const b of document.querySelectorAll("[data-act=verify]")) b.disabled = !s.peer;
  put($("backup-note"), s.backup ? "Last backup: " + s.backup.kind + ", " + moment(s.backup.time) + "." : "No backup was taken of this node since its start.");
}

export function startActions(after) {
  const dialog = $("confirm");
  let chosen = null;
  for (const b of document.querySelectorAll("[data-act]")) {
    b.addEventListener("click", () => {
      chosen = actions[b.dataset.act];
      put($("confirm-title"), chosen.title(known.node));
      put($("confirm-text"), chosen.text(known.node, known.others));
      put($("confirm-do"), chosen.button(known.node));
      $("confirm-do").classList.toggle("danger", Boolean(chosen.danger));
      dialog.showModal();
    });
  }
  $("confirm-cancel").addEventListener("click", () => dialog.close());
  $("confirm-do").addEventListener("click", async () => {
    dialog.close();
    say("Asking node " + known.node + " …", "");
    try {
      say("Node " + known.node + ": " + await (chosen.run ? chosen.run(known.node) : act(chosen.path(known.others))) + ".", "good");
    } catch (e) {
      say("Node " + known.node + ": " + e.message + ".", "bad");
    }
    after();
  });
}
