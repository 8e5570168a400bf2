import { expect, test } from "vitest";
import { type SentEvent, sentEvents } from "../src/sse";

async function read(...chunks: (string | Uint8Array)[]): Promise<SentEvent[]> {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(typeof chunk === "string" ? encoder.encode(chunk) : chunk);
      controller.close();
    },
  });
  const events: SentEvent[] = [];
  for await (const event of sentEvents(body)) events.push(event);
  return events;
}

const one = { event: "status", data: "{}", id: "7" };

test("an event with a comment and an unknown field before it", async () => {
  expect(await read("retry: 2000\n: ping\n\nevent: status\nid: 7\ndata: {}\n\n")).toEqual([one]);
});

test("in pieces of any size", async () => {
  const text = "event: status\nid: 7\ndata: {}\n\n";
  expect(await read(...text)).toEqual([one]);
});

test("with each kind of line end, also cut in two", async () => {
  expect(await read("event: status\r\nid: 7\r", "\ndata: {}\r\n\r\n")).toEqual([one]);
  expect(await read("event: status\rid: 7\rdata: {}\r\r\n")).toEqual([one]);
});

test("a letter cut in two", async () => {
  const bytes = new TextEncoder().encode("data: é\n\n");
  expect(await read(bytes.slice(0, 7), bytes.slice(7))).toEqual([{ event: "message", data: "é", id: "" }]);
});

test("data over several lines, and without a blank after the colon", async () => {
  expect(await read("data:a\ndata\ndata: b: c\n\n")).toEqual([{ event: "message", data: "a\n\nb: c", id: "" }]);
});

test("the id stays for events that have none", async () => {
  expect((await read("id: 1\ndata: a\n\ndata: b\n\n")).map(({ id }) => id)).toEqual(["1", "1"]);
});

test("half an event at the end is none", async () => {
  expect(await read("data: a\n\ndata: b\n")).toHaveLength(1);
  expect(await read("event: status\n\n")).toEqual([]);
});
