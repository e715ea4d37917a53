import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { closeBrowser, Line, Server, shows, until, visitor } from "./harness.js";

const COUNT = 800;
const directory = mkdtempSync(join(tmpdir(), "chat-page-"));
let server;
let bob;

before(async () => {
  server = await Server.patient("--data", join(directory, "chat.db"), "--sync", "normal");
  bob = await Line.join(server, "bob", "long");
  await bob.sayMany("long", Array.from({ length: COUNT }, (_, index) =>
    (index === 120 ? "a needle in the hay" : `message ${index} ${"word ".repeat(index % 40)}`)));
});
after(async () => {
  await closeBrowser();
  bob.close();
  await server.stop();
  rmSync(directory, { recursive: true });
});

/** The row in the middle of the view, and where it is. */
function middle(page) {
  return page.evaluate(() => {
    const timeline = document.querySelector("#timeline");
    const box = timeline.getBoundingClientRect();
    const row = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2)?.closest("[data-id]");
    return row === null || row === undefined ? null : { id: row.dataset.id, top: row.getBoundingClientRect().top };
  });
}

test("history loads upwards without a jump, and few rows have elements", async () => {
  const visit = await visitor(server);
  const page = await visit.join("kim", "long");
  await shows(page, `message ${COUNT - 1}`);
  const timeline = page.locator("#timeline");
  let most = 0;
  let jumped = 0;
  const begins = page.locator(".top", { hasText: "begins" });
  for (let step = 0; ; step += 1) {
    assert.ok(step < 400, "the beginning is not reached");
    const before = await middle(page);
    await timeline.evaluate((element) => {
      element.scrollTop -= 400;
    });
    // Two frames: one for the event, one for what it made.
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    if (before !== null) {
      const moved = await page.evaluate(({ id, top }) => {
        const row = [...document.querySelectorAll("[data-id]")].find((one) => one.dataset.id === id);
        return row === undefined ? null : row.getBoundingClientRect().top - top;
      }, before);
      if (moved === null || moved < -1 || moved > 401) jumped += 1;
    }
    most = Math.max(most, await page.locator("[data-id]").count());
    const isAtTop = () => timeline.evaluate((element) => element.scrollTop === 0);
    if (!(await isAtTop())) continue;
    if (await begins.isVisible()) break;
    // Earlier messages are being read. They are put above what is in view.
    await until(async () => !(await isAtTop()) || begins.isVisible(), () => "earlier messages");
  }
  assert.equal(jumped, 0);
  assert.ok(most <= 320, `${most} rows`);
  await shows(page, "message 0");
  await page.locator("#latest").click();
  await shows(page, `message ${COUNT - 1}`);
  await visit.close();
});

test("a message that arrives does not move what is read further up", async () => {
  const visit = await visitor(server);
  const page = await visit.join("kim", "long");
  await shows(page, `message ${COUNT - 1}`);
  await page.locator("#timeline").evaluate((element) => {
    element.scrollTop -= 900;
  });
  // The page has seen that it is scrolled. It scrolled nothing back: end.test.js.
  await page.locator("#latest").waitFor();
  const before = await middle(page);
  bob.command({ cmd: "say", room: "long", text: "another" });
  await page.locator("#latest", { hasText: "1 new" }).waitFor();
  const now = await middle(page);
  assert.equal(now.id, before.id);
  assert.ok(Math.abs(now.top - before.top) < 1, `${now.top - before.top} pixels`);
  await page.locator("#latest").click();
  await shows(page, "another");
  await until(async () => (await page.title()) === "#long · Chat", () => "nothing unread");
  await visit.close();
});

test("a search in the log leads to its finds, and back", async () => {
  const visit = await visitor(server);
  const page = await visit.join("kim", "long");
  await page.keyboard.press("Control+Shift+F");
  await page.locator("#query").fill("needle");
  await page.locator("#query").press("Enter");
  await page.locator("#found", { hasText: "1 found" }).waitFor();
  await page.locator(".find").click();
  const found = page.locator(".message.found");
  await found.waitFor();
  assert.match(await found.textContent(), /a needle in the hay/);
  await found.evaluate((element) => {
    const box = element.getBoundingClientRect();
    if (box.top < 0 || box.bottom > innerHeight) throw new Error("not in view");
  });
  await page.locator("#timeline").evaluate((element) => {
    element.scrollTop = element.scrollHeight;
  });
  await shows(page, "message 200");
  await page.keyboard.press("Escape");
  await page.locator("#latest").click();
  await page.locator("#latest").waitFor({ state: "hidden" });
  await visit.close();
});

test("unread messages begin at a line", async () => {
  const visit = await visitor(server);
  const page = await visit.join("kim", "quiet");
  await page.evaluate(() => (location.hash = "#long"));
  await page.locator(".room[aria-current]", { hasText: "long" }).waitFor();
  const eve = await Line.join(server, "eve", "quiet");
  await eve.sayMany("quiet", ["one", "two", "three"]);
  await page.locator(".room", { hasText: "quiet" }).locator(".badge", { hasText: "3" }).waitFor();
  await page.locator(".room", { hasText: "quiet" }).click();
  await page.locator(".unread-line + .message", { hasText: "one" }).waitFor();
  await until(async () => (await page.locator(".room .badge:visible").count()) === 0, () => "no badge");
  eve.close();
  await visit.close();
});

test("missing messages are shown as a gap", async () => {
  const memory = await Server.patient();
  const visit = await visitor(memory);
  const page = await visit.join("kim", "gap");
  const eve = await Line.join(memory, "eve", "gap");
  eve.command({ cmd: "say", room: "gap", text: "before" });
  await shows(page, "before");
  await memory.kill();
  await page.locator("#connection.shown").waitFor();
  await memory.start();
  const again = await Line.join(memory, "eve", "gap");
  again.command({ cmd: "say", room: "gap", text: "after" });
  await shows(page, "after");
  await page.locator(".gap", { hasText: "began anew" }).waitFor();
  await shows(page, "before");
  again.close();
  await visit.close();
  await memory.stop();
});
