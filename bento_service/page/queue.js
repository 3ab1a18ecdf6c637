// Upload queue: sends images to /classify, a few at a time, until all are done or stopped.

import { images, notify } from "./images.js";
import { checkTag } from "./model.js";
import { thumbnail } from "./pictures.js";
import { sendImage } from "./requests.js";

const MAX_CONCURRENT = 2;

let waiting = [];
let running = 0;
let aborting = new AbortController();

export function enqueue(more) {
  waiting.push(...more);
  while (running < MAX_CONCURRENT && waiting.length) work();
}

// Aborts running requests; images without a result become "stopped".
export function stop() {
  aborting.abort();
  aborting = new AbortController();
  waiting = [];
  setAll("waiting", "stopped");
}

// Sends the stopped images.
export const resume = () => enqueue(setAll("stopped", "waiting"));

function setAll(from, to) {
  const matching = images.filter(({ state }) => state === from);
  for (const image of matching) {
    image.state = to;
    notify(image);
  }
  return matching;
}

async function work() {
  running += 1;
  const { signal } = aborting;
  while (waiting.length && !signal.aborted) {
    const image = waiting.shift();
    await process(image, signal);
    notify(image);
  }
  running -= 1;
  enqueue([]); // images added while an aborted request was ending
  notify();
}

async function process(image, signal) {
  // The browser applies the EXIF orientation as the service does, so that pixels agree.
  const picture = await createImageBitmap(image.file).catch(() => null);
  await classify(image, signal);
  if (picture && !signal.aborted) {
    image.thumbnail ??= await thumbnail(picture, image.result?.cell);
  }
  picture?.close();
}

async function classify(image, signal) {
  try {
    const result = await (await sendImage("classify", image.file, signal)).json();
    Object.assign(image, { result, state: result.decision });
    checkTag(result.tag);
  } catch (problem) {
    if (signal.aborted) return;
    if (problem.status === 401) return stop(); // no key was entered: do not ask for each image
    Object.assign(image, { problem, state: "error" });
  }
}
