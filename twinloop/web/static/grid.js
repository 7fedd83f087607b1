// A gallery of many thumbnails: only the rows in sight are in the page, so that thousands stay smooth.
// Keyboard: arrows, Home, End, Page Up and Down move; Enter opens; where several can be marked: Space marks, Ctrl+A marks all, Escape none. The focus stays on the list; the active tile is announced.

import { refusal } from "./api.js";
import { el } from "./dom.js";
import { unasked } from "./pictures.js";

const MARGIN_ROWS = 2;
const PADDING = 12; // of the list, both sides
const GAP = 10; // between tiles
const END = 9; // letters of a file's name: a number, and what kind of file it is
let lists = 0;

// A file's name as the words of a tile: names of photos differ at their end, so that stays in sight where there is no room for all.
export const named = (name, before = "") => ({ text: before + name.slice(0, -END), tail: name.slice(-END) });

export class Grid {
  // host: an element with a height of its own. tile(item): {image, text, tail, state, label} of one item; where there is no room, text gives way to tail.
  constructor(host, { label, tile, onmove = () => {}, onopen = () => {}, onmark = () => {}, width = 150, height = 178, multiple = false }) {
    this.tile = tile;
    this.onmove = onmove;
    this.onopen = onopen;
    this.onmark = onmark;
    this.cell = { width, height };
    this.items = [];
    this.active = -1;
    this.marked = new Set();
    this.shown = new Map();
    this.prefix = `tile${++lists}-`;
    this.inner = el("div", { class: "rows", role: "presentation" });
    this.list = el("div", { class: "grid", role: "listbox", tabindex: "0", "aria-label": label, "aria-multiselectable": multiple ? "true" : null }, this.inner);
    this.list.addEventListener("scroll", () => this.schedule(), { passive: true });
    this.list.addEventListener("keydown", (event) => this.key(event));
    this.inner.addEventListener("click", (event) => this.click(event));
    this.inner.addEventListener("dblclick", () => this.active >= 0 && this.onopen(this.items[this.active], this.active));
    this.multiple = multiple;
    this.sizes = new ResizeObserver(() => this.draw(true));
    this.sizes.observe(this.list);
    this.note = el("p", { class: "problem", role: "status", hidden: true });
    host.append(this.note, this.list);
  }

  close() {
    this.sizes.disconnect();
    this.clear();
  }

  get room() { return this.list.clientWidth - PADDING + GAP; }

  get columns() { return Math.max(1, Math.floor(this.room / this.cell.width)); }

  // Of a tile with the gap after it: as wide as the columns make it, so that rows end where the list does.
  get step() {
    const width = Math.max(this.cell.width, Math.floor(this.room / this.columns));
    return { width, height: this.cell.height + width - this.cell.width };
  }

  remove(index) {
    const tile = this.shown.get(index);
    if (!tile) return;
    unasked(tile);
    tile.remove();
    this.shown.delete(index);
  }

  clear() { for (const index of [...this.shown.keys()]) this.remove(index); }

  set(items, active = 0) {
    this.items = items;
    this.note.hidden = true;
    this.asked = false;
    this.marked.clear();
    this.onmark(this.marked);
    this.active = items.length ? Math.min(Math.max(active, 0), items.length - 1) : -1;
    this.draw(true);
    if (this.active >= 0) this.onmove(items[this.active], this.active);
  }

  // The item changed: draw its tile anew.
  refresh(index) {
    this.remove(index);
    this.draw();
  }

  move(index) {
    if (!this.items.length) return;
    const before = this.active;
    this.active = Math.min(Math.max(index, 0), this.items.length - 1);
    this.reveal();
    this.state(before);
    this.state(this.active);
    if (before !== this.active) this.onmove(this.items[this.active], this.active);
  }

  reveal() {
    const { height } = this.step;
    const top = Math.floor(this.active / this.columns) * height;
    const list = this.list;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + height > list.scrollTop + list.clientHeight) list.scrollTop = top + height - list.clientHeight;
    this.draw();
  }

  schedule() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
  }

  draw(anew = false) {
    if (anew) this.clear();
    const columns = this.columns;
    const step = this.step;
    const rows = Math.ceil(this.items.length / columns);
    this.inner.style.height = `${rows * step.height}px`;
    const first = Math.max(0, Math.floor(this.list.scrollTop / step.height) - MARGIN_ROWS);
    const last = Math.min(rows, Math.ceil((this.list.scrollTop + this.list.clientHeight) / step.height) + MARGIN_ROWS);
    const from = first * columns;
    const to = Math.min(this.items.length, last * columns);
    for (const index of [...this.shown.keys()]) if (index < from || index >= to) this.remove(index);
    const fresh = document.createDocumentFragment();
    for (let index = from; index < to; index++) {
      if (this.shown.has(index)) continue;
      const tile = this.make(index, columns, step);
      this.shown.set(index, tile);
      fresh.append(tile);
    }
    this.inner.append(fresh);
    if (this.active >= 0) this.list.setAttribute("aria-activedescendant", this.prefix + this.active);
    else this.list.removeAttribute("aria-activedescendant");
  }

  make(index, columns, step) {
    const { image, text, tail = "", state, label } = this.tile(this.items[index], index);
    const tile = el("div", { class: "tile", role: "option", id: this.prefix + index, "data-index": String(index), "data-state": state ?? "", "aria-label": label,
      "aria-setsize": String(this.items.length), "aria-posinset": String(index + 1) },
    el("img", { src: image, alt: "", loading: "lazy", decoding: "async", draggable: "false", onerror: () => this.missing(image) }), el("span", { "aria-hidden": "true", title: text + tail }, el("span", {}, text), el("span", {}, tail)));
    tile.style.transform = `translate(${(index % columns) * step.width}px, ${Math.floor(index / columns) * step.height}px)`;
    tile.style.width = `${step.width - GAP}px`;
    tile.style.height = `${step.height - GAP}px`;
    this.dress(tile, index);
    return tile;
  }

  // A thumbnail does not come: the reason of the first one stands above all.
  async missing(image) {
    if (this.asked) return;
    this.asked = true;
    const items = this.items;
    const why = await refusal(image);
    if (!why || items !== this.items) return;
    this.note.textContent = `Not every picture can be shown. ${why}`;
    this.note.hidden = false;
  }

  state(index) {
    const tile = this.shown.get(index);
    if (tile) this.dress(tile, index);
  }

  dress(tile, index) {
    const chosen = this.multiple ? this.marked.has(index) : index === this.active;
    tile.setAttribute("aria-selected", String(chosen));
    tile.classList.toggle("active", index === this.active);
  }

  mark(index) { this.markRange(index, index, !this.marked.has(index)); }

  markRange(from, to, on = true) {
    for (let index = from; index <= to; index++) {
      if (on) this.marked.add(index); else this.marked.delete(index);
      this.state(index);
    }
    this.onmark(this.marked);
  }

  markAll(on = true) {
    this.marked = new Set(on ? this.items.keys() : []);
    this.draw(true);
    this.onmark(this.marked);
  }

  get chosen() { return [...this.marked].sort((a, b) => a - b).map((index) => this.items[index]); }

  click(event) {
    const tile = event.target.closest(".tile");
    if (!tile) return;
    const index = Number(tile.dataset.index);
    if (this.multiple) {
      if (event.shiftKey && this.active >= 0) this.markRange(Math.min(this.active, index), Math.max(this.active, index));
      else this.mark(index);
    }
    this.move(index);
  }

  key(event) {
    if (this.multiple && event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) { this.markAll(); event.preventDefault(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.list.clientHeight / this.step.height)) * this.columns;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns, PageDown: page, PageUp: -page };
    if (event.key in steps) this.move(this.active + steps[event.key]);
    else if (event.key === "Home") this.move(0);
    else if (event.key === "End") this.move(this.items.length - 1);
    else if (event.key === "Enter" && this.active >= 0) this.onopen(this.items[this.active], this.active);
    else if (event.key === " " && this.multiple && this.active >= 0) this.mark(this.active);
    else if (event.key === "Escape" && this.marked.size) this.markAll(false);
    else return;
    event.preventDefault();
  }
}
