// Starts the worker before the tests, once, and stops it after them.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type {} from "vitest";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    worker: { url: string; key: string };
  }
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const own = here("../../../.venv/bin/python");
const python = process.env.PYTHON ?? (existsSync(own) ? own : "python3");

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const worker = spawn(python, [here("./worker.py")], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
  const lines = createInterface({ input: worker.stdout });
  const first = await Promise.race([
    new Promise<string>((resolve) => lines.once("line", resolve)),
    ended.then(() => Promise.reject(new Error("The worker did not start."))),
  ]);
  project.provide("worker", JSON.parse(first));
  return async () => {
    worker.stdin.end();
    await ended;
  };
}
