/** Elements from plain values. Strings become text, never markup: titles and file names come from anywhere. */

const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "hidden", "open", "multiple", "htmlFor"]);
const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  play: "M7 4.5v15l12-7.5z",
  check: "M4.5 12.5l5 5 10-11",
  close: "M6 6l12 12M18 6L6 18",
  dice: "M5 5h14v14H5zM9 9h.01M15 15h.01M15 9h.01M9 15h.01",
  swap: "M7 8h12l-3-3M17 16H5l3 3",
  upload: "M12 16V5M7.5 9.5L12 5l4.5 4.5M5 19h14",
  down: "M12 5v11M7.5 11.5L12 16l4.5-4.5M5 19h14",
  picture: "M4 5h16v14H4zM4 15l5-4 4 3 3-2 4 3",
  retry: "M5 12a7 7 0 1 0 2-4.9L5 9M5 4.5V9h4.5",
  trash: "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12",
  copy: "M9 9h10v10H9zM5 15V5h10",
  grip: "M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01",
  first: "M12 19V8M7.5 12L12 7.5l4.5 4.5M6 4.5h12",
  pause: "M8 5v14M16 5v14",
  compare: "M12 3v18M4 6h5v12H4M20 6h-5v12h5",
  expand: "M5 9V5h4M19 9V5h-4M5 15v4h4M19 15v4h-4",
  edit: "M5 19l1-4L16 5l3 3L9 18z",
  search: "M11 5a6 6 0 1 0 0 12 6 6 0 0 0 0-12M15.5 15.5L20 20",
  left: "M14.5 5.5L8 12l6.5 6.5",
  right: "M9.5 5.5L16 12l-6.5 6.5",
  flow: "M4 5h6v5H4zM14 14h6v5h-6zM7 10v3a3 3 0 0 0 3 3h4",
  plus: "M12 5v14M5 12h14",
};

/** An element; `props` are properties, attributes, `class`, `data`, `style` and listeners (`onclick`). */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) set(element, name, value);
  element.append(...shown(children));
  return element;
}

/** A drawing that says nothing to who does not see it. */
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  drawing.append(path);
  return drawing;
}

/** A button with a drawing only; its label is spoken and shown when pointed at. */
export function iconButton(name, label, onclick, props = {}) {
  const kind = `quiet small round ${props.class ?? ""}`;
  return h("button", { type: "button", title: label, "aria-label": label, onclick, ...props, class: kind }, icon(name));
}

/** Put these children in place of those there are. */
export function fill(element, ...children) {
  element.replaceChildren(...shown(children));
  return element;
}

/** Rows by key: those that stay are updated, not made anew, so that focus and gestures last. */
export function keyed(list, items, keyOf, make, update) {
  const old = new Map([...list.children].map((row) => [row.dataset.key, row]));
  const focused = document.activeElement;
  let next = list.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let row = old.get(key);
    old.delete(key);
    if (!row) {
      row = make(item);
      row.dataset.key = key;
    }
    update(row, item);
    if (row === next) next = next.nextElementSibling;
    else list.insertBefore(row, next);
  }
  for (const row of old.values()) row.remove();
  // Moving an element takes the focus from it.
  if (focused && focused !== document.activeElement && list.contains(focused)) focused.focus();
}

/** An address of the outside as a link's target; none for what is no http(s). */
export function safeAddress(text) {
  try {
    const address = new URL(text, location.href);
    return ["http:", "https:"].includes(address.protocol) ? address.href : null;
  } catch {
    return null;
  }
}

/** The same file by this page's own way to the server, whatever host a proxy made the server believe in. */
export function localAddress(text) {
  const address = new URL(text, location.href);
  return address.pathname + address.search;
}

function set(element, name, value) {
  if (value === null || value === undefined || (value === false && !name.startsWith("aria-"))) return;
  if (typeof value === "function") element.addEventListener(name.slice(2), value);
  else if (name === "class") element.className = value;
  else if (name === "data") Object.assign(element.dataset, value);
  else if (name === "style") for (const [key, part] of Object.entries(value)) element.style.setProperty(key, part);
  else if (PROPERTIES.has(name)) element[name] = value;
  else element.setAttribute(name, value === true ? "" : value);
}

function shown(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
