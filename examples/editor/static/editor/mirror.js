import { colourOf } from "../base/authors.js";

const named = 3000; // ms that a caret's name stays once it has moved

// A Mirror shows others' carets and selections over a text area, at which it
// lies letter on letter. It draws at most once a frame.
export class Mirror {
  #element;
  #frame = 0;
  #text = "";
  #peers = [];
  #moves = new Map(); // by client: where its caret was last, and when it came there

  constructor(element) {
    this.#element = element;
  }

  show(text, peers) {
    this.#text = text;
    this.#peers = [...peers];
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  // moving reports whether somebody has been about lately, so that the name is worth
  // the letters it covers.
  #moving(peer) {
    const now = performance.now();
    const last = this.#moves.get(peer.client);
    if (last?.head === peer.head && last.anchor === peer.anchor) return now - last.time < named;
    this.#moves.set(peer.client, { head: peer.head, anchor: peer.anchor, time: now });
    setTimeout(() => this.show(this.#text, this.#peers), named + 50);
    return true;
  }

  #draw() {
    const marks = [];
    const length = this.#text.length;
    for (const p of this.#peers) {
      const head = Math.min(p.head, length);
      const anchor = Math.min(p.anchor, length);
      marks.push({ at: head, caret: p });
      if (anchor !== head) marks.push({ at: Math.min(anchor, head), begin: p }, { at: Math.max(anchor, head), end: p });
    }
    marks.sort((a, b) => a.at - b.at);
    const nodes = [];
    const selecting = [];
    let at = 0;
    const upTo = (end) => {
      if (end === at) return;
      const piece = this.#text.slice(at, end);
      at = end;
      if (selecting.length === 0) {
        nodes.push(piece);
        return;
      }
      const span = document.createElement("span");
      span.className = `selected ${colourOf(selecting.at(-1).author)}`;
      span.textContent = piece;
      nodes.push(span);
    };
    for (const mark of marks) {
      upTo(mark.at);
      if (mark.caret) nodes.push(caret(mark.caret, this.#moving(mark.caret)));
      if (mark.begin) selecting.push(mark.begin);
      if (mark.end) selecting.splice(selecting.indexOf(mark.end), 1);
    }
    upTo(length);
    nodes.push("\u200b"); // so that an empty last line has its height
    this.#element.replaceChildren(...nodes);
    for (const flag of this.#element.querySelectorAll(".flag")) {
      const edge = this.#element.getBoundingClientRect().right;
      flag.classList.toggle("leftwards", flag.getBoundingClientRect().right > edge);
    }
  }
}

function caret(peer, moving) {
  const span = document.createElement("span");
  span.className = `caret ${colourOf(peer.author)}`;
  if (!moving) span.classList.add("still");
  const flag = document.createElement("span");
  flag.className = "flag";
  flag.textContent = peer.author;
  span.append(flag);
  return span;
}
