// The images on this page, and what became of each. Whoever changes one tells; the page listens.

import { readable } from "./dom.js";

// { file, name, state, result, problem, corrected, remark, thumbnail, evidence, tile }, in the order they came.
// The state is waiting, accept, review, corrected, error or stopped.
export const images = [];

const listeners = [];

export const listen = (heard) => listeners.push(heard);

// Says that one image has changed, or, without one, anything else.
export function tell(image) {
  for (const heard of listeners) heard(image);
}

const NAMELESS = { waiting: "Waiting", error: "No answer", stopped: "Not sent" };
const PILLS = {
  waiting: "",
  accept: "Accept",
  review: "Needs review",
  error: "Error",
  stopped: "",
};

export function pillOf(image) {
  if (image.state !== "corrected") return PILLS[image.state];
  return image.corrected === image.result.label ? "Confirmed" : "Corrected";
}

// What a person said, else what the model answered.
export const labelOf = (image) => image.corrected ?? image.result?.label;

export const title = (image) =>
  image.result ? readable(labelOf(image)) : NAMELESS[image.state];

export const answered = () => images.filter((image) => image.result);

// Lines that say why there is no answer.
export function problemLines(problem) {
  const lines = [problem.message.charAt(0).toUpperCase() + problem.message.slice(1)];
  if (problem.expected) lines.push(`Expected: ${problem.expected}`);
  if (problem.received) lines.push(`Received: ${problem.received}`);
  return lines;
}
