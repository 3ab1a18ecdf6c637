// Progress and summary of all images.

import { find } from "./dom.js";
import { images } from "./images.js";

const WORDS = {
  accept: "accepted",
  review: "to review",
  corrected: "checked by a person",
  error: "failed",
  stopped: "not sent",
};

export function showSummary() {
  const total = images.length;
  const [waiting, stopped] = [count("waiting"), count("stopped")];
  const done = total - waiting - stopped;
  find("results").hidden = total === 0;
  document.body.toggleAttribute("data-used", total > 0);
  find("run").hidden = stopped === 0 && (total < 2 || waiting === 0);
  find("progress").max = total;
  find("progress").value = done;
  find("progress-words").textContent = `${done} of ${total}`;
  find("stop").textContent = waiting ? "Stop" : "Resume";
  find("tally").textContent = waiting ? inWords(total) : tally(total);
}

// One line on the files of the last choice that are not sent; none without such files.
export function showLeftOut(ignored, skipped) {
  const parts = [
    [ignored, "metadata file"],
    [skipped, "other file"],
  ]
    .filter(([number]) => number)
    .map(([number, words]) => `${number} ${words}${number === 1 ? "" : "s"} skipped`);
  find("left-out").textContent = parts.join(" · ");
  find("left-out").hidden = parts.length === 0;
}

const count = (state) => images.filter((image) => image.state === state).length;

const inWords = (total) => `${total} image${total === 1 ? "" : "s"}`;

// Shown only once all images are done: a screen reader would read every step.
function tally(total) {
  const parts = Object.entries(WORDS)
    .map(([state, words]) => [count(state), words])
    .filter(([number]) => number)
    .map(([number, words]) => `${number} ${words}`);
  return [inWords(total), ...parts].join(" · ");
}
