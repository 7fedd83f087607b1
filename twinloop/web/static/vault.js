// The vault behind People and Dataset: whether there is one, the command that works on it, and taking decisions back.

import { get, post } from "./api.js";
import { el, replace, say } from "./dom.js";
import { Work, working } from "./progress.js";

// A place to work in. Where it is not ready yet, the page offers to make it so.
export async function openVault(host, part) {
  const place = new Place(await get("/api/vault"));
  if (!place.ready) place.offer(host, part);
  return place;
}

class Place {
  constructor(state) {
    this.state = state;
    this.ended = () => {};
    this.work = new Work(state.vault, (job) => this.ended(job));
    this.work.watch(state.job);
    this.close = () => this.work.close();
  }

  get ready() { return this.state.status !== null && this.state.status.people !== null; }

  // A button that says what it would take back; nothing where there is nothing.
  undo(done) {
    const host = el("span", { class: "undo" });
    this.filled = get("/api/people/history").then((history) => {
      const last = history.findLast((item) => !item.undone);
      if (last) replace(host, el("button", { title: last.text, onclick: async () => {
        const { text } = await post("/api/people/undo", {});
        await done();
        await this.filled; // the part was drawn anew: the keyboard goes on where it was
        (document.querySelector(".undo button") ?? document.getElementById("main")).focus();
        say(`Taken back: ${text}`);
      } }, `Undo: ${last.text}`));
    });
    return host;
  }

  offer(host, part) {
    const status = this.state.status;
    this.follow(() => window.dispatchEvent(new HashChangeEvent("hashchange")));
    replace(host, el("h1", {}, part), status ? this.unclustered() : this.unscanned(), this.work.host);
  }

  // New photos are grouped as soon as they are scanned; done() is called when a command has ended well.
  follow(done) {
    this.ended = async (job) => {
      if (job.state === "done" && job.command[2] === "scan") await this.work.start("/api/vault/cluster");
      else if (job.state === "done") await done();
    };
  }

  unscanned() {
    return el("div", { class: "note" }, el("p", {}, `There is no vault in ${this.state.vault} yet. A scan looks at the photos of a folder, once; they are only read. In a terminal: `,
      el("code", {}, "twinloop vault scan FOLDER")), this.scanForm("models"));
  }

  scanForm(models_dir) {
    const folder = el("input", { type: "text", size: "40", required: true, placeholder: "/home/me/Pictures" });
    const models = el("input", { type: "text", size: "24", placeholder: models_dir });
    const submit = async (event) => {
      event.preventDefault();
      await this.work.start("/api/vault/scan", { folder: folder.value, models_dir: models.value || null });
    };
    return el("form", { class: "bar", onsubmit: submit, "aria-label": "Scan a folder" }, el("label", {}, "Folder of photos ", folder),
      el("label", {}, "Folder of detector models ", models), el("button", { class: "primary", disabled: working(this.work.job) }, "Scan"));
  }

  unclustered() {
    const status = this.state.status;
    return el("div", { class: "note" }, el("p", {}, `${status.photos} photos with ${status.faces} faces were scanned. The faces are not grouped by person yet. In a terminal: `,
      el("code", {}, "twinloop vault cluster")),
    el("p", {}, el("button", { class: "primary", disabled: working(this.work.job), onclick: () => this.work.start("/api/vault/cluster") }, "Group the faces")));
  }
}
