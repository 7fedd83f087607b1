// Dataset: one person's photos with what was measured, duplicates, captions, readiness and wanted shares.

import { address, get, post } from "./api.js";
import { captions } from "./captions.js";
import { choice, el, replace, say } from "./dom.js";
import { duplicates } from "./duplicates.js";
import { photos } from "./photos.js";
import { working } from "./progress.js";
import { readiness } from "./readiness.js";
import { openVault } from "./vault.js";

const VIEWS = { photos: ["Photos", photos], duplicates: ["Duplicates", duplicates], captions: ["Captions", captions], readiness: ["Readiness and targets", readiness] };
const CONSENT = [["", "not recorded"], ["self", "the person themself"], ["written", "written consent"], ["licence", "licence"], ["fictional", "fictional character"]];

export async function dataset(host, query) {
  const place = await openVault(host, "Dataset");
  if (!place.ready) return place.close;
  const people = (await get("/api/people")).people.filter((person) => !person.hidden);
  if (!people.length) {
    replace(host, el("h1", {}, "Dataset"), el("p", {}, "No person is known yet. See ", el("a", { href: "#/people" }, "People"), "."));
    return place.close;
  }
  const chosen = query.get("person") ?? people[0].id;
  const view = query.get("view") in VIEWS ? query.get("view") : "photos";
  const page = new Dataset(host, { place, people, chosen, view });
  await page.load();
  return page.close;
}

class Dataset {
  constructor(host, parts) {
    Object.assign(this, parts, { host });
    this.leave = () => {};
    this.close = () => { this.leave(); this.place.close(); };
    this.place.ended = () => this.load();
  }

  get query() { return { person: this.chosen }; }

  go(person, view) { location.hash = `#/dataset?${new URLSearchParams({ person, view })}`; }

  async load() {
    this.data = await get("/api/dataset", this.query);
    const top = this.body?.querySelector(".list")?.scrollTop ?? 0;
    this.leave();
    this.body = el("div", { class: "view" });
    replace(this.host, this.bar(), this.place.work.host, this.data.label ? null : this.labelForm(), this.body);
    this.leave = (await VIEWS[this.view][1](this.body, this)) || (() => {});
    const list = this.body.querySelector(".list");
    if (list) list.scrollTop = top;
  }

  bar() {
    const names = this.people.map((person) => [person.id, person.name ?? person.id]);
    const links = Object.entries(VIEWS).map(([name, [text]]) => el("a", { href: `#/dataset?${new URLSearchParams({ person: this.chosen, view: name })}`,
      "aria-current": name === this.view ? "page" : null }, text));
    return el("div", { class: "bar" }, el("h1", {}, "Dataset"), choice("Person", names, this.chosen, (person) => this.go(person, this.view)),
      el("nav", { class: "tabs", "aria-label": "Views of the dataset" }, links), this.summary(), this.buttons());
  }

  summary() {
    const count = (state) => this.data.photos.filter((photo) => photo.state === state).length;
    const said = [`${count("kept")} kept`, `${count("dropped")} dropped`, `${count("left out")} left out`];
    return el("p", { class: "quiet" }, `${said.join(", ")}${this.data.readiness ? ` · ${this.data.readiness.grade}` : ""}${this.data.label ? ` · “${this.data.label.trigger}”` : ""}`);
  }

  buttons() {
    const busy = working(this.place.work.job);
    const newer = this.data.captions.filter((item) => item.newer).length;
    const start = (what) => () => this.start(what);
    return el("span", { class: "buttons" },
      el("button", { onclick: start("caption"), disabled: busy || !this.data.label }, "Write captions"),
      el("button", { class: newer || !this.data.folder ? "primary" : "", onclick: start("prep"), disabled: busy || !this.data.label,
        title: this.data.folder ?? "" }, this.data.folder ? (newer ? `Prepare again (${newer} captions are newer)` : "Prepare again") : "Prepare the training set"),
      this.place.undo(() => this.load()));
  }

  async start(what) {
    await this.place.work.start(`/api/vault/${what}`, { person: this.chosen });
    await this.load();
  }

  labelForm() {
    const trigger = el("input", { type: "text", name: "trigger", required: true, placeholder: "ohwx alice", size: "18" });
    const word = el("input", { type: "text", name: "class_word", value: "person", size: "10" });
    const consent = el("select", { name: "consent" }, CONSENT.map(([value, text]) => el("option", { value }, text)));
    const submit = async (event) => {
      event.preventDefault();
      const made = await post("/api/dataset/label", { person: this.chosen, trigger: trigger.value, class_word: word.value, consent: consent.value || null });
      await this.load();
      say([`Prompts begin with '${made.prompt}'.`, ...made.warnings].join(" "));
    };
    return el("form", { class: "note bar", onsubmit: submit, "aria-label": "How the person is called in training" },
      el("label", {}, "Trigger ", trigger), el("label", {}, "Class word ", word), el("label", {}, "Consent ", consent),
      el("button", { class: "primary" }, "Save"), el("span", { class: "quiet" }, "A rare word that calls the person in prompts; captions begin with it."));
  }

  source(sha256, size) { return address("/api/vault/photo", { sha256, size }); }
}
