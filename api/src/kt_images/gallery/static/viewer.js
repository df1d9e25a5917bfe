/** `<kt-viewer>`: one image over the full window, at the address's `#image/1200`. */

import { leaveImage, stay } from "./address.js";
import * as api from "./api.js";
import { on, tell } from "./bus.js";
import { askAndRemove, isGoing } from "./deletion.js";
import { Details } from "./details.js";
import { el, icon, iconButton } from "./dom.js";
import { keys } from "./keyboard.js";
import { session } from "./session.js";
import { toasts } from "./toasts.js";
import { Zoom } from "./zoom.js";

/** @typedef {import("./api.js").Image} Image */

const WIDTH = 1280;
// Of which several may be in one file, so that the smaller picture does not move.
const MOVING = ["image/gif", "image/webp"];
// In bytes: shown in the place of a smaller picture if the screen has use for it.
const LIGHT = 12e6;
// In pixels, by key.
const PAN = 80;

class Viewer extends HTMLElement {
  #preview = el("img", { alt: "", class: "preview" });
  #picture = el("img", { alt: "", draggable: false });
  #box = el("div", { class: "box" }, this.#preview, this.#picture);
  #message = el("div", { class: "message" });
  #title = el("p", { class: "title", role: "status" });
  #newer = iconButton("left", "Newer image", { class: "icon-button turn", onclick: () => this.#step(-1) });
  #older = iconButton("right", "Older image", { class: "icon-button turn", onclick: () => this.#step(1) });
  #out = iconButton("minus", "Zoom out", { onclick: () => this.#zoom.step(-1) });
  #in = iconButton("plus", "Zoom in", { onclick: () => this.#zoom.step(1) });
  #delete = iconButton("trash", "Delete", { onclick: () => this.#remove() });
  #info = iconButton("info", "Details", { "aria-expanded": "true", onclick: () => this.#toggleDetails() });
  #bar = el(
    "header",
    {},
    iconButton("close", "Close", { onclick: leaveImage }),
    this.#title,
    this.#out,
    this.#in,
    this.#delete,
    this.#info,
  );
  #stage = el("div", { class: "stage" }, this.#box, this.#message, this.#newer, this.#older);
  #details = new Details();
  #dialog = el(
    "dialog",
    { class: "viewer", tabIndex: -1, autofocus: true },
    this.#bar,
    this.#stage,
    this.#details.element,
  );
  #zoom = new Zoom(this.#stage, this.#box, {
    zoomed: () => this.#zoomed(),
    swiped: (step) => this.#step(step),
  });
  /** @type {import("./result.js").Result | null} */
  #result = null;
  #id = 0;
  /** Whether it could not be asked for, so that it may go well later. */
  #hasFailed = false;
  /** @type {Image | null} */
  #image = null;
  /** @type {import("./api.js").Attachment | null} */
  #file = null;
  /** The images before and after, as soon as they are known. @type {Map<1 | -1, Image | null>} */
  #neighbours = new Map();
  /** The image that was turned away from, and to which one. */
  #turned = { gone: 0, next: 0 };
  #controller = new AbortController();

  connectedCallback() {
    this.append(this.#dialog);
    this.#dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      leaveImage();
    });
    this.#dialog.addEventListener("close", leaveImage); // browsers close it in spite of us at a second Escape
    this.#dialog.addEventListener("keydown", (event) => this.#pressed(event));
    this.#picture.onload = () => this.#loaded();
    this.#picture.onerror = () => this.#broken();
    this.#preview.onload = () => this.#fit();
    new ResizeObserver(() => this.#fit()).observe(this.#stage);
    on("place", ({ image }) => (image ? this.#open(image) : this.#close()));
    on("result", ({ result }) => {
      this.#result = result;
      result.addEventListener("change", () => this.#result === result && this.#label());
    });
    on("changed", ({ images }) => this.#become(images.find((one) => one.image_id === this.#id) ?? null));
    on("removed", ({ ids }) => this.#image && ids.includes(this.#id) && this.#turnAway());
    on("restored", ({ ids }) => this.#restored(ids));
    on("session", () => (this.#hasFailed ? this.#show(this.#id) : this.#label()));
    keys("In the viewer", [
      { keys: "← →", does: "Newer, older image; moves the picture when it is zoomed" },
      { keys: "+ - 0", does: "Zoom in, out, fit" },
      { keys: "i", does: "Show or hide the details" },
      { keys: "t n", does: "Change the tags, the name" },
      { keys: "Delete", does: "Delete" },
      { keys: "Escape", does: "Close" },
    ]);
  }

  /** @param {number} id */
  #open(id) {
    if (this.#dialog.open && id === this.#id) return;
    if (!this.#dialog.open) {
      this.#dialog.showModal();
      this.#dialog.focus();
      // What is outside of a dialog can neither be reached nor be heard.
      this.#dialog.append(toasts(), .../** @type {any} */ (document.querySelectorAll("kt-announcer")));
    }
    this.#show(id);
  }

  #close() {
    if (!this.#id) return;
    const id = this.#id;
    this.#id = 0;
    this.#controller.abort();
    this.#details.show(null);
    this.#picture.removeAttribute("src");
    document.body.append(...this.#dialog.querySelectorAll("kt-toasts, kt-announcer"));
    this.#dialog.close();
    /** @type {any} */ (document.querySelector("kt-grid")).focusOnImage(id);
  }

  /** @param {number} id */
  async #show(id) {
    this.#controller.abort();
    this.#controller = new AbortController();
    const { signal } = this.#controller;
    this.#id = id;
    this.#image = this.#file = null;
    this.#hasFailed = false;
    this.#neighbours.clear();
    this.#message.replaceChildren();
    this.#dialog.classList.remove("is-loaded");
    this.#dialog.scrollTo(0, 0);
    for (const one of [this.#preview, this.#picture]) one.removeAttribute("src");
    this.#zoom.reset();
    const known = this.#result?.at(this.#result.indexOf(id)) ?? null;
    if (known) this.#begin(known);
    try {
      const [image, files] = await Promise.all([known ?? api.image(id, signal), api.attachments(id, signal)]);
      if (!known) this.#begin(image);
      const first = files.find((one) => one.filename === image.filename) ?? files[0];
      this.#file = first ?? null;
      this.#details.files(first ? [first, ...files.filter((one) => one !== first)] : []);
      if (!first) this.#say("No picture", "No file is stored for this image.");
      this.#fit();
      if (this.#picture.complete && !this.#picture.naturalWidth) this.#broken();
      await this.#meet(signal);
    } catch (error) {
      if (!(error instanceof api.ServiceError)) {
        if (/** @type {Error} */ (error).name === "AbortError") return;
        throw error;
      }
      if (signal.aborted) return;
      if (error.status === 404) {
        this.#image = null;
        this.#become(null);
        this.#details.show(null);
        tell("removed", { ids: [id] }); // others have deleted it
        this.#say("This image is not here", "It may have been deleted.");
        await this.#meet(signal).catch(() => {});
      } else {
        this.#hasFailed = true;
        const why = error.status === 401 ? "Sign in to see it." : error.message;
        this.#say("This image cannot be shown now", why, () => this.#show(id));
      }
    }
  }

  /** @param {Image} image */
  #begin(image) {
    this.#become(image);
    this.#preview.src = api.thumbnail(image.image_id, 320); // the grid has it already
    this.#picture.src = api.thumbnail(image.image_id, WIDTH);
  }

  /** @param {Image | null} image */
  #become(image) {
    if (!image && this.#image) return;
    this.#image = image;
    if (image) {
      this.#details.show(image);
      this.#picture.alt = [image.filename, ...image.tags].join(", ");
      this.#dialog.ariaLabel = image.filename;
    } else this.#dialog.ariaLabel = "Image";
    this.#label();
  }

  /** Name and place in the list, and what can be done. */
  #label() {
    if (!this.#id) return;
    const index = this.#result?.isKnown ? this.#result.indexOf(this.#id) : -1;
    const at = index < 0 ? "" : `${(index + 1).toLocaleString()} of ${this.#result?.total.toLocaleString()}`;
    const said = `${this.#image?.filename ?? ""} ${at}`;
    if (this.#title.textContent !== said)
      this.#title.replaceChildren(el("bdi", {}, this.#image?.filename ?? ""), " ", el("span", {}, at));
    this.#delete.hidden = !(this.#image && session.may("delete"));
    for (const [step, button] of /** @type {const} */ ([
      [-1, this.#newer],
      [1, this.#older],
    ])) {
      const isEnd = this.#neighbours.get(step) === null;
      if (isEnd && button === document.activeElement) this.#dialog.focus();
      button.disabled = isEnd;
    }
  }

  /**
   * Get to know the neighbours, and their pictures.
   * @param {AbortSignal} signal
   */
  async #meet(signal) {
    for (const step of /** @type {const} */ ([1, -1])) {
      const found = await this.#neighbour(step);
      if (signal.aborted) return;
      this.#neighbours.set(step, found);
      if (found) new Image().src = api.thumbnail(found.image_id, WIDTH);
    }
    this.#label();
  }

  /** @param {1 | -1} step */
  async #neighbour(step) {
    let found = await this.#result?.neighbour(this.#id, step);
    while (found && isGoing(found.image_id)) found = await this.#result?.neighbour(found.image_id, step);
    return found ?? null;
  }

  /** @param {1 | -1} step */
  async #step(step) {
    const { signal } = this.#controller;
    const held = this.#neighbours.get(step);
    const next = held === undefined ? await this.#neighbour(step).catch(() => null) : held;
    if (signal.aborted || !next) return;
    stay({ image: next.image_id });
    this.#show(next.image_id);
  }

  /** The image goes: to the one after it, or before, or out. */
  async #turnAway() {
    const id = this.#id;
    const held = this.#neighbours.get(1) ?? this.#neighbours.get(-1);
    const ask = async () => (await this.#neighbour(1)) ?? this.#neighbour(-1);
    const next = held ?? (await ask().catch(() => null));
    if (this.#id !== id) return;
    if (!next) return leaveImage();
    this.#turned = { gone: id, next: next.image_id };
    stay({ image: next.image_id });
    this.#show(next.image_id);
  }

  /** The image that has just gone is back: so is the viewer. @param {number[]} ids */
  #restored(ids) {
    const { gone, next } = this.#turned;
    if (this.#id && this.#id === next && ids.includes(gone)) {
      stay({ image: gone });
      this.#show(gone);
    } else if (this.#id) this.#meet(this.#controller.signal).catch(() => {});
  }

  #remove() {
    if (this.#image && session.may("delete")) askAndRemove([this.#image]);
  }

  #loaded() {
    this.#dialog.classList.add("is-loaded");
    this.#fit();
  }

  /** There is a file, and no smaller picture of it: the file itself may do. */
  #broken() {
    if (!this.#file || !this.#picture.getAttribute("src")) return;
    const original = new URL(this.#file.url, api.base).href;
    if (this.#picture.src === original)
      this.#say("This picture cannot be shown", "The file can be downloaded all the same.");
    else this.#picture.src = original;
  }

  /** As large as the stage allows, and never larger than the picture is. */
  #fit() {
    const shown = this.#picture.naturalWidth ? this.#picture : this.#preview;
    let { naturalWidth: width, naturalHeight: height } = shown;
    const hasRoom = this.#stage.clientWidth && this.#stage.clientHeight;
    this.#box.hidden = !(width && height && hasRoom);
    if (this.#box.hidden) return;
    // Small pictures are sent as they are; of others the original's size is known a little later.
    const full = this.#file ? Math.max(this.#file.width, this.#file.height) : width < 320 ? 0 : 1e5;
    const grown = Math.max(1, full / Math.max(width, height));
    [width, height] = [width * grown, height * grown];
    const fit = Math.min(1, this.#stage.clientWidth / width, this.#stage.clientHeight / height);
    this.#box.style.width = `${Math.round(width * fit)}px`;
    this.#box.style.height = `${Math.round(height * fit)}px`;
    this.#zoom.most = Math.max(4, 2 / fit);
    if (this.#zoom.isZoomed) this.#zoom.pan(0, 0);
    this.#sharpen();
  }

  /** Take the original where more of it would be seen than the smaller picture has. */
  #sharpen() {
    const file = this.#file;
    const isShown = file && !/tiff|hei[cf]/.test(file.content_type);
    if (!isShown || !this.#picture.complete || this.#picture.src.includes("sha256")) return;
    const wanted = this.#box.offsetWidth * this.#zoom.scale * devicePixelRatio > WIDTH * 1.05;
    const isWorth = (wanted && file.width > WIDTH) || MOVING.includes(file.content_type);
    if (!isWorth || (file.size > LIGHT && !this.#zoom.isZoomed)) return;
    const { signal } = this.#controller;
    const original = el("img", { src: new URL(file.url, api.base).href });
    original.decode().then(
      () => {
        if (!signal.aborted) this.#picture.src = original.src;
      },
      () => {}, // the smaller one stays
    );
  }

  #zoomed() {
    this.#out.disabled = !this.#zoom.isZoomed;
    this.#in.disabled = this.#zoom.scale >= this.#zoom.most;
    this.#sharpen();
  }

  #toggleDetails() {
    const isHidden = this.#dialog.classList.toggle("is-bare");
    this.#info.ariaExpanded = String(!isHidden);
  }

  /**
   * @param {string} title
   * @param {string} text
   * @param {() => void} [again]
   */
  #say(title, text, again) {
    const button =
      again && el("button", { type: "button", class: "button", onclick: again }, icon("retry"), "Try again");
    this.#message.replaceChildren(el("h2", {}, title), el("p", {}, text), button ?? "");
    tell("say", { say: `${title}. ${text}` });
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target instanceof Element && event.target.closest("input, textarea")) {
      if (event.key !== "Escape") return;
      event.preventDefault(); // out of the field, and no further
      this.#dialog.focus();
      return;
    }
    const { isZoomed } = this.#zoom;
    const does = /** @type {Record<string, () => void>} */ ({
      ArrowLeft: () => (isZoomed ? this.#zoom.pan(PAN, 0) : this.#step(-1)),
      ArrowRight: () => (isZoomed ? this.#zoom.pan(-PAN, 0) : this.#step(1)),
      ...(isZoomed && { ArrowUp: () => this.#zoom.pan(0, PAN), ArrowDown: () => this.#zoom.pan(0, -PAN) }),
      "+": () => this.#zoom.step(1),
      "=": () => this.#zoom.step(1),
      "-": () => this.#zoom.step(-1),
      0: () => this.#zoom.reset(),
      i: () => this.#toggleDetails(),
      t: () => this.#details.edit("tags"),
      n: () => this.#details.edit("name"),
      z: () => toasts().undo(),
      Delete: () => this.#remove(),
      "?": () => /** @type {any} */ (document.querySelector("kt-help")).open(),
    })[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  }
}

customElements.define("kt-viewer", Viewer);
