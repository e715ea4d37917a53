// One row of the timeline as an element.

import { h, icon } from "./dom.js";
import { segmentsOf } from "./text.js";

/** @typedef {import("./rows.js").Row} Row */
/** @typedef {import("./store.js").Message} Message */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./i18n.js").Texts} Texts */

/** Names in one row of arrivals. */
const NAMES_MAX = 12;

/** @param {Row} row @param {Session} session @param {Texts} texts @returns {HTMLElement} */
export function messageRow(row, session, texts) {
  switch (row.type) {
    case "day":
      return h("div", { class: "day" }, h("span", {}, texts.dayName(row.ts, session.now())));
    case "unread":
      return h("div", { class: "unread-line" }, h("span", {}, texts.t("unreadLine")));
    case "presence":
      return h("div", { class: "note" }, presenceText(row.messages, texts));
    case "pending":
      return pendingRow(row, session, texts);
    case "message":
      return said(row.message, row.head, session, texts);
  }
}

/** @param {Message} message @param {boolean} head @param {Session} session @param {Texts} texts */
function said(message, head, session, texts) {
  const nicks = message.mine ? [] : session.store.nicks;
  switch (message.kind) {
    case "gap":
      return h("div", { class: "note gap" }, icon("gap"), gapText(message, texts));
    case "local":
      return h("div", { class: "note" }, message.text);
    case "presence":
      return h("div", { class: "note" }, texts.t("removedYou", { reason: message.text }));
    case "topic": {
      const values = { who: message.from, text: message.text };
      return h("div", { class: "note" }, texts.t(message.text === "" ? "clearsTopic" : "setsTopic", values));
    }
    case "acted":
      return talk(message, true, texts, "act", h("p", { class: "text" },
        h("b", {}, message.from), " ", ...textNodes(message.text, nicks)));
    default:
      return talk(message, head, texts, message.kind === "notice" ? "notice" : "",
        h("p", { class: "text" }, ...textNodes(message.text, nicks)));
  }
}

/** @param {Message} message @param {boolean} head @param {Texts} texts @param {string} kind @param {HTMLElement} text */
function talk(message, head, texts, kind, text) {
  const classes = ["message", head ? "head" : "", kind, message.mine ? "mine" : "", message.mention ? "mention" : ""];
  return h("div", { class: classes.filter(Boolean).join(" "), "data-id": message.id },
    timeOf(message.ts, texts),
    head && kind !== "act" ? h("span", { class: "from" }, message.from)
      : kind !== "act" && h("span", { class: "sr" }, message.from),
    text);
}

/** @param {number} ts @param {Texts} texts */
function timeOf(ts, texts) {
  return h("time", { datetime: new Date(ts).toISOString(), title: texts.full.format(ts) }, texts.clock.format(ts));
}

/** @param {string} text @param {string[]} nicks */
export function textNodes(text, nicks) {
  return segmentsOf(text, nicks).map((segment) => {
    if (segment.type === "link" && segment.href !== undefined) {
      return h("a", { href: segment.href, target: "_blank", rel: "noopener noreferrer" }, segment.text);
    }
    return segment.type === "mention" ? h("mark", {}, segment.text) : segment.text;
  });
}

/** @param {Extract<Row, { type: "pending" }>} row @param {Session} session @param {Texts} texts */
function pendingRow({ entry, head }, session, texts) {
  const { nick } = session.store;
  const act = entry.kind === "act";
  const stuck = entry.state === "failed" || entry.state === "unknown";
  const classes = ["message", "mine", "pending", head ? "head" : "", act ? "act" : "", stuck ? "stuck" : ""];
  const row = h("div", { class: classes.filter(Boolean).join(" ") },
    timeOf(entry.ts, texts),
    head && !act && h("span", { class: "from" }, nick),
    h("p", { class: "text" }, act && h("b", {}, nick), act && " ", ...textNodes(entry.text, [])));
  const state = entry.state === "failed" ? texts.t("failed", { why: entry.error })
    : texts.t(entry.state === "unknown" ? "unknown" : entry.state === "queued" ? "queued" : "pending");
  if (!stuck) {
    row.append(h("span", { class: "sr" }, state));
    if (entry.state === "queued") row.title = state;
    return row;
  }
  const retry = h("button", { type: "button", class: "small" }, texts.t("retry"));
  retry.addEventListener("click", () => session.retry(entry.key));
  const discard = h("button", { type: "button", class: "small" }, texts.t("discard"));
  discard.addEventListener("click", () => {
    session.outbox.remove(entry.key);
    session.onchange();
  });
  row.append(h("p", { class: "state" }, state, " ", retry, " ", discard));
  return row;
}

/** @param {Message} message @param {Texts} texts */
function gapText(message, texts) {
  const { from, to, why } = message.gap ?? { from: null, to: null, why: "" };
  const reason = texts.t(why === "expired" ? "gapExpired" : why === "epoch" ? "gapEpoch" : "gapUnavailable");
  if (from === null || to === null) return texts.t("gapSome", { why: reason });
  return texts.t("gap", { n: to - from + 1, why: reason });
}

/**
 * Arrivals and departures in one sentence each. Who came and left again is not worth a word.
 * @param {Message[]} messages @param {Texts} texts
 */
function presenceText(messages, texts) {
  /** @type {Map<string, Message>} */
  const last = new Map();
  for (const message of messages) {
    last.delete(message.from);
    last.set(message.from, message);
  }
  const names = (/** @type {string} */ change) => [...last.values()].filter((m) => m.change === change);
  const parts = [];
  for (const change of /** @type {const} */ (["joined", "left"])) {
    const who = names(change).map((message) => message.from);
    if (who.length === 0) continue;
    const shown = who.slice(-NAMES_MAX).join(", ");
    const rest = who.length - NAMES_MAX;
    parts.push(texts.t(change, { who: rest > 0 ? `${shown} ${texts.t("more", { n: rest })}` : shown }));
  }
  for (const { from, to } of names("renamed").slice(-NAMES_MAX)) parts.push(texts.t("renamed", { who: from, to: to ?? "" }));
  return parts.join(" · ");
}
