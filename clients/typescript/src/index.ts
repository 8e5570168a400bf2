export { BACKOFF, type Backoff, type ComfyNotification, type Notify } from "./backoff.js";
export { ComfyClient, type Unsubscribe } from "./client.js";
export { ComfyError } from "./errors.js";
export type { ComfyOptions, RequestOptions } from "./http.js";
export type { components, operations, paths } from "./openapi.js";
export type { OnComplete, OnEvent } from "./subscription.js";
export type * from "./types.js";
