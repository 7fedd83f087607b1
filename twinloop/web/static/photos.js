// The photos of a person: kept, dropped for a better copy, or left out, each with the reason and with what was measured. L leaves one out, T takes it in, Delete leaves it to prep.

import { post } from "./api.js";
import { choice, el, number, replace, say, title } from "./dom.js";
import { Grid, named } from "./grid.js";
import { looked, unasked } from "./pictures.js";

const STATES = { kept: "approved", dropped: "unsure", "left out": "rejected" };
const SAID = { exclude: "left out by hand", include: "taken in by hand", automatic: "chosen automatically" };
const KEYS = { l: "exclude", t: "include", delete: "automatic", backspace: "automatic" };

export function photos(host, page) {
  const view = new Photos(host, page);
  return { close: () => view.grid.close(), update: () => view.update() };
}

const facetValues = (all) => [...new Set(all.flatMap((photo) => Object.entries(photo.facets).flatMap(([facet, found]) => found.map((value) => `${facet}: ${value}`))))].sort();

class Photos {
  constructor(host, page) {
    Object.assign(this, { page, filter: { state: "", facet: "" }, sending: Promise.resolve(), values: facetValues(page.data.photos) });
    this.count = el("span", { class: "quiet" });
    this.detail = el("section", { class: "detail", "aria-label": "Selected photo" });
    const gallery = el("div", { class: "gallery" });
    const set = (name) => (value) => { this.filter[name] = value; this.apply(); };
    replace(host, el("div", { class: "bar" },
      choice("Show", [["", "all photos"], ["kept", "kept"], ["dropped", "dropped as copies"], ["left out", "left out"], ["by hand", "chosen by hand"]], "", set("state")),
      choice("With", [["", "anything"], ...this.values.map((value) => [value, title(value)])], "", set("facet")), this.count),
    el("div", { class: "split", onkeydown: (event) => this.key(event) }, gallery, this.detail));
    this.grid = new Grid(gallery, { label: "Photos", tile: (photo) => this.tile(photo), onmove: (photo) => this.look(photo) });
    this.apply();
  }

  tile(photo) {
    const taken = photo.by_hand === "include" ? `, ${SAID.include}` : "";
    return { image: this.page.source(photo.sha256), ...named(photo.name, photo.state === "kept" ? "" : `${photo.state}: `), state: STATES[photo.state],
      label: `${photo.name}, ${photo.state}${photo.reason ? `: ${photo.reason}` : ""}${taken}` };
  }

  shows(photo) {
    const { state, facet } = this.filter;
    return (!state || (state === "by hand" ? photo.by_hand !== "automatic" : photo.state === state))
      && (!facet || Object.entries(photo.facets).some(([name, found]) => found.some((value) => `${name}: ${value}` === facet)));
  }

  apply(active = 0) {
    const all = this.page.data.photos;
    const shown = all.filter((photo) => this.shows(photo));
    this.count.textContent = `${shown.length} of ${all.length} photos`;
    this.photo = null; // where none is shown, nothing can be said of one
    this.grid.set(shown, active);
    if (!shown.length) replace(this.detail, el("p", { class: "quiet" }, "No photo fits this choice."));
  }

  // Photos as they are now: the filter stays, and the photo that is looked at; where it is not shown any more, the next one.
  update() {
    if (facetValues(this.page.data.photos).join() !== this.values.join()) return this.page.draw();
    const { photo, grid } = this;
    const held = this.detail.contains(document.activeElement);
    const place = this.page.data.photos.filter((item) => this.shows(item)).findIndex((item) => item.sha256 === photo?.sha256);
    this.apply(place >= 0 ? place : grid.active);
    if (held) grid.list.focus(); // the button that had the keyboard was drawn anew
    return undefined;
  }

  look(photo) {
    this.photo = photo;
    const caption = this.page.data.captions.find((item) => item.sha256 === photo.sha256);
    unasked(this.detail);
    replace(this.detail,
      el("div", { class: "pictures" }, el("figure", {}, looked({ src: this.page.source(photo.sha256, 1280), alt: photo.name }), el("figcaption", {}, photo.path))),
      el("p", { class: `said ${STATES[photo.state]}` }, photo.by_hand === "include" ? `${photo.state}, ${SAID.include}` : photo.state), photo.reason ? el("p", {}, photo.reason) : null,
      this.buttons(photo),
      photo.notes.map((note) => el("p", { class: "quiet" }, note)), measured(photo), caption ? el("p", {}, el("strong", {}, "Caption: "), caption.text) : null);
  }

  buttons(photo) {
    const button = (text, kind, key) => el("button", { disabled: photo.by_hand === kind, "aria-keyshortcuts": key, onclick: () => this.decide(kind) }, `${text} (${key})`);
    return el("p", { class: "buttons" }, button("Leave out", "exclude", "L"), button("Take in", "include", "T"), button("Automatic", "automatic", "Delete"));
  }

  key(event) {
    const kind = KEYS[event.key.toLowerCase()];
    if (!kind || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (!event.repeat) this.decide(kind);
  }

  // One after the other: what is said of one photo must arrive in the order it was said.
  decide(kind) {
    const { photo } = this;
    if (!photo) return undefined;
    this.sending = this.sending.catch(() => {}).then(() => this.send(photo, kind));
    return this.sending;
  }

  async send({ sha256, name }, kind) {
    const now = this.page.data.photos.find((item) => item.sha256 === sha256);
    if (!now || now.by_hand === kind) return;
    const made = await post("/api/dataset/photos", { person: this.page.chosen, photos: [sha256], kind });
    await this.page.refresh();
    const still = made.left_out.map((item) => ` It is left out all the same: ${item.reason}`).join("");
    say(`${name} is ${SAID[kind]} from now on.${still}`);
  }
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
