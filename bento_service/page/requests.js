// Requests to the service: retries while it is busy, asks for an API key on 401, and throws the
// error body of any other failure.

import { apiKey, askForKey } from "./key.js";

const MAX_ATTEMPTS = 30;
const MAX_DELAY = 60; // seconds between two attempts

// Resolves after some seconds, or at once when the signal aborts.
export const pause = (seconds, signal) =>
  new Promise((done) => {
    setTimeout(done, seconds * 1000);
    signal?.addEventListener("abort", done, { once: true });
  });

// The response of a route; `request` is the second argument of fetch.
export async function send(route, request = {}) {
  for (let attempt = 1; ; attempt += 1) {
    const key = apiKey();
    const response = await call(route, request, key);
    if (response.ok) return response;
    if (response.status === 429 && attempt < MAX_ATTEMPTS) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await pause(Math.min(seconds, MAX_DELAY), request.signal);
      continue;
    }
    const problem = await problemOf(response);
    if (response.status !== 401) throw problem;
    await askForKey(key, problem);
  }
}

export function sendImage(route, file, signal) {
  const body = new FormData();
  body.append("image", file, "image"); // the file name is not sent
  return send(route, { method: "POST", body, signal });
}

export function sendJson(route, body) {
  return send(route, { method: "POST", headers: { "Content-Type": "application/json" }, body });
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
  const problem = body.error ?? { message: `The service responded with status ${response.status}.` };
  return { ...problem, status: response.status };
}
