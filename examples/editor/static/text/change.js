// Changes of a text, as package collab has them and as they go over the wire:
// an array in which a positive number keeps so many UTF-16 code units, a negative
// one deletes so many, and a string is inserted. What is kept at the end is left out.

// A Builder makes a change in its normal form: steps of one kind joined, none
// empty, what is inserted before what is deleted, nothing kept at the end.
class Builder {
  ops = [];

  keep(n) {
    if (n <= 0) return;
    const last = this.ops.length - 1;
    if (this.ops[last] > 0) this.ops[last] += n;
    else this.ops.push(n);
  }

  delete(n) {
    if (n <= 0) return;
    const last = this.ops.length - 1;
    if (this.ops[last] < 0) this.ops[last] -= n;
    else this.ops.push(-n);
  }

  insert(s) {
    if (s === "") return;
    const deleted = this.ops.at(-1) < 0 ? this.ops.pop() : 0;
    const last = this.ops.length - 1;
    if (typeof this.ops[last] === "string") this.ops[last] += s;
    else this.ops.push(s);
    this.delete(-deleted);
  }

  change() {
    if (this.ops.at(-1) > 0) this.ops.pop();
    return this.ops;
  }
}

// A Cursor walks over the steps of a change, which it takes apart where the
// other change has a boundary. A change that has ended keeps for ever.
class Cursor {
  #ops;
  #index = 0;
  #done = 0;

  constructor(ops) {
    this.#ops = ops;
  }

  get ended() {
    return this.#index >= this.#ops.length;
  }

  // What is left of the step: its kind, length and, of an insert, text.
  head() {
    if (this.ended) return { kind: "keep", length: Infinity };
    const op = this.#ops[this.#index];
    if (typeof op === "string") {
      const text = op.slice(this.#done);
      return { kind: "insert", length: text.length, text };
    }
    return { kind: op > 0 ? "keep" : "delete", length: Math.abs(op) - this.#done };
  }

  take(n) {
    if (this.ended) return;
    const op = this.#ops[this.#index];
    this.#done += n;
    if (this.#done >= (typeof op === "string" ? op.length : Math.abs(op))) {
      this.#index++;
      this.#done = 0;
    }
  }
}

export function replace(at, n, s) {
  const b = new Builder();
  b.keep(at);
  b.insert(s);
  b.delete(n);
  return b.change();
}

export function apply(text, change) {
  let out = "";
  let at = 0;
  for (const op of change) {
    if (typeof op === "string") {
      out += op;
    } else if (op > 0) {
      out += text.slice(at, at + op);
      at += op;
    } else {
      at -= op;
    }
  }
  if (at > text.length) throw new RangeError(`position ${at} is beyond the text, which is ${text.length} long`);
  return out + text.slice(at);
}

// invert returns the change that undoes change, which is made for text.
export function invert(text, change) {
  const b = new Builder();
  let at = 0;
  for (const op of change) {
    if (typeof op === "string") {
      b.delete(op.length);
    } else if (op > 0) {
      b.keep(op);
      at += op;
    } else {
      b.insert(text.slice(at, at - op));
      at -= op;
    }
  }
  return b.change();
}

// transform turns two changes of one text, made without knowledge of each other,
// into what is to be done after the other one. Where both insert at one place,
// tie says whether what a inserts comes first.
export function transform(a, b, tie = true) {
  const outA = new Builder();
  const outB = new Builder();
  const curA = new Cursor(a);
  const curB = new Cursor(b);
  while (!curA.ended || !curB.ended) {
    const opA = curA.head();
    const opB = curB.head();
    if (opA.kind === "insert" && (tie || opB.kind !== "insert")) {
      outA.insert(opA.text);
      outB.keep(opA.length);
      curA.take(opA.length);
      continue;
    }
    if (opB.kind === "insert") {
      outA.keep(opB.length);
      outB.insert(opB.text);
      curB.take(opB.length);
      continue;
    }
    const n = Math.min(opA.length, opB.length);
    if (opA.kind === "keep" && opB.kind === "keep") {
      outA.keep(n);
      outB.keep(n);
    } else if (opB.kind === "keep") {
      outA.delete(n);
    } else if (opA.kind === "keep") {
      outB.delete(n);
    }
    curA.take(n);
    curB.take(n);
  }
  return [outA.change(), outB.change()];
}

// compose returns the one change that does what first and then next do.
export function compose(first, next) {
  const out = new Builder();
  const a = new Cursor(first);
  const b = new Cursor(next);
  while (!a.ended || !b.ended) {
    const opA = a.head();
    const opB = b.head();
    if (opA.kind === "delete") {
      out.delete(opA.length);
      a.take(opA.length);
      continue;
    }
    if (opB.kind === "insert") {
      out.insert(opB.text);
      b.take(opB.length);
      continue;
    }
    const n = Math.min(opA.length, opB.length);
    if (opA.kind === "insert") {
      if (opB.kind === "keep") out.insert(opA.text.slice(0, n));
    } else if (opB.kind === "keep") {
      out.keep(n);
    } else {
      out.delete(n);
    }
    a.take(n);
    b.take(n);
  }
  return out.change();
}

// split parts change into one that inserts at most so many code units, or one
// less where that would part a surrogate pair, and the rest, to be done after it.
export function split(change, most) {
  const b = new Builder();
  let at = 0; // in the text after the part
  for (const [i, op] of change.entries()) {
    if (typeof op !== "string" || op.length <= most) {
      add(b, op);
      at += typeof op === "string" ? op.length : Math.max(op, 0);
      if (typeof op === "string") most -= op.length;
      continue;
    }
    const cut = inPair(op, most) ? most - 1 : most;
    b.insert(op.slice(0, cut));
    const after = new Builder();
    after.keep(at + cut);
    after.insert(op.slice(cut));
    for (const rest of change.slice(i + 1)) add(after, rest);
    return [b.change(), after.change()];
  }
  return [change, []];
}

function add(builder, op) {
  if (typeof op === "string") builder.insert(op);
  else if (op > 0) builder.keep(op);
  else builder.delete(-op);
}

// inserted returns how many code units change inserts.
export function inserted(change) {
  return change.reduce((n, op) => n + (typeof op === "string" ? op.length : 0), 0);
}

// map returns where a position of the text before change is after it. What is
// inserted right there comes after the position, or with after before it.
export function map(change, position, after = false) {
  let at = 0;
  for (const op of change) {
    if (typeof op === "string") {
      if (position === 0 && !after) break;
      at += op.length;
    } else if (op < 0) {
      position -= Math.min(position, -op);
    } else if (op > position) {
      return at + position;
    } else {
      at += op;
      position -= op;
    }
  }
  return at + position;
}

// end returns the place right after the last thing that change does: where the
// caret of who did it stands.
export function end(change) {
  return change.reduce((at, op) => at + (typeof op === "string" ? op.length : Math.max(op, 0)), 0);
}

// diff returns the smallest single replacement that makes after of before. With
// caret, where the caret is in after, it is that which ends there, if there is
// a choice: in "aa" typed into "aaaa" the letters' places cannot be told otherwise.
export function diff(before, after, caret = after.length) {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  let tail = 0;
  const back = (most) => {
    while (tail < most && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
    if (inPair(before, before.length - tail) || inPair(after, after.length - tail)) tail--;
  };
  back(Math.min(shorter, after.length - caret));
  while (head < shorter - tail && before[head] === after[head]) head++;
  if (inPair(before, head) || inPair(after, head)) head--;
  back(shorter - head);
  return replace(head, before.length - tail - head, after.slice(head, after.length - tail));
}

// inPair reports whether a position is between the halves of a surrogate pair.
function inPair(s, at) {
  return at > 0 && at < s.length && s.codePointAt(at - 1) > 0xffff;
}
