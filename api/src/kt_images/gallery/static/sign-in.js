/** `<kt-sign-in>`: the dialog that exchanges a key for a session, where the service wants a key. */

import { ServiceError, signIn } from "./api.js";
import { on, tell } from "./bus.js";
import { el } from "./dom.js";
import { session } from "./session.js";
import { tellOfSession } from "./tabs.js";

const NO_KEY = "This service asks for a key. Whoever runs it can make one for you.";
const TO_CHANGE = "You can look around without a key. To change something, sign in with one.";
const NO_COOKIES = "The key is right, but the browser keeps no cookies for this page. Allow them, and sign in again.";
const UNREACHABLE = "The service cannot be reached. Try again in a moment.";

class SignIn extends HTMLElement {
  #title = el("h2", { id: "sign-in-title" }, "Sign in");
  #about = el("p", { id: "sign-in-about" });
  #error = el("p", { id: "sign-in-error", class: "error", role: "alert" });
  #field = el("input", {
    id: "sign-in-key",
    class: "field",
    type: "password",
    name: "key",
    autocomplete: "current-password",
    placeholder: "kti_…",
    spellcheck: false,
    required: true,
    maxLength: 200,
    "aria-describedby": "sign-in-about sign-in-error",
  });
  #submit = el("button", { type: "submit", class: "button primary" }, "Sign in");
  #later = el("button", { type: "button", class: "button", onclick: () => this.#dialog.close() }, "Not now");
  #form = el(
    "form",
    { method: "dialog", noValidate: true },
    this.#title,
    this.#about,
    // By this, password managers tell keys of different services apart.
    el("input", { type: "text", name: "username", autocomplete: "username", value: "kt-images", hidden: true }),
    el("label", { for: "sign-in-key" }, "Key"),
    this.#field,
    this.#error,
    el("div", { class: "buttons" }, this.#later, this.#submit),
  );
  #dialog = el("dialog", { class: "ask sign-in", "aria-labelledby": "sign-in-title" }, this.#form);

  connectedCallback() {
    this.append(this.#dialog);
    this.#form.onsubmit = (event) => {
      event.preventDefault();
      this.#send();
    };
    this.#dialog.oncancel = (event) => {
      if (!session.may("read")) event.preventDefault();
    };
    // Browsers close it all the same when Escape is pressed twice.
    this.#dialog.onclose = () => {
      if (!session.may("read")) this.#dialog.showModal();
    };
    on("signin", ({ reason }) => {
      this.#open(reason);
      if (reason && session.state.signed_in) session.refresh(); // it has ended
    });
    on("session", () => {
      this.#show();
      if (session.state.signed_in) this.#dialog.close(); // in another tab
      if (!session.may("read")) this.#open();
    });
  }

  /** @param {string} [reason]  why the service refused a call */
  #open(reason) {
    if (this.#dialog.open) return;
    this.#show();
    // That a call needs a key is said for programs; that a session has ended, for people.
    this.#say(reason?.includes("session") ? reason : "");
    this.#field.value = "";
    this.#dialog.showModal();
    this.#field.focus();
  }

  #show() {
    const mayRead = session.may("read");
    this.#about.textContent = mayRead ? TO_CHANGE : NO_KEY;
    this.#later.hidden = !mayRead;
  }

  /** @param {string} text */
  #say(text) {
    this.#error.textContent = text;
    this.#field.ariaInvalid = String(Boolean(text));
  }

  async #send() {
    const key = this.#field.value.trim();
    if (!key) {
      this.#say("Paste the key here");
      this.#field.focus();
      return;
    }
    this.#busy(true);
    try {
      const state = await signIn(key);
      if (state.signed_in) this.#done(state);
      else this.#say(NO_COOKIES);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      this.#say(error.status ? error.message : UNREACHABLE);
      this.#field.select();
    } finally {
      this.#busy(false);
    }
  }

  /** @param {import("./api.js").Session} state */
  #done(state) {
    session.state = state;
    this.#field.value = "";
    this.#dialog.close();
    tell("session", {});
    tell("stale", {});
    tellOfSession();
    tell("say", { say: `Signed in as ${state.name}` });
  }

  /** @param {boolean} isBusy  the answer to a wrong key takes a second */
  #busy(isBusy) {
    if (isBusy) this.#say("");
    this.#submit.disabled = isBusy;
    this.#submit.textContent = isBusy ? "Signing in…" : "Sign in";
  }
}

customElements.define("kt-sign-in", SignIn);
