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
  let last = query.none;
  for (const { groups = {} } of text.matchAll(TOKEN)) {
    if (groups.bar) {
      if (last === query.all) query.any.push(...query.all.splice(-1));
      last = query.any;
      joins = true;
      continue;
    }
    const tag = (groups.quoted?.replaceAll('""', '"') ?? groups.plain ?? "").trim().normalize();
    const isUntagged = !joins && !groups.minus && groups.plain === UNTAGGED;
    last = joins ? query.any : groups.minus || isUntagged ? query.none : query.all;
    if (isUntagged) query.untagged = true;
    else if (tag) last.push(tag);
    joins = false;
  }
  return { all: unique(query.all), any: unique(query.any), none: unique(query.none), untagged: query.untagged };
}

/**
 * Take the last word off: what is being typed now. Gives what stands before it, the sign, and the tag as far as it goes.
 * @param {string} text
 * @returns {{head: string, none: boolean, tag: string}}
 */
export function lastWord(text) {
  const last = [...text.matchAll(TOKEN)].at(-1);
  const { bar, minus, quoted, plain } = last?.groups ?? {};
  const isDone = !last || bar || last.index + last[0].length < text.length || /^-?".*"$/su.test(last[0]);
  if (isDone) return { head: text, none: false, tag: "" };
  const head = text.slice(0, last.index);
  if (plain === "-") return { head, none: true, tag: "" };
  return { head, none: minus !== undefined, tag: quoted?.replaceAll('""', '"') ?? plain ?? "" };
}

/**
 * Search for more. What is wanted last counts, where both cannot be: a tag is asked for in one way at a time.
 * @param {Query} query
 * @param {Query} more
 * @returns {Query}
 */
export function extended(query, more) {
  const asked = new Set([...more.all, ...more.any, ...more.none]);
  const kept = (/** @type {string[]} */ tags) => tags.filter((tag) => !asked.has(tag));
  const hasTags = more.all.length + more.any.length > 0;
  return {
    all: [...(more.untagged ? [] : kept(query.all)), ...more.all],
    any: [...(more.untagged ? [] : kept(query.any)), ...more.any],
    none: [...kept(query.none), ...more.none],
    untagged: more.untagged || (query.untagged && !hasTags),
  };
}

/**
 * Search without a tag, in whichever way it is asked for.
 * @param {Query} query
 * @param {string} tag
 * @returns {Query}
 */
export function without(query, tag) {
  const other = (/** @type {string} */ one) => one !== tag;
  return { ...query, all: query.all.filter(other), any: query.any.filter(other), none: query.none.filter(other) };
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
