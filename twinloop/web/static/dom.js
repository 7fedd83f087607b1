// Small helpers for building the page. Text is always set as text, never as markup.

export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const replace = (host, ...children) => host.replaceChildren(...children.flat().filter(Boolean));

const called = (control) => [control.tagName, control.getAttribute("aria-label"), control.getAttribute("href") ?? control.textContent].join("|");

// The control within that has the keyboard, by its name; null where none has. And the keyboard to the control of that name: whether there is one.
export const focused = (host) => (host.contains(document.activeElement) ? called(document.activeElement) : null);

export function refocus(host, held) {
  const control = held && [...host.querySelectorAll("a, button, select, input, pre, summary")].find((one) => called(one) === held);
  control?.focus();
  return Boolean(control) && document.activeElement === control;
}

// As replace, for what is drawn again and again: the keyboard stays on the control of the same name.
export function redraw(host, ...children) {
  const held = focused(host);
  replace(host, ...children);
  return refocus(host, held);
}

// What a click does, once: not for the second click of a double click, which may fall on what has come since, nor while the first is at work.
export function once(act) {
  let working = false;
  return async (event) => {
    if (working || event.detail > 1) return;
    working = true;
    try { await act(event); } finally { working = false; }
  };
}

const READ = 5000; // milliseconds
let clearing;
const place = () => document.getElementById("said");
const quiet = () => { clearTimeout(clearing); Object.assign(place(), { className: "", textContent: "" }); };

// The keyboard goes back to where it came from.
function dismisser() {
  let before = null;
  return el("button", { "aria-label": "Dismiss", title: "Dismiss (Escape)", onfocus: (event) => { before = event.relatedTarget; }, onclick: () => { quiet(); before?.focus(); } });
}

// Tell the person what happened: seen at the foot of the page, and read out by screen readers. What went wrong stays until it is dismissed, or the person does something else.
export function say(text, problem = false) {
  clearTimeout(clearing);
  place().className = problem ? "problem" : "";
  if (problem) replace(place(), el("span", {}, text), dismisser());
  else {
    place().textContent = text;
    clearing = setTimeout(quiet, READ);
  }
}

// What was said does not hold any more.
export function unsay(text) { if (place().textContent === text) quiet(); }

// The person has seen what went wrong, and goes on.
export function unsayProblem() { if (place().className === "problem") quiet(); }

export const percent = (value) => `${Math.round(value * 100)} %`;

export const number = (value, digits = 3) => (typeof value === "number" ? Number(value.toFixed(digits)).toString() : "–");

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

export const title = (name) => name.replaceAll("_", " ").replaceAll("-", " ");

const MINUS = "\u2212";
const fixed = (value, digits = 3) => value.toFixed(digits).replace("-", MINUS);

// An estimate with its interval, all with the same digits.
export const estimate = (item) =>
  item ? `${fixed(item.value)} (${fixed(item.low)} to ${fixed(item.high)})` : "–";

// A change with its interval, in percent.
export const change = (item) => {
  const signed = (value) => `${value > 0 ? "+" : ""}${fixed(100 * value, 1)}`;
  return item ? `${signed(item.value)} % (${signed(item.low)} to ${signed(item.high)})` : "–";
};

export function choice(label, values, selected, change) {
  const list = el("select", { onchange: (event) => change(event.target.value) },
    values.map(([value, text]) => el("option", { value, selected: value === selected }, text)));
  return el("label", { class: "choice" }, label, " ", list);
}
