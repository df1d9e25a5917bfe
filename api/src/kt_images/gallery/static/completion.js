/**
 * Completion below an input, as ARIA's combobox is meant: the input keeps the keyboard, the list says what it points to.
 *
 * @typedef {{tag: string, images?: number, text?: string, sign?: string, head?: string}} Offer
 *   `text` and `sign`: shown in the place of the tag, and before it; `head`: what was typed before the tag's own word
 */

import { ServiceError, tags } from "./api.js";
import { el } from "./dom.js";
import { counted } from "./words.js";

// After the last key.
const REST_MS = 150;
const MOST = 8;
let lists = 0;

/**
 * Find tags by what is typed: those that begin so, then those that have it somewhere; without text, the most used.
 * @param {string} text
 * @param {string[]} without
 * @param {AbortSignal} signal
 * @returns {Promise<Offer[]>}
 */
export async function findTags(text, without, signal) {
  const written = text.trim().normalize();
  if ([...written].length > 100 || /\p{Cc}/u.test(written)) return [];
  const limit = MOST + without.length;
  const order = /** @type {const} */ ("images");
  const found = await tags({ ...(written ? { prefix: written } : {}), order, limit }, signal);
  if (written && found.length < MOST) found.push(...(await tags({ contains: written, order, limit }, signal)));
  const unique = new Map(found.map((one) => [one.tag, one]));
  for (const tag of without) unique.delete(tag);
  const shown = [...unique.values()];
  // What is written in full comes first, however few images have it.
  return shown.sort((one, other) => Number(other.tag === written) - Number(one.tag === written)).slice(0, MOST);
}

export class Completion {
  #input;
  #options;
  #list = el("ul", { role: "listbox", id: `list-${++lists}` });
  #note = el("p", {});
  #status = el("span", { role: "status", class: "unseen" });
  #popup = el("div", { class: "completion", popover: "manual" }, this.#list, this.#note);
  /** @type {Offer[]} */
  #offers = [];
  #active = -1;
  #timer = 0;
  #controller = new AbortController();
  /** What is to be put into the document, beside the input. */
  elements = [this.#popup, this.#status];

  /**
   * @param {HTMLInputElement} input
   * @param {{label: string, thing: string, find: (text: string, signal: AbortSignal) => Promise<Offer[]>, none: string,
   *   choose: (offer: Offer) => void, box: () => Element}} options
   *   `label`: of the list; `thing`: what it lists; `none`: what to say when nothing is found; `box`: what the list opens below
   */
  constructor(input, options) {
    this.#input = input;
    this.#options = options;
    this.#list.ariaLabel = options.label;
    const attributes = {
      role: "combobox",
      "aria-autocomplete": "list",
      "aria-expanded": "false",
      "aria-controls": this.#list.id,
    };
    for (const [name, value] of Object.entries(attributes)) input.setAttribute(name, value);
    for (const event of ["input", "click"]) input.addEventListener(event, () => this.#ask());
    input.addEventListener("focus", () => this.#ask(0));
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (event) => this.#pressed(event));
    this.#popup.addEventListener("pointerdown", (event) => event.preventDefault()); // the input keeps the keyboard
    this.#popup.addEventListener("mousedown", (event) => event.preventDefault());
    this.#list.addEventListener("click", (event) => {
      const option = event.target instanceof Element ? event.target.closest("li") : null;
      this.#choose(this.#offers[[...this.#list.children].indexOf(/** @type {Element} */ (option))]);
    });
  }

  get isOpen() {
    return this.#popup.matches(":popover-open");
  }

  close() {
    clearTimeout(this.#timer);
    this.#controller.abort();
    if (this.isOpen) this.#popup.hidePopover();
    this.#input.ariaExpanded = "false";
    this.#point(-1);
    this.#offers = [];
    this.#say("");
  }

  /**
   * Say something about what was typed: here, a dialog does not keep it from those who listen.
   * @param {string} text
   */
  #say(text) {
    this.#status.textContent = text;
  }

  /** @param {number} [rest] */
  #ask(rest = REST_MS) {
    clearTimeout(this.#timer);
    this.#controller.abort();
    this.#controller = new AbortController();
    const { signal } = this.#controller;
    this.#timer = setTimeout(async () => {
      try {
        const offers = await this.#options.find(this.#input.value, signal);
        if (!signal.aborted) this.#show(offers, offers.length || !this.#input.value.trim() ? "" : this.#options.none);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof ServiceError)) throw error;
        this.#show([], error.message);
      }
    }, rest);
  }

  /**
   * @param {Offer[]} offers
   * @param {string} note
   */
  #show(offers, note) {
    if (!this.#input.matches(":focus")) return;
    this.#offers = offers;
    this.#list.replaceChildren(...offers.map((one, index) => this.#option(one, index)));
    this.#list.hidden = !offers.length;
    this.#note.textContent = note;
    this.#note.hidden = !note;
    this.#point(-1);
    const isShown = offers.length > 0 || note !== "";
    if (isShown && !this.isOpen) this.#popup.showPopover({ source: /** @type {any} */ (this.#options.box()) });
    else if (!isShown && this.isOpen) this.#popup.hidePopover();
    this.#input.ariaExpanded = String(offers.length > 0);
    this.#say(note || (offers.length ? counted(offers.length, this.#options.thing) : ""));
  }

  /**
   * @param {Offer} offer
   * @param {number} index
   */
  #option({ tag, images, text = tag, sign }, index) {
    const things = el("span", { class: "unseen" }, images === 1 ? " image" : " images");
    return el(
      "li",
      { role: "option", id: `${this.#list.id}-${index}`, title: text },
      sign && el("span", { class: "sign" }, `${sign} `),
      el("bdi", {}, text),
      images !== undefined && el("small", {}, ` ${images.toLocaleString()}`, things),
    );
  }

  /** @param {number} index */
  #point(index) {
    this.#active = index;
    for (const [at, option] of [...this.#list.children].entries()) option.ariaSelected = String(at === index);
    const active = this.#list.children[index];
    if (active) this.#input.setAttribute("aria-activedescendant", active.id);
    else this.#input.removeAttribute("aria-activedescendant");
    if (active instanceof HTMLElement) this.#reveal(active);
  }

  /**
   * Scroll the list alone: the page stays where it is.
   * @param {HTMLElement} option
   */
  #reveal({ offsetTop, offsetHeight }) {
    const { scrollTop, clientHeight } = this.#popup;
    this.#popup.scrollTop = Math.min(offsetTop, Math.max(scrollTop, offsetTop + offsetHeight - clientHeight));
  }

  /** @param {Offer | undefined} offer */
  #choose(offer) {
    if (!offer) return;
    this.close();
    this.#options.choose(offer);
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      // Behind the last one is the input itself, then the first.
      const places = this.#offers.length + 1;
      if (this.isOpen) this.#point(((this.#active + 1 + step + places) % places) - 1);
      else this.#ask(0);
    } else if (event.key === "Escape" && this.isOpen) {
      this.close();
      event.stopPropagation(); // a dialog around it stays
    } else if (event.key === "Enter" && this.#active >= 0) this.#choose(this.#offers[this.#active]);
    else return;
    event.preventDefault();
  }
}
