// What a started command says: how far it is, its words, a button to stop it. For all parts that start commands.

import { get, post } from "./api.js";
import { el, redraw, replace, say } from "./dom.js";

const EVERY = 1000;
const KEPT = 40;

export const working = (job) => ["running", "stopping"].includes(job?.state);

// Progress with the time that is left, worked out from the pace since the step began.
export class Bar {
  draw(job) {
    const progress = job?.progress;
    if (!progress) { this.pace = null; return null; }
    const name = progress.label.split(" (")[0];
    const now = performance.now();
    if (!this.pace || this.pace.name !== name || progress.done < this.pace.done) this.pace = { name, done: progress.done, at: now };
    const made = progress.done - this.pace.done;
    const left = made > 0 ? Math.round(((progress.total - progress.done) * (now - this.pace.at)) / made / 1000) : null;
    const clock = left === null ? "" : `, ${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} left`;
    return el("p", { class: "progress" }, el("label", {}, `${progress.label}: ${Math.floor(progress.done)} of ${progress.total}${clock}`,
      el("progress", { max: String(progress.total), value: String(progress.done) })));
  }
}

export const words = (job) => (job?.lines.length
  ? el("details", { open: working(job) || job.state === "failed" }, el("summary", {}, "What it says"), el("pre", { tabindex: "0" }, job.lines.slice(-KEPT).join("\n")))
  : null);

export const latest = async (key) => (await get("/api/jobs", { key })).at(-1);

// Whether there is something new to draw.
export const mark = (job) => JSON.stringify([job?.id, job?.state, job?.progress, job?.lines.length, job?.lines.at(-1)]);

// The commands on one thing (the vault): the latest one, live. ended(job) is called once for each that ends while it is watched, drawn(job) with every news.
export class Work {
  constructor(key, { ended, drawn }) {
    Object.assign(this, { key, ended, told: drawn, bar: new Bar(), drawn: "" });
    this.host = el("div", { class: "status" });
  }

  watch(job) {
    this.job = job;
    this.draw();
    if (working(job) && !this.timer) this.timer = setInterval(() => this.tick(), EVERY);
  }

  async start(path, body = {}) {
    const job = await post(path, body);
    say(`Started: ${job.command.join(" ")}`);
    this.watch(job);
  }

  async tick() {
    if (this.asking) return; // in a hidden tab, too: what follows a scan need not wait for somebody to look
    this.asking = true;
    try {
      this.job = (await latest(this.key)) ?? this.job;
      this.draw();
      if (working(this.job)) return;
      this.close();
      await this.ended(this.job);
    } finally { this.asking = false; }
  }

  draw() {
    const text = mark(this.job);
    if (text === this.drawn) return;
    this.drawn = text;
    this.told(this.job);
    const job = this.job;
    if (!job || (job.state === "done" && !this.timer)) { replace(this.host); return; }
    const stop = working(job) ? el("button", { onclick: () => this.stop(), disabled: job.state === "stopping" }, job.state === "stopping" ? "Stopping…" : "Stop") : null;
    redraw(this.host, el("p", {}, el("strong", { class: `state ${job.state}` }, job.state), " ", el("code", {}, job.command.join(" ")), stop), this.bar.draw(job), words(job));
  }

  async stop() {
    await post("/api/jobs/pause", { key: this.key });
    say("Stopping: what is finished is kept; started again, it goes on.");
  }

  close() {
    clearInterval(this.timer);
    this.timer = 0;
  }
}
