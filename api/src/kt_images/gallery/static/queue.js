/**
 * Files on their way to the service: some at a time, the others in the order in which they came. It knows no page.
 *
 * @typedef {"waiting" | "sending" | "stored" | "known" | "failed" | "stopped"} State  `known`: was stored before
 * @typedef {object} Item
 * @property {File} file
 * @property {string[]} tags
 * @property {State} state
 * @property {number} sent  bytes
 * @property {string} error  why it failed
 * @property {number} breaks  how often the connection broke
 * @property {AbortController | null} controller
 */

import * as api from "./api.js";

const AT_ONCE = 3;
// Of one file, while the service answers other calls: then it is not the service that is away.
const MOST_BREAKS = 3;
// In milliseconds: the rate is that of the last so many.
const WINDOW = 10_000;
const UNREADABLE = "The file cannot be read any more. It may have been moved or changed";
const REFUSED = "The connection breaks whenever this file is sent";

export class Queue extends EventTarget {
  /** @type {Item[]} */
  items = [];
  /** @type {Record<State, number>} */
  count = { waiting: 0, sending: 0, stored: 0, known: 0, failed: 0, stopped: 0 };
  /**
   * Why nothing is sent now; `byItself` if it goes on without anybody doing something.
   * @type {{why: string, byItself: boolean, needsKey: boolean} | null}
   */
  halt = null;
  size = 0;
  sent = 0;
  /** Where the first one is that may be waiting. */
  #next = 0;
  #timer = 0;
  #tries = 0;
  /** @type {{at: number, sent: number}[]} */
  #marks = [];

  /** Whether something is under way. */
  get isBusy() {
    return this.count.waiting + this.count.sending > 0;
  }

  /** How many have come to an end. */
  get done() {
    return this.items.length - this.count.waiting - this.count.sending;
  }

  /** Bytes a second, lately. */
  get rate() {
    const [first, last] = [this.#marks[0], this.#marks.at(-1)];
    if (!first || !last || last.at - first.at < 500) return 0;
    return (1000 * (last.sent - first.sent)) / (last.at - first.at);
  }

  /**
   * @param {File[]} files
   * @param {string[]} tags
   */
  add(files, tags) {
    for (const file of files) {
      this.items.push({ file, tags, state: "waiting", sent: 0, error: "", breaks: 0, controller: null });
      this.size += file.size;
    }
    this.count.waiting += files.length;
    this.#pump();
  }

  /**
   * Try failed ones again.
   * @param {Item[]} items
   */
  retry(items) {
    for (const one of items) {
      if (one.state !== "failed") continue;
      one.error = "";
      one.breaks = 0;
      this.#back(one);
    }
    this.#pump();
  }

  /** Go on after a halt. */
  resume() {
    clearTimeout(this.#timer);
    this.halt = null;
    this.#pump();
  }

  /** Give up what is not stored yet. */
  stop() {
    clearTimeout(this.#timer);
    this.halt = null;
    for (const one of this.items) {
      if (one.state !== "waiting" && one.state !== "sending") continue;
      const { controller } = one;
      this.#progress(one, 0);
      this.size -= one.file.size;
      this.#become(one, "stopped");
      controller?.abort();
    }
    this.#told();
  }

  /** Forget everything. */
  clear() {
    this.items = [];
    this.count = { waiting: 0, sending: 0, stored: 0, known: 0, failed: 0, stopped: 0 };
    this.size = this.sent = this.#next = 0;
    this.#marks = [];
  }

  #pump() {
    while (!this.halt && this.count.sending < AT_ONCE && this.count.waiting) {
      while (this.items[this.#next]?.state !== "waiting") this.#next += 1;
      this.#send(/** @type {Item} */ (this.items[this.#next]));
    }
    this.#told();
  }

  /** @param {Item} item */
  async #send(item) {
    item.controller = new AbortController();
    this.#become(item, "sending");
    try {
      const progress = (/** @type {number} */ sent) => this.#progress(item, sent);
      const { isNew } = await api.upload(item.file, item.tags, { progress, signal: item.controller.signal });
      this.#tries = 0;
      this.#progress(item, item.file.size);
      this.#become(item, isNew ? "stored" : "known");
    } catch (error) {
      if (item.state === "sending") await this.#failed(item, /** @type {Error} */ (error));
    }
    item.controller = null;
    this.#pump();
  }

  /**
   * @param {Item} item
   * @param {Error} error
   */
  async #failed(item, error) {
    const { status, passes, wait } = /** @type {api.ServiceError} */ (error);
    if (status === undefined) throw error;
    let why = error.message;
    let isOver = !passes && ![401, 507].includes(status);
    if (status === 0) {
      item.breaks += 1;
      if (!(await isReadable(item.file))) [isOver, why] = [true, UNREADABLE];
      else if (item.breaks >= MOST_BREAKS && (await isThere())) [isOver, why] = [true, REFUSED];
    }
    if (item.state !== "sending") return; // stopped meanwhile
    if (isOver) {
      item.error = why;
      this.#progress(item, 0);
      this.size -= item.file.size; // is not sent any more
      this.#become(item, "failed");
      return;
    }
    this.#back(item, false);
    if (this.halt) return;
    this.halt = { why, byItself: passes, needsKey: status === 401 };
    this.#marks = [];
    this.#tries += 1;
    if (passes) this.#timer = setTimeout(() => this.resume(), 1000 * (wait || Math.min(2 ** this.#tries / 2, 15)));
  }

  /**
   * Put an item back among those that wait.
   * @param {Item} item
   * @param {boolean} [isCounted]  whether its bytes are to be counted again
   */
  #back(item, isCounted = true) {
    if (isCounted) this.size += item.file.size;
    this.#progress(item, 0);
    this.#become(item, "waiting");
    this.#next = Math.min(this.#next, this.items.indexOf(item));
  }

  /**
   * @param {Item} item
   * @param {number} sent
   */
  #progress(item, sent) {
    this.sent += sent - item.sent;
    item.sent = sent;
    const at = Date.now();
    if (at - (this.#marks.at(-1)?.at ?? 0) > 100) this.#marks.push({ at, sent: this.sent });
    while (at - (this.#marks[0]?.at ?? at) > WINDOW) this.#marks.shift();
    this.#told();
  }

  /**
   * @param {Item} item
   * @param {State} state
   */
  #become(item, state) {
    this.count[item.state] -= 1;
    this.count[state] += 1;
    item.state = state;
  }

  #told() {
    this.dispatchEvent(new Event("change"));
  }
}

/** @param {File} file */
function isReadable(file) {
  return file
    .slice(0, 1)
    .arrayBuffer()
    .then(
      () => true,
      () => false,
    );
}

function isThere() {
  return api.session().then(
    () => true,
    () => false,
  );
}
