import assert from "node:assert/strict";
import { test } from "node:test";
import { byteLength, isMentioned, linesOf, roomName, segmentsOf } from "../../page/text.js";

const links = (text) => segmentsOf(text, []).filter((s) => s.type === "link").map((s) => s.text);

test("only http and https become links", () => {
  assert.deepEqual(links("see https://a.example/x?y=1#z and http://b.example"), ["https://a.example/x?y=1#z", "http://b.example"]);
  assert.deepEqual(links("javascript:alert(1) data:text/html,x file:///etc ftp://x javascript:https"), []);
});

test("a link leaves out what ends the sentence", () => {
  assert.deepEqual(links("(https://a.example/b)."), ["https://a.example/b"]);
  assert.deepEqual(links("https://a.example/b_(c), ok"), ["https://a.example/b_(c)"]);
  assert.deepEqual(links("<https://a.example/>"), ["https://a.example/"]);
});

test("a link keeps the brackets that it has opened, however many follow it", () => {
  assert.deepEqual(links("(http://a.b/wiki_(x))"), ["http://a.b/wiki_(x)"]);
  assert.deepEqual(links(`http://a${")".repeat(4000)}`), ["http://a"]);
});

test("segments hold the whole text", () => {
  const text = "kim: look at https://a.example/kim, kim!";
  const segments = segmentsOf(text, ["kim"]);
  assert.equal(segments.map((s) => s.text).join(""), text);
  assert.deepEqual(segments.map((s) => s.type), ["mention", "text", "link", "text", "mention", "text"]);
});

test("a mention is a word of its own", () => {
  for (const text of ["kim", "@kim", "Kim: hi", "hi kim.", "kim, kim", "(kim)", "kim님", "kim이 왔다"]) {
    assert.ok(isMentioned(text, ["kim"]), text);
  }
  for (const text of ["kimchi", "akim", "kim-2: hi", "x-kim", "kimㅋ님", "kim2"]) {
    assert.ok(!isMentioned(text, ["kim"]), text);
  }
});

test("a Korean name is mentioned with its particle", () => {
  for (const text of ["민수", "민수야 뭐해", "민수님, 안녕하세요", "민수에게", "@민수"]) assert.ok(isMentioned(text, ["민수"]), text);
  for (const text of ["민수기", "김민수"]) assert.ok(!isMentioned(text, ["민수"]), text);
});

test("a decomposed name is the same name", () => {
  assert.ok(isMentioned("민수".normalize("NFD"), ["민수"]));
});

test("each line is a message", () => {
  assert.deepEqual(linesOf("one\r\n\n two\n"), ["one", " two"]);
  assert.equal(roomName(" ##ops "), "ops");
  assert.equal(byteLength("한글"), 6);
});
