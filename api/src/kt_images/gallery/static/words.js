/** Figures as people read them, and text for the clipboard. */

const UNITS = ["bytes", "kB", "MB", "GB", "TB"];

/** @param {number} bytes */
export function size(bytes) {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const shown = bytes / 1000 ** power;
  return `${shown.toLocaleString(undefined, { maximumFractionDigits: shown < 10 && power ? 1 : 0 })} ${UNITS[power]}`;
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 55) return `${Math.max(5, Math.ceil(seconds / 5) * 5)} seconds`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return minutes === 1 ? "a minute" : `${minutes} minutes`;
  return `${Math.round(minutes / 60)} hours`;
}

/**
 * @param {number} number
 * @param {string} noun
 */
export function counted(number, noun) {
  return `${number.toLocaleString()} ${noun}${number === 1 ? "" : "s"}`;
}

/**
 * Copy a text. Gives whether it went well.
 * @param {string} text
 * @param {HTMLElement} near  in the same dialog: others cannot be selected from
 */
export async function copy(text, near) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Over plain HTTP browsers have no clipboard but this one.
    const area = document.createElement("textarea");
    area.value = text;
    near.append(area);
    area.select();
    const isDone = document.execCommand("copy");
    area.remove();
    return isDone;
  }
}
