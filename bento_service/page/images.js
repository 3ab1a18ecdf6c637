// The images of this page and their states. Code that changes an image calls `notify`.

import { readable } from "./dom.js";

// { file, name, state, result, problem, corrected, receipt, thumbnail, evidence, tile }, as added.
// States: waiting, accept, review, corrected, error, stopped.
export const images = [];

const listeners = [];

export const listen = (listener) => listeners.push(listener);

// Reports a change of one image, or, without an argument, any other change.
export function notify(image) {
  for (const listener of listeners) listener(image);
}

const TITLES = { waiting: "Waiting", error: "No result", stopped: "Not sent" };
const PILLS = {
  waiting: "",
  accept: "Accepted",
  review: "Needs review",
  error: "Error",
  stopped: "",
};

export function pillOf(image) {
  if (image.state !== "corrected") return PILLS[image.state];
  return image.corrected === image.result.label ? "Confirmed" : "Corrected";
}

// The label of a person if there is one, else the model's.
export const labelOf = (image) => image.corrected ?? image.result?.label;

export const title = (image) =>
  image.result ? readable(labelOf(image)) : TITLES[image.state];

export const classified = () => images.filter((image) => image.result);

// An error of the service as lines of text.
export function problemLines(problem) {
  const lines = [problem.message.charAt(0).toUpperCase() + problem.message.slice(1)];
  if (problem.expected) lines.push(`Expected: ${problem.expected}`);
  if (problem.received) lines.push(`Received: ${problem.received}`);
  return lines;
}
