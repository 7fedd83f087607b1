// Readiness with its reasons, and what share of the training set each value has, beside the share that is wanted of it.

import { get, post } from "./api.js";
import { choice, el, percent, replace, say, title } from "./dom.js";

const LEVELS = { stop: "rejected", lack: "unsure", hint: "", fine: "approved" };

export async function readiness(host, page) {
  const charts = new Charts(page);
  replace(host, el("div", { class: "list" }, grade(page.data), charts.host));
  await charts.load();
}

function grade(data) {
  if (!data.readiness) return el("p", {}, "Prepare the training set to have it graded.");
  return el("section", { class: "readiness", "aria-label": "Readiness" },
    el("h2", {}, "Readiness: ", el("span", { class: `grade ${data.readiness.grade.replace(" ", "-")}` }, data.readiness.grade), " ", el("span", { class: "quiet" }, data.folder ?? "")),
    el("ul", { class: "findings" }, data.readiness.findings.map((finding) => el("li", {}, el("span", { class: `said ${LEVELS[finding.level]}` }, finding.level), " ", finding.text))));
}

class Charts {
  constructor(page) {
    Object.assign(this, { page, config: null, moved: {} });
    this.host = el("section", { "aria-label": "Wanted shares" });
  }

  async load(config) {
    this.data = await get("/api/dataset/shares", { ...this.page.query, config });
    if (config === undefined && this.data.configs.length) { await this.load(this.data.configs[0]); return; }
    this.config = this.data.config;
    this.moved = {};
    this.draw();
  }

  draw() {
    const { measured, configs } = this.data;
    this.save = el("button", { class: "primary", disabled: true, onclick: () => this.write() }, "Save the targets");
    const analyze = el("button", { onclick: () => this.page.place.work.start("/api/vault/analyze", { person: this.page.chosen }), disabled: !this.page.data.folder }, measured ? "Count again" : "Count the shares");
    replace(this.host, el("h2", {}, "Shares and targets"),
      el("p", { class: "quiet" }, measured ? `${measured.images} pictures, from ${measured.from}${measured.stale ? "; the training set was prepared anew since" : ""}. `
        : "The shares of the training set were not counted yet. ", analyze),
      el("div", { class: "bar" }, configs.length
        ? [choice("Configuration", configs.map((name) => [name, name]), this.config, (name) => this.load(name)), this.save, el("span", { class: "quiet" }, "Drag a target, or move it with the arrow keys.")]
        : el("p", {}, "No configuration to save targets in. Write one: ", el("code", {}, "twinloop init --output bootstrap_config.json"))),
      this.data.targets.map((facet) => this.facet(facet)));
  }

  facet(facet) {
    const known = this.data.measured?.facets[facet.facet];
    const sum = el("p", { class: "quiet", role: "status" });
    const sliders = facet.values.map((item) => this.value(facet, item, known?.values[item.value], () => tell()));
    const tell = () => {
      const total = sliders.reduce((all, slider) => all + Number(slider.input.value), 0);
      const over = !facet.multiple && total > 100;
      sum.textContent = facet.multiple ? "Several of them may hold at once." : `The targets add up to ${total} %${over ? ": more than all" : ""}.`;
      sum.classList.toggle("problem", over);
    };
    const reset = () => {
      for (const slider of sliders) slider.reset();
      tell();
    };
    tell();
    const missing = this.data.measured?.not_measured[facet.facet];
    return el("fieldset", { class: "facet" }, el("legend", {}, title(facet.facet)), missing ? el("p", { class: "quiet" }, `Not measured: ${missing}.`) : null,
      sliders.map((slider) => slider.row), el("div", { class: "bar" }, sum, this.config ? el("button", { onclick: reset }, `Usual targets of ${title(facet.facet)}`) : null));
  }

  value(facet, item, known, changed) {
    const name = `${title(facet.facet)}: ${title(item.value)}`;
    const have = known?.measured ? known.share : null;
    const counted = have === null ? "not counted" : `${percent(have)} (${known.count} of ${known.measured})`;
    const bar = el("span", { class: "have" });
    bar.style.width = percent(have ?? 0).replace(" ", "");
    const input = el("input", { type: "range", min: "0", max: "99", step: "1", value: String(Math.round((item.share ?? 0) * 100)), "aria-label": `Target of ${name}`, disabled: !this.config });
    const wanted = el("output", {});
    const show = () => {
      const none = item.share === null && this.moved[facet.facet]?.[item.value] === undefined;
      wanted.textContent = none ? "no target" : `target ${input.value} %`;
      input.setAttribute("aria-valuetext", `${input.value} %; measured ${counted}`);
      row.classList.toggle("under", have !== null && Math.round(have * 100) < Number(input.value));
    };
    const set = (share) => {
      (this.moved[facet.facet] ??= {})[item.value] = share;
      this.save.disabled = false;
      show();
    };
    input.addEventListener("input", () => { set(Number(input.value) / 100); changed(); });
    const row = el("div", { class: "share" }, el("span", {}, title(item.value)), el("span", { class: "track" }, bar, input), el("span", { class: "counted" }, counted, " · ", wanted));
    show();
    return { row, input, reset: () => { input.value = String(Math.round((item.own ?? 0) * 100)); set(null); } };
  }

  async write() {
    await post("/api/dataset/targets", { config: this.config, shares: this.moved });
    await this.load(this.config);
    say(`Saved in ${this.config}.`);
  }
}
