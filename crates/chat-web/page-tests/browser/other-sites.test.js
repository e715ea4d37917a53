// Pages of other sites, in the browser of a member: they can do nothing to the server, and read nothing of it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { launch, Line, Network, PATIENCE_MS, Server } from "./harness.js";

const ROOM = "ops";
/** What runs in a page has no time limit of its own. */
const LIMIT = { timeout: 10 * PATIENCE_MS };
let server;
let bob;
let foreign;
let browser;

before(async () => {
  server = await Server.patient("--web-host", "chat.test");
  bob = await Line.join(server, "bob", ROOM);
  await bob.sayMany(ROOM, ["the secret"]);
  // A page of another site. It gives away all that it may, and forbids nothing.
  foreign = createServer((request, response) => {
    response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>another site</title><body>");
  });
  foreign.listen(0, "127.0.0.1");
  await once(foreign, "listening");
  foreign.unref();
  // evil.test is another site, whose name may be given this server's address; chat.test is a name of this server.
  browser = await launch("--host-resolver-rules=MAP *.test 127.0.0.1");
});
after(async () => {
  await browser?.close();
  bob?.close();
  foreign?.close();
  await server?.stop();
});

/** Runs in the page. Tries to speak and to listen, and tells what came of it. */
async function attack({ base, room, text }) {
  const messages = `${base}/rooms/${room}/messages`;
  const events = `${base}/rooms/${room}/events`;
  const answer = (request) => request.then(
    async (response) => (response.type === "opaque" ? "opaque" : `${response.status} ${(await response.text()).slice(0, 80)}`),
    () => "blocked",
  );
  const post = (body, init = {}) => answer(fetch(messages, { method: "POST", body, ...init }));
  const open = (protocols) => new Promise((resolve) => {
    const socket = new WebSocket(`${base.replace("http", "ws")}/ws`, protocols);
    socket.onopen = () => {
      socket.send(JSON.stringify({ cmd: "hello", v: 1, nick: "eve", join: [{ room }] }));
      socket.send(JSON.stringify({ cmd: "say", room, text }));
      resolve("open");
    };
    socket.onclose = () => resolve("closed");
  });
  const listen = () => new Promise((resolve) => {
    const source = new EventSource(events);
    const end = (result) => {
      source.close();
      resolve(result);
    };
    source.onopen = () => end("open");
    source.onerror = () => end("closed");
  });
  const load = (tag, address) => new Promise((resolve) => {
    const element = document.createElement(tag);
    element.onload = () => resolve("loaded");
    element.onerror = () => resolve("failed");
    element.src = address;
    document.body.append(element);
  });
  // A page is not told the answer to a beacon, but it can see that there was one.
  const beacon = () => new Promise((resolve) => {
    const observer = new PerformanceObserver((entries) => {
      if (!entries.getEntries().some(({ initiatorType }) => initiatorType === "beacon")) return;
      observer.disconnect();
      resolve("answered");
    });
    observer.observe({ type: "resource" });
    if (!navigator.sendBeacon(messages, text)) resolve("not sent");
  });
  return {
    json: await post(JSON.stringify({ text }), { headers: { "content-type": "application/json" } }),
    text: await post(text, { headers: { "content-type": "text/plain" } }),
    urlencoded: await post(new URLSearchParams({ text })),
    multipart: await post(Object.entries({ text }).reduce((form, [name, value]) => (form.append(name, value), form), new FormData())),
    blind: await post(text, { mode: "no-cors" }),
    blindWithKey: await post(text, { mode: "no-cors", credentials: "include", keepalive: true }),
    beacon: await beacon(),
    put: await answer(fetch(messages, { method: "PUT", body: text })),
    history: await answer(fetch(messages)),
    blindHistory: await answer(fetch(messages, { mode: "no-cors" })),
    search: await answer(fetch(`${messages}?q=secret`)),
    rooms: await answer(fetch(`${base}/rooms`)),
    events: await listen(),
    script: await load("script", messages),
    image: await load("img", `${base}/icon.svg`),
    socket: await open("chat.v1"),
    bareSocket: await open([]),
  };
}

const REFUSED = {
  beacon: "answered",
  json: "blocked", text: "blocked", urlencoded: "blocked", multipart: "blocked", put: "blocked", history: "blocked",
  blindHistory: "blocked", search: "blocked", rooms: "blocked", events: "closed", script: "failed", image: "failed",
  socket: "closed", bareSocket: "closed",
};

let attacks = 0;

/** No member saw a message or an arrival, and the log has nothing new. */
async function nothingWasSaid() {
  // Its answer follows all that was said before.
  attacks += 1;
  const id = `after attack ${attacks}`;
  bob.command({ cmd: "history", id, room: ROOM });
  await bob.sees(`"re":"${id}"`);
  const events = bob.received.split("\n").filter((line) => line.startsWith('{"ev":') && !line.includes('"ping"'));
  assert.deepEqual(events, []);
  const history = await (await fetch(`http://127.0.0.1:${server.port}/rooms/${ROOM}/messages`)).json();
  assert.deepEqual(history.messages.map((message) => message.text), ["the secret"]);
}

/** Submits forms to the server from a page, and gives the status of what each then shows. */
async function submit(page, home, base, text) {
  const shown = [];
  for (const enctype of ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"]) {
    await page.goto(home);
    const navigation = page.waitForNavigation();
    await page.evaluate(([action, value, type]) => {
      const form = document.createElement("form");
      Object.assign(form, { action, method: "POST", enctype: type });
      const field = Object.assign(document.createElement("input"), { name: "text", value });
      form.append(field);
      document.body.append(form);
      form.submit();
    }, [`${base}/rooms/${ROOM}/messages`, text, enctype]);
    shown.push((await navigation).status());
  }
  return shown;
}

// What names the server, and the host names of the other page. For an address of this machine the browser sends
// Sec-Fetch-Site; for chat.test it sends Origin alone.
for (const [host, target] of [
  ["127.0.0.1", "127.0.0.1"], ["localhost", "127.0.0.1"], ["evil.localhost", "127.0.0.1"], ["evil.test", "127.0.0.1"],
  ["evil.localhost", "localhost"], ["127.0.0.1", "chat.test"], ["chat.test", "chat.test"], ["evil.test", "chat.test"],
]) {
  test(`a page of ${host} at another port can do nothing to ${target}`, LIMIT, async () => {
    const base = `http://${target}:${server.port}`;
    const page = await browser.newPage();
    const text = `evil from ${host} to ${target}`;
    const home = `http://${host}:${foreign.address().port}/`;
    await page.goto(home);
    const result = await page.evaluate(attack, { base, room: ROOM, text });
    // A request without CORS may be sent, and its answer says nothing.
    for (const blind of ["blind", "blindWithKey"]) {
      assert.match(result[blind], /^(opaque|blocked)$/);
      delete result[blind];
    }
    assert.deepEqual(result, REFUSED);
    assert.deepEqual(await submit(page, home, base, text), [403, 403, 403]);
    // The server shows itself in no frame.
    await page.goto(home);
    await page.evaluate((address) => new Promise((resolve) => {
      const frame = Object.assign(document.createElement("iframe"), { src: address, onload: resolve });
      document.body.append(frame);
    }), `${base}/`);
    assert.equal(await page.frames()[1].locator("#join-form").count(), 0);
    await nothingWasSaid();
    await page.close();
  });
}

test("a page whose name was given the server's address after it was loaded is refused (DNS rebinding)", LIMIT, async () => {
  const address = { port: foreign.address().port };
  const network = await Network.to(address);
  const base = `http://evil.test:${new URL(network.url).port}`;
  const page = await browser.newPage();
  assert.equal((await page.goto(`${base}/`)).status(), 200);
  // From now on the name leads to the server. The page is still there.
  address.port = server.port;
  network.cut();
  const text = "evil by another address";
  const result = await page.evaluate(attack, { base, room: ROOM, text });
  assert.equal(result.beacon, "answered");
  delete result.beacon;
  for (const [name, value] of Object.entries(result)) {
    assert.match(value, /^(421 .*not known as evil\.test|closed$|failed$)/, name);
  }
  for (const path of ["", "main.js", `rooms/${ROOM}/messages`]) {
    assert.equal((await page.goto(`${base}/${path}`)).status(), 421);
  }
  network.close();
  await nothingWasSaid();
  await page.close();
});

test("the server's own page can do what pages of other sites cannot", LIMIT, async () => {
  for (const [index, target] of ["127.0.0.1", "localhost", "chat.test"].entries()) {
    const base = `http://${target}:${server.port}`;
    const page = await browser.newPage();
    await page.goto(`${base}/#own-page`);
    const result = await page.evaluate(attack, { base, room: `own-${index}`, text: "my own" });
    for (const name of ["json", "text", "urlencoded", "multipart", "blind"]) assert.match(result[name], /^(201|4)/, name);
    for (const name of ["json", "text", "blind"]) assert.match(result[name], /^201/, name);
    for (const name of ["history", "search", "rooms"]) assert.match(result[name], /^200/, name);
    assert.equal(result.beacon, "answered");
    for (const name of ["events", "socket", "bareSocket"]) assert.equal(result[name], "open", name);
    await page.close();
  }
});
