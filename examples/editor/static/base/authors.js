// Authors have eight colours, given out by name; while there are no more than
// eight authors no two have the same.
const given = new Map();

export function colourOf(author) {
  let n = given.get(author);
  if (n === undefined) {
    n = [...author].reduce((hash, c) => (hash * 31 + c.codePointAt(0)) >>> 0, 7) % 8;
    const used = new Set(given.values());
    for (let tries = 0; used.has(n) && tries < 8; tries++) n = (n + 1) % 8;
    given.set(author, n);
  }
  return `author-${n}`;
}

// chip returns an element that names an author beside the author's colour.
export function chip(author, note = "") {
  const span = document.createElement("span");
  span.className = `chip ${colourOf(author)}`;
  span.textContent = author + note;
  return span;
}
