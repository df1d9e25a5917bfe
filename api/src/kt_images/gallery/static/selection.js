/** What is selected: some images, or all that the query finds, whether they are loaded or not. */

import { tell } from "./bus.js";

/** @typedef {import("./api.js").Image} Image */

class Selection {
  /** @type {Map<number, Image>} */
  images = new Map();
  /** @type {import("./query.js").Query | null} */
  query = null;
  /** How many the query finds, when it was counted. */
  total = 0;
  /**
   * Where a range starts.
   * @type {number | null}
   */
  anchor = null;

  get isEmpty() {
    return !this.query && !this.images.size;
  }

  /** How many are selected. */
  get size() {
    return this.query ? this.total : this.images.size;
  }

  /** @param {number} id */
  has(id) {
    return this.query !== null || this.images.has(id);
  }

  /**
   * Select an image, or no longer. Of all that match none can be taken out: then these are what is selected.
   * @param {Image} image
   */
  toggle(image) {
    if (this.query) this.#none();
    else if (this.images.delete(image.image_id)) {
      tell("selection", {});
      return;
    }
    this.images.set(image.image_id, image);
    this.anchor = image.image_id;
    tell("selection", {});
  }

  /** @param {Image[]} images */
  add(images) {
    if (this.query) this.#none();
    for (const one of images) this.images.set(one.image_id, one);
    tell("selection", {});
  }

  /**
   * Select all that a query finds.
   * @param {import("./query.js").Query} query
   * @param {number} total
   */
  all(query, total) {
    this.#none();
    this.query = query;
    this.total = total;
    tell("selection", {});
  }

  clear() {
    if (this.isEmpty) return;
    this.#none();
    tell("selection", {});
  }

  /**
   * Take images as they are now.
   * @param {Image[]} changed
   */
  update(changed) {
    for (const one of changed) if (this.images.has(one.image_id)) this.images.set(one.image_id, one);
  }

  /** @param {number[]} ids */
  forget(ids) {
    const gone = ids.filter((id) => this.images.delete(id)).length;
    if (gone) tell("selection", {});
  }

  #none() {
    this.images.clear();
    this.query = null;
    this.total = 0;
    this.anchor = null;
  }
}

/** The page has one. */
export const selection = new Selection();
