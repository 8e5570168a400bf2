import type { ComfyErrorDetail } from "./types.js";

/** An answer of the worker that is no success. `details` name each field that is at fault. */
export class ComfyError extends Error {
  override readonly name = "ComfyError";
  readonly status: number;
  readonly code: string;
  readonly details: ComfyErrorDetail[];
  /** When the same request may be taken, in milliseconds from now; undefined when nothing is said. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    status: number,
    code: string,
    details: ComfyErrorDetail[] = [],
    retryAfterMs?: number,
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
    this.retryAfterMs = retryAfterMs;
  }

  /** The error of an answer, whoever gave it: something between may answer in words of its own. */
  static async of(response: Response): Promise<ComfyError> {
    const text = await response.text().catch(() => "");
    const body = parsed(text);
    return new ComfyError(
      typeof body.message === "string" ? body.message : text.slice(0, 200) || `HTTP ${response.status}`,
      response.status,
      typeof body.code === "string" ? body.code : `HTTP_${response.status}`,
      Array.isArray(body.details) ? (body.details as ComfyErrorDetail[]) : [],
      retryAfter(response.headers.get("retry-after")),
    );
  }
}

function parsed(text: string): Record<string, unknown> {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function retryAfter(header: string | null): number | undefined {
  if (!header) return undefined;
  const milliseconds = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(milliseconds) ? Math.max(0, milliseconds) : undefined;
}
