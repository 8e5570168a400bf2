/** What was dropped or pasted: a workflow, a whole job, a picture that carries one, or something else. */

import { exact } from "./api.js";
import { workflowIn } from "./picture_text.js";

const MOST_BYTES = 64 * 1024 * 1024;

/**
 * Text as `{kind: "api", workflow, images, extras}`, `{kind: "ui", document}` or `{kind: "unknown", reason}`.
 * Takes a bare graph, a job with or without `input`, and ComfyUI's own body with `prompt`.
 */
export function read(text) {
  let document;
  try {
    document = exact(text);
  } catch (error) {
    return { kind: "unknown", reason: `This is no JSON: ${error.message}` };
  }
  return recognised(document);
}

/** The same for a file; a picture without a workflow is `{kind: "media", file}`. */
export async function readFile(file) {
  if (file.size <= MOST_BYTES && /^image\/|^$/.test(file.type)) {
    const found = await workflowIn(file);
    if (found) return { ...recognised(exact(found)), name: nameOf(file) };
  }
  if (/^(image|video|audio)\//.test(file.type)) return { kind: "media", file };
  if (file.size > MOST_BYTES) return { kind: "unknown", reason: `${file.name} is too large to be a workflow.` };
  return { ...read(await file.text()), name: nameOf(file) };
}

/** A copy that shares nothing. */
export function copyOf(value) {
  return exact(JSON.stringify(value));
}

/** Whether an input's value is a link to another node's output. */
export function isLink(value, workflow) {
  return Array.isArray(value) && value.length === 2 && typeof value[1] === "number" && String(value[0]) in workflow;
}

/** Node ids so that each comes after those it needs. */
export function inOrder(workflow) {
  const done = new Set();
  const begun = new Set();
  const visit = (id) => {
    if (begun.has(id)) return;
    begun.add(id);
    for (const value of Object.values(workflow[id].inputs ?? {})) if (isLink(value, workflow)) visit(String(value[0]));
    done.add(id);
  };
  Object.keys(workflow).forEach(visit);
  return [...done];
}

/** A node and all whose outputs it is made of. */
export function neededBy(workflow, id, found = new Set()) {
  if (!(id in workflow) || found.has(id)) return found;
  found.add(id);
  for (const value of Object.values(workflow[id].inputs ?? {}))
    if (isLink(value, workflow)) neededBy(workflow, String(value[0]), found);
  return found;
}

/** What a node is called. */
export function titleOf(workflow, id) {
  const node = workflow?.[id];
  return String(node?._meta?.title || node?.class_type || `Node ${id}`);
}

function recognised(document) {
  if (!isObject(document)) return { kind: "unknown", reason: "This is no workflow: it is no JSON object." };
  if (Array.isArray(document.nodes)) return { kind: "ui", document };
  if (isGraph(document)) return { kind: "api", workflow: document, images: [], extras: {} };
  for (const job of [document.input, document]) {
    if (!isObject(job)) continue;
    const inside = job.workflow ?? job.prompt;
    if (isObject(inside) && Array.isArray(inside.nodes)) return { kind: "ui", document: inside };
    if (isObject(inside) && isGraph(inside)) return wholeJob(job, inside);
  }
  return {
    kind: "unknown",
    reason: "This JSON holds no ComfyUI workflow: there are no nodes with a class_type in it.",
  };
}

function wholeJob(job, workflow) {
  const { images = [], output_format, output_quality, timeout_s, metadata } = job;
  const { changed, overrides } = overridden(workflow, job.overrides);
  const given = { overrides, output_format, output_quality, timeout_s, metadata };
  const extras = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== null));
  return { kind: "api", workflow: changed, images: Array.isArray(images) ? images : [], extras };
}

/** Overrides put into the workflow, so that the form shows what will run; the odd ones are left to the server. */
function overridden(workflow, overrides) {
  if (!isObject(overrides)) return { changed: workflow };
  const changed = copyOf(workflow);
  const left = {};
  for (const [name, value] of Object.entries(overrides)) {
    const dot = name.lastIndexOf(".");
    const [called, input] = [name.slice(0, dot), name.slice(dot + 1)];
    const ids = called in changed ? [called] : Object.keys(changed).filter((id) => titleOf(changed, id) === called);
    if (ids.length === 1 && input in (changed[ids[0]].inputs ?? {})) changed[ids[0]].inputs[input] = value;
    else left[name] = value;
  }
  return { changed, overrides: Object.keys(left).length ? left : undefined };
}

function isGraph(document) {
  const nodes = Object.values(document);
  return nodes.length > 0 && nodes.every((node) => isObject(node) && typeof node.class_type === "string");
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function nameOf(file) {
  return file.name.replace(/\.[^.]*$/, "");
}
