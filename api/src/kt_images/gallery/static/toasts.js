/** `<kt-toasts>`: short messages at the bottom, with at most one thing that can be done about them. */

import { el, iconButton } from "./dom.js";
import { keys } from "./keyboard.js";

// In milliseconds. A message with an action stays long enough to be reached.
const STAYS = 8000;

/**
 * @typedef {object} Toast
 * @property {string} text
 * @property {string} [action]  the button's label
 * @property {() => void} [act]  what the button does
 * @property {() => void} [end]  called once when it goes without having been acted upon
 * @property {boolean} [isUndo]  whether the key `z` acts upon it
 * @property {boolean} [isTrouble]  stays until it is closed
 */

class Toasts extends HTMLElement {
  #list = el("div", { class: "toasts", role: "status" });
  /** @type {{toast: Toast, leave: (isDone?: boolean) => void}[]} */
  #shown = [];

  connectedCallback() {
    if (this.#list.isConnected) return; // the viewer takes it along, and brings it back
    this.append(this.#list);
    keys("Anywhere", [{ keys: "z", does: "Undo what was just deleted", press: () => this.undo() }]);
  }

  /** @param {Toast} toast */
  show(toast) {
    let timer = 0;
    let left = STAYS;
    let since = 0;
    const leave = (isDone = false) => {
      if (!card.isConnected) return;
      clearTimeout(timer);
      card.remove();
      this.#shown = this.#shown.filter((one) => one.toast !== toast);
      if (!isDone) toast.end?.();
    };
    const act = () => {
      leave(true);
      toast.act?.();
    };
    const wait = () => {
      clearTimeout(timer);
      if (toast.isTrouble || card.matches(":hover, :focus-within")) return;
      since = Date.now();
      timer = setTimeout(leave, left);
      card.classList.remove("is-paused");
    };
    const rest = () => {
      if (since) left = Math.max(2000, left - (Date.now() - since));
      since = 0;
      clearTimeout(timer);
      card.classList.add("is-paused");
    };
    const card = el(
      "div",
      {
        class: "toast",
        onpointerenter: rest,
        onpointerleave: wait,
        onfocusin: rest,
        onfocusout: () => setTimeout(wait),
      },
      el("p", {}, toast.text),
      toast.action &&
        el(
          "button",
          { type: "button", class: "button", title: toast.text, onclick: act },
          toast.action,
          toast.isUndo && el("kbd", {}, "z"),
        ),
      iconButton("close", "Dismiss", { onclick: () => leave() }),
    );
    this.#list.append(card);
    this.#shown.push({ toast, leave });
    wait();
  }

  /** Undo what was done last. */
  undo() {
    const last = this.#shown.findLast((one) => one.toast.isUndo);
    last?.leave(true);
    last?.toast.act?.();
  }

  /** End all, as if their time were over. */
  flush() {
    for (const one of [...this.#shown]) if (!one.toast.isTrouble) one.leave();
  }
}

customElements.define("kt-toasts", Toasts);

/** The page has one. */
export function toasts() {
  return /** @type {Toasts} */ (document.querySelector("kt-toasts"));
}
