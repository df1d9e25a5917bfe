/** `<kt-search>`: what is searched for, as chips, and an input for more. The address is the truth: chips show it. */

import { on, tell } from "./bus.js";
import { chip, show, walk } from "./chips.js";
import { Completion, findTags } from "./completion.js";
import { el, icon, iconButton } from "./dom.js";
import { keys } from "./keyboard.js";
import { EVERYTHING, extended, fromWords, isEverything, lastWord, UNTAGGED, without, word } from "./query.js";

/** @typedef {import("./completion.js").Offer} Offer */
/** @typedef {import("./query.js").Query} Query */

const WITHOUT_TAGS = "images without tags";

class Search extends HTMLElement {
  /** @type {Query} */
  #query = EVERYTHING;
  #input = el("input", {
    "aria-label": "Search by tags",
    placeholder: "Search by tags",
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: false,
    enterKeyHint: "search",
  });
  #chips = el("ul", { class: "chips", "aria-label": "Searched for" });
  #clear = iconButton("close", "Clear the search", { onclick: () => this.#forget() });
  #box = el("div", { class: "box" }, this.#input, this.#clear);
  #field = el("search", {}, icon("search"), this.#chips, this.#box);
  #completion = new Completion(this.#input, {
    label: "Tags",
    thing: "suggestion",
    none: "No tag is like this.",
    find: (text, signal) => this.#find(text, signal),
    choose: (offer) => this.#more(fromWords(written(offer))),
    box: () => (matchMedia("(max-width: 600px)").matches ? this.#box : this.#field),
  });

  connectedCallback() {
    this.append(this.#field, ...this.#completion.elements);
    walk(this.#chips, this.#input);
    this.#input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.defaultPrevented || event.isComposing) return;
      event.preventDefault();
      this.#more(fromWords(this.#input.value));
    });
    this.#field.addEventListener("click", (event) => {
      if (event.target === this.#field) this.#input.focus();
    });
    on("place", ({ query }) => this.#show(query));
    this.#show(EVERYTHING);
    keys("Search", [
      { keys: "/", does: "Search", press: () => this.#input.focus() },
      { keys: "sea", does: "Images with this tag" },
      { keys: "-blurred", does: "Without this tag" },
      { keys: "sea|lake", does: "With one of these tags, or more" },
      { keys: '"night\u00a0sky"', does: "A tag with spaces" },
      { keys: UNTAGGED, does: "Images without tags" },
    ]);
  }

  /**
   * Find what the last word may become. Several words may also be the start of one tag.
   * @param {string} text
   * @param {AbortSignal} signal
   * @returns {Promise<Offer[]>}
   */
  async #find(text, signal) {
    const { head, none, tag } = lastWord(text);
    const asked = [...this.#query.all, ...this.#query.any, ...this.#query.none];
    const isPhrase = head.trim() !== "" && tag !== "" && !/["|]|(^|\s)-/u.test(text);
    const phrases = isPhrase ? await findTags(text, asked, signal) : [];
    const words = await findTags(tag, [...asked, ...phrases.map((one) => one.tag)], signal);
    const sign = none ? "not" : undefined;
    const offers = [...phrases, ...words.map((one) => ({ ...one, sign, head }))];
    const isUntagged = [UNTAGGED, WITHOUT_TAGS].some((one) => one.startsWith(text.toLowerCase().trim()));
    if (isUntagged && !this.#query.untagged) offers.push({ tag: "", text: WITHOUT_TAGS });
    return offers;
  }

  /** @param {Query} more */
  #more(more) {
    this.#input.value = "";
    if (!isEverything(more)) this.#search(extended(this.#query, more));
  }

  #forget() {
    this.#input.value = "";
    this.#input.focus();
    this.#search(EVERYTHING);
  }

  /** @param {Query} query */
  #search(query) {
    this.#completion.close();
    tell("query", query);
  }

  /** @param {Query} query */
  #show(query) {
    this.#query = query;
    const remove = (/** @type {string} */ tag) => () => this.#search(without(query, tag));
    const one = (/** @type {string} */ tag) => chip(tag, { remove: remove(tag) });
    const any = query.any.map((tag, at) => {
      const made = chip(tag, { label: at ? `or ${tag}, remove` : undefined, remove: remove(tag) });
      if (at) made.prepend(el("span", { class: "or", "aria-hidden": "true" }, "or"));
      return made;
    });
    const none = query.none.map((tag) => chip(tag, { sign: "not", label: `not ${tag}, remove`, remove: remove(tag) }));
    const untagged = query.untagged
      ? [chip(WITHOUT_TAGS, { remove: () => this.#search({ ...query, untagged: false }) })]
      : [];
    show(this.#chips, [...query.all.map(one), ...any, ...none, ...untagged], this.#input);
    this.#clear.hidden = isEverything(query);
    this.#input.placeholder = isEverything(query) ? "Search by tags" : "and…";
  }
}

/** @param {Offer} offer */
function written({ tag, sign, head = "" }) {
  return tag ? `${head}${sign ? "-" : ""}${word(tag)}` : UNTAGGED;
}

customElements.define("kt-search", Search);
