/** One control per kind of input. Each reads and writes a value and says what is wrong with it. */

import { digits, isRaw, wholeNumber } from "./api.js";
import { fill, h, icon, iconButton } from "./dom.js";

const RANDOM_BITS = 50n;
const WIDE_CHOICE = 24;
let numbered = 0;

/**
 * A control for a field: `element`, `field`, `focus()`, `fault()` (text or null), `say(text, isDoubt, offers)`.
 * `store(value)` is called with every value that is right.
 */
export function control(field, value, store) {
  const id = `f${++numbered}`;
  const made = MAKERS[field.kind](id, field, value, store);
  const says = h("div", { id: `${id}-says` });
  const input = made.input;
  input.setAttribute("aria-describedby", field.hint ? `${id}-says ${id}-hint` : `${id}-says`);
  const element = h(
    "div",
    { class: `field ${made.class ?? ""}`, title: field.hint, data: { field: `${field.nodeId}.${field.name}` } },
    made.label ?? h("label", { htmlFor: id }, field.label),
    made.element ?? input,
    field.hint ? h("span", { class: "unseen", id: `${id}-hint` }, field.hint) : null,
    says,
  );
  const say = (text, isDoubt = false, offers = []) => {
    if (text && !isDoubt) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    const buttons = offers.map((offer) =>
      h(
        "button",
        { type: "button", class: "link", onclick: () => (made.take(offer), say(null), input.focus()) },
        `Use ${offer}`,
      ),
    );
    fill(
      says,
      text ? h("p", { class: isDoubt ? "doubt" : "fault" }, text, ...buttons.flatMap((each) => [" ", each])) : null,
    );
  };
  made.heard?.(() => say(made.fault?.() ?? null));
  return {
    element,
    field,
    say,
    focus: () => input.focus(),
    fault: () => made.fault?.() ?? null,
    take: made.take,
    renew: made.renew,
  };
}

const MAKERS = { long, text, whole, number, seed, choice, toggle, color };

function long(id, _field, value, store) {
  const input = h("textarea", { id, value, rows: 3, spellcheck: "true", oninput: () => store(input.value) });
  return { input, class: "full", ...typed(input, store), heard: (check) => input.addEventListener("input", check) };
}

function text(id, _field, value, store) {
  const input = h("input", { id, type: "text", value, spellcheck: "false", oninput: () => store(input.value) });
  return { input, class: "full", ...typed(input, store), heard: (check) => input.addEventListener("input", check) };
}

function typed(input, store) {
  return { take: (value) => ((input.value = value), store(value)) };
}

function whole(id, field, value, store) {
  return numeric(id, field, digits(value), store, wholeNumber, "a whole number");
}

function number(id, field, value, store) {
  const parse = (given) => (given.trim() === "" || !Number.isFinite(Number(given)) ? null : Number(given));
  return numeric(id, field, digits(value), store, parse, "a number");
}

function numeric(id, field, value, store, parse, what) {
  const { step } = field;
  const [min, max] = [bound(field.min), bound(field.max)];
  const input = h("input", {
    id,
    type: "text",
    inputmode: what === "a number" ? "decimal" : "numeric",
    value,
    autocomplete: "off",
  });
  const fault = () => {
    const given = parse(input.value);
    if (given === null) return `This must be ${what}.`;
    const size = bound(given);
    if (min !== undefined && size < min) return `At least ${min}.`;
    if (max !== undefined && size > max) return `At most ${max}.`;
    return null;
  };
  const take = (text) => {
    input.value = String(text);
    if (fault() === null) store(parse(input.value));
  };
  input.addEventListener("input", () => fault() === null && store(parse(input.value)));
  // As number fields do, which round large numbers.
  input.addEventListener("keydown", (event) => {
    const direction = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    const given = parse(input.value);
    if (!direction || typeof given !== "number") return;
    event.preventDefault();
    const size = step || (what === "a number" ? 0.1 : 1);
    const next = Math.round((given + direction * size) / size) * size;
    take(Number(Math.min(Number(max ?? Infinity), Math.max(Number(min ?? -Infinity), next)).toFixed(6)));
    input.dispatchEvent(new Event("input"));
  });
  return { input, fault, take, heard: (check) => input.addEventListener("input", check) };
}

/** A number that can be compared, however large it is. */
function bound(value) {
  return isRaw(value) ? BigInt(value.rawJSON) : value;
}

function seed(id, field, value, store) {
  const made = whole(id, { ...field, min: 0 }, value, store);
  const again = h("input", { type: "checkbox", class: "switch", id: `${id}-again` });
  const roll = () => {
    made.take(String(randomSeed(field.max)));
    made.input.dispatchEvent(new Event("input"));
  };
  const dice = iconButton("dice", `Random ${field.label}`, roll, { class: "boxed" });
  const element = h(
    "div",
    {},
    h("div", { class: "with-button" }, made.input, dice),
    h("label", { class: "switch-line fine after" }, again, "A new one for every run"),
  );
  return { ...made, element, class: "full", renew: () => again.checked && roll() };
}

function randomSeed(max) {
  const random = crypto.getRandomValues(new BigUint64Array(1))[0] >> (64n - RANDOM_BITS);
  const most = max === undefined ? random : BigInt(digits(max));
  return most < 1n ? 0n : random % (most + 1n);
}

function choice(id, field, value, store) {
  const choices = field.choices.map(String).includes(digits(value)) ? field.choices : [value, ...field.choices];
  const options = choices.map((each, index) =>
    h("option", { value: String(index), selected: String(each) === digits(value) }, labelOf(each, field.choices)),
  );
  const input = h("select", { id, onchange: () => store(choices[Number(input.value)]) }, options);
  const take = (wanted) => {
    const index = choices.findIndex((each) => String(each) === String(wanted));
    if (index < 0) return;
    input.value = String(index);
    store(choices[index]);
  };
  const isWide = choices.some((each) => String(each).length > WIDE_CHOICE);
  return { input, class: isWide ? "full" : "", take, heard: (check) => input.addEventListener("change", check) };
}

function labelOf(choice, offered) {
  return offered.includes(choice) || offered.length === 0 ? String(choice) : `${choice} (not on this ComfyUI)`;
}

function toggle(id, field, value, store) {
  const input = h("input", {
    id,
    type: "checkbox",
    class: "switch",
    checked: value === true,
    onchange: () => store(input.checked),
  });
  const label = h("label", { class: "switch-line", htmlFor: id }, input, field.label);
  const take = (wanted) => ((input.checked = wanted), store(wanted));
  return {
    input,
    label,
    element: h("span", { hidden: true }),
    take,
    heard: (check) => input.addEventListener("change", check),
  };
}

function color(id, _field, value, store) {
  const written = (number) => `#${number.toString(16).padStart(6, "0").slice(-6)}`;
  const input = h("input", {
    id,
    type: "color",
    value: written(value),
    oninput: () => store(parseInt(input.value.slice(1), 16)),
  });
  const take = (number) => ((input.value = written(Number(number))), store(Number(number)));
  return { input, take, heard: (check) => input.addEventListener("input", check) };
}

/** A button with a drawing and words. */
export function wordButton(drawing, words, onclick, props = {}) {
  return h("button", { type: "button", onclick, ...props }, icon(drawing), words);
}
