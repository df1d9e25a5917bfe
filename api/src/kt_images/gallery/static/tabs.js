/** What is changed in one tab shows in the others, too. */

import { base } from "./api.js";
import { on, tell } from "./bus.js";
import { session } from "./session.js";

const channel = new BroadcastChannel(`images ${base.pathname}`);
let isHeard = false;
let isStale = false;

for (const name of /** @type {const} */ (["changed", "removed", "restored", "stale"]))
  on(name, (detail) => {
    if (!isHeard) channel.postMessage({ name, detail });
  });

/** Somebody has signed in or out here: the others ask what may be done by now. */
export function tellOfSession() {
  channel.postMessage({ name: "session" });
}

channel.onmessage = async ({ data }) => {
  if (data.name === "session") {
    await session.refresh();
    pass("stale", {});
    return;
  }
  // What nobody looks at need not be asked for again and again.
  if (document.hidden && ["restored", "stale"].includes(data.name)) isStale = true;
  else pass(data.name, data.detail);
};

document.addEventListener("visibilitychange", () => {
  if (isStale && !document.hidden) pass("stale", {});
});

/**
 * @param {keyof import("./bus.js").Messages} name
 * @param {any} detail
 */
function pass(name, detail) {
  isStale = false;
  isHeard = true;
  tell(name, detail);
  isHeard = false;
}
