/** The workflow a picture of ComfyUI carries: text chunks of PNG, EXIF of WebP and JPEG. Nothing leaves the browser. */

const PNG = "137,80,78,71,13,10,26,10";
const MOST_TEXT = 64 * 1024 * 1024;

/** The API-format workflow inside, as JSON text, else the editor's one; null without any. */
export async function workflowIn(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  try {
    const texts = bytes.subarray(0, 8).join() === PNG ? await pngTexts(bytes) : exifTexts(bytes);
    return texts.prompt ?? texts.workflow ?? null;
  } catch {
    // A broken picture carries nothing.
    return null;
  }
}

async function pngTexts(bytes) {
  const view = new DataView(bytes.buffer);
  const texts = {};
  for (let at = 8; at + 12 <= bytes.length;) {
    const size = view.getUint32(at);
    const kind = latin(bytes.subarray(at + 4, at + 8));
    const content = bytes.subarray(at + 8, at + 8 + size);
    if (["tEXt", "zTXt", "iTXt"].includes(kind)) {
      const end = content.indexOf(0);
      const name = latin(content.subarray(0, end));
      if (name === "prompt" || name === "workflow") texts[name] = await chunkText(kind, content.subarray(end + 1));
    }
    if (kind === "IEND") break;
    at += 12 + size;
  }
  return texts;
}

async function chunkText(kind, rest) {
  if (kind === "tEXt") return latin(rest);
  if (kind === "zTXt") return latin(await inflated(rest.subarray(1)));
  // iTXt: flag, method, then language and translated keyword, each ended by 0.
  const language = rest.indexOf(0, 2);
  const keyword = rest.indexOf(0, language + 1);
  const text = rest.subarray(keyword + 1);
  return new TextDecoder().decode(rest[0] ? await inflated(text) : text);
}

async function inflated(bytes) {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const pieces = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > MOST_TEXT) throw new Error("A text that is too large.");
    pieces.push(value);
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

/** EXIF as ComfyUI writes it: strings like `prompt:{…}` in the first directory. */
function exifTexts(bytes) {
  const start = tiffStart(bytes);
  if (start < 0) return {};
  const view = new DataView(bytes.buffer, start);
  const little = view.getUint16(0) === 0x4949;
  const directory = view.getUint32(4, little);
  const texts = {};
  for (let entry = 0; entry < view.getUint16(directory, little); entry++) {
    const at = directory + 2 + entry * 12;
    if (view.getUint16(at + 2, little) !== 2) continue;
    const size = view.getUint32(at + 4, little);
    const from = start + (size > 4 ? view.getUint32(at + 8, little) : at + 8);
    const [, name, text] = /^(prompt|workflow):([^\0]*)/s.exec(latin(bytes.subarray(from, from + size))) ?? [];
    if (name) texts[name] = text;
  }
  return texts;
}

function tiffStart(bytes) {
  const isWebp = latin(bytes.subarray(8, 12)) === "WEBP";
  const isJpeg = bytes[0] === 0xff && bytes[1] === 0xd8;
  if (!isWebp && !isJpeg) return -1;
  for (let at = isWebp ? 12 : 2; at + 8 <= bytes.length;) {
    const view = new DataView(bytes.buffer, at);
    if (isWebp && latin(bytes.subarray(at, at + 4)) === "EXIF") return afterMark(bytes, at + 8);
    if (isJpeg && bytes[at + 1] === 0xe1) return afterMark(bytes, at + 4);
    if (isJpeg && bytes[at + 1] === 0xda) return -1;
    const size = isWebp ? view.getUint32(4, true) : view.getUint16(2);
    at += isWebp ? 8 + size + (size % 2) : 2 + size;
  }
  return -1;
}

function afterMark(bytes, at) {
  return latin(bytes.subarray(at, at + 4)) === "Exif" ? at + 6 : at;
}

function latin(bytes) {
  return new TextDecoder("latin1").decode(bytes);
}
