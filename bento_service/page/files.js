// Dropped, pasted or chosen files as { file, name }; the name of a file in a folder is its path.

const IMAGE = /\.(jpe?g|png|bmp)$/i;

export const named = (files) =>
  [...files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));

// The images of a chosen folder, sorted by path.
export const imagesOf = (files) => inOrder(named(files).filter(({ name }) => IMAGE.test(name)));

// All dropped files, and the images in dropped folders.
export async function dropped(transfer) {
  // The entries are only valid before the first await.
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
    else if (IMAGE.test(entry.name)) {
      found.push({ file: await fileOf(entry), name: entry.fullPath.replace(/^\//, "") });
    }
  }
  return found;
}

// Browsers return a folder in batches of 100 entries, then an empty batch.
async function childrenOf(folder) {
  const reader = folder.createReader();
  const children = [];
  for (;;) {
    const batch = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!batch.length) return children;
    children.push(...batch);
  }
}

const fileOf = (entry) => new Promise((done, fail) => entry.file(done, fail));

const collator = new Intl.Collator(undefined, { numeric: true });
const inOrder = (found) => found.sort((a, b) => collator.compare(a.name, b.name));
