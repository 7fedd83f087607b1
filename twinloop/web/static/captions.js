// Captions: read, edit one where it stands, or change many at once after a look at what would come out.

import { address, post } from "./api.js";
import { choice, el, replace, say } from "./dom.js";
import { Editor } from "./editor.js";

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
  return { close: () => table.sight.disconnect(), update: () => (page.data.captions.length ? table.update() : page.draw()) };
}

// Photos are named by their sha256; rows: those drawn so far; editors: those open.
class Captions {
  constructor(host, page) {
    Object.assign(this, { host, page, marked: new Set(), last: -1, rows: new Map(), editors: new Map(), wanted: "" });
    this.change = { kind: "add", words: "", by: "" };
    this.take(page.data.captions);
    this.shown = new Set(this.items.keys());
  }

  take(items) {
    this.items = new Map(items.map((item) => [item.sha256, item]));
    this.order = [...this.items.keys()];
  }

  draw() {
    this.body = el("tbody", {});
    this.more = el("p", { class: "quiet" });
    this.count = el("strong", { role: "status" });
    this.all = el("input", { type: "checkbox", "aria-label": "Mark all captions", onchange: (event) => this.markAll(event.target.checked) });
    this.table = el("table", { class: "captions" }, el("caption", { class: "hidden" }, "Captions"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, this.all), el("th", { scope: "col" }, "photo"), el("th", { scope: "col" }, "caption"), el("th", { scope: "col" }, el("span", { class: "hidden" }, "edit")))), this.body);
    const list = el("div", { class: "list long" }, this.table, this.more);
    this.common = el("div", { class: "slot" });
    this.audit();
    replace(this.host, this.common, this.form(), list);
    this.sight = new IntersectionObserver((found) => { if (found.some((item) => item.isIntersecting)) this.extend(); }, { root: list, rootMargin: "800px" });
    this.fill();
  }

  // The rows that are shown, from the top; those that were drawn before are the same ones, with what is typed in them.
  fill(count = STEP) {
    const held = this.body.contains(document.activeElement) ? document.activeElement : null;
    replace(this.body);
    this.table.setAttribute("aria-rowcount", String(this.shown.size + 1));
    this.extend(count);
    held?.focus();
    this.tell();
  }

  extend(count = STEP) {
    const drawn = this.body.childElementCount;
    const rows = [...this.shown].slice(drawn, drawn + count).map((sha256) => this.row(sha256));
    rows.forEach((row, place) => row.setAttribute("aria-rowindex", String(drawn + place + 2)));
    this.body.append(...rows);
    const left = this.shown.size - this.body.childElementCount;
    this.more.textContent = left ? `${left} more below` : "";
    this.sight.unobserve(this.more);
    if (left) this.sight.observe(this.more);
  }

  // The captions as they are now. What is marked, looked for or typed stays.
  update() {
    const before = this.items;
    this.take(this.page.data.captions);
    for (const sha256 of before.keys()) if (!this.items.has(sha256)) { this.rows.delete(sha256); this.editors.delete(sha256); }
    for (const [sha256, item] of this.items) if (JSON.stringify(before.get(sha256)) !== JSON.stringify(item)) this.renew(sha256);
    this.marked = new Set(this.order.filter((sha256) => this.marked.has(sha256)));
    const shown = this.order.filter((sha256) => (before.has(sha256) ? this.shown.has(sha256) : this.fits(sha256)));
    const drawn = [...this.body.children].map((row) => row.dataset.photo);
    this.shown = new Set(shown);
    if (drawn.some((sha256, place) => shown[place] !== sha256)) this.fill(Math.max(STEP, drawn.length));
    else this.extend(0);
    if (this.common.dataset.found !== JSON.stringify(this.page.data.audit)) this.audit();
    this.tell();
  }

  audit() {
    const found = this.page.data.audit;
    this.common.dataset.found = JSON.stringify(found);
    const ask = (words) => () => { this.set("remove", words); this.markAll(true); this.fields.words.focus(); };
    replace(this.common, found.length ? el("details", { class: "note", open: true }, el("summary", {}, `${found.length} ${found.length > 1 ? "words are" : "word is"} in nearly every caption`),
      el("ul", {}, found.map((item) => el("li", {}, item.text, " ", el("button", { onclick: ask(item.words) }, "Remove…"))))) : null);
  }

  form() {
    const filter = el("input", { type: "search", size: "14", "aria-label": "Show captions with these words", placeholder: "show those with…", oninput: (event) => this.filter(event.target.value) });
    const by = el("input", { type: "text", size: "16", oninput: (event) => { this.change.by = event.target.value; } });
    const words = el("input", { type: "text", size: "20", oninput: (event) => { this.change.words = event.target.value; } });
    const replacement = el("label", { hidden: true }, "by ", by);
    const kind = choice("Change", KINDS, this.change.kind, (value) => this.set(value, this.change.words));
    this.fields = { words, by, replacement, kind: kind.querySelector("select") };
    this.preview = el("button", { class: "primary" }, "Preview…");
    return el("form", { class: "bar", "aria-label": "Change the marked captions", onsubmit: (event) => { event.preventDefault(); this.propose(); } },
      filter, this.count, kind, el("label", {}, "words ", words), replacement, this.preview);
  }

  set(kind, words) {
    this.change.kind = this.fields.kind.value = kind;
    this.change.words = this.fields.words.value = words;
    this.fields.replacement.hidden = kind !== "replace";
  }

  row(sha256) {
    if (this.rows.has(sha256)) return this.rows.get(sha256);
    const item = this.items.get(sha256);
    const box = el("input", { type: "checkbox", checked: this.marked.has(sha256), "aria-label": `Mark the caption of ${item.name}`, onclick: (event) => this.mark(sha256, event.target.checked, event.shiftKey) });
    const image = el("img", { alt: item.name, width: "64", height: "64", loading: "lazy" });
    this.look(image, item);
    const button = el("button", { "aria-label": `Edit the caption of ${item.name}`, onclick: () => this.edit(sha256) }, "Edit");
    const row = el("tr", { "data-photo": sha256 }, el("td", {}, box), el("td", {}, image), el("td", { class: "text" }, wording(item)), el("td", {}, button));
    this.rows.set(sha256, row);
    return row;
  }

  // The picture of the training set; before there is one, or where the user changed it, the photo.
  look(image, item) {
    const photo = this.page.source(item.sha256);
    image.onerror = item.picture ? () => { image.onerror = null; image.src = photo; } : null;
    const wanted = item.picture ? address("/api/dataset/picture", { person: this.page.chosen, sha256: item.picture }) : photo;
    if (image.dataset.wanted !== wanted) image.src = image.dataset.wanted = wanted;
  }

  // The row of a caption that is another one now.
  renew(sha256) {
    const item = this.items.get(sha256);
    const row = this.rows.get(sha256);
    if (!row) return;
    this.look(row.querySelector("img"), item);
    const editor = this.editors.get(sha256);
    if (editor) editor.renew(item); else replace(row.querySelector(".text"), wording(item));
  }

  edit(sha256) {
    if (this.editors.has(sha256)) { this.editors.get(sha256).area.focus(); return; }
    const item = this.items.get(sha256);
    const editor = new Editor(item, {
      save: (before, after) => this.write({ [sha256]: { before, after } }, `The caption of ${item.name} is yours now.`),
      leave: () => { this.shut(sha256); this.focus(sha256); },
    });
    this.editors.set(sha256, editor);
    replace(this.rows.get(sha256).querySelector(".text"), editor.parts);
    editor.area.focus();
  }

  shut(sha256) {
    this.editors.delete(sha256);
    this.renew(sha256);
  }

  focus(sha256) { this.rows.get(sha256)?.querySelector("td:last-child button").focus(); }

  // With Shift: all between the one marked last and this one.
  mark(sha256, on, range) {
    const index = this.order.indexOf(sha256);
    const from = range && this.last >= 0 ? Math.min(this.last, index) : index;
    const to = range && this.last >= 0 ? Math.max(this.last, index) : index;
    for (const one of this.order.slice(from, to + 1)) this.tick(one, on);
    this.last = index;
    this.tell();
  }

  markAll(on) {
    for (const sha256 of this.order) this.tick(sha256, on);
    this.tell();
  }

  tick(sha256, on) {
    if (!this.shown.has(sha256)) return;
    const row = this.rows.get(sha256);
    if (row) row.querySelector("input[type=checkbox]").checked = on;
    if (on) this.marked.add(sha256); else this.marked.delete(sha256);
  }

  fits(sha256) { return this.items.get(sha256).text.toLowerCase().includes(this.wanted); }

  // Captions that are not shown are not marked either.
  filter(typed) {
    this.wanted = typed.trim().toLowerCase();
    for (const sha256 of this.shown) if (!this.fits(sha256)) this.tick(sha256, false);
    this.shown = new Set(this.order.filter((sha256) => this.fits(sha256)));
    this.fill();
  }

  tell() {
    const shown = this.shown.size;
    this.count.textContent = `${this.marked.size} of ${shown} marked`;
    this.preview.disabled = !this.marked.size;
    this.all.checked = shown > 0 && this.marked.size === shown;
    this.all.indeterminate = this.marked.size > 0 && !this.all.checked;
  }

  async propose() {
    const photos = this.order.filter((sha256) => this.marked.has(sha256));
    const found = await post("/api/dataset/captions/preview", { person: this.page.chosen, photos, ...this.change });
    if (!found.length) { say("Nothing would change: the captions are like that already."); return; }
    const dialog = el("dialog", { "aria-label": "What would come out", onclose: () => dialog.remove() });
    const apply = async () => {
      const edits = Object.fromEntries(found.map((item) => [item.sha256, { before: item.before, after: item.after }]));
      dialog.close();
      await this.write(edits, `${found.length} captions are yours now. Undo takes all of them back.`);
    };
    dialog.append(el("h2", {}, `${found.length} of ${photos.length} captions would change`),
      el("ul", { class: "preview", tabindex: "0" }, found.map((item) => el("li", {}, el("strong", {}, this.items.get(item.sha256).name), el("p", {}, difference(item.before, item.after))))),
      el("p", { class: "buttons" }, el("button", { class: "primary", autofocus: true, onclick: apply }, `Apply to ${found.length} captions`), el("button", { onclick: () => dialog.close() }, "Cancel")));
    this.host.append(dialog);
    dialog.showModal();
  }

  // Where it is refused, what was typed stays; where a caption reads otherwise by now, its editor says how.
  async write(edits, told) {
    const problem = await post("/api/dataset/captions", { person: this.page.chosen, edits }).then(() => null, (error) => error.message);
    const [first, more] = Object.keys(edits);
    await this.page.refresh();
    if (!problem && !more) this.shut(first);
    say(problem ?? told, Boolean(problem));
    if (more) this.all.focus();
    else if (!problem) this.focus(first);
  }
}

function wording(item) {
  const note = item.waiting ? "taken back: the measured caption comes with the next run" : item.edited ? "yours" : "";
  return [el("span", {}, item.text), note ? el("span", { class: "quiet" }, ` (${note})`) : null];
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
