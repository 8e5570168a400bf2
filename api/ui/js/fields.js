/** The inputs of a workflow somebody may want to change, by node. What a node takes is ComfyUI's to say (object_info). */

import { get, isRaw } from "./api.js";
import { inOrder, isLink, titleOf } from "./workflow_file.js";

const SEEDS = new Set(["seed", "noise_seed"]);
const LONG_TEXTS = /^(text|prompt|positive|negative|caption|text_[gl]|clip_l|t5xxl|string)$/i;
const LOADERS = {
  LoadImage: "image/*",
  LoadImageMask: "image/*",
  LoadImageOutput: null,
  LoadAudio: "audio/*",
  LoadVideo: "video/*",
};
const MODEL_INPUT = /(ckpt|lora|unet|vae|clip|control_net|model|upscale)_?\w*name/;
const KEPT_MS = 60_000;
const known = new Map();
let knownSince = 0;

/** What ComfyUI says of these classes; nothing of those it cannot be asked about. */
export async function inputsOf(classes) {
  // A model that was added meanwhile is to be offered.
  if (Date.now() - knownSince > KEPT_MS) known.clear();
  if (!known.size) knownSince = Date.now();
  const wanted = [...classes].filter((name) => !known.has(name));
  await Promise.all(
    wanted.map(async (name) => {
      const told = await get(`/api/comfy/object-info?node=${encodeURIComponent(name)}`, { quiet: true }).catch(
        () => null,
      );
      const about = told?.[name] ?? told?.nodes?.[name] ?? null;
      if (about) known.set(name, about);
    }),
  );
  return Object.fromEntries([...classes].map((name) => [name, known.get(name) ?? null]));
}

/** Groups `{id, title, classType, rank, fields}`; a field is `{nodeId, name, kind, …what its kind needs}`. */
export function groupsOf(workflow, info) {
  const groups = inOrder(workflow).map((id) => group(workflow, id, info[workflow[id].class_type]));
  return groups.filter((each) => each.fields.length).sort((one, other) => one.rank - other.rank);
}

function group(workflow, id, about) {
  const node = workflow[id];
  const specs = { ...about?.input?.required, ...about?.input?.optional };
  const fields = Object.entries(node.inputs ?? {})
    .filter(([, value]) => !isLink(value, workflow))
    .map(([name, value]) => ({
      nodeId: id,
      name,
      label: labelOf(name),
      ...field(node.class_type, name, value, specs[name]),
    }))
    .filter((each) => each.kind !== null);
  return {
    id,
    title: titleOf(workflow, id),
    classType: node.class_type,
    fields,
    rank: rankOf(node.class_type, fields),
  };
}

function field(classType, name, value, spec) {
  const [type, options = {}] = Array.isArray(spec) ? spec : [];
  const hint = typeof options.tooltip === "string" ? options.tooltip : null;
  const choices = Array.isArray(type)
    ? type
    : type === "COMBO" && Array.isArray(options.options)
      ? options.options
      : null;
  const accept = fileKind(classType, name, options);
  if (accept) return { kind: "file", accept, choices: choices ?? [], hint };
  if (choices) return { kind: "choice", choices, hint };
  return { ...plain(name, value, type, options), hint };
}

function fileKind(classType, name, options) {
  if (options.image_upload) return "image/*";
  if (options.video_upload) return "video/*";
  if (options.audio_upload) return "audio/*";
  return ["image", "audio", "video", "file"].includes(name) ? (LOADERS[classType] ?? null) : null;
}

function plain(name, value, type, options) {
  const isNumber = typeof value === "number" || isRaw(value);
  if (type === "BOOLEAN" || typeof value === "boolean") return { kind: "toggle" };
  if (options.display === "color" && Number.isInteger(value)) return { kind: "color" };
  if (isNumber && (SEEDS.has(name) || options.control_after_generate)) return { kind: "seed", max: options.max };
  if (type === "INT" || (type === undefined && isNumber && (isRaw(value) || Number.isInteger(value)))) {
    return { kind: "whole", min: options.min, max: options.max, step: options.step ?? 1 };
  }
  if (type === "FLOAT" || isNumber) return { kind: "number", min: options.min, max: options.max, step: options.step };
  if (typeof value === "string") {
    const isLong =
      options.multiline || (type === undefined && (LONG_TEXTS.test(name) || value.length > 60 || value.includes("\n")));
    return { kind: isLong ? "long" : "text" };
  }
  // Lists and objects of custom nodes: nobody types those.
  return { kind: null };
}

function labelOf(name) {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** What people change most comes first, what they hardly ever touch is folded (from 5 on). */
function rankOf(classType, fields) {
  if (/^(Save|Preview)/.test(classType)) return 6;
  if (fields.some((each) => each.kind === "file")) return 1;
  if (fields.some((each) => each.kind === "long")) return 0;
  if (fields.some((each) => MODEL_INPUT.test(each.name))) return 2;
  if (fields.some((each) => each.name === "width")) return 3;
  if (fields.some((each) => each.kind === "seed")) return 4;
  return 4;
}
