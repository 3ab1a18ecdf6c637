// Sends the images to /classify, a few at a time, until all are answered or a person stops it.

import { images, tell } from "./images.js";
import { sawTag } from "./model.js";
import { thumbnail } from "./pictures.js";
import { sendImage } from "./requests.js";

const AT_ONCE = 2;

let waiting = [];
let running = 0;
let stopping = new AbortController();

export function enqueue(more) {
  waiting.push(...more);
  while (running < AT_ONCE && waiting.length) work();
}

// Ends what runs; whatever has no answer by now gets none.
export function stop() {
  stopping.abort();
  stopping = new AbortController();
  waiting = [];
  setAll("waiting", "stopped");
}

// Sends what was stopped.
export const goOn = () => enqueue(setAll("stopped", "waiting"));

function setAll(from, to) {
  const found = images.filter(({ state }) => state === from);
  for (const image of found) {
    image.state = to;
    tell(image);
  }
  return found;
}

async function work() {
  running += 1;
  const { signal } = stopping;
  while (waiting.length && !signal.aborted) {
    const image = waiting.shift();
    await answer(image, signal);
    tell(image);
  }
  running -= 1;
  enqueue([]); // what came while a stopped request was ending
  tell();
}

async function answer(image, signal) {
  // The browser turns the picture upright as the service does, so their pixels agree.
  const picture = await createImageBitmap(image.file).catch(() => null);
  await judge(image, signal);
  if (picture && !signal.aborted) {
    image.thumbnail ??= await thumbnail(picture, image.result?.cell);
  }
  picture?.close();
}

async function judge(image, signal) {
  try {
    const result = await (await sendImage("classify", image.file, signal)).json();
    Object.assign(image, { result, state: result.decision });
    sawTag(result.tag);
  } catch (problem) {
    if (signal.aborted) return;
    if (problem.status === 401) return stop(); // no key was given: do not ask for each image
    Object.assign(image, { problem, state: "error" });
  }
}
