// Small helpers of the dashboard: elements, and numbers for people. What comes from a node, such as a key or a reason, goes into the page
// as text, never as markup.

export const $ = (id) => document.getElementById(id);

// fields returns the elements of root by their data-f.
export function fields(root) {
  const found = {};
  for (const e of root.querySelectorAll("[data-f]")) found[e.dataset.f] = e;
  return found;
}

// put changes text only where it differs, so that selections and screen readers are left in peace.
export function put(element, text) {
  text = String(text);
  if (element.textContent !== text) element.textContent = text;
}

export function make(name, text, className) {
  const e = document.createElement(name);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

// row makes a table row of cells: text, or elements.
export function row(...cells) {
  const tr = make("tr");
  for (const c of cells) {
    const td = make("td");
    td.append(c);
    tr.append(td);
  }
  return tr;
}

// setTone replaces the tone of an element: good, busy, bad or none.
export function setTone(element, tone) {
  element.classList.remove("good", "busy", "bad");
  if (tone) element.classList.add(tone);
}

const drawn = {};

// changed says whether something differs from what was last drawn under that name.
export function changed(name, what) {
  const now = JSON.stringify(what);
  if (drawn[name] === now) return false;
  drawn[name] = now;
  return true;
}

// ask reads a document of the node.
export async function ask(path, patience = 3000) {
  const reply = await fetch(path, { signal: AbortSignal.timeout(patience) });
  if (!reply.ok) throw new Error((await reply.text()).trim() || "HTTP status " + reply.status);
  return reply.json();
}

// act has the node do something, and returns what it says of it.
export async function act(path) {
  const reply = await fetch(path, { method: "POST", headers: { "Futago-Admin": "1" }, signal: AbortSignal.timeout(20000) });
  const text = (await reply.text()).trim();
  if (!reply.ok) throw new Error(text || "HTTP status " + reply.status);
  return text;
}

// fetchFile has the node make a file, and gives it to the browser to keep.
export async function fetchFile(path, name) {
  const reply = await fetch(path, { method: "POST", headers: { "Futago-Admin": "1" } });
  if (!reply.ok) throw new Error((await reply.text()).trim() || "HTTP status " + reply.status);
  const file = await reply.blob(); // an answer that is cut off is an error
  const link = make("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  return file.size;
}

/* Numbers and times */

export function count(n) { return Math.round(n).toLocaleString("en-US"); }

export function short(n) {
  if (n === null || n === undefined) return "–";
  if (n >= 1e9) return (n / 1e9).toPrecision(3) + " G";
  if (n >= 1e6) return (n / 1e6).toPrecision(3) + " M";
  if (n >= 1e4) return (n / 1e3).toPrecision(3) + " k";
  return n < 10 && n % 1 !== 0 ? n.toFixed(1) : count(n);
}

export function size(n) {
  if (n === null || n === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (Math.abs(n) >= 1024 && i < units.length - 1) { n /= 1024; i++; }
  return (i === 0 || Math.abs(n) >= 100 ? Math.round(n) : n.toFixed(1)) + " " + units[i];
}

export function seconds(n) {
  if (n === null || n === undefined) return "–";
  if (n !== 0 && n < 0.001) return (n * 1e6).toFixed(0) + " µs";
  if (n !== 0 && n < 1) return (n * 1000).toFixed(n < 0.01 ? 1 : 0) + " ms";
  if (n < 60) return n.toFixed(n < 10 && n % 1 !== 0 ? 1 : 0) + " s";
  if (n < 3600) return Math.floor(n / 60) + " min " + Math.floor(n % 60) + " s";
  if (n < 86400) return Math.floor(n / 3600) + " h " + Math.floor(n % 3600 / 60) + " min";
  return Math.floor(n / 86400) + " d " + Math.floor(n % 86400 / 3600) + " h";
}

export function entries(n) { return n === 1 ? "1 entry" : count(n) + " entries"; }

// plural is for words that take an s.
export function plural(n, word) { return count(n) + " " + word + (n === 1 ? "" : "s"); }

export function clock(time) { return new Date(time).toLocaleTimeString("en-GB"); }

// moment is a time with its day, unless that is today.
export function moment(time) {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return "–";
  const day = at.toDateString() === new Date().toDateString() ? "" : at.toLocaleDateString("sv-SE") + " ";
  return day + clock(at);
}

// ago is how long ago something was, by the clock of the node.
export function ago(time, now) { return seconds(Math.max(0, Math.round((new Date(now) - new Date(time)) / 1000))) + " ago"; }

// bytesOf decodes base64.
export function bytesOf(text) { return Uint8Array.from(atob(text || ""), (c) => c.charCodeAt(0)); }

// textOf is bytes as text, or null where they are none.
export function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

// keyText is a key for people.
export function keyText(base64) {
  const bytes = bytesOf(base64), text = textOf(bytes);
  return text !== null && !/[\u0000-\u001f\u007f]/.test(text) ? text : "base64 " + base64;
}
