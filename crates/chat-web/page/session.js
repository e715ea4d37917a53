// A member: greets the server, keeps the rooms of the store joined, and asks for what the views need. No page.

import { CommandError } from "./connection.js";
import { fold } from "./text.js";

/** @typedef {import("./connection.js").Connection} Connection */
/** @typedef {import("./connection.js").Fields} Fields */
/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./store.js").Room} Room */
/** @typedef {import("./store.js").Message} Message */
/** @typedef {import("./outbox.js").Outbox} Outbox */
/** @typedef {import("./outbox.js").Entry} Entry */

/** Messages that a room begins with, that a return takes up at most, and of a page of history. */
const JOIN_LIMIT = 60;
const RESUME_LIMIT = 500;
const PAGE = 100;
/** Nicks that are tried when the wanted one is taken: `kim-2` to `kim-9`. */
const NICKS_MAX = 9;

export class Session {
  /**
   * @param {Connection} connection @param {Store} store @param {Outbox} outbox @param {string} token
   * @param {() => number} now
   */
  constructor(connection, store, outbox, token, now) {
    this.connection = connection;
    this.store = store;
    this.outbox = outbox;
    this.token = token;
    this.now = now;
    /** Whether another nick may be taken without asking. */
    this.mayVary = true;
    this.greetedOnce = false;
    this.textMax = 4096;
    this.lobby = "lobby";
    /** @type {string[]} */
    this.motd = [];
    /** Something that is shown has changed. */
    this.onchange = () => {};
    /** A message that the member has not seen. @type {(room: Room, message: Message) => void} */
    this.onnews = () => {};
    /** The hello was refused. @type {(error: CommandError) => void} */
    this.onrefused = () => {};
    /** @type {(wanted: string, nick: string) => void} */
    this.onnick = () => {};
    /** A room could not be joined. @type {(room: string, error: CommandError) => void} */
    this.onroom = () => {};
    /** The rooms were joined, for the first time or again. */
    this.ongreeted = () => {};
    /** Pages of history that are being read, by room. @type {Map<string, Promise<void>>} */
    this.reading = new Map();
    connection.onopen = () => void this.greet();
    connection.onevent = (event) => this.receive(event);
  }

  /** The connection's state changed. */
  stateChanged() {
    if (!this.connection.online) this.outbox.interrupted();
    this.onchange();
  }

  async greet() {
    const store = this.store;
    const wanted = store.nick || store.wantedNick;
    for (let attempt = 1; ; attempt += 1) {
      const nick = attempt === 1 ? wanted : `${store.wantedNick || wanted}-${attempt}`;
      try {
        this.welcomed(await this.connection.request(this.hello(nick)));
        return;
      } catch (error) {
        if (!(error instanceof CommandError)) throw error;
        if (error.code === "offline") return;
        if (error.code === "nick_taken" && this.mayVary && attempt < NICKS_MAX) continue;
        if (error.retryMs !== null) this.connection.drop(error.retryMs);
        else this.onrefused(error);
        return;
      }
    }
  }

  /** @param {string} nick @returns {Fields} */
  hello(nick) {
    const rooms = [...this.store.rooms.values()].filter((room) => !room.direct);
    return {
      cmd: "hello", v: 1, client: "chat-web", token: this.token, echo: true,
      ...(nick === "" ? {} : { nick }),
      join: rooms.map((room) => joinOf(room)),
    };
  }

  /** @param {Fields} reply */
  welcomed(reply) {
    const { store } = this;
    const before = store.nick;
    if (store.nick === "") store.nick = reply.nick;
    else store.rename(reply.nick);
    this.token = reply.token ?? this.token;
    this.textMax = reply.limits?.text ?? this.textMax;
    this.lobby = reply.lobby ?? this.lobby;
    this.motd = Array.isArray(reply.motd) ? reply.motd : [];
    const answered = new Set();
    for (const room of reply.rooms ?? []) {
      answered.add(fold(String(room.room)));
      if (room.err) this.notJoined(String(room.room), new CommandError(room.err));
      else this.joined(room);
    }
    this.connection.greeted();
    // Rooms that were opened after the hello was sent.
    for (const room of store.list()) if (!room.direct && !answered.has(room.id)) void this.join(room.name);
    this.mayVary = true;
    this.greetedOnce = true;
    if (store.wantedNick === "") store.wantedNick = reply.nick;
    else if (before !== reply.nick && fold(store.wantedNick) !== fold(reply.nick)) this.onnick(store.wantedNick, reply.nick);
    if (![...store.rooms.values()].some((room) => !room.direct)) void this.join(this.lobby);
    this.flush();
    this.ongreeted();
    this.onchange();
  }

  /** @param {Fields} reply */
  joined(reply) {
    const before = this.store.get(fold(String(reply.room)))?.epoch ?? "";
    const room = this.store.joined(reply);
    if (before !== "" && before !== room.epoch) this.outbox.logLost(room.id);
    return room;
  }

  /** @param {string} name @param {CommandError} error */
  notJoined(name, error) {
    const room = this.store.get(fold(name));
    if (room?.empty) this.store.forget(room.id);
    else if (room !== undefined) room.joined = false;
    this.onroom(name, error);
  }

  /** @param {Fields} event */
  receive(event) {
    const change = this.store.apply(event, this.now());
    if (change === null) return;
    const { room, message, fresh } = change;
    if (message?.mine && message.key !== "") this.outbox.remove(message.key);
    if (room.head !== null) this.outbox.seen(room.id, room.head);
    if (event.ev === "hushed" && event.on === false) void this.who(room);
    if (message !== null && fresh) this.onnews(room, message);
    this.onchange();
  }

  /**
   * Joins a room, or finds it joined already.
   * @param {string} name
   * @returns {Promise<Room | null>}
   */
  async join(name) {
    const known = this.store.get(fold(name));
    if (known?.joined) return known;
    const room = known ?? this.store.room(name);
    // The next hello joins it, or has its reply.
    if (!this.connection.online) return room;
    try {
      const joined = this.joined(await this.connection.request({ cmd: "join", ...joinOf(room) }));
      // The server may know more spellings of a name than this page.
      if (joined !== room) this.store.forget(room.id);
      return joined;
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      if (error.code === "offline") return room;
      this.notJoined(name, error);
      return null;
    } finally {
      this.onchange();
    }
  }

  /** @param {Room} room */
  leave(room) {
    this.store.forget(room.id);
    for (const { key } of this.outbox.of(room.id)) this.outbox.remove(key);
    if (!room.direct) this.connection.send({ cmd: "leave", room: room.name });
    this.onchange();
  }

  /** @param {Room} room @param {Entry["kind"]} kind @param {string} text */
  say(room, kind, text) {
    this.outbox.add(room.id, kind, text, this.now());
    if (room.unread === 0) room.line = "";
    this.flush();
    this.onchange();
  }

  /** @param {string} key */
  retry(key) {
    this.outbox.retry(key, this.now());
    this.flush();
    this.onchange();
  }

  flush() {
    if (!this.connection.online) return;
    for (const entry of this.outbox.take(this.now())) void this.deliver(entry);
  }

  /** @param {Entry} entry */
  async deliver(entry) {
    const room = this.store.get(entry.room);
    try {
      if (room === undefined) throw new CommandError({ code: "not_found", msg: "" });
      if (entry.kind === "tell") {
        const reply = await this.connection.request({ cmd: "tell", to: room.name, text: entry.text });
        this.outbox.remove(entry.key);
        this.store.tell(room, entry.text, reply.ts ?? entry.ts);
      } else {
        const { kind, text, key } = entry;
        const reply = await this.connection.request({ cmd: kind, room: room.name, text, key });
        this.outbox.acked(key, reply.seq, room.head ?? 0);
      }
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      // The end of the connection has put the entry back already.
      if (error.code !== "offline") this.outbox.failed(entry.key, error.message);
    }
    this.onchange();
  }

  /** @param {string} nick */
  async rename(nick) {
    const reply = await this.connection.request({ cmd: "nick", nick });
    this.store.rename(reply.nick);
    this.store.wantedNick = reply.nick;
    this.onchange();
  }

  /** @param {Room} room @param {string} text */
  async topic(room, text) {
    await this.connection.request({ cmd: "topic", room: room.name, text });
  }

  /** @param {Room} room */
  async who(room) {
    try {
      const reply = await this.connection.request({ cmd: "who", room: room.name });
      this.store.members(room, reply.members, reply.count);
      this.onchange();
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
    }
  }

  /** @param {string} [after] @returns {Promise<Fields>} */
  rooms(after) {
    return this.connection.request({ cmd: "rooms", ...(after === undefined ? {} : { room: after }) });
  }

  /** Reads history before the window. @param {Room} room */
  older(room) {
    return this.read(room, async () => {
      const first = room.first;
      const reply = await this.history(room, first === undefined ? {} : { before: first.seq });
      if (first === room.first) this.store.prepend(room, reply.messages);
    });
  }

  /** Reads history after the window. @param {Room} room */
  newer(room) {
    return this.read(room, async () => {
      const last = room.last;
      if (last === undefined) return;
      const reply = await this.history(room, { after: { epoch: room.epoch, seq: last.seq } });
      if (last === room.last) this.store.extend(room, reply.messages);
    });
  }

  /** Shows the end of the log again. @param {Room} room */
  latest(room) {
    return this.replace(room, async () => {
      const reply = await this.history(room, {});
      this.store.replace(room, reply.messages, true);
    });
  }

  /** Shows the log around a place. @param {Room} room @param {number} seq */
  around(room, seq) {
    return this.replace(room, async () => {
      const [before, after] = await Promise.all([
        this.history(room, { before: seq + 1, limit: PAGE / 2 }),
        this.history(room, { after: { epoch: room.epoch, seq }, limit: PAGE / 2 }),
      ]);
      this.store.replace(room, [...before.messages, ...after.messages], false);
    });
  }

  /** @param {Room} room @param {string} text @param {number} limit @param {number} [before] @returns {Promise<Fields>} */
  search(room, text, limit, before) {
    return this.connection.request({
      cmd: "search", room: room.name, text, limit, ...(before === undefined ? {} : { before }),
    });
  }

  /** @param {Room} room @param {Fields} range @returns {Promise<Fields>} */
  history(room, range) {
    return this.connection.request({ cmd: "history", room: room.name, limit: PAGE, ...range });
  }

  /**
   * One reading of a room at a time. A reading that fails changes nothing.
   * @param {Room} room @param {() => Promise<void>} read
   * @returns {Promise<void>}
   */
  read(room, read) {
    return this.reading.get(room.id) ?? this.replace(room, read);
  }

  /**
   * A reading that gives the room another window. It does not wait for one that adds to the present window, and makes
   * that one's answer void.
   * @param {Room} room @param {() => Promise<void>} read
   * @returns {Promise<void>}
   */
  replace(room, read) {
    const reading = read().catch((error) => {
      if (!(error instanceof CommandError)) throw error;
    }).finally(() => {
      if (this.reading.get(room.id) === reading) this.reading.delete(room.id);
      this.onchange();
    });
    this.reading.set(room.id, reading);
    return reading;
  }

  /** @param {string} reason */
  quit(reason) {
    this.connection.send({ cmd: "quit", reason });
    this.connection.end("quit");
  }
}

/** @param {Room} room @returns {Fields} */
function joinOf(room) {
  if (room.head === null) return { room: room.name, limit: JOIN_LIMIT };
  return { room: room.name, after: { epoch: room.epoch, seq: room.head }, limit: RESUME_LIMIT };
}
