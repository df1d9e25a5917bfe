/**
 * `<kt-tags label="Tags">`: tags as chips, and an input with completion for more. Its property `tags` is what it holds;
 * it tells `add` and `remove` (`detail` is the tag) after somebody has changed them. `commit()` adds what is typed and
 * not yet added, for those who are about to read `tags`. With the attribute `links`, a tag leads to its images. Where
 * nothing may be written it only shows.
 */

import { address } from "./address.js";
import { on, tell } from "./bus.js";
import { chip, show, walk } from "./chips.js";
import { Completion, findTags } from "./completion.js";
import { el } from "./dom.js";
import { EVERYTHING } from "./query.js";
import { session } from "./session.js";
import { counted } from "./words.js";

const MOST_TAGS = 64;
const LONGEST = 100;
let inputs = 0;

export class TagInput extends HTMLElement {
  /** @type {string[]} */
  #tags = [];
  #id = `tags-${++inputs}`;
  #input = el("input", {
    id: this.#id,
    placeholder: "Type a tag",
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: false,
    enterKeyHint: "done",
  });
  #chips = el("ul", { class: "chips" });
  #label = el("label", { for: this.#id });
  #box = el("div", { class: "tag-box field" }, this.#chips, this.#input);
  #problem = el("p", { class: "problem", role: "status", id: `${this.#id}-problem` });
  #completion = new Completion(this.#input, {
    label: "Tags",
    thing: "tag",
    none: "A new tag: Enter adds it.",
    find: (text, signal) => findTags(text, this.#tags, signal),
    choose: (offer) => this.#add([offer.tag]),
    box: () => this.#box,
  });
  #end = () => {};

  static observedAttributes = ["label"];

  connectedCallback() {
    if (!this.#label.isConnected) {
      this.append(this.#label, this.#box, ...this.#completion.elements, this.#problem);
      this.#input.setAttribute("aria-describedby", this.#problem.id);
      this.#input.addEventListener("keydown", (event) => this.#pressed(event));
      this.#input.addEventListener("beforeinput", (event) => this.#typed(event));
      this.#input.addEventListener("input", () => this.#say(""));
      this.#input.addEventListener("paste", (event) => this.#pasted(event));
      this.#box.addEventListener("click", (event) => {
        if (event.target === this.#box) this.#input.focus();
      });
      walk(this.#chips, this.#input);
    }
    this.#end = on("session", () => this.#show());
    this.#show();
  }

  disconnectedCallback() {
    this.#end();
    this.#completion.close();
  }

  attributeChangedCallback() {
    const label = this.getAttribute("label") ?? "Tags";
    this.#label.textContent = label;
    this.#chips.ariaLabel = label;
  }

  get tags() {
    return [...this.#tags];
  }

  set tags(tags) {
    this.#tags = [...tags];
    this.#show();
  }

  /** Add what is typed; tell whether nothing is left. */
  commit() {
    if (this.#input.value.trim()) this.#add([this.#input.value]);
    return !this.#input.value.trim();
  }

  /**
   * @override
   * @param {FocusOptions} [options]
   */
  focus(options) {
    this.#input.focus(options);
  }

  #show() {
    const isFixed = this.hasAttribute("readonly") || !session.may("write");
    const chips = this.#tags.map((tag) =>
      chip(tag, {
        href: this.hasAttribute("links") ? address({ query: one(tag), before: null, image: null }) : undefined,
        remove: isFixed ? undefined : () => this.#remove(tag),
      }),
    );
    show(this.#chips, chips, this.#input);
    for (const [at, link] of this.#chips.querySelectorAll("a").entries()) link.onclick = (event) => this.#go(event, at);
    this.#input.hidden = isFixed;
    this.#label.hidden = isFixed && !this.#tags.length;
    this.#box.classList.toggle("field", !isFixed);
  }

  /**
   * @param {MouseEvent} event
   * @param {number} at
   */
  #go(event, at) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // into a tab or window of its own
    event.preventDefault();
    tell("query", one(this.#tags[at] ?? ""));
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.key !== "Enter" || event.defaultPrevented || event.isComposing || !this.#input.value.trim()) return;
    event.preventDefault();
    this.commit();
  }

  /**
   * A comma, from a keyboard on glass as well, ends a tag.
   * @param {InputEvent} event
   */
  #typed(event) {
    if (event.data !== "," || event.inputType !== "insertText") return;
    event.preventDefault();
    this.commit();
  }

  /** @param {ClipboardEvent} event */
  #pasted(event) {
    const lines = event.clipboardData?.getData("text/plain").split(/[\r\n]+/) ?? [];
    const written = lines.filter((line) => line.trim());
    if (written.length < 2) return;
    event.preventDefault();
    this.#add(written);
  }

  /**
   * Add tags as far as they may be; what may not stays in the input.
   * @param {string[]} written
   */
  #add(written) {
    const left = [];
    let problem = "";
    for (const text of written) {
      const tag = text
        .replace(/\p{Cc}/gu, " ")
        .normalize()
        .trim();
      const length = [...tag].length;
      if (!tag) continue;
      if (this.#tags.includes(tag)) problem ||= `${tag} is there already.`;
      else if (length > LONGEST) {
        problem = `A tag has at most ${LONGEST} characters; this one has ${length}.`;
        left.push(tag);
      } else if (this.#tags.length >= MOST_TAGS) {
        problem = `An image has at most ${counted(MOST_TAGS, "tag")}.`;
        left.push(tag);
      } else {
        this.#tags.push(tag);
        this.dispatchEvent(new CustomEvent("add", { detail: tag }));
      }
    }
    this.#input.value = left.join(" ");
    this.#completion.close();
    this.#show();
    this.#say(problem);
  }

  /** @param {string} tag */
  #remove(tag) {
    this.#tags = this.#tags.filter((other) => other !== tag);
    this.#show();
    this.#say("");
    this.dispatchEvent(new CustomEvent("remove", { detail: tag }));
  }

  /** @param {string} problem */
  #say(problem) {
    this.#problem.textContent = problem;
    this.#input.ariaInvalid = problem && this.#input.value ? "true" : null;
  }
}

/** @param {string} tag */
function one(tag) {
  return { ...EVERYTHING, all: [tag] };
}

customElements.define("kt-tags", TagInput);
