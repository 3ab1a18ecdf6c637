// The page: sends each image to /classify and shows what came back. Classes, their order and the
// threshold come from /model; nothing about the model is written here.

const AT_ONCE = 2;
const TRIES = 6;
const PHOTO_SIDE = 960;
const DEMO = "demo";

const find = (id) => document.getElementById(id);
const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
const percent = (share) => `${(share * 100).toFixed(1)} %`;

const waiting = [];
let running = 0;
let servedTag = "";

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function readable(name) {
  const words = name.replaceAll("_", " ").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

// --- the model ---------------------------------------------------------------------------------

async function showModel() {
  const chip = find("model");
  try {
    const response = await fetch("model");
    if (!response.ok) throw new Error("no model");
    const card = await response.json();
    chip.dataset.state = "ready";
    find("model-text").textContent = card.tag;
    servedTag = card.tag;
    find("drawn").hidden = card.contract.name !== DEMO;
    showFacts(card);
  } catch {
    chip.dataset.state = "none";
    find("model-text").textContent = "No model is served yet";
    setTimeout(showModel, 5000);
  }
}

function showFacts(card) {
  const facts = {
    Model: card.tag,
    Digest: card.digest.slice(0, 24),
    Classes: card.contract.classes.map(readable).join(", "),
    "Accepted from": percent(card.review.min_confidence),
    Trained: `${card.lineage.created_at.slice(0, 10)}, run ${card.lineage.run_id}`,
  };
  if (card.promoted) facts.Promoted = `by ${card.promoted.author}: ${card.promoted.reason}`;
  for (const [name, value] of Object.entries(card.metrics)) {
    if (typeof value === "number") facts[readable(name)] = value.toFixed(3);
  }
  find("facts").replaceChildren(
    ...Object.entries(facts).flatMap(([k, v]) => [element("dt", "", k), element("dd", "", v)]),
  );
  find("limits").replaceChildren(...card.limits.map((limit) => element("li", "", limit)));
  find("about").hidden = false;
}

// --- sending -----------------------------------------------------------------------------------

function add(files) {
  for (const file of files) {
    const card = find("card").content.firstElementChild.cloneNode(true);
    card.querySelector(".file").textContent = file.name;
    find("cards").append(card);
    waiting.push({ file, card });
  }
  find("results").hidden = find("cards").childElementCount === 0;
  tally();
  while (running < AT_ONCE && waiting.length) work();
}

async function work() {
  running += 1;
  while (waiting.length) {
    const { file, card } = waiting.shift();
    await answer(file, card);
    tally();
  }
  running -= 1;
}

async function answer(file, card) {
  // The browser turns the picture upright as the service does, so their pixels agree.
  const picture = await createImageBitmap(file).catch(() => null);
  if (picture) drawPhoto(card, picture, null);
  else card.dataset.blind = "";
  try {
    const result = await classify(file);
    if (picture) {
      drawPhoto(card, picture, result.cell);
      drawCrop(card, picture, result.cell);
    }
    showResult(card, result);
    if (result.tag !== servedTag) showModel();
  } catch (problem) {
    showProblem(card, problem);
  }
}

async function classify(file) {
  for (let attempt = 1; ; attempt += 1) {
    const form = new FormData();
    form.append("image", file, "image"); // its own name stays here
    const response = await fetch("classify", { method: "POST", body: form }).catch(() => {
      throw { message: "The service cannot be reached." };
    });
    if (response.ok) return response.json();
    if (response.status === 429 && attempt < TRIES) {
      await pause(Number(response.headers.get("Retry-After")) || 1);
      continue;
    }
    const body = await response.json().catch(() => ({}));
    throw body.error ?? { message: `The service answered ${response.status}.` };
  }
}

// --- showing -----------------------------------------------------------------------------------

function showResult(card, result) {
  const accepted = result.decision === "accept";
  card.dataset.state = result.decision;
  card.querySelector(".label").textContent = readable(result.label);
  card.querySelector(".pill").textContent = accepted ? "Accept" : "Needs review";
  card.querySelector(".reasons").replaceChildren(
    ...result.reasons.map((reason) => element("li", "", reason.message)),
  );
  card.querySelector(".bars").replaceChildren(
    ...Object.entries(result.probabilities).map(([name, p]) => bar(name, p, result.label)),
  );
  card.querySelector(".meta").textContent =
    `${result.tag} · ${result.width} × ${result.height} px · request ${result.request_id}`;
}

function bar(name, probability, label) {
  const row = element("li");
  if (name === label) row.dataset.top = "";
  const track = element("span", "track");
  const fill = element("span", "fill");
  fill.style.width = `${probability * 100}%`;
  track.append(fill);
  row.append(
    element("span", "name", readable(name)),
    track,
    element("span", "value", percent(probability)),
  );
  return row;
}

function showProblem(card, problem) {
  card.dataset.state = "error";
  card.querySelector(".label").textContent = "No answer";
  card.querySelector(".pill").textContent = "Error";
  const lines = [problem.message.charAt(0).toUpperCase() + problem.message.slice(1)];
  if (problem.expected) lines.push(`Expected: ${problem.expected}`);
  if (problem.received) lines.push(`Received: ${problem.received}`);
  card.querySelector(".reasons").replaceChildren(...lines.map((line) => element("li", "", line)));
  if (problem.request_id) {
    card.querySelector(".meta").textContent = `${problem.code} · request ${problem.request_id}`;
  }
}

function drawPhoto(card, picture, cell) {
  const scale = Math.min(1, PHOTO_SIDE / Math.max(picture.width, picture.height));
  const canvas = card.querySelector(".photo canvas");
  canvas.width = Math.round(picture.width * scale);
  canvas.height = Math.round(picture.height * scale);
  canvas.setAttribute("aria-label", cell ? "The photograph, its cell framed" : "The photograph");
  const pen = canvas.getContext("2d");
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  if (!cell) return;
  const inset = Math.max(canvas.width / 130, 2);
  const clamp = (value, limit) => Math.min(Math.max(value * scale, inset), limit - inset);
  const left = clamp(cell.left, canvas.width);
  const top = clamp(cell.top, canvas.height);
  const width = clamp(cell.left + cell.side, canvas.width) - left;
  const height = clamp(cell.top + cell.side, canvas.height) - top;
  for (const [colour, line] of [["#ffffff", inset * 2], ["#5b3a9b", inset]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = line;
    pen.lineJoin = "round";
    pen.strokeRect(left, top, width, height);
  }
}

// The square as the service cuts it: where it reaches over the border, edge pixels repeat.
function drawCrop(card, picture, cell) {
  const canvas = card.querySelector(".crop canvas");
  canvas.setAttribute("aria-label", "The crop that the model sees");
  const pen = canvas.getContext("2d");
  const scale = canvas.width / cell.side;
  for (const x of pieces(cell.left, cell.side, picture.width)) {
    for (const y of pieces(cell.top, cell.side, picture.height)) {
      pen.drawImage(
        picture,
        x.source, y.source, x.taken, y.taken,
        x.at * scale, y.at * scale, x.size * scale, y.size * scale,
      );
    }
  }
}

function pieces(start, side, limit) {
  const from = Math.min(Math.max(start, 0), limit - 1);
  const to = Math.min(Math.max(start + side, 1), limit);
  return [
    { source: 0, taken: 1, at: 0, size: from - start },
    { source: from, taken: to - from, at: from - start, size: to - from },
    { source: limit - 1, taken: 1, at: to - start, size: start + side - to },
  ].filter((piece) => piece.size > 0);
}

function tally() {
  const count = (state) => find("cards").querySelectorAll(`[data-state="${state}"]`).length;
  const total = find("cards").childElementCount;
  const parts = [`${total} image${total === 1 ? "" : "s"}`];
  for (const [state, words] of [
    ["waiting", "waiting"], ["accept", "accepted"], ["review", "to review"], ["error", "failed"],
  ]) {
    if (count(state)) parts.push(`${count(state)} ${words}`);
  }
  find("tally").textContent = parts.join(" · ");
}

// --- hands -------------------------------------------------------------------------------------

const drop = find("drop");
find("files").addEventListener("change", (event) => {
  add(event.target.files);
  event.target.value = "";
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.dataset.over = "";
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) delete drop.dataset.over;
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  delete drop.dataset.over;
  add(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => add(event.clipboardData.files));
find("clear").addEventListener("click", () => {
  waiting.length = 0;
  find("cards").replaceChildren();
  find("results").hidden = true;
  find("files").focus();
});

showModel();
