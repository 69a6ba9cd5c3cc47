import { chip, colourOf } from "../base/authors.js";
import { diff, end, map } from "../text/change.js";
import { Connection } from "../text/connection.js";
import { Mirror } from "./mirror.js";

const element = (id) => document.getElementById(id);
const { name, user } = document.body.dataset;
const text = element("text");
const mirror = new Mirror(element("mirror"));

// What the server has not accepted is kept over a reload, for each window.
const storage = `text ${name} ${user}`;
const saved = JSON.parse(sessionStorage.getItem(storage) ?? "null");

const url = new URL(`/texts/${encodeURIComponent(name)}/connect`, location.href);
url.protocol = url.protocol.replace("http", "ws");
const connection = new Connection(url, saved?.author === user ? saved : undefined);
colourOf(user);

// show puts the session's text into the text area, the caret where change takes it.
function show(change) {
  const { text: now } = connection.session;
  if (text.value !== now) {
    const { selectionStart, selectionEnd, selectionDirection } = text;
    text.value = now;
    text.setSelectionRange(map(change, selectionStart), map(change, selectionEnd), selectionDirection);
  }
  draw();
}

function draw() {
  mirror.show(connection.session.text, connection.peers.values());
}

function save() {
  if (connection.pending > 0) sessionStorage.setItem(storage, JSON.stringify(connection.session.saved()));
  else sessionStorage.removeItem(storage);
}

let saving = 0;
function saveSoon() {
  clearTimeout(saving);
  saving = setTimeout(save, 200);
}
addEventListener("pagehide", save);

// A window that is closed takes with it what was not sent.
addEventListener("beforeunload", (event) => {
  if ((connection.pending > 0 && connection.status !== "online") || refused?.unsent) event.preventDefault();
});

// What is typed. The letter that a composition is about is not done until it
// ends; what others do waits for that.
text.addEventListener("input", () => {
  if (connection.held) return;
  connection.edit(diff(connection.session.text, text.value, text.selectionEnd));
  draw();
});
text.addEventListener("compositionstart", () => (connection.held = true));
text.addEventListener("compositionend", () => {
  const change = diff(connection.session.text, text.value, text.selectionEnd);
  if (change.length > 0) connection.edit(change);
  connection.release();
  show([]);
});

// Undo and redo, by button and by key; the text area's own would take back what
// others have written.
function turn(change, word) {
  if (!change) {
    say(`Nothing of yours to ${word}`);
    return;
  }
  text.value = connection.session.text;
  text.setSelectionRange(end(change), end(change));
  draw();
}
const undo = () => turn(connection.undo(), "undo");
const redo = () => turn(connection.redo(), "redo");
element("undo").addEventListener("click", undo);
element("redo").addEventListener("click", redo);
text.addEventListener("beforeinput", (event) => {
  const way = { historyUndo: undo, historyRedo: redo }[event.inputType];
  if (!way) return;
  event.preventDefault();
  way();
});
text.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return;
  event.preventDefault();
  if (key === "y" || event.shiftKey) redo();
  else undo();
});

// The caret, told at most every 50 ms.
let told = 0;
function tellCaret() {
  if (document.activeElement !== text || told) return;
  told = setTimeout(() => {
    told = 0;
    if (connection.held) return; // of a text that is not done yet
    const [from, to] = [text.selectionStart, text.selectionEnd];
    if (text.selectionDirection === "backward") connection.select(to, from);
    else connection.select(from, to);
  }, 50);
}
document.addEventListener("selectionchange", tellCaret);

// Who is here, and what there is to say.
function say(news) {
  element("news").textContent = news;
}

let here = new Set();
function people() {
  const peers = [...connection.peers.values()];
  const names = [...new Set(peers.map((p) => p.author))].sort();
  const chips = [chip(user, " (you)"), ...names.filter((n) => n !== user).map((n) => chip(n))];
  const key = names.join("\n");
  if (key === [...here].join("\n") && element("people").childElementCount > 0) return;
  if (connection.status === "online") {
    for (const n of names) if (!here.has(n) && n !== user) say(`${n} is here`);
    for (const n of here) if (!names.includes(n) && n !== user) say(`${n} has left`);
  }
  here = new Set(names);
  element("people").replaceChildren(
    ...chips.map((c) => {
      const item = document.createElement("li");
      item.append(c);
      return item;
    }),
  );
}

function pending() {
  const n = connection.pending;
  let words = "";
  if (n > 0 && connection.status !== "online") words = "What you write is kept here and sent when the connection is back.";
  else if (n > 0) words = "Sending …";
  if (element("pending").textContent !== words) element("pending").textContent = words;
  document.body.dataset.pending = n;
  document.body.dataset.version = connection.session.version;
  saveSoon();
}

const words = { connecting: "Connecting", online: "Online", offline: "Offline" };
function status() {
  element("status").dataset.status = connection.status;
  element("status").textContent = words[connection.status];
  people();
  pending();
}

connection.addEventListener("status", status);
connection.addEventListener("status", ({ detail }) => {
  if (detail === "online") tellCaret(); // the server has forgotten it
});
connection.addEventListener("ready", () => {
  text.disabled = text.readOnly = false;
  show([]);
  pending();
});
connection.addEventListener("change", ({ detail }) => show(detail));
connection.addEventListener("carets", () => {
  people();
  draw();
});
connection.addEventListener("sent", pending);
connection.addEventListener("refused", ({ detail: { reason, unsent, ended } }) => {
  text.readOnly = true; // until the text is there again
  text.disabled = ended;
  if (ended) element("status").textContent = `Refused: ${reason}`;
  pending();
  showRefused(reason, [refused?.unsent, unsent].filter(Boolean).join("\n"));
});

// What was refused stays to be copied, over a reload too, until it is thrown away.
const refusedStorage = `refused ${storage}`;
let refused;
function showRefused(reason, unsent) {
  refused = { reason, unsent };
  element("refused").hidden = false;
  element("reason").textContent = `Refused: ${reason}.`;
  element("unsent").value = unsent;
  element("unsent-part").hidden = unsent === "";
  element("copy").textContent = "Copy";
  sessionStorage.setItem(refusedStorage, JSON.stringify(refused));
}
element("copy").addEventListener("click", async () => {
  element("unsent").select();
  try {
    await navigator.clipboard.writeText(refused.unsent);
    element("copy").textContent = "Copied";
  } catch {
    element("copy").textContent = "Selected, copy it with Ctrl+C"; // only a secure page has a clipboard
  }
});
element("forget").addEventListener("click", () => {
  refused = undefined;
  element("refused").hidden = true;
  sessionStorage.removeItem(refusedStorage);
  text.focus();
});
const kept = JSON.parse(sessionStorage.getItem(refusedStorage) ?? "null");
if (kept) showRefused(kept.reason, kept.unsent);

if (saved && connection.fresh) {
  text.disabled = false;
  show([]);
}
status();

element("offline").addEventListener("click", () => {
  connection.offline = !connection.offline;
  element("offline").setAttribute("aria-pressed", String(connection.offline));
});
element("latency").addEventListener("input", ({ target }) => {
  connection.latency = Number(target.value);
  element("latency-value").textContent = `${target.value} ms`;
});
