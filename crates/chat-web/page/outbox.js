// Own messages on their way: each is said once, however often the connection ends. Pure; the caller has the clock.

/**
 * `queued`: to be sent when online. `sent`: the reply is awaited. `acked`: in the log, its event is awaited. `failed`: the
 * server refused it. `unknown`: it may have been said, and to repeat it could say it twice.
 * @typedef {"queued" | "sent" | "acked" | "failed" | "unknown"} EntryState
 */
/**
 * @typedef {{ key: string, room: string, kind: "say" | "act" | "tell", text: string, ts: number, state: EntryState,
 *   firstSent: number, seq: number, error: string }} Entry
 */

/** The server remembers a key for ten minutes. */
const KEY_MS = 9 * 60_000;

export class Outbox {
  /** @param {string} prefix begins each key, different for each tab */
  constructor(prefix) {
    this.prefix = prefix;
    /** @type {Entry[]} */
    this.entries = [];
    this.count = 0;
  }

  /**
   * @param {string} room the id of a room of the store
   * @param {Entry["kind"]} kind
   * @param {string} text
   * @param {number} now
   */
  add(room, kind, text, now) {
    this.count += 1;
    /** @type {Entry} */
    const entry = {
      key: `${this.prefix}-${now.toString(36)}-${this.count}`,
      room, kind, text, ts: now, state: "queued", firstSent: 0, seq: 0, error: "",
    };
    this.entries.push(entry);
    return entry;
  }

  /** @param {string} room */
  of(room) {
    return this.entries.filter((entry) => entry.room === room);
  }

  /** @param {string} key */
  get(key) {
    return this.entries.find((entry) => entry.key === key);
  }

  /**
   * Takes what is to be sent now, in its order. What was first sent too long ago is `unknown` instead.
   * @param {number} now
   */
  take(now) {
    const due = [];
    for (const entry of this.entries) {
      if (entry.state !== "queued") continue;
      if (entry.firstSent > 0 && now - entry.firstSent > KEY_MS) {
        entry.state = "unknown";
        continue;
      }
      entry.state = "sent";
      entry.firstSent ||= now;
      due.push(entry);
    }
    return due;
  }

  /**
   * The server has said it at `seq`. `head` is the last place of the room that was seen.
   * @param {string} key @param {number} seq @param {number} head
   */
  acked(key, seq, head) {
    const entry = this.get(key);
    if (entry === undefined) return;
    if (seq <= head) {
      this.remove(key);
    } else {
      entry.state = "acked";
      entry.seq = seq;
    }
  }

  /** @param {string} key @param {string} error */
  failed(key, error) {
    const entry = this.get(key);
    if (entry === undefined) return;
    entry.state = "failed";
    entry.error = error;
  }

  /**
   * A room was seen up to `head`: what was said up to there has been shown.
   * @param {string} room @param {number} head
   */
  seen(room, head) {
    this.entries = this.entries.filter((entry) => entry.room !== room || entry.state !== "acked" || entry.seq > head);
  }

  /** The connection ended. A direct message has no key, so it is not repeated without being asked to. */
  interrupted() {
    for (const entry of this.entries) {
      if (entry.state === "sent") entry.state = entry.kind === "tell" ? "unknown" : "queued";
    }
  }

  /** The room's log began anew: what the lost log had, and was not seen, is said again under its key. @param {string} room */
  logLost(room) {
    for (const entry of this.entries) {
      if (entry.room === room && entry.state === "acked") entry.state = "queued";
    }
  }

  /** Sends again what failed, under the same key while the server still knows it. @param {string} key @param {number} now */
  retry(key, now) {
    const entry = this.get(key);
    if (entry === undefined) return;
    if (now - entry.firstSent > KEY_MS) {
      this.count += 1;
      entry.key = `${this.prefix}-${now.toString(36)}-${this.count}`;
    }
    entry.state = "queued";
    entry.firstSent = 0;
    entry.error = "";
  }

  /** @param {string} key */
  remove(key) {
    this.entries = this.entries.filter((entry) => entry.key !== key);
  }

  /** @returns {Entry[]} */
  toJSON() {
    return this.entries;
  }

  /** Takes over what an earlier page of this tab left. @param {unknown} saved */
  restore(saved) {
    if (!Array.isArray(saved)) return;
    this.entries = saved.filter((entry) => typeof entry?.key === "string" && typeof entry?.text === "string");
    this.interrupted();
    // The new page reads the room's last messages, and does not know which of them it awaits.
    for (const entry of this.entries) if (entry.state === "acked") entry.state = "queued";
  }
}
