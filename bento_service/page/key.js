// The API key of this tab. Nobody is asked for one before the service asks.

import { find } from "./dom.js";

const KEPT = "leukoflow-api-key";
let asking = null;

export const apiKey = () => sessionStorage.getItem(KEPT) ?? "";

// Waits for a key in place of a refused one; throws the service's problem when none is given.
export async function askForKey(refused, problem) {
  if (apiKey() !== refused) return; // another request has asked meanwhile
  asking ??= ask(refused).finally(() => (asking = null));
  if (!(await asking)) throw problem;
}

function ask(refused) {
  const dialog = find("key-dialog");
  find("key-refused").hidden = refused === "";
  find("key").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(keep(dialog.returnValue)), { once: true });
  });
}

function keep(given) {
  if (given) sessionStorage.setItem(KEPT, given);
  return given !== "";
}

export function readyKey() {
  find("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    find("key-dialog").close(find("key").value.trim());
  });
  find("key-cancel").addEventListener("click", () => find("key-dialog").close(""));
}
