import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress } from "../../page/address.js";
import { fill, languageOf, tables } from "../../page/i18n.js";
import { rowsOf } from "../../page/rows.js";

const DAY = 86_400_000;
const at = new Date(2026, 10, 30, 12).getTime();
let next = 0;
const message = (more) => ({
  id: `m${(next += 1)}`, kind: "said", from: "bob", text: "x", ts: at, epoch: "a", seq: next, key: "", mine: false, mention: false, ...more,
});
const types = (rows) => rows.map((row) => (row.type === "message" ? (row.head ? "head" : "message") : row.type));

test("messages of one sender are a group until time, sender or day changes", () => {
  const messages = [
    message(), message({ ts: at + 1000 }), message({ ts: at + 10 * 60_000 }), message({ from: "eve", ts: at + 10 * 60_000 }),
    message({ from: "eve", ts: at + DAY }),
  ];
  const rows = rowsOf(messages, 0, messages.length, "", [], "kim");
  assert.deepEqual(types(rows), ["day", "head", "message", "head", "head", "day", "head"]);
});

test("the unread line breaks a group", () => {
  const messages = [message(), message()];
  const rows = rowsOf(messages, 0, 2, messages[1].id, [], "kim");
  assert.deepEqual(types(rows), ["day", "head", "unread", "head"]);
});

test("arrivals are one row", () => {
  const came = (from) => message({ kind: "presence", change: "joined", from, seq: 0 });
  const rows = rowsOf([message(), came("a"), came("b"), message()], 0, 4, "", [], "kim");
  assert.deepEqual(types(rows), ["day", "head", "presence", "head"]);
});

test("a slice begins as if the rest were there", () => {
  const messages = [message(), message()];
  assert.deepEqual(types(rowsOf(messages, 1, 2, "", [], "kim")), ["message"]);
});

test("own messages that wait follow the last, in its group", () => {
  const entry = { key: "k", room: "ops", kind: "say", text: "x", ts: at, state: "sent", firstSent: 0, seq: 0, error: "" };
  const rows = rowsOf([message({ from: "kim" })], 0, 1, "", [entry], "kim");
  assert.deepEqual(types(rows), ["day", "head", "pending"]);
  assert.equal(rows[2].head, false);
});

test("both languages have every text with the same values", () => {
  const values = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  assert.deepEqual(Object.keys(tables.ko), Object.keys(tables.en));
  for (const name of Object.keys(tables.en)) assert.deepEqual(values(tables.ko[name]), values(tables.en[name]), name);
  assert.equal(languageOf(["fr", "ko-KR", "en"]), "ko");
  assert.equal(languageOf(["fr"]), "en");
  assert.equal(fill("{a} {b}", { a: "{b}", b: 1 }), "{b} 1");
});

test("an address names rooms, a member and a nick", () => {
  assert.deepEqual(parseAddress("#ops"), { rooms: ["ops"], direct: "", nick: "" });
  assert.deepEqual(parseAddress("#ops,%ED%95%9C%EA%B8%80?nick=kim"), { rooms: ["ops", "한글"], direct: "", nick: "kim" });
  assert.deepEqual(parseAddress("#@alice", "?nick=bob"), { rooms: [], direct: "alice", nick: "bob" });
  assert.deepEqual(parseAddress("#%zz"), { rooms: ["%zz"], direct: "", nick: "" });
});
