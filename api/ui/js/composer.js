/** Where jobs come from: drop, paste or open a workflow, fill in its form, check it, run it. */

import { post } from "./api.js";
import { announce, attempt } from "./notices.js";
import { copyOf, read, readFile } from "./workflow_file.js";
import { fill, h, icon } from "./dom.js";
import { EXAMPLE } from "./example.js";
import { Form } from "./form.js";
import { wordButton } from "./controls.js";

const DRAFT = "worker-draft";
const MOST_DRAFT = 2_000_000;
const MOST_NAME = 60;
const PRIORITIES = ["high", "normal", "low"];

/** The composer in `place`; `onRun(jobId, about)` is called when a job has been taken. */
export class Composer {
  #name = "";
  #extras = {};
  #isBusy = false;

  constructor(place, onRun) {
    this.onRun = onRun;
    this.body = h("div", { class: "form-body" });
    this.form = new Form(this.body, () => this.#keepDraft());
    this.picker = h("input", {
      type: "file",
      multiple: true,
      class: "unseen",
      tabindex: "-1",
      "aria-hidden": "true",
      "aria-label": "Files",
    });
    this.picker.addEventListener("change", () =>
      this.take([...this.picker.files]).then(() => (this.picker.value = "")),
    );
    this.says = h("div", { class: "composer-says", id: "composer-says" });
    this.about = h("div", { class: "loaded", hidden: true });
    this.zone = this.#zone();
    this.actions = this.#actions();
    fill(place, this.zone, this.picker, this.says, this.about, this.body, this.actions);
    this.#listen();
    this.#restore();
  }

  /** Files that were dropped, pasted or chosen: a workflow first, then its pictures. */
  async take(files) {
    const found = await Promise.all(files.map(readFile));
    const workflow = found.find((each) => each.kind === "api") ?? found.find((each) => each.kind === "ui");
    if (workflow) await this.#load(workflow);
    for (const { file } of found.filter((each) => each.kind === "media")) this.#takeMedia(file);
    const unknown = found.find((each) => each.kind === "unknown");
    if (unknown && !workflow) this.#say(unknown.reason, "bad");
  }

  /** Text that was pasted. */
  async takeText(text) {
    const found = read(text);
    if (found.kind === "unknown") this.#say(found.reason, "bad");
    else await this.#load({ ...found, name: "Pasted workflow" });
  }

  /** Show a job's input, to run it again or another one like it. */
  async load(input, name) {
    const given = input.images ?? [];
    const found = read(JSON.stringify(input));
    await this.#load({ ...found, name });
    const lost = given.filter((each) => !each.image).map((each) => each.name);
    if (lost.length) this.#say(`Choose again what was sent along: ${lost.join(", ")}.`, "doubtful");
  }

  async run() {
    if (!this.form.workflow || this.#isBusy || !this.form.check()) return;
    await this.#busy(async () => {
      this.form.renew();
      const body = this.#body();
      try {
        const { job_id: id } = await post("/run", body);
        this.form.say([]);
        this.#say(null);
        announce("The job was taken.");
        this.onRun(id, { body: copyOf(body), priority: body.priority, labels: body.labels });
      } catch (error) {
        if (!error.details?.length) throw error;
        this.form.say(error.details);
      }
    });
  }

  async validate() {
    if (!this.form.workflow || this.#isBusy || !this.form.check()) return;
    await this.#busy(async () => {
      const { previews: _previews, ...body } = this.#body();
      const report = await post("/validate", body);
      this.form.say(report.errors, report.warnings);
      const took = report.expected_s === null ? "" : ` It takes about ${Math.max(1, Math.round(report.expected_s))} s.`;
      if (report.ok) this.#say(`It would run.${took}`, "good");
      else this.#say(null);
      if (!report.ok) announce(`It would not run: ${report.errors.length} errors.`);
    });
  }

  #body() {
    const { workflow, images } = this.form;
    const name = this.nameInput.value.trim().slice(0, MOST_NAME);
    return {
      workflow: copyOf(workflow),
      ...(images.length ? { images } : {}),
      ...this.#extras,
      previews: true,
      priority: this.priority.value,
      ...(name ? { labels: { name } } : {}),
    };
  }

  async #load(found) {
    this.#say(null);
    if (found.kind === "ui") {
      await this.#explain(found.document);
      return;
    }
    this.#extras = found.extras;
    this.#name = plainName(found.name ?? "Workflow");
    await attempt(() => this.form.show(found.workflow, found.images));
    this.#showLoaded();
    this.#keepDraft();
    announce(`Loaded ${this.#name}.`);
  }

  /** The editor's format cannot be run: the server knows best what to do about it. */
  async #explain(document) {
    const report = await attempt(() => post("/validate", { workflow: document }));
    if (report) this.#say(report.errors[0]?.message ?? "This workflow cannot be run.", "bad");
  }

  #takeMedia(file) {
    if (!this.form.workflow)
      this.#say(`${file.name} carries no workflow. Drop a workflow first, then its pictures.`, "doubtful");
    else if (!this.form.give(file)) this.#say("This workflow takes no files.", "doubtful");
  }

  #showLoaded() {
    const isLoaded = this.form.workflow !== null;
    this.nameInput.value = this.#name;
    this.about.hidden = this.actions.hidden = !isLoaded;
    this.zone.classList.toggle("small-zone", isLoaded);
  }

  #say(text, kind = "good") {
    fill(this.says, text ? h("p", { class: `note ${kind}`, role: kind === "bad" ? "alert" : "status" }, text) : null);
  }

  async #busy(action) {
    this.#isBusy = true;
    this.actions.setAttribute("aria-busy", "true");
    await attempt(action);
    this.#isBusy = false;
    this.actions.removeAttribute("aria-busy");
  }

  #zone() {
    const open = wordButton("upload", "Open…", () => this.picker.click());
    const example = h(
      "button",
      { type: "button", class: "link fine", onclick: () => this.load({ workflow: EXAMPLE }, "Example") },
      "Try a small example",
    );
    return h(
      "div",
      { class: "zone" },
      h(
        "div",
        { class: "zone-words" },
        icon("flow"),
        h("p", {}, "Drop or open a workflow"),
        h("p", { class: "muted fine" }, "JSON in API format, or a picture ComfyUI made. Pasting works too."),
      ),
      open,
      example,
    );
  }

  #actions() {
    this.nameInput = h("input", {
      id: "job-name",
      type: "text",
      maxlength: MOST_NAME,
      autocomplete: "off",
      spellcheck: "false",
    });
    this.priority = h(
      "select",
      { id: "job-priority" },
      PRIORITIES.map((each) => h("option", { value: each, selected: each === "normal" }, each)),
    );
    fill(
      this.about,
      h("div", { class: "field" }, h("label", { htmlFor: "job-name" }, "Name"), this.nameInput),
      h("div", { class: "field" }, h("label", { htmlFor: "job-priority" }, "Priority"), this.priority),
    );
    return h(
      "div",
      { class: "actions", hidden: true },
      wordButton("play", "Run", () => this.run(), { class: "main", id: "run", title: "Run (Ctrl+Enter)" }),
      wordButton("check", "Check", () => this.validate(), { id: "validate", title: "Check without running" }),
    );
  }

  #listen() {
    const pane = this.body.closest(".composer");
    for (const place of [pane, document.querySelector(".stage")]) this.#takeDrops(place, pane);
    // What is dropped beside a target must not take the page away.
    for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
    document.addEventListener("paste", (event) => this.#paste(event));
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      this.run();
    });
  }

  #takeDrops(place, pane) {
    place.addEventListener("dragover", () => pane.classList.add("over"));
    place.addEventListener(
      "dragleave",
      (event) => place.contains(event.relatedTarget) || pane.classList.remove("over"),
    );
    place.addEventListener("drop", (event) => {
      pane.classList.remove("over");
      if (!event.defaultPrevented && event.dataTransfer?.files.length)
        attempt(() => this.take([...event.dataTransfer.files]));
    });
  }

  #paste(event) {
    const files = [...(event.clipboardData?.files ?? [])];
    const text = event.clipboardData?.getData("text/plain") ?? "";
    const isTyping = event.target.closest?.("input, textarea, select, dialog");
    if (files.length) {
      event.preventDefault();
      attempt(() => this.take(files));
    } else if (!isTyping && text.trim()) {
      event.preventDefault();
      attempt(() => this.takeText(text));
    }
  }

  #keepDraft() {
    try {
      const draft = JSON.stringify({
        workflow: this.form.workflow,
        images: this.form.images,
        extras: this.#extras,
        name: this.#name,
      });
      if (draft.length <= MOST_DRAFT) sessionStorage.setItem(DRAFT, draft);
    } catch {
      // A draft is a comfort; without storage there is none.
    }
  }

  #restore() {
    let draft = null;
    try {
      draft = read(sessionStorage.getItem(DRAFT) ?? "");
      draft.name = JSON.parse(sessionStorage.getItem(DRAFT)).name;
      draft.extras = JSON.parse(sessionStorage.getItem(DRAFT)).extras;
    } catch {
      return;
    }
    if (draft.kind === "api") this.#load(draft);
  }
}

/** What a label may hold. */
function plainName(text) {
  return text
    .replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, " ")
    .trim()
    .slice(0, MOST_NAME);
}
