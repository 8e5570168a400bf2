import { type ComputedRef, computed, getCurrentScope, onScopeDispose, type ShallowRef, shallowReactive, shallowRef } from "vue";
import { ComfyClient, type Unsubscribe } from "./client.js";
import type { ComfyOptions } from "./http.js";
import type { OnComplete, OnEvent } from "./subscription.js";
import type { ComfyFileRef, ComfyStatus } from "./types.js";

type Methods = "health" | "queue" | "text2img" | "status" | "history" | "getComfyInfo" | "imageUrl" | "ingest";

export interface UseComfy extends Pick<ComfyClient, Methods | "subscribeToStatus"> {
  client: ComfyClient;
  /** Whether a request is under way. */
  isBusy: ComputedRef<boolean>;
  /** Why the last request failed; null when it did not. */
  error: Readonly<ShallowRef<Error | null>>;
  /** The last status of each prompt that is or was followed, by its id. */
  statuses: Readonly<Record<string, ComfyStatus>>;
  /** The address of a file's content within this page, good as long as the scope lives. */
  fetchImage: (file: ComfyFileRef) => Promise<string>;
}

/** /api/comfy for a component. Subscriptions and fetched images end with the scope it is called in. */
export function useComfy(options: ComfyOptions | ComfyClient = {}): UseComfy {
  const client = options instanceof ComfyClient ? options : new ComfyClient(options);
  const pending = shallowRef(0);
  const error = shallowRef<Error | null>(null);
  const statuses = shallowReactive<Record<string, ComfyStatus>>({});
  const scope = new AbortController();
  const endings = new Set<() => void>();
  if (getCurrentScope()) {
    onScopeDispose(() => {
      scope.abort();
      for (const end of endings) end();
      endings.clear();
    });
  }

  async function watched<Result>(operation: Promise<Result>): Promise<Result> {
    pending.value += 1;
    error.value = null;
    try {
      return await operation;
    } catch (thrown) {
      error.value = thrown instanceof Error ? thrown : new Error(String(thrown));
      throw thrown;
    } finally {
      pending.value -= 1;
    }
  }

  function subscribeToStatus(promptId: string, first: OnEvent | OnComplete, second?: OnComplete): Unsubscribe {
    const onEvent = second ? (first as OnEvent) : () => undefined;
    const onComplete = second ?? (first as OnComplete);
    const unsubscribe = client.subscribeToStatus(
      promptId,
      (told) => {
        if (told.event === "status") statuses[promptId] = told.data;
        onEvent(told);
      },
      (status, failure) => {
        endings.delete(unsubscribe);
        onComplete(status, failure);
      },
    );
    endings.add(unsubscribe);
    return () => {
      endings.delete(unsubscribe);
      unsubscribe();
    };
  }

  async function fetchImage(file: ComfyFileRef): Promise<string> {
    const blob = await watched(client.fetchImage(file, { signal: scope.signal }));
    const url = URL.createObjectURL(blob);
    endings.add(() => URL.revokeObjectURL(url));
    return url;
  }

  return {
    client,
    isBusy: computed(() => pending.value > 0),
    error,
    statuses,
    health: (...given) => watched(client.health(...given)),
    queue: (...given) => watched(client.queue(...given)),
    text2img: (...given) => watched(client.text2img(...given)),
    status: (...given) => watched(client.status(...given)),
    history: (...given) => watched(client.history(...given)),
    getComfyInfo: (...given) => watched(client.getComfyInfo(...given)),
    imageUrl: (file) => client.imageUrl(file),
    ingest: (...given) => watched(client.ingest(...given)),
    fetchImage,
    subscribeToStatus,
  };
}
