// Writes src/openapi.ts from what the worker says of itself.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";

const project = fileURLToPath(new URL("../../..", import.meta.url));
const target = fileURLToPath(new URL("../src/openapi.ts", import.meta.url));
const HEADING = "// Made by `npm run types` from the worker's OpenAPI document. Do not edit.\n\n";

/** The types as they are to be, from the worker's own document. */
export async function generate() {
  const python = process.env.PYTHON ?? `${project}.venv/bin/python`;
  const command = ["-m", "api", "openapi", "--below", "/api/comfy"];
  const text = execFileSync(existsSync(python) ? python : "python3", command, {
    cwd: project,
    encoding: "utf-8",
    maxBuffer: 1 << 26,
    // Its own settings are not to show.
    env: { PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: process.env.TMPDIR ?? "/tmp" },
  });
  const document = JSON.parse(text);
  // What is told of the paths is for people who read the document.
  const bare = { ...document, paths: without(isTold, document.paths) };
  const types = await openapiTS(without(isExample, bare), { defaultNonNullable: false, silent: true });
  return HEADING + astToString(types);
}

/** The types as they are kept. */
export function kept() {
  return readFileSync(target, "utf-8");
}

function without(isUnwanted, node) {
  if (Array.isArray(node)) return node.map((each) => without(isUnwanted, each));
  if (node === null || typeof node !== "object") return node;
  const entries = Object.entries(node).filter(([key, value]) => !isUnwanted(key, value));
  return Object.fromEntries(entries.map(([key, value]) => [key, without(isUnwanted, value)]));
}

function isTold(key, value) {
  return ["description", "summary"].includes(key) && typeof value === "string";
}

// They say nothing about types, and change more often.
function isExample(key, value) {
  return key === "example" || (key === "examples" && (Array.isArray(value) || !("type" in value)));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(target, await generate());
