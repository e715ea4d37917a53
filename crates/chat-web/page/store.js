// Rooms as this page knows them: their messages, members, positions, and what is unread. Pure: no page, no socket, no
// clock.
//
// A room holds a window of its log. `live` says that the window ends where the log ends; `top` says that it begins where
// the log begins. The window never holds more than `WINDOW_MAX` messages, however many are read.

import { fold, isMentioned } from "./text.js";

/** @typedef {{ epoch: string, seq: number }} Position */
/** @typedef {{ from: number | null, to: number | null, why: string }} Gap */
/**
 * `presence` is an arrival, a departure or a new nick; `local` is a remark of this page.
 * @typedef {"said" | "acted" | "notice" | "topic" | "told" | "gap" | "presence" | "local"} MessageKind
 */
/**
 * @typedef {{ id: string, kind: MessageKind, from: string, text: string, ts: number, epoch: string, seq: number,
 *   key: string, mine: boolean, mention: boolean, change?: "joined" | "left" | "renamed" | "removed", to?: string,
 *   gap?: Gap }} Message
 */
/** @typedef {{ [field: string]: any }} Fields */

/** Messages that a room holds at most, and how many another room than the shown one holds. */
export const WINDOW_MAX = 5_000;
export const BACKGROUND_MAX = 500;
const DIRECTS_MAX = 100;
/** Two messages with one key are the same across logs if they are no further apart. */
const REPEAT_MS = 10 * 60_000;

const SAID = new Set(["said", "acted", "notice", "topic"]);

export class Room {
  /** @param {string} name @param {boolean} direct */
  constructor(name, direct) {
    this.id = direct ? `@${fold(name)}` : fold(name);
    this.name = name;
    this.direct = direct;
    this.joined = false;
    this.topic = "";
    /** Members by folded nick. @type {Map<string, string>} */
    this.members = new Map();
    this.count = 0;
    this.hushed = false;
    this.epoch = "";
    /** The last place that was seen. `null` until there is one. @type {number | null} */
    this.head = null;
    /** @type {Message[]} */
    this.messages = [];
    this.live = true;
    this.top = false;
    this.unread = 0;
    this.mentions = 0;
    /** There is more unread than was counted. */
    this.unreadMore = false;
    /** The message before which the unread line is. */
    this.line = "";
    /** What was read, on an earlier visit too. @type {Position | null} */
    this.read = null;
    /** What is replayed now was said before this member ever came. */
    this.firstVisit = false;
    /** What a return skipped, because the log has more than a return takes up. @type {Gap | null} */
    this.skipped = null;
    /** Keys of the log before this one, with their time. @type {Map<string, number>} */
    this.oldKeys = new Map();
  }

  get empty() {
    return !this.messages.some((message) => message.seq > 0);
  }

  /** The first message of the present log in the window. */
  get first() {
    return this.messages.find((message) => message.seq > 0 && message.epoch === this.epoch);
  }

  /** The last one. */
  get last() {
    return this.messages.findLast((message) => message.seq > 0 && message.epoch === this.epoch);
  }
}

export class Store {
  constructor() {
    /** @type {Map<string, Room>} */
    this.rooms = new Map();
    this.nick = "";
    /** The nick that was asked for: a second tab has another, and is meant by both. */
    this.wantedNick = "";
    /** The id of the room that is shown. */
    this.active = "";
    /** The page is seen, and shows the end of the active room. */
    this.watching = false;
    /** What was read on an earlier visit, by room. @type {{ [room: string]: Position }} */
    this.reads = {};
    this.localCount = 0;
  }

  /** @param {string} name */
  room(name) {
    return this.ensure(new Room(name, false));
  }

  /** @param {string} nick */
  direct(nick) {
    const room = this.ensure(new Room(nick, true));
    room.top = true;
    return room;
  }

  /** @param {Room} room */
  ensure(room) {
    const known = this.rooms.get(room.id);
    if (known !== undefined) return known;
    room.read = this.reads[room.id] ?? null;
    this.rooms.set(room.id, room);
    if (room.direct) this.boundDirects();
    return room;
  }

  /** Any number of members may write: the rooms of the first are forgotten. */
  boundDirects() {
    const directs = [...this.rooms.values()].filter((room) => room.direct);
    const oldest = directs.find((room) => room.id !== this.active);
    if (directs.length > DIRECTS_MAX && oldest !== undefined) this.rooms.delete(oldest.id);
  }

  /** @param {string} id */
  get(id) {
    return this.rooms.get(id);
  }

  /** @param {string} id */
  forget(id) {
    this.rooms.delete(id);
    if (this.active === id) this.active = "";
  }

  get nicks() {
    return this.wantedNick === "" || fold(this.wantedNick) === fold(this.nick)
      ? [this.nick] : [this.nick, this.wantedNick];
  }

  /** @param {string} nick */
  isMe(nick) {
    return fold(nick) === fold(this.nick);
  }

  /** All rooms, in the order of their names; direct messages last. */
  list() {
    return [...this.rooms.values()].sort((a, b) => Number(a.direct) - Number(b.direct) || a.name.localeCompare(b.name));
  }

  totals() {
    let unread = 0;
    let mentions = 0;
    for (const room of this.rooms.values()) {
      unread += room.unread;
      mentions += room.direct ? room.unread : room.mentions;
    }
    return { unread, mentions };
  }

  /**
   * What a join was answered with. Events that it replays follow.
   * @param {Fields} reply
   */
  joined(reply) {
    const room = this.room(reply.room);
    room.name = reply.room;
    room.joined = true;
    room.firstVisit = room.read === null && room.head === null;
    room.topic = reply.topic ?? "";
    if (room.epoch === "") room.epoch = String(reply.epoch);
    this.members(room, reply.members, reply.count);
    room.hushed = reply.hushed === true;
    // The log may have begun anew without anything to tell of it: its first message would look like one that was seen.
    if (room.epoch !== reply.epoch) this.begin(room, String(reply.epoch));
    return room;
  }

  /** @param {Room} room @param {unknown} members @param {unknown} count */
  members(room, members, count) {
    if (Array.isArray(members)) room.members = new Map(members.map((nick) => [fold(nick), String(nick)]));
    room.count = typeof count === "number" ? count : room.members.size;
  }

  /** Another log than before: positions in the earlier one mean nothing. @param {Room} room @param {string} epoch */
  begin(room, epoch) {
    room.oldKeys = new Map(room.messages.filter((message) => message.key !== "").map((m) => [keyOf(m), m.ts]));
    room.epoch = epoch;
    room.head = null;
    room.live = true;
    room.top = true;
    room.skipped = null;
  }

  /**
   * Takes in an event. Gives the message that it made, if any, and whether it is news to the member.
   * @param {Fields} event
   * @param {number} now
   * @returns {{ room: Room, message: Message | null, fresh: boolean } | null}
   */
  apply(event, now) {
    if (event.ev === "told") return this.told(event);
    if (typeof event.room !== "string") return null;
    const room = this.rooms.get(fold(event.room));
    if (room === undefined) return null;
    if (SAID.has(event.ev)) return this.said(room, event);
    if (event.ev === "gap") return { room, message: this.gap(room, event, now), fresh: false };
    return { room, message: this.presence(room, event, now), fresh: false };
  }

  /** @param {Room} room @param {Fields} event */
  said(room, event) {
    if (room.head !== null && event.seq <= room.head) return null;
    const message = this.messageOf(room, event);
    room.head = message.seq;
    if (message.kind === "topic") room.topic = message.text;
    const old = message.key === "" ? undefined : room.oldKeys.get(keyOf(message));
    if (old !== undefined && Math.abs(message.ts - old) < REPEAT_MS) return { room, message, fresh: false };
    this.append(room, message);
    const fresh = this.count(room, message, event.replay === true);
    return { room, message, fresh };
  }

  /** @param {Fields} event */
  told(event) {
    const room = this.direct(String(event.from));
    room.joined = true;
    const message = this.tellMessage(room, String(event.from), String(event.text), event.ts, false);
    this.append(room, message);
    return { room, message, fresh: this.count(room, message, false) };
  }

  /** An own direct message that was accepted. @param {Room} room @param {string} text @param {number} ts */
  tell(room, text, ts) {
    this.append(room, this.tellMessage(room, this.nick, text, ts, true));
  }

  /** @param {Room} room @param {string} from @param {string} text @param {number} ts @param {boolean} mine */
  tellMessage(room, from, text, ts, mine) {
    this.localCount += 1;
    return {
      ...plain("told", `t${ts}-${this.localCount}`, ts), from, text, mine, mention: !mine, epoch: room.epoch,
    };
  }

  /**
   * A message of the log, from an event or from a page of history.
   * @param {Room} room @param {Fields} event @returns {Message}
   */
  messageOf(room, event) {
    const from = String(event.from ?? "");
    const text = String(event.text ?? "");
    const mine = this.isMe(from);
    return {
      ...plain(event.ev, `${room.epoch}:${event.seq}`, event.ts),
      from, text, mine, epoch: room.epoch, seq: event.seq, key: String(event.key ?? ""),
      mention: !mine && event.ev !== "topic" && isMentioned(text, this.nicks),
    };
  }

  /**
   * Counts what is unread. True if the member is to be told.
   * @param {Room} room @param {Message} message @param {boolean} replay
   */
  count(room, message, replay) {
    if (!replay) room.firstVisit = false;
    if (message.mine) return false;
    const seen = room.read !== null && room.read.epoch === message.epoch && message.seq > 0 && message.seq <= room.read.seq;
    if (seen || room.firstVisit) return false;
    if (this.watching && this.active === room.id) {
      // What was missed begins at the line, although it is read at once.
      if (replay && room.line === "") room.line = message.id;
      this.markRead(room);
      return !replay;
    }
    if (message.kind === "topic") return false;
    if (room.unread === 0) {
      room.line = message.id;
      room.unreadMore = replay && room.read !== null && room.read.epoch === message.epoch && message.seq > room.read.seq + 1
        && room.first?.id === message.id;
    }
    room.unread += 1;
    if (message.mention) room.mentions += 1;
    return !replay;
  }

  /** @param {Room} room */
  markRead(room) {
    room.unread = 0;
    room.mentions = 0;
    room.unreadMore = false;
    if (room.head !== null) room.read = { epoch: room.epoch, seq: room.head };
  }

  /** Shows another room. The line of the one before has served. @param {Room} room */
  activate(room) {
    const before = this.rooms.get(this.active);
    if (before !== undefined && before !== room) {
      if (before.unread === 0) before.line = "";
      this.trimTop(before, BACKGROUND_MAX);
    }
    this.active = room.id;
  }

  /** @param {Room} room @param {Message} message */
  append(room, message) {
    if (!room.live) return;
    if (room.messages.length >= WINDOW_MAX && room.id === this.active && !this.watching) {
      // The member reads further up: the window stays where it is.
      room.live = false;
      return;
    }
    room.messages.push(message);
    this.trimTop(room, room.id === this.active ? WINDOW_MAX : BACKGROUND_MAX);
  }

  /** @param {Room} room @param {number} max */
  trimTop(room, max) {
    if (room.messages.length <= max) return;
    room.messages.splice(0, room.messages.length - max);
    room.top = room.direct;
  }

  /** @param {Room} room @param {Fields} event @param {number} now */
  gap(room, event, now) {
    /** @type {Gap} */
    const gap = { from: event.from ?? null, to: event.to ?? null, why: String(event.why) };
    if (gap.why === "limit" && room.head !== null) {
      // The window begins after the gap. Reading upwards shows what the log still has of it, and what it has not.
      room.skipped = gap;
      room.messages = [];
      room.live = true;
      room.top = false;
      return null;
    }
    if (gap.why === "limit") return null;
    const message = this.gapMessage(room, gap, now);
    this.append(room, message);
    return message;
  }

  /** @param {Room} room @param {Gap} gap @param {number} ts @returns {Message} */
  gapMessage(room, gap, ts) {
    this.localCount += 1;
    return { ...plain("gap", `g${this.localCount}`, ts), epoch: room.epoch, gap };
  }

  /** @param {Room} room @param {Fields} event @param {number} now */
  presence(room, event, now) {
    const nick = String(event.nick ?? "");
    switch (event.ev) {
      case "joined":
        if (!room.members.has(fold(nick))) room.count += 1;
        room.members.set(fold(nick), nick);
        return this.note(room, "joined", nick, "", now);
      case "left":
        if (room.members.delete(fold(nick)) || room.members.size < room.count) room.count = Math.max(0, room.count - 1);
        return this.note(room, "left", nick, String(event.reason ?? ""), now);
      case "renamed":
        return this.renamed(room, nick, String(event.to), now);
      case "members":
        room.count = event.count;
        return null;
      case "present":
        this.members(room, event.members, event.count);
        return null;
      case "hushed":
        room.hushed = event.on === true;
        return null;
      case "removed":
        room.joined = false;
        room.members.clear();
        room.count = 0;
        return this.note(room, "removed", "", String(event.reason ?? ""), now);
      default:
        return null;
    }
  }

  /** @param {Room} room @param {string} nick @param {string} to @param {number} now */
  renamed(room, nick, to, now) {
    room.members.delete(fold(nick));
    room.members.set(fold(to), to);
    const direct = this.rooms.get(`@${fold(nick)}`);
    if (direct !== undefined && !this.rooms.has(`@${fold(to)}`)) {
      this.rooms.delete(direct.id);
      if (this.active === direct.id) this.active = `@${fold(to)}`;
      direct.id = `@${fold(to)}`;
      direct.name = to;
      this.rooms.set(direct.id, direct);
    }
    return this.note(room, "renamed", nick, "", now, to);
  }

  /** This member has another nick. @param {string} nick */
  rename(nick) {
    for (const room of this.rooms.values()) {
      if (room.members.delete(fold(this.nick))) room.members.set(fold(nick), nick);
    }
    this.nick = nick;
  }

  /**
   * @param {Room} room @param {NonNullable<Message["change"]>} change @param {string} from @param {string} text
   * @param {number} now @param {string} [to]
   */
  note(room, change, from, text, now, to = "") {
    this.localCount += 1;
    const message = { ...plain("presence", `n${this.localCount}`, now), from, text, change, to, epoch: room.epoch };
    this.append(room, message);
    return message;
  }

  /**
   * A page of history before the window.
   * @param {Room} room @param {Fields[]} events oldest first
   */
  prepend(room, events) {
    const first = room.first;
    if (events.length === 0) {
      room.top = true;
      const { skipped } = room;
      room.skipped = null;
      if (first !== undefined && skipped?.from && skipped.from < first.seq) {
        room.messages.unshift(this.gapMessage(room, { from: skipped.from, to: first.seq - 1, why: "expired" }, first.ts));
      }
      return;
    }
    const older = events.map((event) => this.messageOf(room, event)).filter((m) => first === undefined || m.seq < first.seq);
    room.messages.unshift(...older);
    if (room.messages.length > WINDOW_MAX) {
      room.messages.length = WINDOW_MAX;
      room.live = false;
    }
  }

  /**
   * A page of history after the window. The window is live once it reaches the last message that was seen.
   * @param {Room} room @param {Fields[]} events oldest first
   */
  extend(room, events) {
    const last = room.last;
    const newer = events.map((event) => this.messageOf(room, event)).filter((m) => last === undefined || m.seq > last.seq);
    room.messages.push(...newer);
    if (room.messages.length > WINDOW_MAX) {
      room.messages.splice(0, room.messages.length - WINDOW_MAX);
      room.top = false;
    }
    const end = room.last?.seq ?? 0;
    room.live = newer.length === 0 || end >= (room.head ?? 0);
  }

  /**
   * Another window: around a find, or the latest messages.
   * @param {Room} room @param {Fields[]} events oldest first @param {boolean} latest
   */
  replace(room, events, latest) {
    room.messages = events.map((event) => this.messageOf(room, event));
    room.top = false;
    const end = room.last?.seq ?? 0;
    room.live = latest ? end >= (room.head ?? 0) : end > 0 && end >= (room.head ?? 0);
    if (latest && room.messages.length === 0) room.live = true;
  }

  /** A remark of this page in a room. @param {Room} room @param {string} text @param {number} now */
  remark(room, text, now) {
    this.localCount += 1;
    this.append(room, { ...plain("local", `l${this.localCount}`, now), text, epoch: room.epoch });
  }
}

/** @param {Message} message */
function keyOf(message) {
  return `${fold(message.from)} ${message.key}`;
}

/** @param {MessageKind} kind @param {string} id @param {number} ts @returns {Message} */
function plain(kind, id, ts) {
  return { id, kind, from: "", text: "", ts, epoch: "", seq: 0, key: "", mine: false, mention: false };
}
