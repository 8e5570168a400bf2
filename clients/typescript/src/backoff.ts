import { ComfyError } from "./errors.js";
import type { ComfyStatus } from "./types.js";

/** How often something is tried, and how long the pauses are: they double from base to max, less some jitter. */
export interface Backoff {
  attempts: number;
  baseMs: number;
  maxMs: number;
}

export const BACKOFF: Backoff = { attempts: 5, baseMs: 500, maxMs: 30_000 };

/** What a user may want to hear of. */
export type ComfyNotification =
  | { kind: "retry"; operation: string; attempt: number; attempts: number; delayMs: number; error: Error }
  | { kind: "failed"; operation: string; error: Error }
  | { kind: "ended"; promptId: string; status: ComfyStatus };

export type Notify = (notification: ComfyNotification) => void;

/** Statuses after which the same request may succeed. */
const PASSING = new Set([408, 425, 429, 502, 503, 504]);
const SWITCHED_OFF = "COMFY_DISABLED";

export function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === "AbortError" || error.name === "TimeoutError");
}

/** Whether trying again may help: the connection failed, or the worker says so. */
export function isPassing(error: unknown): boolean {
  if (error instanceof ComfyError) return PASSING.has(error.status) && error.code !== SWITCHED_OFF;
  return error instanceof TypeError;
}

/** The pause before try number `attempt` + 1. */
export function delayOf(attempt: number, backoff: Backoff, error?: unknown): number {
  const doubled = Math.min(backoff.maxMs, backoff.baseMs * 2 ** (attempt - 1));
  const asked = error instanceof ComfyError ? (error.retryAfterMs ?? 0) : 0;
  return Math.max(doubled / 2 + (Math.random() * doubled) / 2, asked);
}

/** Waits; rejects with the signal's reason when that comes first. */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** What `operation` gives, tried again while that may help. Rejects with the last error, of which `notify` hears too. */
export async function retrying<Result>(
  name: string,
  backoff: Backoff,
  notify: Notify,
  signal: AbortSignal | undefined,
  operation: () => Promise<Result>,
): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await operation();
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      if (isAbort(error) || signal?.aborted) throw error;
      if (attempt >= backoff.attempts || !isPassing(error)) {
        notify({ kind: "failed", operation: name, error });
        throw error;
      }
      const delayMs = delayOf(attempt, backoff, error);
      notify({ kind: "retry", operation: name, attempt, attempts: backoff.attempts, delayMs, error });
      await pause(delayMs, signal);
    }
  }
}
