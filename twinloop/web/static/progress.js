// What a started command says: how far it is, its words, a button to stop it. For all parts that start commands.

import { NoAnswer, get, post } from "./api.js";
import { el, once, redraw, replace, say, unsay } from "./dom.js";

const EVERY = 1000;
const ELSEWHERE = { state: "done", command: ["twinloop", "vault", "cluster"] }; // what a terminal has done may have changed as much as that
const SELDOM = 5000; // where nobody answers
const NEAR = 8; // pixels from its end, within which a text counts as read to its end
const ENDS = { done: "Done", failed: "Failed", stopped: "Stopped", waiting: "It waits for your review" };

export const working = (job) => ["running", "stopping"].includes(job?.state);

// The pace of a step is that of so many milliseconds, and of so many units at least. When the last marks, one a second at most, go so many times faster or slower than those before, those count no more: what a step that goes on finds done passes at once.
const WINDOW = 30000;
const UNITS = 3;
const MARK = 900; // a little less than the time between two questions
const LATE = 4;
const OTHER = 5;
const each = (mark, later) => (later.at - mark.at) / (later.done - mark.done);

class Pace {
  constructor(name, total, done, at) { Object.assign(this, { name, total, marks: [{ done, at }] }); }

  note(done, at) {
    const marks = this.marks;
    if (done <= marks.at(-1).done || at - marks.at(-1).at < MARK) return;
    marks.push({ done, at });
    while (marks.length > LATE && marks[1].at <= at - WINDOW && done - marks[1].done >= UNITS) marks.shift();
    if (marks.length <= LATE) return;
    const quicker = each(marks[0], marks.at(-LATE)) / each(marks.at(-LATE), marks.at(-1));
    if (quicker <= 1 / OTHER || quicker >= OTHER) marks.splice(0, marks.length - LATE);
  }

  // Seconds; null where nothing was done yet.
  left(done, at) {
    const made = done - this.marks[0].done;
    return made > 0 ? Math.round(((this.total - done) * (at - this.marks[0].at)) / made / 1000) : null;
  }
}

// Progress with the time that is left, worked out from the pace of late.
export class Bar {
  draw(job) {
    const progress = job?.progress;
    if (!progress) { this.pace = null; return null; }
    const name = progress.label.split(" (")[0];
    const now = performance.now();
    const pace = this.pace;
    if (!pace || pace.name !== name || pace.total !== progress.total || progress.done < pace.marks[0].done) this.pace = new Pace(name, progress.total, progress.done, now);
    this.pace.note(progress.done, now);
    const left = this.pace.left(progress.done, now);
    const clock = left === null ? "" : `, ${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} left`;
    return el("p", { class: "progress" }, el("label", {}, `${progress.label}: ${Math.floor(progress.done)} of ${progress.total}${clock}`,
      el("progress", { max: String(progress.total), value: String(progress.done) })));
  }
}

// What a command says. The text stays where it is in the page: at its end, or where a reader has scrolled to, and what was closed stays closed.
export class Words {
  constructor() {
    this.text = el("pre", { tabindex: "0", "aria-label": "What it says", onscroll: () => { this.follows = this.read; } });
    this.host = el("details", { hidden: true, ontoggle: () => this.follow() }, el("summary", {}, "What it says"), this.text);
    this.follows = true;
  }

  // Whether it is scrolled to its end.
  get read() { return this.text.scrollTop + this.text.clientHeight >= this.text.scrollHeight - NEAR; }

  follow() { if (this.follows) this.text.scrollTop = this.text.scrollHeight; }

  draw(job) {
    this.host.hidden = !job?.lines.length;
    if (this.host.hidden) return;
    const state = `${job.id} ${working(job)} ${job.state === "failed"}`;
    if (state !== this.state) this.host.open = working(job) || job.state === "failed";
    this.state = state;
    this.text.textContent = job.lines.join("\n");
    this.follow();
  }
}

export const latest = async (key) => (await get("/api/jobs", { key })).at(-1);

// Whether there is something new to draw.
export const mark = (job) => JSON.stringify([job?.id, job?.state, job?.progress, job?.lines.length, job?.lines.at(-1)]);

// What went wrong: the error and what follows it, which says what to do; of a command that names none, its last words.
function complaint(lines) {
  const error = lines.findLastIndex((line) => line.startsWith("error: "));
  return (error < 0 ? [lines.findLast((line) => line.trim())] : lines.slice(error, error + 4)).filter(Boolean);
}

// A command has ended: said once, for those who do not see it.
export function announce(job) {
  const command = `${ENDS[job.state] ?? job.state}: ${job.command.join(" ")}`;
  if (job.state === "failed") say([command, ...complaint(job.lines)].join("\n"), true);
  else say(command);
}

// Ask again and again; ask() gives false where it did not ask. What goes wrong is said once, and lost(error) called; then the question comes more seldom, until found() can be called. Returns how to end it.
export function asking(ask, { lost, found }) {
  let timer = 0;
  let ended = false;
  let wrong = "";
  const turn = async () => {
    try {
      const asked = await ask();
      if (wrong && asked !== false && !ended) { unsay(wrong); wrong = ""; found(); }
    } catch (error) {
      if (error.message !== wrong) {
        say(error.message, true);
        if (!ended) lost(error);
      }
      wrong = error.message;
    }
    if (!ended) timer = setTimeout(turn, wrong ? SELDOM : EVERY);
  };
  timer = setTimeout(turn, EVERY);
  return () => { ended = true; clearTimeout(timer); };
}

export const unanswered = (error) => error instanceof NoAnswer;

// The commands on one thing (the vault): the latest one, live. ended(job) is called once for each that ends while it is watched, drawn(job) with every news.
export class Work {
  constructor(key, { ended, drawn }) {
    Object.assign(this, { key, ended, told: drawn, process: null, progress: null, bar: new Bar(), words: new Words(), drawn: "", end: null });
    this.head = el("div", { class: "head" });
    this.host = el("div", { class: "status" });
  }

  // process: of a command of somewhere else, which can be watched, and not stopped.
  watch(job, process = null) {
    Object.assign(this, { job, process });
    this.draw();
    if (!this.busy || this.end) return;
    this.end = asking(() => (this.process ? this.beside() : this.tick()), {
      lost: (error) => { if (unanswered(error)) this.head.querySelector(".state").textContent = "no answer"; },
      found: () => { this.drawn = ""; this.draw(); } });
  }

  // Whether a command works there, whoever started it.
  get busy() { return working(this.job) || Boolean(this.process); }

  async start(path, body = {}) {
    const job = await post(path, body);
    say(`Started: ${job.command.join(" ")}`);
    this.watch(job);
  }

  async tick() { // in a hidden tab, too: what follows a scan need not wait for somebody to look
    this.job = (await latest(this.key)) ?? this.job;
    this.draw();
    if (working(this.job)) return;
    announce(this.job);
    this.close();
    await this.ended(this.job);
  }

  // A command of somewhere else goes on, or has ended.
  async beside() {
    Object.assign(this, await get("/api/jobs/elsewhere", { key: this.key }));
    if (!this.process) this.close();
    this.draw();
    if (this.process) return;
    say("The command in a terminal has ended.");
    await this.ended(ELSEWHERE);
  }

  draw() {
    const text = JSON.stringify([mark(this.job), this.process, this.progress]);
    if (text === this.drawn) return;
    this.drawn = text;
    this.told(this.job);
    const job = this.job;
    if (this.process) {
      redraw(this.head, el("p", {}, el("strong", { class: "state running" }, `running in process ${this.process}`)),
        el("p", { class: "note" }, "It was started outside of this page; Ctrl-C stops it there. Until it has ended, nothing can be changed here."), this.bar.draw({ progress: this.progress }));
      if (!this.host.contains(this.head) || this.host.contains(this.words.host)) replace(this.host, this.head);
      return;
    }
    if (!job || (job.state === "done" && !this.end)) { replace(this.host); return; }
    const stop = working(job) ? el("button", { onclick: once(() => this.stop()), disabled: job.state === "stopping" }, job.state === "stopping" ? "Stopping…" : "Stop") : null;
    redraw(this.head, el("p", {}, el("strong", { class: `state ${job.state}` }, job.state), " ", el("code", {}, job.command.join(" ")), stop), this.bar.draw(job));
    if (this.words.host.parentNode !== this.host) replace(this.host, this.head, this.words.host);
    this.words.draw(job);
  }

  async stop() {
    await post("/api/jobs/pause", { key: this.key });
    say("Stopping: what is finished is kept; started again, it goes on.");
  }

  close() {
    this.end?.();
    this.end = null;
  }
}
