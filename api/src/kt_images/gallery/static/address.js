/**
 * The address is the state: `/?tags_all=sea&before=1234#image/1200`. What is searched for, where the list begins, and
 * the image that is shown. Back leads to where one was, a link shows the same to others.
 *
 * @typedef {object} Place
 * @property {import("./query.js").Query} query
 * @property {number | null} before  the list is scrolled to the first image with a smaller id; null: to its start
 * @property {number | null} image  shown in the viewer
 */

import { base } from "./api.js";
import { tell } from "./bus.js";
import { fromParameters, parameters } from "./query.js";

const IMAGE = /^#image\/([1-9][0-9]{0,18})$/;

/** @returns {Place} */
export function place() {
  const parameters = new URLSearchParams(location.search);
  const before = Number(parameters.get("before"));
  const image = IMAGE.exec(location.hash)?.[1];
  return {
    query: fromParameters(parameters),
    before: Number.isSafeInteger(before) && before > 0 ? before : null,
    image: image ? Number(image) : null,
  };
}

/**
 * Write a place as an address, to be linked to.
 * @param {Partial<Place>} changes  of the place where one is
 */
export function address(changes) {
  const { query, before, image } = { ...place(), ...changes };
  const written = parameters(query);
  if (before) written.set("before", String(before));
  return `${base.pathname}${written.size ? `?${written}` : ""}${image ? `#image/${image}` : ""}`;
}

/**
 * Go to a place: Back leads here again.
 * @param {Partial<Place>} changes
 */
export function go(changes) {
  const next = address(changes);
  if (next === location.pathname + location.search + location.hash) return;
  history.pushState({ inside: true }, "", next);
  tell("place", place());
}

/**
 * Note where one is by now; Back leads to where one came from.
 * @param {Partial<Place>} changes
 */
export function stay(changes) {
  history.replaceState(history.state, "", address(changes));
}

/** Close the viewer: by Back, if it was opened from this page, so that Back then leads on to what came before. */
export function leaveImage() {
  if (!place().image) return;
  if (history.state?.inside) history.back();
  else {
    stay({ image: null });
    tell("place", place());
  }
}

/** Listen to Back and Forward, and to links with a hash. */
export function follow() {
  history.scrollRestoration = "manual";
  addEventListener("popstate", () => tell("place", place()));
}
