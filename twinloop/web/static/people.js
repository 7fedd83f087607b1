import { el, replace } from "./dom.js";

export async function people(host) {
  replace(host, el("h1", {}, "People"));
}
