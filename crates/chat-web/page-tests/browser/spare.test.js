// Browsers open more connections than they need: the members of the lobby must not notice, and the page must load over
// such a connection.
//
// Chromium does so only with a profile on disk, not in the contexts that the other tests use.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";
import { CHROMIUM, Line, Network, PATIENCE_MS, Server, until } from "./harness.js";

/** After this silence the server greets a peer that is no spare connection, with a margin. */
const GREETED_MS = 400;

let server;

before(async () => {
  server = await Server.start();
});
after(() => server?.stop());

/** Runs with a page of a new profile, a network to the server, and a person with nc who is in the lobby. */
async function profile(run) {
  const directory = mkdtempSync(join(tmpdir(), "chat-profile-"));
  const network = await Network.to(server);
  let nc;
  let context;
  try {
    nc = await Line.open(server);
    nc.write("/nick watch");
    await nc.sees("you are now watch");
    context = await chromium.launchPersistentContext(directory, CHROMIUM);
    context.setDefaultTimeout(PATIENCE_MS);
    nc.received = "";
    await run(await context.newPage(), network, nc);
  } finally {
    nc?.close();
    network.close();
    await context?.close();
    rmSync(directory, { recursive: true, maxRetries: 3 });
  }
}

test("a page load makes no guest come and go", () => profile(async (page, network, nc) => {
  // The connection that the browser opens beside the first one is silent until the page has arrived.
  network.delayMs = 500;
  await page.goto(`${network.url}#elsewhere?nick=alice`);
  await page.locator("#app:not([hidden])").waitFor();
  // Longer than a silent connection may have to wait for its greeting.
  await sleep(3_000);
  assert.notDeepEqual(network.silentFor(GREETED_MS), [], "the browser opened no spare connection");
  assert.equal(nc.received, "");
}));

test("a browser that connects before its user clicks a link gets the page", () => profile(async (page, network, nc) => {
  // The server knows the address of the browser, but its last request was too long ago for a spare connection.
  await fetch(server.url, { headers: { "user-agent": "Mozilla/5.0" } });
  await sleep(2_500);
  const other = createServer((request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(`<!doctype html><link rel="icon" href="data:,"><a href="${network.url}#elsewhere?nick=bob">chat</a>`);
  });
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  // It does not keep the process alive if the test fails.
  other.unref();
  await page.goto(`http://127.0.0.1:${other.address().port}/`);
  await page.evaluate((url) => {
    const link = document.createElement("link");
    link.rel = "preconnect";
    link.href = url;
    document.head.append(link);
  }, network.url);
  // The server would have greeted another peer by now. It greets this one 2 s after the opening.
  await until(() => network.silentFor(GREETED_MS).length > 0, () => "a silent connection of the browser");
  await page.evaluate(() => document.querySelector("a").click());
  await page.locator("#app:not([hidden])").waitFor();
  const isUsed = network.silentFor(GREETED_MS).some(({ spoke }) => spoke !== null);
  assert.ok(isUsed, "the browser did not use the connection that it had opened");
  assert.equal(nc.received, "");
  other.close();
}));
