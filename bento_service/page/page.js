// Entry point of the page: adds images and refreshes the views.

import { open, repaint, showAlone } from "./detail.js";
import { find } from "./dom.js";
import { dropped, imagesOf, named } from "./files.js";
import { arrange } from "./gallery.js";
import { images, listen } from "./images.js";
import { prepareKeyDialog } from "./key.js";
import { showModel } from "./model.js";
import { enqueue, resume, stop } from "./queue.js";
import { showSummary } from "./summary.js";
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

function add(files) {
  find("nothing").hidden = files.length > 0;
  const more = files.map(({ file, name }) => ({ file, name, state: "waiting" }));
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

function take(id, read) {
  find(id).addEventListener("change", (event) => {
    add(read(event.target.files));
    event.target.value = "";
  });
}

take("files", named);
take("folder", imagesOf);
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
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) add(named(event.clipboardData.files));
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
