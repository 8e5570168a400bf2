/** What is known of jobs: listings and news made one. Tells `changed` (and `job` with an id) when there is more. */

import { get, post, json } from "./api.js";

const RECENT = 40;
const MOST_WAITING = 200;
const SOON_MS = 200;
const LEAST_PAUSE_MS = 900;
const LIVE_LOOK_MS = 15_000;
const BLIND_LOOK_MS = 2_500;
const KEPT = 400;
const NO_PROGRESS = { percent: 0, nodeId: null, node: null, step: null, steps: null };

export const ENDED = new Set(["completed", "failed", "timed_out", "cancelled"]);

/** The jobs, the line they wait in, and what can be done with them. */
export class Jobs extends EventTarget {
  all = new Map();
  line = [];
  waiting = 0;
  counts = {};
  isPaused = false;
  isLive = () => false;
  #timer = 0;
  #lookedAt = 0;
  #looking = null;

  /** Look now. Raises ApiError. */
  refresh() {
    this.#looking ??= this.#look().finally(() => (this.#looking = null));
    return this.#looking;
  }

  /** Look soon, but not for every piece of news. */
  refreshSoon() {
    if (this.#timer) return;
    const pause = Math.max(SOON_MS, this.#lookedAt + LEAST_PAUSE_MS - Date.now());
    this.#timer = setTimeout(() => this.#again(), pause);
  }

  /** Look again and again, more often while nothing is heard. */
  keepLooking() {
    setInterval(() => {
      const pause = this.isLive() ? LIVE_LOOK_MS : BLIND_LOOK_MS;
      if (!document.hidden && Date.now() - this.#lookedAt >= pause) this.refreshSoon();
    }, 500);
    document.addEventListener("visibilitychange", () => document.hidden || this.refreshSoon());
  }

  /** A frame of the live view. */
  hear({ event, data }) {
    if (event === "overview") {
      this.isPaused = data.paused;
      this.refreshSoon();
      return;
    }
    const job = data?.job_id && KINDS[event] ? this.#known(data.job_id) : null;
    // Two streams tell of the same job: what one says may be older than the other's end.
    if (!job || (ENDED.has(job.status) && event !== "snapshot" && data.at <= job.endedAt)) return;
    KINDS[event](job, data);
    job.heardAt = Date.now();
    if (event !== "progress" && event !== "output") this.refreshSoon();
    this.#tell(job.id, event);
  }

  /** A job by its id, also one that is in no listing. Raises ApiError. */
  async fetch(id) {
    const job = this.#take(await get(`/jobs/${encodeURIComponent(id)}`));
    this.#tell(id, "fetched");
    return job;
  }

  async cancel(id) {
    this.#take(await post(`/jobs/${encodeURIComponent(id)}/cancel`));
    this.#tell(id, "fetched");
    this.refreshSoon();
  }

  async retry(id) {
    const job = this.#take(await post(`/jobs/${encodeURIComponent(id)}/retry`));
    Object.assign(job, NO_PROGRESS);
    this.#tell(id, "queued");
    this.refreshSoon();
  }

  async forget(id) {
    await json("DELETE", `/jobs/${encodeURIComponent(id)}`);
    this.all.delete(id);
    this.#tell(id, "forgotten");
    this.refreshSoon();
  }

  /** Move a waiting job in front of another one; behind all with null. */
  async move(id, before) {
    const rest = this.line.filter((each) => each !== id);
    const place = before ? rest.indexOf(before) : rest.length;
    this.line = [...rest.slice(0, place), id, ...rest.slice(place)];
    this.#tell(id, "moved");
    try {
      await post(`/queue/move/${encodeURIComponent(id)}`, before ? { before } : { to: "last" });
    } finally {
      await this.refresh();
    }
  }

  async pause(isPaused) {
    await post(isPaused ? "/queue/pause" : "/queue/resume");
    await this.refresh();
  }

  async clear() {
    const { cancelled } = await post("/queue/clear");
    await this.refresh();
    return cancelled;
  }

  /** Take a submitted job in before the server has told of it. */
  add(id, { priority, labels }) {
    const job = this.#known(id);
    Object.assign(job, { priority, labels });
    this.refreshSoon();
    this.#tell(id, "queued");
  }

  get running() {
    return this.#sorted((job) => job.status === "running");
  }

  get recent() {
    return this.#sorted((job) => ENDED.has(job.status)).slice(0, RECENT);
  }

  #sorted(wanted) {
    return [...this.all.values()]
      .filter(wanted)
      .sort((one, other) => (other.endedAt ?? other.createdAt) - (one.endedAt ?? one.createdAt));
  }

  async #again() {
    this.#timer = 0;
    try {
      await this.refresh();
    } catch {
      this.#lookedAt = Date.now();
    }
  }

  async #look() {
    const asOf = Date.now();
    const [newest, running, queue] = await Promise.all([
      get(`/jobs?limit=${RECENT}`),
      get("/jobs?status=running&limit=50"),
      get(`/queue?limit=${MOST_WAITING}`),
    ]);
    for (const entry of [...newest.jobs, ...running.jobs]) this.#take(entry, asOf);
    for (const entry of queue.upcoming) this.#known(entry.job_id).priority = entry.priority;
    await this.#nameWaiting(
      queue.upcoming.map((entry) => this.all.get(entry.job_id)),
      asOf,
    );
    this.line = queue.upcoming.map((entry) => entry.job_id);
    this.waiting = queue.counts.pending;
    this.counts = queue.counts;
    this.isPaused = queue.paused;
    this.#dropOld(new Set([...newest.jobs, ...running.jobs, ...queue.upcoming].map((entry) => entry.job_id)));
    this.#lookedAt = Date.now();
    this.#tell(null, "listed");
  }

  /** The line tells ids only; those of a long one are not among the newest jobs. */
  async #nameWaiting(waiting, asOf) {
    const unnamed = waiting.filter((job) => !job.isTold);
    if (!unnamed.length) return;
    const { jobs } = await get(`/jobs?status=pending&limit=${MOST_WAITING}`);
    for (const entry of jobs) this.#take(entry, asOf);
    // Deeper in the line there are no names; nobody asks again.
    for (const job of unnamed) job.isTold = true;
  }

  #known(id) {
    if (!this.all.has(id))
      this.all.set(id, {
        id,
        status: "pending",
        labels: {},
        priority: "normal",
        createdAt: Date.now() / 1000,
        ...NO_PROGRESS,
      });
    return this.all.get(id);
  }

  #take(entry, asOf = Infinity) {
    const job = this.#known(entry.job_id);
    Object.assign(job, { priority: entry.priority, labels: entry.labels, workflow: entry.workflow, isTold: true });
    // What was heard since the question is newer than the answer.
    if (job.heardAt > asOf) return job;
    Object.assign(job, {
      status: entry.code === "CANCELLED" ? "cancelled" : entry.status,
      error: entry.error,
      code: entry.code,
      attempts: entry.attempts,
      createdAt: entry.created_at,
      startedAt: entry.started_at,
      endedAt: entry.completed_at,
    });
    if (entry.progress && entry.progress.percent >= job.percent) {
      job.percent = entry.progress.percent;
      if (job.nodeId !== entry.progress.node_id) Object.assign(job, { nodeId: entry.progress.node_id, node: null });
      Object.assign(job, { step: entry.progress.step, steps: entry.progress.steps });
    }
    return job;
  }

  #dropOld(listed) {
    for (const [id, job] of this.all) {
      // One that changes between two questions may be missing once.
      job.missed = listed.has(id) || ENDED.has(job.status) ? 0 : (job.missed ?? 0) + 1;
      if (job.missed > 2 || (this.all.size > KEPT && !listed.has(id))) this.all.delete(id);
    }
  }

  #tell(id, what) {
    this.dispatchEvent(new CustomEvent("changed", { detail: { id, what } }));
  }
}

const KINDS = {
  snapshot(job, data) {
    Object.assign(job, {
      status: data.status,
      attempts: data.attempt,
      startedAt: data.started_at,
      endedAt: data.finished_at,
      error: data.error?.message ?? null,
      code: data.error?.code ?? null,
    });
    KINDS.progress(job, data, data.status);
  },
  queued(job) {
    Object.assign(job, { status: "pending", error: null, code: null, startedAt: null, endedAt: null, ...NO_PROGRESS });
  },
  started(job, data) {
    Object.assign(job, { status: "running", stage: data.stage, startedAt: job.startedAt ?? data.at });
  },
  progress(job, data, status = "running") {
    Object.assign(job, {
      status,
      percent: data.percent,
      nodeId: data.node_id,
      node: data.node,
      step: data.step,
      steps: data.steps,
      nodesDone: data.nodes_done,
      nodesTotal: data.nodes_total,
    });
  },
  output() {},
  preview() {},
  finished(job, data) {
    Object.assign(job, {
      status: data.status,
      endedAt: data.at,
      error: data.error?.message ?? null,
      code: data.error?.code ?? null,
    });
    if (data.status === "completed") job.percent = 100;
  },
};
