/** `<kt-selection>`: how many images are selected, their tags, and what can be done with all of them. */

import { count, ServiceError } from "./api.js";
import { ask } from "./ask.js";
import { Bulk } from "./bulk.js";
import { on, tell } from "./bus.js";
import { show } from "./chips.js";
import { askAndRemove, MOST_UNDONE } from "./deletion.js";
import { el, icon, iconButton } from "./dom.js";
import { keys } from "./keyboard.js";
import { isEverything, same } from "./query.js";
import { selection } from "./selection.js";
import { session } from "./session.js";
import { TagInput } from "./tag-input.js";
import { toasts } from "./toasts.js";
import { counted } from "./words.js";

/**
 * @typedef {import("./api.js").Image} Image
 * @typedef {import("./api.js").TagChanges} TagChanges
 */

// So many, selected one by one, get and lose tags without a question.
const QUIET = 200;
const MOST_CHIPS = 20;
const list = new Intl.ListFormat("en", { type: "conjunction" });

class SelectionBar extends HTMLElement {
  /** @type {import("./result.js").Result | null} */
  #result = null;
  /** @type {Bulk | null} */
  #bulk = null;
  #count = el("strong", {});
  #all = el("button", { type: "button", class: "button all", onclick: () => this.#selectAll() });
  #tag = this.#button("tag", "Tags", () => (this.#form.hidden ? this.#open() : this.#close()));
  #delete = this.#button("trash", "Delete", () => this.#remove());
  #chips = el("ul", { class: "chips", "aria-label": "Tags of the selected images" });
  #tags = new TagInput();
  #take = el("button", { class: "button" }, "Remove");
  #form = el("form", { hidden: true }, this.#tags, el("button", { class: "button primary" }, "Add"), this.#take);
  #progress = el("progress", { "aria-label": "Progress" });
  #stop = el("button", { type: "button", class: "button", onclick: () => this.#bulk?.stop() }, "Stop");
  #done = el("span", {});
  #work = el("div", { class: "row", hidden: true }, this.#done, this.#progress, this.#stop);
  #row = el(
    "div",
    { class: "row" },
    iconButton("close", "Select none", { onclick: () => selection.clear() }),
    this.#count,
    this.#all,
    el("span", { class: "deeds" }, this.#tag, this.#delete),
  );

  connectedCallback() {
    this.role = "region";
    this.ariaLabel = "Selection";
    this.hidden = true;
    this.append(this.#row, this.#work, this.#chips, this.#form);
    this.#tag.ariaExpanded = "false";
    this.#followHeader();
    this.#tags.setAttribute("label", "Tags to add or to remove");
    this.#form.addEventListener("submit", (event) => this.#submitted(event));
    this.#form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.stopPropagation();
      this.#close();
    });
    on("selection", () => this.#changed());
    on("session", () => this.#show());
    on("result", ({ result }) => {
      this.#result = result;
      result.addEventListener("change", () => this.#showAll());
    });
    on("place", ({ query }) => {
      if (selection.query && !same(selection.query, query)) selection.clear();
    });
    on("changed", ({ images }) => {
      selection.update(images);
      this.#show();
    });
    on("removed", ({ ids }) => selection.forget(ids));
    addEventListener("beforeunload", (event) => {
      if (this.#bulk) event.preventDefault();
    });
    const whenAny = (/** @type {() => void} */ act) => () => {
      if (!selection.isEmpty && !this.#bulk) act();
    };
    keys("Selection", [
      { keys: "a", does: "Select all that match", press: () => this.#selectAll() },
      { keys: "t", does: "Add tags to what is selected, or remove some", press: whenAny(() => this.#open()) },
      { keys: "Delete", does: "Delete what is selected", press: whenAny(() => this.#remove()) },
      { keys: "Escape", does: "Select none", press: whenAny(() => selection.clear()) },
    ]);
  }

  /**
   * @param {"tag" | "trash"} picture
   * @param {string} label
   * @param {() => void} act
   */
  #button(picture, label, act) {
    const properties = { type: "button", class: "button", title: label, onclick: act };
    return el("button", properties, icon(picture), el("span", {}, label));
  }

  /** The bar sticks below the header, which is as high as what is searched for needs it. */
  #followHeader() {
    const header = document.querySelector("header");
    if (!header) return;
    const follow = () => document.documentElement.style.setProperty("--header", `${header.offsetHeight}px`);
    new ResizeObserver(follow).observe(header);
  }

  #changed() {
    if (selection.isEmpty) {
      this.#form.hidden = true;
      this.#tag.ariaExpanded = "false";
    }
    this.#show();
    tell("say", { say: selection.isEmpty ? "Nothing is selected" : `${counted(selection.size, "image")} selected` });
  }

  /** Show what is selected, and leave the images where they are in sight, and the keyboard near. */
  #show() {
    const hadFocus = this.contains(document.activeElement);
    const top = () => document.querySelector("kt-grid")?.getBoundingClientRect().top ?? 0;
    const before = top();
    const isWorking = this.#bulk !== null && this.#bulk.total > QUIET;
    this.hidden = selection.isEmpty && !isWorking;
    this.#count.textContent = `${selection.size.toLocaleString()} selected`;
    this.#tag.hidden = !session.may("write");
    this.#delete.hidden = !session.may("delete");
    this.#row.hidden = isWorking;
    this.classList.toggle("is-working", isWorking);
    this.#work.hidden = !isWorking;
    this.#showAll();
    show(this.#chips, isWorking ? [] : this.#tagChips(), this.#tag);
    const moved = top() - before;
    if (scrollY > Math.abs(moved)) scrollBy(0, moved); // at the top, it would cover the first ones
    if (!hadFocus) return;
    if (this.hidden) /** @type {any} */ (document.querySelector("kt-grid")).focusOnImage(0);
    else if (isWorking) this.#stop.focus();
    else if (!document.activeElement?.checkVisibility()) this.#tag.focus();
  }

  #showAll() {
    const { query, total = 0, isKnown } = this.#result ?? {};
    const isAny = query !== undefined && isEverything(query);
    const may = session.may("write") || session.may("delete");
    this.#all.hidden = !isKnown || !may || (isAny && !session.may("admin")) || selection.size >= total;
    this.#all.textContent = `Select all ${total.toLocaleString()}${isAny ? "" : " that match"}`;
  }

  #tagChips() {
    /** @type {Map<string, number>} */
    const found = new Map();
    for (const one of selection.images.values()) for (const tag of one.tags) found.set(tag, (found.get(tag) ?? 0) + 1);
    const most = [...found].sort(([, one], [, other]) => other - one);
    const shown = most.slice(0, MOST_CHIPS).map(([tag, images]) => this.#chip(tag, images));
    const others = most.length - shown.length;
    return others ? [...shown, el("li", {}, `and ${counted(others, "other tag")}`)] : shown;
  }

  /**
   * @param {string} tag
   * @param {number} images
   */
  #chip(tag, images) {
    const where = images === selection.size ? " on all" : ` on ${images} of ${selection.size}`;
    const shown = [el("bdi", {}, tag), el("small", {}, where)];
    if (!session.may("write")) return el("li", { class: "chip", title: tag }, ...shown);
    const remove = () => this.#change({ remove_tags: [tag] });
    const said = el("span", { class: "unseen" }, " remove");
    const button = { type: "button", class: "chip", title: `Remove ${tag}`, onclick: remove };
    return el("li", {}, el("button", button, ...shown, said, icon("close")));
  }

  async #selectAll() {
    const result = this.#result;
    if (!result || this.#bulk || this.#all.hidden) return;
    selection.all(result.query, result.total);
    const total = await told(() => count(result.query));
    if (total !== undefined && total !== selection.size && selection.query === result.query)
      selection.all(result.query, total);
  }

  #open() {
    if (!session.may("write")) return;
    this.#form.hidden = false;
    this.#tag.ariaExpanded = "true";
    this.#tags.focus();
  }

  #close() {
    this.#form.hidden = true;
    this.#tag.ariaExpanded = "false";
    this.#tag.focus();
  }

  /** @param {SubmitEvent} event */
  #submitted(event) {
    event.preventDefault();
    const isValid = this.#tags.commit();
    const { tags } = this.#tags;
    if (!isValid || !tags.length) this.#tags.focus();
    else if (event.submitter === this.#take) this.#change({ remove_tags: tags });
    else this.#change({ add_tags: tags });
  }

  /** @param {TagChanges} changes */
  async #change(changes) {
    const images = [...selection.images.values()];
    const bulk = new Bulk("PATCH", selected(), changes);
    const isQuiet = !bulk.isWhole && images.length <= QUIET;
    const detail = "It can be stopped; what is done by then stays.";
    const isDone = await this.#run(bulk, !isQuiet && { question: (many) => `${phrase(changes, many)}?`, detail });
    if (!isDone) return;
    if (!this.#form.hidden) this.#close();
    this.#tags.tags = [];
    const failed = new Set(bulk.failures.map((one) => one.image_id));
    const changed = images.filter((one) => !failed.has(one.image_id));
    if (bulk.isWhole || bulk.failed > failed.size) tell("stale", {});
    else tell("changed", { images: changed.map((one) => retagged(one, changes)) });
    if (bulk.isWhole) selection.clear();
    const undo = { action: "Undo", isUndo: true, act: () => undone(changed, changes) };
    toasts().show({ text: phrase(changes, bulk.done - bulk.failed, true), ...(isQuiet ? undo : {}) });
  }

  async #remove() {
    const images = [...selection.images.values()];
    if (!session.may("delete")) return;
    if (!selection.query && images.length <= MOST_UNDONE) {
      await askAndRemove(images);
      return;
    }
    const bulk = new Bulk("DELETE", selected());
    const question = (/** @type {string} */ many) => `Delete ${many}?`;
    const detail = "Their files are deleted as well. This cannot be undone.";
    if (!(await this.#run(bulk, { question, detail, isDangerous: true }))) return;
    selection.clear();
    tell("stale", {});
    toasts().show({ text: `Deleted ${counted(bulk.done - bulk.failed, "image")}` });
  }

  /**
   * Count, ask, and do it, with its progress shown. Gives whether it is done.
   * @param {Bulk} bulk
   * @param {false | {question: (images: string) => string, detail: string, isDangerous?: boolean}} asked
   */
  async #run(bulk, asked) {
    if (this.#bulk) return false;
    const isDone = await told(async () => {
      if (asked) {
        const question = asked.question(counted(await bulk.count(), "image"));
        const yes = question.split(" ")[0] ?? "";
        if (!(await ask(question, asked.detail, yes, asked.isDangerous, asked.isDangerous))) return false;
      }
      this.#bulk = bulk;
      this.#step(bulk);
      this.#show();
      await bulk.run(() => this.#step(bulk));
      return true;
    }, bulk);
    this.#bulk = null;
    if (isDone === undefined && bulk.done) tell("stale", {});
    if (bulk.trouble) toasts().show({ text: bulk.trouble, isTrouble: true });
    this.#show();
    return isDone === true;
  }

  /** @param {Bulk} bulk */
  #step({ done, total }) {
    const before = this.#progress.value;
    this.#progress.max = total || 1;
    this.#progress.value = done;
    this.#done.textContent = `${done.toLocaleString()} of ${total.toLocaleString()}`;
    const quarter = (/** @type {number} */ value) => Math.floor((4 * value) / (total || 1));
    if (done && quarter(done) > quarter(before)) tell("say", { say: `${this.#done.textContent} done` });
  }
}

/** What is selected, as the service is told. */
function selected() {
  return selection.query ? { query: selection.query } : { ids: [...selection.images.keys()] };
}

/**
 * @param {TagChanges} changes
 * @param {string | number} many
 * @param {boolean} [isPast]
 */
function phrase({ add_tags: add, remove_tags: remove = [] }, many, isPast = false) {
  const tags = add ?? remove;
  // Isolated, for those that are written from right to left.
  const names = list.format(tags.map((tag) => `“\u2068${tag}\u2069”`));
  const what = tags.length > 3 ? counted(tags.length, "tag") : `the ${tags.length > 1 ? "tags" : "tag"} ${names}`;
  const images = typeof many === "number" ? counted(many, "image") : many;
  return `${add ? "Add" : "Remove"}${isPast ? (add ? "ed" : "d") : ""} ${what} ${add ? "to" : "from"} ${images}`;
}

/**
 * @param {Image} image
 * @param {TagChanges} changes
 */
function retagged(image, { add_tags = [], remove_tags = [] }) {
  return { ...image, tags: [...new Set([...image.tags.filter((tag) => !remove_tags.includes(tag)), ...add_tags])] };
}

/**
 * Take a change of tags back.
 * @param {Image[]} images  as they were
 * @param {TagChanges} changes
 */
async function undone(images, { add_tags = [], remove_tags = [] }) {
  await told(async () => {
    for (const tag of [...add_tags, ...remove_tags]) {
      const had = remove_tags.includes(tag);
      const ids = images.filter((one) => one.tags.includes(tag) === had).map((one) => one.image_id);
      if (ids.length) await new Bulk("PATCH", { ids }, had ? { add_tags: [tag] } : { remove_tags: [tag] }).run();
    }
    tell("changed", { images });
    tell("say", { say: "Undone" });
  });
}

/**
 * Do something, and say what went wrong. Gives what it gives, undefined where it went wrong.
 * @template Result
 * @param {() => Promise<Result>} act
 * @param {Bulk} [bulk]
 */
async function told(act, bulk) {
  try {
    return await act();
  } catch (error) {
    const refusal = error instanceof ServiceError ? error : null;
    if (!refusal && !(error instanceof DOMException && error.name === "AbortError")) throw error;
    const part = bulk?.done
      ? `${bulk.done.toLocaleString()} of ${counted(bulk.total, "image")} are done, and stay so.`
      : "";
    const text = refusal ? `${refusal.message.replace(/\.$/, "")}.` : "Stopped.";
    const again = refusal?.status === 409 ? { action: "Count again", act: recount } : {};
    toasts().show({ text: `${text} ${part}`.trim(), isTrouble: true, ...again });
    return undefined;
  }
}

/** Another number of images matches by now than was selected. */
function recount() {
  const { query } = selection;
  if (query) told(async () => selection.all(query, await count(query)));
}

customElements.define("kt-selection", SelectionBar);
