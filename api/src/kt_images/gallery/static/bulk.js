/** A change of many images: how many it is about, doing it in portions, and what came of it. */

import { changeMany, MOST_IDS, tryMany } from "./api.js";
import { counted } from "./words.js";

/**
 * @typedef {import("./api.js").TagChanges} TagChanges
 * @typedef {import("./api.js").Outcome} Outcome
 */

export class Bulk {
  #controller = new AbortController();
  #portions;
  /** How many images it is about, as far as it is known. */
  total;
  done = 0;
  failed = 0;
  /** @type {Outcome["failures"]} */
  failures = [];

  /**
   * @param {"PATCH" | "DELETE"} method
   * @param {import("./api.js").Many} many
   * @param {TagChanges} [changes]
   */
  constructor(method, many, changes) {
    this.method = method;
    this.changes = changes;
    this.isWhole = "query" in many;
    this.#portions = "ids" in many ? portions(many.ids) : [many];
    this.total = "ids" in many ? many.ids.length : 0;
  }

  /** End it after what is under way. */
  stop() {
    this.#controller.abort();
  }

  /** Ask the service how many images it is about, and change nothing. */
  async count() {
    this.total = 0;
    for (const one of this.#portions) this.total += await tryMany(this.method, one, this.changes);
    return this.total;
  }

  /**
   * Do it. Where all that a query finds is meant, it must be as many as were counted.
   * @param {() => void} [progress]
   */
  async run(progress) {
    for (const one of this.#portions) {
      const before = this.done;
      const outcome = await changeMany(this.method, one, {
        ...(this.changes ? { changes: this.changes } : {}),
        ...(this.isWhole ? { expected: this.total } : {}),
        signal: this.#controller.signal,
        progress: (done) => {
          this.done = before + done;
          progress?.();
        },
      });
      this.done = before + outcome.totalImages;
      this.failed += outcome.failed;
      this.failures.push(...outcome.failures);
    }
  }

  /** What went wrong with which, in a sentence; empty when all went well. */
  get trouble() {
    if (!this.failed) return "";
    const named = this.failures.slice(0, 5).map((one) => one.image_id);
    const others = this.failed - named.length;
    const which = others > 0 ? `${named.join(", ")} and ${counted(others, "other")}` : named.join(", ");
    return `${counted(this.failed, "image")} could not be changed (${which}): ${this.failures[0]?.error ?? ""}`;
  }
}

/** @param {number[]} ids */
function portions(ids) {
  const made = [];
  for (let at = 0; at < ids.length; at += MOST_IDS) made.push({ ids: ids.slice(at, at + MOST_IDS) });
  return made;
}
