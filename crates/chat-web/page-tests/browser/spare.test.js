// Browsers open more connections than they need: the members of the lobby must not notice, and the page must load over
// such a connection.
//
// Chromium does so only with a profile on disk, not in the contexts that the other tests use.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createConnection, createServer as createNetwork } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";
import { Line, Server } from "./harness.js";

let server;

before(async () => {
  server = await Server.start();
});
after(() => server.stop());

/** Runs with a page of a new profile, and with a person with nc who is in the lobby. */
async function profile(run) {
  const directory = mkdtempSync(join(tmpdir(), "chat-profile-"));
  const context = await chromium.launchPersistentContext(directory, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  context.setDefaultTimeout(10_000);
  const nc = await Line.open(server);
  try {
    nc.write("/nick watch");
    await nc.sees("you are now watch");
    nc.received = "";
    await run(await context.newPage(), nc);
  } finally {
    nc.close();
    await context.close();
    rmSync(directory, { recursive: true, maxRetries: 3 });
  }
}

/** A network between the browser and the server on which each answer takes half a second. */
async function slowNetwork() {
  const network = createNetwork((near) => {
    const far = createConnection(server.port, "127.0.0.1");
    for (const [one, other] of [[near, far], [far, near]]) {
      one.on("error", () => {});
      one.on("close", () => other.destroy());
    }
    near.on("data", (data) => far.write(data));
    far.on("data", (data) => setTimeout(() => near.write(data), 500));
  });
  network.listen(0, "127.0.0.1");
  await once(network, "listening");
  return network;
}

test("a page load makes no guest come and go", () => profile(async (page, nc) => {
  // The connection that the browser opens beside the first one is silent until the page has arrived.
  const network = await slowNetwork();
  await page.goto(`http://127.0.0.1:${network.address().port}/#elsewhere?nick=alice`);
  await page.locator("#app:not([hidden])").waitFor();
  // Longer than a silent connection may have to wait for its greeting.
  await sleep(3_000);
  assert.equal(nc.received, "");
  network.close();
}));

test("a browser that connects when its user points at a link gets the page after a click", () => profile(async (page, nc) => {
  // The server knows the address of the browser, but its last request was too long ago for a spare connection.
  await fetch(server.url);
  await sleep(2_500);
  const other = createServer((request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(`<!doctype html><link rel="icon" href="data:,"><a href="${server.url}#elsewhere?nick=bob">chat</a>`);
  });
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  await page.goto(`http://127.0.0.1:${other.address().port}/`);
  await page.evaluate((url) => {
    const link = document.createElement("link");
    link.rel = "preconnect";
    link.href = url;
    document.head.append(link);
  }, server.url);
  await sleep(1_000);
  await page.locator("a").click();
  await page.locator("#app:not([hidden])").waitFor();
  assert.equal(nc.received, "");
  other.close();
}));
