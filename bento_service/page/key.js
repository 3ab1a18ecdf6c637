// The API key of this tab; the page asks for it only after the service responded with 401.

import { find } from "./dom.js";

const STORED = "leukoflow-api-key"; // key in sessionStorage
let asking = null;

export const apiKey = () => sessionStorage.getItem(STORED) ?? "";

// Asks for a key to replace a rejected one; throws the service's error when none is entered.
export async function askForKey(rejected, problem) {
  if (apiKey() !== rejected) return; // another request has asked in the meantime
  asking ??= ask(rejected).finally(() => (asking = null));
  if (!(await asking)) throw problem;
}

function ask(rejected) {
  const dialog = find("key-dialog");
  find("key-refused").hidden = rejected === "";
  find("key").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(store(dialog.returnValue)), { once: true });
  });
}

function store(key) {
  if (key) sessionStorage.setItem(STORED, key);
  return key !== "";
}

export function prepareKeyDialog() {
  find("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    find("key-dialog").close(find("key").value.trim());
  });
  find("key-cancel").addEventListener("click", () => find("key-dialog").close(""));
}
