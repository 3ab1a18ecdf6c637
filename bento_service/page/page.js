// The page: sends each image to /classify and shows what came back. Classes, their order and the
// threshold come from /model; nothing about the model is written here.

import { differential, toCsv } from "./differential.js";

const AT_ONCE = 2;
const TRIES = 6;
const PHOTO_SIDE = 960;
const DEMO = "demo";

const find = (id) => document.getElementById(id);
const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
const percent = (share) => `${(share * 100).toFixed(1)} %`;

const FEWEST = 100; // cells that a routine differential counts

const waiting = [];
let answered = []; // { name, result, card }, in the order of the answers
let classes = [];
let running = 0;
let places = 0;
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
    classes = card.contract.classes;
    find("drawn").hidden = card.contract.name !== DEMO;
    showFacts(card);
    tally();
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
    card.dataset.place = String((places += 1));
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
    offerEvidence(card, file);
    if (card.isConnected) answered.push({ name: file.name, result, card });
    if (result.tag !== servedTag) showModel();
  } catch (problem) {
    showProblem(card, problem);
  }
}

const classify = async (file) => (await send("classify", file)).json();

async function send(route, file) {
  for (let attempt = 1; ; attempt += 1) {
    const form = new FormData();
    form.append("image", file, "image"); // its own name stays here
    const response = await fetch(route, { method: "POST", body: form }).catch(() => {
      throw { message: "The service cannot be reached." };
    });
    if (response.ok) return response;
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

// The square that is framed in the photograph, as it was taken; what lies over the border stays
// empty. The network's own crop, with the empty parts painted over, is under the evidence.
function drawCrop(card, picture, cell) {
  const canvas = card.querySelector(".crop canvas");
  canvas.setAttribute("aria-label", "The framed cell");
  const { width, height } = canvas;
  const pen = canvas.getContext("2d");
  pen.drawImage(picture, cell.left, cell.top, cell.side, cell.side, 0, 0, width, height);
}

// --- evidence ----------------------------------------------------------------------------------

function offerEvidence(card, file) {
  const button = card.querySelector(".why");
  button.hidden = false;
  button.addEventListener("click", async () => {
    const shown = button.getAttribute("aria-pressed") === "true";
    button.disabled = true;
    try {
      if (!shown) await fetchEvidence(card, file);
      showEvidence(card, !shown);
    } catch (problem) {
      button.textContent = problem.message ?? "No evidence";
    }
    button.disabled = false;
    if (document.activeElement === document.body) button.focus(); // disabling took it away
  });
}

async function fetchEvidence(card, file) {
  const image = card.querySelector(".evidence");
  if (image.getAttribute("src")) return;
  const response = await send("explain", file);
  if (!card.isConnected) return;
  if (response.headers.get("x-tag") !== servedTag) showModel();
  const label = readable(decodeURIComponent(response.headers.get("x-label")));
  image.src = URL.createObjectURL(await response.blob());
  image.alt = `Which parts of the crop speak for ${label}`;
  card.querySelector(".aid").textContent =
    `Orange speaks for ${label}, blue against it, as far as covering parts of the crop shows. ` +
    `An aid for checking, not a reason. By ${response.headers.get("x-tag")}.`;
  await image.decode();
}

function showEvidence(card, on) {
  card.querySelector(".evidence").hidden = !on;
  card.querySelector(".aid").hidden = !on;
  card.querySelector(".crop figcaption").textContent = on ? "Evidence" : "The cell";
  const button = card.querySelector(".why");
  button.setAttribute("aria-pressed", String(on));
  button.textContent = on ? "Hide evidence" : "Show evidence";
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
  showDifferential();
  arrange();
}

// --- all of them -------------------------------------------------------------------------------

function showDifferential() {
  find("differential").hidden = answered.length < 2;
  if (answered.length < 2) return;
  const rows = differential(answered.map((entry) => entry.result), classes);
  const few = answered.length < FEWEST ? `; a differential counts ${FEWEST} or more` : "";
  const models = new Set(answered.map((entry) => entry.result.tag)).size;
  const mixed = models > 1 ? ` Answered by ${models} models.` : "";
  find("counted").textContent = `${answered.length} cells${few}. Not for diagnosis.${mixed}`;
  find("shares").replaceChildren(
    ...rows.map((row) => {
      const line = element("tr");
      const name = element("th", "", readable(row.label));
      name.scope = "row";
      const range = `${percent(row.low)} to ${percent(row.high)}`;
      const cells = [row.count, percent(row.share), range, row.review];
      line.append(name, ...cells.map((value) => element("td", "", String(value))));
      return line;
    }),
  );
}

// Order and choice of what is shown; whatever is not answered yet, or failed, stays in sight.
function arrange() {
  find("choose").hidden = answered.length < 2;
  const only = find("only");
  const offered = [
    ["All", ""], ["To review", "decision:review"], ["Accepted", "decision:accept"],
    ...classes.map((name) => [readable(name), `label:${name}`]),
  ];
  if (offered.map(([, value]) => value).join() !== [...only.options].map((o) => o.value).join()) {
    only.replaceChildren(...offered.map(([words, value]) => new Option(words, value)));
  }
  const [field, ...value] = only.value.split(":");
  for (const { result, card } of answered) {
    card.hidden = field !== "" && result[field] !== value.join(":");
  }
  sort(find("order").value === "doubt");
}

function sort(doubtful) {
  const doubts = new Map(answered.map(({ result, card }) => [card, result.doubt]));
  const doubt = (card) => (doubtful ? (doubts.get(card) ?? Infinity) : 0);
  const compare = (a, b) => (a === b ? 0 : a - b); // Infinity less itself is no number
  const cards = [...find("cards").children];
  const wanted = [...cards].sort(
    (a, b) => compare(doubt(b), doubt(a)) || Number(a.dataset.place) - Number(b.dataset.place),
  );
  if (wanted.every((card, place) => card === cards[place])) return;
  const focused = document.activeElement;
  find("cards").append(...wanted);
  if (find("cards").contains(focused)) focused.focus({ preventScroll: true }); // moving took it away
}

function saveCsv() {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([toCsv(answered, classes)], { type: "text/csv" }));
  link.download = "leukoflow.csv";
  link.click();
  URL.revokeObjectURL(link.href);
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
  for (const image of find("cards").querySelectorAll(".evidence[src]")) {
    URL.revokeObjectURL(image.src);
  }
  answered = [];
  find("only").value = "";
  find("cards").replaceChildren();
  find("results").hidden = true;
  find("files").focus();
});
for (const id of ["order", "only"]) find(id).addEventListener("change", arrange);
find("export").addEventListener("click", saveCsv);

showModel();
