/** Jobs that run, wait and have ended. Those that wait are moved by dragging or with the arrow keys. */

import { ENDED } from "./jobs.js";
import { announce, attempt, confirmed, note } from "./notices.js";
import { draggable } from "./drag.js";
import { fill, h, icon, iconButton, keyed } from "./dom.js";
import { ago, counted, duration, nameOf, stateOf } from "./words.js";
import { wordButton } from "./controls.js";

const SHOWN_WAITING = 100;

/** The rail in `place`; `tools` stands in its head. */
export class Queue {
  #isOperator = false;
  #dragged = false;
  #pending = false;

  constructor(place, tools, jobs) {
    this.jobs = jobs;
    this.selected = null;
    this.running = section("Running");
    this.waiting = section("Waiting");
    this.recent = section("Recent");
    this.waiting.list.classList.add("orderly");
    this.tools = tools;
    this.pauseButton = wordButton("pause", "Pause", () => attempt(() => jobs.pause(!jobs.isPaused)), {
      class: "quiet small",
    });
    this.clearButton = wordButton("trash", "Clear", () => this.#clear(), { class: "quiet small" });
    fill(this.tools, this.pauseButton, this.clearButton);
    this.pausedNote = h("p", { class: "note doubtful", hidden: true }, "The queue is paused: no jobs are started.");
    this.hint = h(
      "p",
      { class: "unseen", id: "move-hint" },
      "Drag it, or press the up and down arrow keys, Home or End.",
    );
    fill(place, this.pausedNote, this.hint, this.running.element, this.waiting.element, this.recent.element);
    draggable(this.waiting.list, {
      onStart: () => (this.#dragged = true),
      onDrop: (id, before) => this.#drop(id, before),
      onCancel: () => this.#drop(null),
    });
    jobs.addEventListener("changed", () => this.#updateSoon());
    setInterval(() => this.update(), 30_000);
    this.update();
  }

  /** Whether the queue may be changed with this key. */
  set isOperator(isOperator) {
    this.#isOperator = isOperator;
    this.tools.hidden = !isOperator;
    this.update();
  }

  /** Mark the job that is shown. */
  select(id) {
    this.selected = id;
    this.update();
  }

  update() {
    // Rows must not move below the finger.
    if (this.#dragged) return;
    const { jobs } = this;
    const line = jobs.line.map((id) => jobs.all.get(id)).filter((job) => job?.status === "pending");
    const hidden = Math.max(0, jobs.waiting - Math.min(line.length, SHOWN_WAITING));
    this.pausedNote.hidden = !jobs.isPaused;
    this.pauseButton.lastChild.textContent = jobs.isPaused ? "Resume" : "Pause";
    this.clearButton.disabled = line.length === 0;
    this.#list(this.running, jobs.running, "Nothing runs.");
    this.#list(this.waiting, line.slice(0, SHOWN_WAITING), "Nothing waits.", hidden ? `and ${hidden} more` : null);
    this.#list(this.recent, jobs.recent, "Nothing has ended yet.");
  }

  #updateSoon() {
    if (this.#pending) return;
    this.#pending = true;
    requestAnimationFrame(() => {
      this.#pending = false;
      this.update();
    });
  }

  #list({ list, count, empty }, jobs, nothing, more = null) {
    count.textContent = jobs.length ? String(jobs.length) : "";
    empty.textContent = jobs.length ? (more ?? "") : nothing;
    keyed(
      list,
      jobs,
      (job) => `${job.id} ${ENDED.has(job.status)}`,
      (job) => this.#row(job),
      (row, job) => this.#fill(row, job),
    );
  }

  #row(job) {
    const { id } = job;
    const row = h("li", { class: "job-row", data: { id } });
    const grip = iconButton("grip", "", () => {}, { class: "grip", "aria-describedby": "move-hint" });
    grip.addEventListener("keydown", (event) => this.#key(event, id));
    const name = h("span", { class: "cut job-row-name" });
    const about = h("span", { class: "muted fine cut" });
    const link = h("a", { href: `#job/${encodeURIComponent(id)}`, class: "job-link" }, name, about);
    const bar = h("div", { class: "bar" }, h("span"));
    const actions = h("div", { class: "row tight row-actions" });
    row.append(grip, h("span", { class: "state-mark" }), link, actions, bar);
    return row;
  }

  #fill(row, job) {
    const [grip, mark, link, actions, bar] = row.children;
    const name = nameOf(job);
    const isWaiting = job.status === "pending";
    row.dataset.status = job.status;
    row.classList.toggle("selected", job.id === this.selected);
    if (job.id === this.selected) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    grip.hidden = !(isWaiting && this.#isOperator);
    mark.hidden = !grip.hidden;
    grip.setAttribute("aria-label", `Move ${name}`);
    link.children[0].textContent = name;
    link.children[1].textContent = this.#about(job);
    bar.hidden = job.status !== "running";
    bar.firstElementChild.style.setProperty("--done", job.percent);
    const state = `${job.status} ${this.#isOperator} ${name}`;
    if (actions.dataset.state === state) return;
    actions.dataset.state = state;
    fill(actions, this.#actions(job, name));
  }

  #about(job) {
    const priority = job.priority === "normal" ? "" : ` · ${job.priority}`;
    if (job.status === "pending") return `${ago(job.createdAt)}${priority}`;
    if (job.status === "running") return `${Math.round(job.percent)} %${job.node ? ` · ${job.node}` : ""}`;
    const took = job.startedAt && job.endedAt ? ` · ${duration(job.endedAt - job.startedAt)}` : "";
    return `${stateOf(job)} · ${ago(job.endedAt ?? job.createdAt)}${took}`;
  }

  #actions(job, name) {
    if (!ENDED.has(job.status))
      return iconButton("close", `Cancel ${name}`, () => attempt(() => this.jobs.cancel(job.id)));
    if (job.status === "completed") return null;
    return iconButton("retry", `Retry ${name}`, () => attempt(() => this.jobs.retry(job.id)));
  }

  #key(event, id) {
    const { line } = this.jobs;
    const at = line.indexOf(id);
    const target = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: line.length - 1 }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    if (at < 0 || target < 0 || target >= line.length || target === at) return;
    const rest = line.filter((each) => each !== id);
    this.#move(id, rest[target] ?? null, target);
  }

  #drop(id, before) {
    this.#dragged = false;
    if (id && this.#changes(id, before)) this.#move(id, before);
    else this.update();
  }

  #changes(id, before) {
    const { line } = this.jobs;
    return before !== id && (line[line.indexOf(id) + 1] ?? null) !== before;
  }

  async #move(id, before) {
    await attempt(() => this.jobs.move(id, before));
    const at = this.jobs.line.indexOf(id);
    const job = this.jobs.all.get(id);
    if (at >= 0 && job) announce(`${nameOf(job)} is number ${at + 1} of ${this.jobs.line.length}.`);
  }

  async #clear() {
    const many = counted(this.jobs.waiting, "waiting job");
    if (!(await confirmed("Clear the queue?", `${many} will be cancelled. Those that run go on.`, "Cancel them")))
      return;
    const cancelled = await attempt(() => this.jobs.clear());
    if (cancelled !== undefined) note(`${counted(cancelled, "job")} cancelled.`);
  }
}

function section(title) {
  const list = h("ol", { class: "job-rows" });
  const count = h("span", { class: "muted fine" });
  const empty = h("p", { class: "muted fine nothing" });
  return {
    list,
    count,
    empty,
    element: h("section", { class: "queue-section" }, h("h3", { class: "row" }, title, count), list, empty),
  };
}
