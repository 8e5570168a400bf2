import { delayOf, isAbort, isPassing, pause } from "./backoff.js";
import type { Http } from "./http.js";
import { sentEvents } from "./sse.js";
import type { ComfyEvent, ComfyStatus } from "./types.js";

export type OnEvent = (event: ComfyEvent) => void;
/** `status` is the last one known, null when there is none; `error` is why its end could not be learned. */
export type OnComplete = (status: ComfyStatus | null, error?: Error) => void;

const ENDED = new Set<string>(["completed", "failed", "cancelled"]);
const NO_CONTENT = 204;

/** Aborts a connection that says nothing for too long: its other end may be gone. */
class Silence {
  readonly #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly limitMs: number) {
    this.broken();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  broken(): void {
    this.end();
    const error = new TypeError("The stream fell silent.");
    this.#timer = setTimeout(() => this.#controller.abort(error), this.limitMs);
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** Follows one prompt to its end, over as many connections as it takes. */
export class Subscription {
  readonly #http: Http;
  readonly #path: string;
  readonly #promptId: string;
  readonly #onEvent: OnEvent;
  readonly #signal: AbortSignal;
  #lastId = "";
  #status: ComfyStatus | null = null;
  /** Tries since something was heard. */
  #failures = 0;

  constructor(http: Http, promptId: string, onEvent: OnEvent, signal: AbortSignal) {
    this.#http = http;
    this.#promptId = promptId;
    this.#path = `/stream/${encodeURIComponent(promptId)}`;
    this.#onEvent = onEvent;
    this.#signal = signal;
  }

  /** Calls `onComplete` once; never when it is aborted first. */
  async run(onComplete: OnComplete): Promise<void> {
    let error: Error | undefined;
    try {
      while (!(await this.#connection()));
    } catch (thrown) {
      error = thrown instanceof Error ? thrown : new Error(String(thrown));
    }
    if (this.#signal.aborted) return;
    if (error) {
      this.#http.notify({ kind: "failed", operation: "subscribe", error });
    } else if (this.#status) {
      this.#http.notify({ kind: "ended", promptId: this.#promptId, status: this.#status });
    }
    onComplete(this.#status, error);
  }

  /** One connection for as long as it lasts; whether the prompt has ended. Rejects when trying again is no use. */
  async #connection(): Promise<boolean> {
    const silence = new Silence(this.#http.silenceMs);
    try {
      const response = await this.#http.fetch(this.#path, {
        headers: { Accept: "text/event-stream", ...(this.#lastId && { "Last-Event-ID": this.#lastId }) },
        signal: AbortSignal.any([this.#signal, silence.signal]),
      });
      if (response.status === NO_CONTENT) return await this.#asked();
      if (response.body && (await this.#read(response.body, silence))) return true;
      throw new TypeError("The stream ended before its prompt.");
    } catch (error) {
      if (this.#signal.aborted || isAbort(error) || !isPassing(error)) throw error;
      await this.#pause(error as Error);
      return false;
    } finally {
      silence.end();
    }
  }

  async #read(body: ReadableStream<Uint8Array>, silence: Silence): Promise<boolean> {
    for await (const sent of sentEvents(body, () => silence.broken())) {
      this.#failures = 0;
      this.#lastId = sent.id;
      const told = { event: sent.event, data: JSON.parse(sent.data) as unknown } as ComfyEvent;
      this.#tell(told);
      if (told.event === "status" && ENDED.has(told.data.status)) return true;
    }
    return false;
  }

  #tell(told: ComfyEvent): void {
    if (told.event === "status") this.#status = told.data;
    if (!this.#signal.aborted) this.#onEvent(told);
  }

  /** The end was told before, on a connection that broke. */
  async #asked(): Promise<boolean> {
    const response = await this.#http.fetch(`/status/${encodeURIComponent(this.#promptId)}`, { signal: this.#signal });
    this.#tell({ event: "status", data: (await response.json()) as ComfyStatus });
    return true;
  }

  async #pause(error: Error): Promise<void> {
    const { backoff, notify } = this.#http;
    this.#failures += 1;
    if (this.#failures >= backoff.attempts) throw error;
    const delayMs = delayOf(this.#failures, backoff, error);
    const { attempts } = backoff;
    notify({ kind: "retry", operation: "subscribe", attempt: this.#failures, attempts, delayMs, error });
    await pause(delayMs, this.#signal);
  }
}
