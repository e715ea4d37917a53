// The page holds the end of the messages in view, until the member scrolls away from it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { closeBrowser, Line, Server, shows, until, visitor } from "./harness.js";

let server;
before(async () => {
  server = await Server.patient();
});
after(async () => {
  await closeBrowser();
  await server.stop();
});

/** Two rooms' worth of a screen. */
async function fill(room) {
  const bob = await Line.join(server, `bob-${room}`, room);
  await bob.sayMany(room, Array.from({ length: 200 }, (_, index) => `message ${index}`));
  return bob;
}

/** How far the end is below the view. */
function below(page) {
  return page.locator("#timeline").evaluate((element) => element.scrollHeight - element.scrollTop - element.clientHeight);
}

/** Scrolls up in the moment in which a text arrives: before the page draws it, and before it is told of the scrolling. */
function scrollOnArrival({ text, pixels }) {
  globalThis.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      this.addEventListener("message", ({ data }) => {
        if (data.includes(text)) document.querySelector("#timeline").scrollTop -= pixels;
      });
    }
  };
}

for (const pixels of [300, 10]) {
  test(`scrolling up by ${pixels} pixels is not undone by a message that arrives in the same frame`, async () => {
    const room = `same-frame-${pixels}`;
    const bob = await fill(room);
    const visit = await visitor(server);
    await visit.context.addInitScript(scrollOnArrival, { text: "just now", pixels });
    const page = await visit.join("kim", room);
    await shows(page, "message 199");
    await until(async () => (await below(page)) < 1, () => "the end");
    await bob.sayMany(room, ["just now"]);
    await shows(page, "just now");
    await page.locator("#latest").waitFor();
    assert.ok((await below(page)) > pixels);
    await page.locator("#latest").click();
    await page.locator("#latest").waitFor({ state: "hidden" });
    assert.ok((await below(page)) < 1);
    bob.close();
    await visit.close();
  });
}

test("a turn of the wheel leaves the end of a room in which many talk", async (context) => {
  const bob = await fill("busy");
  const visit = await visitor(server);
  const page = await visit.join("kim", "busy");
  await shows(page, "message 199");
  await until(async () => (await below(page)) < 1, () => "the end");
  let count = 0;
  const talk = setInterval(() => bob.command({ cmd: "say", room: "busy", text: `and ${count++}` }), 10);
  context.after(() => clearInterval(talk));
  await shows(page, "and 9");
  await page.locator("#timeline").hover();
  await page.mouse.wheel(0, -300);
  await page.locator("#latest", { hasText: "new" }).waitFor();
  // Nothing brings the end back.
  const far = await below(page);
  await page.locator("#latest", { hasText: /[1-9]\d new/ }).waitFor();
  assert.ok((await below(page)) >= far);
  clearInterval(talk);
  bob.close();
  await visit.close();
});

test("a member who rests near the end still follows the messages", async () => {
  const bob = await fill("near");
  const visit = await visitor(server);
  const page = await visit.join("kim", "near");
  await shows(page, "message 199");
  await until(async () => (await below(page)) < 1, () => "the end");
  await page.locator("#timeline").evaluate((element) => {
    element.scrollTop -= 10;
  });
  // The page has no sign for it: this is longer than it takes a scrolling to be over.
  await page.waitForTimeout(1_000);
  await bob.sayMany("near", ["followed"]);
  await shows(page, "followed");
  await until(async () => (await below(page)) < 1, () => "the end");
  assert.equal(await page.locator("#latest").isVisible(), false);
  bob.close();
  await visit.close();
});

/** Keeps the page's socket, to give the page an event between two frames. */
function keepSocket() {
  globalThis.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      globalThis.socket = this;
    }
  };
}

/**
 * Scrolls up in steps. After each, lets the page hear of it, and makes it draw something that is not among the messages.
 * Returns how far the end is then below the view.
 */
async function scrollAndDraw(timeline, steps) {
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const data = JSON.stringify({ ev: "told", ts: Date.now(), from: "lee", text: "psst" });
  for (const pixels of steps) {
    timeline.scrollTop -= pixels;
    await frame();
    await frame();
    globalThis.socket.dispatchEvent(new MessageEvent("message", { data }));
    await frame();
    await frame();
  }
  return timeline.scrollHeight - timeline.scrollTop - timeline.clientHeight;
}

test("what is drawn while a member scrolls near the end does not stop the following", async () => {
  const bob = await fill("drawn");
  const visit = await visitor(server);
  await visit.context.addInitScript(keepSocket);
  const page = await visit.join("kim", "drawn");
  await shows(page, "message 199");
  await until(async () => (await below(page)) < 1, () => "the end");
  await page.locator("#timeline").evaluate(scrollAndDraw, [10]);
  await page.locator("#latest").waitFor({ state: "hidden" });
  await bob.sayMany("drawn", ["followed"]);
  await shows(page, "followed");
  await until(async () => (await below(page)) < 1, () => "the end");
  assert.equal(await page.locator(".unread-line").count(), 0);
  bob.close();
  await visit.close();
});

test("what is drawn while a member scrolls up slowly does not bring the end back", async () => {
  const bob = await fill("slow");
  const visit = await visitor(server);
  await visit.context.addInitScript(keepSocket);
  const page = await visit.join("kim", "slow");
  await shows(page, "message 199");
  await until(async () => (await below(page)) < 1, () => "the end");
  const far = await page.locator("#timeline").evaluate(scrollAndDraw, [5, 5, 5, 5]);
  assert.ok(far >= 19, `${far} pixels`);
  bob.close();
  await visit.close();
});

test("writing several lines does not leave the end", async () => {
  const bob = await fill("lines");
  const visit = await visitor(server);
  const page = await visit.join("kim", "lines");
  await shows(page, "message 199");
  const field = page.locator("#field");
  await field.focus();
  for (const letter of "abcdef") {
    await page.keyboard.press(letter);
    await page.keyboard.press("Shift+Enter");
  }
  await page.keyboard.type("and a last line");
  await until(async () => (await below(page)) < 1, () => "the end");
  await bob.sayMany("lines", ["followed"]);
  await shows(page, "followed");
  await until(async () => (await below(page)) < 1, () => "the end");
  assert.equal(await page.locator("#latest").isVisible(), false);
  bob.close();
  await visit.close();
});
