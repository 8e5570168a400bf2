/** The inputs of a workflow as a form. What is typed goes into a copy of the workflow, which is what runs. */

import { control, wordButton } from "./controls.js";
import { fill, h } from "./dom.js";
import { fileControl } from "./file_control.js";
import { groupsOf, inputsOf } from "./fields.js";
import { copyOf, titleOf } from "./workflow_file.js";

const FOLDED_FROM = 5;
const ALL_OPEN = 3;

/** Shows one workflow at a time in `place`; `onChange` is called when a value has changed. */
export class Form {
  workflow = null;
  sources = new Map();
  #controls = [];
  #summary = h("div", { class: "findings", tabindex: "-1" });

  constructor(place, onChange = () => {}) {
    this.place = place;
    this.onChange = onChange;
  }

  /** Show a workflow; `images` are the files that came with it. Resolves when its form stands. */
  async show(workflow, images = []) {
    const mine = copyOf(workflow);
    this.workflow = mine;
    this.sources = new Map(images.filter((each) => each.image).map((each) => [each.name, each.image]));
    const info = await inputsOf(new Set(Object.values(mine).map((node) => node.class_type)));
    if (this.workflow !== mine) return;
    this.#controls = [];
    const groups = groupsOf(mine, info);
    const isShort = groups.length <= ALL_OPEN;
    fill(
      this.place,
      this.#summary,
      groups.map((group) => this.#group(group, isShort || group.rank < FOLDED_FROM)),
    );
    fill(this.#summary);
  }

  /** The files that go with the job, as its `images`; only those the workflow asks for. */
  get images() {
    const asked = new Set(
      Object.values(this.workflow).flatMap((node) =>
        Object.values(node.inputs ?? {}).filter((value) => typeof value === "string"),
      ),
    );
    return [...this.sources].filter(([name]) => asked.has(name)).map(([name, image]) => ({ name, image }));
  }

  /** New seeds where every run is to have one. */
  renew() {
    for (const each of this.#controls) each.renew?.();
  }

  /** Whether all values are right; the first that is not gets the focus. */
  check() {
    const wrong = this.#controls.filter((each) => each.fault());
    for (const each of wrong) each.say(each.fault());
    if (wrong.length) this.#open(wrong[0]);
    return wrong.length === 0;
  }

  /** Give a file to the picker that waits for it by name, or to the first that has none, or to the only one. */
  give(file) {
    const pickers = this.#controls.filter((each) => each.give);
    const picker =
      pickers.find((each) => each.wants() === file.name) ?? pickers.find((each) => each.isMissing()) ?? pickers[0];
    if (!picker) return false;
    this.#open(picker);
    picker.give(file);
    return true;
  }

  /** Show findings at their fields, the others above all. */
  say(errors, warnings = []) {
    for (const each of this.#controls) each.say(each.fault());
    const loose = [
      ...errors.filter((each) => !this.#sayAt(each, false)),
      ...warnings.filter((each) => !this.#sayAt(each, true)),
    ];
    fill(this.#summary, errors.length + warnings.length ? this.#summed(errors, warnings, loose) : null);
    const first = this.#controls.find((each) => errors.some((finding) => this.#isAbout(finding, each)));
    if (first) this.#open(first);
    else if (errors.length) this.#summary.focus();
  }

  #summed(errors, warnings, loose) {
    const count = (list, word) => (list.length ? `${list.length} ${word}${list.length > 1 ? "s" : ""}` : null);
    const title = [count(errors, "error"), count(warnings, "warning")].filter(Boolean).join(", ");
    const lines = loose.map((each) => h("li", {}, this.#where(each), each.message ?? each.code));
    return h(
      "div",
      { class: `note ${errors.length ? "bad" : "doubtful"}` },
      h("strong", {}, title),
      lines.length ? h("ul", {}, lines) : null,
    );
  }

  #where(finding) {
    return finding.node_id && finding.node_id in this.workflow ? `${titleOf(this.workflow, finding.node_id)}: ` : null;
  }

  #sayAt(finding, isDoubt) {
    const found = this.#controls.find((each) => this.#isAbout(finding, each));
    found?.say(finding.message, isDoubt, finding.nearest ?? []);
    return Boolean(found);
  }

  #isAbout({ node_id, field }, { field: { nodeId, name } }) {
    return String(node_id) === nodeId && (field === name || field === `workflow.${nodeId}.inputs.${name}`);
  }

  #open(each) {
    each.element.closest("details").open = true;
    each.focus();
    each.element.scrollIntoView({ block: "nearest" });
  }

  #group(group, isOpen) {
    const controls = group.fields.map((field) => this.#control(field));
    this.#controls.push(...controls);
    return h(
      "details",
      { class: "group", open: isOpen },
      h(
        "summary",
        {},
        h("span", { class: "cut" }, group.title),
        group.title === group.classType ? null : h("span", { class: "muted fine cut" }, group.classType),
      ),
      h(
        "div",
        { class: "fields" },
        controls.map((each) => each.element),
        swapper(controls),
      ),
    );
  }

  #control(field) {
    const inputs = this.workflow[field.nodeId].inputs;
    const store = (value) => {
      inputs[field.name] = value;
      this.onChange();
    };
    const value = inputs[field.name];
    return field.kind === "file" ? fileControl(field, value, store, this.sources) : control(field, value, store);
  }
}

/** Width and height stand side by side; this turns them round. */
function swapper(controls) {
  const [width, height] = ["width", "height"].map((name) => controls.find((each) => each.field.name === name));
  if (!width || !height) return null;
  const value = (each) => each.element.querySelector("input").value;
  const swap = () => {
    const [wide, high] = [value(width), value(height)];
    width.take(high);
    height.take(wide);
  };
  return wordButton("swap", "Swap width and height", swap, { class: "quiet small swap" });
}
