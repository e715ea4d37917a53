import assert from "node:assert/strict";
import { test } from "node:test";
import { complete, parseInput } from "../../page/commands.js";

test("a text is said, and its lines are messages", () => {
  assert.deepEqual(parseInput("hi"), { type: "say", texts: ["hi"] });
  assert.deepEqual(parseInput("a\nb"), { type: "say", texts: ["a", "b"] });
  assert.deepEqual(parseInput("//x"), { type: "say", texts: ["/x"] });
  assert.deepEqual(parseInput("/home/kim is full"), { type: "say", texts: ["/home/kim is full"] });
});

test("commands are read", () => {
  assert.deepEqual(parseInput("/join #ops"), { type: "join", room: "ops" });
  assert.deepEqual(parseInput("/MSG @kim hi there"), { type: "tell", to: "kim", text: "hi there" });
  assert.deepEqual(parseInput("/topic -"), { type: "topic", text: "" });
  assert.deepEqual(parseInput("/topic"), { type: "topic", text: null });
  assert.deepEqual(parseInput("/me waves"), { type: "act", text: "waves" });
});

test("a command that is not one is not said", () => {
  assert.deepEqual(parseInput("/jion ops"), { type: "unknown", name: "jion", nearest: "join" });
  assert.deepEqual(parseInput("/msg kim"), { type: "incomplete", name: "msg" });
});

const known = { nicks: ["kim", "Kimberly", "민수"], rooms: ["ops", "오피스"], asked: false };
const options = (text, asked = false) => complete(text, text.length, { ...known, asked })?.options.map((o) => o.text) ?? [];

test("commands, names and rooms are completed", () => {
  assert.deepEqual(options("/j"), ["/join "]);
  assert.deepEqual(options("hi @ki"), ["@kim ", "@Kimberly "]);
  assert.deepEqual(options("#o"), ["#ops "]);
  assert.deepEqual(options("/msg 민"), ["민수 "]);
});

test("a plain word is completed only when asked", () => {
  assert.deepEqual(options("ki"), []);
  assert.deepEqual(options("ki", true), ["kim: ", "Kimberly: "]);
  assert.deepEqual(options("hi ki", true), ["kim ", "Kimberly "]);
  assert.equal(complete("kim", 2, { ...known, asked: true }), null, "within a word");
});
