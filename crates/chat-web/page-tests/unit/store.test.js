import assert from "node:assert/strict";
import { test } from "node:test";
import { BACKGROUND_MAX, Store, WINDOW_MAX } from "../../page/store.js";

function joined(reads = {}) {
  const store = new Store();
  store.reads = reads;
  store.nick = "kim";
  store.room("ops");
  const room = store.joined({ room: "ops", epoch: "a", seq: 0, count: 2, members: ["kim", "bob"], topic: "" });
  return { store, room };
}
const said = (seq, more = {}) => ({ ev: "said", room: "ops", seq, ts: 1_000 + seq, from: "bob", text: `n${seq}`, ...more });
const page = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => said(from + index));
const seqs = (room) => room.messages.map((message) => message.seq);

test("a place that was seen is not shown twice", () => {
  const { store, room } = joined();
  store.apply(said(1), 0);
  store.apply(said(2), 0);
  store.apply(said(2, { replay: true }), 0);
  assert.deepEqual(seqs(room), [1, 2]);
  assert.equal(room.head, 2);
});

test("unread and mentions are counted until the room is watched", () => {
  const { store, room } = joined();
  store.apply(said(1), 0);
  store.apply(said(2, { text: "kim: look" }), 0);
  store.apply(said(3, { from: "Kim" }), 0);
  assert.deepEqual([room.unread, room.mentions, room.line], [2, 1, "a:1"]);
  store.activate(room);
  store.watching = true;
  store.apply(said(4), 0);
  assert.deepEqual([room.unread, room.mentions], [0, 0]);
  assert.deepEqual(room.read, { epoch: "a", seq: 4 });
});

test("what was read on an earlier visit is not unread", () => {
  const { store, room } = joined({ ops: { epoch: "a", seq: 2 } });
  for (const event of page(1, 4)) store.apply({ ...event, replay: true }, 0);
  assert.equal(room.unread, 2);
  assert.equal(room.line, "a:3");
  assert.equal(room.unreadMore, false);
});

test("a first visit has nothing unread", () => {
  const { store, room } = joined();
  store.activate(room);
  for (const event of page(1, 4)) {
    store.apply({ ...event, replay: true }, 0);
    // The page may draw, and so read, before all has come.
    store.markRead(room);
  }
  assert.deepEqual([room.unread, room.line], [0, ""]);
  store.apply(said(5), 0);
  assert.deepEqual([room.unread, room.line], [1, "a:5"]);
});

test("a log that began anew is read from its beginning", () => {
  const { store, room } = joined();
  store.apply(said(7), 0);
  store.joined({ room: "ops", epoch: "b", seq: 1, count: 1, members: ["kim"], topic: "", recovered: false });
  store.apply({ ev: "gap", room: "ops", from: null, to: null, why: "epoch" }, 0);
  store.apply(said(1, { replay: true }), 0);
  assert.deepEqual(room.messages.map((m) => m.kind), ["said", "gap", "said"]);
  assert.equal(room.head, 1);
});

test("a message that is repeated under its key in the next log is shown once", () => {
  const { store, room } = joined();
  store.apply(said(7, { key: "k1" }), 0);
  store.apply(said(8, { key: "k2", ts: 1 }), 0);
  store.joined({ room: "ops", epoch: "b", seq: 2, count: 1, members: [], topic: "" });
  store.apply(said(1, { key: "k1", replay: true }), 0);
  store.apply(said(2, { key: "k2", ts: 700_000, replay: true }), 0);
  assert.equal(room.messages.length, 3, "the second is ten minutes later, so it is another");
});

test("a gap is shown, and one that the log can fill begins a new window", () => {
  const { store, room } = joined();
  store.apply(said(1), 0);
  store.apply({ ev: "gap", room: "ops", from: 2, to: 9, why: "expired" }, 0);
  assert.deepEqual(room.messages.at(-1)?.gap, { from: 2, to: 9, why: "expired" });
  store.apply({ ev: "gap", room: "ops", from: 10, to: 99, why: "limit" }, 0);
  store.apply(said(100), 0);
  assert.deepEqual(seqs(room), [100]);
  assert.equal(room.top, false);
});

test("history goes before the window, once", () => {
  const { store, room } = joined();
  for (const event of page(11, 12)) store.apply(event, 0);
  store.prepend(room, page(8, 11));
  assert.deepEqual(seqs(room), [8, 9, 10, 11, 12]);
  store.prepend(room, []);
  assert.equal(room.top, true);
});

test("a window never grows beyond its bound", () => {
  const { store, room } = joined();
  store.activate(room);
  store.watching = true;
  for (let seq = 1; seq <= 100_000; seq += 1) store.apply(said(seq), 0);
  assert.equal(room.messages.length, WINDOW_MAX);
  for (let first = 95_000; first > 80_000; first -= 100) store.prepend(room, page(first - 99, first));
  assert.equal(room.messages.length, WINDOW_MAX);
  assert.equal(room.live, false);
  store.apply(said(100_001), 0);
  assert.ok(!seqs(room).includes(100_001), "the window does not end where the log ends");
  while (!room.live) {
    const last = room.last.seq;
    store.extend(room, page(last + 1, Math.min(100_001, last + 100)));
  }
  assert.equal(room.last.seq, 100_001);
  assert.equal(room.messages.length, WINDOW_MAX);
});

test("a room that is not shown keeps little", () => {
  const { store, room } = joined();
  for (const event of page(1, 2_000)) store.apply(event, 0);
  assert.equal(room.messages.length, BACKGROUND_MAX);
  assert.equal(room.unread, 2_000);
});

test("a find is shown with what is around it", () => {
  const { store, room } = joined();
  for (const event of page(900, 1_000)) store.apply(event, 0);
  store.replace(room, page(100, 199), false);
  assert.equal(room.live, false);
  store.apply(said(1_001), 0);
  assert.equal(room.last.seq, 199);
  store.replace(room, page(902, 1_001), true);
  assert.equal(room.live, true);
});

test("members follow arrivals, departures and new nicks", () => {
  const { store, room } = joined();
  store.apply({ ev: "joined", room: "ops", nick: "eve" }, 0);
  store.apply({ ev: "renamed", room: "ops", nick: "eve", to: "Eva" }, 0);
  store.apply({ ev: "left", room: "ops", nick: "bob", reason: null }, 0);
  assert.deepEqual([...room.members.values()], ["kim", "Eva"]);
  assert.equal(room.count, 2);
});

test("a direct message opens its own room, which follows its member's nick", () => {
  const { store } = joined();
  const change = store.apply({ ev: "told", ts: 5, from: "bob", text: "psst" }, 0);
  assert.equal(change.room.id, "@bob");
  assert.equal(change.fresh, true);
  store.apply({ ev: "renamed", room: "ops", nick: "bob", to: "rob" }, 0);
  assert.equal(store.get("@rob"), change.room);
  assert.deepEqual(store.totals(), { unread: 1, mentions: 1 });
});

test("what the log lost of a skipped part is shown where the log begins", () => {
  const { store, room } = joined();
  for (const event of page(1, 3)) store.apply(event, 0);
  store.apply({ ev: "gap", room: "ops", from: 4, to: 99, why: "limit" }, 0);
  for (const event of page(100, 110)) store.apply(event, 0);
  store.prepend(room, page(51, 99));
  store.prepend(room, []);
  assert.deepEqual(room.messages[0].gap, { from: 4, to: 50, why: "expired" });
  store.prepend(room, []);
  assert.equal(room.messages.filter((message) => message.kind === "gap").length, 1);
});
