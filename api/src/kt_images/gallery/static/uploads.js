/** `<kt-uploads>`: files on their way in: what they are to be tagged with, how far they are, and what went wrong. */

import { on, tell } from "./bus.js";
import { el, icon, iconButton } from "./dom.js";
import { listen } from "./dropping.js";
import { Queue } from "./queue.js";
import { session } from "./session.js";
import "./tag-input.js";
import { counted, duration, size } from "./words.js";

/** @typedef {import("./queue.js").Item} Item */

// In milliseconds.
const REDRAW = 200;
const REFRESH = 2000;
// Rows, of each kind.
const MOST_FAILED = 50;
const MOST_DONE = 4;

const WORDS = {
  waiting: "Waiting",
  sending: "",
  stored: "Stored",
  known: "Already stored",
  failed: "",
  stopped: "Stopped",
};

class Uploads extends HTMLElement {
  #queue = new Queue();
  /** What waits for the start. @type {File[]} */
  #chosen = [];
  #target = el("div", { class: "drop", hidden: true, popover: "manual" }, icon("up"), el("p", {}, "Drop to upload"));
  #tags = /** @type {HTMLElement & {tags: string[], commit: () => boolean}} */ (
    el(/** @type {any} */ ("kt-tags"), { label: "Tags for all of them" })
  );
  #question = el("h2", { id: "upload-title" });
  #about = el("p", { class: "quiet" });
  #start = el("button", { class: "button primary" }, icon("up"), "Start");
  #dialog = el("dialog", { class: "ask", "aria-labelledby": "upload-title" });
  #title = el("h2", { id: "uploads-title" });
  #figures = el("p", { class: "quiet" });
  #bar = el("progress", { "aria-labelledby": "uploads-title" });
  #halt = el("div", { class: "halt" });
  #rows = el("ul");
  #choices = el("div", { class: "choices" });
  #fold = iconButton("minus", "Make small", { onclick: () => this.#small(true) });
  #shut = iconButton("close", "Close", { onclick: () => this.#close() });
  #pill = el("button", { type: "button", class: "pill", onclick: () => this.#small(false) });
  #panel = el(
    "section",
    { class: "uploads", "aria-labelledby": "uploads-title" },
    el("header", {}, this.#title, this.#fold, this.#shut),
    this.#bar,
    this.#figures,
    this.#halt,
    this.#rows,
    this.#choices,
  );
  /** @type {Map<Item, {row: HTMLElement, state: string, bar: HTMLProgressElement}>} */
  #shown = new Map();
  #timer = 0;
  #refreshed = 0;
  #refreshing = 0;
  #seen = 0;
  #quarter = 0;
  #wasBusy = false;

  connectedCallback() {
    this.#dialog.append(
      el(
        "form",
        {
          onsubmit: (/** @type {Event} */ event) => {
            event.preventDefault();
            this.#begin();
          },
        },
        this.#question,
        this.#about,
        this.#tags,
        el(
          "div",
          { class: "choices" },
          el("button", { type: "button", class: "button", onclick: () => this.#dialog.close() }, "Cancel"),
          this.#start,
        ),
      ),
    );
    this.#dialog.addEventListener("close", () => {
      this.#chosen = [];
    });
    this.append(this.#dialog, this.#panel, this.#pill, this.#target);
    this.#panel.hidden = this.#pill.hidden = true;
    on("files", ({ files }) => this.#choose(files));
    listen({
      over: (isOver) => this.#over(isOver && session.may("write")),
      got: (files) => tell("files", { files }),
    });
    this.#queue.addEventListener("change", () => this.#changed());
    on("session", () => {
      if (this.#queue.halt?.needsKey && session.may("write")) this.#queue.resume();
    });
    addEventListener("beforeunload", (event) => {
      if (this.#queue.isBusy || this.#chosen.length) event.preventDefault();
    });
  }

  /** @param {boolean} isOver */
  #over(isOver) {
    if (this.#target.hidden !== isOver) return;
    this.#target.hidden = !isOver;
    this.#target.togglePopover(isOver);
  }

  /** @param {File[]} files */
  #choose(files) {
    if (!session.may("write")) {
      if (files.length) tell("say", { say: "This key may not upload" });
      return;
    }
    this.#chosen.push(...files);
    if (!this.#chosen.length) return;
    const bytes = this.#chosen.reduce((sum, one) => sum + one.size, 0);
    this.#question.textContent = `Upload ${counted(this.#chosen.length, "file")}`;
    const [first] = this.#chosen;
    this.#about.textContent = this.#chosen.length === 1 ? `${first?.name}, ${size(bytes)}` : `${size(bytes)} in all`;
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#start.focus();
  }

  #begin() {
    if (!this.#tags.commit()) return;
    const files = this.#chosen;
    const { tags } = this.#tags;
    this.#tags.tags = [];
    this.#dialog.close();
    if (!this.#queue.isBusy && !this.#queue.count.failed) this.#forget();
    this.#quarter = 0;
    this.#small(false);
    this.#queue.add(files, tags);
    this.#wasBusy = true;
    this.#draw();
    tell("say", { say: `Uploading ${counted(this.#queue.items.length, "file")}` });
  }

  #forget() {
    this.#queue.clear();
    this.#seen = this.#quarter = 0;
    this.#shown.clear();
    this.#rows.replaceChildren();
  }

  #close() {
    this.#forget();
    this.#panel.hidden = this.#pill.hidden = true;
  }

  /** @param {boolean} isSmall */
  #small(isSmall) {
    const hadFocus = this.contains(document.activeElement);
    this.#panel.hidden = isSmall;
    this.#pill.hidden = !isSmall;
    if (hadFocus) (isSmall ? this.#pill : this.#fold).focus();
  }

  #changed() {
    const stored = this.#queue.count.stored + this.#queue.count.known;
    if (stored > this.#seen) {
      this.#seen = stored;
      this.#refreshing ||= setTimeout(
        () => {
          this.#refreshing = 0;
          this.#refreshed = Date.now();
          tell("stale", {});
        },
        Math.max(this.#queue.isBusy ? 300 : 0, this.#refreshed + REFRESH - Date.now()),
      );
    }
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      this.#draw();
    }, REDRAW);
  }

  #draw() {
    const { count, items, done, halt, isBusy } = this.#queue;
    if (!items.length) return;
    const head = isBusy ? `Uploading: ${done.toLocaleString()} of ${counted(items.length, "file")}` : this.#outcome();
    this.#title.textContent = head;
    this.#bar.hidden = !isBusy;
    this.#bar.max = this.#queue.size || 1;
    this.#bar.value = this.#queue.sent;
    this.#figures.textContent = isBusy ? this.#pace() : this.#more();
    this.#figures.hidden = !this.#figures.textContent;
    const part = Math.floor((100 * this.#queue.sent) / (this.#queue.size || 1));
    this.#pill.replaceChildren(
      icon(halt ? "retry" : count.failed ? "info" : isBusy ? "up" : "check"),
      isBusy ? `${part} %` : "Done",
      count.failed ? `, ${count.failed.toLocaleString()} failed` : "",
      el("span", { class: "unseen" }, ` ${head}. Show the uploads`),
    );
    this.#shut.hidden = isBusy;
    this.#drawHalt();
    this.#drawRows();
    this.#drawChoices();
    this.#announce(part);
  }

  #outcome() {
    const { stored, known, failed, stopped } = this.#queue.count;
    const parts = [
      stored || !known ? `${stored.toLocaleString()} stored` : "",
      known ? `${known.toLocaleString()} already there` : "",
    ];
    if (failed) parts.push(`${failed.toLocaleString()} failed`);
    if (stopped) parts.push(`${stopped.toLocaleString()} stopped`);
    return parts.filter(Boolean).join(", ");
  }

  #more() {
    const known = this.#queue.items.filter((one) => one.state === "known");
    if (!known.length) return "";
    return known.some((one) => one.tags.length)
      ? "Those that were already there got the tags."
      : "Nothing is stored twice.";
  }

  #pace() {
    const { sent, rate, halt } = this.#queue;
    const amount = `${size(sent)} of ${size(this.#queue.size)}`;
    if (halt || rate < 1) return amount;
    return `${amount} · ${size(rate)}/s · ${duration((this.#queue.size - sent) / rate)} left`;
  }

  #drawHalt() {
    const { halt } = this.#queue;
    const words = halt?.needsKey ? "Sign in, and it goes on" : (halt?.why ?? "");
    this.#halt.hidden = !halt;
    if (this.#halt.dataset.words === words) return;
    this.#halt.dataset.words = words;
    const resume = () => this.#queue.resume();
    this.#halt.replaceChildren(
      el("p", {}, icon("retry"), el("span", {}, words, halt?.byItself ? ". It goes on by itself." : "")),
      el("button", { type: "button", class: "button", onclick: resume }, halt?.byItself ? "Try now" : "Go on"),
    );
    if (halt) tell("say", { say: `Uploading waits. ${words}` });
    if (halt?.needsKey) tell("signin", {});
  }

  /** Show those that failed, those that are on their way, and the last that are stored: never thousands. */
  #drawRows() {
    const { items } = this.#queue;
    const failed = items.filter((one) => one.state === "failed");
    const sending = items.filter((one) => one.state === "sending");
    const last = [];
    for (let at = items.length - 1; at >= 0 && last.length < MOST_DONE; at -= 1) {
      const one = items[at];
      if (one?.state === "stored" || one?.state === "known") last.push(one);
    }
    const wanted = [...failed.slice(0, MOST_FAILED), ...sending, ...last];
    for (const [item, { row }] of this.#shown) {
      if (wanted.includes(item)) continue;
      row.remove();
      this.#shown.delete(item);
    }
    for (const [at, item] of wanted.entries()) {
      const row = this.#row(item);
      if (this.#rows.children[at] !== row) this.#rows.insertBefore(row, this.#rows.children[at] ?? null);
    }
  }

  /** @param {Item} item */
  #row(item) {
    let shown = this.#shown.get(item);
    if (!shown) {
      shown = { row: el("li"), state: "", bar: el("progress", { max: 1, "aria-label": item.file.name }) };
      this.#shown.set(item, shown);
    }
    shown.bar.value = item.sent / (item.file.size || 1);
    if (shown.state === item.state) return shown.row;
    shown.state = item.state;
    const isTagged = item.state === "known" && item.tags.length > 0;
    const again = () => {
      this.#queue.retry([item]);
      this.#fold.focus();
    };
    shown.row.className = item.state;
    shown.row.replaceChildren(
      el("bdi", { title: item.file.name }, item.file.name),
      item.state === "sending"
        ? shown.bar
        : el("p", {}, item.error || `${WORDS[item.state]}${isTagged ? "; tags added" : ""}`),
      item.state === "failed"
        ? el(
            "button",
            { type: "button", class: "button", onclick: again, "aria-label": `Try again: ${item.file.name}` },
            "Try again",
          )
        : "",
    );
    return shown.row;
  }

  #drawChoices() {
    const { count, isBusy } = this.#queue;
    const state = `${isBusy} ${count.failed}`;
    if (this.#choices.dataset.state === state) return;
    this.#choices.dataset.state = state;
    const button = (/** @type {string} */ label, /** @type {() => void} */ onclick) =>
      el("button", { type: "button", class: "button", onclick }, label);
    const all = () => this.#queue.retry(this.#queue.items);
    this.#choices.replaceChildren(
      ...(count.failed > 1 ? [button(`Try all ${count.failed.toLocaleString()} again`, all)] : []),
      ...(isBusy ? [button("Stop", () => this.#queue.stop())] : []),
    );
  }

  /** @param {number} part */
  #announce(part) {
    const { isBusy } = this.#queue;
    if (this.#wasBusy && !isBusy) tell("say", { say: `Uploaded: ${this.#outcome()}` });
    else if (isBusy && Math.floor(part / 25) > this.#quarter && part < 100) {
      this.#quarter = Math.floor(part / 25);
      tell("say", { say: `${this.#quarter * 25} % uploaded` });
    }
    this.#wasBusy = isBusy;
  }
}

customElements.define("kt-uploads", Uploads);
