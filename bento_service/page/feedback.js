// What a person says about an answer: sent to /feedback, shown and counted here.

import { element, find, readable } from "./dom.js";
import { problemLines, tell } from "./images.js";
import { model } from "./model.js";
import { send } from "./requests.js";

const REVIEWER = "leukoflow-reviewer"; // where the browser remembers the name

let subject = null;
let chosen = null;
let sending = false;

export function offerCorrection(image) {
  find("correct").hidden = !image.result;
  if (image !== subject) chosen = image.corrected ?? null;
  subject = image;
  say(image.remark ?? "");
  paint();
}

// Takes the class with this place, from 0, as if it had been pressed.
export function choose(place) {
  if (!subject?.result || place >= model.classes.length) return;
  chosen = model.classes[place];
  paint();
  find("send").focus();
}

function paint() {
  const buttons = [...find("choices").children];
  if (buttons.map((button) => button.value).join() !== model.classes.join()) {
    find("choices").replaceChildren(...model.classes.map(choice));
  }
  for (const button of find("choices").children) {
    button.setAttribute("aria-pressed", String(button.value === chosen));
  }
}

function choice(name, place) {
  const button = element("button");
  button.type = "button";
  button.value = name;
  const key = element("kbd", "", String(place + 1));
  key.setAttribute("aria-hidden", "true");
  button.append(key, readable(name));
  button.addEventListener("click", () => choose(place));
  return button;
}

async function correct(event) {
  event.preventDefault();
  if (sending) return;
  if (!chosen) return say("Choose a class first.");
  const image = subject;
  const reviewer = find("reviewer").value.trim();
  localStorage.setItem(REVIEWER, reviewer);
  sending = true;
  try {
    const answer = await post({ request_id: image.result.request_id, label: chosen, reviewer });
    Object.assign(image, { state: "corrected", corrected: answer.label, remark: answer.message });
    tell(image);
  } catch (problem) {
    if (image === subject) say(problemLines(problem).join(" "));
  }
  sending = false;
}

async function post(said) {
  const headers = { "Content-Type": "application/json" };
  const response = await send("feedback", { method: "POST", headers, body: JSON.stringify(said) });
  return response.json();
}

function say(text) {
  find("correct-said").textContent = text;
}

find("reviewer").value = localStorage.getItem(REVIEWER) ?? "";
find("correct").addEventListener("submit", correct);
