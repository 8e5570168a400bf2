// Workflows that run on the stand-in.
import { inject, onTestFinished } from "vitest";
import {
  ComfyClient,
  type ComfyEvent,
  type ComfyOptions,
  type ComfyStatus,
  type ComfyWorkflow,
} from "../src/index";

export const FAST = { attempts: 4, baseMs: 5, maxMs: 20 };

/** A picture after so many seconds, told in steps; no two are the same prompt. */
export function picture(seconds = 0, steps = 10): ComfyWorkflow {
  const color = Math.floor(Math.random() * 2 ** 24);
  return {
    "1": { class_type: "EmptyImage", inputs: { width: 16, height: 8, batch_size: 1, color } },
    "2": { class_type: "StandinSleep", inputs: { image: ["1", 0], seconds, steps } },
    "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "client" } },
  };
}

/** A prompt that runs until it is cancelled, at the latest when its test is over. */
export async function endless(of: Pick<ComfyClient, "queue">): Promise<string> {
  const { prompt_id } = await of.queue(picture(600, 10_000));
  onTestFinished(() => cancel(prompt_id).catch(() => undefined));
  return prompt_id;
}

export async function cancel(promptId: string): Promise<void> {
  const { url, key } = inject("worker");
  const headers = { Authorization: `Bearer ${key}` };
  const answer = await fetch(`${url}/v1/comfyui/workflow/${promptId}`, { method: "DELETE", headers });
  if (!answer.ok) throw new Error(await answer.text());
}

export function failing(): ComfyWorkflow {
  const made = picture();
  return { ...made, "2": { class_type: "StandinFail", inputs: { image: ["1", 0], message: "boom" } } };
}

export function client(options: ComfyOptions = {}): ComfyClient {
  const { url, key } = inject("worker");
  return new ComfyClient({ baseUrl: url, apiKey: key, retry: FAST, ...options });
}

export interface Followed {
  status: ComfyStatus | null;
  error: Error | undefined;
  events: ComfyEvent[];
}

/** Everything the subscription tells. */
export function followed(of: Pick<ComfyClient, "subscribeToStatus">, promptId: string): Promise<Followed> {
  return new Promise((resolve) => {
    const events: ComfyEvent[] = [];
    of.subscribeToStatus(
      promptId,
      (event) => events.push(event),
      (status, error) => resolve({ status, error, events }),
    );
  });
}
