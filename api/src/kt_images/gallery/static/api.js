/**
 * The service's calls, and nothing that another client could not do.
 *
 * @typedef {{image_id: number, filename: string, tags: string[]}} Image
 * @typedef {{filename: string, content_type: string, size: number, sha256: string, width: number, height: number,
 *   created_at: string, url: string}} Attachment
 * @typedef {{tag: string, images: number}} TagCount
 * @typedef {{totalImages: number, changed: number, failed: number, failures: {image_id: number, error: string}[]}} Outcome
 * @typedef {{before?: number, after?: number, order?: "oldest" | "newest", limit?: number}} Span
 * @typedef {{add_tags?: string[], remove_tags?: string[]}} TagChanges
 * @typedef {{access: string, signed_in: boolean, name: string | null, scopes: string[]}} Session
 */

import { tell } from "./bus.js";
import { parameters } from "./query.js";

/** The service's own URL, wherever a proxy publishes it. */
export const base = new URL("..", import.meta.url);

const JSON_TYPE = "application/json";
const NDJSON = "application/x-ndjson";

/** The service, or the way to it, refused or failed; `message` is for people. `status` is 0 without an answer. */
export class ServiceError extends Error {
  /**
   * @param {string} message
   * @param {number} [status]
   * @param {number} [wait]  seconds after which it may be tried again, if the service named some
   */
  constructor(message, status = 0, wait = 0) {
    super(message);
    this.status = status;
    this.wait = wait;
  }

  /** Whether it may go well a little later, without anybody doing something. */
  get passes() {
    return [0, 503, 504].includes(this.status);
  }
}

const OFFLINE = "The service cannot be reached";
const BROKEN = "The answer broke off";

/**
 * Call the service. Throws ServiceError, and AbortError where `signal` says so.
 * @param {string} method
 * @param {string} path  below the base, without a slash at its start
 * @param {{query?: URLSearchParams, body?: unknown, accept?: string, signal?: AbortSignal | null, keepalive?: boolean}} [options]
 */
export async function call(method, path, { query, body, accept = JSON_TYPE, signal, keepalive } = {}) {
  const url = new URL(path, base);
  if (query) url.search = String(query);
  const headers = { Accept: accept, ...(body === undefined ? {} : { "Content-Type": JSON_TYPE }) };
  const sent = body === undefined ? null : JSON.stringify(body);
  const answer = await fetch(url, {
    method,
    headers,
    body: sent,
    signal: signal ?? null,
    keepalive: keepalive ?? false,
  }).catch(failed);
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

/**
 * @param {Response} answer
 * @returns {Promise<ServiceError>}
 */
async function refusal(answer) {
  const said = await answer.json().catch(() => ({}));
  return refused(answer.status, said, answer.headers.get("Retry-After"));
}

/**
 * @param {number} status
 * @param {{error?: string, details?: {loc: string[], msg: string}[]}} said
 * @param {string | null} wait
 */
function refused(status, said, wait) {
  const details = (said.details ?? []).map((one) => one.msg).join("; ");
  const sentence = said.error || `The service answered with the status ${status}`;
  if (status === 401) tell("signin", { reason: sentence });
  // Where one thing is wrong, the sentence says it already.
  const isNew = details && !sentence.endsWith(details);
  return new ServiceError(isNew ? `${sentence}: ${details}` : sentence, status, Number(wait) || 0);
}

/**
 * @param {Error} error
 * @returns {never}
 */
function failed(error) {
  if (error.name === "AbortError") throw error;
  throw new ServiceError(OFFLINE);
}

/**
 * @param {Response} answer
 * @returns {Promise<any>}
 */
async function json(answer) {
  return answer.json().catch(failed);
}

/**
 * Read an answer line by line, as it comes. Throws ServiceError where it breaks off.
 * @param {Response} answer
 * @returns {AsyncGenerator<any, void>}
 */
async function* lines(answer) {
  if (!answer.body) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read().catch((error) => {
        if (error.name === "AbortError") throw error;
        throw new ServiceError(BROKEN);
      });
      if (done) break;
      const whole = (rest + value).split("\n");
      rest = whole.pop() ?? "";
      for (const line of whole) yield JSON.parse(line);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * Stream the images that a query finds. Ends only when all of the span have come; throws ServiceError else.
 * @param {import("./query.js").Query} query
 * @param {Span} span
 * @param {AbortSignal} [signal]
 * @returns {AsyncGenerator<Image, void>}
 */
export async function* images(query, span, signal) {
  const answer = await call("GET", "images", { query: spanned(query, span), accept: NDJSON, signal });
  let complete = false;
  for await (const one of lines(answer)) {
    if ("totalImages" in one) complete = true;
    else yield one;
  }
  if (!complete) throw new ServiceError(BROKEN);
}

/**
 * @param {import("./query.js").Query} query
 * @param {Span} span
 */
function spanned(query, span) {
  const written = parameters(query);
  for (const [name, value] of Object.entries(span)) if (value !== undefined) written.set(name, String(value));
  return written;
}

/**
 * Count the images that a query finds.
 * @param {import("./query.js").Query} query
 * @param {Span} [span]
 * @param {AbortSignal} [signal]
 * @returns {Promise<number>}
 */
export async function count(query, span = {}, signal) {
  return (await json(await call("GET", "images/count", { query: spanned(query, span), signal }))).totalImages;
}

/**
 * @param {number} id
 * @param {AbortSignal} [signal]
 * @returns {Promise<Image>}
 */
export async function image(id, signal) {
  return json(await call("GET", `images/${id}`, { signal }));
}

/**
 * @param {number} id
 * @param {TagChanges & {filename?: string, tags?: string[]}} changes
 * @returns {Promise<Image>}
 */
export async function change(id, changes) {
  return json(await call("PATCH", `images/${id}`, { body: changes }));
}

/**
 * Delete an image; `keepalive` goes on while the page is being left.
 * @param {number} id
 * @param {{keepalive?: boolean}} [options]
 */
export async function remove(id, options) {
  await call("DELETE", `images/${id}`, options).catch((error) => {
    if (error.status !== 404) throw error; // gone is what was wanted
  });
}

/**
 * @param {number} id
 * @param {AbortSignal} [signal]
 * @returns {Promise<Attachment[]>}
 */
export async function attachments(id, signal) {
  return json(await call("GET", `images/${id}/attachments`, { signal }));
}

/**
 * Find tags: those that begin with `prefix`, those that `contain` something, or just these.
 * @param {{prefix?: string, contains?: string, tag?: string[], order?: "name" | "images", limit?: number}} wanted
 * @param {AbortSignal} [signal]
 * @returns {Promise<TagCount[]>}
 */
export async function tags(wanted, signal) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(wanted)) for (const one of [value].flat()) query.append(name, String(one));
  const found = [];
  for await (const one of lines(await call("GET", "tags", { query, accept: NDJSON, signal })))
    if ("tag" in one) found.push(one);
  return found;
}

/**
 * Say which images a change of many is about: those that a query finds, or these.
 * @typedef {{query: import("./query.js").Query} | {ids: number[]}} Many
 */

/** At most so many images can be named in one change. */
export const MOST_IDS = 10_000;

/**
 * Try a change of many images out: how many it would be.
 * @param {"PATCH" | "DELETE"} method
 * @param {Many} many
 * @param {TagChanges} [changes]
 * @returns {Promise<number>}
 */
export async function tryMany(method, many, changes) {
  const { query, body } = manyRequest(many, changes);
  query.set("dry_run", "true");
  return (await json(await call(method, "images", { query, body }))).totalImages;
}

/**
 * Change or delete many images; tell after each thousand how many are done. `expected`: refuse if it is another number.
 * @param {"PATCH" | "DELETE"} method
 * @param {Many} many
 * @param {{changes?: TagChanges, expected?: number, signal?: AbortSignal, progress?: (done: number, total: number) => void, keepalive?: boolean}} [options]
 * @returns {Promise<Outcome>}
 */
export async function changeMany(method, many, { changes, expected, signal, progress, keepalive } = {}) {
  const { query, body } = manyRequest(many, changes);
  if (expected !== undefined) query.set("expected", String(expected));
  const answer = await call(method, "images", { query, body, accept: NDJSON, signal, keepalive });
  for await (const one of lines(answer)) {
    if ("changed" in one) return one;
    progress?.(one.doneImages, one.totalImages);
  }
  throw new ServiceError(BROKEN);
}

/**
 * @param {Many} many
 * @param {TagChanges} [changes]
 */
function manyRequest(many, changes) {
  const query = "query" in many ? parameters(many.query) : new URLSearchParams();
  if ("query" in many && !query.size) query.set("all", "true");
  const body = { ...("ids" in many ? { image_ids: many.ids } : {}), ...changes };
  return { query, body: Object.keys(body).length ? body : undefined };
}

/**
 * Store a file as a new image; one that is stored already gets the tags instead.
 * @param {File} file
 * @param {string[]} tags
 * @param {{progress?: (sent: number) => void, signal?: AbortSignal}} [options]
 * @returns {Promise<{image: Image, isNew: boolean}>}
 */
export function upload(file, tags, { progress, signal } = {}) {
  const form = new FormData();
  for (const tag of tags) form.append("tags", tag);
  form.append("image", file, file.name);
  // fetch() tells nothing of how much of a body is sent.
  const request = new XMLHttpRequest();
  const url = new URL("images/upload?on_duplicate=merge_tags", base);
  return new Promise((resolve, reject) => {
    request.upload.onprogress = (event) => progress?.(Math.min(event.loaded, file.size));
    request.onerror = () => reject(new ServiceError(OFFLINE));
    request.onabort = () => reject(new DOMException("Stopped", "AbortError"));
    request.onload = () => {
      const said = parsed(request.responseText);
      if (request.status < 300) resolve({ image: said, isNew: request.status === 201 });
      else reject(refused(request.status, said, request.getResponseHeader("Retry-After")));
    };
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.open("POST", url);
    request.setRequestHeader("Accept", JSON_TYPE);
    request.send(form);
  });
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/**
 * The address of a smaller picture of an image.
 * @param {number} id
 * @param {160 | 320 | 640 | 1280} width
 */
export function thumbnail(id, width) {
  return new URL(`images/${id}/thumbnail?width=${width}`, base).href;
}

/**
 * Who is signed in, and what may be done.
 * @returns {Promise<Session>}
 */
export async function session() {
  return json(await call("GET", "session"));
}

/**
 * @param {string} key
 * @returns {Promise<Session>}
 */
export async function signIn(key) {
  await call("POST", "session", { body: { key } });
  return session();
}

export async function signOut() {
  await call("DELETE", "session");
}
