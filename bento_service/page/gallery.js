// The tiles in the chosen order, those that were asked for, and the arrow keys among them.

import { find, readable } from "./dom.js";
import { images, labelOf } from "./images.js";
import { model } from "./model.js";
import { imageOf } from "./tiles.js";

const tiles = find("tiles");
const STEP = 240; // tiles that are shown at once: a browser is slow with thousands
let limit = STEP;
let line = []; // the images that are wanted, in their order
let visited = null; // the image that had the focus last
let reached = null; // the one that the tabulator reaches

export const order = () => line;

export function arrange() {
  find("gallery").hidden = images.length < 2;
  offerClasses();
  const all = inOrder();
  place(all.map((image) => image.tile.parentElement));
  line = all.filter(isWanted);
  const seen = new Set(line.slice(0, limit));
  for (const image of images) hide(image.tile.parentElement, !seen.has(image));
  find("seen").textContent = line.length < images.length ? `${line.length} of these` : "";
  find("more").hidden = line.length <= limit;
  reach(seen.has(visited) ? visited : line[0]);
}

// Writing the attribute again would make the browser look at the style of every tile.
function hide(item, hidden) {
  if (item.hidden !== hidden) item.hidden = hidden;
}

// Focuses the tile of an image, or the first where it is not wanted any more.
export function focusOn(image) {
  const at = Math.max(0, line.indexOf(image));
  if (!line.length) return find("decision").focus();
  showUpTo(at);
  line[at].tile.focus();
}

function showUpTo(place) {
  if (place < limit) return;
  limit = (Math.floor(place / STEP) + 1) * STEP;
  arrange();
}

function offerClasses() {
  const offered = ["", ...model.classes];
  const select = find("class");
  if (offered.join() === [...select.options].map((option) => option.value).join()) return;
  select.replaceChildren(
    ...offered.map((name) => new Option(name ? readable(name) : "All classes", name)),
  );
}

function isWanted(image) {
  const [decision, label] = [find("decision").value, find("class").value];
  return (!decision || image.state === decision) && (!label || labelOf(image) === label);
}

// Failures first, then by falling uncertainty; waiting images last, so that results show on arrival.
function inOrder() {
  if (find("order").value !== "uncertainty") return [...images];
  const uncertainty = ({ state, result }) => (state === "error" ? 1e9 : (result?.uncertainty ?? -1));
  return [...images].sort((a, b) => uncertainty(b) - uncertainty(a));
}

// Moves as few as it can; a focused tile that had to move keeps the focus.
function place(wanted) {
  const focused = document.activeElement;
  let next = tiles.firstElementChild;
  for (const item of wanted) {
    if (item === next) next = next.nextElementSibling;
    else tiles.insertBefore(item, next);
  }
  if (focused !== document.activeElement) focused.focus({ preventScroll: true });
}

function reach(image) {
  if (reached) reached.tile.tabIndex = -1;
  reached = image ?? null;
  if (reached) reached.tile.tabIndex = 0;
}

function target(key, at) {
  const columns = getComputedStyle(tiles).gridTemplateColumns.split(" ").length;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  if (key === "Home") return line[0];
  if (key === "End") return line.at(-1);
  return key in steps ? line[at + steps[key]] : undefined;
}

tiles.addEventListener("keydown", (event) => {
  const image = target(event.key, line.indexOf(imageOf(event.target)));
  if (!image) return;
  event.preventDefault();
  focusOn(image);
});
tiles.addEventListener("focusin", (event) => {
  visited = imageOf(event.target);
  reach(visited);
});
find("more").addEventListener("click", () => {
  const next = line[limit];
  showUpTo(limit);
  next.tile.focus();
});

for (const id of ["order", "decision", "class"]) find(id).addEventListener("change", arrange);
