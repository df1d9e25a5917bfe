/** A tile of the grid: a link to the image, with its thumbnail, and a button that selects it. */

import { address } from "./address.js";
import { thumbnail } from "./api.js";
import { el, icon } from "./dom.js";

/** @typedef {import("./api.js").Image} Image */

// The widest thumbnail that is made at the upload.
const WIDTH = 320;

export class Tile {
  /** @type {Image | null} */
  image = null;
  index = -1;

  constructor() {
    this.picture = el("img", { alt: "", decoding: "async" });
    this.caption = el("span", { class: "caption", "aria-hidden": "true" });
    this.link = el("a", { tabIndex: -1, class: "frame" }, this.picture, this.caption);
    this.pick = el("button", { type: "button", class: "pick", tabIndex: -1, "aria-pressed": "false" }, icon("check"));
    this.element = el("div", { class: "tile", role: "listitem" }, this.link, this.pick);
    this.picture.onload = () => this.element.classList.add("is-loaded");
    this.picture.onerror = () => this.element.classList.add("has-no-file");
  }

  /**
   * Show an image, or room for one that is still on its way.
   * @param {number} index
   * @param {Image | undefined} image
   * @param {number} total
   * @param {boolean} mayLoad  whether it rests here long enough to ask for the picture
   */
  show(index, image, total, mayLoad) {
    if (this.index !== index) {
      this.index = index;
      this.element.ariaPosInSet = String(index + 1);
    }
    this.element.ariaSetSize = String(total);
    if (this.image !== (image ?? null)) this.#become(image ?? null);
    if (image && mayLoad && !this.picture.hasAttribute("src")) this.picture.src = thumbnail(image.image_id, WIDTH);
  }

  /** @param {Image | null} image */
  #become(image) {
    const isSame = image?.image_id === this.image?.image_id;
    this.image = image;
    if (!isSame) {
      this.element.classList.remove("is-loaded", "has-no-file");
      this.picture.removeAttribute("src"); // what is not looked at any more need not come
    }
    this.pick.hidden = !image;
    if (!image) {
      this.link.removeAttribute("href");
      this.picture.alt = "";
      this.caption.textContent = "";
      return;
    }
    const text = [image.filename, ...image.tags].join(", ");
    this.link.href = address({ image: image.image_id, before: null });
    this.link.title = image.tags.length ? `${image.filename}\n${image.tags.join(", ")}` : image.filename;
    this.picture.alt = text;
    this.caption.textContent = image.filename;
    this.pick.ariaLabel = `Select ${image.filename}`;
  }

  /** @param {boolean} isSelected */
  mark(isSelected) {
    this.element.classList.toggle("is-selected", isSelected);
    this.pick.ariaPressed = String(isSelected);
  }
}
