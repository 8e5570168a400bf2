import { type EffectScope, effectScope, isReactive, watch } from "vue";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { type UseComfy, useComfy } from "../src/vue";
import { cancel, client, endless, FAST, followed, picture } from "./prompts";

let scope: EffectScope;
let comfy: UseComfy;

beforeEach(() => {
  const { url, key } = inject("worker");
  scope = effectScope();
  comfy = scope.run(() => useComfy({ baseUrl: url, apiKey: key, retry: FAST })) as UseComfy;
});

afterEach(() => scope.stop());

test("it is busy while a request is under way", async () => {
  const told: boolean[] = [];
  watch(comfy.isBusy, (busy) => told.push(busy), { flush: "sync" });
  await comfy.health();
  expect(told).toEqual([true, false]);
});

test("the last error stays until the next request", async () => {
  await expect(comfy.text2img({ caption: "" })).rejects.toThrow("caption");
  expect(comfy.error.value).toMatchObject({ status: 400 });
  expect(comfy.isBusy.value).toBe(false);
  await comfy.health();
  expect(comfy.error.value).toBeNull();
});

test("the status of what is followed is reactive", async () => {
  const { prompt_id } = await comfy.queue(picture());
  const words: string[] = [];
  watch(() => comfy.statuses[prompt_id]?.status, (word) => word && words.push(word), { flush: "sync" });
  const { status } = await followed(comfy, prompt_id);
  expect(isReactive(comfy.statuses)).toBe(true);
  expect(words.at(-1)).toBe("completed");
  expect(comfy.statuses[prompt_id]).toEqual(status);
});

test("the end alone may be followed, and files fetched into the page", async () => {
  const { prompt_id } = await comfy.queue(picture());
  await new Promise((resolve) => comfy.subscribeToStatus(prompt_id, resolve));
  const [image] = comfy.statuses[prompt_id]?.images ?? [];
  if (!image) throw new Error("no picture");
  const url = await comfy.fetchImage(image);
  expect((await (await fetch(url)).blob()).size).toBe(image.size_bytes);
  scope.stop();
  await expect(fetch(url)).rejects.toThrow();
});

test("subscriptions end with the scope", async () => {
  const prompt_id = await endless(comfy);
  const calls: unknown[] = [];
  await new Promise<void>((resolve) => {
    comfy.subscribeToStatus(
      prompt_id,
      () => resolve(),
      (status) => calls.push(status),
    );
  });
  scope.stop();
  await cancel(prompt_id);
  await followed(client(), prompt_id);
  expect(calls).toEqual([]);
});

test("one client may serve many components", async () => {
  const shared = client();
  expect(useComfy(shared).client).toBe(shared);
});
