// How far the images are, and how they were answered.

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
  find("results").hidden = total === 0;
  document.body.toggleAttribute("data-used", total > 0);
  find("run").hidden = stopped === 0 && (total < 2 || waiting === 0);
  find("progress").max = total;
  find("progress").value = total - waiting - stopped;
  find("progress-words").textContent = `${total - waiting - stopped} of ${total}`;
  find("stop").textContent = waiting ? "Stop" : "Go on";
  find("tally").textContent = waiting ? inWords(total) : tally(total);
}

const count = (state) => images.filter((image) => image.state === state).length;

const inWords = (total) => `${total} image${total === 1 ? "" : "s"}`;

// Told once all are answered: a screen reader would read every step of it.
function tally(total) {
  const parts = Object.entries(WORDS)
    .map(([state, words]) => [count(state), words])
    .filter(([number]) => number)
    .map(([number, words]) => `${number} ${words}`);
  return [inWords(total), ...parts].join(" · ");
}
