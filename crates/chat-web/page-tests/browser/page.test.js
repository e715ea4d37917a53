import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { closeBrowser, Line, picture, say, Server, shows, texts, until, visitor } from "./harness.js";

let server;
before(async () => {
  server = await Server.patient("--motd", "be kind to each other");
});
after(async () => {
  await closeBrowser();
  await server.stop();
});

const names = (page, list = "#room-list") => page.locator(`${list} .name`).allTextContents();

test("the address has the nick and the rooms, and follows what is shown", async () => {
  const visit = await visitor(server);
  const page = await visit.open("?nick=kim#address,%ED%95%9C%EA%B8%80");
  await page.locator("#room-name", { hasText: "address" }).waitFor();
  await page.locator(".room:not(.away)", { hasText: "한글" }).waitFor();
  assert.deepEqual(await names(page), ["address", "한글"]);
  assert.equal(await page.locator("#me").textContent(), "kim");
  await page.locator(".room", { hasText: "한글" }).click();
  await until(() => decodeURIComponent(new URL(page.url()).hash) === "#한글", () => "the room in the address");
  await page.goBack();
  await page.locator("#room-name", { hasText: "address" }).waitFor();
  await page.evaluate(() => (location.hash = "#third"));
  await page.locator("#room-name", { hasText: "third" }).waitFor();
  await page.evaluate(() => (location.hash = "#@bob"));
  await page.locator("#app.direct #room-name", { hasText: "bob" }).waitFor();
  await visit.close();
});

test("the first visit needs no nick, and shows what the server has to say", async () => {
  const visit = await visitor(server);
  const page = await visit.open();
  await page.locator("#join-enter").click();
  await page.locator("#room-name", { hasText: "lobby" }).waitFor();
  await page.locator("#me", { hasText: /^guest-/ }).waitFor();
  await page.locator(".note", { hasText: "be kind to each other" }).waitFor();
  await visit.close();
});

test("each command does what help says", async () => {
  const visit = await visitor(server);
  const page = await visit.join("kim", "commands");
  const bob = await Line.join(server, "bob", "commands");
  await say(page, "/me waves");
  await page.locator(".message.act .text", { hasText: "kim waves" }).waitFor();
  await say(page, "//me");
  await shows(page, "/me");
  await say(page, "/topic on call: kim");
  await page.locator("#topic", { hasText: "on call: kim" }).waitFor();
  await say(page, "/topic -");
  await page.locator("#topic", { hasText: "No topic" }).waitFor();
  await say(page, "/who");
  await page.locator(".member", { hasText: "bob" }).waitFor();
  await say(page, "/nick kim2");
  await page.locator("#me", { hasText: "kim2" }).waitFor();
  await bob.sees('"ev":"renamed","room":"commands","nick":"kim","to":"kim2"');
  await say(page, "/nick bob");
  await page.locator("#hint.error", { hasText: "taken" }).waitFor();
  await say(page, "/msg bob psst");
  await bob.sees('"ev":"told"');
  await page.locator("#room-name", { hasText: "bob" }).waitFor();
  await say(page, "/leave");
  await page.locator("#room-name", { hasText: "commands" }).waitFor();
  await say(page, "/join more");
  await page.locator("#room-name", { hasText: "more" }).waitFor();
  await say(page, "/leave");
  await page.locator("#room-name", { hasText: "commands" }).waitFor();
  assert.deepEqual(await names(page), ["commands"]);
  await say(page, "/search waves");
  await page.locator("#found", { hasText: "1 found" }).waitFor();
  await say(page, "/rooms");
  await page.locator(".listed", { hasText: "#commands" }).waitFor();
  await page.keyboard.press("Escape");
  await say(page, "/help");
  const help = page.locator("#help-dialog");
  for (const command of ["help", "join", "leave", "me", "msg", "nick", "quit", "rooms", "search", "topic", "who"]) {
    await help.locator("dt", { hasText: `/${command}` }).first().waitFor();
  }
  await page.keyboard.press("Escape");
  await say(page, "/msg bob ");
  await page.locator("#hint.error", { hasText: "/msg needs more" }).waitFor();
  await say(page, "/quit");
  await page.locator("#connection", { hasText: "You left." }).waitFor();
  await bob.sees('"ev":"left","room":"commands","nick":"kim2"');
  await page.locator("#connection-retry", { hasText: "Join again" }).click();
  await page.locator("#connection").waitFor({ state: "hidden" });
  bob.close();
  await visit.close();
});

test("members are listed as they come and go, and a click writes to one of them", async () => {
  const visit = await visitor(server);
  const page = await visit.join("kim", "members");
  await page.locator(".member", { hasText: "kim" }).waitFor();
  const bob = await Line.join(server, "bob", "members");
  await page.locator(".note", { hasText: "bob joined" }).waitFor();
  await page.locator("button.member", { hasText: "bob" }).click();
  await page.locator("#app.direct #room-name", { hasText: "bob" }).waitFor();
  await say(page, "psst");
  await bob.sees('"text":"psst"');
  await page.locator(".room", { hasText: "members" }).click();
  bob.close();
  await page.locator(".note", { hasText: "bob left" }).waitFor();
  await page.locator("button.member", { hasText: "bob" }).waitFor({ state: "detached" });
  await visit.close();
});

test("messages of one member are grouped, with days and times", async () => {
  const visit = await visitor(server, { timezoneId: "Asia/Seoul" });
  const page = await visit.join("kim", "groups");
  const bob = await Line.join(server, "bob", "groups");
  await bob.sayMany("groups", ["one", "two"]);
  const eve = await Line.join(server, "eve", "groups");
  await eve.sayMany("groups", ["three"]);
  await shows(page, "three");
  assert.deepEqual(await page.locator(".message .from").allTextContents(), ["bob", "eve"]);
  assert.equal(await page.locator(".day").count(), 1);
  assert.equal(await page.locator(".day").textContent(), "Today");
  const time = page.locator(".message time").first();
  assert.match(await time.textContent(), /^\d{1,2}:\d\d\s[AP]M$/);
  await time.hover();
  await until(async () => /20\d\d/.test(await time.getAttribute("title")), () => "the full time");
  for (const line of [bob, eve]) line.close();
  await visit.close();
});

test("suggestions are chosen by arrows, by the mouse, and closed by Escape", async () => {
  const visit = await visitor(server);
  const page = await visit.join("kim", "suggestions");
  const lines = [await Line.join(server, "anna", "suggestions"), await Line.join(server, "annika", "suggestions")];
  await page.locator("#members-count", { hasText: "3" }).waitFor();
  const field = page.locator("#field");
  await field.pressSequentially("@ann");
  await page.locator("#options [aria-selected=true]", { hasText: "anna" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.locator("#options [aria-selected=true]", { hasText: "annika" }).waitFor();
  assert.equal(await field.getAttribute("aria-activedescendant"), "option-1");
  await page.keyboard.press("Enter");
  assert.equal(await field.inputValue(), "@annika ");
  await field.pressSequentially("and @ann");
  await page.locator("#options div", { hasText: "anna" }).click();
  assert.equal(await field.inputValue(), "@annika and @anna ");
  await field.pressSequentially("@");
  await page.locator("#options").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#options").waitFor({ state: "hidden" });
  await page.keyboard.press("Enter");
  await shows(page, "@annika and @anna @");
  for (const line of lines) line.close();
  await visit.close();
});

test("a mention plays a sound if the member wants that, and its notification leads to the room", async () => {
  const visit = await visitor(server);
  await visit.context.addInitScript(() => {
    globalThis.notifications = [];
    globalThis.tones = 0;
    globalThis.Notification = class {
      static permission = "default";
      static async requestPermission() {
        return (this.permission = "granted");
      }
      constructor() {
        globalThis.notifications.push(this);
      }
      close() {}
    };
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (...args) {
      globalThis.tones += 1;
      return start.apply(this, args);
    };
  });
  const page = await visit.open("#sound,quiet?nick=kim");
  await page.locator(".room:not(.away)", { hasText: "quiet" }).waitFor();
  await page.locator("#settings-open").click();
  await page.locator("#settings-sound").check();
  const sample = await page.evaluate(() => globalThis.tones);
  assert.ok(sample > 0, "a sound shows what it is like");
  await page.locator("#settings-notify").check();
  await page.keyboard.press("Escape");
  const bob = await Line.join(server, "bob", "quiet");
  bob.command({ cmd: "say", room: "quiet", text: "kim?" });
  await until(() => page.evaluate(() => globalThis.notifications.length === 1), () => "a notification");
  assert.ok((await page.evaluate(() => globalThis.tones)) > sample);
  await page.evaluate(() => globalThis.notifications[0].onclick());
  await page.locator("#room-name", { hasText: "quiet" }).waitFor();
  await shows(page, "kim?");
  await page.reload();
  await page.locator("#settings-open").click();
  assert.equal(await page.locator("#settings-sound").isChecked(), true);
  bob.close();
  await visit.close();
});

test("the appearance follows the system, unless the member chooses one", async () => {
  const visit = await visitor(server, { colorScheme: "dark" });
  const page = await visit.join("kim", "theme");
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await background();
  await page.emulateMedia({ colorScheme: "light" });
  const light = await background();
  assert.notEqual(dark, light);
  await page.locator("#settings-open").click();
  await page.locator("input[value=dark]").check();
  assert.equal(await background(), dark);
  await page.reload();
  await page.locator("#app:not([hidden])").waitFor();
  assert.equal(await background(), dark);
  await visit.close();
});

test("the texts follow the browser's language", async () => {
  for (const [locale, language, enter] of [["ko-KR", "ko", "들어가기"], ["en-GB", "en", "Join"], ["fr-FR", "en", "Join"]]) {
    const visit = await visitor(server, { locale });
    const page = await visit.open();
    await page.locator("#join-enter", { hasText: enter }).waitFor();
    assert.equal(await page.locator("html").getAttribute("lang"), language);
    await visit.close();
  }
});

test("nothing moves for a member who wants no motion", async () => {
  for (const reducedMotion of ["reduce", "no-preference"]) {
    const visit = await visitor(server, { reducedMotion, viewport: { width: 320, height: 640 } });
    const page = await visit.join("kim", "motion");
    const moves = await page.evaluate(() => {
      const elements = [...document.querySelectorAll("*")].map((element) => getComputedStyle(element));
      return elements.some((style) => /[1-9]/.test(style.transitionDuration.replace(/1e-05s/g, "0s")));
    });
    assert.equal(moves, reducedMotion === "no-preference");
    await visit.close();
  }
});

test("a phone's page works by touch", async () => {
  const visit = await visitor(server, { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true, locale: "ko-KR" });
  const page = await visit.open("#touch,other");
  await page.locator("#join-nick").fill("kim");
  await page.locator("#join-enter").tap();
  await page.locator("#room-name", { hasText: "touch" }).waitFor();
  // The keyboard does not cover the messages before it is wanted.
  assert.notEqual(await page.evaluate(() => document.activeElement?.id), "field");
  await page.locator("#field").tap();
  await page.keyboard.insertText("손가락으로 씁니다");
  await page.locator(".send").tap();
  await shows(page, "손가락으로 씁니다");
  await page.locator("#rooms-toggle").tap();
  await page.locator(".room", { hasText: "other" }).tap();
  await page.locator("#room-name", { hasText: "other" }).waitFor();
  await page.locator("#app:not(.drawer)").waitFor();
  await page.locator("#rooms-toggle").tap();
  await page.locator("#shade").tap({ position: { x: 310, y: 300 } });
  await page.locator("#app:not(.drawer)").waitFor();
  await page.locator("#members-open").tap();
  await page.locator(".member", { hasText: "kim" }).waitFor();
  await page.locator("#panel-close").tap();
  // What is tapped is large enough for a finger.
  const small = await page.evaluate(() => [...document.querySelectorAll("button, input, textarea")].filter((element) => {
    const { width, height } = element.getBoundingClientRect();
    return element.checkVisibility({ visibilityProperty: true }) && element.id !== "skip" && element.id !== "topic"
      && width > 0 && (height < 40 || width < 40);
  }).map((element) => element.id || element.className));
  assert.deepEqual(small, []);
  await picture(page, "320-touch");
  await visit.close();
});

test("many lines of one paste are messages in their order", async () => {
  const visit = await visitor(server);
  const page = await visit.join("kim", "lines");
  const bob = await Line.join(server, "bob", "lines");
  await page.locator("#field").fill("one\ntwo\n\nthree");
  await page.locator("#field").press("Enter");
  await shows(page, "three");
  assert.deepEqual(await texts(page), ["one", "two", "three"]);
  await bob.sees('"text":"three"');
  await page.locator("#field").fill(Array.from({ length: 21 }, (_, index) => `line ${index}`).join("\n"));
  await page.locator("#field").press("Enter");
  await page.locator("#hint.error", { hasText: "At most 20 lines" }).waitFor();
  await page.locator("#field").fill("가".repeat(1_400));
  await page.locator("#field").press("Enter");
  await page.locator("#hint.error", { hasText: "Too long: 4200 of 4096 bytes" }).waitFor();
  bob.close();
  await visit.close();
});
