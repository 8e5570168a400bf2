/** How far a job is: the bar, the picture so far, and each node of its workflow. */

import { fill, h, icon, keyed } from "./dom.js";
import { inOrder, neededBy, titleOf } from "./workflow_file.js";
import { ENDED } from "./jobs.js";

const PICTURE = /^image\/(jpeg|png|webp)$/;

/** Made for one job; `update(job)` whenever there is news of it. */
export class ProgressView {
  #order = [];
  #workflow = null;
  #seen = new Set();
  #address = null;
  #last = null;

  constructor() {
    this.bar = h(
      "div",
      {
        class: "bar large",
        role: "progressbar",
        "aria-label": "Progress",
        "aria-valuemin": "0",
        "aria-valuemax": "100",
      },
      h("span"),
    );
    this.words = h("p", { class: "muted fine progress-words" });
    this.preview = h("img", { class: "preview", alt: "Preview of the unfinished picture", hidden: true });
    this.list = h("ol", { class: "nodes" });
    this.details = h("details", { class: "node-details", open: true }, h("summary", {}, "Nodes"), this.list);
    this.element = h("div", { class: "progress" }, this.bar, this.words, this.preview, this.details);
  }

  /** What the job runs; null when it is not known. */
  of(workflow) {
    this.#workflow = workflow;
    this.#last = null;
    this.#order = workflow ? inOrder(workflow) : [];
    this.details.hidden = !workflow;
  }

  /** A picture of the unfinished work. */
  show({ mime_type: type, data }) {
    if (!PICTURE.test(type)) return;
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const address = URL.createObjectURL(new Blob([bytes], { type }));
    this.preview.src = address;
    this.preview.hidden = false;
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = address;
  }

  update(job) {
    const hasEnded = ENDED.has(job.status);
    if (job.status === "pending") this.#seen.clear();
    if (job.nodeId && job.nodeId !== this.#last && this.#workflow) {
      // What it needs is done, whether it was told or not.
      for (const id of neededBy(this.#workflow, job.nodeId)) this.#seen.add(id);
    }
    this.#last = job.nodeId;
    this.bar.hidden = hasEnded || job.status === "pending";
    this.preview.hidden = hasEnded || !this.#address;
    this.bar.setAttribute("aria-valuenow", String(Math.round(job.percent)));
    this.bar.firstElementChild.style.setProperty("--done", job.percent);
    fill(this.words, hasEnded ? null : this.#say(job));
    if (hasEnded && this.details.open && !this.wasEnded) this.details.open = false;
    this.wasEnded = hasEnded;
    keyed(
      this.list,
      this.#order,
      (id) => id,
      () => nodeRow(),
      (row, id) => this.#row(row, id, job),
    );
  }

  #say(job) {
    if (job.status === "pending") return null;
    if (!job.nodeId) return job.stage === "waiting_in_comfyui" ? "Waiting in ComfyUI" : "Preparing";
    const name = job.node ?? titleOf(this.#workflow, job.nodeId);
    const step = job.steps > 1 ? `, step ${job.step} of ${job.steps}` : "";
    return `${Math.round(job.percent)} % · ${name}${step}`;
  }

  #row(row, id, job) {
    const isCurrent = job.status === "running" && job.nodeId === id;
    const isDone = job.status === "completed" || (this.#seen.has(id) && !isCurrent && job.status === "running");
    const isFaulty = job.status === "failed" && job.nodeId === id;
    const state = isCurrent ? "current" : isFaulty ? "faulty" : isDone ? "done" : "ahead";
    if (row.dataset.state !== state) {
      row.dataset.state = state;
      fill(
        row.firstElementChild,
        { current: h("span", { class: "spinner" }), done: icon("check"), faulty: icon("close") }[state] ?? null,
      );
      row.lastElementChild.textContent = { current: "now", faulty: "failed", done: "done" }[state] ?? "";
      if (isCurrent) row.setAttribute("aria-current", "step");
      else row.removeAttribute("aria-current");
    }
    row.children[1].textContent = titleOf(this.#workflow, id);
    if (isCurrent && job.steps > 1) row.lastElementChild.textContent = `${job.step}/${job.steps}`;
  }
}

function nodeRow() {
  return h(
    "li",
    { class: "node" },
    h("span", { class: "node-mark" }),
    h("span", { class: "cut" }),
    h("span", { class: "muted fine" }),
  );
}
