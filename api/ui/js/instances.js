/** The ComfyUIs behind this worker: how each is, what it does, and for operators adding and draining them. */

import { get, json, post, request } from "./api.js";
import { attempt, confirmed } from "./notices.js";
import { fill, h, keyed } from "./dom.js";
import { counted, duration, size } from "./words.js";
import { wordButton } from "./controls.js";

const LOOK_MS = 5000;
const MARKS = { healthy: "healthy", draining: "doubtful" };

/** The view in `place`; `onOperator(isOperator)` hears whether the key opens what operators may do. */
export class Instances {
  #isOperator = null;
  #isShown = false;

  constructor(place, onOperator) {
    this.onOperator = onOperator;
    this.summary = h("dl", { class: "facts" });
    this.warnings = h("div", { class: "warnings" });
    this.grid = h("ul", { class: "cards" });
    this.adding = this.#addForm();
    fill(place, this.summary, this.warnings, this.grid, this.adding);
    setInterval(() => this.#isShown && !document.hidden && this.refresh().catch(() => {}), LOOK_MS);
  }

  show(isShown) {
    this.#isShown = isShown;
    if (isShown) attempt(() => this.refresh());
  }

  /** Find out what the key opens. */
  async probe() {
    this.#isOperator = await request("GET", "/admin/instances", { quiet: true }).then(
      () => true,
      () => false,
    );
    this.adding.hidden = !this.#isOperator;
    this.onOperator(this.#isOperator);
  }

  async refresh() {
    const health = await get("/health");
    const instances = this.#isOperator ? (await get("/admin/instances")).instances : health.comfyui_instances.instances;
    this.#summarise(health);
    keyed(
      this.grid,
      instances,
      (each) => each.name,
      () => h("li", { class: "card" }),
      (card, each) => this.#fill(card, each),
    );
  }

  #summarise(health) {
    const { job_stats: jobs, job_processing: processing, comfyui_instances: instances } = health;
    const facts = [
      ["Worker", health.version],
      ["Up for", duration(health.uptime.total_uptime_seconds)],
      ["ComfyUIs", `${instances.healthy} of ${instances.total} healthy`],
      ["Jobs", `${jobs.running} running, ${jobs.pending} waiting`],
      ["Free disk", size(processing.free_disk_bytes)],
    ];
    fill(
      this.summary,
      facts.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
    );
    const warnings = health.warnings ?? [];
    if (this.warnings.dataset.text !== warnings.join())
      fill(
        this.warnings,
        warnings.map((each) => h("p", { class: "note doubtful" }, each)),
      );
    this.warnings.dataset.text = warnings.join();
  }

  #fill(card, each) {
    const state = JSON.stringify([each, this.#isOperator]);
    if (card.dataset.state === state) return;
    card.dataset.state = state;
    const hadFocus = card.contains(document.activeElement);
    const load = (each.running ?? 0) + (each.waiting ?? 0);
    const slots = each.slots ?? load;
    fill(
      card,
      h(
        "div",
        { class: "row spread" },
        h(
          "h3",
          { class: "row cut" },
          h("span", { class: `dot ${MARKS[each.status] ?? "unhealthy"}`, "aria-hidden": "true" }),
          h("span", { class: "cut" }, each.name),
        ),
        h("span", { class: `pill ${each.status}` }, each.status),
      ),
      each.label ? h("p", { class: "muted fine" }, `Label ${each.label}`) : null,
      each.reason ? h("p", { class: "note bad fine" }, each.reason) : null,
      h(
        "div",
        { class: "bar", role: "img", "aria-label": `${load} of ${slots} places taken` },
        h("span", { style: { "--done": slots ? Math.min(100, (load / slots) * 100) : 0 } }),
      ),
      h("p", { class: "muted fine" }, facts(each, load, slots)),
      each.models?.length
        ? h("p", { class: "fine" }, h("span", { class: "muted" }, "Loaded: "), each.models.join(", "))
        : null,
      this.#isOperator ? this.#actions(each) : null,
    );
    if (hadFocus) card.querySelector("button")?.focus();
  }

  #actions(each) {
    const path = `/admin/instances/${encodeURIComponent(each.name)}`;
    const isDraining = each.status === "draining";
    const toggle = () => attempt(() => post(`${path}/${isDraining ? "resume" : "drain"}`).then(() => this.refresh()));
    return h(
      "div",
      { class: "row card-actions" },
      h("button", { type: "button", class: "small", onclick: toggle }, isDraining ? "Give it jobs again" : "Drain"),
      h(
        "button",
        { type: "button", class: "small quiet danger", onclick: () => this.#remove(each.name, path) },
        "Remove",
      ),
    );
  }

  async #remove(name, path) {
    if (
      !(await confirmed(
        "Remove this ComfyUI?",
        `${name} gets no more jobs. It comes back when the worker is started again.`,
        "Remove",
      ))
    )
      return;
    await attempt(() => json("DELETE", path).then(() => this.refresh()));
  }

  #addForm() {
    const input = h("input", {
      id: "new-instance",
      type: "text",
      placeholder: "10.0.0.3:8188;label=fast",
      autocomplete: "off",
      spellcheck: "false",
      required: true,
    });
    const add = async (event) => {
      event.preventDefault();
      const done = await attempt(() => post("/admin/instances", { address: input.value.trim() }));
      if (done) input.value = "";
      await this.refresh().catch(() => {});
    };
    return h(
      "form",
      { class: "add-form", hidden: true, onsubmit: add },
      h("div", { class: "field" }, h("label", { htmlFor: "new-instance" }, "Add a ComfyUI"), input),
      wordButton("plus", "Add", () => {}, { type: "submit" }),
    );
  }
}

function facts({ foreign_prompts: foreign, weight, breaker }, load, slots) {
  return [
    `${load} of ${counted(slots, "place")} taken`,
    foreign ? `${counted(foreign, "prompt")} of others` : null,
    weight && weight !== 1 ? `weight ${weight}` : null,
    breaker && breaker !== "closed" ? `breaker ${breaker.replace("_", " ")}` : null,
  ]
    .filter(Boolean)
    .join(" · ");
}
