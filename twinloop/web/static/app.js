// The shell: which part is shown, by the address behind the #.

import { get } from "./api.js";
import { el, replace, say } from "./dom.js";
import { dataset } from "./dataset.js";
import { people } from "./people.js";
import { review } from "./review.js";
import { runs } from "./runs.js";

const PARTS = { people, dataset, review, runs };
let leave = () => {};
let shows = 0;

function place() {
  const [path, query] = location.hash.replace(/^#\//, "").split("?");
  return { name: Object.hasOwn(PARTS, path) ? path : "runs", query: new URLSearchParams(query) };
}

async function show() {
  const turn = ++shows;
  leave();
  leave = () => {};
  const { name, query } = place();
  for (const link of document.querySelectorAll("header nav a")) {
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const main = document.getElementById("main");
  const here = el("div", { class: `part ${name}` });
  replace(main, here);
  document.title = `${name[0].toUpperCase()}${name.slice(1)} - Bootstrap Loop`;
  try {
    const left = (await PARTS[name](here, query)) || (() => {});
    // The address may have changed while the part was loading: one that is not shown must not hear keys.
    if (turn === shows) leave = left; else left();
  } catch (error) {
    replace(here, el("p", { class: "problem", role: "alert" }, error.message));
  }
}

window.addEventListener("hashchange", show);
window.addEventListener("unhandledrejection", (event) => say(event.reason?.message ?? String(event.reason), true));
get("/api/overview").then((found) => { document.getElementById("home").textContent = found.home; });
show();
