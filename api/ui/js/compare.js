/** Two pictures, one over the other, with a slider between them. */

import { note } from "./notices.js";
import { fill, h, iconButton } from "./dom.js";
import { wordButton } from "./controls.js";

let kept = null;

/** The picture that waits for another one to be compared with, or null. */
export function pinned() {
  return kept;
}

/** Keep a picture (`{address, name, about}`); the second one opens the comparison. */
export function pin(picture) {
  if (!kept || kept.address === picture.address) {
    kept = picture;
    note(`${picture.name} is kept. Choose Compare at another picture.`);
    return;
  }
  const first = kept;
  kept = null;
  openComparison(first, picture);
}

function openComparison(left, right) {
  const dialog = h("dialog", { class: "viewer", "aria-label": "Comparison" });
  const sides = { left, right };
  const lower = h("img", {});
  const upper = h("img", { class: "upper" });
  const slider = h("input", {
    type: "range",
    min: "0",
    max: "100",
    step: "0.1",
    value: "50",
    "aria-label": "How much of the left picture is shown",
  });
  const line = h("span", { class: "divider", "aria-hidden": "true" });
  const frame = h("div", { class: "comparison" }, lower, upper, line, slider);
  const names = h("p", { class: "cut" });
  const move = () => frame.style.setProperty("--at", `${slider.value}%`);
  const show = () => {
    upper.src = sides.left.address;
    upper.alt = `Left: ${sides.left.name}`;
    lower.src = sides.right.address;
    lower.alt = `Right: ${sides.right.name}`;
    fill(names, called(sides.left), h("span", { class: "muted" }, " | "), called(sides.right));
    move();
  };
  const swap = () => {
    [sides.left, sides.right] = [sides.right, sides.left];
    show();
  };
  slider.addEventListener("input", move);
  fill(
    dialog,
    h(
      "div",
      { class: "viewer-bar row spread" },
      names,
      h(
        "div",
        { class: "row tight" },
        wordButton("swap", "Swap", swap, { class: "quiet small" }),
        iconButton("close", "Close", () => dialog.close()),
      ),
    ),
    h("div", { class: "viewer-picture" }, frame),
  );
  dialog.addEventListener("close", () => dialog.remove());
  show();
  document.body.append(dialog);
  dialog.showModal();
  slider.focus();
}

function called({ job, name }) {
  return job ? `${job}: ${name}` : name;
}
