// Which files of a folder are no images: the rules of pipeline/contract/files, fetched once.

const rules = fetch("static/file-rules.json")
  .then((response) => response.json())
  .then((rows) => rows.map(compiled))
  .catch(() => []);

// "ignored" for the metadata of other programs, "skipped" for other files, else undefined. The
// first name of a path is that of the folder that a person chose.
export async function kindOf(path) {
  const folders = path.split("/").slice(1);
  const name = folders.pop() ?? path;
  const fits = (rule) => rule.names?.test(name) || folders.some((one) => rule.folders?.test(one));
  return (await rules).find(fits)?.kind;
}

const compiled = ({ kind, names, folders }) => ({
  kind,
  names: names && wholeName(names),
  folders: folders && wholeName(folders),
});

const wholeName = (pattern) => new RegExp(`^(?:${pattern})$`, "is");
