// Dataset: one person's photos with what was measured, duplicates, captions, readiness and wanted shares.

import { address, get, post } from "./api.js";
import { captions } from "./captions.js";
import { choice, el, plural, redraw, replace, say } from "./dom.js";
import { duplicates } from "./duplicates.js";
import { photos } from "./photos.js";
import { readiness } from "./readiness.js";
import { inVault } from "./vault.js";

// A view is a function (host, page) that may return {close(), update()}: update() takes new data over and keeps what is typed; without it the view is drawn anew.
const VIEWS = { photos: ["Photos", photos], duplicates: ["Duplicates", duplicates], captions: ["Captions", captions], readiness: ["Readiness and targets", readiness] };
const CONSENT = [["", "not recorded"], ["self", "the person themself"], ["written", "written consent"], ["licence", "licence"], ["fictional", "fictional character"]];

const shown = (all, chosen) => all.filter((person) => !person.hidden || person.id === chosen);

export const dataset = (host, query) => inVault(host, "Dataset", async (place) => {
  const all = (await get("/api/people")).people;
  const wanted = query.get("person") ?? all.find((person) => !person.hidden)?.id;
  if (!wanted) {
    replace(host, el("h1", {}, "Dataset"), el("p", {}, all.length ? "Everybody is hidden. See " : "No person is known yet. See ", el("a", { href: "#/people" }, "People"), "."));
    return { close: place.close };
  }
  const chosen = all.find((person) => person.id === wanted || person.name === wanted)?.id ?? wanted;
  const people = shown(all, chosen);
  const name = Object.hasOwn(VIEWS, query.get("view") ?? "") ? query.get("view") : "photos";
  const page = new Dataset(host, { place, people, chosen, name });
  await page.load();
  return { close: page.close };
});

class Dataset {
  constructor(host, parts) {
    Object.assign(this, parts, { host, view: {} });
    this.close = () => { this.view.close?.(); this.place.close(); };
    this.place.ended = async (job) => {
      if (job.command[2] === "cluster") this.people = shown((await get("/api/people")).people, this.chosen);
      await this.refresh();
    };
  }

  get query() { return { person: this.chosen }; }

  async ask() {
    [this.data, this.waiting] = await Promise.all([get("/api/dataset", this.query), get("/api/vault/behind", this.query)]);
  }

  // What no command has followed yet, beside the set that the button is about.
  notes() {
    const outside = this.waiting.sets.filter((set) => set.output);
    return [this.place.newFaces(this.waiting), ...outside.map((set) => el("p", { class: "note" }, this.place.older(set)))].filter(Boolean);
  }

  go(person, view) { location.hash = `#/dataset?${new URLSearchParams({ person, view })}`; }

  async load() {
    await this.ask();
    this.bar = el("div", { class: "bar" }, this.controls());
    this.behind = el("div", { class: "slot behind" }, this.notes());
    this.form = el("div", { class: "slot" }, this.data.label ? null : this.labelForm());
    this.body = el("div", { class: "view" });
    replace(this.host, this.bar, this.place.work.host, this.behind, this.form, this.body);
    await this.draw();
  }

  async draw() {
    const top = this.body.querySelector(".list")?.scrollTop ?? 0;
    this.view.close?.();
    this.view = {};
    this.view = (await VIEWS[this.name][1](this.body, this)) ?? {};
    const list = this.body.querySelector(".list");
    if (list) list.scrollTop = top;
  }

  // Something was decided, or a command has ended: what is typed and not saved stays.
  async refresh() {
    const labelled = Boolean(this.data.label);
    await this.ask();
    redraw(this.bar, this.controls());
    redraw(this.behind, this.notes());
    if (labelled !== Boolean(this.data.label)) replace(this.form, this.data.label ? null : this.labelForm());
    await (this.view.update ? this.view.update() : this.draw());
  }

  controls() {
    const names = this.people.map((person) => [person.id, (person.name ?? person.id) + (person.hidden ? " (hidden)" : "")]);
    const links = Object.entries(VIEWS).map(([name, [text]]) => el("a", { href: `#/dataset?${new URLSearchParams({ person: this.chosen, view: name })}`,
      "aria-current": name === this.name ? "page" : null }, text));
    return [el("h1", {}, "Dataset"), choice("Person", names, this.chosen, (person) => this.go(person, this.name)),
      el("nav", { class: "tabs", "aria-label": "Views of the dataset" }, links), this.summary(), this.buttons()];
  }

  summary() {
    const count = (state) => this.data.photos.filter((photo) => photo.state === state).length;
    const said = [`${count("kept")} kept`, `${count("dropped")} dropped`, `${count("left out")} left out`];
    return el("p", { class: "quiet" }, `${said.join(", ")}${this.data.readiness ? ` · ${this.data.readiness.grade}` : ""}${this.data.label ? ` · “${this.data.label.trigger}”` : ""}`);
  }

  buttons() {
    const { label, folder, captions: texts, chosen_since: chosen } = this.data;
    const newer = texts.filter((item) => item.newer).length;
    const changes = chosen ? "" : this.waiting.sets.find((set) => !set.output)?.changes; // a photo chosen otherwise is among them
    const behind = [newer ? `${plural(newer, "caption is", "captions are")} newer` : "", chosen ? `${plural(chosen, "photo is", "photos are")} chosen otherwise` : "", changes ? `${changes} would change` : ""].filter(Boolean);
    const prepare = folder ? `Prepare again${behind.length ? ` (${behind.join(", ")})` : ""}` : "Prepare the training set";
    const start = (what) => () => this.place.work.start(`/api/vault/${what}`, { person: this.chosen });
    const allowed = Boolean(label);
    return el("span", { class: "buttons" }, this.place.starter("Write captions", start("caption"), { allowed }),
      this.place.starter(prepare, start("prep"), { allowed, class: behind.length || !folder ? "primary" : "", title: folder ?? "" }), this.place.undo(() => this.refresh()));
  }

  labelForm() {
    const trigger = el("input", { type: "text", name: "trigger", required: true, placeholder: "ohwx alice", size: "18" });
    const word = el("input", { type: "text", name: "class_word", value: "person", size: "10" });
    const consent = el("select", { name: "consent" }, CONSENT.map(([value, text]) => el("option", { value }, text)));
    const submit = async (event) => {
      event.preventDefault();
      const made = await post("/api/dataset/label", { person: this.chosen, trigger: trigger.value, class_word: word.value, consent: consent.value || null });
      await this.refresh();
      say([`Prompts begin with '${made.prompt}'.`, ...made.warnings].join(" "));
    };
    return el("form", { class: "note bar", onsubmit: submit, "aria-label": "How the person is called in training" },
      el("label", {}, "Trigger ", trigger), el("label", {}, "Class word ", word), el("label", {}, "Consent ", consent),
      el("button", { class: "primary" }, "Save"), el("span", { class: "quiet" }, "A rare word that calls the person in prompts; captions begin with it."));
  }

  source(sha256, size) { return address("/api/vault/photo", { sha256, size }); }
}
