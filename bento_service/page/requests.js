// The one way to the service: tries again while it is busy, asks for a key where it wants one, and
// throws its error body otherwise.

import { apiKey, askForKey } from "./key.js";

const TRIES = 30;
const LONGEST = 60; // seconds between two tries

const pause = (seconds, signal) =>
  new Promise((done) => {
    setTimeout(done, seconds * 1000);
    signal?.addEventListener("abort", done, { once: true });
  });

// The response of a route; `request` is what fetch takes.
export async function send(route, request = {}) {
  for (let attempt = 1; ; attempt += 1) {
    const key = apiKey();
    const response = await call(route, request, key);
    if (response.ok) return response;
    if (response.status === 429 && attempt < TRIES) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await pause(Math.min(seconds, LONGEST), request.signal);
      continue;
    }
    const problem = await problemOf(response);
    if (response.status !== 401) throw problem;
    await askForKey(key, problem);
  }
}

export function sendImage(route, file, signal) {
  const body = new FormData();
  body.append("image", file, "image"); // its own name stays here
  return send(route, { method: "POST", body, signal });
}

async function call(route, request, key) {
  const headers = key ? { ...request.headers, "X-API-Key": key } : request.headers;
  try {
    return await fetch(route, { ...request, headers });
  } catch {
    request.signal?.throwIfAborted();
    throw { code: "unreachable", message: "The service cannot be reached." };
  }
}

async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  const problem = body.error ?? { message: `The service answered ${response.status}.` };
  return { ...problem, status: response.status };
}
