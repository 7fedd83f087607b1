// Readiness with its reasons, and what share of the training set each value has, beside the share that is wanted of it.

import { get, post } from "./api.js";
import { choice, el, percent, redraw, replace, say, title } from "./dom.js";

const LEVELS = { stop: "rejected", lack: "unsure", hint: "", fine: "approved" };

export async function readiness(host, page) {
  const charts = new Charts(page);
  const graded = el("div", {}, grade(page.data));
  replace(host, el("div", { class: "list" }, graded, charts.host));
  await charts.load();
  const update = async () => {
    replace(graded, grade(page.data));
    await charts.load(charts.config ?? undefined);
  };
  return { update };
}

function grade(data) {
  if (!data.readiness) return el("p", {}, "Prepare the training set to have it graded.");
  return el("section", { class: "readiness", "aria-label": "Readiness" },
    el("h2", {}, "Readiness: ", el("span", { class: `grade ${data.readiness.grade.replace(" ", "-")}` }, data.readiness.grade), " ", el("span", { class: "quiet" }, data.folder ?? "")),
    el("ul", { class: "findings" }, data.readiness.findings.map((finding) => el("li", {}, el("span", { class: `said ${LEVELS[finding.level]}` }, finding.level), " ", finding.text))));
}

class Charts {
  constructor(page) {
    Object.assign(this, { page, config: null, drafts: {} });
    this.host = el("section", { "aria-label": "Wanted shares" });
  }

  // Targets that were moved and not saved stay as they are, for each configuration.
  async load(config) {
    const data = await get("/api/dataset/shares", { ...this.page.query, config });
    if (config === undefined && data.configs.length) { await this.load(data.configs[0]); return; }
    if (this.host.querySelector("input:active")) await new Promise((done) => { window.addEventListener("pointerup", done, { once: true }); });
    this.data = data;
    this.config = data.config;
    this.draw();
  }

  get moved() { return this.drafts[this.config] ??= {}; }

  change(facet, value, share) { (this.moved[facet] ??= {})[value] = share; }

  draw() {
    const { measured, configs } = this.data;
    this.save = el("button", { class: "primary", disabled: !Object.keys(this.moved).length, onclick: () => this.write() }, "Save the targets");
    const { place, chosen, data } = this.page;
    const analyze = place.starter(measured ? "Count again" : "Count the shares", () => place.work.start("/api/vault/analyze", { person: chosen }), { allowed: Boolean(data.folder) });
    redraw(this.host, el("h2", {}, "Shares and targets"),
      el("p", { class: "quiet" }, measured ? `${measured.images} pictures, from ${measured.from}${measured.stale ? "; the training set was prepared anew since" : ""}. `
        : "The shares of the training set were not counted yet. ", analyze),
      el("div", { class: "bar" }, configs.length
        ? [choice("Configuration", configs.map((name) => [name, name]), this.config, (name) => this.load(name)), this.save, el("span", { class: "quiet" }, "Drag a target, or move it with the arrow keys.")]
        : el("p", {}, "No configuration to save targets in. Write one: ", el("code", {}, "twinloop init --output bootstrap_config.json"))),
      this.data.not_loaded.length ? el("p", { class: "quiet" }, `Facets of its own are not shown: its plug-ins were not loaded: ${this.data.not_loaded.join(", ")}. `,
        "A configuration from somebody else can run code through them; read it first. To have them loaded, name it: ", el("code", {}, "twinloop ui --config FILE")) : null,
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
    const moved = () => this.moved[facet.facet]?.[item.value]; // undefined = not moved, null = put back to the usual one
    const target = () => (moved() === undefined ? item.share : moved() ?? item.own);
    const input = el("input", { type: "range", min: "0", max: "99", step: "1", value: String(Math.round((target() ?? 0) * 100)), "aria-label": `Target of ${name}`, disabled: !this.config });
    const wanted = el("output", {});
    const show = () => {
      wanted.textContent = target() === null ? "no target" : `target ${input.value} %`;
      input.setAttribute("aria-valuetext", `${input.value} %; measured ${counted}`);
      row.classList.toggle("under", have !== null && Math.round(have * 100) < Number(input.value));
    };
    const set = (share) => {
      this.change(facet.facet, item.value, share);
      this.save.disabled = false;
      show();
    };
    input.addEventListener("input", () => { set(Number(input.value) / 100); changed(); });
    const row = el("div", { class: "share" }, el("span", {}, title(item.value)), el("span", { class: "track" }, bar, input), el("span", { class: "counted" }, counted, " · ", wanted));
    show();
    return { row, input, reset: () => { input.value = String(Math.round((item.own ?? 0) * 100)); set(null); } };
  }

  async write() {
    const config = this.config;
    await post("/api/dataset/targets", { config, shares: this.moved });
    delete this.drafts[config];
    await this.load(config);
    say(`Saved in ${config}.`);
  }
}
