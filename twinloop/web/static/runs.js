// Runs: start, watch, pause, go on; the LoRAs side by side on the fixed prompts; which one is the final file.

import { Since } from "./anew.js";
import { address, get, post } from "./api.js";
import { change, choice, el, estimate, once, percent, plural, redraw, replace, say, title } from "./dom.js";
import { Bar, Words, announce, asking, latest, mark, unanswered, working } from "./progress.js";

const LIST_EVERY = 5; // questions about the chosen run, after which the list is asked for, too

export async function runs(host, query) {
  const page = new Runs(host, query.get("run"));
  await page.load();
  return { close: asking(() => page.tick(), { lost: (error) => page.lost(error), found: () => page.draw(page.job, true) }) };
}

class Runs {
  constructor(host, wanted) {
    Object.assign(this, { wanted, bar: new Bar(), asked: 0 });
    this.list = el("nav", { class: "list", "aria-label": "Runs and configurations" });
    this.detail = el("section", { class: "detail wide", "aria-label": "Run" });
    replace(host, el("h1", {}, "Runs"), el("div", { class: "split narrow" }, this.list, this.detail));
  }

  async load() {
    this.take(await get("/api/overview"));
    await this.show();
  }

  // Whether the chosen run has its folder, and what is in it was read.
  get known() { return this.run?.run === this.chosen; }

  // The list, drawn anew where it reads otherwise.
  take(overview) {
    this.overview = overview;
    const there = overview.runs.some((run) => run.run === this.chosen); // a new run may sort before it
    this.chosen = this.wanted ?? (there ? this.chosen : overview.runs[0]?.run ?? null);
    const idle = overview.configs.filter((config) => !overview.runs.some((run) => run.config === config.config));
    const text = JSON.stringify([this.chosen, idle, overview.runs.map((run) => [run.run, run.person, standing(run)])]);
    if (text === this.listed) return;
    this.listed = text;
    redraw(this.list,
      el("ul", {}, overview.runs.map((run) => el("li", {}, el("a", { href: `#/runs?run=${encodeURIComponent(run.run)}`, "aria-current": run.run === this.chosen ? "true" : null },
        el("strong", {}, run.person || run.run), el("span", { class: "quiet" }, `${run.run}: ${standing(run)}`))))),
      idle.length ? el("h2", {}, "Not started") : null,
      el("ul", {}, idle.map((item) => el("li", {}, el("strong", {}, item.person || item.config), " ", el("span", { class: "quiet" }, item.config), " ",
        overview.runs.some((run) => run.run === item.run) ? el("span", { class: "quiet" }, `${item.run} belongs to a run of another configuration`)
          : el("button", { "aria-label": `Start ${item.config}`, onclick: once(() => this.start(item.config, item.output_dir)) }, "Start")))),
      overview.runs.length + idle.length ? null : el("p", {}, "No run and no configuration here. Write one: ", el("code", {}, "twinloop init --output bootstrap_config.json")));
  }

  async show() {
    if (!this.chosen || !this.overview.runs.some((run) => run.run === this.chosen)) {
      this.status = this.run = null;
      replace(this.detail, el("p", { class: "quiet" }, this.overview.runs.length ? "Choose a run." : ["Nothing has run here yet. A run needs photos of one person: ", el("a", { href: "#/people" }, "find them in a folder of photos"), ", and ",
        el("a", { href: "#/dataset" }, "prepare a training set"), "."]));
      if (this.wanted) await this.pending();
      return;
    }
    const run = await get("/api/run", { run: this.chosen });
    if (run.run !== this.run?.run) this.frame(el("h2", {}, `${run.person} `, el("span", { class: "quiet" }, run.run)));
    if (JSON.stringify(run) !== JSON.stringify(this.run)) this.since.outdated();
    this.run = run;
    this.fill();
    this.draw(run.job, true);
  }

  // The places of what is told of one run. Each is drawn anew only where it reads otherwise.
  frame(heading) {
    this.sampled = "";
    this.words = new Words();
    this.head = el("div", { class: "head" });
    this.since = new Since({ start: (config, restart, named) => this.start(config, this.chosen, restart, named), left: () => this.head.querySelector("button")?.focus() });
    this.status = el("div", { class: "status" }, this.head, this.since.host, this.words.host);
    this.samples = el("div", { class: "samples" });
    this.tables = ["rounds", "loras", "compare"].map((name) => ({ name, host: el("div"), drawn: "" }));
    replace(this.detail, heading, this.status, this.samples, this.tables.map((table) => table.host));
  }

  fill() {
    const { iterations, scores, picked, best, final_files: files, panel, panel_versions: versions } = this.run;
    const shown = { rounds: [iterations, this.run.reviews], loras: [scores, picked, best, files], compare: [panel, versions] };
    for (const table of this.tables) {
      const text = JSON.stringify(shown[table.name]);
      if (text !== table.drawn) redraw(table.host, this[table.name]());
      table.drawn = text;
    }
  }

  // A run that was just started has no folder yet.
  async pending() {
    const job = await latest(this.wanted);
    if (!job) return;
    this.frame(el("h2", {}, this.wanted));
    this.draw(job, true);
  }

  async tick() {
    if (document.hidden) return false;
    if (this.chosen) await this.follow();
    this.asked += 1;
    if (this.asked % LIST_EVERY === 0) await this.refresh();
    return true;
  }

  // The command on the chosen run. One that works has its folder after a while; one that cannot start never has.
  async follow() {
    const job = await latest(this.chosen);
    if (working(job) && !this.known) {
      await this.refresh();
      if (this.known) return; // and drawn
    }
    if (!this.status) return;
    const ended = job && this.state && this.state !== job.state && !working(job);
    if (ended && this.known) this.run.process = null; // it was the command's own
    if (!ended && !working(job) && this.known && this.run.process) { await this.beside(job); return; }
    if (!job) return;
    this.draw(job);
    if (ended) announce(job);
    if (ended) await this.load();
    else if (job.state === "running" && this.known) await this.sample();
  }

  // A command of somewhere else on the chosen run: followed as one of the page's own.
  async beside(job) {
    const { process, progress } = await get("/api/jobs/elsewhere", { key: this.chosen }).catch(unlessUnanswered({})); // {}: the run was put away
    Object.assign(this.run, { process });
    this.progress = progress;
    if (!process) { await this.load(); this.left(); return; }
    this.draw(job);
    await this.sample();
  }

  // Said once, for those who do not see it.
  left() { if (this.known && !this.run.process) say(`The command in a terminal has ended. ${this.chosen}: ${standing(this.run)}`); }

  // What is done elsewhere: in a terminal, or in another tab.
  async refresh() {
    const before = this.summary();
    const elsewhere = this.known && !working(this.job) && this.run.process;
    this.take(await get("/api/overview"));
    if (this.summary() !== before) {
      await this.show();
      if (elsewhere && !working(this.job)) this.left();
    } else if (this.run?.process) await this.sample();
  }

  // What the list knows of the chosen run, without the words of its command.
  summary() {
    const run = this.overview.runs.find((one) => one.run === this.chosen);
    return JSON.stringify({ ...run, job: null });
  }

  lost(error) {
    if (!unanswered(error) || !this.status || !(working(this.job) || this.run?.process)) return;
    this.head.querySelector(".state").textContent = "no answer";
    for (const gone of this.head.querySelectorAll("button, .progress")) gone.remove();
  }

  draw(job, anew = false) {
    if (!this.status) return;
    Object.assign(this, { job, state: job?.state });
    const elsewhere = this.known && !working(job) && this.run.process;
    const progress = elsewhere ? this.progress : job?.progress;
    const text = JSON.stringify([mark(job), elsewhere, progress]);
    if (text === this.drawn && !anew) return;
    const before = this.drawn;
    this.drawn = text;
    if (working(job) || elsewhere || text !== before) this.since.outdated();
    const round = working(job) || elsewhere ? null : this.run?.waiting;
    const waits = round ? el("p", { class: "note" }, `Round ${round} waits for your review. `,
      el("a", { href: `#/review?${new URLSearchParams({ run: this.chosen, iteration: round })}` }, "Look at its images")) : null;
    const config = this.known ? this.run.config : job?.command.at(-1);
    const button = elsewhere ? null : working(job)
      ? el("button", { onclick: once(() => this.pause()), disabled: job.state === "stopping" }, job.state === "stopping" ? "Stopping…" : "Pause")
      : config ? el("button", { class: this.run?.stop ? null : "primary", onclick: once(() => this.since.ask(config)) }, this.run?.stop && (!job || job.state === "done") ? "Check again" : "Continue") : null;
    const after = this.run?.stop ? standing(this.run) : "reviewed";
    const failedCheck = !elsewhere && this.run?.stop && job?.state === "failed"; // the run itself has ended well
    const state = elsewhere ? standing({ ...this.run, job }) : round ? "waiting" : job?.state === "waiting" || failedCheck ? after : job?.state;
    redraw(this.head, el("p", {}, el("strong", { class: `state ${elsewhere ? "running" : state ?? ""}` }, state ?? standing(this.run)), " ", button,
      this.run?.report ? el("a", { href: address("/api/run/report", { run: this.chosen }), target: "_blank", rel: "noopener" }, "Report") : null),
    elsewhere ? el("p", { class: "note" }, "It was started outside of this page; Ctrl-C pauses it there.") : null,
    waits, ...this.outcome(), failedCheck ? el("p", { class: "note" }, "The check failed; the run is as it was. What it said is below.") : null,
    this.known && !config && !working(job) && !elsewhere ? el("p", { class: "note" }, "No configuration here has this run's settings. To go on with it, start the page with --config FILE.") : null,
    this.bar.draw({ progress }));
    this.words.draw(elsewhere ? null : job);
  }

  // Why the run ended, and whether its LoRA is better for it: the words of the terminal and of the report.
  outcome() {
    const run = this.run;
    if (!run?.stop) return [];
    const line = (name, text) => el("p", {}, el("span", {}, el("strong", {}, name), ` ${text}`));
    return [line("Reason:", run.stop.reason), typeof run.gaps_left === "number" ? line("Gaps left:", String(run.gaps_left)) : null,
      run.better_than_v1 ? line("Better than v1?", run.better_than_v1) : null].filter(Boolean);
  }

  async sample() {
    const found = await get("/api/run/samples", { run: this.chosen, count: 8 }).catch(unlessUnanswered(null));
    const text = JSON.stringify(found);
    if (!found || text === this.sampled) return; // none: the run was put away meanwhile, which the list tells
    this.sampled = text;
    replace(this.samples, found.map((item) => el("img", { src: address("/api/run/made", { run: this.chosen, ...item }), alt: `${title(item.folder)} ${item.file}`, width: "96", height: "96" })));
  }

  async start(config, key, restart = false, named = undefined) {
    const job = await post("/api/jobs/run", { config, restart, named });
    if (restart) this.run = null; // what is shown is put away
    say(`Started: ${job.command.join(" ")}`);
    if (location.hash === `#/runs?run=${encodeURIComponent(job.key)}`) { this.wanted = this.chosen = job.key; await this.load(); }
    else location.hash = `#/runs?run=${encodeURIComponent(job.key ?? key)}`;
  }

  async pause() {
    await post("/api/jobs/pause", { key: this.chosen });
    say("Pausing: the unit of work at hand is lost at most.");
  }

  rounds() {
    const { run, iterations: rows, reviews } = this.run;
    if (!rows.length) return null;
    const noted = rows.some((row) => row.rolled_back);
    const round = (n) => (reviews.includes(n) ? el("a", { href: `#/review?${new URLSearchParams({ run, iteration: n })}`, "aria-label": `${n}: the images of this round` }, String(n)) : n);
    return table("Rounds", ["round", "gaps", "images", "approved", "merged", "LoRA", "improvement", ...(noted ? ["note"] : [])], rows.map((row) => [
      round(row.iteration), row.gap_count, row.generated, `${row.approved} (${percent(row.approval_rate.value ?? row.approved / Math.max(1, row.generated))})`, row.merged,
      `v${row.lora_version}`, change(row.improvement), ...(noted ? [row.rolled_back ? `rolled back: ${row.drifted.join(", ")}` : ""] : [])]));
  }

  loras() {
    const final = this.run.picked?.version ?? this.run.best;
    const { lora, kohya } = this.run.final_files ?? {};
    const files = lora ? el("p", {}, `The final LoRA${final ? `, v${final}` : ""}: `, el("code", {}, lora), kohya ? ["; in kohya's names: ", el("code", {}, kohya)] : null) : null;
    if (!this.run.scores.length) return [files];
    const metrics = Object.keys(this.run.scores[0].metrics);
    return [table("LoRAs on the fixed prompts (95 % intervals)", ["version", "final", ...metrics.map(title)], this.run.scores.map((score) => [
      `v${score.version}${score.version === this.run.best ? ", best measured" : ""}`,
      score.version === final ? el("span", { class: "final", tabindex: "-1" }, this.run.picked ? "picked by you" : "final")
        : el("button", { onclick: (event) => this.pick(score.version, event.currentTarget) }, `Use v${score.version}`),
      ...metrics.map((name) => figure(score, name))])), files];
  }

  async pick(version, button) {
    button.disabled = true;
    try {
      await post("/api/run/pick", { run: this.chosen, version });
      this.run = await get("/api/run", { run: this.chosen });
    } finally { button.disabled = false; }
    this.fill();
    this.detail.querySelector(".final")?.focus(); // where the button was
    say(`v${version} is the final LoRA now.`);
  }

  // What v1 is held against: the final version, or the latest where that is v1 itself.
  opposite(versions) {
    const final = this.run.picked?.version ?? this.run.best;
    return versions.includes(final) && final !== versions[0] ? final : versions.at(-1);
  }

  compare() {
    const versions = this.run.panel_versions;
    if (versions.length < 2 || !this.run.panel.length) return null;
    const state = { left: versions[0], right: this.opposite(versions), number: 0 };
    const source = (version) => address("/api/run/panel", { run: this.run.run, version, number: state.number, size: 1280 });
    const under = el("img", { alt: "" });
    const over = el("img", { class: "over", alt: "" });
    const slide = el("input", { type: "range", min: "0", max: "100", value: "50", "aria-label": "How much of the left version is shown" });
    const prompt = el("p", {});
    const cut = () => { over.style.clipPath = `inset(0 ${100 - Number(slide.value)}% 0 0)`; };
    const draw = () => {
      under.src = source(state.right);
      over.src = source(state.left);
      under.alt = `v${state.right}: ${this.run.panel[state.number].prompt}`;
      over.alt = `v${state.left}: ${this.run.panel[state.number].prompt}`;
      prompt.textContent = `${state.number + 1} of ${this.run.panel.length}: ${this.run.panel[state.number].prompt}`;
      cut();
    };
    const step = (by) => () => { state.number = (state.number + by + this.run.panel.length) % this.run.panel.length; draw(); };
    const all = versions.map((version) => [String(version), `v${version}`]);
    slide.addEventListener("input", cut);
    draw();
    return el("section", { class: "compare", "aria-label": "Compare versions" }, el("h3", {}, "The same prompt and seed by two versions"),
      el("p", {}, choice("Left", all, String(state.left), (value) => { state.left = Number(value); draw(); }),
        choice("Right", all, String(state.right), (value) => { state.right = Number(value); draw(); }),
        el("button", { onclick: step(-1) }, "Previous prompt"), el("button", { onclick: step(1) }, "Next prompt")),
      el("div", { class: "pair" }, under, over), slide, prompt);
  }
}

// What stands for an answer that was refused; that nobody answers stays an error.
const unlessUnanswered = (instead) => (error) => { if (unanswered(error)) throw error; return instead; };

// A figure of a LoRA; where no face came out, likeness and the quality of faces were not measured.
function figure(score, name) {
  const without = (score.no_face ?? []).filter(Boolean).length;
  if (!without || !["identity", "quality"].includes(name)) return estimate(score.metrics[name]);
  const said = `no face in ${without} of ${plural(score.no_face.length, "image")}`;
  return without === score.no_face.length ? said : `${estimate(score.metrics[name])}, ${said}`;
}

function standing(run) {
  if (working(run.job)) return run.job.state;
  if (run.process) return `running in process ${run.process}`;
  if (run.waiting) return "waits for your review";
  if (run.stop) return run.stop.converged ? "converged" : "stopped";
  return run.rounds ? plural(run.rounds, "round") : "begun";
}

function table(caption, heads, rows) {
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, heads.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, index) => el(index ? "td" : "th", index ? {} : { scope: "row" }, cell instanceof Node ? cell : String(cell ?? "–"))))))));
}
