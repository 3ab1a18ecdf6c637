// Tile of an image: a button that opens its detail view.

import { find, percent, readable } from "./dom.js";
import { labelOf, pillOf, title } from "./images.js";

const imageOfTile = new WeakMap();

// The image of a tile or of an element inside one.
export const imageOf = (node) => imageOfTile.get(node.closest(".tile"));

export function makeTile(image) {
  const place = find("tile").content.firstElementChild.cloneNode(true);
  image.tile = place.firstElementChild;
  imageOfTile.set(image.tile, image);
  image.tile.querySelector(".file").textContent = image.name;
  paintTile(image);
  return place;
}

export function paintTile(image) {
  const write = (selector, text) => (image.tile.querySelector(selector).textContent = text);
  image.tile.dataset.state = image.state;
  write(".label", title(image));
  write(".pill", pillOf(image));
  write(".sure", confidence(image));
  if (!image.thumbnail) return;
  const picture = image.tile.querySelector("img");
  picture.src = image.thumbnail;
  picture.hidden = false;
}

function confidence(image) {
  if (!image.result) return "";
  const { label, probabilities } = image.result;
  return labelOf(image) === label ? percent(probabilities[label]) : `not ${readable(label)}`;
}
