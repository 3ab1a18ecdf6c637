// Entry point of the page: adds images and refreshes the views.

import { open, repaint, showAlone } from "./detail.js";
import { find } from "./dom.js";
import { chosen, dropped } from "./files.js";
import { arrange } from "./gallery.js";
import { images, listen } from "./images.js";
import { prepareKeyDialog } from "./key.js";
import { showModel } from "./model.js";
import { enqueue, resume, stop } from "./queue.js";
import { showLeftOut, showSummary } from "./summary.js";
import { showTable } from "./table.js";
import { imageOf, makeTile, paintTile } from "./tiles.js";

const MIN_INTERVAL = 150; // milliseconds between two refreshes
const MAX_SHARE = 5; // a refresh may take one fifth of the time
let scheduled = null;
let duration = 0; // of the previous refresh, in milliseconds

function refresh() {
  const started = performance.now();
  scheduled = null;
  showSummary();
  showTable();
  arrange();
  showAlone();
  duration = performance.now() - started;
}

listen((image) => {
  if (image) paintTile(image);
  repaint(image);
  scheduled ??= setTimeout(refresh, Math.max(MIN_INTERVAL, MAX_SHARE * duration));
});

function add({ images: found, ignored, skipped }) {
  find("nothing").hidden = found.length > 0;
  showLeftOut(ignored, skipped);
  const more = found.map(({ file, name }) => ({ file, name, state: "waiting" }));
  find("tiles").append(...more.map(makeTile));
  images.push(...more);
  refresh();
  enqueue(more);
}

function clear() {
  stop();
  for (const { thumbnail, evidence } of images) {
    for (const address of [thumbnail, evidence?.address]) if (address) URL.revokeObjectURL(address);
  }
  images.length = 0;
  for (const id of ["decision", "class"]) find(id).value = "";
  find("tiles").replaceChildren();
  refresh();
  find("files").focus();
}

function take(id) {
  find(id).addEventListener("change", async (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    add(await chosen(files));
  });
}

take("files");
take("folder");
find("choose-folder").addEventListener("click", () => find("folder").click());
find("choose-folder").hidden = !("webkitdirectory" in HTMLInputElement.prototype);

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  find("drop").dataset.over = "";
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) delete find("drop").dataset.over;
});
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  delete find("drop").dataset.over;
  add(await dropped(event.dataTransfer));
});
document.addEventListener("paste", async (event) => {
  const files = [...event.clipboardData.files];
  if (files.length) add(await chosen(files));
});

find("tiles").addEventListener("click", (event) => {
  if (event.target.closest(".tile")) open(imageOf(event.target));
});
find("stop").addEventListener("click", () => {
  if (images.some(({ state }) => state === "waiting")) stop();
  else resume();
});
find("clear").addEventListener("click", clear);

prepareKeyDialog();
showModel();
