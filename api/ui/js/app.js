/** The page put together: views, colours, the key, and what is heard from the server. */

import { key, onKeyNeeded } from "./api.js";
import { Composer } from "./composer.js";
import { Gallery } from "./gallery.js";
import { Instances } from "./instances.js";
import { Jobs } from "./jobs.js";
import { askForKey } from "./key_dialog.js";
import { Live } from "./live.js";
import { attempt, complain } from "./notices.js";
import { Queue } from "./queue.js";
import { Stage } from "./stage.js";
import { startTheme } from "./theme.js";

const TITLES = { run: "Run", job: "Result", queue: "Queue", gallery: "Gallery", instances: "Instances" };
const LINK_WORDS = { live: "Live", connecting: "Connecting", offline: "Not connected" };

const jobs = new Jobs();
const live = new Live(hear, showLink);
jobs.isLive = () => live.isLive;
const stage = new Stage(at("stage"), jobs, {
  onEdit: edit,
  onLeave: () => go("run"),
  follow: (id) => live.follow(id),
});
const composer = new Composer(at("composer"), ran);
const queue = new Queue(at("queue"), at("queue-tools"), jobs);
const instances = new Instances(at("instances"), (isOperator) => (queue.isOperator = isOperator));
const gallery = new Gallery(at("gallery"), (workflow, name) => edit({ workflow }, name));

startTheme(at("theme-button"));
onKeyNeeded(askForKey);
at("key-button").addEventListener("click", async () => (await askForKey(false)) && start());
addEventListener("hashchange", () => showView());
showView();
jobs.keepLooking();
start();

async function start() {
  try {
    await jobs.refresh();
  } catch (error) {
    complain(error);
    showLink("offline");
    return;
  }
  live.open();
  at("key-button").dataset.used = String(key() !== null);
  await attempt(() => instances.probe());
  showView();
}

function hear(frame) {
  jobs.hear(frame);
  stage.hear(frame);
}

function ran(id, { body, priority, labels }) {
  stage.remember(id, body);
  jobs.add(id, { priority, labels: labels ?? {} });
  go(`job/${id}`);
}

function edit(input, name) {
  go("run");
  attempt(() => composer.load(input, name));
}

function showView() {
  const [view, id] = location.hash.slice(1).split("/");
  const shown = view in TITLES ? view : "run";
  const hasChanged = document.body.dataset.view !== shown;
  document.body.dataset.view = shown;
  at("view-title").textContent = TITLES[shown];
  document.title = `${TITLES[shown]} · ComfyUI Worker`;
  for (const tab of document.querySelectorAll("[data-tab]")) {
    if (tab.dataset.tab === shown) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  if (shown === "job" && id) {
    stage.open(decodeURIComponent(id));
    queue.select(stage.id);
  }
  instances.show(shown === "instances");
  if (hasChanged) gallery.show(shown === "gallery");
  if (hasChanged && matchMedia("(max-width: 760px)").matches) at("main").scrollTop = 0;
}

function go(view) {
  if (location.hash === `#${view}`) showView();
  else location.hash = view;
}

function showLink(state) {
  const mark = at("link-state");
  mark.dataset.state = state;
  mark.lastElementChild.textContent = LINK_WORDS[state];
  mark.title = LINK_WORDS[state];
}

function at(id) {
  return document.getElementById(id);
}
