// A run that has begun, before it goes on: where photos, captions or settings are others by now, it goes on as it is or begins anew.

import { get } from "./api.js";
import { el, once, replace, say, unsay } from "./dom.js";

const CAN = "It can go on with what it began with, or begin anew with what is there now.";
const CANNOT = "It cannot go on like this: begin it anew with what is there now, or leave it until these are as they were.";
const LOOKS = "Looking whether its photos are as they were…";
const SOON = 400; // milliseconds within which nothing need be said

export class Since {
  // start(config, restart, named): let the run go on, or begin anew where it still is the one that was named; left(): the person leaves it as it is.
  constructor({ start, left }) {
    Object.assign(this, { start, left });
    this.host = el("div", { class: "slot", onkeydown: (event) => { if (event.key === "Escape" && !event.target.closest("dialog")) this.leave(); } });
  }

  // Start it at once where nothing is other; else ask.
  async ask(config) {
    this.close();
    const { changes, refused } = await this.look(config);
    if (!changes) { await this.start(config, false); return; }
    const told = el("p", { tabindex: "-1" }, el("strong", {}, `Since this run began: ${changes}.`), ` ${refused ? CANNOT : CAN}`);
    replace(this.host, el("div", { class: "note", role: "group", "aria-label": "What is other since this run began" }, told, el("p", { class: "buttons" },
      el("button", { class: "primary", onclick: once(() => this.confirm(config)) }, "Begin anew…"),
      refused ? null : el("button", { onclick: once(() => this.go(config, false)) }, "Continue as it is"),
      el("button", { onclick: once(() => this.leave()) }, "Leave it"))));
    told.focus(); // and so it is read out
  }

  // All its photos are read, which may take a while.
  async look(config) {
    const slow = setTimeout(() => say(LOOKS), SOON);
    try { return await get("/api/run/since", { config }); } finally { clearTimeout(slow); unsay(LOOKS); }
  }

  async go(config, restart, named) {
    this.close();
    await this.start(config, restart, named);
  }

  leave() {
    this.close();
    this.left();
  }

  close() { replace(this.host); }

  // The run is not what the question was about: it went on or began anew in another tab, say.
  outdated() {
    if (!this.host.firstChild) return;
    this.close();
    say("The run has changed since you were asked. Look at it, and choose again.");
  }

  // Says where the old run is kept, and how much work is put away.
  async confirm(config) {
    const named = await get("/api/run/anew", { config });
    const { work, places } = named;
    const begin = once(async () => { dialog.close(); await this.go(config, true, named); });
    const dialog = el("dialog", { "aria-labelledby": "anew", onclose: () => dialog.remove() },
      el("h2", { id: "anew" }, "Begin this run anew?"),
      el("p", {}, `${work} are put away. Nothing is deleted; all of it is kept under another name:`),
      el("ul", {}, places.map((place) => el("li", {}, place))),
      el("p", {}, "The new run starts from its first step."),
      el("p", { class: "buttons" }, el("button", { autofocus: true, onclick: () => dialog.close() }, "Cancel"), el("button", { class: "primary", onclick: begin }, "Begin anew")));
    this.host.append(dialog);
    dialog.showModal();
  }
}
