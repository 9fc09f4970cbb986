// Looking up a key here and at the other nodes. A look-up does not count as a read.
import { $, put, make, setTone, ask, count, size, moment, bytesOf, textOf } from "./dom.js";

let answers = []; // of all nodes, this one first
let chosen = 0;   // whose value is shown
let form = "text";

// hex is bytes as a dump: offset, bytes, what of them is text.
function hex(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const part = [...bytes.subarray(at, at + 16)];
    const digits = part.map((b) => b.toString(16).padStart(2, "0")).join(" ");
    lines.push(at.toString(16).padStart(6, "0") + "  " + digits.padEnd(47) + "  " + part.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : ".")).join(""));
  }
  return lines.join("\n");
}

// pretty is a value as indented JSON, or null where it is none.
function pretty(bytes) {
  const text = textOf(bytes);
  if (text === null || !/^\s*[[{"]/.test(text)) return null;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return null;
  }
}

// writer says who wrote, and when.
const writer = (w) => moment(w.time) + "." + String(new Date(w.time).getMilliseconds()).padStart(3, "0") + " at node " + w.node;

// facts are the lines of the table, for one node.
const facts = {
  State: (d) => d.state,
  Kind: (d) => d.kind || "–",
  Size: (d) => (d.kind ? count(d.size) + " B" + (d.size >= 1024 ? " (" + size(d.size) + ")" : "") : "–"),
  Written: (d) => (d.write ? writer(d.write) : "–"),
  Stamp: (d) => (d.write ? d.write.stamp : "–"),
  Expires: (d) => (!d.kind ? "–" : d.expires ? moment(d.expires) : "never"),
  Flags: (d) => (d.kind ? String(d.flags) + (d.stale ? ", stale" : "") : "–"),
  "Content type": (d) => (d.kind ? d.type || "none" : "–"),
  "CAS unique": (d) => d.token || "–",
};

// same says whether two answers are one record.
const same = (a, b) => JSON.stringify({ ...a, node: 0, peers: 0 }) === JSON.stringify({ ...b, node: 0, peers: 0 });

function verdict() {
  const documents = answers.filter((a) => a.document);
  const silent = answers.filter((a) => !a.document).map((a) => "node " + a.node + " could not be asked: " + a.error);
  const first = documents[0].document;
  let text = first.state === "live" ? "Found." : first.state === "absent" ? "There is no such key here." : "Clients do not see it: " + first.state + ".", tone = first.state === "live" ? "good" : "";
  if (documents.length > 1) {
    const differ = documents.slice(1).filter((a) => !same(first, a.document));
    text += differ.length ? " It differs at node " + differ.map((a) => a.node).join(", ") + "; under load that is normal for a moment." : " The same on all nodes.";
    if (differ.length) tone = "busy";
  }
  put($("key-verdict"), [text, ...silent].join(" "));
  setTone($("key-verdict"), tone);
}

function showFacts() {
  const table = make("table"), head = make("tr");
  head.append(make("th", ""));
  head.firstChild.append(make("span", "Fact", "unseen"));
  for (const a of answers) head.append(make("th", "Node " + a.node));
  for (const th of head.children) th.scope = "col";
  const thead = make("thead"), body = make("tbody");
  thead.append(head);
  for (const [name, of] of Object.entries(facts)) {
    const tr = make("tr"), th = make("th", name);
    th.scope = "row";
    tr.append(th);
    const texts = answers.map((a) => (a.document ? of(a.document) : "–"));
    texts.forEach((text, i) => tr.append(make("td", text, answers[i].document && text !== texts[0] ? "differs" : "")));
    body.append(tr);
  }
  table.append(thead, body);
  $("key-facts").replaceChildren(table);
}

function showCounter(d) {
  $("key-counter").hidden = !d.counter;
  if (!d.counter) return;
  const c = d.counter, base = textOf(bytesOf(c.base));
  const rows = c.contributions.map((one) => {
    const li = make("li");
    li.append(make("b", (one.sum.startsWith("-") ? "" : "+") + one.sum), make("span", "node " + one.write.node + ", last " + moment(one.write.time)));
    return li;
  });
  const first = make("li");
  first.append(make("b", c.domain === "decimal" && base !== null ? base : "base"), make("span", c.domain + " base, " + writer(c.base_write)));
  $("key-sums").replaceChildren(first, ...rows);
  if (c.all_contributions > rows.length) $("key-sums").append(make("li", count(c.all_contributions - rows.length) + " more"));
}

function showValue() {
  const with_ = answers.filter((a) => a.document && a.document.kind && a.document.kind !== "tombstone");
  $("key-value-box").hidden = with_.length === 0;
  if (with_.length === 0) { $("key-counter").hidden = true; return; }
  const a = with_.find((x) => x.node === chosen) || with_[0];
  const d = a.document, bytes = bytesOf(d.value), json = d.size > bytes.length ? null : pretty(bytes), text = textOf(bytes);
  for (const b of document.querySelectorAll("[data-form]")) {
    b.disabled = b.dataset.form === "json" && json === null;
    b.setAttribute("aria-pressed", String(b.dataset.form === form && !b.disabled));
  }
  let shown = text === null ? new TextDecoder().decode(bytes) : text;
  if (form === "hex") shown = hex(bytes);
  if (form === "json" && json !== null) shown = json;
  put($("key-value"), shown);
  $("key-value").classList.toggle("wrap", form !== "hex");
  const notes = [];
  if (with_.length > 1) notes.push("value at node " + a.node);
  if (d.size > bytes.length) notes.push("the first " + size(bytes.length) + " of " + size(d.size));
  if (form === "text" && text === null) notes.push("bytes that are no text are shown as �");
  put($("key-value-note"), notes.join("; "));
  showCounter(d);
}

async function look() {
  const text = $("key-input").value, coded = $("key-coded").checked;
  if (text === "") return;
  const button = $("key-form").querySelector("button");
  button.disabled = true;
  try {
    const d = await ask("/key?peers=1&" + (coded ? "key64=" : "key=") + encodeURIComponent(text), 8000);
    answers = [{ node: d.node, document: d }, ...(d.peers || []).map((p) => ({ node: p.node, document: p.answer, error: p.error }))];
    chosen = d.node;
    if (form === "json" && d.value && pretty(bytesOf(d.value)) === null) form = "text";
    verdict();
    showFacts();
    showValue();
    $("key-result").hidden = false;
  } catch (e) {
    $("key-result").hidden = true;
    put($("key-verdict"), e.message);
    setTone($("key-verdict"), "bad");
  }
  button.disabled = false;
}

// lookUp is for other parts of the page: a key, as base64.
export function lookUp(base64) {
  const text = textOf(bytesOf(base64));
  $("key-coded").checked = text === null;
  $("key-input").value = text === null ? base64 : text;
  $("key-title").scrollIntoView({ block: "start" });
  $("key-input").focus({ preventScroll: true });
  look();
}

export function startKey() {
  $("key-form").addEventListener("submit", (event) => { event.preventDefault(); look(); });
  for (const b of document.querySelectorAll("[data-form]")) {
    b.addEventListener("click", () => { form = b.dataset.form; showValue(); });
  }
}
