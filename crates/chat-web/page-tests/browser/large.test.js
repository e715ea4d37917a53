import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { closeBrowser, importMessages, Line, Server, shows, until, visitor } from "./harness.js";

/** Several times what a room's window holds. 100,000 take some minutes. */
const COUNT = Number(process.env.MESSAGES ?? 8_000);
const directory = mkdtempSync(join(tmpdir(), "chat-page-"));
let server;
before(async () => {
  const file = join(directory, "chat.db");
  const start = Date.UTC(2026, 0, 1);
  await importMessages(file, Array.from({ length: COUNT }, (_, index) => ({
    room: "big", seq: index + 1, ts: start + index * 20_000, from: ["alice", "bob", "민수"][(index >> 2) % 3], kind: "said",
    text: `message ${index} ${"word ".repeat(index % 30)}`,
  })));
  server = await Server.patient("--data", file, "--sync", "normal");
});
after(async () => {
  await closeBrowser();
  await server?.stop();
  rmSync(directory, { recursive: true });
});

/** Scrolls as far as it goes, by less than a screen a frame, and measures. Runs in the page. */
async function scroll({ step, until }) {
  const timeline = document.querySelector("#timeline");
  const frames = [];
  let rows = 0;
  let jumps = 0;
  let still = 0;
  let last = performance.now();
  while (still < 1_000) {
    const before = timeline.scrollTop;
    const anchor = [...timeline.querySelectorAll("[data-id]")].find((row) => row.getBoundingClientRect().top > 200);
    // Between two renders there may be no such row.
    if (anchor === undefined) {
      still += 1;
      await new Promise(requestAnimationFrame);
      continue;
    }
    const was = anchor.getBoundingClientRect().top;
    timeline.scrollTop += step;
    const scrolled = timeline.scrollTop - before;
    // Two frames later the page has drawn what the scrolling asked for. What was in view has moved as far as it was
    // scrolled.
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    if (anchor.isConnected && Math.abs(was - scrolled - anchor.getBoundingClientRect().top) > 2) jumps += 1;
    const now = performance.now();
    frames.push((now - last) / 2);
    last = now;
    rows = Math.max(rows, timeline.childElementCount);
    still = scrolled === 0 ? still + 1 : 0;
    const texts = timeline.querySelectorAll(".text");
    if (still > 1 && texts[until.end === "first" ? 0 : texts.length - 1]?.textContent.startsWith(until.text)) break;
  }
  frames.sort((a, b) => a - b);
  const at = (share) => Math.round(frames[Math.floor((frames.length - 1) * share)] * 10) / 10;
  return { reached: still < 1_000, rows, jumps, frames: frames.length, median: at(0.5), p99: at(0.99), slowest: at(1) };
}

test(`${COUNT} messages are scrolled through without a jump, with few elements and little memory`, async (context) => {
  const visit = await visitor(server);
  const page = await visit.join("kim", "big");
  await shows(page, `message ${COUNT - 1}`);
  const devtools = await page.context().newCDPSession(page);
  const memory = async () => {
    await devtools.send("HeapProfiler.collectGarbage");
    return Math.round((await devtools.send("Runtime.getHeapUsage")).usedSize / 2 ** 20 * 10) / 10;
  };
  const first = await memory();
  const up = await page.evaluate(scroll, { step: -2_000, until: { end: "first", text: "message 0 " } });
  context.diagnostic(`up: ${JSON.stringify(up)}`);
  const full = await memory();
  context.diagnostic(`heap: ${first} MiB at first, ${full} MiB at the beginning of the log`);
  assert.ok(up.reached);
  assert.equal(up.jumps, 0);
  assert.ok(up.rows < 400, `${up.rows} elements`);
  assert.ok(full < 32, `${full} MiB`);
  // The page asks for what is above the first message when it is scrolled there.
  const top = page.locator(".top", { hasText: "This is where #big begins." });
  await until(async () => {
    await page.locator("#timeline").evaluate((timeline) => timeline.scrollTo({ top: timeline.scrollTop > 0 ? 0 : 1 }));
    return top.isVisible();
  }, () => "the beginning of the room");
  const down = await page.evaluate(scroll, { step: 2_000, until: { end: "last", text: `message ${COUNT - 1} ` } });
  context.diagnostic(`down: ${JSON.stringify(down)}`);
  assert.ok(down.reached);
  assert.equal(down.jumps, 0);
  assert.ok(down.rows < 400, `${down.rows} elements`);
  const bob = await Line.join(server, "bob", "big");
  await bob.sayMany("big", ["the latest"]);
  await shows(page, "the latest");
  bob.close();
  await visit.close();
});
