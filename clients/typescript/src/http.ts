import { BACKOFF, type Backoff, type Notify, retrying } from "./backoff.js";
import { ComfyError } from "./errors.js";

export interface ComfyOptions {
  /** Where the worker is; without it, where the page comes from. */
  baseUrl?: string;
  /** A key of the worker's, or what gives the present one. */
  apiKey?: string | (() => string | undefined | Promise<string | undefined>);
  /** How patiently requests and streams are tried again. */
  retry?: Partial<Backoff>;
  /** After how long without a word a stream is opened anew; the worker says something every 15 s. */
  silenceMs?: number;
  /** Hears of what a user may want to know: tries that failed, and how things end. */
  notify?: Notify;
}

export interface RequestOptions {
  signal?: AbortSignal;
}

type Query = Record<string, string | number | boolean | null | undefined>;

interface Sent {
  method?: string;
  query?: Query;
  json?: unknown;
  form?: FormData;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

const SILENCE_MS = 45_000;
const PREFIX = "/api/comfy";

/** Requests to one worker, with its key. */
export class Http {
  readonly backoff: Backoff;
  readonly notify: Notify;
  readonly silenceMs: number;
  readonly #baseUrl: string;
  readonly #apiKey: ComfyOptions["apiKey"];

  constructor(options: ComfyOptions) {
    this.#baseUrl = (options.baseUrl ?? "").replace(/\/+$/, "");
    this.#apiKey = options.apiKey;
    this.backoff = { ...BACKOFF, ...options.retry };
    this.silenceMs = options.silenceMs ?? SILENCE_MS;
    this.notify = options.notify ?? (() => undefined);
  }

  url(path: string, query: Query = {}): string {
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
    const text = new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString();
    return `${this.#baseUrl}${PREFIX}${path}${text && `?${text}`}`;
  }

  /** One try. Rejects with ComfyError for an answer that is no success, with TypeError when none came. */
  async fetch(path: string, sent: Sent = {}): Promise<Response> {
    const key = typeof this.#apiKey === "function" ? await this.#apiKey() : this.#apiKey;
    const response = await fetch(this.url(path, sent.query), {
      method: sent.method ?? "GET",
      headers: {
        ...(key ? { Authorization: `Bearer ${key}` } : {}),
        ...(sent.json === undefined ? {} : { "Content-Type": "application/json" }),
        ...sent.headers,
      },
      body: sent.json === undefined ? (sent.form ?? null) : JSON.stringify(sent.json),
      signal: sent.signal ?? null,
    });
    if (!response.ok) throw await ComfyError.of(response);
    return response;
  }

  /** What `read` makes of the answer, tried again while that may help. `operation` names it in notifications. */
  request<Result>(
    operation: string,
    path: string,
    sent: Sent,
    read: (response: Response) => Promise<Result>,
  ): Promise<Result> {
    return retrying(operation, this.backoff, this.notify, sent.signal, async () =>
      read(await this.fetch(path, sent)),
    );
  }

  json<Result>(operation: string, path: string, sent: Sent = {}): Promise<Result> {
    return this.request(operation, path, sent, (response) => response.json() as Promise<Result>);
  }

  /** The same by POST, under a key that makes all tries one request. */
  submit<Result>(operation: string, path: string, json: unknown, signal?: AbortSignal): Promise<Result> {
    return this.json(operation, path, {
      method: "POST",
      json,
      headers: { "Idempotency-Key": randomId() },
      signal,
    });
  }
}

/** `crypto.randomUUID` is there in secure contexts only. */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
