/** A picture (or video, or sound) as large as the screen; arrows go to the next one. */

import { fill, h, iconButton } from "./dom.js";
import { pin } from "./compare.js";

/** Show `pictures[index]`; `{address, name, about, kind?}` each. `extras(picture)` are further elements below it. */
export function openViewer(pictures, index = 0, extras = () => null) {
  const dialog = h("dialog", { class: "viewer", "aria-label": "Picture" });
  const frame = h("div", { class: "viewer-picture" });
  const words = h("p", { class: "cut" });
  const more = h("div", { class: "viewer-more" });
  let shown = index;
  const show = (wanted) => {
    shown = (wanted + pictures.length) % pictures.length;
    const picture = pictures[shown];
    fill(frame, medium(picture));
    compareButton.disabled = (picture.kind ?? "image") !== "image";
    fill(words, picture.name, h("span", { class: "muted" }, ` ${picture.about} · ${shown + 1} of ${pictures.length}`));
    fill(more, extras(picture, dialog));
  };
  const compare = () => {
    dialog.close();
    pin(pictures[shown]);
  };
  const compareButton = iconButton("compare", "Compare", compare);
  const isAlone = pictures.length < 2;
  fill(
    dialog,
    h(
      "div",
      { class: "viewer-bar row spread" },
      words,
      h(
        "div",
        { class: "row tight" },
        iconButton("left", "The one before", () => show(shown - 1), { disabled: isAlone }),
        iconButton("right", "The next one", () => show(shown + 1), { disabled: isAlone }),
        compareButton,
        iconButton("close", "Close", () => dialog.close()),
      ),
    ),
    frame,
    more,
  );
  dialog.addEventListener("keydown", (event) => {
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (direction && !isAlone) show(shown + direction);
  });
  dialog.addEventListener("close", () => dialog.remove());
  show(index);
  document.body.append(dialog);
  dialog.showModal();
}

function medium({ kind = "image", address, name }) {
  if (kind === "video") return h("video", { src: address, controls: true, autoplay: true, loop: true });
  if (kind === "audio") return h("audio", { src: address, controls: true });
  return h("img", { src: address, alt: name });
}
