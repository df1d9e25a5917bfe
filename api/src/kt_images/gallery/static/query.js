/**
 * What is searched for, as the service's filters, as the address's query and as words: `sea -blurred "two words" a|b`.
 *
 * @typedef {object} Query
 * @property {string[]} all  tags that an image must have
 * @property {string[]} any  of these at least one
 * @property {string[]} none  of these none
 * @property {boolean} untagged  no tag at all
 */

/** @type {Query} */
export const EVERYTHING = Object.freeze({ all: [], any: [], none: [], untagged: false });

/** The word for images without tags; the tag of this name is written in quotes. */
export const UNTAGGED = "untagged";

/** @param {Query} query */
export function isEverything(query) {
  return !(query.all.length || query.any.length || query.none.length || query.untagged);
}

/**
 * @param {Query} one
 * @param {Query} other
 */
export function same(one, other) {
  return String(parameters(one)) === String(parameters(other));
}

/**
 * Write it as the service's filters, which the address has, too.
 * @param {Query} query
 */
export function parameters(query) {
  const written = new URLSearchParams();
  for (const tag of query.all) written.append("tags_all", tag);
  for (const tag of query.any) written.append("tags_any", tag);
  for (const tag of query.none) written.append("tags_none", tag);
  if (query.untagged) written.append("untagged", "true");
  return written;
}

/**
 * Read it from the address.
 * @param {URLSearchParams} written
 * @returns {Query}
 */
export function fromParameters(written) {
  const tags = (/** @type {string[]} */ ...names) =>
    [...new Set(names.flatMap((name) => written.getAll(name)))].filter(Boolean);
  return {
    all: tags("tag", "tags_all"),
    any: tags("tags_any"),
    none: tags("tags_none"),
    untagged: written.get("untagged") === "true",
  };
}

/**
 * Write a tag as a word that is read as this tag again.
 * @param {string} tag
 */
export function word(tag) {
  return /^-|^"|[\s|]/.test(tag) || tag === UNTAGGED ? `"${tag.replaceAll('"', '""')}"` : tag;
}

/**
 * Write it as words.
 * @param {Query} query
 */
export function words(query) {
  return [
    ...query.all.map(word),
    ...(query.any.length ? [query.any.map(word).join("|")] : []),
    ...query.none.map((tag) => `-${word(tag)}`),
    ...(query.untagged ? [UNTAGGED] : []),
  ].join(" ");
}

// A word: quoted, where "" is a quote, or up to the next space or bar.
const TOKEN = /(?<bar>\|)|(?<minus>-)?(?:"(?<quoted>(?:[^"]|"")*)"?|(?<plain>[^\s|]+))/gu;

/**
 * Read it from words. Every text means something: what is no sign is a tag.
 * @param {string} text
 * @returns {Query}
 */
export function fromWords(text) {
  const query = {
    all: /** @type {string[]} */ ([]),
    any: /** @type {string[]} */ ([]),
    none: /** @type {string[]} */ ([]),
    untagged: false,
  };
  let joins = false;
  for (const { groups = {} } of text.matchAll(TOKEN)) {
    if (groups.bar) {
      const last = joins ? undefined : query.all.pop();
      if (last !== undefined) query.any.push(last);
      joins = true;
      continue;
    }
    const tag = (groups.quoted?.replaceAll('""', '"') ?? groups.plain ?? "").trim().normalize();
    if (joins && tag) query.any.push(tag);
    else if (groups.minus && tag) query.none.push(tag);
    else if (groups.plain === UNTAGGED) query.untagged = true;
    else if (tag) query.all.push(tag);
    joins = false;
  }
  return { all: unique(query.all), any: unique(query.any), none: unique(query.none), untagged: query.untagged };
}

/**
 * Tell whether an image is found by it.
 * @param {Query} query
 * @param {string[]} tags
 */
export function matches(query, tags) {
  const has = new Set(tags);
  return (
    query.all.every((tag) => has.has(tag)) &&
    (!query.any.length || query.any.some((tag) => has.has(tag))) &&
    !query.none.some((tag) => has.has(tag)) &&
    (!query.untagged || !tags.length)
  );
}

/** @param {string[]} tags */
function unique(tags) {
  return [...new Set(tags)];
}
