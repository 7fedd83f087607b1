// Pictures that may be gone: the photos' folder is on another disk, or was moved. The browser shows nothing then; the server says why.

import { refusal } from "./api.js";
import { el } from "./dom.js";

// Pictures that are about to go, and have not come yet, are not waited for: what is asked for next would come after them.
export function unasked(host) {
  for (const image of host.querySelectorAll("img")) if (!image.complete) image.removeAttribute("src");
}

// A picture to look at; where it cannot be shown, the reason stands in its place.
export function looked(attributes) {
  const image = el("img", { ...attributes, onerror: async () => {
    const why = await refusal(attributes.src);
    if (why) image.replaceWith(el("p", { class: "problem", role: "status" }, why));
  } });
  return image;
}
