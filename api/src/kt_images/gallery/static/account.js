/** `<kt-account>`: signs in where a key would allow more, and out again. An open service has no use for it. */

import { ServiceError, signOut } from "./api.js";
import { on, tell } from "./bus.js";
import { el, icon, iconButton } from "./dom.js";
import { session } from "./session.js";
import { tellOfSession } from "./tabs.js";

class Account extends HTMLElement {
  connectedCallback() {
    on("session", () => this.#show());
    this.#show();
  }

  #show() {
    const hadFocus = this.contains(document.activeElement);
    this.#draw();
    if (hadFocus) this.querySelector("button")?.focus();
  }

  #draw() {
    const { access, signed_in, name } = session.state;
    if (signed_in) {
      this.replaceChildren(iconButton("out", `Sign out (${name})`, { onclick: () => this.#leave() }));
    } else if (access === "open") {
      this.replaceChildren();
    } else {
      const enter = () => tell("signin", {});
      this.replaceChildren(
        el("button", { type: "button", class: "button", onclick: enter }, icon("key"), el("span", {}, "Sign in")),
      );
    }
  }

  async #leave() {
    try {
      await signOut();
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      tell("say", { say: error.message });
      return;
    }
    tellOfSession();
    // Nothing that the key has shown stays in the page.
    location.reload();
  }
}

customElements.define("kt-account", Account);
