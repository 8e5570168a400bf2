/** Requests to this server, with the key when there is one. The key goes into a header, never into an address. */

const PLACE = "worker-key";
const waiting = { asked: null, ask: null };
let held = stored(() => sessionStorage.getItem(PLACE) ?? localStorage.getItem(PLACE)) ?? null;

/** What the server refused: its HTTP status, code, message and findings. */
export class ApiError extends Error {
  constructor(status, body) {
    super(body?.message || `The server answered with ${status}.`);
    this.status = status;
    this.code = body?.code ?? "";
    this.details = body?.details ?? [];
  }
}

/** The key in use, or null. */
export function key() {
  return held;
}

/** Whether the key outlasts this tab. */
export function isRemembered() {
  return (stored(() => localStorage.getItem(PLACE)) ?? null) !== null;
}

/** Use this key from now on; null forgets it. */
export function useKey(text, { remember = false } = {}) {
  held = text;
  stored(() => {
    sessionStorage.removeItem(PLACE);
    localStorage.removeItem(PLACE);
    if (text) (remember ? localStorage : sessionStorage).setItem(PLACE, text);
  });
}

/** Who is asked for a key when the server wants one: `ask(wasWrong)` resolves to whether there is one to try. */
export function onKeyNeeded(ask) {
  waiting.ask = ask;
}

/** The JSON of an answer. Raises ApiError; asks for a key at 401 unless `quiet`. */
export async function json(method, path, body, options = {}) {
  const answer = await request(method, path, {
    ...options,
    body: body === undefined ? undefined : JSON.stringify(body),
    headers: {
      Accept: "application/json",
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...options.headers,
    },
  });
  return exact(await answer.text());
}

export const get = (path, options) => json("GET", path, undefined, options);
export const post = (path, body, options) => json("POST", path, body, options);

/** The answer itself. */
export async function request(method, path, { quiet = false, headers = {}, ...options } = {}) {
  for (;;) {
    const used = key();
    const answer = await fetch(path, {
      method,
      cache: "no-store",
      credentials: "omit",
      ...options,
      headers: { ...headers, ...(used ? { "X-API-Key": used } : {}) },
    });
    if (answer.ok) return answer;
    if (answer.status === 401 && !quiet && waiting.ask) {
      // Another request may have brought the right one meanwhile.
      if (used !== key() || (await asked(used !== null))) continue;
    }
    throw new ApiError(answer.status, await answer.json().catch(() => null));
  }
}

/** Put a file on the server; the reference jobs name it by. `onProgress` hears of the share that is sent. */
export function upload(file, onProgress = () => {}) {
  return new Promise((resolve, reject) => {
    // fetch tells nothing of what it has sent.
    const sending = new XMLHttpRequest();
    sending.open("POST", "/uploads");
    if (key()) sending.setRequestHeader("X-API-Key", key());
    sending.setRequestHeader("Content-Type", "application/octet-stream");
    sending.responseType = "json";
    sending.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    sending.onerror = () => reject(new Error("The upload broke off. Try again."));
    sending.onload = () =>
      sending.status < 300 ? resolve(sending.response.ref) : reject(new ApiError(sending.status, sending.response));
    sending.send(file);
  });
}

/** JSON with integers beyond 2^53 (seeds) kept as they are written, where the browser can. */
export function exact(content) {
  if (typeof JSON.rawJSON !== "function") return JSON.parse(content);
  return JSON.parse(content, (_name, value, context) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? JSON.rawJSON(context.source)
      : value,
  );
}

/** The number behind a value of `exact`, as text. */
export function digits(value) {
  return isRaw(value) ? value.rawJSON : String(value);
}

/** Whether a value is a number too large for JavaScript. */
export function isRaw(value) {
  return typeof JSON.isRawJSON === "function" && JSON.isRawJSON(value);
}

/** A whole number out of what somebody typed; null for what is none. */
export function wholeNumber(typed) {
  const trimmed = typed.trim();
  if (!/^-?\d+$/.test(trimmed)) return null;
  return exact(trimmed.replace(/^(-?)0+(?=\d)/, "$1"));
}

function asked(wasWrong) {
  waiting.asked ??= waiting.ask(wasWrong).finally(() => (waiting.asked = null));
  return waiting.asked;
}

function stored(action) {
  try {
    return action();
  } catch {
    return null;
  }
}
