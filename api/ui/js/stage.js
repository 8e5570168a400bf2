/** One job, large: how far it is, what it has made, what went wrong, and what can be done with it. */

import { get } from "./api.js";
import { callsDialog } from "./calls_dialog.js";
import { ENDED } from "./jobs.js";
import { attempt, complain, confirmed, announce } from "./notices.js";
import { fill, h, icon, iconButton } from "./dom.js";
import { ProgressView } from "./progress_view.js";
import { resultView } from "./results.js";
import { duration, moment, nameOf, stateOf } from "./words.js";
import { wordButton } from "./controls.js";

const EXPLAIN_MS = 3000;

/** The stage in `place`. `onEdit(input, name)` loads a job's input into the form. */
export class Stage {
  #id = null;
  #parts = null;
  #shownEnd = null;
  #explainedAt = 0;
  #inputs = new Map();

  constructor(place, jobs, { onEdit, onLeave, follow }) {
    Object.assign(this, { place, jobs, onEdit, onLeave, follow });
    jobs.addEventListener("changed", ({ detail: { id, what } }) => {
      if (id === this.#id && what === "forgotten") this.#leave();
      else if (id === this.#id || id === null) this.#update();
    });
    setInterval(() => this.#tick(), 1000);
    this.#showNothing();
  }

  get id() {
    return this.#id;
  }

  /** Remember what a job was submitted with: nobody need ask. */
  remember(id, input) {
    this.#inputs.set(id, input);
  }

  /** Show a job; null shows none. */
  async open(id) {
    if (id === this.#id) return;
    this.#id = id;
    this.#shownEnd = null;
    this.#explainedAt = 0;
    this.follow(id);
    if (!id) {
      this.#showNothing();
      return;
    }
    this.#build();
    try {
      if (!this.jobs.all.get(id)?.isTold) await this.jobs.fetch(id);
      this.#update();
      const input = await this.#input(id);
      if (id === this.#id) this.#parts.progress.of(input?.workflow ?? input?.prompt ?? null);
      this.#update();
    } catch (error) {
      if (id !== this.#id) return;
      complain(error);
      this.#showNothing();
    }
  }

  /** A frame of the live view. */
  hear({ event, data }) {
    if (event === "preview" && data.job_id === this.#id) this.#parts.progress.show(data);
  }

  async #input(id) {
    if (!this.#inputs.has(id)) {
      const found = await get(`/jobs/${encodeURIComponent(id)}/input`).catch(() => null);
      this.#inputs.set(id, found?.input ?? null);
    }
    return this.#inputs.get(id);
  }

  #showNothing() {
    this.#parts = null;
    fill(
      this.place,
      h(
        "div",
        { class: "empty stage-empty" },
        icon("picture"),
        h("p", {}, "Results show up here."),
        h("p", { class: "fine" }, "Run a workflow, or choose a job from the queue."),
      ),
    );
  }

  #build() {
    const progress = new ProgressView();
    const parts = {
      progress,
      title: h("h3", { class: "job-title cut" }),
      state: h("span", { class: "pill" }),
      facts: h("p", { class: "muted fine job-facts" }),
      why: h("p", { class: "muted fine" }),
      actions: h("div", { class: "row job-actions" }),
      fault: h("div", {}),
      result: h("div", { class: "result-place" }),
    };
    this.#parts = parts;
    const head = h(
      "div",
      { class: "job-head" },
      h("div", { class: "row job-line" }, parts.title, parts.state),
      parts.facts,
    );
    fill(
      this.place,
      h(
        "article",
        { class: "job" },
        h("div", { class: "row spread top-line" }, head, parts.actions),
        parts.fault,
        parts.why,
        progress.bar,
        progress.words,
        parts.result,
        progress.preview,
        progress.details,
      ),
    );
  }

  #update() {
    const job = this.jobs.all.get(this.#id);
    const parts = this.#parts;
    if (!parts || !job) return;
    const name = nameOf(job);
    parts.title.textContent = name;
    parts.title.title = job.id;
    parts.state.textContent = stateOf(job);
    parts.state.className = `pill ${job.status}`;
    parts.progress.update(job);
    this.#tick();
    this.#explain(job);
    this.#showActions(job, name);
    this.#showFault(job);
    this.#showResult(job, name);
  }

  #tick() {
    const job = this.jobs.all.get(this.#id);
    if (!job || !this.#parts) return;
    const place = this.jobs.line.indexOf(job.id);
    const facts = [
      job.status === "pending" && place >= 0 ? (place === 0 ? "next in line" : `${place} before it`) : null,
      job.status === "running" && job.startedAt ? duration(Date.now() / 1000 - job.startedAt) : null,
      ENDED.has(job.status) && job.startedAt && job.endedAt ? `took ${duration(job.endedAt - job.startedAt)}` : null,
      job.priority !== "normal" ? `${job.priority} priority` : null,
      job.attempts > 1 ? `run ${job.attempts}` : null,
      moment(job.createdAt),
    ];
    this.#parts.facts.textContent = facts.filter(Boolean).join(" · ");
  }

  /** What a waiting job waits for. */
  #explain(job) {
    const { why } = this.#parts;
    if (job.status !== "pending") why.textContent = "";
    if (job.status !== "pending" || Date.now() - this.#explainedAt < EXPLAIN_MS) return;
    this.#explainedAt = Date.now();
    get(`/why/${encodeURIComponent(job.id)}`, { quiet: true }).then(
      (told) => (why.textContent = this.jobs.all.get(told.job_id)?.status === "pending" ? told.why : ""),
      () => {},
    );
  }

  #showActions(job, name) {
    const { actions } = this.#parts;
    const state = `${job.id} ${job.status}`;
    if (actions.dataset.state === state) return;
    actions.dataset.state = state;
    const hadFocus = actions.contains(document.activeElement);
    const hasEnded = ENDED.has(job.status);
    const retries = hasEnded && job.status !== "completed";
    fill(
      actions,
      hasEnded
        ? null
        : wordButton("close", "Cancel", () => attempt(() => this.jobs.cancel(job.id)), { class: "small" }),
      retries ? wordButton("retry", "Retry", () => attempt(() => this.jobs.retry(job.id)), { class: "small" }) : null,
      iconButton("edit", "Load into the form", () => this.#edit(job.id, name)),
      iconButton("copy", "Copy the call that makes it", () => this.#call(job)),
      hasEnded ? iconButton("trash", "Delete the job and its files", () => this.#forget(job.id, name)) : null,
    );
    if (hadFocus) actions.querySelector("button")?.focus();
  }

  #showFault(job) {
    const isFailure = job.status === "failed" || job.status === "timed_out";
    const text = isFailure
      ? (job.error ?? "The job failed.")
      : job.status === "cancelled"
        ? "The job was cancelled."
        : null;
    if (this.#parts.fault.dataset.text === (text ?? "")) return;
    this.#parts.fault.dataset.text = text ?? "";
    fill(
      this.#parts.fault,
      text
        ? h(
            "p",
            { class: `note ${isFailure ? "bad" : ""}` },
            text,
            isFailure && job.code ? h("span", { class: "mono code-word" }, ` ${job.code}`) : null,
          )
        : null,
    );
  }

  #showResult(job, name) {
    const end = ENDED.has(job.status) ? `${job.id} ${job.endedAt} ${job.attempts}` : null;
    if (job.status !== "completed") {
      this.#shownEnd = null;
      fill(this.#parts.result);
    } else if (end !== this.#shownEnd) {
      this.#shownEnd = end;
      attempt(() => this.#fetchResult(job.id, name));
    }
  }

  async #fetchResult(id, name) {
    const { result } = await get(`/api/jobs/${encodeURIComponent(id)}/result?outputs=url`);
    if (id !== this.#id || !this.#parts) return;
    fill(this.#parts.result, resultView(result, name));
    announce(`${name} is done.`);
  }

  async #edit(id, name) {
    const input = await attempt(() => this.#input(id));
    if (input) this.onEdit(input, name);
    else complain("What the job was submitted with is no longer kept.");
  }

  async #call(job) {
    const input = await attempt(() => this.#input(job.id));
    if (input) callsDialog({ ...input, priority: job.priority, labels: job.labels });
    else complain("What the job was submitted with is no longer kept.");
  }

  async #forget(id, name) {
    if (!(await confirmed("Delete this job?", `${name} and its files are removed from the worker.`, "Delete"))) return;
    await attempt(() => this.jobs.forget(id));
  }

  #leave() {
    this.#id = null;
    this.follow(null);
    this.#showNothing();
    this.onLeave();
  }
}
