// People: the faces that belong together, as contact sheets. Name, merge, split, "not this person", hide; all of it can be undone.

import { address, get, post } from "./api.js";
import { choice, el, once, plural, replace, say } from "./dom.js";
import { Grid, named } from "./grid.js";
import { looked } from "./pictures.js";
import { inVault } from "./vault.js";

const STRANGERS = "strangers";
const MANY = 20; // people, from which a name is looked for rather than scrolled to

export const people = (host, query) => inVault(host, "People", async (place) => {
  const page = new People(host, place, query.get("person"));
  await page.load();
  return { close: page.close, change: (asked) => page.choose(asked.get("person")) };
});

const picture = (face) => address("/api/people/face", { sha256: face.sha256, box: face.box.join(",") });
const hashOf = (id) => `#/people?person=${encodeURIComponent(id)}`;
const called = (person) => person.name ?? person.id;

// A choice among people, with the face of the one who is chosen: it is all that is known of who has no name yet.
function whom(label, people, selected, change) {
  const face = el("img", { alt: "", width: "32", height: "32" });
  const show = (id) => {
    const { cover } = people.find((person) => person.id === id);
    face.hidden = !cover;
    if (cover) face.src = picture(cover);
  };
  show(selected);
  return el("span", { class: "whom" }, choice(label, people.map((person) => [person.id, called(person)]), selected, (value) => { show(value); change(value); }), face);
}

class People {
  constructor(host, place, wanted) {
    Object.assign(this, { host, place, wanted, looking: "", shows: 0 });
    this.close = () => { this.grid?.close(); place.close(); };
    place.follow(() => this.load());
  }

  async load(wanted = this.wanted) {
    this.wanted = wanted;
    const { people: all, strangers } = await get("/api/people");
    Object.assign(this, { all, strangers });
    this.shown = all.filter((person) => !person.hidden);
    this.hidden = all.filter((person) => person.hidden);
    this.chosen = this.known(wanted) ? wanted : this.shown[0]?.id ?? null;
    const top = this.people?.scrollTop ?? 0;
    this.people = this.list();
    this.detail = el("section", { class: "person", "aria-label": "Faces" });
    const faces = all.reduce((sum, person) => sum + person.faces, 0);
    replace(this.host, el("div", { class: "bar" }, el("h1", {}, "People"), el("p", { class: "quiet" }, `${plural(this.shown.length, "person", "people")}, ${plural(faces, "face")}, ${strangers.faces} of strangers`),
      this.place.undo(() => this.load()), this.history(),
      el("details", {}, el("summary", {}, "Add photos"), this.place.scanForm(this.place.state.status.models_dir))), this.place.work.host, this.place.behind(), el("div", { class: "split narrow" }, this.people, this.detail));
    this.people.scrollTop = top;
    this.find();
    this.mark();
    await this.show();
  }

  known(id) { return id === STRANGERS || this.all.some((person) => person.id === id); }

  // Another person of the list, which stays as it is; false where the list knows nobody of that name.
  async choose(wanted) {
    const next = wanted ?? this.shown[0]?.id;
    if (!this.known(next)) return false;
    this.wanted = this.chosen = next;
    this.mark();
    await this.show();
    return true;
  }

  // The chosen person in the list, in sight, and in the address: the address of a person who was merged away leads nowhere.
  mark() {
    this.people.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const link = this.chosen && this.people.querySelector(`a[href="${hashOf(this.chosen)}"]`);
    if (link) {
      link.setAttribute("aria-current", "true");
      const folded = link.closest("details");
      if (folded) folded.open = true;
      const [list, item] = [this.people.getBoundingClientRect(), link.getBoundingClientRect()];
      if (item.top < list.top || item.bottom > list.bottom) this.people.scrollTop += item.top - list.top - list.height / 3;
    }
    if (this.host.isConnected) history.replaceState(null, "", this.chosen ? hashOf(this.chosen) : "#/people");
  }

  list() {
    const items = (people) => el("ul", {}, people.map((person) => el("li", {}, this.link(person.id, called(person), person))));
    return el("nav", { class: "list sheet", "aria-label": "People" }, this.all.length > MANY ? this.finder() : null, items(this.shown),
      this.hidden.length ? el("details", { open: this.hidden.some((person) => person.id === this.chosen) }, el("summary", {}, `Hidden: ${this.hidden.length}`), items(this.hidden)) : null,
      this.strangers.faces ? el("ul", {}, el("li", {}, this.link(STRANGERS, "Strangers", this.strangers))) : null);
  }

  // Among many people: only those whose name has these letters.
  finder() {
    const show = (event) => { this.looking = event.target.value; this.find(); };
    return el("input", { type: "search", value: this.looking, placeholder: "find a name…", "aria-label": "Show people whose name has", oninput: show });
  }

  find() {
    const wanted = this.looking.trim().toLowerCase();
    for (const item of this.people.querySelectorAll("li")) item.hidden = !item.querySelector("strong").textContent.toLowerCase().includes(wanted);
  }

  link(id, name, { faces, cover, name: given, called_in_photos }) {
    return el("a", { href: hashOf(id) },
      cover ? el("img", { src: picture(cover), alt: "", width: "48", height: "48", loading: "lazy" }) : null,
      el("span", {}, el("strong", {}, name), el("span", { class: "quiet" }, plural(faces, "face"), !given && called_in_photos ? `, called “${called_in_photos}” in your photos` : "")));
  }

  history() {
    const host = el("ol", { reversed: true });
    const open = async (event) => {
      if (!event.target.open) return;
      const found = await get("/api/people/history");
      replace(host, found.length ? found.toReversed().map((item) => el("li", { class: item.undone ? "undone" : "" }, `${item.when.replace("T", " ").slice(0, 16)} ${item.text}`, item.undone ? " (taken back)" : ""))
        : el("li", {}, "Nothing was decided yet."));
    };
    return el("details", { class: "history", ontoggle: open }, el("summary", {}, "History"), host);
  }

  async show() {
    const turn = ++this.shows;
    if (!this.chosen) { replace(this.detail, el("p", {}, "No person was found: every face is a stranger's.")); return; }
    const person = await get("/api/people/person", { person: this.chosen });
    if (turn !== this.shows) return; // another one was chosen meanwhile
    this.grid?.close();
    this.person = person;
    const gallery = el("div", { class: "gallery" });
    replace(this.detail, this.head(), this.tools(), gallery);
    this.grid = new Grid(gallery, { label: `Faces of ${this.title()}`, multiple: true, width: 130, height: 152, tile: (face, index) => this.tile(face, index),
      onopen: (face) => this.look(face), onmark: (marked) => this.tell(marked.size) });
    this.grid.set(this.person.faces);
  }

  title() { return this.chosen === STRANGERS ? "strangers" : called(this.person); }

  tile(face, index) { return { image: picture(face), ...named(face.name), label: `Face ${index + 1} of ${this.person.faces.length}, ${face.name}` }; }

  head() {
    if (this.chosen === STRANGERS) return el("p", { class: "quiet" }, "Faces that are like nobody's often enough. Mark some that are one person, and make a new person of them.");
    const { id, name, hidden } = this.person;
    const field = el("input", { type: "text", value: name ?? "", placeholder: id, "aria-label": "Name", size: "16" });
    const rename = async (event) => {
      event.preventDefault();
      if (!field.value.trim()) { say("Type a name.", true); field.focus(); return; }
      await this.decide("name", { name: field.value }, `${id} is called ${field.value} now.`);
    };
    // the second click of a double click would say the same once more
    const single = (event) => { if (event.detail > 1) event.preventDefault(); };
    const others = this.all.filter((person) => person.id !== id);
    let into = others[0]?.id;
    return el("div", { class: "bar" }, el("form", { class: "bar", onsubmit: rename, "aria-label": "Name of the person" }, field, el("button", { onclick: single }, "Save the name"), el("span", { class: "quiet" }, id)),
      this.inPhotos(),
      others.length ? el("span", { class: "buttons" }, whom("Same person as", others, into, (value) => { into = value; }),
        el("button", { onclick: once(() => this.merge(into)) }, "Merge")) : null,
      el("button", { onclick: once(() => this.decide(hidden ? "show" : "hide", {}, hidden ? `${this.title()} is shown again.` : `${this.title()} is hidden.`)) }, hidden ? "Show" : "Hide"),
      el("a", { href: `#/dataset?person=${encodeURIComponent(id)}` }, "Dataset"));
  }

  // What photo programs called the person: nobody has such a name before the user takes it.
  inPhotos() {
    const { id, name, called_in_photos: said, named_in_photos: counts, may_mix: mixed } = this.person;
    const faces = (item) => `“${item.name}” (${plural(item.faces, "face")})`;
    const use = () => this.decide("name", { name: said }, `${id} is called ${said} now.`);
    return [
      said && !name ? el("span", { class: "buttons" }, `In your photos: ${faces(counts[0])}`, el("button", { onclick: once(use) }, "Use this name")) : null,
      mixed ? el("span", { class: "quiet" }, `May mix two people, by the names in your photos: ${counts.slice(0, 5).map(faces).join(", ")}.`) : null,
    ];
  }

  // What can be said of marked faces. Drawn once: who they are stays chosen while more are marked, and from one move to the next.
  tools() {
    const act = (text, what, told, extra = () => ({})) => el("button", { onclick: once(() => this.marked(what, extra(), told)) }, text);
    const others = this.all.filter((person) => person.id !== this.chosen);
    if (!others.some((person) => person.id === this.other)) this.other = others[0]?.id;
    this.count = el("strong", { role: "status" });
    const split = act("Make a new person of these", "split", (count) => `${plural(count, "face is", "faces are")} a new person now.`);
    const reject = this.chosen === STRANGERS ? null
      : act("Not this person", "reject", (count) => `${plural(count, "face does", "faces do")} not belong to ${this.title()} any more.`);
    const move = others.length ? act("Move", "assign", (count) => `${plural(count, "face")} moved.`, () => ({ person: this.other })) : null;
    this.acts = [split, reject, move].filter(Boolean);
    return el("div", { class: "bar tools" }, this.count, split, reject,
      move ? el("span", { class: "buttons" }, whom("They are", others, this.other, (value) => { this.other = value; }), move) : null,
      el("span", { class: "quiet" }, "Click or ", el("kbd", {}, "Space"), " marks, ", el("kbd", {}, "Shift"), "+click a row of them, ", el("kbd", {}, "Enter"), " shows the photo."));
  }

  tell(count) {
    this.count.textContent = `${count} marked`;
    for (const button of this.acts) button.disabled = !count;
  }

  marked(what, extra, told) {
    const faces = this.grid.chosen.map(({ sha256, box }) => ({ sha256, box }));
    return this.decide(what, { faces, ...extra }, told(faces.length));
  }

  async merge(into) {
    await this.decide("merge", { into }, `${this.title()} is the same person as ${called(this.all.find((person) => person.id === into))} now.`, into);
  }

  // One decision at a time: until the people are drawn anew, what a click means may have changed.
  async decide(what, body, told, next = this.chosen) {
    if (this.deciding) return;
    this.deciding = true;
    try {
      await post(`/api/people/${what}`, { person: this.chosen, ...body });
      await this.load(next);
    } finally { this.deciding = false; }
    this.grid?.list.focus();
    say(`${told} Undo takes it back.`);
  }

  look(face) {
    const [x0, y0, x1, y1] = face.box;
    const frame = el("span", { class: "frame" });
    Object.assign(frame.style, { left: `${100 * x0}%`, top: `${100 * y0}%`, width: `${100 * (x1 - x0)}%`, height: `${100 * (y1 - y0)}%` });
    const dialog = el("dialog", { "aria-label": face.name, onclose: () => { dialog.remove(); this.grid.list.focus(); } },
      el("div", { class: "framed" }, looked({ src: address("/api/vault/photo", { sha256: face.sha256, size: 1280 }), alt: `Photo ${face.name}` }), frame),
      el("p", { class: "bar" }, face.name, el("button", { autofocus: true, onclick: () => dialog.close() }, "Close")));
    this.host.append(dialog);
    dialog.showModal();
  }
}
