/** Deleting, with some seconds in which it can be undone: only then is the service told. */

import { changeMany, remove as removeOne, ServiceError } from "./api.js";
import { ask } from "./ask.js";
import { on, tell } from "./bus.js";
import { selection } from "./selection.js";
import { toasts } from "./toasts.js";

/** @typedef {import("./api.js").Image} Image */

/** At most so many can be deleted with an undo: they are named in one request, which may outlive the page. */
export const MOST_UNDONE = 200;

/** What is hidden, and not yet deleted. @type {Set<number>} */
const pending = new Set();

// What the grid asks for meanwhile still has them.
on("result", ({ result }) => {
  result.addEventListener("change", () => {
    const back = [...pending].filter((id) => result.indexOf(id) >= 0);
    if (back.length) result.remove(back);
  });
});
addEventListener("pagehide", () => toasts().flush());

/** @param {number} id */
export function isGoing(id) {
  return pending.has(id);
}

/**
 * Ask whether these are to be deleted, and do it.
 * @param {Image[]} images
 */
export async function askAndRemove(images) {
  const whose = images.length === 1 ? "Its files are" : "Their files are";
  const detail = `${whose} deleted as well. You can undo this for a few seconds.`;
  if (!(await ask(`Delete ${called(images)}?`, detail, "Delete", true))) return false;
  remove(images);
  return true;
}

/**
 * Delete images: they go from sight at once, and for good when the time to undo it is over or the page is left.
 * @param {Image[]} images  at most MOST_UNDONE
 */
export function remove(images) {
  const ids = images.map((one) => one.image_id);
  for (const id of ids) pending.add(id);
  selection.forget(ids);
  tell("removed", { ids });
  toasts().show({
    text: `Deleted ${called(images)}`,
    action: "Undo",
    act: () => {
      bringBack(ids);
      tell("say", { say: `${called(images)} ${images.length === 1 ? "is" : "are"} back` });
    },
    isUndo: true,
    end: () => send(images, ids),
  });
}

/**
 * @param {Image[]} images
 * @param {number[]} ids
 */
async function send(images, ids) {
  try {
    if (ids.length === 1) await removeOne(Number(ids[0]), { keepalive: true });
    else await changeMany("DELETE", { ids }, { keepalive: true });
    for (const id of ids) pending.delete(id);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    bringBack(ids);
    const text = `${called(images)} could not be deleted. ${error.message}`;
    toasts().show({ text, action: "Try again", act: () => remove(images), isTrouble: true });
  }
}

/** @param {number[]} ids */
function bringBack(ids) {
  for (const id of ids) pending.delete(id);
  tell("restored", { ids });
}

/** @param {Image[]} images */
function called(images) {
  if (images.length !== 1) return `${images.length} images`;
  const name = String(images[0]?.filename);
  // Written from right to left, it must not turn the sentence round.
  return /[^ -~]/.test(name) ? `\u2068${name}\u2069` : name;
}
