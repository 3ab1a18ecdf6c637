// Which model is served: its classes and their order come from /model, never from this page.

import { element, find, items, percent, readable } from "./dom.js";
import { tell } from "./images.js";
import { send } from "./requests.js";

const DEMO = "demo";
const AGAIN = 5000; // milliseconds

export const model = { classes: [], tag: "" };

export async function showModel() {
  try {
    const card = await (await send("model")).json();
    model.classes = card.contract.classes;
    model.tag = card.tag;
    say("ready", card.tag);
    find("drawn").hidden = card.contract.name !== DEMO;
    showFacts(card);
    tell();
  } catch (problem) {
    if (problem.status === 401) return say("none", "An API key is needed");
    say("none", problem.code === "no_model" ? "No model is served yet" : problem.message);
    setTimeout(showModel, AGAIN);
  }
}

// An answer of another model than the one that is shown: look again.
export function sawTag(tag) {
  if (tag !== model.tag) showModel();
}

function say(state, text) {
  find("model").dataset.state = state;
  find("model-text").textContent = text;
}

function showFacts(card) {
  const facts = {
    Model: card.tag,
    Digest: card.digest.slice(0, 24),
    Classes: card.contract.classes.map(readable).join(", "),
    "Accepted from": percent(card.review.min_confidence),
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
