/**
 * What the parts of the page tell each other, without knowing each other.
 *
 * @typedef {object} Messages
 * @property {import("./query.js").Query} query  somebody searches: `address.js` writes it into the address
 * @property {import("./address.js").Place} place  the address has changed, by us or by Back
 * @property {{result: import("./result.js").Result}} result  the grid shows another result from now on
 * @property {{images: import("./api.js").Image[]}} changed  these have new names or tags
 * @property {{ids: number[]}} removed  these are gone
 * @property {{ids: number[]}} restored  these were to go, and stay
 * @property {{}} stale  many have changed, or new ones were stored: what is shown is to be asked for again
 * @property {{}} selection  the selection is another one
 * @property {{}} session  somebody has signed in or out
 * @property {{reason?: string}} signin  the service wants a key, or somebody wants to give one
 * @property {{files: File[]}} files  these are to be uploaded
 * @property {{say: string}} say  screen readers are to say this
 */

const target = new EventTarget();

/**
 * Tell everybody who listens.
 * @template {keyof Messages} Name
 * @param {Name} name
 * @param {Messages[Name]} detail
 */
export function tell(name, detail) {
  target.dispatchEvent(new CustomEvent(name, { detail }));
}

/**
 * Listen; returns what ends it.
 * @template {keyof Messages} Name
 * @param {Name} name
 * @param {(detail: Messages[Name]) => void} hear
 */
export function on(name, hear) {
  const listener = (/** @type {Event} */ event) => hear(/** @type {CustomEvent} */ (event).detail);
  target.addEventListener(name, listener);
  return () => target.removeEventListener(name, listener);
}
