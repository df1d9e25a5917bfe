/** `<kt-help>`: the keys that work anywhere, and the dialog that lists them all. */

import { el, iconButton } from "./dom.js";

/** @typedef {{keys: string, does: string, press?: (event: KeyboardEvent) => void}} Shortcut */

/** @type {Map<string, Shortcut[]>} */
const groups = new Map();

/**
 * Declare keys, for the dialog; those with `press` work wherever nothing is being typed and no dialog is open.
 * @param {string} group
 * @param {Shortcut[]} shortcuts
 */
export function keys(group, shortcuts) {
  groups.set(group, [...(groups.get(group) ?? []), ...shortcuts]);
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof Element && target.closest("input, textarea, select, [contenteditable]") !== null;
}

class Help extends HTMLElement {
  #dialog = el("dialog", { class: "help", "aria-labelledby": "help-title", closedBy: "any" });

  connectedCallback() {
    this.append(this.#dialog);
    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (document.querySelector("dialog[open]")) return;
      const found = [...groups.values()].flat().find((one) => one.press && one.keys === event.key);
      if (!found) return;
      event.preventDefault();
      found.press?.(event);
    });
    keys("Anywhere", [{ keys: "?", does: "Show these shortcuts", press: () => this.open() }]);
  }

  open() {
    const close = iconButton("close", "Close", { onclick: () => this.#dialog.close() });
    const list = [...groups].map(([group, shortcuts]) =>
      el(
        "section",
        {},
        el("h3", {}, group),
        el("dl", {}, ...shortcuts.flatMap((one) => [el("dt", {}, ...kbd(one.keys)), el("dd", {}, one.does)])),
      ),
    );
    this.#dialog.replaceChildren(el("header", {}, el("h2", { id: "help-title" }, "Shortcuts"), close), ...list);
    this.#dialog.showModal();
  }
}

/** @param {string} text  keys, separated by spaces */
function kbd(text) {
  return text.split(" ").flatMap((key, at) => (at ? [" ", el("kbd", {}, key)] : [el("kbd", {}, key)]));
}

customElements.define("kt-help", Help);
