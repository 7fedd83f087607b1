// The server's JSON interface. An error carries the server's own words.

async function answer(response) {
  const text = await response.text();
  let data = null;
  try { data = text ? JSON.parse(text) : null; } catch { /* not JSON: a refusal in plain words */ }
  if (!response.ok) throw new Error(data?.error ?? (typeof data?.detail === "object" ? JSON.stringify(data.detail) : data?.detail ?? (text || response.statusText)));
  return data;
}

export function address(path, query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  return pairs.length ? `${path}?${new URLSearchParams(pairs)}` : path;
}

export const get = async (path, query) => answer(await fetch(address(path, query)));

export const post = async (path, body) =>
  answer(await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }));
