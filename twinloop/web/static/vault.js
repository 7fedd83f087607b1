// The vault behind People and Dataset: whether there is one, the command that works on it, and taking decisions back.

import { get, post } from "./api.js";
import { el, once, plural, replace, say } from "./dom.js";
import { Work, latest, working } from "./progress.js";

// Show a part that works in the vault: open(place) draws it, and gives what a part gives. Where the vault is not ready yet, the page offers to make it so.
export async function inVault(host, part, open) {
  const place = new Place(await get("/api/vault"));
  if (!place.ready) { place.offer(host, part); return { close: place.close }; }
  try { return await open(place); } catch (error) { place.close(); throw error; }
}

class Place {
  constructor(state) {
    this.state = state;
    this.ended = () => {};
    this.starters = [];
    this.work = new Work(state.vault, { ended: (job) => this.ended(job), drawn: () => this.tell() });
    this.work.watch(state.job, state.process);
    this.close = () => this.work.close();
  }

  get ready() { return this.state.status !== null && this.state.status.people !== null; }

  // A button that says what it would take back; nothing where there is nothing.
  undo(done) {
    const host = el("span", { class: "undo" });
    this.filled = get("/api/people/history").then((history) => {
      const last = history.findLast((item) => !item.undone);
      if (last) replace(host, el("button", { title: last.text, onclick: (event) => this.takeBack(last, event, done),
        onkeydown: (event) => { if (event.repeat) event.preventDefault(); } }, `Undo: ${last.text}`));
    });
    return host;
  }

  // One decision for one click: the button that comes next says something else.
  async takeBack({ number, text }, event, done) {
    if (event.detail > 1) return;
    event.currentTarget.disabled = true;
    const problem = await post("/api/people/undo", { number }).then(() => null, (error) => error.message);
    await done();
    await this.filled; // the part was drawn anew: the keyboard goes on where it was
    (document.querySelector(".undo button") ?? document.getElementById("main")).focus();
    say(problem ?? `Taken back: ${text}`, Boolean(problem));
  }

  // A button that starts a command here: off while one works, and where it is not allowed.
  starter(text, act, { allowed = true, ...attributes } = {}) {
    const button = el("button", { ...attributes, disabled: !allowed || this.work.busy, onclick: act && once(act) }, text);
    const made = { button, allowed, fresh: true }; // several are made before any of them is in the page
    queueMicrotask(() => { made.fresh = false; });
    this.starters = [...this.starters.filter((starter) => starter.fresh || starter.button.isConnected), made];
    return button;
  }

  tell() {
    for (const { button, allowed } of this.starters) button.disabled = !allowed || this.work.busy;
  }

  // Faces that came since people were told apart; null where there are none.
  newFaces({ new_faces: count }) {
    return count ? el("p", { class: "note" }, `${plural(count, "face was", "faces were")} found since people were told apart; ${count === 1 ? "it is" : "they are"} not used yet. `,
      this.starter("Group the faces", () => this.work.start("/api/vault/cluster"), { class: "primary" })) : null;
  }

  // A training set that prep would make otherwise now.
  older({ name, person, output, changes, command }) {
    return [`The training set ${output ? "in " : ""}${name} is older than what is known now: ${changes} would change. `,
      this.starter("Prepare again", () => this.work.start("/api/vault/prep", { person, output }), { title: command, "aria-label": `Prepare again: ${name}` })];
  }

  // What no command has followed yet, of all people. It comes by itself: nothing waits for it.
  behind() {
    const host = el("div", { class: "slot behind" });
    get("/api/vault/behind").then((found) => {
      const { sets } = found;
      replace(host, this.newFaces(found), sets.length > 1
        ? el("details", { class: "note" }, el("summary", {}, `${sets.length} training sets are older than what is known now`), el("ul", {}, sets.map((set) => el("li", {}, this.older(set)))))
        : sets.map((set) => el("p", { class: "note" }, this.older(set))));
    });
    return host;
  }

  offer(host, part) {
    const status = this.state.status;
    const again = () => window.dispatchEvent(new HashChangeEvent("hashchange"));
    // A scan that was stopped or failed may have come to something; where it has not, what was typed stays.
    this.follow(again, async () => { if (JSON.stringify((await get("/api/vault")).status) !== JSON.stringify(status)) again(); });
    replace(host, el("h1", {}, part), status ? this.unclustered() : this.unscanned(), this.work.host);
  }

  // New photos are grouped as soon as they are scanned; done() is called when a command has ended well, failed() when it has not.
  follow(done, failed = () => {}) {
    this.ended = async (job) => {
      if (job.state !== "done") await failed();
      else if (job.command[2] === "scan") await this.group();
      else await done();
    };
  }

  // Another tab may have begun it already.
  async group() {
    try { await this.work.start("/api/vault/cluster"); } catch (error) {
      const job = await latest(this.state.vault);
      if (!working(job)) throw error;
      this.work.watch(job);
    }
  }

  unscanned() {
    return el("div", { class: "note" }, el("p", {}, `There is no vault in ${this.state.vault} yet. A scan looks at the photos of a folder, once; they are only read. In a terminal: `,
      el("code", {}, "twinloop vault scan FOLDER")), this.scanForm("models"));
  }

  scanForm(models_dir) {
    const folder = el("input", { type: "text", size: "40", required: true, placeholder: "/home/me/Pictures" });
    const models = el("input", { type: "text", size: "24", placeholder: models_dir });
    const start = once(() => this.work.start("/api/vault/scan", { folder: folder.value, models_dir: models.value || null }));
    const submit = (event) => { event.preventDefault(); return start(event); };
    return el("form", { class: "bar", onsubmit: submit, "aria-label": "Scan a folder" }, el("label", {}, "Folder of photos ", folder),
      el("label", {}, "Folder of detector models ", models), this.starter("Scan", null, { class: "primary" }));
  }

  unclustered() {
    const { photos, faces, models_dir } = this.state.status;
    const scanned = `${plural(photos, "photo")} with ${plural(faces, "face")} ${photos === 1 ? "was" : "were"} scanned. `;
    const group = [el("p", {}, scanned, "The faces are not grouped by person yet. In a terminal: ", el("code", {}, "twinloop vault cluster")),
      el("p", {}, this.starter("Group the faces", () => this.work.start("/api/vault/cluster"), { class: "primary" }))];
    const none = el("p", {}, scanned, "Without a face nobody can be told apart: scan another folder. Where a folder is of one drawn character, robot or animal, no face is needed; in a terminal: ",
      el("code", {}, "twinloop vault run FOLDER --person NAME --everything"));
    return el("div", { class: "note" }, faces ? group : none,
      el("details", { open: !faces }, el("summary", {}, "Add photos"), this.scanForm(models_dir)));
  }
}
