// CSV export: one line per classified image, for spreadsheets.

const quoted = (value) => `"${String(value).replaceAll('"', '""')}"`;

// A file name that a spreadsheet would take for a formula is prefixed with an apostrophe. The
// corrected label is empty without feedback.
export function toCsv(images, classes) {
  const columns = ["label", "corrected_label", "decision", "uncertainty"];
  const head = ["file", ...columns, ...classes, "reasons", "tag", "request_id"];
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
