import { chip, colourOf } from "../base/authors.js";

const element = (id) => document.getElementById(id);
const { name } = document.body.dataset;
const slider = element("slider");
const time = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const kinds = { undo: "undid", redo: "did again", restore: "restored a version" };
const mostShown = 500;

async function read(path) {
  const response = await fetch(`/texts/${encodeURIComponent(name)}/${path}`);
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

let groups = [];

// groupOf returns the place of the group that has a version, -1 if none has.
function groupOf(version) {
  let low = 0;
  let high = groups.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (groups[middle].last < version) low = middle + 1;
    else high = middle;
  }
  return version > 0 && low < groups.length ? low : -1;
}

function describe(version) {
  const head = Number(slider.max);
  const g = groups[groupOf(version)];
  if (!g) return `Version 0 of ${head}, before the first letter`;
  return `Version ${version} of ${head}, ${g.author}, ${time.format(g.end)}`;
}

// show shows a version: the last one asked for, when answers overtake each other.
let asked = 0;
async function show(version) {
  const mine = ++asked;
  slider.value = version;
  element("version").value = version;
  const what = describe(version);
  slider.setAttribute("aria-valuetext", what);
  element("earlier").disabled = version === 0;
  element("later").disabled = element("restore").disabled = version === Number(slider.max);
  mark(groupOf(version));
  let past;
  try {
    past = await read(`versions/${version}`);
  } catch (error) {
    if (mine === asked) element("what").textContent = error.message;
    return;
  }
  if (mine !== asked) return;
  element("what").textContent = what;
  const g = groups[groupOf(version)];
  const authors = new Map();
  const nodes = past.parts.map((part) => {
    const span = document.createElement("span");
    span.className = `part ${colourOf(part.author)}`;
    if (g && part.version >= g.first && part.author === g.author) span.classList.add("new");
    span.title = `${part.author}, ${time.format(part.time)}`;
    span.textContent = part.text;
    authors.set(part.author, (authors.get(part.author) ?? 0) + [...part.text].length);
    return span;
  });
  if (nodes.length === 0) {
    const none = document.createElement("span");
    none.className = "empty";
    none.textContent = "Nothing was written.";
    nodes.push(none);
  }
  element("text").replaceChildren(...nodes);
  element("text").dataset.version = version;
  const total = [...authors.values()].reduce((a, b) => a + b, 0);
  element("legend").replaceChildren(
    ...[...authors]
      .sort((a, b) => b[1] - a[1])
      .map(([author, n]) => {
        const item = document.createElement("li");
        item.append(chip(author, ` ${Math.round((100 * n) / total)} %`));
        return item;
      }),
  );
}

// mark shows in the list which group the version is of.
function mark(index) {
  for (const button of document.querySelectorAll("#groups button")) {
    if (Number(button.dataset.index) === index) {
      button.setAttribute("aria-current", "true");
      if (document.activeElement === slider) button.scrollIntoView({ block: "nearest" });
    } else {
      button.removeAttribute("aria-current");
    }
  }
}

function list() {
  const first = Math.max(0, groups.length - mostShown);
  const items = groups.slice(first).map((g, i) => {
    const button = document.createElement("button");
    button.className = colourOf(g.author);
    button.dataset.index = first + i;
    const strong = document.createElement("strong");
    strong.textContent = g.author;
    const small = document.createElement("small");
    const what = kinds[g.kind] ?? "wrote";
    small.textContent = `${what}: +${g.inserted} −${g.deleted}, ${time.format(g.end)}`;
    button.append(strong, small);
    button.addEventListener("click", () => show(g.last));
    const item = document.createElement("li");
    item.append(button);
    return item;
  });
  if (first > 0) {
    const more = document.createElement("li");
    more.className = "more";
    more.textContent = `${first} earlier ones are reached by the slider.`;
    items.unshift(more);
  }
  element("groups").replaceChildren(...items.reverse());
}

slider.addEventListener("input", () => show(Number(slider.value)));
element("earlier").addEventListener("click", () => {
  const i = groupOf(Number(slider.value));
  show(i > 0 ? groups[i - 1].last : 0);
});
element("later").addEventListener("click", () => {
  const version = Number(slider.value);
  const i = groupOf(version);
  const g = i < 0 ? groups[0] : groups[i].last > version ? groups[i] : groups[i + 1];
  show(g ? g.last : Number(slider.max));
});

try {
  groups = await read("groups");
  for (const g of groups) colourOf(g.author);
  const head = groups.at(-1)?.last ?? 0;
  slider.max = head;
  slider.disabled = head === 0;
  list();
  await show(head);
} catch (error) {
  element("what").textContent = error.message;
}
