// Beside the messages: the members of the room, or a search in its log.

import { CommandError } from "./connection.js";
import { byId, h, setText } from "./dom.js";
import { textNodes } from "./messages.js";
import { browser } from "./storage.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./store.js").Room} Room */
/** @typedef {import("./i18n.js").Texts} Texts */
/** @typedef {"members" | "search" | ""} PanelName */

/** Members with an element. A room may have thousands. */
const SHOWN_MAX = 200;
/** Finds of a page. */
const FINDS = 30;
const LONG = 32_768;

export class Panel {
  /** @param {Session} session @param {Texts} texts */
  constructor(session, texts) {
    this.session = session;
    this.texts = texts;
    /** @type {PanelName} */
    this.open = "";
    /** @type {Room | null} */
    this.room = null;
    /** @type {(nick: string) => void} */
    this.onmember = () => {};
    /** @type {(seq: number) => void} */
    this.onfind = () => {};
    this.onclose = () => {};
    /** Another view is shown, or none. */
    this.onshow = () => {};
    this.element = byId("panel", HTMLElement);
    this.title = byId("panel-title", HTMLElement);
    this.membersView = byId("members", HTMLElement);
    this.memberList = byId("member-list", HTMLElement);
    this.leave = byId("leave", HTMLButtonElement);
    this.searchView = byId("search", HTMLElement);
    this.query = byId("query", HTMLInputElement);
    this.status = byId("found", HTMLElement);
    this.finds = byId("finds", HTMLElement);
    this.older = byId("older-finds", HTMLButtonElement);
    /** What the members' list shows, so that it is made again only when it changes. */
    this.shown = "";
    /** Counts searches: an answer to an earlier one is not shown. */
    this.searches = 0;
    /** @type {{ room: Room, text: string, last: number, count: number }} */
    this.found = { room: /** @type {any} */ (null), text: "", last: 0, count: 0 };
    byId("search-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.search(this.query.value);
    });
    this.older.addEventListener("click", () => void this.more());
    byId("panel-close", HTMLButtonElement).addEventListener("click", () => this.close());
  }

  /** @param {PanelName} name */
  toggle(name) {
    this.show(this.open === name ? "" : name);
    if (this.open === "search") this.query.focus();
    else if (this.open === "members") this.title.focus();
    else this.onclose();
    browser.set("members", this.open === "members");
  }

  /** @param {PanelName} name */
  show(name) {
    this.open = name;
    this.element.hidden = name === "";
    this.membersView.hidden = name !== "members";
    this.searchView.hidden = name !== "search";
    this.render(this.room);
    this.onshow();
  }

  close() {
    browser.set("members", false);
    this.show("");
    this.onclose();
  }

  /** @param {Room | null} room */
  render(room) {
    if (this.room !== room) this.clearSearch();
    this.room = room;
    if (room === null || this.open === "") return;
    const { texts } = this;
    if (this.open === "search") {
      setText(this.title, room.direct ? texts.t("search") : texts.t("searchIn", { room: room.name }));
      if (room.direct) setText(this.status, texts.t("noSearchDirect"));
      return;
    }
    setText(this.title, room.direct ? room.name : texts.membersCount(room.count));
    setText(this.leave, texts.t("leave", { room: room.direct ? room.name : `#${room.name}` }));
    this.renderMembers(room);
  }

  /** @param {Room} room */
  renderMembers(room) {
    const { collator } = this.texts;
    const nicks = room.direct ? [room.name] : [...room.members.values()];
    const shown = nicks.sort((a, b) => collator.compare(a, b)).slice(0, SHOWN_MAX);
    const rest = room.direct ? 0 : Math.max(0, room.count - shown.length);
    const sign = `${room.id} ${this.session.store.nick} ${shown.join(" ")} ${rest}`;
    if (sign === this.shown) return;
    this.shown = sign;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.nick : undefined;
    this.memberList.replaceChildren(
      ...shown.map((nick) => this.member(nick)),
      ...(rest > 0 ? [h("li", { class: "rest" }, this.texts.t("more", { n: rest }))] : []),
    );
    if (focused === undefined) return;
    for (const button of this.memberList.querySelectorAll("button")) if (button.dataset.nick === focused) button.focus();
  }

  /** @param {string} nick */
  member(nick) {
    if (this.session.store.isMe(nick)) {
      return h("li", {}, h("span", { class: "member" }, nick, h("small", {}, ` ${this.texts.t("you")}`)));
    }
    const button = h("button", { type: "button", class: "member", "data-nick": nick,
      title: this.texts.t("write", { nick }) }, nick);
    button.addEventListener("click", () => this.onmember(nick));
    return h("li", {}, button);
  }

  clearSearch() {
    this.searches += 1;
    this.finds.replaceChildren();
    this.older.hidden = true;
    setText(this.status, "");
  }

  /** @param {string} text */
  async search(text) {
    const room = this.room;
    this.query.value = text;
    if (room === null || room.direct || text.trim() === "") return;
    this.clearSearch();
    this.found = { room, text, last: 0, count: 0 };
    setText(this.status, this.texts.t("searching"));
    await this.more();
  }

  async more() {
    const { found } = this;
    const search = this.searches;
    const before = found.last === 0 ? undefined : found.last;
    try {
      const reply = await this.session.search(found.room, found.text, FINDS, before);
      if (search !== this.searches) return;
      const finds = reply.messages.map((/** @type {any} */ event) => this.session.store.messageOf(found.room, event));
      found.count += finds.length;
      found.last = finds.at(-1)?.seq ?? found.last;
      // A page has fewer than it may have if it is the last, or if its messages are long.
      this.older.hidden = finds.length < FINDS && JSON.stringify(reply).length < LONG;
      this.finds.append(...finds.map((/** @type {import("./store.js").Message} */ message) => this.find(message)));
      const status = this.texts.t(found.count === 0 ? "found0" : "found", { n: found.count });
      setText(this.status, reply.gap ? `${status} ${this.texts.t("searchGap")}` : status);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      if (search !== this.searches) return;
      setText(this.status, error.code === "offline" ? this.texts.t("offlineCommand") : error.message);
    }
  }

  /** @param {import("./store.js").Message} message */
  find(message) {
    const button = h("button", { type: "button", class: "find" },
      h("span", { class: "from" }, message.from), " ",
      h("time", { datetime: new Date(message.ts).toISOString() },
        `${this.texts.dayName(message.ts, this.session.now())} ${this.texts.clock.format(message.ts)}`),
      h("span", { class: "text" }, ...textNodes(message.text, []).map((node) =>
        typeof node === "string" ? node : node.textContent)));
    button.addEventListener("click", () => this.onfind(message.seq));
    return h("li", {}, button);
  }
}
