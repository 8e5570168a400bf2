/** What the page says by itself: short notes on the screen, and the same to who listens. */

import { fill, h, iconButton } from "./dom.js";

const SHOWN_MS = 6000;
const MOST = 4;

/** Say it to who listens, without showing it. */
export function announce(message) {
  const announcer = document.getElementById("announcer");
  // The same words twice are only heard when they have gone in between.
  announcer.textContent = "";
  requestAnimationFrame(() => (announcer.textContent = message));
}

/** A note that goes by itself. */
export function note(message) {
  announce(message);
  show(message, "toast", SHOWN_MS);
}

/** A note about something that failed; it stays until it is closed. */
export function complain(error) {
  const message = error instanceof Error ? told(error) : String(error);
  document.getElementById("alarm").textContent = message;
  show(message, "toast bad", SHOWN_MS * 3);
}

/** Do it; complain when it fails. Resolves to undefined then. */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    complain(error);
    return undefined;
  }
}

function told(error) {
  return error instanceof TypeError ? "The server cannot be reached." : error.message;
}

function show(message, kind, life) {
  const place = document.getElementById("toasts");
  while (place.children.length >= MOST) place.firstElementChild.remove();
  const toast = h("div", { class: kind }, h("p", {}, message));
  toast.append(iconButton("close", "Close this note", () => toast.remove()));
  place.append(toast);
  setTimeout(() => toast.remove(), life);
}

/** Ask before something that cannot be undone; whether it was agreed to. */
export function confirmed(title, explanation, action) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-labelledby": "confirm-title" });
    const close = (answer) => {
      dialog.close();
      resolve(answer);
    };
    fill(
      dialog,
      h("h2", { id: "confirm-title" }, title),
      h("p", { class: "muted" }, explanation),
      h(
        "div",
        { class: "row dialog-actions" },
        h("button", { type: "button", class: "main", onclick: () => close(true) }, action),
        h("button", { type: "button", onclick: () => close(false) }, "No"),
      ),
    );
    dialog.addEventListener("cancel", () => resolve(false));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  });
}
