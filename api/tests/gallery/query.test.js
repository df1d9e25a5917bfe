/** What is searched for is the same in the address, in words and in the service's filters, whatever tags there are. */

import assert from "node:assert/strict";
import test from "node:test";
import {
  EVERYTHING,
  extended,
  fromParameters,
  fromWords,
  lastWord,
  matches,
  parameters,
  same,
  without,
  word,
  words,
} from "../../src/kt_images/gallery/static/query.js";

const HOSTILE = [
  "-", "--", "-minus", '"', '""', '"quoted"', 'a"b', 'a""', "|", "a|b", "||", "two words", "a  b", "untagged", "Untagged", "it's",
  "<img src=x onerror=alert(1)>", "שלום עולם", "🏝️🐚", "é", "a,b", "..", "%2B+&=#", "\\", "-|\"-", '-"', "x".repeat(100), "\u00a0a\u00a0b",
].map((tag) => tag.trim().normalize()); // biome-ignore format: a list of words
const SIGNS = ["a", "B", " ", "-", '"', "|", "é", "🐚", ",", "ש", "\u3000", "'", "+", "&", "untagged"];

/** The same numbers each time. */
function numbers(seed) {
  return (below) => {
    seed = (Math.imul(seed ^ (seed >>> 15), 2246822519) + 3266489917) >>> 0;
    return seed % below;
  };
}

function queries(count) {
  const next = numbers(7);
  const tag = () =>
    next(2)
      ? HOSTILE[next(HOSTILE.length)]
      : Array.from({ length: 1 + next(6) }, () => SIGNS[next(SIGNS.length)])
          .join("")
          .trim()
          .normalize() || "x";
  const tags = () => [...new Set(Array.from({ length: next(4) }, tag))];
  return Array.from({ length: count }, () => {
    const any = tags();
    return {
      all: tags(),
      any: any.length === 1 ? [...new Set([...any, "sea"])] : any,
      none: tags(),
      untagged: next(5) === 0,
    };
  });
}

/** One tag that is asked for as "any of" is one that is asked for. */
function plain(query) {
  return query.any.length === 1 ? { ...query, all: [...query.all, ...query.any], any: [] } : query;
}

test("a query is the same after it was an address", () => {
  for (const query of queries(3000))
    assert.deepEqual(fromParameters(new URLSearchParams(String(parameters(query)))), query);
});

test("a query is the same after it was words", () => {
  for (const query of queries(3000)) assert.deepEqual(fromWords(words(query)), plain(query), words(query));
});

test("each tag is a word that is this tag again, wanted or not", () => {
  for (const tag of HOSTILE) {
    assert.deepEqual(fromWords(word(tag)), { ...EVERYTHING, all: [tag] }, tag);
    assert.deepEqual(fromWords(`-${word(tag)}`), { ...EVERYTHING, none: [tag] }, tag);
    assert.deepEqual(fromWords(`${word("b")}|${word(tag)}`), { ...EVERYTHING, any: ["b", tag] }, tag);
  }
});

test("the tags of an old link are read", () => {
  assert.deepEqual(fromParameters(new URLSearchParams("tag=a&tags_all=b&tags_all=a&tags_any=&before=7")), {
    ...EVERYTHING,
    all: ["a", "b"],
  });
});

test("words are read as people write them", () => {
  assert.deepEqual(fromWords('  sea -blurred "two words" a|b | c untagged -"x y"'), {
    all: ["sea", "two words"],
    any: ["a", "b", "c"],
    none: ["blurred", "x y"],
    untagged: true,
  });
  assert.deepEqual(fromWords('"not closed'), { ...EVERYTHING, all: ["not closed"] });
  assert.deepEqual(fromWords(" "), EVERYTHING);
});

test("the last word is what is being typed", () => {
  const cases = {
    "": ["", false, ""],
    se: ["", false, "se"],
    "-se": ["", true, "se"],
    "-": ["", true, ""],
    "sea ": ["sea ", false, ""],
    "sea -bl": ["sea ", true, "bl"],
    "sea|la": ["sea|", false, "la"],
    "sea|": ["sea|", false, ""],
    'a "two wo': ["a ", false, "two wo"],
    '-"two wo': ["", true, "two wo"],
    '"two words"': ['"two words"', false, ""],
  };
  for (const [text, [head, none, tag]] of Object.entries(cases))
    assert.deepEqual(lastWord(text), { head, none, tag }, text);
});

test("what is put in the place of the last word is that tag, whatever came before", () => {
  for (const tag of HOSTILE) {
    const { head, none } = lastWord("sea -bl");
    assert.deepEqual(fromWords(`${head}${none ? "-" : ""}${word(tag)}`), { ...EVERYTHING, all: ["sea"], none: [tag] });
  }
});

test("what is wanted last counts", () => {
  const query = { all: ["a"], any: ["b", "c"], none: ["d"], untagged: false };
  assert.deepEqual(extended(query, fromWords("-a d")), { all: ["d"], any: ["b", "c"], none: ["a"], untagged: false });
  assert.deepEqual(extended(query, fromWords("untagged")), { all: [], any: [], none: ["d"], untagged: true });
  assert.deepEqual(extended({ ...EVERYTHING, untagged: true }, fromWords("a")), { ...EVERYTHING, all: ["a"] });
  assert.deepEqual(extended(query, fromWords("|e")), { ...query, any: ["b", "c", "e"] });
  assert.deepEqual(without(query, "b"), { ...query, any: ["c"] });
});

test("queries that find the same are the same", () => {
  assert.ok(same(fromWords("a -b"), fromWords("-b a")));
  assert.ok(!same(fromWords("a"), fromWords("-a")));
});

test("an image is found by its tags", () => {
  assert.ok(matches(fromWords("a b|c -d"), ["a", "c"]));
  assert.ok(!matches(fromWords("a b|c -d"), ["a", "d", "c"]));
  assert.ok(!matches(fromWords("b|c"), ["a"]));
  assert.ok(matches(fromWords("untagged"), []));
  assert.ok(!matches(fromWords("untagged"), ["a"]));
});
