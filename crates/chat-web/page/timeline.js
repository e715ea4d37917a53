// The messages of the shown room. Only a slice of the room's window has elements: it moves as the member scrolls, and
// the row that the member looks at stays where it is.

import { h, setText } from "./dom.js";
import { messageRow } from "./messages.js";
import { rowsOf } from "./rows.js";

/** @typedef {import("./rows.js").Row} Row */
/** @typedef {import("./store.js").Room} Room */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./i18n.js").Texts} Texts */

/** Messages with elements: at first, more at a time, at most. */
const SLICE = 120;
const STEP = 80;
const SLICE_MAX = 320;
/** How near to an end of the slice, in pixels, more is shown. */
const NEAR = 600;
/** How near to the end still counts as the end. */
const END = 24;
/** A scrolling that stops for this long, in milliseconds, is over. */
const REST_MS = 300;

/** @typedef {{ first: string, last: string, stick: boolean, anchor: string, offset: number }} Place */

export class Timeline {
  /**
   * @param {HTMLElement} scroller @param {HTMLButtonElement} latest @param {Session} session @param {Texts} texts
   */
  constructor(scroller, latest, session, texts) {
    this.scroller = scroller;
    this.latest = latest;
    this.session = session;
    this.texts = texts;
    /** The end is shown, or not any more. */
    this.onwatch = () => {};
    /** @type {Room | null} */
    this.room = null;
    /** The ids of the first and the last message of the slice. */
    this.first = "";
    this.last = "";
    /** New messages move the view: the end, or a place that counts as the end, is in view. */
    this.stick = true;
    this.atWindowEnd = true;
    /** Where the end was when it was last in view. The member has scrolled up if the view is above that. */
    this.held = 0;
    this.resting = 0;
    /** @type {Map<string, { element: HTMLElement, sign: string }>} */
    this.rows = new Map();
    /** Where the member was in other rooms. @type {Map<string, Place>} */
    this.places = new Map();
    this.top = h("p", { class: "top" });
    scroller.append(this.top);
    this.frame = 0;
    scroller.addEventListener("scroll", () => {
      if (this.frame === 0) this.frame = requestAnimationFrame(() => this.scrolled());
    }, { passive: true });
    // The full time of a message costs more than its row, and is wanted for few of them.
    scroller.addEventListener("mouseover", ({ target }) => {
      if (target instanceof HTMLTimeElement && target.title === "") {
        target.title = texts.full.format(new Date(target.dateTime));
      }
    });
    latest.addEventListener("click", () => void this.toLatest());
    new ResizeObserver(() => {
      if (this.stick) this.toEnd();
    }).observe(scroller);
  }

  /** @param {Room} room */
  show(room) {
    if (this.room === room) return;
    clearTimeout(this.resting);
    if (this.room !== null) this.places.set(this.room.id, this.place());
    this.room = room;
    for (const { element } of this.rows.values()) element.remove();
    this.rows.clear();
    const place = this.places.get(room.id);
    this.held = 0;
    const kept = place !== undefined && !place.stick && room.messages.some((message) => message.id === place.first);
    this.first = kept ? place.first : "";
    this.last = kept ? place.last : "";
    this.stick = !kept;
    this.atWindowEnd = !kept;
    this.render();
    if (kept) this.moveTo(place.anchor, place.offset);
    else this.toLine();
    if (!kept && !room.live) void this.toLatest();
    this.fill();
  }

  /** @returns {Place} */
  place() {
    const anchor = this.anchor(() => true);
    return {
      first: this.first, last: this.last, stick: this.stick, anchor: anchor?.id ?? "", offset: anchor?.offset ?? 0,
    };
  }

  /** Draws what changed, and keeps what is in view where it is. */
  render() {
    const room = this.room;
    if (room === null) return;
    // The event of a scrolling comes with the next frame, which may be after this.
    if (this.stick && this.isScrolledUp()) this.stick = false;
    const [lo, hi] = this.slice(room);
    const atEnd = hi === room.messages.length && room.live;
    const pending = atEnd ? this.session.outbox.of(room.id) : [];
    const rows = rowsOf(room.messages, lo, hi, room.line, pending, this.session.store.nick);
    const wanted = new Map(rows.map((row) => [row.id, row.sign]));
    // A row that is drawn again may have another height, as when what precedes it makes it a part of a group.
    const anchor = this.stick ? null : this.anchor((id) => wanted.get(id) === this.rows.get(id)?.sign)
      ?? this.anchor((id) => wanted.has(id));
    this.reconcile(rows, wanted);
    this.renderTop(room, lo);
    if (this.stick) this.toEnd();
    else if (anchor !== null) this.moveTo(anchor.id, anchor.offset);
    this.renderLatest(room, atEnd);
  }

  /** The messages to show, as indices. @param {Room} room @returns {[number, number]} */
  slice(room) {
    const { messages } = room;
    const length = messages.length;
    let lo = this.first === "" ? -1 : messages.findIndex((message) => message.id === this.first);
    let hi = this.last === "" ? -1 : messages.findLastIndex((message) => message.id === this.last) + 1;
    if (this.stick || (this.atWindowEnd && hi > 0)) hi = length;
    if (hi <= 0) hi = lo < 0 ? length : Math.min(length, lo + SLICE);
    if (lo < 0 || lo > hi) lo = Math.max(0, hi - SLICE);
    if (hi - lo > SLICE_MAX) {
      if (this.stick) lo = hi - SLICE;
      else hi = lo + SLICE_MAX;
    }
    this.remember(room, lo, hi);
    return [lo, hi];
  }

  /** @param {Room} room @param {number} lo @param {number} hi */
  remember(room, lo, hi) {
    this.first = room.messages[lo]?.id ?? "";
    this.last = room.messages[hi - 1]?.id ?? "";
    this.atWindowEnd = hi === room.messages.length;
  }

  /** @param {Row[]} rows @param {Map<string, string>} wanted */
  reconcile(rows, wanted) {
    for (const [id, { element }] of this.rows) {
      if (wanted.has(id)) continue;
      element.remove();
      this.rows.delete(id);
    }
    /** @type {ChildNode | null} */
    let cursor = this.top.nextSibling;
    for (const row of rows) {
      let known = this.rows.get(row.id);
      if (known === undefined || known.sign !== row.sign) {
        const element = messageRow(row, this.session, this.texts);
        if (known !== undefined) {
          if (cursor === known.element) cursor = known.element.nextSibling;
          known.element.remove();
        }
        known = { element, sign: row.sign };
        this.rows.set(row.id, known);
      }
      if (known.element === cursor) cursor = cursor.nextSibling;
      else this.scroller.insertBefore(known.element, cursor);
    }
  }

  /** @param {Room} room @param {number} lo */
  renderTop(room, lo) {
    const { t } = bound(this.texts);
    if (lo > 0 || !room.top) setText(this.top, t("loading"));
    else if (room.direct) setText(this.top, t("directBeginning", { nick: room.name }));
    // The first message of a log is its number 1. What was before another one is no longer kept.
    else setText(this.top, t((room.first?.seq ?? 1) > 1 ? "noEarlier" : "beginning", { room: room.name }));
  }

  /** @param {Room} room @param {boolean} atEnd */
  renderLatest(room, atEnd) {
    this.latest.hidden = this.stick && atEnd;
    const { t } = bound(this.texts);
    setText(this.latest, room.unread > 0 ? t("latestNew", { n: room.unread }) : t("latest"));
  }

  /**
   * The first row in view for which `usable` holds, and how far below the upper edge it is.
   * @param {(id: string) => boolean} usable
   */
  anchor(usable) {
    const { top } = this.scroller.getBoundingClientRect();
    let first = null;
    for (const [id, { element }] of this.rows) {
      if (!usable(id)) continue;
      const box = element.getBoundingClientRect();
      const offset = box.top - top;
      if (box.bottom > top && (first === null || offset < first.offset)) first = { id, offset };
    }
    return first;
  }

  /** @param {string} id @param {number} offset */
  moveTo(id, offset) {
    const row = this.rows.get(id);
    if (row === undefined) return;
    const moved = row.element.getBoundingClientRect().top - this.scroller.getBoundingClientRect().top - offset;
    // Less than a pixel cannot be scrolled, and would add up.
    if (Math.abs(moved) >= 1) this.scroller.scrollTop += moved;
  }

  toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.held = this.scroller.scrollTop;
  }

  /** Whether the member has scrolled up since the end was in view, however little: a scrolling begins slowly. */
  isScrolledUp() {
    return this.scroller.scrollTop < this.held - 1 && this.below() > 1;
  }

  /**
   * A scrolling is over. A place that counts as the end is now where the end is held, also if a drawing took the first
   * pixels of the scrolling for a scroll away from the end.
   * @param {number} scrollTop
   */
  rested(scrollTop) {
    const { room } = this;
    // Elsewhere by now: the scrolling goes on, and its event is on the way.
    if (room === null || this.scroller.scrollTop !== scrollTop) return;
    if (this.stick) this.held = this.scroller.scrollTop;
    else if (this.isAtEnd(room)) this.setStick(room, true);
  }

  /** @param {Room} room @param {boolean} stick */
  setStick(room, stick) {
    this.stick = stick;
    this.held = this.scroller.scrollTop;
    this.renderLatest(room, this.atWindowEnd && room.live);
    this.onwatch();
  }

  /** @param {Room} room */
  isAtEnd(room) {
    return this.below() <= END && this.atWindowEnd && room.live;
  }

  /** Shows the unread line if it is above the view. */
  toLine() {
    this.toEnd();
    const line = this.rows.get("unread");
    if (line === undefined) return;
    const top = line.element.offsetTop - this.scroller.clientHeight / 4;
    if (top >= this.scroller.scrollTop) return;
    this.stick = false;
    this.scroller.scrollTop = top;
  }

  scrolled() {
    this.frame = 0;
    const room = this.room;
    if (room === null) return;
    const isAtEnd = this.isAtEnd(room);
    clearTimeout(this.resting);
    const { scrollTop } = this.scroller;
    if (isAtEnd) this.resting = window.setTimeout(() => this.rested(scrollTop), REST_MS);
    // Who has left the end and is still near it may be on the way up: only a rest tells.
    const stick = isAtEnd && (this.stick || this.below() <= 1);
    if (stick !== this.stick) this.setStick(room, stick);
    this.fill();
  }

  below() {
    return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight;
  }

  /** Shows more where an end of the slice is near, from the window or from the server. */
  fill() {
    const room = this.room;
    if (room === null) return;
    if (this.scroller.scrollTop < NEAR && this.fillUp(room)) return;
    if (this.below() < NEAR) this.fillDown(room);
  }

  /** @param {Room} room */
  fillUp(room) {
    const { messages } = room;
    const lo = Math.max(0, messages.findIndex((message) => message.id === this.first));
    if (lo > 0) {
      const hi = messages.findLastIndex((message) => message.id === this.last) + 1;
      const next = Math.max(0, lo - STEP);
      this.stick = this.stick && hi - next <= SLICE_MAX;
      this.remember(room, next, Math.min(hi, next + SLICE_MAX));
      this.render();
      return true;
    }
    if (!room.top && !room.direct && this.session.connection.online) this.load(room, this.session.older(room));
    return false;
  }

  /** @param {Room} room */
  fillDown(room) {
    const { messages } = room;
    const hi = messages.findLastIndex((message) => message.id === this.last) + 1;
    if (hi > 0 && hi < messages.length) {
      const lo = Math.max(0, messages.findIndex((message) => message.id === this.first));
      const next = Math.min(messages.length, hi + STEP);
      this.remember(room, Math.max(lo, next - SLICE_MAX), next);
      this.render();
    } else if (!room.live && this.session.connection.online) {
      this.load(room, this.session.newer(room));
    }
  }

  /** @param {Room} room @param {Promise<void>} reading */
  load(room, reading) {
    // A full window that moves has as many messages as before.
    const ends = () => `${room.messages[0]?.id} ${room.messages.at(-1)?.id}`;
    const before = ends();
    void reading.then(() => {
      if (this.room !== room) return;
      // First the rows above: what is in view can stay where it is only if there is something above to scroll to.
      if (ends() !== before) this.fill();
      this.render();
    });
  }

  async toLatest() {
    const room = this.room;
    if (room === null) return;
    if (!room.live) await this.session.latest(room);
    if (this.room !== room) return;
    this.first = this.last = "";
    this.stick = true;
    this.held = 0;
    this.render();
    this.onwatch();
  }

  /** Shows a message that the log has, and marks it. @param {Room} room @param {number} seq */
  async jump(room, seq) {
    const id = `${room.epoch}:${seq}`;
    if (!room.messages.some((message) => message.id === id)) await this.session.around(room, seq);
    const index = room.messages.findIndex((message) => message.id === id);
    if (this.room !== room || index < 0) return;
    clearTimeout(this.resting);
    this.stick = false;
    this.remember(room, Math.max(0, index - SLICE / 2), Math.min(room.messages.length, index + SLICE / 2));
    this.render();
    const row = this.rows.get(id);
    if (row === undefined) return;
    const { element } = row;
    this.scroller.scrollTop = element.offsetTop - (this.scroller.clientHeight - element.offsetHeight) / 2;
    element.classList.remove("found");
    // A class that is set again in the same frame would not mark it again.
    requestAnimationFrame(() => element.classList.add("found"));
    this.fill();
  }

  /** @param {number} pages */
  page(pages) {
    this.scroller.scrollBy({ top: pages * this.scroller.clientHeight * 0.85 });
  }
}

/** @param {Texts} texts */
function bound(texts) {
  return { t: texts.t.bind(texts) };
}
