import { Session, UndoStack } from "./session.js";
import { end, map } from "./change.js";

// A Connection keeps a Session in step with the server, over a WebSocket that it
// makes again when it is lost. It dispatches
//
//   status   detail: "connecting", "online" or "offline"
//   ready    the text is here
//   change   detail: what others changed in the text
//   carets   others' carets, in peers, have moved
//   sent     something was sent or accepted: pending says how many wait
//   refused  detail: { reason, unsent, ended }: the server does not take what was written
//            here last, or the copy is not the server's. unsent is what was written and the server
//            does not have. The text is fetched anew, unless ended says that it cannot be
export class Connection extends EventTarget {
  session;
  status = "connecting";
  peers = new Map(); // by client: { client, author, anchor, head }
  latency = 0; // ms, each way, on top of the network's
  fresh = false; // the text has been received
  held = false; // what others do waits, as during the composition of a letter
  #url;
  #socket;
  #offline = false;
  #caret;
  #attempts = 0;
  #retry;
  #waiting = [];

  constructor(url, saved) {
    super();
    this.#url = url;
    this.session = saved ? Session.restored(saved) : new Session(crypto.randomUUID());
    this.fresh = Boolean(saved);
    addEventListener("online", () => this.#connect());
    addEventListener("offline", () => this.#socket?.close());
    this.#connect();
  }

  get pending() {
    return this.session.outgoing.length;
  }

  get offline() {
    return this.#offline;
  }

  set offline(offline) {
    this.#offline = offline;
    if (offline) this.#drop();
    else this.#connect();
  }

  // edit does a change made here, undo and redo the author's own last action.
  edit(change) {
    this.session.edit(change);
    this.#moved(change);
  }

  undo() {
    return this.#moved(this.session.undo());
  }

  redo() {
    return this.#moved(this.session.redo());
  }

  // select shows others what is selected here.
  select(anchor, head) {
    if (!this.fresh) return; // of a text that is not in use any more
    this.#caret = { anchor, head };
    this.#send();
  }

  // release takes in what was held.
  release() {
    this.held = false;
    for (const m of this.#waiting.splice(0)) this.#receive(m);
  }

  #moved(change) {
    if (!change) return undefined;
    for (const p of this.peers.values()) {
      p.anchor = map(change, p.anchor);
      p.head = map(change, p.head);
    }
    this.#goAlong(change);
    this.#tell("sent");
    this.#send();
    return change;
  }

  // What is selected here and not told yet goes along with a change.
  #goAlong(change) {
    if (!this.#caret) return;
    this.#caret.anchor = map(change, this.#caret.anchor);
    this.#caret.head = map(change, this.#caret.head);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #say(status) {
    if (this.status === status) return;
    this.status = status;
    this.#tell("status", status);
  }

  #drop() {
    clearTimeout(this.#retry);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    this.#lost();
  }

  #lost() {
    this.session.sent = false;
    this.peers.clear();
    this.#waiting = [];
    this.#tell("carets");
    this.#say("offline");
  }

  #connect() {
    clearTimeout(this.#retry);
    if (this.#offline || this.#socket) return;
    if (this.status !== "offline") this.#say("connecting");
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => {
      const hello = { type: "hello", units: "utf-16", client: this.session.client };
      if (this.fresh) hello.since = this.session.version;
      this.#later(socket, () => socket.send(JSON.stringify(hello)));
    };
    socket.onmessage = ({ data }) =>
      this.#later(socket, () => {
        const m = JSON.parse(data);
        if (this.held) this.#waiting.push(m);
        else this.#receive(m);
      });
    socket.onclose = ({ code }) => {
      if (socket !== this.#socket) return;
      if (code === 1009 && !this.held) {
        this._refused({ reason: "a message was too large" });
        return;
      }
      this.#socket = undefined;
      this.#lost();
      if (this.#offline) return;
      const pause = Math.min(5000, 100 * 2 ** this.#attempts++) * (0.5 + Math.random() / 2);
      this.#retry = setTimeout(() => this.#connect(), pause);
    };
  }

  // later does something once the latency has passed, if the socket is still in use.
  #later(socket, what) {
    const now = () => {
      if (socket === this.#socket && socket.readyState === WebSocket.OPEN) what();
    };
    const time = performance.now();
    const due = Math.max(socket.due ?? 0, time + this.latency); // nothing overtakes what is under way
    if (due <= time) {
      now();
      return;
    }
    socket.due = due;
    setTimeout(now, due - time);
  }

  #send() {
    const socket = this.#socket;
    if (this.status !== "online" || !socket) return;
    const edit = this.session.next();
    if (edit) {
      this.#later(socket, () => socket.send(JSON.stringify({ type: "edit", ...edit })));
      return;
    }
    if (this.#caret && this.pending === 0) {
      const caret = { type: "caret", base: this.session.version, ...this.#caret };
      this.#caret = undefined;
      this.#later(socket, () => socket.send(JSON.stringify(caret)));
    }
  }

  #receive(m) {
    try {
      this[`_${m.type}`]?.(m);
    } catch (error) {
      console.error(error);
      this._refused({ reason: `the text here is not the server's: ${error.message}` });
    }
  }

  _welcome(m) {
    const s = this.session;
    this.#attempts = 0;
    if (m.text !== undefined) {
      s.author = m.author;
      s.version = m.version ?? 0;
      s.base = s.text = m.text;
      s.stack = new UndoStack(m.undo, m.redo);
      this.fresh = true;
    }
    this.#say("online");
    if (m.text !== undefined) this.#tell("ready");
    this.#send();
  }

  _edits(m) {
    for (const edit of m.edits) {
      const change = this.session.receive(edit);
      for (const p of this.peers.values()) {
        if (p.client === edit.client && !edit.kind && change.length > 0) {
          p.anchor = p.head = end(change);
        } else {
          p.anchor = map(change, p.anchor);
          p.head = map(change, p.head);
        }
      }
      this.#goAlong(change);
      if (change.length > 0) this.#tell("change", change);
    }
    this.#tell("sent");
    this.#tell("carets");
    this.#send();
  }

  _carets(m) {
    for (const client of m.left ?? []) this.peers.delete(client);
    for (const p of m.carets ?? []) {
      for (const { change } of this.session.outgoing) {
        p.anchor = map(change, p.anchor);
        p.head = map(change, p.head);
      }
      this.peers.set(p.client, p);
    }
    this.#tell("carets");
  }

  // What was refused would be again, so it is taken back and handed over.
  _refused(m) {
    const ended = !this.fresh; // not even the text is to be had
    const unsent = this.session.unsent();
    this.session = new Session(crypto.randomUUID());
    this.fresh = false;
    this.#caret = undefined;
    if (ended) this.#offline = true;
    this.#drop();
    this.#tell("refused", { reason: m.reason, unsent, ended });
    this.#connect();
  }
}
