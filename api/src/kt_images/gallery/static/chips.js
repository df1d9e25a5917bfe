/** Chips: tags in a row, which can be taken away, before an input. */

import { el, icon } from "./dom.js";

/**
 * Make a chip. With `remove` it is a button that takes it away; with `href` its text is a link, and the button beside.
 * @param {string} text
 * @param {{sign?: string, label?: string, href?: string, remove?: (event: MouseEvent) => void}} [options]
 *   `sign`: a word before it; `label`: what the button says to screen readers
 */
export function chip(text, { sign, label = `${text}, remove`, href, remove } = {}) {
  const shown = [sign && el("span", { class: "sign" }, `${sign} `), el("bdi", {}, text)];
  const button = { type: "button", "aria-label": label, onclick: remove };
  if (href) {
    const link = el("a", { href, title: text }, ...shown);
    return el("li", { class: "chip" }, link, remove && el("button", { ...button, title: "Remove" }, icon("close")));
  }
  if (!remove) return el("li", { class: "chip", title: text }, ...shown);
  return el("li", {}, el("button", { ...button, class: "chip", title: text }, ...shown, icon("close")));
}

/**
 * Let the arrow keys lead from an input to the chips before it and back, and Backspace and Delete take one away.
 * @param {HTMLElement} chips
 * @param {HTMLInputElement} input
 */
export function walk(chips, input) {
  const buttons = () => [...chips.querySelectorAll("button")];
  input.addEventListener("keydown", (event) => {
    if (input.selectionEnd || event.isComposing) return;
    if (event.key === "ArrowLeft") buttons().at(-1)?.focus();
    else if (event.key === "Backspace" && !event.repeat) buttons().at(-1)?.click();
  });
  chips.addEventListener("keydown", (event) => {
    const all = [...buttons(), input];
    const at = all.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    if (event.key === "ArrowLeft") all[Math.max(0, at - 1)]?.focus();
    else if (event.key === "ArrowRight") all[at + 1]?.focus();
    else if (event.key === "Backspace" || event.key === "Delete") all[at]?.click();
    else return;
    event.preventDefault();
  });
}

/**
 * Show other chips; the keyboard stays where it was among them, or goes to the input.
 * @param {HTMLElement} chips
 * @param {HTMLElement[]} shown
 * @param {HTMLElement} input
 */
export function show(chips, shown, input) {
  const at = [...chips.querySelectorAll("button")].indexOf(/** @type {any} */ (document.activeElement));
  chips.replaceChildren(...shown);
  chips.hidden = !shown.length;
  if (at < 0) return;
  const left = chips.querySelectorAll("button");
  // On a phone, the input would bring its keyboard.
  if (left.length || matchMedia("(hover: hover)").matches) (left[Math.min(at, left.length - 1)] ?? input).focus();
}
