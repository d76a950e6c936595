// What works without a script works better with this one: parts of a page that stay current, and buttons that copy.
"use strict";

// Every element with data-live is replaced, in place, by the element of the same id of the page as it is now.
const SECONDS = 5;
let failures = 0;

async function refresh() {
  if (document.hidden || document.querySelector("details.ask[open], [data-live] :focus-visible")) return;
  const answer = await fetch(location.href, { headers: { "x-live": "1" }, redirect: "manual", credentials: "same-origin" });
  if (answer.status === 401 || answer.type === "opaqueredirect") { location.reload(); return; }
  if (!answer.ok) throw new Error(answer.statusText);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(part.id);
    if (!now || now.innerHTML === part.innerHTML) continue;
    const open = [...part.querySelectorAll("details")].map((each) => each.open);
    part.replaceChildren(...now.childNodes);
    part.querySelectorAll("details").forEach((each, index) => { each.open = open[index] ?? each.open; });
  }
}

async function keepCurrent() {
  const note = document.getElementById("stale");
  try {
    await refresh();
    failures = 0;
  } catch {
    failures += 1;
  }
  if (note) note.hidden = failures < 2;
  setTimeout(keepCurrent, SECONDS * 1000 * Math.min(1 + failures, 6));
}

if (document.querySelector("[data-live]")) setTimeout(keepCurrent, SECONDS * 1000);

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "copied";
    } catch {
      button.textContent = "cannot copy";
    }
    setTimeout(() => { button.textContent = before; }, 1500);
  });
}
