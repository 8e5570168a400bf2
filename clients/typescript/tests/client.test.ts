import { describe, expect, inject, test } from "vitest";
import { ComfyClient, ComfyError, type ComfyNotification } from "../src/index";
import { cancel, client, endless, FAST, failing, followed, picture } from "./prompts";

const comfy = client();
const SMALL = { caption: "a cat", width: 64, height: 64, steps: 2 };

async function refusal(operation: Promise<unknown>): Promise<ComfyError> {
  const error = await operation.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ComfyError);
  return error as ComfyError;
}

test("a workflow is queued, followed and fetched", async () => {
  const queued = await comfy.queue(picture(), { client_id: "me", priority: "high", labels: { from: "client" } });
  expect(queued.client_id).toBe("me");
  const { status, error, events } = await followed(comfy, queued.prompt_id);
  expect(error).toBeUndefined();
  expect(status).toMatchObject({ prompt_id: queued.prompt_id, status: "completed", progress: 100, error: null });
  expect(events.at(-1)).toEqual({ event: "status", data: status });
  expect(events.filter((told) => told.event === "images")).toHaveLength(1);

  const [image] = status?.images ?? [];
  if (!image) throw new Error("no picture");
  expect(image).toMatchObject({ kind: "image", mime_type: "image/png", width: 16, height: 8 });
  const blob = await comfy.fetchImage(image);
  expect([blob.type, blob.size]).toEqual(["image/png", image.size_bytes]);
  const small = await comfy.fetchImage({ ...image, thumbnail: 16 });
  expect(small.type).toBe("image/webp");

  const history = await comfy.history(queued.prompt_id);
  expect(history.images).toEqual(status?.images);
  expect(await comfy.status(queued.prompt_id)).toMatchObject({ status: "completed" });
});

test("progress is told as it comes, and a cancelled prompt has ended", async () => {
  const prompt_id = await endless(comfy);
  const steps = new Set<number>();
  const ended = new Promise((resolve) => {
    comfy.subscribeToStatus(
      prompt_id,
      (told) => told.event === "status" && told.data.step && steps.add(told.data.step),
      resolve,
    );
  });
  await expect.poll(() => steps.size, { timeout: 15_000 }).toBeGreaterThan(0);
  await cancel(prompt_id);
  expect(await ended).toMatchObject({ status: "cancelled", error: null });
});

test("a subscription may want the end only", async () => {
  const { prompt_id } = await comfy.queue(picture());
  const status = await new Promise((resolve) => comfy.subscribeToStatus(prompt_id, resolve));
  expect(status).toMatchObject({ prompt_id, status: "completed" });
});

test("a subscription to what has ended long ago", async () => {
  const { prompt_id } = await comfy.queue(picture());
  await followed(comfy, prompt_id);
  expect((await followed(comfy, prompt_id)).status).toMatchObject({ status: "completed" });
});

test("a failure is told with its reason", async () => {
  const { prompt_id } = await comfy.queue(failing());
  const { status, events } = await followed(comfy, prompt_id);
  expect(status?.status).toBe("failed");
  expect(status?.error?.message).toContain("boom");
  expect(events.map((told) => told.event)).toContain("error");
});

test("nothing is called any more once unsubscribed", async () => {
  const prompt_id = await endless(comfy);
  const calls: string[] = [];
  await new Promise<void>((resolve) => {
    const unsubscribe = comfy.subscribeToStatus(
      prompt_id,
      () => {
        calls.push("event");
        unsubscribe();
        resolve();
      },
      () => calls.push("end"),
    );
  });
  await cancel(prompt_id);
  await followed(comfy, prompt_id);
  expect(calls).toEqual(["event"]);
});

describe("text to image", () => {
  test("words become a picture", async () => {
    const made = await comfy.text2img({ ...SMALL, checkpoint: "sd_xl_base_1.0", pag: true, seed: 7 });
    expect(made).toMatchObject({ family: "sdxl", seed: 7, width: 64, height: 64, warnings: [] });
    expect(Object.keys(made.workflow).length).toBeGreaterThan(5);
    const { status } = await followed(comfy, made.prompt_id);
    expect(status?.images?.[0]).toMatchObject({ width: 64, height: 64 });
  });

  test("what cannot be served is told by field", async () => {
    const unknown = await refusal(comfy.text2img({ ...SMALL, checkpoint: "sd_xl_bas" }));
    expect(unknown).toMatchObject({ status: 400, code: "INVALID_INPUT" });
    expect(unknown.details[0]).toMatchObject({ field: "checkpoint", nearest: ["sd_xl_base_1.0.safetensors"] });
    const missing = await refusal(comfy.text2img({ ...SMALL, detail_daemon: true }));
    expect(missing.details[0]).toMatchObject({ field: "detail_daemon", code: "node_missing" });
  });

  test("what was not taken as it was asked for is told", async () => {
    const made = await comfy.text2img({ ...SMALL, width: 100, checkpoint: "flux1-dev-fp8" });
    expect([made.width, made.warnings[0]?.field]).toEqual([96, "width"]);
  });
});

test("node definitions", async () => {
  const info = await comfy.getComfyInfo();
  expect(info.SaveImage).toMatchObject({ output_node: true });
  expect(Object.keys(await comfy.getComfyInfo(true))).toEqual(Object.keys(info));
});

test("health", async () => {
  expect(await comfy.health()).toMatchObject({ ok: true, enabled: true, client_wired: true });
});

test("a picture is ingested once", async () => {
  const { prompt_id } = await comfy.queue(picture());
  const { status } = await followed(comfy, prompt_id);
  const [image] = status?.images ?? [];
  if (!image) throw new Error("no picture");
  // The whole picture is in the gallery already: it was generated here.
  const file = await comfy.fetchImage({ ...image, thumbnail: 16 });
  const given = { file, filename: "mine.webp", promptId: prompt_id, workflow: picture(), metadata: { stars: 5 } };
  const first = await comfy.ingest(given);
  expect(first).toMatchObject({ filename: "mine.webp", prompt_id, width: 16, height: 8, is_duplicate: false });
  const again = await comfy.ingest({ file: new File([file], "other.webp") });
  expect(again).toMatchObject({ id: first.id, is_duplicate: true });
});

describe("addresses", () => {
  test("of a file", () => {
    const here = new ComfyClient({ baseUrl: "http://gpu:8000/" });
    const file = { filename: "a b.png", subfolder: "x/y", type: "output" };
    expect(here.imageUrl(file)).toBe("http://gpu:8000/api/comfy/view?filename=a+b.png&subfolder=x%2Fy&type=output");
  });

  test("without a base those of the page", () => {
    expect(new ComfyClient().imageUrl({ filename: "a.png", subfolder: "" })).toBe("/api/comfy/view?filename=a.png");
  });
});

describe("the key", () => {
  test("a wrong one is told at once", async () => {
    const heard: ComfyNotification[] = [];
    const stranger = client({ apiKey: "wrong", notify: (notification) => heard.push(notification) });
    expect(await refusal(stranger.status("x"))).toMatchObject({ status: 401, code: "UNAUTHORIZED" });
    expect(heard.map(({ kind }) => kind)).toEqual(["failed"]);
  });

  test("it may be asked for each time", async () => {
    const keys = ["wrong", inject("worker").key];
    const asking = client({ apiKey: async () => keys.shift(), retry: FAST });
    await refusal(asking.getComfyInfo());
    expect(Object.keys(await asking.getComfyInfo())).not.toEqual([]);
  });

  test("a stream needs it too", async () => {
    const { error } = await followed(client({ apiKey: "wrong" }), "550e8400-e29b-41d4-a716-446655440000");
    expect(error).toMatchObject({ status: 401 });
  });
});

test("a prompt that does not exist", async () => {
  const { status, error } = await followed(comfy, "550e8400-e29b-41d4-a716-446655440000");
  expect(status).toBeNull();
  expect(error).toMatchObject({ status: 404 });
});
