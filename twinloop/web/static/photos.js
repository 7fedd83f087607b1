// The photos of a person: kept, dropped for a better copy, or left out, each with the reason and with what was measured.

import { choice, el, number, replace, title } from "./dom.js";
import { Grid } from "./grid.js";

const STATES = { kept: "approved", dropped: "unsure", "left out": "rejected" };

export function photos(host, page) {
  const all = page.data.photos;
  const filter = { state: "", facet: "" };
  const count = el("span", { class: "quiet" });
  const detail = el("section", { class: "detail", "aria-label": "Selected photo" });
  const gallery = el("div", { class: "gallery" });
  const values = [...new Set(all.flatMap((photo) => Object.entries(photo.facets).flatMap(([facet, found]) => found.map((value) => `${facet}: ${value}`))))].sort();
  const set = (name) => (value) => { filter[name] = value; apply(); };
  replace(host, el("div", { class: "bar" },
    choice("Show", [["", "all photos"], ["kept", "kept"], ["dropped", "dropped as copies"], ["left out", "left out"]], "", set("state")),
    choice("With", [["", "anything"], ...values.map((value) => [value, title(value)])], "", set("facet")), count),
  el("div", { class: "split" }, gallery, detail));
  const grid = new Grid(gallery, { label: "Photos", onmove: look, tile: (photo) => ({
    image: page.source(photo.sha256), text: photo.state === "kept" ? photo.name : `${photo.state}: ${photo.name}`, state: STATES[photo.state],
    label: `${photo.name}, ${photo.state}${photo.reason ? `: ${photo.reason}` : ""}` }) });

  function apply() {
    const shown = all.filter((photo) => (!filter.state || photo.state === filter.state)
      && (!filter.facet || Object.entries(photo.facets).some(([facet, found]) => found.some((value) => `${facet}: ${value}` === filter.facet))));
    count.textContent = `${shown.length} of ${all.length} photos`;
    grid.set(shown);
    if (!shown.length) replace(detail, el("p", { class: "quiet" }, "No photo fits this choice."));
  }

  function look(photo) {
    const caption = page.data.captions.find((item) => item.sha256 === photo.sha256);
    replace(detail,
      el("div", { class: "pictures" }, el("figure", {}, el("img", { src: page.source(photo.sha256, 1280), alt: photo.name }), el("figcaption", {}, photo.path))),
      el("p", { class: `said ${STATES[photo.state]}` }, photo.state), photo.reason ? el("p", {}, photo.reason) : null,
      photo.notes.map((note) => el("p", { class: "quiet" }, note)), measured(photo), caption ? el("p", {}, el("strong", {}, "Caption: "), caption.text) : null);
  }

  apply();
  return { close: () => grid.close() };
}

function measured(photo) {
  const turned = photo.numbers.yaw;
  const rows = [
    ...Object.entries(photo.facets).map(([facet, values]) => [title(facet), values.length ? values.map(title).join(", ") : "none of them"]),
    ...photo.unmeasured.map((what) => [title(what), "not measured in the scan"]),
    ["photo", `${photo.width} × ${photo.height} pixels${photo.origin === "real" ? "" : ", made by a model"}`],
    ["face", photo.numbers.face === undefined ? "–" : `${Math.round(photo.numbers.face)} pixels high`],
    ["head turned", turned === undefined ? "not measured" : Math.abs(turned) < 1 ? "not at all" : `${Math.abs(Math.round(turned))}° to the ${turned > 0 ? "right" : "left"}`],
    ["face sharpness", number(photo.numbers.sharpness, 0)], ["trust in the face", number(photo.numbers.quality, 2)],
    ["taken", photo.taken === null ? "the camera does not say" : new Date(photo.taken * 1000).toISOString().slice(0, 16).replace("T", " ")],
  ];
  return el("table", { class: "checks" }, el("caption", { class: "hidden" }, "What was measured"),
    el("tbody", {}, rows.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)))));
}
