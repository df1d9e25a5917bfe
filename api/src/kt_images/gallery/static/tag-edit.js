/** Changes of an image's tags that are on their way to the service, and stay until it has them. */

import { change, ServiceError } from "./api.js";
import { tell } from "./bus.js";

/** Those that are not saved yet, by image. @type {Map<number, TagEdit>} */
export const unsaved = new Map();

export class TagEdit {
  /** Why they could not be saved, in the service's words. */
  trouble = "";
  /** @type {Set<string>} */
  #add = new Set();
  /** @type {Set<string>} */
  #remove = new Set();
  #isSaving = false;

  /**
   * @param {import("./api.js").Image} image
   * @param {() => void} told  called when it goes well or wrong
   */
  constructor(image, told) {
    this.image = image;
    this.told = told;
  }

  /**
   * Return the tags as they will be.
   * @param {string[]} tags
   */
  apply(tags) {
    return [...new Set([...tags.filter((tag) => !this.#remove.has(tag)), ...this.#add])];
  }

  /**
   * @param {"add" | "remove"} does
   * @param {string} tag
   */
  note(does, tag) {
    const [to, from] = does === "add" ? [this.#add, this.#remove] : [this.#remove, this.#add];
    from.delete(tag);
    to.add(tag);
    unsaved.set(this.image.image_id, this);
    this.save();
  }

  /** Send them; what is changed meanwhile is sent after them. */
  async save() {
    if (this.#isSaving) return;
    this.#isSaving = true;
    try {
      while (this.#add.size || this.#remove.size) {
        const [add, remove] = [[...this.#add], [...this.#remove]];
        const image = await change(this.image.image_id, { add_tags: add, remove_tags: remove });
        for (const tag of add) this.#add.delete(tag);
        for (const tag of remove) this.#remove.delete(tag);
        this.trouble = "";
        if (!this.#add.size && !this.#remove.size) unsaved.delete(this.image.image_id);
        tell("changed", { images: [image] });
      }
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      this.trouble = error.message;
    } finally {
      this.#isSaving = false;
      this.told();
    }
  }
}
