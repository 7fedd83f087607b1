// Groups of duplicates: the kept photo first, each with its reason. Nothing is ever deleted.

import { post } from "./api.js";
import { el, number, once, replace, say } from "./dom.js";

export function duplicates(host, page) {
  const groups = page.data.duplicates;
  if (groups === null) {
    replace(host, el("p", {}, "Nobody has looked for duplicates yet."),
      el("p", {}, page.place.starter("Look for duplicates", () => page.place.work.start("/api/vault/dedup"), { class: "primary" }), " or: ", el("code", {}, "twinloop vault dedup")));
    return;
  }
  const shown = groups.map((group, index) => section(group, index, page));
  replace(host, el("div", { class: "list groups" }, shown.length ? shown : el("p", {}, "No duplicates among these photos.")));
}

function section(group, index, page) {
  const photos = new Map(group.files.map((file) => [file.sha256, file]));
  const distinct = async () => {
    await post("/api/dataset/duplicates/distinct", { files: [...photos.values()].map((file) => file.path) });
    await page.refresh();
    say("They are no duplicates from now on.");
  };
  return el("section", { class: "group", "aria-label": `Group ${index + 1}: ${group.reason}` },
    el("h2", {}, group.reason),
    el("div", { class: "row" }, group.files.map((file) => one(file, group, page))),
    photos.size > 1 ? el("p", {}, el("button", { onclick: once(distinct) }, "These are no duplicates")) : null);
}

function one(file, group, page) {
  const name = file.path.split("/").at(-1);
  const keep = async () => {
    await post("/api/dataset/duplicates/keep", { file: file.path });
    await page.refresh();
    say(`${name} is kept from now on.`);
  };
  const another = !file.kept && file.instead !== file.sha256;
  const score = [`${file.score.width} × ${file.score.height}`, file.score.face_sharpness === null ? null : `face sharpness ${number(file.score.face_sharpness, 0)}`].filter(Boolean);
  return el("figure", { class: file.kept ? "kept" : "dropped" },
    el("img", { src: page.source(file.sha256), alt: "", loading: "lazy", width: "150", height: "150" }),
    el("figcaption", {}, el("strong", { class: `said ${file.kept ? "approved" : "unsure"}` }, file.kept ? "kept" : "dropped"), ` ${name}`,
      el("span", {}, file.reason), el("span", {}, score.join(", "))),
    another ? el("button", { onclick: once(keep), "aria-label": `Keep ${name} instead` }, "Keep this one instead") : null);
}
