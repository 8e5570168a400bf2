/** What was generated or taken in: newest first, by day, with search. Says so where there is no gallery. */

import { get, json, post } from "./api.js";
import { attempt, note } from "./notices.js";
import { fill, h, icon, localAddress } from "./dom.js";
import { openViewer } from "./viewer.js";
import { saveLink } from "./results.js";
import { size } from "./words.js";
import { wordButton } from "./controls.js";

const PAGE = 60;
const PAUSE_MS = 250;

/** The view in `place`; `onLoad(workflow, name)` puts a picture's workflow into the form. */
export class Gallery {
  #cursor = null;
  #asked = 0;
  #timer = 0;
  #lastDay = null;
  #items = [];

  constructor(place, onLoad) {
    this.onLoad = onLoad;
    this.search = h("input", {
      id: "gallery-search",
      type: "search",
      placeholder: "Words of the prompt, a model, a name",
      autocomplete: "off",
    });
    this.workflow = picker("gallery-workflow", "Workflow");
    this.checkpoint = picker("gallery-checkpoint", "Checkpoint");
    this.filters = h(
      "form",
      { class: "gallery-filters", role: "search", onsubmit: (event) => event.preventDefault() },
      h("div", { class: "field grow" }, h("label", { htmlFor: "gallery-search" }, "Search"), this.search),
      this.workflow.element,
      this.checkpoint.element,
    );
    this.words = h("p", { class: "muted fine gallery-words", role: "status" });
    this.days = h("div", { class: "gallery-days" });
    this.more = wordButton("down", "More", () => attempt(() => this.#page()), { class: "more", hidden: true });
    fill(place, this.filters, this.words, this.days, this.more);
    this.filters.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => attempt(() => this.refresh()), PAUSE_MS);
    });
    // More comes by itself where the end comes into sight.
    new IntersectionObserver(
      (seen) => seen.some((each) => each.isIntersecting) && !this.more.hidden && attempt(() => this.#page()),
    ).observe(this.more);
  }

  show(isShown) {
    if (!isShown) return;
    attempt(async () => {
      await this.refresh();
      await this.#facets();
    });
  }

  /** From the newest on, as the filters say. */
  async refresh() {
    this.#cursor = null;
    this.#lastDay = null;
    this.#items = [];
    await this.#page(true);
  }

  async #page(isFirst = false) {
    const mine = ++this.#asked;
    const query = new URLSearchParams({
      limit: PAGE,
      ...this.#wanted(),
      ...(this.#cursor ? { cursor: this.#cursor } : {}),
    });
    let page;
    try {
      page = await get(`/api/comfy/gallery?${query}`);
    } catch (error) {
      if (error.status !== 404) throw error;
      this.#absent();
      return;
    }
    if (mine !== this.#asked) return;
    if (isFirst) fill(this.days);
    for (const item of page.items) this.#add(item);
    this.#cursor = page.next;
    this.more.hidden = !page.next;
    const found = this.#items.length;
    this.words.textContent = found
      ? `${found}${page.next ? " and more" : ""} found${page.is_indexing ? "; the index is still being made" : ""}.`
      : "";
    if (!found)
      fill(
        this.days,
        h(
          "div",
          { class: "empty" },
          icon("search"),
          h("p", {}, Object.keys(this.#wanted()).length ? "Nothing matches." : "There is nothing yet."),
        ),
      );
  }

  #wanted() {
    const given = {
      q: this.search.value.trim(),
      workflow: this.workflow.input.value,
      checkpoint: this.checkpoint.input.value,
    };
    return Object.fromEntries(Object.entries(given).filter(([, value]) => value));
  }

  #absent() {
    this.filters.hidden = this.more.hidden = true;
    this.words.textContent = "";
    fill(
      this.days,
      h(
        "div",
        { class: "empty" },
        icon("picture"),
        h("p", {}, "This worker keeps no gallery."),
        h("p", { class: "fine" }, "It comes with COMFY_ENABLED=true. Results of jobs are in the queue all the same."),
      ),
    );
  }

  async #facets() {
    if (this.filters.hidden) return;
    const facets = await get("/api/comfy/gallery/facets");
    this.workflow.offer(facets.workflows);
    this.checkpoint.offer(facets.checkpoints);
  }

  #add(item) {
    if (item.day !== this.#lastDay || !this.days.lastElementChild?.classList.contains("day")) {
      this.#lastDay = item.day;
      this.days.append(h("section", { class: "day" }, h("h3", {}, dayName(item.day)), h("ul", { class: "tiles" })));
    }
    const index = this.#items.push(shownItem(item)) - 1;
    const label = item.prompt || item.filename;
    const picture = item.thumbnail_url
      ? h("img", { src: localAddress(item.thumbnail_url), alt: "", loading: "lazy", decoding: "async" })
      : h("span", { class: "tile-kind" }, item.kind);
    const open = () => openViewer(this.#items.slice(), index, (each, dialog) => this.#details(each.item, dialog));
    this.days.lastElementChild.lastElementChild.append(
      h(
        "li",
        {},
        h(
          "button",
          { type: "button", class: "tile", title: label, "aria-label": `Show ${label}`, onclick: open },
          picture,
        ),
      ),
    );
  }

  #details(item, dialog) {
    const load = async () => {
      const { sidecar } = await get(`/api/comfy/gallery/${item.id}`);
      if (!sidecar?.workflow) return note("No workflow is known of this one.");
      dialog.close();
      return this.onLoad(sidecar.workflow, item.filename);
    };
    return [
      item.prompt ? h("p", { class: "viewer-prompt" }, item.prompt) : null,
      h("p", { class: "muted fine" }, [item.workflow_name, ...item.checkpoints].filter(Boolean).join(" · ")),
      h(
        "div",
        { class: "row" },
        wordButton("edit", "Load its workflow", () => attempt(load), { class: "small" }),
        saveLink({ address: localAddress(item.file_url), name: item.filename }),
        wordButton("trash", "Delete", () => attempt(() => this.#delete(item, dialog)), { class: "small quiet" }),
      ),
    ];
  }

  async #delete(item, dialog) {
    await json("DELETE", `/api/comfy/gallery/${item.id}`);
    dialog.close();
    await this.refresh();
    const undo = wordButton("retry", `Undo the deletion of ${item.filename}`, () => attempt(() => this.#undo(item)), {
      class: "small",
    });
    fill(this.words, "Deleted. ", undo);
    undo.focus();
  }

  async #undo(item) {
    await post(`/api/comfy/gallery/${item.id}/undo`);
    await this.refresh();
    note(`${item.filename} is back.`);
  }
}

function shownItem(item) {
  const measures = item.width ? `${item.width} × ${item.height} · ` : "";
  return {
    address: localAddress(item.file_url),
    kind: item.kind,
    name: item.filename,
    about: measures + size(item.size_bytes),
    item,
  };
}

function dayName(day) {
  const today = new Date().toISOString().slice(0, 10);
  if (day === today) return "Today";
  return new Date(`${day}T00:00:00Z`).toLocaleDateString(undefined, {
    weekday: "long",
    day: "numeric",
    month: "long",
    year: "numeric",
    timeZone: "UTC",
  });
}

function picker(id, label) {
  const input = h("select", { id }, h("option", { value: "" }, "All"));
  const offer = (facets) => {
    const chosen = input.value;
    fill(
      input,
      h("option", { value: "" }, "All"),
      facets.map(({ name, count }) => h("option", { value: name, selected: name === chosen }, `${name} (${count})`)),
    );
  };
  return { input, offer, element: h("div", { class: "field" }, h("label", { htmlFor: id }, label), input) };
}
