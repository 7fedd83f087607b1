// The server's JSON interface. An error carries the server's own words.

import { unsayProblem } from "./dom.js";

async function answer(response) {
  const text = await response.text();
  let data = null;
  try { data = text ? JSON.parse(text) : null; } catch { /* not JSON: a refusal in plain words */ }
  if (!response.ok) throw new Error(data?.error ?? data?.detail ?? (text || response.statusText));
  return data;
}

export function address(path, query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  return pairs.length ? `${path}?${new URLSearchParams(pairs)}` : path;
}

// Nobody answers at all.
export class NoAnswer extends Error {
  constructor() { super("The server does not answer. If it was ended, start twinloop ui again and open the new address; what was saved is kept."); }
}

// Where nobody answers, the browser says only that it failed.
async function asked(path, options) {
  try { return await fetch(path, options); } catch { throw new NoAnswer(); }
}

// Why an address gives no picture, in the server's words; null where it gives one.
export async function refusal(path) {
  try { await answer(await asked(path)); return null; } catch (error) { return error.message; }
}

export const get = async (path, query) => answer(await asked(address(path, query)));

// What the person does: what went wrong before is settled.
export const post = async (path, body) => {
  unsayProblem();
  return answer(await asked(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }));
};
