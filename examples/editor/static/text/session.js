import { apply, compose, inserted, invert, split, transform } from "./change.js";

// The most code units that a change inserts in one piece, and that what is not
// sent yet is joined up to.
const largest = 50_000;

// What one author can undo and redo. Each entry is the change that takes an
// action back, made for the text as it is once the entries above it are done.
// What others do is kept with the topmost entry, composed, and taken into account
// when the entry is used: so their work stays.
export class UndoStack {
  undo = [];
  redo = [];

  constructor(undo = [], redo = []) {
    this.undo = undo.map((change) => ({ change, over: [] }));
    this.redo = redo.map((change) => ({ change, over: [] }));
  }

  // The author's own change, by its inverse. One that joins goes on with the
  // action before it.
  did(inverse, kind, joins) {
    if (kind !== "undo" && kind !== "redo") this.redo = [];
    const stack = kind === "undo" ? this.redo : this.undo;
    if (joins && stack.length > 0) {
      settle(stack);
      stack.at(-1).change = compose(inverse, stack.at(-1).change);
      return;
    }
    if (stack.length >= 1000) stack.splice(0, 500);
    stack.push({ change: inverse, over: [] });
  }

  others(change) {
    for (const top of [this.undo.at(-1), this.redo.at(-1)]) {
      if (top) top.over = compose(top.over, change);
    }
  }
}

function settle(stack) {
  const top = stack.at(-1);
  if (top.over.length === 0) return;
  const [over, change] = transform(top.over, top.change);
  top.change = change;
  top.over = [];
  const next = stack.at(-2);
  if (next) next.over = compose(next.over, over);
}

// pop takes the topmost entry that still does something; undefined if there is none.
function pop(stack) {
  while (stack.length > 0) {
    settle(stack);
    const { change } = stack.pop();
    if (change.length > 0) return change;
  }
  return undefined;
}

// comesFirst reports whether what one editor inserts comes before what another
// inserts at the same place: in the order of their names, byte by byte as in Go.
function comesFirst(one, other) {
  const order = compareBytes(one.client, other.client);
  return order !== 0 ? order < 0 : compareBytes(one.author, other.author) <= 0;
}

const encoder = new TextEncoder();

function compareBytes(a, b) {
  const x = encoder.encode(a);
  const y = encoder.encode(b);
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    if (x[i] !== y[i]) return x[i] - y[i];
  }
  return x.length - y.length;
}

// A Diverged error says that the copy is not what the server made of it.
export class Diverged extends Error {}

// A Session is the page's copy of a text: the text as of a version of the
// server, and on top of that what has been done here and the server has not
// accepted yet. The first of those is on its way, the others wait. It is the
// session of package collab again.
export class Session {
  author = "";
  client;
  version = 0;
  base = ""; // the server's text as of version
  text = ""; // with everything done here
  outgoing = [];
  sent = false; // outgoing[0] is on its way
  seq = 0;
  stack = new UndoStack();
  #last = -Infinity; // when something was typed that more may join

  constructor(client, pause = 1000) {
    this.client = client;
    this.pause = pause;
  }

  // edit does a change made here. A large one goes in parts, each of which fits a message.
  edit(change, kind = "", now = performance.now()) {
    let joins = kind === "" && now - this.#last < this.pause;
    this.#last = kind === "" ? now : -Infinity;
    for (let [part, rest] = split(change, largest); part.length > 0; [part, rest] = split(rest, largest)) {
      this.#do(part, kind, joins);
      joins = true;
    }
  }

  #do(change, kind, joins) {
    const after = apply(this.text, change);
    this.stack.did(invert(this.text, change), kind, joins);
    this.text = after;
    const last = this.outgoing.at(-1);
    if (joins && last && !last.tried) {
      const joined = compose(last.change, change);
      if (joined.length < 100 && inserted(joined) <= largest) {
        last.change = joined;
        return;
      }
    }
    this.outgoing.push({ seq: ++this.seq, change, kind, joins });
  }

  // undo and redo return the change they made, undefined if there was none.
  undo() {
    const change = pop(this.stack.undo);
    if (change) this.edit(change, "undo");
    return change;
  }

  redo() {
    const change = pop(this.stack.redo);
    if (change) this.edit(change, "redo");
    return change;
  }

  // next returns what is to be sent, undefined while something is on its way.
  next() {
    if (this.sent || this.outgoing.length === 0) return undefined;
    this.sent = this.outgoing[0].tried = true; // from now on it stays what it is
    const { seq, change, kind, joins } = this.outgoing[0];
    return { seq, change, kind, joins, base: this.version };
  }

  // receive takes in the next edit that the server accepted, and returns what it
  // changes in the text: nothing if it was made here.
  receive(edit) {
    if (edit.version !== this.version + 1) {
      throw new Diverged(`version ${edit.version} follows version ${this.version}`);
    }
    this.version = edit.version;
    this.base = apply(this.base, edit.change);
    if (edit.client === this.client && edit.author === this.author) {
      const own = this.outgoing[0];
      if (own?.seq !== edit.seq || JSON.stringify(own.change) !== JSON.stringify(edit.change)) {
        throw new Diverged(`change ${edit.seq} was accepted as another than was made here`);
      }
      this.outgoing.shift();
      this.sent = false;
      return [];
    }
    let change = edit.change;
    const tie = comesFirst(edit, this);
    for (const own of this.outgoing) {
      [change, own.change] = transform(change, own.change, tie);
    }
    this.text = apply(this.text, change);
    this.stack.others(change);
    return change;
  }

  // unsent returns what was written here and the server has not accepted, a line
  // for each place.
  unsent() {
    const all = this.outgoing.reduce((sum, { change }) => compose(sum, change), []);
    return all.filter((op) => typeof op === "string").join("\n");
  }

  // saved and restored keep what the server has not accepted over a reload.
  saved() {
    const { version, base, client, author, seq, outgoing } = this;
    return { version, base, client, author, seq, outgoing };
  }

  static restored(saved, pause) {
    const s = new Session(saved.client, pause);
    Object.assign(s, saved);
    s.text = saved.base;
    for (const { change, kind, joins } of s.outgoing) {
      s.stack.did(invert(s.text, change), kind, joins);
      s.text = apply(s.text, change);
    }
    return s;
  }
}
