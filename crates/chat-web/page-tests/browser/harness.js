// A chat server, a browser, and members: what the tests in the browser need. The page is the one that the server serves;
// for a server that serves none, `tools/serve.js` does.
//
//     CHAT_SERVER   the program (default: the workspace's debug build)
//     PAGE          a directory that the server takes the page from (default: the page in the program)
//     CHROMIUM      the browser (default: /usr/bin/chromium)
//     SCREENSHOTS   a directory for pictures (default: none are kept)

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { serve } from "../tools/serve.js";

/** A machine that does other things besides may need long. Only a test that fails waits that long. */
export const PATIENCE_MS = 30_000;

const program = process.env.CHAT_SERVER ?? fileURLToPath(new URL("../../../../target/debug/chat-server", import.meta.url));

/** The servers that run. A test that fails does not stop its own. */
const servers = new Set();

export class Server {
  port = 0;
  bridge = null;
  /** The test has made it unreachable, at least once. */
  wasAway = false;

  static async start(...options) {
    const server = new Server();
    servers.add(server);
    server.options = options;
    await server.start();
    const answer = await fetch(`http://127.0.0.1:${server.port}/`).catch(() => null);
    if (answer?.ok) {
      server.url = `http://127.0.0.1:${server.port}/`;
    } else {
      server.bridge = await serve(() => server.port);
      server.url = server.bridge.url;
    }
    return server;
  }

  /** A server that takes no busy browser, which connects long before it asks for something, for a silent person. */
  static patient(...options) {
    return Server.start("--greet-after", "60", ...options);
  }

  /** Starts the program, on the port that it had before. Another process may hold that port for a moment. */
  async start() {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      const log = await this.listen();
      if (log === null) return;
      assert.ok(/in use/i.test(log) && Date.now() < end, `${program}: ${log}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Gives what the program logged if it ended instead of listening. */
  async listen() {
    const args = ["--listen", `127.0.0.1:${this.port}`, "--rate", "off", ...this.options];
    if (process.env.PAGE !== undefined) args.push("--web-dir", process.env.PAGE);
    this.process = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    let log = "";
    this.process.on("error", (error) => (log += error.message));
    for (const stream of [this.process.stdout, this.process.stderr]) stream.on("data", (data) => (log += data));
    let hasEnded = false;
    this.process.on("close", () => (hasEnded = true));
    await until(() => {
      const port = /listening on 127\.0\.0\.1:(\d+)/.exec(log.replace(/\x1b\[[0-9;]*m/g, ""))?.[1];
      if (port !== undefined) this.port = Number(port);
      return port !== undefined || hasEnded;
    }, () => `the server to listen: ${log}`);
    return hasEnded ? log : null;
  }

  async kill() {
    this.wasAway = true;
    const exited = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await exited;
  }

  async stop() {
    servers.delete(this);
    this.bridge?.close();
    if (this.process.exitCode === null && this.process.signalCode === null) await this.kill();
  }
}

/** Puts messages into the file that a server is started with. */
export async function importMessages(file, messages) {
  const child = spawn(program, ["import", "--data", file], { stdio: ["pipe", "ignore", "inherit"] });
  const exited = once(child, "exit");
  child.stdin.end(messages.map((message) => `${JSON.stringify(message)}\n`).join(""));
  assert.deepEqual(await exited, [0, null]);
}

/** A network between the page and the server. It can be cut, and lose what is on its way. */
export class Network {
  /** What is sent in these directions is lost. */
  loses = { up: false, down: false };
  refuses = false;
  wasAway = false;
  /** How long what the server sends is on its way. */
  delayMs = 0;
  pairs = new Set();
  /** When each connection was opened, and when its first bytes were sent. */
  connections = [];

  static async to(server) {
    const network = new Network();
    network.listener = createServer((near) => network.carry(near, server.port));
    network.listener.listen(0, "127.0.0.1");
    await once(network.listener, "listening");
    // Neither it nor a socket of a failed test keeps the process alive.
    network.listener.unref();
    network.url = `http://127.0.0.1:${network.listener.address().port}/`;
    return network;
  }

  carry(near, port) {
    if (this.refuses) {
      near.destroy();
      return;
    }
    const far = createConnection(port, "127.0.0.1");
    const pair = [near, far];
    this.pairs.add(pair);
    const connection = { opened: performance.now(), spoke: null };
    this.connections.push(connection);
    near.once("data", () => (connection.spoke = performance.now()));
    for (const socket of pair) socket.unref();
    for (const [from, to, direction] of [[near, far, "up"], [far, near, "down"]]) {
      const pass = (data) => this.loses[direction] || to.write(data);
      from.on("data", (data) => {
        if (direction === "up" || this.delayMs === 0) pass(data);
        else setTimeout(pass, this.delayMs, data).unref();
      });
      from.on("error", () => {});
      from.on("close", () => {
        to.destroy();
        this.pairs.delete(pair);
      });
    }
  }

  /** The connections on which nothing was sent for this long after they were opened. */
  silentFor(ms) {
    return this.connections.filter(({ opened, spoke }) => (spoke ?? performance.now()) - opened >= ms);
  }

  /** Ends all connections. What was lost stays lost. */
  cut() {
    this.wasAway = true;
    for (const pair of this.pairs) for (const socket of pair) socket.destroy();
    this.loses = { up: false, down: false };
  }

  close() {
    this.listener.close();
    this.cut();
  }
}

/** A member on the port itself: a program, or a person with `nc`. */
export class Line {
  received = "";
  /** How often it has said many things: each time has an answer of its own to wait for. */
  rounds = 0;

  static async open(server) {
    const line = new Line();
    line.socket = createConnection(server.port, "127.0.0.1");
    line.socket.setEncoding("utf8");
    line.socket.on("data", (data) => {
      line.received += data;
      if (data.includes('{"ev":"ping"}')) line.command({ cmd: "ping" });
    });
    line.socket.on("error", () => {});
    await once(line.socket, "connect");
    line.socket.unref();
    return line;
  }

  /** A program in a room. */
  static async join(server, nick, room) {
    const line = await Line.open(server);
    // The server may not have noticed yet that an earlier member of this name is gone.
    await until(async () => {
      line.received = "";
      line.command({ cmd: "hello", id: 0, nick, join: [{ room }] });
      await line.sees('"re":0,');
      return !line.received.includes('"code":"nick_taken"');
    }, () => `the name ${nick}`);
    await line.sees('"re":0,"ok"');
    return line;
  }

  write(text) {
    this.socket.write(`${text}\n`);
  }

  command(command) {
    this.write(JSON.stringify(command));
  }

  /** Says many things, and waits until the last is in the log. */
  async sayMany(room, texts) {
    const id = `many-${this.rounds++}`;
    for (const text of texts) this.command({ cmd: "say", room, text });
    this.command({ cmd: "ping", id });
    await this.sees(`"re":"${id}"`, 120_000);
  }

  async sees(text, ms) {
    await until(() => this.received.includes(text), () => `${text} in:\n${this.received.slice(-2_000)}`, ms);
  }

  close() {
    this.socket.destroy();
  }
}

/** How the browser is started. */
export const CHROMIUM = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  // Chromium has no sandbox for root, and CI machines have a small /dev/shm.
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
  timeout: 120_000,
};

let browser;

/** Starts a browser. */
export function launch(...options) {
  return chromium.launch({ ...CHROMIUM, args: [...CHROMIUM.args, ...options] });
}

/** A browser of its own, as of another machine. Its pages must log no error and ask no other host for anything. */
export async function visitor(server, options = {}) {
  browser ??= await launch();
  const context = await browser.newContext({ locale: "en-US", viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const faults = [];
  const host = new URL(server.url).host;
  context.on("page", (page) => {
    page.on("pageerror", (error) => faults.push(`error: ${error.stack}`));
    page.on("console", (message) => {
      // A connection that fails is logged by the browser. It is what some tests want. The icon and the manifest are
      // loaded after the page, when the browser has time: by then the test may have ended the server.
      const text = message.text();
      if (!["error", "warning"].includes(message.type()) || /WebSocket connection to/.test(text)) return;
      const { url } = message.location();
      if (server.wasAway && /net::ERR_/.test(text) && /\/(icon[\w.-]+|manifest\.webmanifest)$/.test(url)) return;
      faults.push(`console: ${text} ${url}`);
    });
    page.on("request", (request) => {
      if (new URL(request.url()).host !== host) faults.push(`request: ${request.url()}`);
    });
    page.on("websocket", (socket) => {
      if (new URL(socket.url()).host !== host) faults.push(`socket: ${socket.url()}`);
    });
  });
  return {
    context,
    /** Opens the page in a new tab. */
    async open(address = "") {
      const page = await context.newPage();
      await page.goto(server.url + address);
      return page;
    },
    /** Opens the page, and waits until it has joined. */
    async join(nick, room = "lobby") {
      const page = await this.open(`#${encodeURIComponent(room)}?nick=${encodeURIComponent(nick)}`);
      await page.locator("#app:not([hidden])").waitFor();
      await page.locator("#room-name", { hasText: room }).waitFor();
      // On a phone the list of rooms is not in view.
      await page.locator(".room[aria-current]:not(.away)").waitFor({ state: "attached" });
      return page;
    },
    /** Closes the browser, and waits until the server has noticed: the next test takes the same names. */
    async close() {
      const nicks = await Promise.all(context.pages().map((page) =>
        page.evaluate(() => document.querySelector("#me")?.textContent ?? "")));
      await context.close();
      await areGone(server, nicks.filter((nick) => nick !== ""));
      assert.deepEqual(faults, []);
    },
  };
}

/** Waits until the server has no members of these names. */
async function areGone(server, nicks) {
  const line = await Line.open({ port: new URL(server.url).port });
  line.command({ cmd: "hello", id: "hello", join: [] });
  for (const [index, nick] of nicks.entries()) {
    let asked = 0;
    await until(async () => {
      asked += 1;
      const id = `${index}-${asked}`;
      line.command({ cmd: "tell", id, to: nick, text: "gone?" });
      await line.sees(`"re":"${id}"`);
      return line.received.includes(`"re":"${id}","err":`);
    }, () => `${nick} to be gone`);
  }
  line.close();
}

/** Ends the browser, and what failed tests have left. */
export async function closeBrowser() {
  await browser?.close();
  browser = undefined;
  await Promise.all([...servers].map((server) => server.stop()));
}

/** The texts of the messages that the page shows. */
export function texts(page) {
  return page.locator(".message:not(.pending) .text").allTextContents();
}

export async function shows(page, text) {
  await page.locator(".message:not(.pending) .text", { hasText: text }).last().waitFor();
}

export async function say(page, text) {
  await page.locator("#field").fill(text);
  await page.locator("#field").press("Enter");
}

export async function until(check, what, ms = PATIENCE_MS) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) assert.fail(`waited in vain for ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function picture(page, name) {
  const directory = process.env.SCREENSHOTS;
  if (directory === undefined) return;
  mkdirSync(directory, { recursive: true });
  await page.screenshot({ path: `${directory}/${name}.png` });
}
