import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { ComfyClient, ComfyError, type ComfyNotification } from "../src/index";
import { cancel, endless, FAST, followed, picture } from "./prompts";
import { Proxy } from "./proxy";

let proxy: Proxy;
let comfy: ComfyClient;
let heard: ComfyNotification[];

beforeEach(async () => {
  const { url, key } = inject("worker");
  proxy = await Proxy.start(url);
  heard = [];
  const notify = (notification: ComfyNotification) => heard.push(notification);
  comfy = new ComfyClient({ baseUrl: proxy.url, apiKey: key, retry: FAST, notify });
});

afterEach(() => proxy.stop());

const kinds = () => heard.map(({ kind }) => kind);

describe("requests", () => {
  test("are tried again while that may help, and the user hears of it", async () => {
    proxy.faults.push({ status: 503 }, { status: 502 });
    const { prompt_id } = await comfy.queue(picture());
    expect(proxy.seen).toHaveLength(3);
    expect(heard).toMatchObject([
      { kind: "retry", operation: "queue", attempt: 1, attempts: 4 },
      { kind: "retry", operation: "queue", attempt: 2, attempts: 4 },
    ]);
    expect(await comfy.status(prompt_id)).toMatchObject({ prompt_id });
  });

  test("whose answer is lost make no second prompt", async () => {
    proxy.faults.push("lose-answer");
    const queued = await comfy.queue(picture());
    const keys = proxy.seen.map(({ headers }) => headers["idempotency-key"]);
    expect(keys).toHaveLength(2);
    expect(new Set(keys).size).toBe(1);
    const made = await comfy.text2img({ caption: "a cat", width: 64, height: 64, steps: 1 });
    expect(made.prompt_id).not.toBe(queued.prompt_id);
    expect(proxy.seen[2]?.headers["idempotency-key"]).not.toBe(keys[0]);
  });

  test("text to image is answered alike when it is asked twice", async () => {
    proxy.faults.push("lose-answer");
    const made = await comfy.text2img({ caption: "a cat", width: 64, height: 64, steps: 1 });
    const { status } = await followed(comfy, made.prompt_id);
    expect(status?.status).toBe("completed");
  });

  test("are given up in the end", async () => {
    proxy.faults.push(...Array.from({ length: 4 }, () => ({ status: 503, body: "<html>busy</html>" })));
    const error = await comfy.health().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ComfyError);
    expect(error).toMatchObject({ status: 503, code: "HTTP_503", message: "<html>busy</html>" });
    expect(kinds()).toEqual(["retry", "retry", "retry", "failed"]);
  });

  test("wait as long as they are told to", async () => {
    proxy.faults.push({ status: 429, headers: { "Retry-After": "1" } });
    const began = performance.now();
    await comfy.health();
    expect(performance.now() - began).toBeGreaterThan(900);
    expect(heard).toMatchObject([{ kind: "retry", delayMs: 1000 }]);
  });

  test("that are refused are not repeated", async () => {
    await expect(comfy.text2img({ caption: " " })).rejects.toMatchObject({ status: 400 });
    expect(proxy.seen).toHaveLength(1);
  });

  test("end with their signal, in a pause too", async () => {
    proxy.faults.push({ status: 503, headers: { "Retry-After": "60" } });
    const stop = new AbortController();
    const asked = comfy.health({ signal: stop.signal });
    await expect.poll(() => kinds()).toEqual(["retry"]);
    stop.abort();
    await expect(asked).rejects.toMatchObject({ name: "AbortError" });
    expect(proxy.seen).toHaveLength(1);
  });
});

describe("streams", () => {
  test("that break go on where they were", async () => {
    const prompt_id = await endless(comfy);
    proxy.faults.push({ cutAfterEvents: 3 }, { status: 503 }, { cutAfterEvents: 2 });
    const following = followed(comfy, prompt_id);
    await expect.poll(() => proxy.seen.length, { timeout: 15_000 }).toBe(5);
    await cancel(prompt_id);
    const { status, error } = await following;
    expect([status?.status, error]).toEqual(["cancelled", undefined]);
    const ids = proxy.seen.slice(1).map(({ headers }) => headers["last-event-id"]);
    expect(ids[0]).toBeUndefined();
    expect(new Set(ids.slice(1))).not.toContain(undefined);
    expect(ids[1]).toBe(ids[2]);
    expect(ids[3]).not.toBe(ids[2]);
    expect(kinds()).toEqual(["retry", "retry", "retry", "ended"]);
  });

  test("that fall silent are opened anew", async () => {
    const { url, key } = inject("worker");
    const impatient = new ComfyClient({ baseUrl: proxy.url, apiKey: key, retry: FAST, silenceMs: 1000 });
    const prompt_id = await endless(new ComfyClient({ baseUrl: url, apiKey: key }));
    proxy.faults.push({ silentAfterEvents: 1 });
    const following = followed(impatient, prompt_id);
    await expect.poll(() => proxy.seen.length, { timeout: 15_000 }).toBe(2);
    await cancel(prompt_id);
    expect((await following).status).toMatchObject({ status: "cancelled" });
  });

  test("whose end was lost ask for it", async () => {
    const { prompt_id } = await comfy.queue(picture());
    await followed(comfy, prompt_id);
    proxy.seen.length = heard.length = 0;
    proxy.faults.push({ status: 204 });
    expect(await followed(comfy, prompt_id)).toMatchObject({ status: { status: "completed" }, error: undefined });
    expect(proxy.seen.map(({ path }) => path.split("/").at(-2))).toEqual(["stream", "status"]);
  });

  test("that cannot be had are given up in the end", async () => {
    const { prompt_id } = await comfy.queue(picture());
    proxy.faults.push(...Array.from({ length: 4 }, () => ({ status: 502 })));
    const { status, error } = await followed(comfy, prompt_id);
    expect(status).toBeNull();
    expect(error).toMatchObject({ status: 502 });
    expect(kinds()).toEqual(["retry", "retry", "retry", "failed"]);
  });

  test("end quietly when they are left in a pause", async () => {
    const { prompt_id } = await comfy.queue(picture());
    proxy.faults.push({ status: 503, headers: { "Retry-After": "60" } });
    const calls: unknown[] = [];
    const unsubscribe = comfy.subscribeToStatus(prompt_id, (status) => calls.push(status));
    await expect.poll(() => kinds()).toEqual(["retry"]);
    unsubscribe();
    await followed(comfy, prompt_id);
    expect(calls).toEqual([]);
  });
});
