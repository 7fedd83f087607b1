// The shell: which part is shown, by the address behind the #.

import { get } from "./api.js";
import { el, focused, refocus, replace, say, unsayProblem } from "./dom.js";
import { dataset } from "./dataset.js";
import { people } from "./people.js";
import { unasked } from "./pictures.js";
import { review } from "./review.js";
import { runs } from "./runs.js";

// A part is a function (host, query) that may return {close(), change(query)}: change() goes to another address of the part without drawing it anew, and says whether it could.
const PARTS = { people, dataset, review, runs };
let part = {};
let shows = 0;

function place() {
  const [path, query] = location.hash.replace(/^#\//, "").split("?");
  return { name: Object.hasOwn(PARTS, path) ? path : "runs", query: new URLSearchParams(query) };
}

async function show(event) {
  const turn = ++shows;
  const { name, query } = place();
  if (part.name === name && await part.change?.(query)) return;
  if (turn !== shows) return;
  const main = document.getElementById("main");
  const held = part.name === name ? focused(main) : null;
  part.close?.();
  part = {};
  for (const link of document.querySelectorAll("header nav a")) {
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const called = `${name[0].toUpperCase()}${name.slice(1)}`;
  const here = el("div", { class: `part ${name}` }, el("p", { class: "quiet loading" }, "Loading…")); // until the part draws itself
  unasked(main);
  replace(main, here);
  document.title = `${called} - Bootstrap Loop`;
  try {
    const made = (await PARTS[name](here, query)) ?? {};
    // The address may have changed while the part was loading: one that is not shown must not hear keys.
    if (turn !== shows) { made.close?.(); return; }
    part = { ...made, name };
    if (event) focus(here, held);
  } catch (error) {
    replace(here, el("h1", {}, called), el("p", { class: "problem", role: "alert" }, error.message));
  }
}

// The keyboard goes where it was, else to the name of the part; a part may have put it elsewhere itself.
function focus(here, held) {
  if (here.contains(document.activeElement) || refocus(here, held)) return;
  const heading = here.querySelector("h1");
  heading?.setAttribute("tabindex", "-1");
  heading?.focus();
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // its address is no part of the page
  document.getElementById("main").focus();
});
document.addEventListener("click", (event) => { if (event.target.closest("a[href]")) unsayProblem(); }); // on to something else
document.addEventListener("keydown", (event) => { if (event.key === "Escape") unsayProblem(); });
window.addEventListener("hashchange", show);
window.addEventListener("unhandledrejection", (event) => say(event.reason?.message ?? String(event.reason), true));
get("/api/overview").then((found) => { document.getElementById("home").textContent = found.home; });
show();
