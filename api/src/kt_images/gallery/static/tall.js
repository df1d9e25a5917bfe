/**
 * Scrolling through more pixels than an element can be high: browsers break from some sixteen million on.
 *
 * An offset counts pixels as if there were no limit. Up to the limit it is the distance scrolled. Above it, small
 * steps move by as many pixels, a dragged scrollbar moves in proportion, and the two are brought together at rest.
 */

const LIMIT = 8_000_000;

export class Tall {
  #element;
  #full = 0;
  #high = 0;
  /** The offset of what is at the element's own top. */
  #shift = 0;
  #at = 0;

  /** @param {HTMLElement} element  whose height stands for the whole */
  constructor(element) {
    this.#element = element;
  }

  /** @param {number} full  in pixels */
  set height(full) {
    this.#full = full;
    this.#high = Math.min(full, LIMIT);
    this.#element.style.height = `${this.#high}px`;
    if (full === this.#high) this.#shift = 0;
  }

  /** The offset of what is at the window's top; negative while that is above the element. */
  get offset() {
    return this.#at + this.#shift;
  }

  /**
   * Where in the element something with this offset belongs.
   * @param {number} offset
   */
  place(offset) {
    return offset - this.#shift;
  }

  /** Take notice of a scroll. */
  moved() {
    const at = scrollY - this.#top;
    const isDragged = Math.abs(at - this.#at) > 2 * innerHeight;
    this.#at = at;
    if (this.#full === this.#high) return;
    if (isDragged || at <= 0 || at >= this.#high - innerHeight) this.#shift = at * this.#ratio - at;
  }

  /** At rest: bring the scrollbar to where the offset is, so that there is room on both sides. */
  rest() {
    if (this.#full !== this.#high && this.offset > 0) this.to(this.offset);
  }

  /**
   * Scroll to an offset.
   * @param {number} offset
   */
  to(offset) {
    const at = this.#full === this.#high || offset < 0 ? offset : Math.round(offset / this.#ratio);
    this.#shift = offset - at;
    this.#at = at;
    scrollTo(0, at + this.#top);
    if (this.#full === this.#high) this.moved(); // no further than there is something
  }

  get #ratio() {
    return (this.#full - innerHeight) / (this.#high - innerHeight);
  }

  get #top() {
    return this.#element.getBoundingClientRect().top + scrollY;
  }
}
