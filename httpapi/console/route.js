// Where the page is: the browser's own address, which is all that says what is shown.

import { Store } from "./html.js";

export const place = new Store(location.pathname + location.search);

const moved = () => place.set(location.pathname + location.search);
window.addEventListener("popstate", moved);

// go moves to another address of the console.
export function go(to) {
  if (to !== place.value) history.pushState(null, "", to);
  moved();
  scrollTo(0, 0);
  // A part of a view may come into being only once the view is drawn.
  requestAnimationFrame(() => document.getElementById(location.hash.slice(1))?.scrollIntoView());
}

// setQuery changes parameters of the address; those that are empty go. It makes no new step
// to go back by.
export function setQuery(changes) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  history.replaceState(null, "", location.pathname + (query.size ? `?${query}` : ""));
  moved();
}

// A link to a view moves without loading the page anew.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const to = link.getAttribute("href");
  if (!isView(to) || link.target || link.hasAttribute("download")) return;
  event.preventDefault();
  go(to);
});

// What is the console's own, and not a file or another page of the node.
const isView = (to) => /^\/(?!(console|runbook|admin|metrics|openapi\.json)\b)/.test(to);
