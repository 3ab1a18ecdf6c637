// Which parts of the crop speak for the answer, over the crop, when a person asks for it.

import { find, readable } from "./dom.js";
import { problemLines } from "./images.js";
import { sawTag } from "./model.js";
import { sendImage } from "./requests.js";

let subject = null;
let fetching = false;

// Begins with the plain crop of another image.
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
    if (image === subject) await lay(image.evidence, !on);
  } catch (problem) {
    if (image === subject) remark(problemLines(problem).join(" "));
  }
  fetching = false;
}

async function fetchEvidence(file) {
  const response = await sendImage("explain", file);
  const tag = response.headers.get("x-tag");
  sawTag(tag);
  const label = readable(decodeURIComponent(response.headers.get("x-label")));
  return { tag, label, address: URL.createObjectURL(await response.blob()) };
}

async function lay({ tag, label, address }, on) {
  const picture = find("evidence");
  picture.src = address;
  picture.alt = `Which parts of the crop speak for ${label}`;
  await picture.decode();
  show(on);
  if (!on) return;
  remark(
    `Orange speaks for ${label}, blue against it, as far as covering parts of the crop shows. ` +
      `An aid for checking, not a reason. By ${tag}.`,
  );
}

function show(on) {
  find("evidence").hidden = !on;
  find("aid").hidden = true;
  find("crop-words").textContent = on ? "Evidence" : "The cell";
  find("why").setAttribute("aria-pressed", String(on));
  find("why-words").textContent = on ? "Hide evidence" : "Show evidence";
}

function remark(text) {
  find("aid").textContent = text;
  find("aid").hidden = false;
}

find("why").addEventListener("click", toggleEvidence);
