import assert from "node:assert/strict";
import { test } from "node:test";
import { Outbox } from "../../page/outbox.js";

const MINUTE = 60_000;

test("what was not answered is sent again under the same key", () => {
  const outbox = new Outbox("x");
  const { key } = outbox.add("ops", "say", "hi", 1);
  assert.deepEqual(outbox.take(1).map((e) => e.key), [key]);
  assert.deepEqual(outbox.take(1), [], "it is on its way");
  outbox.interrupted();
  assert.deepEqual(outbox.take(MINUTE).map((e) => e.key), [key]);
});

test("what the server may have forgotten is not repeated without being asked to", () => {
  const outbox = new Outbox("x");
  const entry = outbox.add("ops", "say", "hi", 1);
  outbox.take(1);
  outbox.interrupted();
  assert.deepEqual(outbox.take(11 * MINUTE), []);
  assert.equal(entry.state, "unknown");
});

test("what was never sent may wait for any time", () => {
  const outbox = new Outbox("x");
  outbox.add("ops", "say", "hi", 1);
  assert.equal(outbox.take(60 * MINUTE).length, 1);
});

test("a direct message has no key, so it is not repeated", () => {
  const outbox = new Outbox("x");
  const entry = outbox.add("@bob", "tell", "psst", 0);
  outbox.take(1);
  outbox.interrupted();
  assert.equal(entry.state, "unknown");
});

test("an entry ends when its place was seen, whichever of reply and event is first", () => {
  const outbox = new Outbox("x");
  const one = outbox.add("ops", "say", "one", 0);
  const two = outbox.add("ops", "say", "two", 0);
  outbox.take(1);
  outbox.acked(one.key, 5, 4);
  assert.equal(outbox.of("ops").length, 2);
  outbox.seen("ops", 5);
  assert.deepEqual(outbox.of("ops"), [two]);
  outbox.acked(two.key, 6, 6);
  assert.deepEqual(outbox.of("ops"), []);
});

test("what only the lost log had is said again", () => {
  const outbox = new Outbox("x");
  const { key } = outbox.add("ops", "say", "one", 0);
  outbox.take(1);
  outbox.acked(key, 5, 4);
  outbox.logLost("ops");
  assert.deepEqual(outbox.take(1).map((e) => e.key), [key]);
});

test("a reload takes the outbox with it", () => {
  const outbox = new Outbox("x");
  const { key } = outbox.add("ops", "say", "one", 0);
  outbox.take(1);
  const next = new Outbox("y");
  next.restore(JSON.parse(JSON.stringify(outbox)));
  assert.deepEqual(next.take(1).map((e) => e.key), [key]);
  next.restore("nonsense");
});
