import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { closeBrowser, Line, say, Server, shows, texts, until, visitor } from "./harness.js";

const directory = mkdtempSync(join(tmpdir(), "chat-page-"));
let server;

before(async () => {
  server = await Server.patient("--data", join(directory, "chat.db"), "--sync", "normal");
});
after(async () => {
  await closeBrowser();
  await server.stop();
  rmSync(directory, { recursive: true });
});

test("two members and one with nc talk", async () => {
  const [alice, bob] = [await visitor(server), await visitor(server)];
  const one = await alice.join("alice", "talk");
  const two = await bob.join("bob", "talk");
  await say(one, "hello bob");
  await shows(two, "hello bob");
  await shows(one, "hello bob");
  const nc = await Line.open(server);
  nc.write("/nick carol");
  nc.write("/join talk");
  nc.write("hi from nc");
  await shows(one, "hi from nc");
  await say(two, "/me waves");
  await nc.sees("* bob waves");
  assert.equal((await texts(one)).filter((text) => text === "hello bob").length, 1, "own messages are shown once");
  await until(async () => (await one.locator("#members-count").textContent()) === "3", () => "three members");
  nc.close();
  await alice.close();
  await bob.close();
});

test("what a member writes is text, and only web addresses are links", async () => {
  const alice = await visitor(server);
  const page = await alice.join("alice", "markup");
  const bob = await Line.join(server, "bob", "markup");
  bob.command({ cmd: "say", room: "markup", text: "<img src=x onerror=alert(1)> <b>bold</b> javascript:alert(1) https://a.example/?a=1&b=2" });
  bob.command({ cmd: "topic", room: "markup", text: "<script>alert(1)</script>" });
  await shows(page, "<b>bold</b>");
  assert.equal(await page.locator(".timeline img, .timeline .text b, .timeline script").count(), 0);
  const links = await page.locator(".timeline a").evaluateAll((all) => all.map((a) => [a.href, a.rel, a.target]));
  assert.deepEqual(links, [["https://a.example/?a=1&b=2", "noopener noreferrer", "_blank"]]);
  await page.locator("#topic", { hasText: "<script>alert(1)</script>" }).waitFor();
  bob.close();
  await alice.close();
});

/** Writes with an input method: each step is a state of the composition. */
async function compose(page, steps) {
  const cdp = await page.context().newCDPSession(page);
  for (const text of steps) {
    await cdp.send("Input.imeSetComposition", { text, selectionStart: text.length, selectionEnd: text.length });
  }
  return {
    commit: (text) => cdp.send("Input.insertText", { text }),
    enter: (code) => cdp.send("Input.dispatchKeyEvent", {
      type: "rawKeyDown", key: "Enter", code: "Enter", windowsVirtualKeyCode: code,
    }),
  };
}

for (const second of [false, true]) {
  const name = second ? ", where the system repeats the key" : "";
  test(`enter during a Korean composition sends once and complete${name}`, async () => {
    const kim = await visitor(server, { locale: "ko-KR" });
    const room = second ? "한글둘" : "한글";
    const page = await kim.join("김철수", room);
    const bob = await Line.join(server, "bob", room);
    await page.locator("#field").focus();
    let input = await compose(page, ["ㅇ", "아", "안"]);
    await input.commit("안");
    input = await compose(page, ["ㄴ", "녀", "녕"]);
    await until(async () => (await page.locator("#field").inputValue()) === "안녕", () => "the composition in the field");
    await input.enter(229);
    await input.commit("녕");
    if (second) await input.enter(13);
    await shows(page, "안녕");
    await page.locator("#field").pressSequentially("end");
    await page.locator("#field").press("Enter");
    await shows(page, "end");
    assert.deepEqual(await texts(page), ["안녕", "end"]);
    await bob.sees('"text":"end"');
    assert.equal(bob.received.split('"ev":"said"').length - 1, 2);
    bob.close();
    await kim.close();
  });
}

test("enter that chooses a candidate of another language sends nothing", async () => {
  const visit = await visitor(server);
  const page = await visit.join("taro", "kana");
  await page.locator("#field").focus();
  // The page sends what a composition leaves by a timer that it sets when the composition ends. This one is set after it.
  await page.evaluate(() => {
    globalThis.composed = new Promise((done) =>
      document.querySelector("#field").addEventListener("compositionend", () => setTimeout(done)));
  });
  const input = await compose(page, ["に", "にほ", "日本"]);
  await input.enter(229);
  await input.commit("日本");
  await page.evaluate(() => globalThis.composed);
  assert.equal(await page.locator("#field").inputValue(), "日本");
  await page.locator("#field").press("Enter");
  await shows(page, "日本");
  assert.deepEqual(await texts(page), ["日本"]);
  await visit.close();
});

test("a killed server is returned to, with all that was said and nothing twice", async () => {
  const [alice, bob] = [await visitor(server), await visitor(server)];
  const one = await alice.join("alice", "resume");
  const two = await bob.join("bob", "resume");
  await say(one, "before");
  await shows(two, "before");
  await server.kill();
  await one.locator("#connection.shown").waitFor();
  await say(one, "written offline");
  await say(two, "so was this");
  await until(async () => (await one.locator(".message.pending").count()) === 1, () => "a pending message");
  await server.start();
  for (const page of [one, two]) {
    await shows(page, "written offline");
    await shows(page, "so was this");
    await until(async () => (await page.locator(".message.pending").count()) === 0, () => "nothing to be pending");
    assert.equal((await texts(page)).length, 3);
    assert.equal(await page.locator(".gap").count(), 0);
  }
  assert.deepEqual(await texts(one), await texts(two), "in one order");
  await alice.close();
  await bob.close();
});

test("two tabs of one browser are two members, over a reload too", async () => {
  const visit = await visitor(server);
  const one = await visit.join("kim", "tabs");
  const two = await visit.join("kim", "tabs");
  assert.equal(await one.locator("#me").textContent(), "kim");
  assert.equal(await two.locator("#me").textContent(), "kim-2");
  await say(one, "from the first");
  await say(two, "from the second");
  for (const page of [one, two]) await shows(page, "from the second");
  await one.reload();
  await one.locator("#app:not([hidden])").waitFor();
  await shows(one, "from the second");
  assert.equal(await one.locator("#me").textContent(), "kim");
  assert.equal(await two.locator("#connection.shown").count(), 0);
  await visit.close();
});

test("a duplicated tab leaves the first one its session", async () => {
  const visit = await visitor(server);
  const one = await visit.join("kim", "twins");
  // A tab that a page opens begins with a copy of its storage, as a duplicated one does.
  const opened = visit.context.waitForEvent("page");
  await one.evaluate(() => void window.open(location.href));
  const two = await opened;
  await two.locator("#me", { hasText: "kim-2" }).waitFor();
  await say(one, "still here");
  await shows(two, "still here");
  assert.equal(await one.locator("#connection.shown").count(), 0);
  await visit.close();
});

test("a message that was not acknowledged is not lost by a reload", async () => {
  const visit = await visitor(server);
  const page = await visit.join("kim", "reload");
  await server.kill();
  await page.locator("#connection.shown").waitFor();
  await say(page, "kept over a reload");
  if (server.bridge === null) await server.start();
  await page.reload();
  if (server.bridge !== null) await server.start();
  await shows(page, "kept over a reload");
  assert.equal((await texts(page)).length, 1);
  await visit.close();
});

test("a taken name is said at the form", async () => {
  const holder = await Line.join(server, "holder", "form");
  const visit = await visitor(server);
  const page = await visit.open("#form");
  await page.locator("#join-nick").fill("Holder");
  await page.locator("#join-nick").press("Enter");
  await page.locator("#join-error", { hasText: "taken" }).waitFor();
  await page.locator("#join-nick").fill("other");
  await page.locator("#join-enter").click();
  await page.locator("#room-name", { hasText: "form" }).waitFor();
  await page.locator("#me", { hasText: /^other$/ }).waitFor();
  holder.close();
  await visit.close();
});

test("a direct message goes to one member, and is counted", async () => {
  const [alice, bob] = [await visitor(server), await visitor(server)];
  const one = await alice.join("alice", "dm");
  const two = await bob.join("bob", "dm");
  await say(one, "/msg bob psst");
  await one.locator("#room-name", { hasText: "bob" }).waitFor();
  await shows(one, "psst");
  await two.locator("#direct-list .badge", { hasText: "1" }).waitFor();
  await until(async () => (await two.title()).startsWith("(1) "), () => "the title");
  await two.locator("#direct-list button").click();
  await shows(two, "psst");
  await say(two, "heard");
  await shows(one, "heard");
  await until(async () => (await two.title()) === "alice · Chat", () => "the title");
  await alice.close();
  await bob.close();
});

test("a mention in another room is notified, once the member asked for it", async () => {
  const visit = await visitor(server);
  await visit.context.addInitScript(() => {
    globalThis.told = [];
    globalThis.asked = 0;
    globalThis.Notification = class {
      static permission = "default";
      static async requestPermission() {
        globalThis.asked += 1;
        return (this.permission = "granted");
      }
      constructor(title, options) {
        globalThis.told.push([title, options.body]);
      }
      close() {}
    };
  });
  const page = await visit.join("kim", "here");
  await page.evaluate(() => (location.hash = "#there"));
  // What was said before the first join is not unread.
  await page.locator(".room[aria-current]:not(.away)", { hasText: "there" }).waitFor();
  await page.evaluate(() => (location.hash = "#here"));
  await page.locator(".room[aria-current]", { hasText: "here" }).waitFor();
  const bob = await Line.join(server, "bob", "there");
  bob.command({ cmd: "say", room: "there", text: "kim: not yet wanted" });
  const badge = page.locator(".room", { hasText: "there" }).locator(".badge.mentions");
  await badge.waitFor();
  assert.equal(await page.evaluate(() => globalThis.asked), 0, "the page asks only after a click");
  await page.locator("#settings-open").click();
  await page.locator("#settings-notify").check();
  await page.keyboard.press("Escape");
  bob.command({ cmd: "say", room: "there", text: "nobody is meant" });
  bob.command({ cmd: "say", room: "there", text: "@kim 어디야" });
  await until(() => page.evaluate(() => globalThis.told.length), () => "a notification");
  assert.deepEqual(await page.evaluate(() => globalThis.told), [["bob · #there", "@kim 어디야"]]);
  await badge.filter({ hasText: "2" }).waitFor();
  await until(async () => (await page.title()) === "(2) #here · Chat", () => "the title");
  bob.close();
  await visit.close();
});

test("a draft is kept for each room", async () => {
  const visit = await visitor(server);
  const page = await visit.join("kim", "first");
  await say(page, "/join second");
  await page.locator("#room-name", { hasText: "second" }).waitFor();
  await page.locator("#field").fill("for the second");
  await page.keyboard.press("Alt+ArrowUp");
  await page.locator("#room-name", { hasText: "first" }).waitFor();
  assert.equal(await page.locator("#field").inputValue(), "");
  await page.reload();
  await page.locator("#app:not([hidden])").waitFor();
  await page.keyboard.press("Alt+ArrowDown");
  await page.locator("#room-name", { hasText: "second" }).waitFor();
  assert.equal(await page.locator("#field").inputValue(), "for the second");
  await visit.close();
});

test("names and commands are completed by keys", async () => {
  const visit = await visitor(server);
  const page = await visit.join("kim", "keys");
  const bob = await Line.join(server, "bobby", "keys");
  await page.locator("#members-count", { hasText: "2" }).waitFor();
  await page.locator("#field").pressSequentially("bo");
  await page.keyboard.press("Tab");
  assert.equal(await page.locator("#field").inputValue(), "bobby: ");
  await page.locator("#field").fill("");
  await page.locator("#field").pressSequentially("/to");
  await page.keyboard.press("Enter");
  assert.equal(await page.locator("#field").inputValue(), "/topic ");
  await page.locator("#field").pressSequentially("on call");
  await page.keyboard.press("Enter");
  await page.locator("#topic", { hasText: "on call" }).waitFor();
  await say(page, "/jion x");
  await page.locator("#hint.error", { hasText: "/join" }).waitFor();
  bob.close();
  await visit.close();
});
