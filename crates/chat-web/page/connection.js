// One WebSocket at a time, and what happens between two of them: commands and their replies, the server's pings, silence,
// and the delay before the next attempt. It knows nothing about rooms.

/** @typedef {{ code: string, msg: string, retry_ms?: number | null }} Refusal */
/** @typedef {{ [field: string]: any }} Fields */
/**
 * `connecting`: a socket is being opened or greeted. `online`: the hello was answered. `waiting`: the next attempt is at
 * `until`. `ended`: nothing is attempted until `start`.
 * @typedef {{ name: "idle" } | { name: "connecting" } | { name: "online" } | { name: "waiting", until: number }
 *   | { name: "ended", code: string, reason: string }} ConnectionState
 */
/**
 * The part of a WebSocket that is used, so that tests can give another.
 * @typedef {{ readyState: number, send(text: string): void, close(): void,
 *   onopen: ((event: any) => void) | null, onmessage: ((event: any) => void) | null,
 *   onclose: ((event: any) => void) | null }} Socket
 */
/**
 * @typedef {{ setTimeout(run: () => void, ms: number): any, clearTimeout(timer: any): void, now(): number,
 *   random(): number }} Clock
 */

/** How long an attempt to connect, or a hello, may take. */
const OPEN_MS = 15_000;
/** After this much silence the server is asked. The server asks by itself only when this side is silent. */
const QUIET_MS = 30_000;
/** How long it may take to answer. A server that slows this connection down may need long. */
const ANSWER_MS = 35_000;
/** The same after the page was asleep, or the network changed. */
const PROBE_MS = 5_000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 30_000;

const OPEN = 1;

/** A command that was refused, or that got no reply because the connection ended (`code` is `offline`). */
export class CommandError extends Error {
  /** @param {Refusal} refusal */
  constructor(refusal) {
    super(refusal.msg);
    this.code = refusal.code;
    this.retryMs = refusal.retry_ms ?? null;
  }
}

/** @type {Clock} */
const pageClock = {
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer),
  now: () => Date.now(),
  random: () => Math.random(),
};

export class Connection {
  /**
   * @param {() => Socket} open
   * @param {Clock} [clock]
   */
  constructor(open, clock = pageClock) {
    this.open = open;
    this.clock = clock;
    /** @type {ConnectionState} */
    this.state = { name: "idle" };
    /** @type {(state: ConnectionState) => void} */
    this.onstate = () => {};
    /** Called when a socket is open. The hello is due. @type {() => void} */
    this.onopen = () => {};
    /** @type {(event: Fields) => void} */
    this.onevent = () => {};
    /** @type {Socket | null} */
    this.socket = null;
    /** @type {Map<number, { resolve(ok: Fields): void, reject(error: CommandError): void }>} */
    this.waiting = new Map();
    this.lastId = 0;
    this.attempts = 0;
    /** The server's advice for the next attempt. @type {number | null} */
    this.advice = null;
    /** @type {any} */
    this.retryTimer = null;
    /** @type {any} */
    this.watchTimer = null;
  }

  get online() {
    return this.state.name === "online";
  }

  start() {
    if (this.socket !== null) return;
    this.clock.clearTimeout(this.retryTimer);
    this.become({ name: "connecting" });
    /** @type {Socket} */
    let socket;
    try {
      socket = this.open();
    } catch {
      this.retryLater();
      return;
    }
    this.socket = socket;
    socket.onopen = () => {
      if (this.socket === socket) this.onopen();
    };
    socket.onmessage = (event) => {
      if (this.socket === socket) this.receive(event.data);
    };
    socket.onclose = () => {
      if (this.socket === socket) this.lost();
    };
    this.watch(OPEN_MS, () => this.drop());
  }

  /** The hello was answered: the next failure is the first again. */
  greeted() {
    this.attempts = 0;
    this.listen();
    this.become({ name: "online" });
  }

  /**
   * Ends the connection for good, until `start`.
   * @param {string} code
   * @param {string} [reason]
   */
  end(code, reason = "") {
    this.clock.clearTimeout(this.retryTimer);
    this.closeSocket();
    this.become({ name: "ended", code, reason });
  }

  /** Gives up the present socket and tries again later. @param {number} [afterMs] */
  drop(afterMs) {
    if (afterMs !== undefined) this.advice = afterMs;
    this.lost();
  }

  /** The network may have changed, or the page was asleep: finds out at once whether the server is still there. */
  probe() {
    if (this.state.name === "waiting") {
      this.start();
    } else if (this.state.name === "online") {
      this.send({ cmd: "ping", id: this.nextId() });
      this.watch(PROBE_MS, () => this.drop(0));
    }
  }

  /**
   * Sends a command and waits for its reply.
   * @param {Fields} command
   * @returns {Promise<Fields>}
   */
  request(command) {
    return new Promise((resolve, reject) => {
      const id = this.nextId();
      if (!this.send({ ...command, id })) {
        reject(offline());
        return;
      }
      this.waiting.set(id, { resolve, reject });
    });
  }

  /** @param {Fields} command */
  send(command) {
    if (this.socket === null || this.socket.readyState !== OPEN) return false;
    this.socket.send(JSON.stringify(command));
    return true;
  }

  nextId() {
    this.lastId += 1;
    return this.lastId;
  }

  /** @param {unknown} data */
  receive(data) {
    if (typeof data !== "string") return;
    if (this.online) this.listen();
    for (const line of data.split("\n")) {
      const answer = parse(line);
      if (answer !== null) this.handle(answer);
    }
  }

  /** @param {Fields} answer */
  handle(answer) {
    if (typeof answer.re === "number") {
      const waiting = this.waiting.get(answer.re);
      this.waiting.delete(answer.re);
      if (waiting === undefined) return;
      if (answer.err) waiting.reject(new CommandError(answer.err));
      else waiting.resolve(answer.ok ?? {});
    } else if (answer.ev === "ping") {
      this.send({ cmd: "ping" });
    } else if (answer.ev === "bye") {
      if (answer.reconnect === false) this.end(String(answer.code), String(answer.reason ?? ""));
      else this.drop(typeof answer.after_ms === "number" ? answer.after_ms : undefined);
    } else if (typeof answer.ev === "string") {
      this.onevent(answer);
    }
  }

  /** Waits for the server to say something; asks it when it does not. */
  listen() {
    this.watch(QUIET_MS, () => {
      this.send({ cmd: "ping", id: this.nextId() });
      this.watch(ANSWER_MS, () => this.drop(0));
    });
  }

  /** @param {number} ms @param {() => void} run */
  watch(ms, run) {
    this.clock.clearTimeout(this.watchTimer);
    this.watchTimer = this.clock.setTimeout(run, ms);
  }

  lost() {
    this.closeSocket();
    if (this.state.name !== "ended") this.retryLater();
  }

  closeSocket() {
    this.clock.clearTimeout(this.watchTimer);
    const socket = this.socket;
    this.socket = null;
    if (socket !== null) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const { reject } of waiting) reject(offline());
  }

  retryLater() {
    const ceiling = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.attempts);
    const delay = this.advice ?? ceiling / 2 + (this.clock.random() * ceiling) / 2;
    this.advice = null;
    this.attempts += 1;
    this.clock.clearTimeout(this.retryTimer);
    this.retryTimer = this.clock.setTimeout(() => this.start(), delay);
    this.become({ name: "waiting", until: this.clock.now() + delay });
  }

  /** @param {ConnectionState} state */
  become(state) {
    this.state = state;
    this.onstate(state);
  }
}

function offline() {
  return new CommandError({ code: "offline", msg: "offline" });
}

/** @param {string} line @returns {Fields | null} */
function parse(line) {
  if (!line.startsWith("{")) return null;
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
