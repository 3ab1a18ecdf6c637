// The served model, from /model: its tag, its classes and their order.

import { element, find, items, percent, readable } from "./dom.js";
import { notify } from "./images.js";
import { send } from "./requests.js";

const DEMO = "demo";
const RETRY_DELAY = 5000; // milliseconds

export const model = { classes: [], tag: "" };

export async function showModel() {
  try {
    const card = await (await send("model")).json();
    model.classes = card.contract.classes;
    model.tag = card.tag;
    showStatus("ready", card.tag);
    find("demo").hidden = card.contract.name !== DEMO;
    showFacts(card);
    notify();
  } catch (problem) {
    if (problem.status === 401) return showStatus("none", "An API key is required");
    showStatus("none", problem.code === "no_model" ? "No model is served yet" : problem.message);
    setTimeout(showModel, RETRY_DELAY);
  }
}

// Reloads the model card after a response of another model.
export function checkTag(tag) {
  if (tag !== model.tag) showModel();
}

function showStatus(state, text) {
  find("model").dataset.state = state;
  find("model-text").textContent = text;
}

function showFacts(card) {
  const facts = {
    Model: card.tag,
    Digest: card.digest.slice(0, 24),
    Classes: card.contract.classes.map(readable).join(", "),
    "Minimum confidence": percent(card.review.min_confidence),
    Trained: `${card.lineage.created_at.slice(0, 10)}, run ${card.lineage.run_id}`,
  };
  if (card.promoted) facts.Promoted = `by ${card.promoted.author}: ${card.promoted.reason}`;
  for (const [name, value] of Object.entries(card.metrics)) {
    if (typeof value === "number") facts[readable(name)] = value.toFixed(3);
  }
  find("facts").replaceChildren(
    ...Object.entries(facts).flatMap(([k, v]) => [element("dt", "", k), element("dd", "", v)]),
  );
  find("limits").replaceChildren(...items(card.limits));
  find("about").hidden = false;
}
