// The tiles in the chosen order, those that were asked for, and the arrow keys among them.

import { find, readable } from "./dom.js";
import { images, labelOf } from "./images.js";
import { model } from "./model.js";
import { imageOf } from "./tiles.js";

const tiles = find("tiles");
let visited = null; // the image that had the focus last
let reached = null; // the one that the tabulator reaches

// The images that are to be seen, in the order on the page.
export const order = () => [...tiles.querySelectorAll("li:not([hidden]) > .tile")].map(imageOf);

export function arrange() {
  find("gallery").hidden = images.length < 2;
  offerClasses();
  const wanted = inOrder();
  place(wanted.map((image) => image.tile.parentElement));
  const seen = new Set(wanted.filter(isWanted));
  for (const image of images) image.tile.parentElement.hidden = !seen.has(image);
  find("seen").textContent = seen.size < images.length ? `${seen.size} shown` : "";
  reach(seen.has(visited) ? visited : [...seen][0]);
}

export function focusOn(image) {
  const target = order().includes(image) ? image : order()[0];
  if (!target) return find("decision").focus();
  target.tile.focus();
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

// Failures first, then by doubt; what waits comes last, so that answers are seen as they come.
function inOrder() {
  if (find("order").value !== "doubt") return [...images];
  const doubt = ({ state, result }) => (state === "error" ? 1e9 : (result?.doubt ?? -1));
  return [...images].sort((a, b) => doubt(b) - doubt(a));
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

function target(key, line, at) {
  const columns = getComputedStyle(tiles).gridTemplateColumns.split(" ").length;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  if (key === "Home") return line[0];
  if (key === "End") return line.at(-1);
  return key in steps ? line[at + steps[key]] : undefined;
}

tiles.addEventListener("keydown", (event) => {
  const line = order();
  const image = target(event.key, line, line.indexOf(imageOf(event.target)));
  if (!image) return;
  event.preventDefault();
  focusOn(image);
});

tiles.addEventListener("focusin", (event) => {
  visited = imageOf(event.target);
  reach(visited);
});

for (const id of ["order", "decision", "class"]) find(id).addEventListener("change", arrange);
