// Draws a photograph with a frame around its cell, and the cropped cell.

const PHOTO_SIDE = 960;
const THUMBNAIL_SIDE = 360;
const FRAME = [["#ffffff", 2], ["#5b3a9b", 1]]; // colour, factor of the line width

export function drawPhoto(canvas, picture, cell) {
  paint(canvas, picture, cell, PHOTO_SIDE);
  canvas.setAttribute("aria-label", cell ? "Photograph with the cell framed" : "Photograph");
}

// The framed square of the photograph; parts beyond its border stay empty. The evidence map shows
// the network's own crop, where these parts are filled.
export function drawCrop(canvas, picture, cell) {
  const { width, height } = canvas;
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  pen.drawImage(picture, cell.left, cell.top, cell.side, cell.side, 0, 0, width, height);
}

// URL of a small JPEG copy: thousands of canvases would exhaust the memory.
export async function thumbnail(picture, cell) {
  const canvas = new OffscreenCanvas(1, 1);
  paint(canvas, picture, cell, THUMBNAIL_SIDE);
  return URL.createObjectURL(await canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 }));
}

function paint(canvas, picture, cell, side) {
  const scale = Math.min(1, side / Math.max(picture.width, picture.height));
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  const pen = canvas.getContext("2d");
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  if (cell) frame(pen, canvas, cell, scale);
}

function frame(pen, { width, height }, cell, scale) {
  const inset = Math.max(width / 130, 2);
  const clamp = (value, limit) => Math.min(Math.max(value * scale, inset), limit - inset);
  const [left, top] = [clamp(cell.left, width), clamp(cell.top, height)];
  const right = clamp(cell.left + cell.side, width);
  const bottom = clamp(cell.top + cell.side, height);
  pen.lineJoin = "round";
  for (const [colour, times] of FRAME) {
    pen.strokeStyle = colour;
    pen.lineWidth = inset * times;
    pen.strokeRect(left, top, right - left, bottom - top);
  }
}
