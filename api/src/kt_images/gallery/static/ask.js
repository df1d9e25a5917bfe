/** A question that is to be answered before something is done. */

import { el } from "./dom.js";

/**
 * Ask; gives whether the answer is yes.
 * @param {string} question
 * @param {string} detail  what follows from it
 * @param {string} yes  what the button says that does it
 * @param {boolean} [isDangerous]
 * @param {boolean} [isFinal]  nothing brings it back: a key that is pressed twice must not do it
 * @returns {Promise<boolean>}
 */
export async function ask(question, detail, yes, isDangerous = false, isFinal = false) {
  const dialog = el("dialog", { class: "ask", "aria-labelledby": "ask-title", closedBy: "any" });
  const answer = (/** @type {string} */ value) => ({ type: "button", onclick: () => dialog.close(value) });
  dialog.append(
    el("h2", { id: "ask-title" }, question),
    detail && el("p", {}, detail),
    el(
      "div",
      { class: "choices" },
      el("button", { ...answer(""), class: "button", autofocus: isFinal }, "Cancel"),
      el(
        "button",
        { ...answer("yes"), class: `button primary${isDangerous ? " danger" : ""}`, autofocus: !isFinal },
        yes,
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve));
  dialog.remove();
  return dialog.returnValue === "yes";
}
