// Evidence map: shows which parts of the crop are evidence for the predicted class, on demand.

import { find, readable } from "./dom.js";
import { problemLines } from "./images.js";
import { checkTag } from "./model.js";
import { sendImage } from "./requests.js";

let subject = null; // the image in the detail view
let fetching = false;

// Shows the plain crop for another image.
export function offerEvidence(image) {
  find("why").hidden = !image.result;
  if (image === subject) return;
  subject = image;
  show(false);
}

export async function toggleEvidence() {
  const image = subject;
  const on = find("why").getAttribute("aria-pressed") === "true";
  if (!image?.result || fetching) return;
  fetching = true;
  try {
    if (!on) image.evidence ??= await fetchEvidence(image.file);
    if (image === subject) await overlay(image.evidence, !on);
  } catch (problem) {
    if (image === subject) showNote(problemLines(problem).join(" "));
  }
  fetching = false;
}

async function fetchEvidence(file) {
  const response = await sendImage("explain", file);
  const tag = response.headers.get("x-tag");
  checkTag(tag);
  const label = readable(decodeURIComponent(response.headers.get("x-label")));
  return { tag, label, address: URL.createObjectURL(await response.blob()) };
}

async function overlay({ tag, label, address }, on) {
  const picture = find("evidence");
  picture.src = address;
  picture.alt = `Evidence map for ${label}`;
  await picture.decode();
  show(on);
  if (!on) return;
  showNote(
    `Orange areas are evidence for ${label}, blue areas against it, measured by covering parts ` +
      `of the crop. Shows model sensitivity; may mislead. Model ${tag}.`,
  );
}

function show(on) {
  find("evidence").hidden = !on;
  find("aid").hidden = true;
  find("crop-words").textContent = on ? "Evidence map" : "Cropped cell";
  find("why").setAttribute("aria-pressed", String(on));
  find("why-words").textContent = on ? "Hide evidence" : "Show evidence";
}

function showNote(text) {
  find("aid").textContent = text;
  find("aid").hidden = false;
}

find("why").addEventListener("click", toggleEvidence);
