// Enter and input methods: each system sends its events in another order.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Composer } from "../../page/composer.js";

class Field extends EventTarget {
  value = "";
  style = {};
  selectionStart = 0;
  selectionEnd = 0;
  scrollHeight = 20;
  setSelectionRange(start, end) {
    [this.selectionStart, this.selectionEnd] = [start, end];
  }
  setAttribute() {}
  removeAttribute() {}
  focus() {}
}

/** A field in which a Korean member types, and what was sent from it. */
function composer() {
  const field = new Field();
  const sent = [];
  const list = Object.assign(new EventTarget(), { hidden: true });
  const composing = new Composer(new EventTarget(), field, list, { t: () => "" });
  composing.onsend = (text) => {
    sent.push(text);
    return true;
  };
  const event = (type, fields = {}) => {
    const one = Object.assign(new Event(type, { cancelable: true }), fields);
    field.dispatchEvent(one);
    return one;
  };
  return {
    field, sent, event,
    compose(before, steps) {
      event("compositionstart");
      for (const step of steps) {
        event("compositionupdate", { data: step });
        field.value = before + step;
        event("input", { isComposing: true });
      }
    },
    end(data) {
      event("compositionend", { data });
    },
    enter(keyCode, isComposing) {
      const key = event("keydown", { key: keyCode === 229 ? "Process" : "Enter", code: "Enter", keyCode, isComposing });
      // What the browser then does by itself.
      if (!key.defaultPrevented && !isComposing && keyCode === 13) field.value += "\n";
      return key;
    },
    async settled() {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return sent;
    },
  };
}

test("chromium: the key comes during the composition, which then ends", async () => {
  const kim = composer();
  kim.compose("안", ["ㄴ", "녀", "녕"]);
  kim.enter(229, true);
  assert.deepEqual(kim.sent, [], "the syllable is still with the input method");
  kim.end("녕");
  assert.deepEqual(await kim.settled(), ["안녕"]);
  assert.equal(kim.field.value, "");
});

test("chromium on Windows: the key comes once more after the composition", async () => {
  const kim = composer();
  kim.compose("안", ["ㄴ", "녀", "녕"]);
  kim.enter(229, true);
  kim.end("녕");
  kim.enter(13, false);
  assert.deepEqual(await kim.settled(), ["안녕"]);
  kim.enter(13, false);
  assert.deepEqual(await kim.settled(), ["안녕"]);
});

test("safari: the composition ends before the key, which still has the code of an input method", async () => {
  const kim = composer();
  kim.compose("안", ["ㄴ", "녀", "녕"]);
  kim.end("녕");
  kim.enter(229, false);
  assert.deepEqual(await kim.settled(), ["안녕"]);
  assert.equal(kim.field.value, "");
});

test("a system that puts the line break into the field sends no second message", async () => {
  const kim = composer();
  kim.compose("", ["ㅇ", "아", "안"]);
  kim.enter(229, true);
  kim.end("안");
  kim.field.value += "\n";
  kim.event("input");
  assert.deepEqual(await kim.settled(), ["안"]);
  // The line break comes after the message was sent.
  kim.field.value = "\n";
  kim.event("input");
  assert.equal(kim.field.value, "");
  assert.deepEqual(await kim.settled(), ["안"]);
});

test("a syllable that the input method repeats after the message was sent is not sent", async () => {
  const kim = composer();
  kim.compose("안", ["녕"]);
  kim.end("녕");
  kim.enter(13, false);
  assert.deepEqual(await kim.settled(), ["안녕"]);
  kim.enter(229, false);
  assert.deepEqual(await kim.settled(), ["안녕"]);
});

test("enter that chooses a candidate sends nothing, in both orders", async () => {
  for (const safari of [false, true]) {
    const taro = composer();
    taro.compose("", ["に", "にほ", "日本"]);
    if (safari) {
      taro.end("日本");
      taro.enter(229, false);
    } else {
      taro.enter(229, true);
      taro.end("日本");
    }
    assert.deepEqual(await taro.settled(), []);
    taro.enter(13, false);
    assert.deepEqual(await taro.settled(), ["日本"]);
  }
});

test("shift and enter begin a line", async () => {
  const kim = composer();
  kim.field.value = "one";
  kim.event("keydown", { key: "Enter", keyCode: 13, shiftKey: true });
  assert.deepEqual(await kim.settled(), []);
});
