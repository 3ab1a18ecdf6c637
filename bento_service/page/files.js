// What a person dropped, pasted or chose, as { file, name }; files of a folder carry their path.

const PICTURE = /\.(jpe?g|png)$/i;

export const named = (files) =>
  [...files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));

// Those of a chosen folder that are pictures, in the order of their paths.
export const picturesOf = (files) => inOrder(named(files).filter(({ name }) => PICTURE.test(name)));

// Dropped files as they are, and the pictures in dropped folders.
export async function dropped(transfer) {
  // The entries are gone after the first wait.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return named(transfer.files);
  const found = [];
  for (const entry of entries) {
    if (entry.isDirectory) found.push(...inOrder(await walk(entry)));
    else found.push({ file: await fileOf(entry), name: entry.name });
  }
  return found;
}

async function walk(folder) {
  const found = [];
  for (const entry of await childrenOf(folder)) {
    if (entry.isDirectory) found.push(...(await walk(entry)));
    else if (PICTURE.test(entry.name)) {
      found.push({ file: await fileOf(entry), name: entry.fullPath.replace(/^\//, "") });
    }
  }
  return found;
}

// A browser reads a folder in parts of 100 entries, and ends with an empty part.
async function childrenOf(folder) {
  const reader = folder.createReader();
  const children = [];
  for (;;) {
    const part = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!part.length) return children;
    children.push(...part);
  }
}

const fileOf = (entry) => new Promise((done, fail) => entry.file(done, fail));

const collator = new Intl.Collator(undefined, { numeric: true });
const inOrder = (found) => found.sort((a, b) => collator.compare(a.name, b.name));
