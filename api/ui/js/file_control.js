/** The picker of a picture, video or sound: choose, drop or paste one; it is sent at once and named in the job. */

import { upload } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { wordButton } from "./controls.js";

let numbered = 0;

/**
 * A control like those of `control`. `sources` maps the names of files that go with the job to what they are made of;
 * `store(name)` makes the workflow ask for a file.
 */
export function fileControl(field, value, store, sources) {
  const id = `file${++numbered}`;
  const picker = h("input", {
    id,
    type: "file",
    accept: field.accept,
    class: "unseen",
    tabindex: "-1",
    "aria-hidden": "true",
  });
  const shown = h("div", { class: "picture-shown" });
  const says = h("div", { id: `${id}-says` });
  const choose = wordButton("upload", "Choose…", () => picker.click(), {
    class: "small",
    "aria-describedby": `${id}-says ${id}-name`,
  });
  const name = h("p", { class: "cut fine", id: `${id}-name` });
  const bar = h("div", { class: "bar", hidden: true }, h("span"));
  const state = { value, isBusy: false, file: null };
  choose.setAttribute("aria-label", `Choose a file for ${field.label}`);

  const say = (text, isDoubt = false, offers = []) => {
    if (text && !isDoubt) choose.setAttribute("aria-invalid", "true");
    else choose.removeAttribute("aria-invalid");
    const buttons = offers.map((offer) =>
      h("button", { type: "button", class: "link", onclick: () => useNamed(offer) }, `Use ${offer}`),
    );
    fill(
      says,
      text ? h("p", { class: isDoubt ? "doubt" : "fault" }, text, ...buttons.flatMap((each) => [" ", each])) : null,
    );
  };
  const useNamed = (wanted) => {
    state.value = wanted;
    state.file = null;
    store(wanted);
    say(null);
    describe();
  };
  const describe = () => {
    const source = sources.get(state.value);
    const isThere = field.choices.includes(state.value);
    const where = state.file || source ? "goes with the job" : isThere ? "on ComfyUI" : "choose the file";
    fill(name, h("span", {}, String(state.value)), h("span", { class: "muted" }, ` · ${where}`));
    fill(shown, preview(state.file, source));
  };
  const give = async (file) => {
    state.isBusy = true;
    bar.hidden = false;
    say(null);
    try {
      const ref = await upload(file, (share) => bar.firstElementChild.style.setProperty("--done", share * 100));
      const called = freeName(file, sources, ref);
      sources.set(called, ref);
      Object.assign(state, { value: called, file });
      store(called);
      describe();
    } catch (error) {
      say(error.message);
    } finally {
      state.isBusy = false;
      bar.hidden = true;
    }
  };
  picker.addEventListener("change", () => picker.files[0] && give(picker.files[0]));

  const element = h(
    "div",
    {
      class: "field full drop",
      role: "group",
      "aria-label": field.label,
      data: { field: `${field.nodeId}.${field.name}` },
    },
    h("span", { class: "label", "aria-hidden": "true" }, field.label),
    h(
      "div",
      { class: "picture" },
      shown,
      h("div", { class: "picture-words" }, name, h("div", { class: "row" }, choose, picker), bar),
    ),
    says,
  );
  takeDrops(element, give);
  describe();
  const isMissing = () =>
    !state.file && !sources.has(state.value) && field.choices.length > 0 && !field.choices.includes(state.value);
  const fault = () => (state.isBusy ? "The file is still being sent." : null);
  return {
    element,
    field,
    say,
    focus: () => choose.focus(),
    fault,
    take: useNamed,
    give,
    isMissing,
    wants: () => state.value,
  };
}

function takeDrops(element, give) {
  element.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    element.classList.add("over");
  });
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    element.classList.remove("over");
    const [file] = event.dataTransfer?.files ?? [];
    if (!file) return;
    event.preventDefault();
    event.stopPropagation();
    give(file);
  });
}

function preview(file, source) {
  const isPicture = file
    ? file.type.startsWith("image/")
    : typeof source === "string" && source.startsWith("data:image/");
  if (!isPicture) return h("span", { class: "muted" }, icon("picture"));
  const address = file ? URL.createObjectURL(file) : source;
  return h("img", { src: address, alt: "", onload: () => file && URL.revokeObjectURL(address) });
}

/** A name the server takes, and which no other file of the job has. */
function freeName(file, sources, ref) {
  const [, stem, ending] = /^(.*?)(\.[A-Za-z0-9]{1,8})?$/s.exec(file.name);
  const safe =
    stem
      .replace(/[^\p{L}\p{N} _.()-]/gu, "_")
      .replace(/^[. ]+|[. ]+$/g, "")
      .slice(0, 80) || "file";
  for (let number = 1; ; number++) {
    const name = `${safe}${number > 1 ? `_${number}` : ""}${ending ?? ""}`;
    if (!sources.has(name) || sources.get(name) === ref) return name;
  }
}
