// Texts and names, without a page: how names compare, what is a link, who is mentioned.

/** @typedef {{ type: "text" | "link" | "mention", text: string, href?: string }} Segment */

const encoder = new TextEncoder();

/**
 * The form in which two names are compared: the server ignores case and composition.
 * @param {string} name
 */
export function fold(name) {
  return name.normalize("NFC").toLowerCase();
}

/**
 * A room's name as the server knows it: without the `#` that people write before it.
 * @param {string} name
 */
export function roomName(name) {
  return name.trim().replace(/^#+/, "");
}

/** @param {string} text */
export function byteLength(text) {
  return encoder.encode(text).length;
}

/**
 * The lines of a text that are messages: the server takes one line a message.
 * @param {string} text
 */
export function linesOf(text) {
  return text.split(/\r\n|[\n\r\u2028\u2029]/).filter((line) => line.trim() !== "");
}

const LETTER = /[\p{L}\p{N}\p{M}_]/u;
const HANGUL = /\p{Script=Hangul}/u;

/** What follows a name in Korean without a space. The longest come first. */
const PARTICLES = [
  "에게서", "한테서", "이라고", "님에게", "님한테", "에게", "한테", "이랑", "하고", "라고", "님은", "님이", "님도", "님께",
  "께서", "씨", "님", "께", "아", "야", "이", "가", "은", "는", "을", "를", "도", "의", "와", "과", "랑", "만",
];

/**
 * Where a text names a nick as a word of its own, as `[start, end)`.
 * @param {string} text
 * @param {string} nick
 * @returns {[number, number][]}
 */
export function mentionsOf(text, nick) {
  if (nick === "") return [];
  const lower = text.toLowerCase();
  const wanted = nick.toLowerCase();
  // A letter whose lower case is longer moves the places. Such a text has no highlight, but this is rare.
  if (lower.length !== text.length) return [];
  /** @type {[number, number][]} */
  const found = [];
  let from = 0;
  for (;;) {
    const start = lower.indexOf(wanted, from);
    if (start < 0) return found;
    const end = start + wanted.length;
    from = end;
    if (startsWord(text, start) && endsName(text, end)) found.push([start, end]);
  }
}

/** @param {string} text @param {number} start */
function startsWord(text, start) {
  const before = [...text.slice(Math.max(0, start - 2), start)].pop();
  return before === undefined || !(LETTER.test(before) || "-.".includes(before));
}

/** @param {string} text @param {number} end */
function endsName(text, end) {
  const rest = text.slice(end);
  const next = [...rest.slice(0, 2)][0];
  if (next === undefined) return true;
  if (HANGUL.test(next)) {
    return PARTICLES.some((particle) => {
      if (!rest.startsWith(particle)) return false;
      const after = rest[particle.length];
      return after === undefined || !LETTER.test(after);
    });
  }
  if (LETTER.test(next)) return false;
  // `kim-2` is another nick than `kim`, but `kim.` ends a sentence.
  return !/^[-.^|][\p{L}\p{N}]/u.test(rest);
}

/**
 * @param {string} text
 * @param {string[]} nicks
 */
export function isMentioned(text, nicks) {
  const composed = text.normalize("NFC");
  return nicks.some((nick) => mentionsOf(composed, nick.normalize("NFC")).length > 0);
}

const URL_PATTERN = /\bhttps?:\/\/[^\s<>"'`\u3000-\u303f]+/giu;

/**
 * A text as pieces to show. Only `http` and `https` become links.
 * @param {string} text
 * @param {string[]} nicks
 * @returns {Segment[]}
 */
export function segmentsOf(text, nicks) {
  /** @type {Segment[]} */
  const segments = [];
  let done = 0;
  for (const match of text.matchAll(URL_PATTERN)) {
    const link = trimLink(match[0]);
    const href = hrefOf(link);
    if (href === null) continue;
    pushText(segments, text.slice(done, match.index), nicks);
    segments.push({ type: "link", text: link, href });
    done = match.index + link.length;
  }
  pushText(segments, text.slice(done), nicks);
  return segments;
}

/**
 * Leaves out what ends the sentence around a link, and a bracket that was opened before it.
 * @param {string} link
 */
function trimLink(link) {
  // How many closing brackets of each kind have no opening one.
  /** @type {Map<string, number>} */
  const unopened = new Map();
  for (const pair of ["()", "[]", "{}"]) {
    const [opening, closing] = [pair.charAt(0), pair.charAt(1)];
    unopened.set(closing, link.split(closing).length - link.split(opening).length);
  }
  let end = link.length;
  for (; end > 0; end -= 1) {
    const last = link.charAt(end - 1);
    if (".,;:!?…".includes(last)) continue;
    const left = unopened.get(last) ?? 0;
    if (left <= 0) break;
    unopened.set(last, left - 1);
  }
  return link.slice(0, end);
}

/** @param {string} link */
function hrefOf(link) {
  try {
    const url = new URL(link);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

/** @param {Segment[]} segments @param {string} text @param {string[]} nicks */
function pushText(segments, text, nicks) {
  const ranges = nicks.flatMap((nick) => mentionsOf(text, nick)).sort((a, b) => a[0] - b[0]);
  let done = 0;
  for (const [start, end] of ranges) {
    if (start < done) continue;
    if (start > done) segments.push({ type: "text", text: text.slice(done, start) });
    segments.push({ type: "mention", text: text.slice(start, end) });
    done = end;
  }
  if (done < text.length) segments.push({ type: "text", text: text.slice(done) });
}
