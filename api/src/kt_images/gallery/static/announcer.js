/** `<kt-announcer>`: says to screen readers what others see. */

import { on } from "./bus.js";

class Announcer extends HTMLElement {
  connectedCallback() {
    if (this.isConnected && this.hasChildNodes()) return; // the viewer takes it along, and brings it back
    this.className = "unseen";
    this.ariaLive = "polite";
    on("say", ({ say }) => {
      // The same words twice are said twice.
      const said = String(this.firstChild?.nodeValue ?? "");
      this.replaceChildren(said === say ? `${say}\u00a0` : say);
    });
  }
}

customElements.define("kt-announcer", Announcer);
