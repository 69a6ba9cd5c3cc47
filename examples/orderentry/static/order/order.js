// Shows what others do as they do it. The table is rendered by the server; while
// something is being typed it is left alone, and the page says that there is more.

let position = Number(document.body.dataset.position);

const typing = () =>
  [...document.querySelectorAll("#order input[type=text]")].some((i) => i.value !== i.defaultValue);

async function refresh() {
  const response = await fetch("/");
  if (!response.ok) throw new Error(response.statusText); // follow tries again
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  position = Number(fresh.body.dataset.position);
  const said = document.getElementById("said");
  if (typing()) {
    said.hidden = false;
    said.className = "said note";
    said.textContent = "Others have changed the order. What you have typed is kept: save it to see the rest.";
    return;
  }
  const focused = document.activeElement;
  const place = focused?.closest("#order tr")?.id;
  const { name } = focused ?? {};
  for (const id of ["order", "actions"]) {
    document.getElementById(id)?.replaceChildren(...fresh.getElementById(id).childNodes);
  }
  if (place && name) document.querySelector(`#${place} input[name="${name}"]`)?.focus();
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// follow waits for changes at the server, which answers when there is one.
async function follow() {
  for (;;) {
    try {
      const response = await fetch(`/changed?after=${position}`);
      if (response.status === 200) await refresh();
      else if (response.status !== 204) await pause(2000);
    } catch {
      await pause(2000);
    }
  }
}

if (document.getElementById("order")) follow();
