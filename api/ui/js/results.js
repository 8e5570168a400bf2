/** What a job has made: pictures large, videos and sounds to play, text to read, everything to keep. */

import { fill, h, icon, iconButton, localAddress, safeAddress } from "./dom.js";
import { pinned, pin } from "./compare.js";
import { openViewer } from "./viewer.js";
import { size } from "./words.js";

const LISTS = ["images", "videos", "audio", "files"];

/** The outputs of a result in one list: `{kind, name, address, outside, about}`; `address` is on this server. */
export function outputsOf(result) {
  return LISTS.flatMap((list) => (result?.[list] ?? []).map((entry) => output(list, entry)));
}

/** All of a result as elements. `name` is the job's, for what is put side by side. */
export function resultView(result, name) {
  const outputs = outputsOf(result);
  const pictures = outputs.filter((each) => each.kind === "image" && each.address);
  const rest = outputs.filter((each) => !pictures.includes(each));
  const texts = result?.text ?? [];
  if (!outputs.length && !texts.length) return h("p", { class: "note" }, "The job has made nothing to show.");
  return h(
    "div",
    { class: "results" },
    pictures.length ? gallery(pictures, name) : null,
    rest.map(other),
    texts.map((each) => h("pre", { class: "code text-result", tabindex: "0" }, String(each.data ?? ""))),
    (result.errors ?? []).map((each) => h("p", { class: "note doubtful" }, String(each))),
  );
}

function gallery(pictures, name) {
  const frame = h("figure", { class: "picture-frame" });
  const show = (index) => {
    fill(frame, large(pictures, index, name));
    strip?.querySelectorAll("button").forEach((each, at) => each.setAttribute("aria-pressed", String(at === index)));
  };
  const strip =
    pictures.length > 1
      ? h(
          "div",
          { class: "strip", role: "group", "aria-label": "Pictures of this job" },
          pictures.map((each, index) => thumb(each, index, show)),
        )
      : null;
  show(0);
  return h("div", { class: "pictures" }, frame, strip);
}

function thumb(picture, index, show) {
  const label = `Picture ${index + 1}: ${picture.name}`;
  return h(
    "button",
    { type: "button", class: "thumb", "aria-label": label, onclick: () => show(index) },
    h("img", { src: picture.address, alt: "", loading: "lazy" }),
  );
}

function large(pictures, index, name) {
  const picture = pictures[index];
  const open = () => openViewer(pictures, index);
  const compare = iconButton("compare", pinned() ? "Compare with the picture kept" : "Keep to compare", () =>
    pin({ ...picture, job: name }),
  );
  return [
    h(
      "button",
      { type: "button", class: "picture-large", "aria-label": `Show ${picture.name} large`, onclick: open },
      h("img", { src: picture.address, alt: picture.name, decoding: "async" }),
    ),
    h(
      "figcaption",
      { class: "row spread" },
      h("span", { class: "cut" }, picture.name, h("span", { class: "muted" }, ` ${picture.about}`)),
      h("span", { class: "row tight" }, compare, iconButton("expand", "Show large", open), saveLink(picture)),
    ),
  ];
}

function other(each) {
  const caption = h(
    "figcaption",
    { class: "row spread" },
    h("span", { class: "cut" }, each.name, h("span", { class: "muted" }, ` ${each.about}`)),
    saveLink(each),
  );
  if (each.outside) {
    return h(
      "p",
      { class: "note" },
      `${each.name} lies in object storage: `,
      h("a", { href: each.outside, target: "_blank", rel: "noopener noreferrer" }, "open it"),
      ".",
    );
  }
  if (!each.address) return h("p", { class: "note" }, `${each.name}: ${each.place ?? "not kept here"}`);
  if (each.kind === "video")
    return h(
      "figure",
      { class: "picture-frame" },
      h("video", { src: each.address, controls: true, loop: true, preload: "metadata" }),
      caption,
    );
  if (each.kind === "audio")
    return h(
      "figure",
      { class: "picture-frame" },
      h("audio", { src: each.address, controls: true, preload: "metadata" }),
      caption,
    );
  return h("figure", { class: "picture-frame file" }, caption);
}

/** A link that keeps the file under its name. */
export function saveLink({ address, name }) {
  if (!address) return null;
  return h(
    "a",
    { class: "button quiet small round", href: address, download: name, title: "Save", "aria-label": `Save ${name}` },
    icon("down"),
  );
}

function output(list, entry) {
  const name = String(entry.filename ?? "file")
    .split("/")
    .pop();
  const measures = entry.width && entry.height ? `${entry.width} × ${entry.height}` : "";
  const about = [measures, size(entry.size_bytes), entry.cached ? "cached" : ""].filter(Boolean).join(" · ");
  const kind = kindOf(list, String(entry.mime_type ?? ""));
  if (entry.type === "url") return { kind, name, about, address: localAddress(entry.data) };
  if (entry.type === "s3_url") return { kind, name, about, outside: safeAddress(entry.data) };
  return { kind, name, about, place: entry.type === "file" ? String(entry.data) : null };
}

function kindOf(list, mimeType) {
  const [family] = mimeType.split("/");
  if (["image", "video", "audio"].includes(family) && mimeType !== "image/svg+xml") return family;
  return { images: "image", videos: "video", audio: "audio" }[list] ?? "file";
}
