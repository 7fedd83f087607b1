// One caption while it is being edited. What is typed stays until it is saved or left.

import { el } from "./dom.js";

export class Editor {
  // item: the caption as it stands. save(before, after) sends it, leave() closes this.
  constructor(item, { save, leave }) {
    Object.assign(this, { save, before: item.text });
    this.area = el("textarea", { rows: "3", "aria-label": `Caption of ${item.name}`, onkeydown: (event) => this.key(event, leave) });
    this.area.value = item.text;
    this.note = el("p", { class: "problem", role: "status" });
    this.parts = [this.area, this.note, el("p", { class: "buttons" }, el("button", { class: "primary", onclick: () => this.send(this.area.value) }, "Save (Enter)"),
      el("button", { onclick: leave }, "Cancel (Esc)"), item.edited ? el("button", { onclick: () => this.send("") }, "Back to the measured one") : null)];
  }

  key(event, leave) {
    if (event.isComposing) return; // the Enter or Escape of an input method is about a word, not about the caption
    if (event.key === "Escape") leave();
    else if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); this.send(this.area.value); }
  }

  async send(text) {
    if (this.sending) return;
    this.sending = true;
    try { await this.save(this.before, text); } finally { this.sending = false; }
  }

  // It was changed meanwhile, elsewhere or with many others.
  renew(item) {
    if (item.text === this.before) return;
    this.before = item.text;
    this.note.textContent = `It reads now: “${item.text}”. Saving puts yours in its place.`;
  }
}
