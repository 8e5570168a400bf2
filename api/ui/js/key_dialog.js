/** Asks for the API key. It stays in this tab, or in this browser when that is wanted. */

import { isRemembered, key, useKey } from "./api.js";
import { fill, h } from "./dom.js";

// What a header can carry.
const SENDABLE = /^[\x21-\x7e]+$/;

/** Ask; resolves to whether there is a new key to try. */
export function askForKey(wasWrong) {
  return new Promise((resolve) => {
    const input = h("input", {
      id: "api-key",
      type: "password",
      autocomplete: "off",
      spellcheck: "false",
      required: true,
      "aria-describedby": "api-key-hint",
      "aria-invalid": wasWrong ? "true" : null,
      oninput: () => input.setCustomValidity(""),
    });
    const remember = h("input", { id: "api-key-remember", type: "checkbox", class: "switch", checked: isRemembered() });
    const dialog = h("dialog", { id: "key-dialog", "aria-labelledby": "key-title" });
    let isTaken = false;
    const take = (event) => {
      event.preventDefault();
      const given = input.value.trim();
      input.setCustomValidity(SENDABLE.test(given) ? "" : "A key is made of plain letters, digits and signs.");
      if (!input.reportValidity()) return;
      isTaken = true;
      useKey(given, { remember: remember.checked });
      dialog.close();
    };
    fill(
      dialog,
      h(
        "form",
        { onsubmit: take },
        h("div", {}, h("h2", { id: "key-title" }, "API key"), explanation(wasWrong)),
        h("div", { class: "field" }, h("label", { htmlFor: "api-key" }, "Key"), input, hint()),
        h("label", { class: "switch-line" }, remember, "Remember it in this browser"),
        h(
          "div",
          { class: "row" },
          h("button", { type: "submit", class: "main" }, "Use this key"),
          h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Not now"),
          key() ? h("button", { type: "button", class: "quiet danger", onclick: forget }, "Forget the key") : null,
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(isTaken);
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}

function explanation(wasWrong) {
  return wasWrong
    ? h("p", { class: "note bad", role: "alert" }, "This key is not the right one. Try another.")
    : h(
        "p",
        { class: "muted" },
        "This worker takes requests with a key only. It goes to this server and nowhere else.",
      );
}

function hint() {
  return h(
    "p",
    { class: "hint", id: "api-key-hint" },
    "One of API_KEY. With ADMIN_API_KEY the queue and instances can be changed too.",
  );
}

function forget() {
  useKey(null);
  location.reload();
}
