/** The page: its parts, which know each other by `bus.js` alone, and what belongs to none of them. */

import "./account.js";
import "./actions.js";
import "./announcer.js";
import "./grid.js";
import "./search.js";
import "./selection-bar.js";
import "./sign-in.js";
import "./status.js";
import "./tabs.js";
import "./tag-input.js";
import "./toasts.js";
import "./uploads.js";
import "./viewer.js";
import { follow, go, place } from "./address.js";
import { on, tell } from "./bus.js";
import { keys } from "./keyboard.js";
import { EVERYTHING, isEverything, words } from "./query.js";
import { session } from "./session.js";

follow();

on("query", (query) => {
  go({ query, before: null, image: null });
  scrollTo(0, 0);
});

on("result", ({ result }) => {
  document.title = isEverything(result.query) ? "Images" : `${words(result.query)} – Images`;
});

document.querySelector(".brand")?.addEventListener("click", (event) => {
  const { ctrlKey, metaKey, shiftKey } = /** @type {MouseEvent} */ (event);
  if (ctrlKey || metaKey || shiftKey) return; // into a tab or window of its own
  event.preventDefault();
  go({ query: EVERYTHING, before: null, image: null });
  scrollTo(0, 0);
});

keys("In the grid", [
  { keys: "← ↑ → ↓", does: "Go from image to image" },
  { keys: "Home End", does: "To the newest, to the oldest" },
  { keys: "Enter", does: "Open" },
  { keys: "Space x", does: "Select; with Shift, all from the last one" },
]);

session.refresh();
tell("place", place()); // all who listen are here
