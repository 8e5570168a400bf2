import { type ComfyOptions, Http, type RequestOptions } from "./http.js";
import { type OnComplete, type OnEvent, Subscription } from "./subscription.js";
import type {
  ComfyFileRef,
  ComfyHealth,
  ComfyHistory,
  ComfyIngest,
  ComfyIngested,
  ComfyObjectInfo,
  ComfyQueueOptions,
  ComfyQueueResponse,
  ComfyStatus,
  ComfyText2ImgResponse,
  ComfyWorkflow,
  Text2ImgParams,
} from "./types.js";

/** Ends a subscription; nothing is called after it. */
export type Unsubscribe = () => void;

/**
 * /api/comfy of one worker. Requests that fail for a while are tried again, and never make a second prompt; what fails
 * for good rejects with `ComfyError`, or `TypeError` when no answer came.
 */
export class ComfyClient {
  readonly #http: Http;

  constructor(options: ComfyOptions = {}) {
    this.#http = new Http(options);
  }

  health(options: RequestOptions = {}): Promise<ComfyHealth> {
    return this.#http.json("health", "/health", options);
  }

  /** Queue a workflow in API format. */
  queue(
    workflow: ComfyWorkflow,
    { signal, ...options }: ComfyQueueOptions & RequestOptions = {},
  ): Promise<ComfyQueueResponse> {
    return this.#http.submit("queue", "/queue", { ...options, workflow }, signal);
  }

  /** Make a picture from words; the answer says with which model, seed and workflow. */
  text2img(params: Text2ImgParams, { signal }: RequestOptions = {}): Promise<ComfyText2ImgResponse> {
    return this.#http.submit("text2img", "/text2img", params, signal);
  }

  status(promptId: string, options: RequestOptions = {}): Promise<ComfyStatus> {
    return this.#http.json("status", `/status/${encodeURIComponent(promptId)}`, options);
  }

  history(promptId: string, options: RequestOptions = {}): Promise<ComfyHistory> {
    return this.#http.json("history", `/history/${encodeURIComponent(promptId)}`, options);
  }

  /** ComfyUI's node definitions; `refresh` asks ComfyUI itself, whatever the worker has kept. */
  getComfyInfo(refresh = false, options: RequestOptions = {}): Promise<ComfyObjectInfo> {
    return this.#http.json("info", "/object-info", { ...options, query: { refresh: refresh || undefined } });
  }

  /** Where a file is. With a key set, only `fetchImage` gets it from there. */
  imageUrl(file: ComfyFileRef): string {
    const { filename, subfolder, type, instance, thumbnail } = file;
    return this.#http.url("/view", { filename, subfolder, type, instance, thumbnail });
  }

  /** A file's content. */
  fetchImage(file: ComfyFileRef, options: RequestOptions = {}): Promise<Blob> {
    const { filename, subfolder, type, instance, thumbnail } = file;
    const query = { filename, subfolder, type, instance, thumbnail };
    return this.#http.request("image", "/view", { ...options, query }, (response) => response.blob());
  }

  /** Put a file into the gallery; the same content again adds to what is known of it. */
  ingest(given: ComfyIngest, { signal }: RequestOptions = {}): Promise<ComfyIngested> {
    const form = new FormData();
    if (given.filename === undefined) form.append("file", given.file);
    else form.append("file", given.file, given.filename);
    if (given.promptId !== undefined) form.append("prompt_id", given.promptId);
    if (given.workflow !== undefined) form.append("workflow", JSON.stringify(given.workflow));
    if (given.metadata !== undefined) form.append("metadata", JSON.stringify(given.metadata));
    return this.#http.json("ingest", "/ingest", { method: "POST", form, signal });
  }

  /** Follow a prompt to its end; `onComplete` is called once, with its last status. */
  subscribeToStatus(promptId: string, onComplete: OnComplete): Unsubscribe;
  subscribeToStatus(promptId: string, onEvent: OnEvent, onComplete: OnComplete): Unsubscribe;
  subscribeToStatus(promptId: string, first: OnEvent | OnComplete, second?: OnComplete): Unsubscribe {
    const onEvent = second ? (first as OnEvent) : () => undefined;
    const onComplete = second ?? (first as OnComplete);
    const stop = new AbortController();
    void new Subscription(this.#http, promptId, onEvent, stop.signal).run(onComplete);
    return () => stop.abort();
  }
}
