/** `<kt-actions>`: the buttons at the top right. */

import { on, tell } from "./bus.js";
import { el, icon, iconButton } from "./dom.js";
import { session } from "./session.js";

class Actions extends HTMLElement {
  connectedCallback() {
    const chooser = el("input", { type: "file", multiple: true, accept: "image/*", hidden: true });
    chooser.onchange = () => {
      tell("files", { files: [...(chooser.files ?? [])] });
      chooser.value = "";
    };
    const upload = el(
      "button",
      { type: "button", class: "button primary", onclick: () => chooser.click() },
      icon("up"),
      el("span", {}, "Upload"),
    );
    const help = iconButton("info", "Shortcuts and help", {
      onclick: () => /** @type {any} */ (document.querySelector("kt-help")).open(),
    });
    const show = () => {
      upload.hidden = !session.may("write");
    };
    this.append(chooser, upload, help);
    on("session", show);
    show();
  }
}

customElements.define("kt-actions", Actions);
