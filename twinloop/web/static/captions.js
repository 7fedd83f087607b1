// Captions: read, edit one where it stands, or change many at once after a look at what would come out.

import { address, post } from "./api.js";
import { choice, el, replace, say } from "./dom.js";

const STEP = 100; // rows are drawn as they come into sight: thousands at once would hold the page up
const KINDS = [["add", "add words"], ["remove", "remove words"], ["replace", "replace text"]];

export function captions(host, page) {
  if (!page.data.captions.length) {
    replace(host, el("p", {}, "There are no captions yet. ", page.data.label ? "Write captions (above), or: " : "Say first how the person is called (above), or: ",
      el("code", {}, `twinloop vault caption ${page.chosen}`)));
    return undefined;
  }
  const table = new Captions(host, page);
  table.draw();
  return () => table.sight.disconnect();
}

class Captions {
  constructor(host, page) {
    Object.assign(this, { host, page, items: page.data.captions, marked: new Set(), last: -1, rows: new Map() });
    this.shown = new Set(this.items.keys());
    this.change = { kind: "add", words: "", by: "" };
  }

  draw() {
    this.body = el("tbody", {});
    this.more = el("p", { class: "quiet" });
    this.count = el("strong", { role: "status" });
    this.all = el("input", { type: "checkbox", "aria-label": "Mark all captions", onchange: (event) => this.markAll(event.target.checked) });
    const list = el("div", { class: "list" }, el("table", { class: "captions", "aria-rowcount": String(this.items.length + 1) },
      el("caption", { class: "hidden" }, "Captions"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, this.all), el("th", { scope: "col" }, "photo"), el("th", { scope: "col" }, "caption"), el("th", { scope: "col" }, ""))),
      this.body), this.more);
    replace(this.host, this.audit(), this.form(), list);
    this.sight = new IntersectionObserver((found) => { if (found.some((item) => item.isIntersecting)) this.extend(); }, { root: list, rootMargin: "800px" });
    this.extend(this.page.captionRows ?? STEP); // as many as before an edit
    this.tell();
  }

  extend(count = STEP) {
    const drawn = this.body.childElementCount;
    this.body.append(...[...this.shown].slice(drawn, drawn + count).map((index) => this.rowAt(index)));
    this.page.captionRows = Math.max(STEP, this.body.childElementCount);
    const left = this.shown.size - this.body.childElementCount;
    this.more.textContent = left ? `${left} more below` : "";
    this.sight.unobserve(this.more);
    if (left) this.sight.observe(this.more);
  }

  rowAt(index) {
    if (!this.rows.has(index)) this.rows.set(index, this.row(this.items[index], index));
    return this.rows.get(index);
  }

  audit() {
    const found = this.page.data.audit;
    if (!found.length) return null;
    const ask = (words) => () => { this.set("remove", words); this.markAll(true); this.fields.words.focus(); };
    return el("details", { class: "note", open: true }, el("summary", {}, `${found.length} ${found.length > 1 ? "words are" : "word is"} in nearly every caption`),
      el("ul", {}, found.map((item) => el("li", {}, item.text, " ", el("button", { onclick: ask(item.words) }, "Remove…")))));
  }

  form() {
    const filter = el("input", { type: "search", size: "14", "aria-label": "Show captions with these words", placeholder: "show those with…", oninput: (event) => this.filter(event.target.value) });
    const by = el("input", { type: "text", size: "16", oninput: (event) => { this.change.by = event.target.value; } });
    const words = el("input", { type: "text", size: "20", oninput: (event) => { this.change.words = event.target.value; } });
    const replacement = el("label", { hidden: true }, "by ", by);
    const kind = choice("Change", KINDS, this.change.kind, (value) => this.set(value, this.change.words));
    this.fields = { words, by, replacement, kind: kind.querySelector("select") };
    this.preview = el("button", { class: "primary" }, "Preview…");
    return el("form", { class: "bar", "aria-label": "Change the marked captions", onsubmit: (event) => { event.preventDefault(); this.look(); } },
      filter, this.count, kind, el("label", {}, "words ", words), replacement, this.preview);
  }

  set(kind, words) {
    this.change.kind = this.fields.kind.value = kind;
    this.change.words = this.fields.words.value = words;
    this.fields.replacement.hidden = kind !== "replace";
  }

  row(item, index) {
    const box = el("input", { type: "checkbox", checked: this.marked.has(item.sha256), "aria-label": `Mark the caption of ${item.name}`, onclick: (event) => this.mark(index, event.target.checked, event.shiftKey) });
    const place = el("td", { class: "text" });
    const image = el("img", { src: this.page.source(item.sha256), alt: item.name, width: "64", height: "64", loading: "lazy" });
    if (item.picture) {
      image.addEventListener("error", () => { image.src = this.page.source(item.sha256); }, { once: true }); // one that the user changed
      image.src = address("/api/dataset/picture", { person: this.page.chosen, sha256: item.picture });
    }
    const button = el("button", { "aria-label": `Edit the caption of ${item.name}`, onclick: () => this.edit(item, place, button) }, "Edit");
    replace(place, this.text(item));
    return el("tr", { "data-photo": item.sha256, "aria-rowindex": String(index + 2) }, el("td", {}, box), el("td", {}, image), place, el("td", {}, button));
  }

  text(item) {
    const note = item.waiting ? "taken back: the measured caption comes with the next run" : item.edited ? "yours" : "";
    return [el("span", {}, item.text), note ? el("span", { class: "quiet" }, ` (${note})`) : null];
  }

  edit(item, place, button) {
    const area = el("textarea", { rows: "3", "aria-label": `Caption of ${item.name}` });
    area.value = item.text;
    const back = () => { replace(place, this.text(item)); button.focus(); };
    const save = () => this.write({ [item.sha256]: { before: item.text, after: area.value } }, `The caption of ${item.name} is yours now.`);
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") back();
      else if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); save(); }
    });
    replace(place, area, el("p", { class: "buttons" }, el("button", { class: "primary", onclick: save }, "Save (Enter)"), el("button", { onclick: back }, "Cancel (Esc)"),
      item.edited ? el("button", { onclick: () => { area.value = ""; save(); } }, "Back to the measured one") : null));
    area.focus();
  }

  // With Shift: all between the one marked last and this one.
  mark(index, on, range) {
    const from = range && this.last >= 0 ? Math.min(this.last, index) : index;
    const to = range && this.last >= 0 ? Math.max(this.last, index) : index;
    for (let place = from; place <= to; place++) this.tick(place, on);
    this.last = index;
    this.tell();
  }

  markAll(on) {
    for (const index of this.items.keys()) this.tick(index, on);
    this.tell();
  }

  tick(index, on) {
    if (!this.shown.has(index)) return;
    const row = this.rows.get(index);
    if (row) row.querySelector("input[type=checkbox]").checked = on;
    if (on) this.marked.add(this.items[index].sha256); else this.marked.delete(this.items[index].sha256);
  }

  // Captions that are not shown are not marked either.
  filter(words) {
    const wanted = words.trim().toLowerCase();
    const fits = [...this.items.keys()].filter((index) => this.items[index].text.toLowerCase().includes(wanted));
    for (const index of this.shown) if (!this.items[index].text.toLowerCase().includes(wanted)) this.tick(index, false);
    this.shown = new Set(fits);
    replace(this.body);
    this.extend();
    this.tell();
  }

  tell() {
    const shown = this.shown.size;
    this.count.textContent = `${this.marked.size} of ${shown} marked`;
    this.preview.disabled = !this.marked.size;
    this.all.checked = shown > 0 && this.marked.size === shown;
    this.all.indeterminate = this.marked.size > 0 && !this.all.checked;
  }

  async look() {
    const photos = this.items.filter((item) => this.marked.has(item.sha256)).map((item) => item.sha256);
    const found = await post("/api/dataset/captions/preview", { person: this.page.chosen, photos, ...this.change });
    if (!found.length) { say("Nothing would change: the captions are like that already."); return; }
    const names = new Map(this.items.map((item) => [item.sha256, item.name]));
    const dialog = el("dialog", { "aria-label": "What would come out", onclose: () => dialog.remove() });
    const apply = async () => {
      const edits = Object.fromEntries(found.map((item) => [item.sha256, { before: item.before, after: item.after }]));
      dialog.close();
      await this.write(edits, `${found.length} captions are yours now. Undo takes all of them back.`);
    };
    dialog.append(el("h2", {}, `${found.length} of ${photos.length} captions would change`),
      el("ul", { class: "preview", tabindex: "0" }, found.map((item) => el("li", {}, el("strong", {}, names.get(item.sha256)), el("p", {}, difference(item.before, item.after))))),
      el("p", { class: "buttons" }, el("button", { class: "primary", autofocus: true, onclick: apply }, `Apply to ${found.length} captions`), el("button", { onclick: () => dialog.close() }, "Cancel")));
    this.host.append(dialog);
    dialog.showModal();
  }

  async write(edits, told) {
    const problem = await post("/api/dataset/captions", { person: this.page.chosen, edits }).then(() => null, (error) => error.message);
    await this.page.load();
    say(problem ?? told, Boolean(problem));
    const [first, more] = Object.keys(edits);
    this.page.body.querySelector(more ? ".captions thead input" : `tr[data-photo="${first}"] td:last-child button`)?.focus();
  }
}

// The caption with what goes struck out and what comes underlined: the part between what both have in common at their ends.
function difference(before, after) {
  let start = 0;
  while (start < before.length && before[start] === after[start]) start++;
  let end = 0;
  while (end < Math.min(before.length, after.length) - start && before.at(-1 - end) === after.at(-1 - end)) end++;
  const gone = before.slice(start, before.length - end);
  const come = after.slice(start, after.length - end);
  return [before.slice(0, start), gone ? el("del", {}, gone) : null, come ? el("ins", {}, come) : null, before.slice(before.length - end)];
}
