/** The call that makes a job, to be copied, in three languages. */

import { callsOf } from "./calls.js";
import { fill, h, iconButton } from "./dom.js";
import { note } from "./notices.js";
import { wordButton } from "./controls.js";

/** Show the calls for a job's input with its priority and labels. */
export function callsDialog(body) {
  const calls = callsOf(clean(body));
  const dialog = h("dialog", { class: "large", "aria-labelledby": "calls-title" });
  const code = h("pre", { class: "code", tabindex: "0", "aria-label": "The call" });
  const choices = calls.map((call) =>
    h("button", { type: "button", class: "small", onclick: () => show(call) }, call.name),
  );
  let shown = calls[0];
  const show = (call) => {
    shown = call;
    code.textContent = call.text;
    choices.forEach((each, index) => each.setAttribute("aria-pressed", String(calls[index] === call)));
  };
  const lost = (body.images ?? []).filter((each) => !each.image).map((each) => each.name);
  fill(
    dialog,
    h(
      "div",
      { class: "row spread" },
      h("h2", { id: "calls-title" }, "The call that makes it"),
      iconButton("close", "Close", () => dialog.close()),
    ),
    lost.length
      ? h(
          "p",
          { class: "note doubtful" },
          `The job's own files are not in it: put them in place of null (${lost.join(", ")}).`,
        )
      : null,
    h(
      "div",
      { class: "row spread call-line" },
      h("div", { class: "choice", role: "group", "aria-label": "Language" }, choices),
      wordButton("copy", "Copy", () => copy(shown.text, code), { class: "main small" }),
    ),
    code,
  );
  dialog.addEventListener("close", () => dialog.remove());
  show(shown);
  document.body.append(dialog);
  dialog.showModal();
}

function clean({ priority, labels, ...input }) {
  return {
    ...input,
    ...(priority && priority !== "normal" ? { priority } : {}),
    ...(labels && Object.keys(labels).length ? { labels } : {}),
  };
}

async function copy(text, code) {
  try {
    await navigator.clipboard.writeText(text);
    note("Copied.");
  } catch {
    // Pages that came over plain http have no clipboard but this one.
    getSelection().selectAllChildren(code);
    note(document.execCommand("copy") ? "Copied." : "Press Ctrl+C to copy.");
  }
}
