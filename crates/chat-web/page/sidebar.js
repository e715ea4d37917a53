// The rooms and direct messages that the member is in, with what is unread.

import { h, icon, setAttribute, setText } from "./dom.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./store.js").Room} Room */
/** @typedef {import("./i18n.js").Texts} Texts */

/** @typedef {{ item: HTMLLIElement, button: HTMLButtonElement, name: HTMLElement, badge: HTMLElement, sr: HTMLElement }} Entry */

/** Above this a badge says no more than that. */
const COUNT_MAX = 99;

export class Sidebar {
  /** @param {HTMLElement} rooms @param {HTMLElement} directs @param {Store} store @param {Texts} texts */
  constructor(rooms, directs, store, texts) {
    this.rooms = rooms;
    this.directs = directs;
    this.store = store;
    this.texts = texts;
    /** @type {(room: Room) => void} */
    this.onopen = () => {};
    /** @type {Map<Room, Entry>} */
    this.entries = new Map();
  }

  render() {
    const list = this.store.list();
    const wanted = new Set(list);
    for (const [room, { item }] of this.entries) {
      if (wanted.has(room)) continue;
      item.remove();
      this.entries.delete(room);
    }
    const places = { rooms: this.rooms.firstChild, directs: this.directs.firstChild };
    for (const room of list) {
      const entry = this.entries.get(room) ?? this.entry(room);
      this.update(room, entry);
      const kind = room.direct ? "directs" : "rooms";
      if (entry.item === places[kind]) places[kind] = entry.item.nextSibling;
      else this[kind].insertBefore(entry.item, places[kind]);
    }
    this.directs.hidden = !list.some((room) => room.direct);
  }

  /** @param {Room} room @returns {Entry} */
  entry(room) {
    const name = h("span", { class: "name" });
    const badge = h("span", { class: "badge", "aria-hidden": "true" });
    const sr = h("span", { class: "sr" });
    const button = h("button", { type: "button", class: "room" }, icon(room.direct ? "person" : "hash"), name, sr, badge);
    button.addEventListener("click", () => this.onopen(room));
    const entry = { item: h("li", {}, button), button, name, badge, sr };
    this.entries.set(room, entry);
    return entry;
  }

  /** @param {Room} room @param {Entry} entry */
  update(room, { button, name, badge, sr }) {
    const { texts } = this;
    const mentions = room.direct ? room.unread : room.mentions;
    setText(name, room.name);
    setAttribute(button, "aria-current", room.id === this.store.active ? "page" : null);
    button.classList.toggle("unread", room.unread > 0);
    button.classList.toggle("away", !room.direct && !room.joined);
    const count = mentions > 0 ? mentions : room.unread;
    const more = count > COUNT_MAX || (mentions === 0 && room.unreadMore);
    badge.hidden = room.unread === 0;
    badge.classList.toggle("mentions", mentions > 0);
    setText(badge, `${Math.min(count, COUNT_MAX)}${more ? "+" : ""}`);
    const parts = [];
    if (room.unread > 0) parts.push(texts.t("unread", { n: room.unread }));
    if (mentions > 0 && !room.direct) parts.push(texts.t("mentions", { n: mentions }));
    setText(sr, parts.length === 0 ? "" : `, ${parts.join(", ")}`);
  }

  /** The room above or below the shown one. @param {number} step @param {boolean} unread */
  beside(step, unread) {
    const list = this.store.list();
    const from = list.findIndex((room) => room.id === this.store.active);
    for (let index = 1; index <= list.length; index += 1) {
      const room = list[(from + step * index + list.length * index) % list.length];
      if (room !== undefined && (!unread || room.unread > 0)) return room;
    }
    return null;
  }
}
