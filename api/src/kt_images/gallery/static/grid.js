/** `<kt-grid>`: the images that are found, as tiles of one size. Only those near the window are in the document. */

import { go, place, stay } from "./address.js";
import { images, ServiceError } from "./api.js";
import { on, tell } from "./bus.js";
import { el } from "./dom.js";
import { same } from "./query.js";
import { Result } from "./result.js";
import { selection } from "./selection.js";
import { session } from "./session.js";
import { Tall } from "./tall.js";
import { Tile } from "./tile.js";
import { toasts } from "./toasts.js";

/** @typedef {import("./api.js").Image} Image */

// In pixels: about how wide a tile is, and what is between two.
const WIDE = 204;
const NARROW = 100;
const GAP = 6;
// Kept ready above and below, in heights of the window.
const OVERSCAN = 0.75;
// Selected one by one, of a range: they are held in memory.
const MOST_OF_RANGE = 50_000;
// After the last scroll.
const REST_MS = 140;

class Grid extends HTMLElement {
  #list = el("div", { role: "list", "aria-label": "Images" });
  #tall = new Tall(this.#list);
  /** @type {Result | null} */
  #result = null;
  /** @type {Map<number, Tile>} */
  #tiles = new Map();
  /** @type {Tile[]} */
  #spare = [];
  #columns = 1;
  #cell = WIDE;
  /** The index of the tile that the keyboard reaches. */
  #current = 0;
  #frame = 0;
  #timer = 0;
  #lastOffset = 0;
  /**
   * What the address says of where this is.
   * @type {number | null}
   */
  #before = null;

  connectedCallback() {
    this.append(this.#list);
    this.addEventListener("click", (event) => this.#clicked(event));
    this.addEventListener("keydown", (event) => this.#pressed(event));
    this.addEventListener("focusin", (event) => this.#entered(event));
    addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#measure()).observe(this);
    on("place", ({ query, before }) => {
      if (!this.#result || !same(query, this.#result.query) || before !== this.#before) this.#open();
    });
    on("changed", ({ images }) => this.#result?.update(images));
    on("removed", ({ ids }) => this.#result?.remove(ids));
    on("restored", () => this.#open());
    on("stale", () => this.#open());
    on("session", () => {
      this.classList.toggle("is-fixed", !(session.may("write") || session.may("delete")));
      this.#draw();
    });
    on("selection", () => this.#mark());
  }

  /** Show what the address asks for. What is shown stays until the first answer is here. */
  async #open() {
    const { query, before } = place();
    const result = new Result(query);
    this.#before = before;
    this.#result?.close();
    this.#result = result;
    this.ariaBusy = "true";
    result.addEventListener("change", () => {
      this.#lay();
      this.#later();
    });
    result.addEventListener("shift", (event) => this.#shift(/** @type {Event & {by: number}} */ (event).by));
    tell("result", { result });
    const first = await result.open(before).catch((error) => {
      if (error.name !== "AbortError") throw error;
      return null;
    });
    if (this.#result !== result) return;
    this.ariaBusy = "false";
    if (first === null) {
      this.#clear(0, -1); // it was refused: what is shown is not what was asked for
      return;
    }
    this.#current = first;
    this.#lay();
    if (first) this.#tall.to(this.#below(first));
    else if (this.#tall.offset > 0) scrollTo(0, 0);
    this.#draw();
  }

  /** Columns and their width, when the window has another; what was at the top stays there. */
  #measure() {
    const width = this.clientWidth;
    const top = this.#topRow * this.#columns;
    const wanted = Math.max(NARROW, Math.min(WIDE, width / 3.2));
    this.#columns = Math.max(1, Math.floor((width + GAP) / (wanted + GAP)));
    this.#cell = (width + GAP) / this.#columns;
    this.style.setProperty("--tile", `${this.#cell - GAP}px`);
    this.#lay();
    if (top) this.#tall.to(this.#below(top));
    this.#draw();
  }

  /** @param {number} index */
  #row(index) {
    return Math.floor(index / this.#columns);
  }

  /** What the page's header and the selection's bar cover, in pixels. */
  get #covered() {
    const heights = [...document.querySelectorAll("body > header, kt-selection")].map((one) => one.clientHeight);
    return heights.reduce((one, other) => one + other, GAP);
  }

  /** The first row that can be seen as a whole, or nearly. */
  get #topRow() {
    return Math.max(0, Math.ceil((this.#tall.offset + this.#covered) / this.#cell - 0.1));
  }

  /**
   * The offset at which an image stands below the header, or the whole page at its start.
   * @param {number} index
   */
  #below(index) {
    return this.#row(index) ? this.#row(index) * this.#cell - this.#covered : -this.offsetTop;
  }

  /** As high as all rows. */
  #lay() {
    if (!this.#result?.isKnown) return;
    this.#tall.height = Math.ceil(this.#result.total / this.#columns) * this.#cell;
    this.#draw();
  }

  /** @param {number} by */
  #shift(by) {
    this.#current = Math.max(0, this.#current + by);
    const rows = Math.round(by / this.#columns);
    this.#lay();
    if (rows) this.#tall.to(this.#tall.offset + rows * this.#cell);
  }

  #scrolled() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#rest(), REST_MS);
    this.#draw();
  }

  #draw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#tall.moved();
      this.#render();
    });
  }

  /** Nothing moves any more: pictures are asked for, and the address notes where one is. */
  #rest() {
    this.#tall.rest();
    this.#lastOffset = this.#tall.offset;
    this.#draw();
    const top = this.#topRow;
    const first = this.#result?.at(top * this.#columns);
    if (!this.#result?.isKnown || (top && !first)) return;
    this.#before = top && first ? first.image_id + 1 : null;
    stay({ before: this.#before });
  }

  #render() {
    const result = this.#result;
    if (!result?.isKnown) return;
    const { offset } = this.#tall;
    // What flies past need not be asked for.
    const mayLoad = Math.abs(offset - this.#lastOffset) < innerHeight * 1.5;
    this.#lastOffset = offset;
    const margin = innerHeight * OVERSCAN;
    const first = Math.max(0, Math.floor((offset - margin) / this.#cell) * this.#columns);
    const last = Math.min(result.total, Math.ceil((offset + innerHeight + margin) / this.#cell) * this.#columns) - 1;
    result.want(first, Math.max(first, last));
    this.#clear(first, last);
    let next = this.#list.firstElementChild;
    for (let index = first; index <= last; index += 1) {
      const tile = this.#tile(index);
      // In the order of the images, for those who do not look.
      while (next && next !== tile.element && Number(next.ariaPosInSet) <= index) next = next.nextElementSibling;
      if (next === tile.element) next = next.nextElementSibling;
      else this.#list.insertBefore(tile.element, next);
      tile.show(index, result.at(index), result.total, mayLoad);
      tile.link.tabIndex = index === this.#current ? 0 : -1;
      const x = (index % this.#columns) * this.#cell;
      const y = this.#tall.place(this.#row(index) * this.#cell);
      tile.element.style.transform = `translate(${x}px, ${y}px)`;
      if (tile.image) tile.mark(selection.has(tile.image.image_id));
    }
    this.#reachable(first, last);
    if (!mayLoad) this.#later();
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#rest(), REST_MS);
  }

  /**
   * Take away the tiles outside, except for one that has the keyboard.
   * @param {number} first
   * @param {number} last
   */
  #clear(first, last) {
    for (const [index, tile] of this.#tiles) {
      if (index >= first && index <= last) continue;
      if (tile.element.contains(document.activeElement) && index < (this.#result?.total ?? 0)) continue;
      tile.element.remove();
      tile.show(-1, undefined, 0, false);
      this.#tiles.delete(index);
      this.#spare.push(tile);
    }
  }

  /** @param {number} index */
  #tile(index) {
    const tile = this.#tiles.get(index) ?? this.#spare.pop() ?? new Tile();
    this.#tiles.set(index, tile);
    return tile;
  }

  /**
   * See that the Tab key leads to one of the tiles in sight.
   * @param {number} first
   * @param {number} last
   */
  #reachable(first, last) {
    if (this.#tiles.has(this.#current)) return;
    this.#current = Math.min(last, Math.max(first, this.#topRow * this.#columns));
    const tile = this.#tiles.get(this.#current);
    if (tile) tile.link.tabIndex = 0;
  }

  #mark() {
    this.classList.toggle("is-selecting", !selection.isEmpty);
    for (const tile of this.#tiles.values()) if (tile.image) tile.mark(selection.has(tile.image.image_id));
  }

  /** @param {Event} event */
  #tileOf(event) {
    const element = event.target instanceof Element ? event.target.closest(".tile") : null;
    return [...this.#tiles.values()].find((one) => one.element === element);
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const tile = this.#tileOf(event);
    if (!tile?.image) return;
    const isPick = event.target instanceof Node && tile.pick.contains(event.target);
    if (isPick || event.shiftKey || (!selection.isEmpty && !event.ctrlKey && !event.metaKey)) {
      event.preventDefault();
      this.#current = tile.index;
      this.#select(tile.image, event.shiftKey);
    } else if (!event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault(); // others open it in a tab of its own, as links do
      go({ image: tile.image.image_id });
    }
  }

  /** @param {FocusEvent} event */
  #entered(event) {
    const tile = this.#tileOf(event);
    if (!tile) return;
    this.#current = tile.index;
    for (const one of this.#tiles.values()) one.link.tabIndex = one === tile ? 0 : -1;
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const tile = this.#tiles.get(this.#current);
    // With Shift it is a capital.
    if ([" ", "x"].includes(event.key.toLowerCase()) && tile?.image) {
      event.preventDefault();
      this.#select(tile.image, event.shiftKey);
      return;
    }
    const rows = Math.max(1, Math.floor(innerHeight / this.#cell) - 1) * this.#columns;
    const last = (this.#result?.total ?? 1) - 1;
    const steps = /** @type {Record<string, number>} */ ({
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -this.#columns,
      ArrowDown: this.#columns,
      PageUp: -rows,
      PageDown: rows,
      Home: -last,
      End: last,
    });
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = this.#current + step;
    const stays = event.key.startsWith("Arrow") && (next < 0 || next > last);
    if (!stays) this.focusOn(Math.min(last, Math.max(0, next)));
  }

  /**
   * Bring the keyboard to a tile, and the tile into sight.
   * @param {number} index
   */
  focusOn(index) {
    this.#current = index;
    const top = this.#row(index) * this.#cell;
    const { offset } = this.#tall;
    if (top < offset + this.#covered) this.#tall.to(this.#below(index));
    else if (top + this.#cell > offset + innerHeight) this.#tall.to(top + this.#cell - innerHeight + GAP);
    this.#render();
    this.#tiles.get(index)?.link.focus({ preventScroll: true });
  }

  /**
   * Bring the keyboard to an image, if it is near.
   * @param {number} id
   */
  focusOnImage(id) {
    const index = this.#result?.indexOf(id) ?? -1;
    if (index >= 0) this.focusOn(index);
    else this.#tiles.get(this.#current)?.link.focus({ preventScroll: true });
  }

  /**
   * Select an image or no longer; with Shift, all from the one that was selected last to this one.
   * @param {Image} image
   * @param {boolean} isRange
   */
  async #select(image, isRange) {
    if (!(session.may("write") || session.may("delete"))) return;
    const { anchor } = selection;
    if (!isRange || anchor === null || anchor === image.image_id || !this.#result) {
      selection.toggle(image);
      return;
    }
    const [low, high] = [Math.min(anchor, image.image_id), Math.max(anchor, image.image_id)];
    try {
      /** @type {Image[]} */
      const between = [];
      const span = { after: low - 1, before: high + 1, limit: MOST_OF_RANGE };
      const order = anchor === low ? "oldest" : "newest"; // without a gap, from the last one
      for await (const one of images(this.#result.query, { ...span, order })) between.push(one);
      selection.add(between);
      if (between.length === MOST_OF_RANGE)
        toasts().show({ text: `Of a range, at most ${MOST_OF_RANGE.toLocaleString()} are selected` });
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      tell("say", { say: error.message });
    }
  }
}

customElements.define("kt-grid", Grid);
