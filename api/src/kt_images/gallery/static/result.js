/**
 * What a query finds, newest first, of which only a part is held: a run of images without a gap, around the place that
 * is being looked at. It grows at both ends as one scrolls, and loses what is far away, so memory does not grow.
 *
 * An index counts from the newest image, 0. What others store or delete meanwhile shows when an end is reached.
 */

import { count, images, ServiceError } from "./api.js";

/** @typedef {import("./api.js").Image} Image */

// Asked for at once; several screens.
const PAGE = 200;
// Held at most, on both sides of what is looked at.
const MOST = 4000;
// In milliseconds: what was refused is not asked for again before, however much one scrolls.
const REFUSED_MS = 3000;
// Of an id, at a jump.
const MOST_GUESSES = 5;

export class Result extends EventTarget {
  /** @type {Image[]} */
  #run = [];
  /** The index of the run's first image. */
  #start = 0;
  #controller = new AbortController();
  /** @type {Promise<void> | null} */
  #loading = null;
  #isInTrouble = false;
  #restsUntil = 0;
  /**
   * Ids by their indexes, far apart, as far as they are known.
   * @type {Map<number, number>}
   */
  #known = new Map();

  /**
   * Tells `change` when images have come or gone, `shift` (with `by`) when indexes were put right, `trouble` (with
   * `error`, null when it is over) while the service cannot be asked.
   * @param {import("./query.js").Query} query
   */
  constructor(query) {
    super();
    this.query = query;
    /** How many are found. */
    this.total = 0;
    /** Whether the first answer has come. */
    this.isKnown = false;
  }

  /**
   * Begin: with the newest, or with the first that is older than `before`. Gives that one's index.
   * @param {number | null} before
   */
  async open(before = null) {
    const signal = this.#controller.signal;
    await this.#insist(async () => {
      const [total, newer] = await Promise.all([
        count(this.query, {}, signal),
        before ? count(this.query, { after: before - 1 }, signal) : 0,
      ]);
      this.total = total;
      this.#start = newer;
    });
    if (before && this.#start >= this.total) {
      this.#start = 0; // nothing is older: from the start
      before = null;
    }
    await this.#fill(before ? { before } : {});
    this.isKnown = true;
    this.#told();
    return this.#start;
  }

  /** Ask for nothing more. */
  close() {
    this.#controller.abort();
  }

  /**
   * Return what is at an index, undefined while it is not here.
   * @param {number} index
   */
  at(index) {
    return this.#run[index - this.#start];
  }

  /**
   * Return the index of an image, -1 if it is not held.
   * @param {number} id
   */
  indexOf(id) {
    let low = 0;
    let high = this.#run.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (idAt(this.#run, middle) > id) low = middle + 1;
      else high = middle;
    }
    return idAt(this.#run, low) === id ? this.#start + low : -1;
  }

  /**
   * See that what is between two indexes, and around it, is here or on its way.
   * @param {number} first
   * @param {number} last
   */
  want(first, last) {
    if (this.#loading || !this.isKnown || !this.total || Date.now() < this.#restsUntil) return;
    const end = this.#start + this.#run.length;
    const margin = PAGE / 2;
    if (first > end + PAGE || last < this.#start - PAGE || !this.#run.length) this.#load(() => this.#jump(first));
    else if (last + margin > end && end < this.total) this.#load(() => this.#extendDown(first));
    else if (first - margin < this.#start && this.#start > 0) this.#load(() => this.#extendUp(last));
  }

  /**
   * Return the image before or after another one, null at the ends.
   * @param {number} id
   * @param {1 | -1} step  1 to older ones
   * @returns {Promise<Image | null>}
   */
  async neighbour(id, step) {
    const index = this.indexOf(id);
    const held = index < 0 ? undefined : this.at(index + step);
    if (held) return held;
    const span = step > 0 ? { before: id } : { after: id };
    for await (const one of images(this.query, { ...span, order: step > 0 ? "newest" : "oldest", limit: 1 }))
      return one;
    return null;
  }

  /**
   * Take images as they are now: their tags or names were changed. They stay until the next search, found or not.
   * @param {Image[]} changed
   */
  update(changed) {
    for (const one of changed) {
      const index = this.indexOf(one.image_id);
      if (index >= 0) this.#run[index - this.#start] = one;
    }
    this.#told();
  }

  /**
   * Take images away.
   * @param {number[]} ids
   */
  remove(ids) {
    const gone = new Set(ids);
    const before = this.#run.length;
    this.#run = this.#run.filter((one) => !gone.has(one.image_id));
    this.total = Math.max(this.#run.length, this.total - Math.max(before - this.#run.length, 0));
    this.#told();
  }

  #told() {
    this.dispatchEvent(new Event("change"));
  }

  /** @param {() => Promise<void>} step */
  #load(step) {
    this.#loading = this.#insist(step)
      .catch((error) => {
        if (error.name !== "AbortError") throw error;
      })
      .finally(() => {
        this.#loading = null;
        if (!this.#controller.signal.aborted) this.#told();
      });
  }

  /**
   * Try until it goes well, and tell while it does not. What is refused for good is told and left.
   * @param {() => Promise<void>} step
   */
  async #insist(step) {
    for (let tries = 0; ; tries += 1) {
      try {
        await step();
        if (this.#isInTrouble) this.#trouble(null);
        return;
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
        this.#trouble(error);
        this.#restsUntil = error.passes ? 0 : Date.now() + REFUSED_MS;
        if (!error.passes) throw new DOMException(error.message, "AbortError");
        await pause(error.wait || Math.min(2 ** tries / 2, 10), this.#controller.signal);
      }
    }
  }

  /** @param {ServiceError | null} error */
  #trouble(error) {
    this.#isInTrouble = error !== null;
    this.dispatchEvent(Object.assign(new Event("trouble"), { error }));
  }

  /**
   * Make a new run of what a span has; goes on after its last image where the list breaks off.
   * @param {import("./api.js").Span} span
   */
  async #fill(span) {
    const start = this.#start;
    this.#run = [];
    await this.#insist(async () => {
      const last = this.#run.at(-1);
      await this.#append(last ? { before: last.image_id } : span);
    });
    this.#start = start;
  }

  /** @param {import("./api.js").Span} span */
  async #append(span) {
    let came = 0;
    for await (const one of images(this.query, { order: "newest", limit: PAGE, ...span }, this.#controller.signal)) {
      this.#run.push(one);
      came += 1;
    }
    if (came < PAGE) this.total = this.#start + this.#run.length; // the last one is here
  }

  /**
   * Give all images other indexes; whoever shows some has to show them there.
   * @param {number} by
   */
  #shift(by) {
    if (!by) return;
    this.#start += by;
    this.dispatchEvent(Object.assign(new Event("shift"), { by }));
  }

  /** @param {number} first  what is looked at */
  async #extendDown(first) {
    await this.#append({ before: idAt(this.#run, this.#run.length - 1) });
    const excess = Math.min(this.#run.length - MOST, first - PAGE - this.#start);
    if (excess > 0) {
      this.#known.set(this.#start, idAt(this.#run, 0));
      this.#run.splice(0, excess);
      this.#start += excess;
    }
  }

  /** @param {number} last  what is looked at */
  async #extendUp(last) {
    const after = idAt(this.#run, 0);
    /** @type {Image[]} */
    const found = [];
    for await (const one of images(this.query, { after, order: "oldest", limit: PAGE }, this.#controller.signal))
      found.push(one);
    this.#run.unshift(...found.reverse());
    this.#start -= found.length;
    // The newest is here, or there is more than was counted: what came or went meanwhile shows now.
    const surplus = found.length < PAGE ? -this.#start : Math.max(0, 1 - this.#start);
    this.total += surplus;
    this.#shift(surplus);
    const kept = Math.max(MOST, last + PAGE - this.#start);
    if (this.#run.length > kept) this.#run.length = kept;
  }

  /**
   * Go to an index far away, whose image nobody knows: guess its id, count how many are newer, and guess better.
   * @param {number} index
   */
  async #jump(index) {
    const wanted = Math.max(0, index - PAGE / 2);
    if (wanted === 0) {
      this.#start = 0;
      await this.#fill({});
      return;
    }
    let id = 0;
    let found = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < MOST_GUESSES && Math.abs(found - wanted) > PAGE / 4; tries += 1) {
      id = await this.#guess(wanted);
      found = await count(this.query, { after: id }, this.#controller.signal);
      this.#known.set(found, id);
    }
    this.#start = found;
    await this.#fill({ before: id + 1 });
    // It could not be found so exactly: then what was found is shown.
    const off = index < found ? found - index : Math.min(0, found + this.#run.length - 1 - index);
    if (off) this.dispatchEvent(Object.assign(new Event("shift"), { by: off }));
  }

  /**
   * Guess the id of the image at an index: ids are spread evenly between those that are known.
   * @param {number} index
   */
  async #guess(index) {
    if (!this.#known.has(0)) this.#known.set(0, await this.#end("newest"));
    if (!this.#known.has(this.total - 1)) this.#known.set(this.total - 1, await this.#end("oldest"));
    const known = [...this.#known];
    known.sort(([one], [other]) => one - other);
    const after = Math.max(
      1,
      known.findIndex(([at]) => at >= index),
    );
    const [low, newest] = known[after - 1] ?? [0, 1];
    const [high, oldest] = known[after] ?? [low + 1, newest];
    return Math.max(1, Math.round(newest - ((newest - oldest) * (index - low)) / Math.max(1, high - low)));
  }

  /** @param {"newest" | "oldest"} order */
  async #end(order) {
    for await (const one of images(this.query, { order, limit: 1 }, this.#controller.signal)) return one.image_id;
    return 1;
  }
}

/**
 * @param {Image[]} run
 * @param {number} at
 */
function idAt(run, at) {
  return run[at]?.image_id ?? Number.NaN;
}

/**
 * @param {number} seconds
 * @param {AbortSignal} signal
 */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("Stopped", "AbortError"));
    });
  });
}
