/** Who is signed in, and what may be done: what may not is not offered. */

import * as api from "./api.js";
import { tell } from "./bus.js";

/** @typedef {"read" | "write" | "delete" | "admin"} Scope */

class Session {
  /** @type {import("./api.js").Session} */
  state = { access: "open", signed_in: false, name: null, scopes: ["read", "write", "delete", "admin"] };

  /** @param {Scope} scope */
  may(scope) {
    return this.state.scopes.includes(scope);
  }

  /** Ask the service. */
  async refresh() {
    try {
      this.state = await api.session();
    } catch (error) {
      // What cannot be asked now is told where it matters; what is offered stays.
      if (!(error instanceof api.ServiceError)) throw error;
    }
    tell("session", {});
  }
}

/** The page has one. */
export const session = new Session();
