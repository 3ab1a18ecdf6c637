// How often each class was found on this page, with exact 95 % intervals (Clopper and Pearson,
// Biometrika 26, 1934), as POST /differential counts them.

const ALPHA = 0.05;

export function interval(count, total) {
  const low = count === 0 ? 0 : solve((p) => tail(count, total, p) - ALPHA / 2);
  const high = count === total ? 1 : solve((p) => tail(count + 1, total, p) - (1 - ALPHA / 2));
  return [low, high];
}

// Chance of `count` or more of `total` when each has the chance p.
function tail(count, total, p) {
  let logTerm = total * Math.log1p(-p);
  let sum = 0;
  for (let k = 0; k <= total; k += 1) {
    if (k >= count) sum += Math.exp(logTerm);
    logTerm += Math.log((total - k) / (k + 1)) + Math.log(p) - Math.log1p(-p);
  }
  return sum;
}

// Where a function that grows between 0 and 1 is nought.
function solve(grows) {
  let [low, high] = [0, 1];
  for (let step = 0; step < 50; step += 1) {
    const middle = (low + high) / 2;
    if (grows(middle) < 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

// Rows of label, count, those to review, share and interval, in the order of the classes; each cell
// has its label and whether a person has yet to look at it.
export function differential(cells, classes) {
  return classes.map((label) => {
    const mine = cells.filter((cell) => cell.label === label);
    const [low, high] = interval(mine.length, cells.length);
    return {
      label,
      count: mine.length,
      review: mine.filter((cell) => cell.review).length,
      share: mine.length / cells.length,
      low,
      high,
    };
  });
}

const quoted = (value) => `"${String(value).replaceAll('"', '""')}"`;

// One line an image, as a spreadsheet reads it. A name that a spreadsheet would take for a formula
// is given as text. The corrected label is empty where nobody has said anything.
export function toCsv(images, classes) {
  const answer = ["label", "corrected_label", "decision", "uncertainty"];
  const head = ["file", ...answer, ...classes, "reasons", "tag", "request_id"];
  const lines = images.map(({ name, result, corrected }) => [
    /^[=+\-@\t\r]/.test(name) ? `'${name}` : name,
    result.label,
    corrected ?? "",
    result.decision,
    result.uncertainty,
    ...classes.map((one) => result.probabilities[one]),
    result.reasons.map((reason) => reason.code).join(" "),
    result.tag,
    result.request_id,
  ]);
  return [head, ...lines].map((cells) => cells.map(quoted).join(",")).join("\r\n") + "\r\n";
}
