// Review: every image of a round with what was measured. A, R, U say what a person thinks; space compares with the nearest photos.

import { address, get, post } from "./api.js";
import { choice, el, focused, number, once, redraw, replace, say, title } from "./dom.js";
import { Grid } from "./grid.js";
import { looked, unasked } from "./pictures.js";

const WORDS = { a: "approved", r: "rejected", u: "unsure" };
const VERBS = { approved: "approve", rejected: "reject", unsure: "unsure" };

export async function review(host, query) {
  const overview = await get("/api/overview");
  const runs = overview.runs.filter((run) => run.rounds > 0 || run.job || run.stop === null);
  const chosen = query.get("run") ?? runs[0]?.run;
  if (!chosen) {
    replace(host, el("h1", {}, "Review"), el("p", {}, "No run has made images yet. Start one under ", el("a", { href: "#/runs" }, "Runs"), ", or with: ", el("code", {}, "twinloop run --config FILE")));
    return undefined;
  }
  const run = await get("/api/run", { run: chosen });
  if (!run.reviews.length) {
    replace(host, el("h1", {}, "Review"), el("p", {}, `${chosen} has no validated round yet.`));
    return undefined;
  }
  const iteration = Number(query.get("iteration") ?? run.reviews.at(-1));
  const data = await get("/api/review", { run: chosen, iteration });
  const page = new Review(host, { runs, run, iteration, data });
  return { close: page.close };
}

class Review {
  constructor(host, { runs, run, iteration, data }) {
    Object.assign(this, { host, run, iteration, data });
    this.filter = { gap: "", check: "", outcome: "" };
    this.comparing = false;
    this.count = el("p", { class: "quiet", "aria-live": "off" });
    this.detail = el("section", { class: "detail", "aria-label": "Selected image" });
    const gallery = el("div", { class: "gallery" });
    // Keys are heard where the images are, and nowhere else; tabindex, since not every browser puts the keyboard on a button that is clicked.
    replace(host, this.bar(runs), this.note(), el("div", { class: "split", tabindex: "-1", onkeydown: (event) => this.key(event) }, gallery, this.detail));
    this.grid = new Grid(gallery, { label: "Generated images", tile: (item) => this.tile(item), onmove: (item) => this.look(item), onopen: () => this.compare() });
    this.close = () => this.grid.close();
    this.apply();
    this.grid.list.focus({ preventScroll: true });
  }

  bar(runs) {
    const gaps = [...new Set(this.data.images.map((item) => `${item.type}/${item.target}`))].sort();
    const checks = [...new Set(this.data.images.flatMap((item) => item.checks.map((check) => check.check)))].sort();
    const go = (run, iteration) => { location.hash = `#/review?${new URLSearchParams({ run, ...(iteration ? { iteration } : {}) })}`; };
    const set = (name) => (value) => { this.filter[name] = value; this.apply(); };
    return el("div", { class: "bar" }, el("h1", {}, "Review"),
      choice("Run", runs.map((item) => [item.run, item.run]), this.run.run, (run) => go(run)),
      choice("Round", this.run.reviews.map((n) => [String(n), String(n)]), String(this.iteration), (n) => go(this.run.run, n)),
      choice("Gap", [["", "all"], ...gaps.map((gap) => [gap, title(gap)])], "", set("gap")),
      choice("Fails", [["", "any or none"], ...checks.map((name) => [name, title(name)])], "", set("check")),
      choice("Verdict", [["", "all"], ["approved", "approved"], ["rejected", "rejected"], ["unsure", "unsure"], ["said", "decided by you"], ["open", "not decided"]], "", set("outcome")),
      this.count);
  }

  note() {
    const keys = el("p", { class: "quiet" }, "Keys: arrows move, ", el("kbd", {}, "A"), " approve, ", el("kbd", {}, "R"), " reject, ", el("kbd", {}, "U"), " unsure, ",
      el("kbd", {}, "Delete"), " take back, ", el("kbd", {}, "Space"), " compare with the nearest photos.");
    if (this.data.finished) return el("div", { class: "note" }, el("p", {}, "This review is finished."), keys);
    if (!this.data.waits) return el("div", { class: "note" }, el("p", {}, 'This run does not wait for a review: what you say is kept, and not used. To be asked, set "review" in its configuration.'), keys);
    this.finish = el("button", { class: "primary", onclick: once(() => this.end()) }, "Finish the review");
    return el("div", { class: "note" }, this.finish, " Images without a word from you keep their automatic verdict.", keys);
  }

  tile(item) {
    const outcome = item.said ?? item.outcome;
    return {
      image: address("/api/review/picture", { run: this.run.run, iteration: this.iteration, image: item.image, sha256: item.sha256 }),
      text: `${item.said ? "you: " : ""}${outcome} · ${title(item.target)}`, state: outcome,
      label: `${title(item.target)}, ${outcome}${item.said ? " by you" : ""}, quality ${number(item.quality, 2)}`,
    };
  }

  apply() {
    const { gap, check, outcome } = this.filter;
    const kept = this.data.images.filter((item) =>
      (!gap || `${item.type}/${item.target}` === gap)
      && (!check || item.checks.some((found) => found.check === check && found.outcome !== "approved"))
      && (!outcome || (outcome === "said" ? item.said : outcome === "open" ? !item.said : (item.said ?? item.outcome) === outcome)));
    this.grid.set(kept);
    if (!kept.length) {
      this.item = null; // nothing is looked at, so there is nothing to decide
      replace(this.detail, el("p", { class: "quiet" }, "No image fits this choice."));
    }
    this.tell();
  }

  tell() {
    const said = this.data.images.filter((item) => item.said).length;
    this.count.textContent = `${this.grid.items.length} of ${this.data.images.length} images, ${said} decided by you`
      + (this.data.rejected_early ? `; ${this.data.rejected_early} more were given up early` : "");
  }

  look(item) {
    this.item = item;
    this.comparing = false;
    const picture = address("/api/review/picture", { run: this.run.run, iteration: this.iteration, image: item.image, sha256: item.sha256, size: 1280 });
    this.photos = el("div", { class: "photos", hidden: true });
    const said = item.said ? el("p", { class: `said ${item.said}` }, `You said: ${item.said}`) : null;
    const held = focused(this.detail);
    unasked(this.detail);
    const kept = redraw(this.detail,
      el("div", { class: "pictures" }, el("figure", {}, looked({ src: picture, alt: `Generated: ${item.prompt}` }), el("figcaption", {}, "generated")), this.photos),
      said, this.buttons(), el("p", {}, el("strong", {}, title(`${item.type}: ${item.target}`)), ` · quality ${number(item.quality, 2)} · automatic: ${item.outcome}`),
      checkTable(item.checks), el("details", {}, el("summary", {}, "Prompt"), el("p", {}, item.prompt), el("p", { class: "quiet" }, `seed ${item.seed}, ${item.image}`)));
    if (held && !kept) this.grid.list.focus();
  }

  buttons() {
    const button = (word, key) => el("button", { class: word, disabled: this.data.finished, "aria-keyshortcuts": key, onclick: () => this.decide(word) }, `${VERBS[word]} (${key})`);
    return el("p", { class: "buttons" }, button("approved", "A"), button("rejected", "R"), button("unsure", "U"),
      el("button", { "aria-keyshortcuts": "Space", onclick: () => this.compare() }, "compare (Space)"));
  }

  async decide(outcome) {
    const item = this.item;
    if (!item || this.data.finished) return;
    const index = this.grid.items.indexOf(item);
    const saved = item.unsent ? item.saved : item.said;
    Object.assign(item, { said: outcome, saved, unsent: (item.unsent ?? 0) + 1 });
    this.grid.refresh(index);
    this.tell();
    if (outcome && index + 1 < this.grid.items.length) this.grid.move(index + 1);
    else this.look(item);
    say(`${item.image}: ${outcome ?? "taken back"}`);
    // One after the other: two words on one image must arrive in the order they were said.
    this.sending = (this.sending ?? Promise.resolve()).then(() => this.send(item, outcome));
    await this.sending;
  }

  // Where it is refused, the image has what was saved of it, unless a later word is on its way.
  async send(item, outcome) {
    try {
      await post("/api/review", { run: this.run.run, iteration: this.iteration, opinions: { [item.image]: outcome } });
      item.saved = outcome;
      item.unsent -= 1;
    } catch (error) {
      this.refused = true;
      item.unsent -= 1;
      if (!item.unsent) item.said = item.saved;
      this.grid.refresh(this.grid.items.indexOf(item)); // the filter may have moved it meanwhile
      if (this.item === item) this.look(item);
      this.tell();
      say(error.message, true);
    }
  }

  async compare() {
    if (!this.item) return;
    const item = this.item;
    this.comparing = !this.comparing;
    this.photos.hidden = !this.comparing;
    if (!this.comparing || this.photos.childElementCount) return;
    const found = await get("/api/review/nearest", { run: this.run.run, iteration: this.iteration, image: item.image });
    if (this.item !== item) return;
    replace(this.photos, found.length ? found.map((photo) => el("figure", {},
      looked({ src: address("/api/review/photo", { run: this.run.run, sha256: photo.sha256, size: 1280 }), alt: `Real photo ${photo.name}` }),
      el("figcaption", {}, `${photo.name}: ${photo.by === "identity" ? "likeness" : "picture"} ${number(photo.similarity, 2)}`)))
      : [el("p", {}, "No photo was measured with the same detectors.")]);
  }

  async end() {
    this.refused = false;
    await this.sending;
    if (this.refused) return; // a word that could not be saved would be left out
    await post("/api/review/finish", { run: this.run.run, iteration: this.iteration });
    this.data.finished = true;
    this.finish.replaceWith(el("span", {}, "Finished; the run can go on."), " ",
      el("a", { href: `#/runs?run=${encodeURIComponent(this.run.run)}` }, "To the run"));
    say("The review is finished. Let the run go on under Runs.");
    if (this.item) this.look(this.item);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, summary")) return;
    const key = event.key.toLowerCase();
    const act = Object.hasOwn(WORDS, key) ? () => this.decide(WORDS[key])
      : key === "delete" || key === "backspace" ? () => this.decide(null)
        : key === " " && !event.target.closest("button") ? () => this.compare() : null;
    if (!act) return;
    event.preventDefault();
    if (!event.repeat) act(); // held down, a key would decide images that nobody has seen
  }
}

function checkTable(checks) {
  return el("table", { class: "checks" }, el("caption", { class: "hidden" }, "Checks"),
    el("thead", {}, el("tr", {}, ["check", "measured", "limit", "verdict"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, checks.map((check) => el("tr", { class: check.outcome, title: check.reason || null },
      el("th", { scope: "row" }, title(check.check)), el("td", {}, typeof check.value === "number" ? number(check.value) : title(String(check.value ?? "not measured"))),
      el("td", {}, String(check.limit ?? "").replaceAll("_", " ")), el("td", {}, check.outcome)))));
}
