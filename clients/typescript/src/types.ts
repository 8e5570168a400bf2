/** The API's own types, under the names callers know. All of them are made from its OpenAPI document. */
import type { components, paths } from "./openapi.js";

type Schemas = components["schemas"];

/** What one query of a GET may say. */
type QueryOf<Path extends keyof paths> = paths[Path] extends { get: { parameters: { query?: infer Query } } }
  ? NonNullable<Query>
  : never;

export type ComfyHealth = Schemas["ComfyHealth"];
export type ComfyQueueRequest = Schemas["ComfyQueueRequest"];
export type ComfyQueueResponse = Schemas["ComfyQueueResponse"];
export type Text2ImgParams = Schemas["Text2ImgRequest"];
export type ComfyText2ImgResponse = Schemas["ComfyText2ImgResponse"];
/** Open-shaped: a newer worker may tell more. */
export type ComfyStatus = Schemas["ComfyStatus"];
export type ComfyHistory = Schemas["ComfyHistory"];
export type ComfyObjectInfo = Schemas["ComfyObjectInfo"];
export type ComfyFile = Schemas["ComfyFile"];
export type ComfyIngested = Schemas["Ingested"];
export type ComfyErrorBody = Schemas["ErrorBody"];
export type ComfyErrorDetail = Schemas["ErrorDetail"];

/** An API-format workflow: nodes by id. */
export type ComfyWorkflow = ComfyQueueRequest["workflow"];
/** What beside the workflow a request to the queue may say. */
export type ComfyQueueOptions = Partial<Omit<ComfyQueueRequest, "workflow">>;
/** Which file is meant: a file of a status or a history will do. */
export type ComfyFileRef = Pick<QueryOf<"/api/comfy/view">, "filename" | "subfolder"> & {
  type?: string;
  instance?: string | null;
  /** Of a picture: a small one instead, its longest side so many pixels. */
  thumbnail?: number;
};

interface Told {
  prompt_id: string;
}

/** What the stream of a prompt tells, by name. */
export type ComfyEvent =
  | { event: "status"; data: ComfyStatus }
  | { event: "images"; data: Told & { images: ComfyFile[] } }
  | { event: "warning" | "error"; data: Told & { code: string; message: string } };

/** What is ingested with a picture. */
export interface ComfyIngest {
  file: Blob;
  /** Its name; that of a `File` needs no saying. */
  filename?: string;
  promptId?: string;
  workflow?: ComfyWorkflow;
  metadata?: Record<string, unknown>;
}
