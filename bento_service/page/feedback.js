// Feedback: sends the label of a person to /feedback and shows it.

import { element, find, readable } from "./dom.js";
import { notify, problemLines } from "./images.js";
import { model } from "./model.js";
import { sendJson } from "./requests.js";

const REVIEWER = "leukoflow-reviewer"; // key in localStorage

let subject = null; // the image in the detail view
let chosen = null; // the chosen class
let sending = false;

export function offerCorrection(image) {
  find("correct").hidden = !image.result;
  if (image !== subject) chosen = image.corrected ?? null;
  subject = image;
  showStatus(image.receipt ?? "");
  paint();
}

// Chooses the class with this index, from 0, as if its button were pressed.
export function choose(index) {
  if (!subject?.result || index >= model.classes.length) return;
  chosen = model.classes[index];
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

function choice(name, index) {
  const button = element("button");
  button.type = "button";
  button.value = name;
  const key = element("kbd", "", String(index + 1));
  key.setAttribute("aria-hidden", "true");
  button.append(key, readable(name));
  button.addEventListener("click", () => choose(index));
  return button;
}

async function correct(event) {
  event.preventDefault();
  if (sending) return;
  if (!chosen) return showStatus("Choose a class first.");
  const image = subject;
  const reviewer = find("reviewer").value.trim();
  localStorage.setItem(REVIEWER, reviewer);
  sending = true;
  try {
    const feedback = { request_id: image.result.request_id, label: chosen, reviewer };
    const receipt = await (await sendJson("feedback", JSON.stringify(feedback))).json();
    Object.assign(image, { state: "corrected", corrected: receipt.label, receipt: receipt.message });
    notify(image);
  } catch (problem) {
    if (image === subject) showStatus(problemLines(problem).join(" "));
  }
  sending = false;
}

function showStatus(text) {
  find("feedback-status").textContent = text;
}

find("reviewer").value = localStorage.getItem(REVIEWER) ?? "";
find("correct").addEventListener("submit", correct);
