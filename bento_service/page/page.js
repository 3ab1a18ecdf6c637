// The page: takes images from a person's hands and keeps what is shown up to date.

import { open, repaint, showAlone } from "./detail.js";
import { find } from "./dom.js";
import { dropped, named, picturesOf } from "./files.js";
import { arrange } from "./gallery.js";
import { images, listen } from "./images.js";
import { readyKey } from "./key.js";
import { showModel } from "./model.js";
import { enqueue, goOn, stop } from "./queue.js";
import { showSummary } from "./summary.js";
import { showTable } from "./table.js";
import { imageOf, makeTile, paintTile } from "./tiles.js";

const PAUSE = 150; // milliseconds between two counts of all images
const SHARE = 5; // of the time, one part is for counting
let due = null;
let took = 0;

function refresh() {
  const started = performance.now();
  due = null;
  showSummary();
  showTable();
  arrange();
  showAlone();
  took = performance.now() - started;
}

listen((image) => {
  if (image) paintTile(image);
  repaint(image);
  due ??= setTimeout(refresh, Math.max(PAUSE, SHARE * took));
});

function add(found) {
  find("nothing").hidden = found.length > 0;
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

function take(id, read) {
  find(id).addEventListener("change", (event) => {
    add(read(event.target.files));
    event.target.value = "";
  });
}

take("files", named);
take("folder", picturesOf);
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
  else goOn();
});
find("clear").addEventListener("click", clear);

readyKey();
showModel();
