import axe from "axe-core";
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { closeBrowser, Line, picture, say, Server, shows, until, visitor } from "./harness.js";

let server;
before(async () => {
  server = await Server.patient("--motd", "be kind to each other");
});
after(async () => {
  await closeBrowser();
  await server.stop();
});

/** What axe-core finds wrong with the page as it is now. */
async function violations(page) {
  // The page's own policy allows no foreign script, so it is run by the debugger.
  await page.evaluate(axe.source);
  const { violations: found } = await page.evaluate(() => globalThis.axe.run());
  return found.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" | ")}`);
}

async function noSideways(page) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${wide} pixels too wide`);
}

async function fill(room) {
  const alice = await Line.join(server, "alice", room);
  const bob = await Line.join(server, "민수", room);
  alice.command({ cmd: "topic", room, text: "on call: kim · 이번 주 배포는 목요일" });
  await alice.sayMany(room, ["Morning! The deploy went out.", "Details: https://status.example.org/deploys/2026-11-30?view=full",
    "A longer message, to see how lines break when somebody explains what happened during the night: the queue grew, the workers were restarted, and then it was fine again."]);
  await bob.sayMany(room, ["좋은 아침입니다", "어젯밤 결제 서버가 잠깐 멈췄는데 지금은 괜찮아요. 로그를 더 보고 있습니다.", "kim님 확인 부탁드려요"]);
  alice.command({ cmd: "act", room, text: "looks at the graphs" });
  await alice.sayMany(room, ["Averyveryveryveryveryveryveryveryveryveryveryveryveryveryveryverylongwordthatmustbreaksomewhere"]);
  return [alice, bob];
}

for (const [width, height, scheme, locale] of [
  [1280, 800, "light", "en-US"], [1280, 800, "dark", "ko-KR"], [320, 640, "light", "ko-KR"], [800, 700, "dark", "en-US"],
]) {
  test(`the page fits ${width} pixels, ${scheme}, ${locale}, and axe finds nothing`, async () => {
    const room = `ops-${width}-${scheme}`;
    const lines = await fill(room);
    const visit = await visitor(server, {
      viewport: { width, height }, colorScheme: scheme, locale, reducedMotion: "reduce", hasTouch: width < 400,
    });
    const name = `${width}-${scheme}`;
    const first = await visit.open(`#${room}`);
    await first.locator("#join-nick").waitFor();
    await noSideways(first);
    await picture(first, `${name}-join`);
    assert.deepEqual(await violations(first), []);
    await first.locator("#join-nick").fill("kim");
    await first.locator("#join-enter").click();
    const page = first;
    await shows(page, "Averyvery");
    await say(page, "네, 바로 볼게요");
    await shows(page, "바로 볼게요");
    lines[0].command({ cmd: "tell", to: "kim", text: "psst" });
    await until(async () => (await page.locator("#direct-list .badge").count()) > 0, () => "a direct message");
    await noSideways(page);
    await picture(page, name);
    assert.deepEqual(await violations(page), []);
    if (await page.locator("#rooms-toggle").isVisible()) {
      await page.locator("#rooms-toggle").click();
      // It is in its place once it no longer moves.
      await page.locator("#rooms-close").click({ trial: true });
      await picture(page, `${name}-rooms`);
      assert.deepEqual(await violations(page), []);
      await page.keyboard.press("Escape");
    }
    if (await page.locator("#members").isHidden()) await page.locator("#members-open").click();
    await page.locator(".member", { hasText: "kim" }).waitFor();
    await picture(page, `${name}-members`);
    assert.deepEqual(await violations(page), []);
    await page.keyboard.press("Control+Shift+F");
    await page.locator("#query").fill("deploy");
    await page.locator("#query").press("Enter");
    await page.locator(".find").first().waitFor();
    await picture(page, `${name}-search`);
    await noSideways(page);
    assert.deepEqual(await violations(page), []);
    await page.locator("#panel-close").click();
    await page.keyboard.press("Control+k");
    await page.locator(".listed").first().waitFor();
    await picture(page, `${name}-join-room`);
    assert.deepEqual(await violations(page), []);
    await page.keyboard.press("Escape");
    await page.locator("#field").fill("/");
    await page.locator("#field").press("End");
    await page.locator("#field").pressSequentially("m");
    await page.locator("#options").waitFor();
    await picture(page, `${name}-complete`);
    assert.deepEqual(await violations(page), []);
    await page.keyboard.press("Escape");
    await say(page, "/help");
    await page.locator("#help-dialog[open]").waitFor();
    await picture(page, `${name}-help`);
    assert.deepEqual(await violations(page), []);
    await page.keyboard.press("Escape");
    await page.evaluate(() => document.querySelector("#settings-open").click());
    await page.locator("#settings-dialog[open]").waitFor();
    await picture(page, `${name}-settings`);
    await noSideways(page);
    assert.deepEqual(await violations(page), []);
    for (const line of lines) line.close();
    await visit.close();
  });
}

test("a screen reader is given one message at a time", async () => {
  const visit = await visitor(server);
  const page = await visit.join("kim", "spoken");
  await page.evaluate(() => {
    globalThis.spoken = [];
    const live = document.querySelector("#live");
    new MutationObserver(() => live.textContent && globalThis.spoken.push(live.textContent))
      .observe(live, { childList: true, characterData: true, subtree: true });
  });
  const bob = await Line.join(server, "bob", "spoken");
  await bob.sayMany("spoken", ["one", "two"]);
  await until(() => page.evaluate(() => globalThis.spoken.length === 2), () => "two texts");
  assert.deepEqual(await page.evaluate(() => globalThis.spoken), ["bob in #spoken: one", "bob in #spoken: two"]);
  bob.close();
  await visit.close();
});

test("the page works with keys alone", async () => {
  const visit = await visitor(server);
  const page = await visit.open("#keyboard");
  await page.locator("#join-nick:focus").waitFor();
  await page.keyboard.type("kim");
  await page.keyboard.press("Enter");
  await page.locator("#app:not([hidden])").waitFor();
  const focused = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.className || "");
  await until(async () => (await focused()) === "field", () => "the field to have the focus");
  await page.keyboard.type("typed");
  await page.keyboard.press("Enter");
  await shows(page, "typed");
  const order = [];
  for (let step = 0; step < 14; step += 1) {
    await page.keyboard.press("Tab");
    order.push(await focused());
  }
  // After the panel, the focus leaves the page and begins anew at its top.
  assert.deepEqual(order.map((name) => name.replace(/ .*/, "")), [
    "icon-button", "panel-close", "leave", "", "skip", "help-open", "settings-open", "room", "room-add", "topic",
    "search-open", "members-open", "timeline", "field",
  ]);
  await visit.close();
});
