// Messages as rows to show: days, the unread line, groups by sender, arrivals joined into one row. Pure.

/** @typedef {import("./store.js").Message} Message */
/** @typedef {import("./outbox.js").Entry} Entry */
/**
 * `sign` changes when the row must be drawn again.
 * @typedef {{ type: "day", id: string, sign: string, ts: number }
 *   | { type: "unread", id: string, sign: string }
 *   | { type: "message", id: string, sign: string, message: Message, head: boolean }
 *   | { type: "presence", id: string, sign: string, messages: Message[] }
 *   | { type: "pending", id: string, sign: string, entry: Entry, head: boolean }} Row
 */

/** Messages of one sender within this time are one group. */
const GROUP_MS = 5 * 60_000;
const TALK = new Set(["said", "told"]);

/**
 * The rows of the messages from `lo` up to `hi`.
 * @param {Message[]} messages
 * @param {number} lo
 * @param {number} hi
 * @param {string} line the id of the message that the unread line is before
 * @param {Entry[]} pending own messages after the last
 * @param {string} nick
 * @returns {Row[]}
 */
export function rowsOf(messages, lo, hi, line, pending, nick) {
  /** @type {Row[]} */
  const rows = [];
  let before = lo > 0 ? messages[lo - 1] : undefined;
  for (const message of messages.slice(lo, hi)) {
    if (before === undefined || dayOf(before.ts) !== dayOf(message.ts)) {
      rows.push({ type: "day", id: `d${dayOf(message.ts)}-${message.id}`, sign: "", ts: message.ts });
    }
    if (message.id === line) rows.push({ type: "unread", id: "unread", sign: "" });
    const last = rows.at(-1);
    if (message.kind === "presence" && message.change !== "removed") {
      if (last?.type === "presence") {
        last.messages.push(message);
        last.sign = String(last.messages.length);
      } else {
        rows.push({ type: "presence", id: message.id, sign: "1", messages: [message] });
      }
    } else {
      const head = !(last?.type === "message" || (last === undefined && lo > 0)) || !grouped(before, message);
      rows.push({ type: "message", id: message.id, sign: head ? "head" : "", message, head });
    }
    before = message;
  }
  for (const entry of pending) {
    if (before === undefined || dayOf(before.ts) !== dayOf(entry.ts)) {
      rows.push({ type: "day", id: `d${dayOf(entry.ts)}-${entry.key}`, sign: "", ts: entry.ts });
    }
    const like = { ...blank, from: nick, ts: entry.ts, kind: /** @type {"said"} */ ("said") };
    const head = entry.kind === "act" || !grouped(before, like);
    rows.push({ type: "pending", id: `p${entry.key}`, sign: `${entry.state} ${head}`, entry, head });
    before = entry.kind === "act" ? undefined : like;
    before ??= { ...like, kind: "acted" };
  }
  return rows;
}

/** @type {Message} */
const blank = { id: "", kind: "said", from: "", text: "", ts: 0, epoch: "", seq: 0, key: "", mine: true, mention: false };

/** @param {Message | undefined} before @param {Message} message */
function grouped(before, message) {
  return before !== undefined && TALK.has(before.kind) && TALK.has(message.kind) && before.from === message.from
    && Math.abs(message.ts - before.ts) < GROUP_MS && dayOf(before.ts) === dayOf(message.ts);
}

/** The day of a time, in the reader's zone. @param {number} ts */
export function dayOf(ts) {
  const date = new Date(ts);
  return date.getFullYear() * 10_000 + (date.getMonth() + 1) * 100 + date.getDate();
}
