import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { closeBrowser, Line, Network, say, Server, shows, texts, until, visitor } from "./harness.js";

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

/** The commands that the page sends from now on. */
function commands(page) {
  const sent = [];
  page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => sent.push(JSON.parse(payload))));
  return sent;
}

for (const [direction, what] of [["down", "answer"], ["up", "message"]]) {
  test(`a message whose ${what} is lost stays pending, is sent again under its key, and is said once`, async () => {
    const network = await Network.to(server);
    const visit = await visitor(network);
    const page = await visit.context.newPage();
    const sent = commands(page);
    const room = `lost-${direction}`;
    await page.goto(`${network.url}#${room}?nick=kim`);
    await page.locator(".room[aria-current]:not(.away)").waitFor();
    const bob = await Line.join(server, "bob", room);
    network.loses[direction] = true;
    await say(page, "once");
    const says = () => sent.filter((command) => command.cmd === "say");
    await until(() => says().length === 1, () => "the message to be sent");
    if (direction === "down") await bob.sees('"text":"once"');
    await page.locator(".message.pending", { hasText: "once" }).waitFor();
    assert.deepEqual(await texts(page), []);
    network.cut();
    await shows(page, "once");
    await until(async () => (await page.locator(".message.pending").count()) === 0, () => "nothing to be pending");
    await say(page, "and then this");
    await shows(page, "and then this");
    assert.deepEqual(await texts(page), ["once", "and then this"]);
    const [first, again] = says();
    assert.equal(first.key, again.key);
    await bob.sees('"text":"and then this"');
    assert.equal(bob.received.split('"text":"once"').length - 1, 1);
    bob.close();
    await visit.close();
    network.close();
  });
}

test("a connection that is cut again and again leaves no hole and shows nothing twice", async () => {
  const network = await Network.to(server);
  const visit = await visitor(network);
  const page = await visit.join("kim", "cuts");
  const bob = await Line.join(server, "bob", "cuts");
  const wanted = [];
  for (let round = 0; round < 6; round += 1) {
    const part = Array.from({ length: 20 }, (_, index) => `round ${round}, message ${index}`);
    wanted.push(...part);
    // Something is on its way while the connection ends.
    const saying = bob.sayMany("cuts", part);
    if (round % 2 === 0) await shows(page, `round ${round}, message 0`);
    network.cut();
    await saying;
    await shows(page, `round ${round}, message 19`);
    bob.received = "";
  }
  assert.deepEqual(await texts(page), wanted);
  assert.equal(await page.locator(".gap").count(), 0);
  bob.close();
  await visit.close();
  network.close();
});

test("a page without a connection says so, keeps what is written, and sends it later in its order", async () => {
  const network = await Network.to(server);
  const visit = await visitor(network);
  const page = await visit.join("kim", "away");
  const notice = page.locator("#connection");
  assert.equal(await notice.isVisible(), false);
  network.refuses = true;
  network.cut();
  await notice.filter({ hasText: "Offline. Your messages are kept and sent later." }).waitFor();
  await page.locator("#connection-retry", { hasText: "Try now" }).waitFor();
  await say(page, "first");
  await say(page, "/me waits");
  await say(page, "last");
  await until(async () => (await page.locator(".message.pending").count()) === 3, () => "three pending messages");
  await say(page, "/topic nobody hears this");
  await page.locator("#hint.error", { hasText: "needs a connection" }).waitFor();
  network.refuses = false;
  // The page may be connecting by itself at this moment, and the button is then hidden.
  await page.locator("#connection-retry").dispatchEvent("click");
  await until(async () => (await page.locator(".message.pending").count()) === 0, () => "nothing to be pending");
  await notice.waitFor({ state: "hidden" });
  assert.deepEqual(await texts(page), ["first", "kim waits", "last"]);
  await visit.close();
  network.close();
});

test("messages that a server in memory has forgotten are shown as a gap", async () => {
  const memory = await Server.patient();
  const network = await Network.to(memory);
  const visit = await visitor(network);
  const page = await visit.join("kim", "ring");
  const bob = await Line.join(memory, "bob", "ring");
  await bob.sayMany("ring", ["before the cut"]);
  await shows(page, "before the cut");
  network.refuses = true;
  network.cut();
  await page.locator("#connection.shown").waitFor();
  // The server keeps 1,024 messages of a room.
  await bob.sayMany("ring", Array.from({ length: 1_400 }, (_, index) => `missed ${index}`));
  network.refuses = false;
  // The page may be connecting by itself at this moment, and the button is then hidden.
  await page.locator("#connection-retry").dispatchEvent("click");
  await shows(page, "missed 1399");
  const gap = page.locator(".gap", { hasText: "messages are missing: the server no longer has them" });
  await until(async () => {
    await page.locator("#timeline").evaluate((element) => (element.scrollTop = 0));
    return gap.isVisible();
  }, () => "the gap");
  // The log's first message is number 1, so the last 1,024 begin at number 378.
  assert.match(await gap.textContent(), /^376 messages/);
  await page.locator(".top", { hasText: "no earlier messages" }).waitFor();
  await shows(page, "missed 376");
  bob.close();
  await visit.close();
  network.close();
  await memory.stop();
});
