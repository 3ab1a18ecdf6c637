// Detail view of one image: on the page for a single image, else in a dialog.

import { element, find, items, percent, readable } from "./dom.js";
import { images, pillOf, problemLines, title } from "./images.js";
import { offerEvidence, toggleEvidence } from "./evidence.js";
import { choose, offerCorrection } from "./feedback.js";
import { focusOn, order } from "./gallery.js";
import { drawCrop, drawPhoto } from "./pictures.js";

const dialog = find("dialog");
let shown = null;
let sequence = []; // images for the arrow keys, in their order when the dialog was opened

export function open(image) {
  sequence = order();
  find("dialog").append(find("detail"));
  show(image);
  if (!dialog.open) dialog.showModal();
  find("detail-label").focus();
}

// Shows a single image without a gallery.
export function showAlone() {
  const alone = images.length === 1;
  find("alone").hidden = !alone;
  if (!alone) {
    if (!dialog.open) shown = null;
  } else if (shown !== images[0]) {
    find("alone").append(find("detail"));
    show(images[0]);
  }
}

export function repaint(image) {
  if (shown && (!image || image === shown)) show(shown);
}

function move(step) {
  const at = sequence.indexOf(shown) + step;
  if (dialog.open && sequence[at]) show(sequence[at]);
}

function show(image) {
  shown = image;
  describe(image);
  offerEvidence(image);
  offerCorrection(image);
  draw(image);
}

function describe(image) {
  const { result, problem } = image;
  find("detail").dataset.state = image.state;
  find("detail-file").textContent = image.name;
  find("detail-label").textContent = title(image);
  find("detail-pill").textContent = pillOf(image);
  const reasons = result ? result.reasons.map(({ message }) => message) : [];
  find("reasons").replaceChildren(...items(problem ? problemLines(problem) : reasons));
  const bars = Object.entries(result?.probabilities ?? {});
  find("bars").replaceChildren(...bars.map(([name, p]) => bar(name, p, name === result.label)));
  find("meta").textContent = meta(image);
  const at = sequence.indexOf(image);
  find("position").textContent = `${at + 1} of ${sequence.length}`;
  find("previous").disabled = at <= 0;
  find("next").disabled = at >= sequence.length - 1;
}

function meta({ result, problem }) {
  if (problem?.request_id) return `${problem.code} · request ${problem.request_id}`;
  if (!result) return "";
  return `${result.tag} · ${result.width} × ${result.height} px · request ${result.request_id}`;
}

function bar(name, probability, top) {
  const row = element("li");
  row.toggleAttribute("data-top", top);
  const track = element("span", "track");
  const fill = element("span", "fill");
  fill.style.width = `${probability * 100}%`;
  track.append(fill);
  const value = element("span", "value", percent(probability));
  row.append(element("span", "name", readable(name)), track, value);
  return row;
}

async function draw(image) {
  const picture = await createImageBitmap(image.file).catch(() => null);
  if (image === shown) {
    find("detail").toggleAttribute("data-blind", !picture);
    if (picture) drawPhoto(find("photo"), picture, image.result?.cell);
    if (picture && image.result) drawCrop(find("crop"), picture, image.result.cell);
  }
  picture?.close();
}

function keys(event) {
  const here = dialog.open || find("detail").contains(document.activeElement);
  const modified = event.ctrlKey || event.metaKey || event.altKey;
  if (!here || modified || find("key-dialog").open || event.target.matches("input")) return;
  if (event.key === "ArrowLeft") move(-1);
  else if (event.key === "ArrowRight") move(1);
  else if (event.key === "e") toggleEvidence();
  else if (/^[1-9]$/.test(event.key)) choose(Number(event.key) - 1);
}

document.addEventListener("keydown", keys);
find("previous").addEventListener("click", () => move(-1));
find("next").addEventListener("click", () => move(1));
find("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  const image = shown;
  shown = null;
  if (images.length) focusOn(image);
});
