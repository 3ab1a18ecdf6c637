// Gallery: order and filters of the tiles, and arrow keys between them.

import { find, readable } from "./dom.js";
import { images, labelOf } from "./images.js";
import { model } from "./model.js";
import { imageOf } from "./tiles.js";

const tiles = find("tiles");
const STEP = 240; // tiles shown at once: browsers are slow with thousands
let limit = STEP;
let filtered = []; // the images that pass the filters, in order
let visited = null; // the image that last had the focus
let reached = null; // the image in the tab order

export const order = () => filtered;

export function arrange() {
  find("gallery").hidden = images.length < 2;
  offerClasses();
  const all = inOrder();
  place(all.map((image) => image.tile.parentElement));
  filtered = all.filter(matches);
  const seen = new Set(filtered.slice(0, limit));
  for (const image of images) hide(image.tile.parentElement, !seen.has(image));
  find("seen").textContent = filtered.length < images.length ? `${filtered.length} shown` : "";
  find("more").hidden = filtered.length <= limit;
  reach(seen.has(visited) ? visited : filtered[0]);
}

// Only on a change: a write makes the browser recalculate the style of every tile.
function hide(item, hidden) {
  if (item.hidden !== hidden) item.hidden = hidden;
}

// Focuses the tile of an image, or the first one if a filter hides it.
export function focusOn(image) {
  const at = Math.max(0, filtered.indexOf(image));
  if (!filtered.length) return find("decision").focus();
  showUpTo(at);
  filtered[at].tile.focus();
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

function matches(image) {
  const [decision, label] = [find("decision").value, find("class").value];
  return (!decision || image.state === decision) && (!label || labelOf(image) === label);
}

// Failures first, then by falling uncertainty; waiting images last, so that new results are visible.
function inOrder() {
  if (find("order").value !== "uncertainty") return [...images];
  const uncertainty = ({ state, result }) => (state === "error" ? 1e9 : (result?.uncertainty ?? -1));
  return [...images].sort((a, b) => uncertainty(b) - uncertainty(a));
}

// Moves as few tiles as possible; a focused tile keeps the focus.
function place(items) {
  const focused = document.activeElement;
  let next = tiles.firstElementChild;
  for (const item of items) {
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
  if (key === "Home") return filtered[0];
  if (key === "End") return filtered.at(-1);
  return key in steps ? filtered[at + steps[key]] : undefined;
}

tiles.addEventListener("keydown", (event) => {
  const image = target(event.key, filtered.indexOf(imageOf(event.target)));
  if (!image) return;
  event.preventDefault();
  focusOn(image);
});
tiles.addEventListener("focusin", (event) => {
  visited = imageOf(event.target);
  reach(visited);
});
find("more").addEventListener("click", () => {
  const next = filtered[limit];
  showUpTo(limit);
  next.tile.focus();
});

for (const id of ["order", "decision", "class"]) find(id).addEventListener("change", arrange);
