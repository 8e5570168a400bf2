/** Moving rows of a list by their grips, with mouse, pen or finger. */

const EDGE_PX = 48;
const SCROLL_PX = 10;

/**
 * Rows have `data-id` and a `.grip`. `onStart(id)`, then `onDrop(id, idOfTheRowBehind or null)` or `onCancel()`.
 */
export function draggable(list, { onStart, onDrop, onCancel }) {
  list.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest(".grip");
    const row = grip?.closest("[data-id]");
    if (!row || event.button !== 0) return;
    // Else the touch scrolls, and the text is marked.
    event.preventDefault();
    grip.focus();
    drag(list, row, event, { onStart, onDrop, onCancel });
  });
}

function drag(list, row, { pointerId, clientY }, { onStart, onDrop, onCancel }) {
  const scroller = scrollerOf(list);
  const startY = clientY + scroller.scrollTop;
  let hasMoved = false;
  let lastY = clientY;
  let frame = 0;

  const place = () => {
    row.style.setProperty("transform", "none");
    const middle = lastY;
    for (const other of list.children) {
      if (other === row) continue;
      const box = other.getBoundingClientRect();
      const isAbove = row.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_PRECEDING;
      if (isAbove && middle < box.top + box.height / 2) {
        list.insertBefore(row, other);
        break;
      }
      if (!isAbove && middle > box.top + box.height / 2) list.insertBefore(row, other.nextElementSibling);
    }
    const box = row.getBoundingClientRect();
    row.style.setProperty("transform", `translateY(${middle - box.top - box.height / 2}px)`);
  };
  const scroll = () => {
    const box = scroller.getBoundingClientRect();
    const bottom = Math.min(box.bottom, innerHeight);
    const by = lastY < box.top + EDGE_PX ? -SCROLL_PX : lastY > bottom - EDGE_PX ? SCROLL_PX : 0;
    if (by) {
      scroller.scrollBy(0, by);
      place();
    }
    frame = requestAnimationFrame(scroll);
  };
  const move = (event) => {
    if (event.pointerId !== pointerId) return;
    lastY = event.clientY;
    if (!hasMoved && Math.abs(lastY + scroller.scrollTop - startY) < 4) return;
    if (!hasMoved) {
      hasMoved = true;
      row.classList.add("dragged");
      onStart(row.dataset.id);
      frame = requestAnimationFrame(scroll);
    }
    place();
  };
  const end = (event) => {
    if (event.pointerId !== undefined && event.pointerId !== pointerId) return;
    if (event.type === "keydown" && event.key !== "Escape") return;
    for (const [kind, listener] of listeners) removeEventListener(kind, listener, true);
    cancelAnimationFrame(frame);
    row.classList.remove("dragged");
    row.style.removeProperty("transform");
    if (!hasMoved) return;
    if (event.type === "pointerup") onDrop(row.dataset.id, row.nextElementSibling?.dataset.id ?? null);
    else onCancel();
  };
  const listeners = [
    ["pointermove", move],
    ["pointerup", end],
    ["pointercancel", end],
    ["keydown", end],
  ];
  for (const [kind, listener] of listeners) addEventListener(kind, listener, true);
}

function scrollerOf(element) {
  for (let each = element.parentElement; each; each = each.parentElement) {
    if (each.scrollHeight > each.clientHeight && /auto|scroll/.test(getComputedStyle(each).overflowY)) return each;
  }
  return document.scrollingElement;
}
