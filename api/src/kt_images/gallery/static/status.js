/** `<kt-status>`: how many images are found, and what is to be said when there are none, or the service is away. */

import { on } from "./bus.js";
import { el, icon } from "./dom.js";
import { isEverything } from "./query.js";
import { session } from "./session.js";

const number = new Intl.NumberFormat();

class Status extends HTMLElement {
  /** @type {import("./result.js").Result | null} */
  #result = null;
  /** @type {import("./api.js").ServiceError | null} */
  #trouble = null;
  #count = el("p", { class: "count", role: "status" });
  #message = el("div", { class: "message", role: "status" });

  connectedCallback() {
    this.append(this.#count, this.#message);
    on("result", ({ result }) => {
      this.#result = result;
      this.#trouble = null;
      result.addEventListener("change", () => this.#show());
      result.addEventListener("trouble", (event) => {
        if (this.#result !== result) return;
        this.#trouble = /** @type {Event & {error: import("./api.js").ServiceError | null}} */ (event).error;
        this.#show();
      });
    });
    on("session", () => this.#show());
  }

  #show() {
    const result = this.#result;
    if (this.#trouble && !result?.isKnown) this.#say("");
    if (result?.isKnown) this.#say(`${number.format(result.total)} ${result.total === 1 ? "image" : "images"}`);
    this.#message.replaceChildren(...this.#words());
    this.#message.hidden = !this.#message.childElementCount;
  }

  /** @param {string} text */
  #say(text) {
    if (this.#count.textContent !== text) this.#count.textContent = text;
  }

  #words() {
    if (this.#trouble?.status === 401) return []; // the dialog that asks for a key says it
    if (this.#trouble) {
      const { message, status } = this.#trouble;
      return [el("p", { class: "trouble" }, icon("retry"), status ? message : `${message}; it is tried again`)];
    }
    if (!this.#result?.isKnown || this.#result.total) return [];
    if (!isEverything(this.#result.query)) {
      return [
        el("h2", {}, "Nothing found"),
        el("p", {}, "No image has these tags. Take one away, or look for another."),
      ];
    }
    const how = session.may("write")
      ? "Drop some here, paste one, or choose Upload."
      : "There is nothing to see here yet.";
    return [el("h2", {}, "No images yet"), el("p", {}, how)];
  }
}

customElements.define("kt-status", Status);
