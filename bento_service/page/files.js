// Dropped, pasted or chosen files as { images, ignored, skipped }: an image is { file, name }, where
// the name of a file in a folder is its path; the others are numbers of files.

import { kindOf } from "./file_rules.js";

const IMAGE = /\.(jpe?g|jpe|jfif|png|bmp|dib)$/i;

// Chosen or pasted files; those of a chosen folder, sorted by path.
export const chosen = (files) => divided(withPaths(files));

const withPaths = (files) => {
  const found = [...files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
  return found.some(isInFolder) ? inOrder(found) : found;
};

// All dropped files, and all files in dropped folders.
export async function dropped(transfer) {
  // The entries are only valid before the first await.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return chosen(transfer.files);
  const found = [];
  for (const entry of entries) {
    if (entry.isDirectory) found.push(...inOrder(await walk(entry)));
    else found.push({ file: await fileOf(entry), name: entry.name });
  }
  return divided(found);
}

// A file that a person chose by itself is sent with any suffix, unless it is metadata.
async function divided(files) {
  const found = { images: [], ignored: 0, skipped: 0 };
  for (const one of files) {
    const kind = await kindOf(one.name);
    if (kind === "ignored") found.ignored += 1;
    else if (isInFolder(one) && (kind || !IMAGE.test(one.name))) found.skipped += 1;
    else found.images.push(one);
  }
  return found;
}

const isInFolder = ({ name }) => name.includes("/");

async function walk(folder) {
  const found = [];
  for (const entry of await childrenOf(folder)) {
    if (entry.isDirectory) found.push(...(await walk(entry)));
    else found.push({ file: await fileOf(entry), name: entry.fullPath.replace(/^\//, "") });
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
