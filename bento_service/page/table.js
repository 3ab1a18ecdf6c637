// The differential of all classified images, with shares and intervals from the service; CSV export.

import { toCsv } from "./csv.js";
import { element, find, readable } from "./dom.js";
import { classified, labelOf, problemLines } from "./images.js";
import { model } from "./model.js";
import { pause, sendJson } from "./requests.js";

const INTERVAL = 0.5; // seconds between two requests while images are being classified
let latest = ""; // counts that the table should show, as JSON
let updating = false;

export function showTable() {
  const images = classified();
  find("differential").hidden = images.length < 2;
  if (images.length < 2) {
    latest = "";
    return;
  }
  find("counted").textContent = counted(images);
  const counts = JSON.stringify({ counts: countsOf(images) });
  if (counts !== latest) update(counts);
}

// Cells per class after corrections; only cells that nobody has checked need review.
function countsOf(images) {
  const labels = new Set([...model.classes, ...images.map(labelOf)]);
  return [...labels].map((label) => {
    const cells = images.filter((image) => labelOf(image) === label);
    const review = cells.filter(({ state }) => state === "review").length;
    return { label, accepted: cells.length - review, review };
  });
}

// Requests the shares of the latest counts, one request at a time.
async function update(counts) {
  latest = counts;
  if (updating) return;
  updating = true;
  for (let shown = ""; latest && shown !== latest; await pause(INTERVAL)) {
    shown = latest;
    await showShares(shown);
  }
  updating = false;
}

async function showShares(counts) {
  try {
    const response = await sendJson("differential/shares", counts);
    const { shares, warnings } = await response.json();
    if (counts !== latest) return;
    find("shares").replaceChildren(...shares.map(row));
    find("warnings").textContent = warnings.join(" ");
  } catch (problem) {
    if (counts !== latest) return;
    find("shares").replaceChildren();
    find("warnings").textContent = problemLines(problem).join(" ");
  }
}

function counted(images) {
  const corrected = images.filter((image) => labelOf(image) !== image.result.label).length;
  const models = new Set(images.map((image) => image.result.tag)).size;
  return [
    `${images.length} cells.`,
    corrected ? `${corrected} corrected.` : "",
    "Not for diagnosis.",
    models > 1 ? `Classified by ${models} models.` : "",
  ].filter(Boolean).join(" ");
}

const percent = (value) => `${value.toFixed(1)}\u00a0%`;

function row({ label, count, percent: share, low, high, review }) {
  const name = element("th", "", readable(label));
  name.scope = "row";
  const cells = [count, percent(share), `${percent(low)} to ${percent(high)}`, review];
  const made = element("tr");
  made.append(name, ...cells.map((value) => element("td", "", String(value))));
  return made;
}

find("export").addEventListener("click", () => {
  const link = element("a");
  const table = toCsv(classified(), model.classes);
  link.href = URL.createObjectURL(new Blob([table], { type: "text/csv" }));
  link.download = "leukoflow.csv";
  link.click();
  URL.revokeObjectURL(link.href);
});
