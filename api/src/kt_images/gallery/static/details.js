/** What is known of an image, beside it: its name and tags, which can be changed, and its files. */

import { address } from "./address.js";
import { base, change, ServiceError } from "./api.js";
import { tell } from "./bus.js";
import { el, icon, iconButton } from "./dom.js";
import { EVERYTHING } from "./query.js";
import { session } from "./session.js";
import "./tag-input.js";
import { TagEdit, unsaved } from "./tag-edit.js";
import { copy, size } from "./words.js";

/** @typedef {import("./api.js").Image} Image */
/** @typedef {import("./api.js").Attachment} Attachment */

/** @typedef {HTMLElement & {tags: string[], commit: () => boolean}} TagInput */

/** Names that were typed and are not saved. @type {Map<number, string>} */
const names = new Map();

export class Details {
  element = el("aside", { class: "details", "aria-label": "Details" });
  #name = el("section", { class: "name" });
  #tags = el("section");
  #trouble = el("p", { class: "wrong", role: "alert" });
  #files = el("section");
  /** @type {Image | null} */
  #image = null;

  constructor() {
    this.element.append(this.#name, this.#tags, this.#files);
  }

  /** @param {Image | null} image */
  show(image) {
    const isSame = this.#image?.image_id === image?.image_id;
    const typed = /** @type {TagInput | null} */ (this.#tags.querySelector("kt-tags"));
    if (!isSame) {
      typed?.commit(); // what is typed is meant
      this.#files.replaceChildren();
    }
    this.#image = image;
    this.element.hidden = !image;
    if (!image) return;
    if (!isSame) this.#showTags();
    else if (typed && !unsaved.has(image.image_id)) typed.tags = image.tags;
    if (!isSame && names.has(image.image_id)) this.#editName();
    else if (!isSame || !this.#name.querySelector("form")) this.#showName();
  }

  /** @param {Attachment[]} attachments  the one that is shown comes first */
  files(attachments) {
    const image = this.#image;
    if (!image) return;
    const link = new URL(address({ query: EVERYTHING, before: null, image: image.image_id }), location.href).href;
    const [first, ...others] = attachments;
    this.#files.replaceChildren(
      el("h3", {}, first ? "File" : "Image"),
      first
        ? facts(first, first.filename === image.filename ? "" : first.filename)
        : el("p", { class: "quiet" }, "No file is stored for this image."),
      el("div", { class: "choices" }, first && download(first, "Download original"), copying(link, "Copy link")),
      ...(others.length ? [el("h3", {}, `Other files (${others.length})`)] : []),
      ...others.flatMap((one) => [
        facts(one, one.filename),
        el("div", { class: "choices" }, download(one, `Download ${one.filename}`)),
      ]),
    );
  }

  /** Bring the keyboard to where something is typed. @param {"name" | "tags"} field */
  edit(field) {
    if (!this.#image || !session.may("write")) return;
    if (field === "tags") return this.#tags.querySelector("input")?.focus();
    const input = this.#editName();
    input.focus();
    const dot = input.value.lastIndexOf(".");
    input.setSelectionRange(0, dot > 0 ? dot : input.value.length);
  }

  #showName() {
    const image = /** @type {Image} */ (this.#image);
    const rename = session.may("write") && iconButton("edit", "Rename", { onclick: () => this.edit("name") });
    this.#name.replaceChildren(el("h2", { dir: "auto" }, image.filename), rename || "");
  }

  #showTags() {
    const image = /** @type {Image} */ (this.#image);
    const input = /** @type {TagInput} */ (el(/** @type {any} */ ("kt-tags"), { label: "Tags", links: "" }));
    const edit = unsaved.get(image.image_id) ?? new TagEdit(image, () => this.#showTrouble());
    input.tags = edit.apply(image.tags);
    for (const does of /** @type {const} */ (["add", "remove"]))
      input.addEventListener(does, (event) => edit.note(does, /** @type {CustomEvent} */ (event).detail));
    this.#tags.replaceChildren(input, this.#trouble);
    this.#showTrouble();
  }

  #showTrouble() {
    const edit = unsaved.get(this.#image?.image_id ?? 0);
    const again = el("button", { type: "button", class: "button", onclick: () => edit?.save() }, "Try again");
    this.#trouble.replaceChildren(...(edit?.trouble ? [`Not saved. ${edit.trouble} `, again] : []));
  }

  /** A form for the name. What is refused stays as it was typed, with the service's words. */
  #editName() {
    const { image_id: id, filename } = /** @type {Image} */ (this.#image);
    const input = el("input", {
      class: "field",
      id: "image-name",
      required: true,
      autocomplete: "off",
      spellcheck: false,
      value: names.get(id) ?? filename,
      oninput: () => names.set(id, input.value),
    });
    const trouble = el("p", { class: "wrong", role: "alert" });
    const save = el("button", { class: "button primary" }, "Save");
    const close = () => {
      names.delete(id);
      if (this.#image?.image_id !== id) return;
      this.#showName();
      this.#name.querySelector("button")?.focus();
    };
    const submit = async () => {
      save.disabled = true;
      try {
        const image = await change(id, { filename: input.value });
        if (this.#image?.image_id === id) this.#image = image;
        close();
        tell("changed", { images: [image] });
        tell("say", { say: "Saved" });
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
        trouble.textContent = error.message;
        save.textContent = "Try again";
        save.disabled = false;
      }
    };
    const form = el(
      "form",
      {
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          submit();
        },
        onkeydown: (/** @type {KeyboardEvent} */ event) => {
          if (event.key !== "Escape") return;
          event.preventDefault(); // the viewer stays
          close();
        },
      },
      el("label", { htmlFor: "image-name" }, "Name"),
      input,
      trouble,
      el(
        "div",
        { class: "choices" },
        save,
        el("button", { type: "button", class: "button", onclick: close }, "Cancel"),
      ),
    );
    this.#name.replaceChildren(form);
    return input;
  }
}

/**
 * @param {Attachment} file
 * @param {string} [name]
 */
function facts(file, name) {
  const stored = new Date(file.created_at);
  const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const millions = (file.width * file.height) / 1e6;
  /** @type {[string, ...(Node | string)[]][]} */
  const rows = [
    ["Size", el("span", { title: `${file.size.toLocaleString()} bytes` }, size(file.size))],
    ["Dimensions", `${file.width} × ${file.height}`, millions < 0.1 ? "" : ` (${millions.toFixed(1)} MP)`],
    ["Type", file.content_type.replace("image/", "").toUpperCase()],
    ["Stored", el("time", { dateTime: file.created_at }, when.format(stored))],
    [
      "SHA-256",
      el("code", { title: file.sha256 }, `${file.sha256.slice(0, 16)}…`),
      copying(file.sha256, "Copy the SHA-256", true),
    ],
  ];
  const named = name ? [el("dt", {}, "Name"), el("dd", { dir: "auto" }, name)] : [];
  return el("dl", {}, ...named, ...rows.flatMap(([term, ...what]) => [el("dt", {}, term), el("dd", {}, ...what)]));
}

/**
 * @param {Attachment} file
 * @param {string} label
 */
function download(file, label) {
  return el(
    "a",
    { class: "button", href: new URL(file.url, base).href, download: file.filename },
    icon("down"),
    el("span", {}, label),
  );
}

/**
 * A button that copies a text.
 * @param {string} text
 * @param {string} label
 * @param {boolean} [isSmall]
 */
function copying(text, label, isSmall = false) {
  const button = isSmall
    ? iconButton("copy", label)
    : el("button", { type: "button", class: "button" }, icon("link"), label);
  button.onclick = async () => {
    const isDone = await copy(text, /** @type {HTMLElement} */ (button.parentElement));
    tell("say", { say: isDone ? "Copied" : "The browser does not allow copying" });
    if (!isDone) return;
    const shown = button.firstElementChild;
    shown?.replaceWith(icon("check"));
    setTimeout(() => button.firstElementChild?.replaceWith(/** @type {Element} */ (shown)), 1500);
  };
  return button;
}
