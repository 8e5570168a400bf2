/** One server-sent event. */
export interface SentEvent {
  event: string;
  data: string;
  /** The last id there was, of this event or one before. */
  id: string;
}

/** The events of a body as they come. A half event at the end is dropped, as browsers do. */
export async function* sentEvents(
  body: ReadableStream<Uint8Array>,
  onBytes: () => void = () => undefined,
): AsyncGenerator<SentEvent> {
  let event = "";
  let data: string[] = [];
  let id = "";
  for await (const line of lines(body, onBytes)) {
    if (line === "") {
      if (data.length > 0) yield { event: event || "message", data: data.join("\n"), id };
      event = "";
      data = [];
      continue;
    }
    const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === "event") event = value;
    if (field === "data") data.push(value);
    if (field === "id" && !value.includes("\0")) id = value;
  }
}

async function* lines(body: ReadableStream<Uint8Array>, onBytes: () => void): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      onBytes();
      rest += value ? decoder.decode(value, { stream: true }) : decoder.decode();
      // A carriage return at the very end may be the first half of a line's end.
      const whole = rest.split(/\r\n|\n|\r(?!$)/);
      rest = whole.pop() ?? "";
      yield* whole;
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
