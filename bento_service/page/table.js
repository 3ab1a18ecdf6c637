// The differential of all answers, and all of them as CSV.

import { differential, toCsv } from "./differential.js";
import { element, find, percent, readable } from "./dom.js";
import { answered, labelOf } from "./images.js";
import { model } from "./model.js";

const FEWEST = 100; // cells that a routine differential counts

export function showTable() {
  const images = answered();
  find("differential").hidden = images.length < 2;
  if (images.length < 2) return;
  const cells = images.map((image) => ({
    label: labelOf(image),
    review: image.state === "review",
  }));
  find("counted").textContent = counted(images);
  find("shares").replaceChildren(...differential(cells, model.classes).map(line));
}

function counted(images) {
  const few = images.length < FEWEST ? `; a differential counts ${FEWEST} or more` : "";
  const corrected = images.filter((image) => labelOf(image) !== image.result.label).length;
  const changed = corrected ? ` ${corrected} corrected.` : "";
  const models = new Set(images.map((image) => image.result.tag)).size;
  const mixed = models > 1 ? ` Answered by ${models} models.` : "";
  return `${images.length} cells${few}.${changed} Not for diagnosis.${mixed}`;
}

function line(row) {
  const name = element("th", "", readable(row.label));
  name.scope = "row";
  const range = `${percent(row.low)} to ${percent(row.high)}`;
  const cells = [row.count, percent(row.share), range, row.review];
  const made = element("tr");
  made.append(name, ...cells.map((value) => element("td", "", String(value))));
  return made;
}

find("export").addEventListener("click", () => {
  const link = element("a");
  const table = toCsv(answered(), model.classes);
  link.href = URL.createObjectURL(new Blob([table], { type: "text/csv" }));
  link.download = "leukoflow.csv";
  link.click();
  URL.revokeObjectURL(link.href);
});
