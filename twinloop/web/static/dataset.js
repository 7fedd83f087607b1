import { el, replace } from "./dom.js";

export async function dataset(host) {
  replace(host, el("h1", {}, "Dataset"));
}
