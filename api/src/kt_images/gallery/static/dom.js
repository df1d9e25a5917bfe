/** Elements made from values. Text only ever gets in as text: there is no way in here for markup. */

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * Make an element. Properties of the element are set as such, `on…` functions listen, `class` and everything with a
 * hyphen, `role` and `for` become attributes; what is undefined or null is left out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on") && typeof value === "function") {
      made.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (name in made && !name.includes("-")) {
      Object.assign(made, { [name]: value });
    } else {
      made.setAttribute(name, String(value));
    }
  }
  made.append(...children.filter((one) => one !== null && one !== undefined && one !== false).map(asNode));
  return made;
}

/** @param {unknown} child */
function asNode(child) {
  return child instanceof Node ? child : String(child);
}

// Drawn on a grid of 24, with lines of 2.
const PATHS = {
  check: "M5 12.5l4.5 4.5L19 7.5",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  down: "M12 4v11m0 0l-5-5m5 5l5-5M5 20h14",
  edit: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  info: "M12 11v6M12 7.5v.01M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z",
  key: "M15.5 8.5v.01M10.6 12.4a5 5 0 1 1 2.6 2.6L10 18H7v3H3v-4z",
  left: "M15 5l-7 7 7 7",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
  minus: "M6 12h12",
  out: "M14 4h5v16h-5M4 12h10m0 0l-4-4m4 4l-4 4",
  plus: "M12 5v14M5 12h14",
  retry: "M20 11a8 8 0 1 0-.6 4M20 4v7h-7",
  right: "M9 5l7 7-7 7",
  search: "M20 20l-4.5-4.5M17 10.5a6.5 6.5 0 1 1-13 0 6.5 6.5 0 0 1 13 0z",
  tag: "M3 12V4a1 1 0 0 1 1-1h8l9 9-9 9zM7.5 7.5v.01",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  up: "M12 20V9m0 0l-5 5m5-5l5 5M5 4h14",
  zoom: "M20 20l-4.5-4.5M17 10.5a6.5 6.5 0 1 1-13 0 6.5 6.5 0 0 1 13 0zM10.5 8v5M8 10.5h5",
};

/**
 * Draw an icon that says nothing to screen readers.
 * @param {keyof typeof PATHS} name
 */
export function icon(name) {
  const namespace = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(namespace, "svg");
  const path = document.createElementNS(namespace, "path");
  path.setAttribute("d", PATHS[name]);
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  drawing.append(path);
  return drawing;
}

/**
 * Make a button that shows an icon, and has its label as name and tooltip.
 * @param {keyof typeof PATHS} name
 * @param {string} label
 * @param {Record<string, unknown>} [properties]
 */
export function iconButton(name, label, properties = {}) {
  return el(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, ...properties },
    icon(name),
  );
}
