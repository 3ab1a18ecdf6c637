// DOM helpers.

export const find = (id) => document.getElementById(id);

export const percent = (share) => `${(share * 100).toFixed(1)}\u00a0%`;

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export const items = (texts) => texts.map((text) => element("li", "", text));

export function readable(name) {
  const words = name.replaceAll("_", " ").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
