// Puts the parts together: what happened goes to the store, and what changed is drawn once a frame.

import { hashOf, parseAddress } from "./address.js";
import { COMMANDS, parseInput } from "./commands.js";
import { Composer } from "./composer.js";
import { CommandError, Connection } from "./connection.js";
import { applyTheme, HelpDialog, RoomsDialog, SettingsDialog } from "./dialogs.js";
import { byId, setAttribute, setText } from "./dom.js";
import { languageOf, Texts } from "./i18n.js";
import { Announcer, Notifier } from "./notify.js";
import { Outbox } from "./outbox.js";
import { Panel } from "./panel.js";
import { Session } from "./session.js";
import { Sidebar } from "./sidebar.js";
import { browser, secret, tab, tabToken } from "./storage.js";
import { Room, Store } from "./store.js";
import { byteLength, fold } from "./text.js";
import { Timeline } from "./timeline.js";

/** @typedef {import("./i18n.js").TextName} TextName */
/** @typedef {import("./commands.js").Input} Input */

/** Messages that one paste may become. */
const LINES_MAX = 20;
/** Direct messages that a tab keeps over a reload, for each member. */
const DIRECTS_MAX = 100;
const SAVE_MS = 500;
/** More changes in one frame than this are drawn together, this long after the last drawing. */
const FLOOD = 40;
const FLOOD_MS = 200;

const texts = new Texts(languageOf(navigator.languages));
const t = texts.t.bind(texts);

class App {
  /** @param {string} token */
  constructor(token) {
    this.store = new Store();
    this.outbox = new Outbox(secret(4));
    this.connection = new Connection(() => /** @type {any} */ (new WebSocket(socketAddress(), "chat.v1")));
    this.session = new Session(this.connection, this.store, this.outbox, token, () => Date.now());
    this.notifier = new Notifier();
    this.announcer = new Announcer(byId("live", HTMLElement), (n) =>
      t("newMessages", { n, room: this.room === null ? "" : labelOf(this.room) }));
    this.timeline = new Timeline(byId("timeline", HTMLElement), byId("latest", HTMLButtonElement), this.session, texts);
    this.composer = new Composer(byId("composer", HTMLFormElement), byId("field", HTMLTextAreaElement),
      byId("options", HTMLElement), texts);
    this.sidebar = new Sidebar(byId("room-list", HTMLElement), byId("direct-list", HTMLElement), this.store, texts);
    this.panel = new Panel(this.session, texts);
    this.rooms = new RoomsDialog(this.session, texts, (name) => void this.open(name));
    this.settings = new SettingsDialog(this.session, texts, this.notifier, (text) => this.hint(text));
    this.help = new HelpDialog(texts);
    this.app = byId("app", HTMLElement);
    this.welcome = byId("welcome", HTMLElement);
    /** @type {{ [room: string]: string }} */
    this.drafts = browser.get("drafts") ?? {};
    this.store.reads = browser.get("read") ?? {};
    this.drawing = false;
    /** What changed since the last drawing, and whether that was more than can be read. */
    this.changes = 0;
    this.flooded = false;
    /** @type {any} */
    this.saving = null;
    this.countdown = 0;
    /** @type {Room | null} */
    this.drawnRoom = null;
    this.wire();
  }

  /** The room that is shown. @returns {Room | null} */
  get room() {
    return this.store.get(this.store.active) ?? null;
  }

  wire() {
    const { session, connection, composer } = this;
    connection.onstate = () => session.stateChanged();
    session.onchange = () => this.changed();
    session.onnews = (room, message) => this.news(room, message);
    session.onrefused = (error) => this.refused(error);
    session.onnick = (wanted, nick) => this.hint(t("nickOther", { wanted, nick }));
    session.onroom = (room, error) => this.hint(`#${room}: ${error.message}`, true);
    session.ongreeted = () => this.greeted();
    this.sidebar.onopen = (room) => {
      if (room.direct || room.joined) this.show(room);
      else void this.open(room.name);
    };
    this.timeline.onwatch = () => this.watch();
    this.panel.onmember = (nick) => this.show(this.direct(nick));
    this.panel.onfind = (seq) => {
      if (this.room !== null) void this.timeline.jump(this.room, seq);
      if (matchMedia("(max-width: 60rem)").matches) this.panel.close();
    };
    this.panel.onclose = () => this.focusField();
    this.panel.onshow = () => this.changed();
    composer.onsend = (text) => this.typed(text);
    composer.onhint = (text) => this.hint(text);
    composer.ondraft = (text) => this.draft(text);
    composer.known = () => this.completions();
    this.wireButtons();
    this.wireWindow();
  }

  wireButtons() {
    const on = (/** @type {string} */ id, /** @type {() => void} */ run) =>
      byId(id, HTMLButtonElement).addEventListener("click", run);
    on("skip", () => this.composer.field.focus());
    on("rooms-toggle", () => this.drawer(!this.app.classList.contains("drawer")));
    on("rooms-close", () => this.drawer(false));
    on("shade", () => {
      this.drawer(false);
      this.panel.close();
    });
    on("room-add", () => this.rooms.show());
    on("settings-open", () => this.settings.show());
    on("help-open", () => this.help.show());
    on("search-open", () => this.panel.toggle("search"));
    on("members-open", () => this.panel.toggle("members"));
    on("leave", () => this.leave());
    on("connection-retry", () => this.retryNow());
    byId("topic", HTMLButtonElement).addEventListener("click", () => {
      if (this.room === null || this.room.direct) return;
      this.composer.set(`/topic ${this.room.topic}`);
      this.composer.field.focus();
    });
    byId("join-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.enter();
    });
  }

  wireWindow() {
    addEventListener("hashchange", () => this.followAddress());
    addEventListener("online", () => this.connection.probe());
    addEventListener("focus", () => this.watch());
    addEventListener("blur", () => this.watch());
    addEventListener("pagehide", () => this.save());
    addEventListener("pageshow", (event) => {
      if (event.persisted) this.connection.probe();
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.connection.probe();
      else this.save();
      this.watch();
    });
    document.addEventListener("keydown", (event) => this.key(event));
  }

  start() {
    const address = parseAddress(location.hash, location.search);
    // A new tab without an address opens what the last one had.
    const saved = tab.get("rooms") ?? (address.rooms.length === 0 ? browser.get("rooms") : null) ?? [];
    this.outbox.restore(tab.get("outbox"));
    for (const name of [...address.rooms, ...(Array.isArray(saved) ? saved : [])]) this.store.room(String(name));
    this.restoreDirects(tab.get("directs"));
    const nick = tab.get("nick") || address.nick || browser.get("nick") || "";
    this.store.wantedNick = String(nick);
    const first = address.direct !== "" ? this.direct(address.direct) : this.store.get(fold(address.rooms[0] ?? ""));
    if (first !== undefined) this.store.active = first.id;
    byId("join-nick", HTMLInputElement).value = String(nick);
    byId("join-rooms", HTMLInputElement).value = address.rooms.join(", ");
    document.documentElement.classList.add("ready");
    if (nick !== "" || tab.get("entered") === true) this.connect();
    else byId("join-nick", HTMLInputElement).focus();
  }

  /** The form of the first visit. */
  enter() {
    const nick = byId("join-nick", HTMLInputElement).value.trim();
    const rooms = parseAddress(byId("join-rooms", HTMLInputElement).value.replace(/\s*,\s*/g, ","));
    this.store.wantedNick = nick;
    this.store.nick = "";
    for (const room of this.store.list()) if (!room.joined && room.empty && !room.direct) this.store.forget(room.id);
    for (const name of rooms.rooms) this.store.room(name);
    if (this.room === null) this.store.active = fold(rooms.rooms[0] ?? "");
    // Another nick than the typed one would be a surprise here.
    this.session.mayVary = false;
    setText(byId("join-error", HTMLElement), "");
    this.connect();
  }

  connect() {
    this.connection.start();
    this.changed();
  }

  /** @param {CommandError} error */
  refused(error) {
    this.connection.end("refused", error.message);
    this.showForm(error.code === "nick_taken" ? t("nickTaken") : error.message);
  }

  /** @param {string} error */
  showForm(error) {
    this.welcome.hidden = false;
    this.app.hidden = true;
    setText(byId("join-error", HTMLElement), error);
    byId("join-nick", HTMLInputElement).focus();
  }

  greeted() {
    const { store } = this;
    tab.set("entered", true);
    tab.set("nick", store.wantedNick);
    browser.set("nick", store.wantedNick);
    this.composer.textMax = this.session.textMax;
    const first = this.welcome.hidden === false;
    this.welcome.hidden = true;
    this.app.hidden = false;
    const motd = this.session.motd.join("\n");
    if (this.room === null) {
      const lobby = store.list()[0];
      if (lobby !== undefined) this.show(lobby);
    } else if (this.drawnRoom !== this.room) {
      this.show(this.room);
    }
    if (first && motd !== "" && this.room !== null) store.remark(this.room, motd, Date.now());
    if (!first) return;
    // There is room for the members on a wide screen, unless they were closed there before.
    if (matchMedia("(min-width: 75rem)").matches && browser.get("members") !== false) this.panel.show("members");
    this.focusField();
  }

  /** @param {string} nick */
  direct(nick) {
    return this.store.direct(nick);
  }

  /** Joins a room and shows it. @param {string} name */
  async open(name) {
    const room = this.store.room(name);
    this.show(room);
    const joined = await this.session.join(name);
    if (joined === null && this.room === null) this.showAny();
    else if (joined !== null && joined !== room && this.room === null) this.show(joined);
  }

  showAny() {
    const room = this.store.list()[0];
    if (room !== undefined) this.show(room);
    else this.changed();
  }

  /** @param {Room} room */
  show(room) {
    this.store.activate(room);
    this.drawer(false);
    const { rooms, direct } = parseAddress(location.hash);
    const named = fold(direct === "" ? rooms[0] ?? "" : `@${direct}`) === room.id;
    if (named || this.drawnRoom === null) history.replaceState(null, "", hashOf(room));
    else history.pushState(null, "", hashOf(room));
    this.drawnRoom = room;
    this.draw();
    this.timeline.show(room);
    this.composer.set(this.drafts[room.id] ?? "");
    this.hint("");
    this.focusField();
    this.watch();
  }

  followAddress() {
    const address = parseAddress(location.hash, "");
    if (address.direct !== "") this.show(this.direct(address.direct));
    else if (address.rooms[0] !== undefined) void this.open(address.rooms[0]);
  }

  leave() {
    const { room } = this;
    if (room === null) return;
    this.session.leave(room);
    this.panel.show("");
    this.showAny();
  }

  /** On a phone the keyboard would cover half of what the member wants to read. */
  focusField() {
    if (!matchMedia("(pointer: coarse)").matches) this.composer.field.focus({ preventScroll: true });
  }

  /** @param {boolean} open */
  drawer(open) {
    this.app.classList.toggle("drawer", open);
    const toggle = byId("rooms-toggle", HTMLButtonElement);
    toggle.setAttribute("aria-expanded", String(open));
    if (open) this.sidebar.rooms.querySelector("button")?.focus();
    else if (byId("rooms", HTMLElement).contains(document.activeElement)) toggle.focus();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.isComposing || this.app.hidden || document.querySelector("dialog[open]") !== null) return;
    const mod = event.ctrlKey || event.metaKey;
    if (event.altKey && !mod && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      const room = this.sidebar.beside(event.key === "ArrowDown" ? 1 : -1, event.shiftKey);
      if (room !== null) this.show(room);
    } else if (mod && !event.shiftKey && event.key.toLowerCase() === "k") {
      this.rooms.show();
    } else if (mod && event.shiftKey && event.key.toLowerCase() === "f") {
      this.panel.show("search");
      this.panel.query.focus();
    } else if ((event.key === "PageUp" || event.key === "PageDown") && event.target === this.composer.field) {
      this.timeline.page(event.key === "PageUp" ? -1 : 1);
    } else if (event.key === "Escape") {
      this.escape();
    } else {
      return;
    }
    event.preventDefault();
  }

  escape() {
    if (this.app.classList.contains("drawer")) this.drawer(false);
    else if (this.panel.open !== "") this.panel.close();
    else void this.timeline.toLatest();
    this.composer.field.focus();
  }

  /** @param {string} text @returns {boolean} whether it was taken */
  typed(text) {
    const input = parseInput(text);
    if (input.type === "say") return this.say(input.texts);
    this.hint("");
    switch (input.type) {
      case "unknown":
        this.hint(t("unknownCommand", input), true);
        return false;
      case "incomplete": {
        const args = COMMANDS.find(({ name }) => name === input.name)?.args ?? "";
        this.hint(t("incomplete", { name: input.name, args }), true);
        return false;
      }
      default:
        void this.run(input).catch((error) => {
          if (!(error instanceof CommandError)) throw error;
          this.hint(error.code === "offline" ? t("offlineCommand") : error.message, true);
        });
        return true;
    }
  }

  /** @param {string[]} lines */
  say(lines) {
    const { room } = this;
    if (room === null) {
      this.hint(t("nowhere"), true);
      return false;
    }
    if (lines.length > LINES_MAX) {
      this.hint(t("tooMany", { n: LINES_MAX }), true);
      return false;
    }
    const longest = Math.max(...lines.map(byteLength));
    if (longest > this.session.textMax) {
      this.hint(t("tooLong", { n: longest, max: this.session.textMax }), true);
      return false;
    }
    void this.timeline.toLatest();
    for (const line of lines) this.session.say(room, room.direct ? "tell" : "say", line);
    return true;
  }

  /** @param {Input} input */
  async run(input) {
    const { room, session } = this;
    switch (input.type) {
      case "help":
        this.help.show();
        break;
      case "rooms":
        this.rooms.show();
        break;
      case "who":
        this.panel.show("members");
        if (room !== null && !room.direct) await session.who(room);
        break;
      case "leave":
        this.leave();
        break;
      case "join":
        await this.open(input.room);
        break;
      case "nick":
        await session.rename(input.nick);
        browser.set("nick", this.store.wantedNick);
        tab.set("nick", this.store.wantedNick);
        this.hint(t("nickNow", { nick: this.store.nick }));
        break;
      case "tell": {
        const direct = this.direct(input.to);
        this.show(direct);
        session.say(direct, "tell", input.text);
        break;
      }
      case "act":
        if (room === null) this.hint(t("nowhere"), true);
        else if (room.direct) session.say(room, "tell", `* ${this.store.nick} ${input.text}`);
        else session.say(room, "act", input.text);
        break;
      case "topic":
        if (room === null || room.direct) this.hint(t("nowhere"), true);
        else if (input.text === null) this.hint(room.topic || t("noTopic"));
        else await session.topic(room, input.text);
        break;
      case "search":
        this.panel.show("search");
        await this.panel.search(input.text);
        break;
      case "quit":
        session.quit(input.reason);
        break;
      default:
        break;
    }
  }

  completions() {
    const { room, store } = this;
    const nicks = room === null ? [] : [...room.members.values()].filter((nick) => !store.isMe(nick));
    if (room?.direct) nicks.push(room.name);
    return {
      nicks: nicks.sort((a, b) => texts.collator.compare(a, b)),
      rooms: store.list().filter((one) => !one.direct).map((one) => one.name),
    };
  }

  /** @param {string} text */
  draft(text) {
    const { room } = this;
    if (room === null) return;
    if (text === "") delete this.drafts[room.id];
    else this.drafts[room.id] = text;
    this.saveLater();
  }

  /** @param {Room} room @param {import("./store.js").Message} message */
  news(room, message) {
    const shown = this.store.watching && room.id === this.store.active;
    if (message.kind !== "topic" && (room.id === this.store.active || message.mention)) {
      this.announcer.say(t(room.direct ? "tells" : "says", { from: message.from, room: labelOf(room), text: message.text }));
    }
    if (shown || !message.mention) return;
    const title = room.direct ? message.from : `${message.from} · #${room.name}`;
    this.notifier.tell(title, message.text, room.id, () => this.show(room));
  }

  /** Whether the end of the shown room is seen: then nothing in it is unread. */
  watch() {
    const { store, room } = this;
    store.watching = document.visibilityState === "visible" && document.hasFocus() && this.timeline.stick;
    if (store.watching && room !== null && (room.unread > 0 || (room.head !== null && room.head !== room.read?.seq))) {
      store.markRead(room);
      this.changed();
    }
  }

  /** @param {string} text @param {boolean} [error] */
  hint(text, error = false) {
    const hint = byId("hint", HTMLElement);
    hint.classList.toggle("error", error);
    setText(hint, text);
  }

  retryNow() {
    if (this.connection.state.name === "ended") this.connect();
    else this.connection.probe();
  }

  /** Something changed: draws it with the next frame. A hidden page has no frames, but a title. */
  changed() {
    this.saveLater();
    this.changes += 1;
    if (this.drawing) return;
    this.drawing = true;
    const draw = () => {
      if (!this.drawing) return;
      this.drawing = false;
      this.flooded = this.changes > FLOOD;
      this.changes = 0;
      this.draw();
      this.timeline.render();
      this.watch();
    };
    if (this.flooded) setTimeout(draw, FLOOD_MS);
    else if (document.visibilityState === "visible") requestAnimationFrame(draw);
    else setTimeout(draw, 100);
  }

  /** All but the messages. */
  draw() {
    const { store, room } = this;
    this.sidebar.render();
    this.drawState();
    setText(byId("me", HTMLElement), store.nick);
    const name = room === null ? t("noRoom") : room.name;
    setText(byId("room-name", HTMLElement), name);
    this.app.classList.toggle("direct", room?.direct === true);
    const topic = byId("topic", HTMLButtonElement);
    setText(topic, room === null || room.direct ? "" : room.topic || t("noTopic"));
    setAttribute(topic, "title", room?.topic ? room.topic : t("setTopic"));
    topic.hidden = room === null || room.direct;
    const label = room === null ? "" : labelOf(room);
    setAttribute(this.timeline.scroller, "aria-label", t("messages", { room: label }));
    setAttribute(this.composer.field, "aria-label", t("messageField", { room: label }));
    setAttribute(this.composer.field, "placeholder", t("messageField", { room: label }));
    setText(byId("members-count", HTMLElement), room === null || room.direct ? "" : String(room.count));
    this.panel.render(room);
    setAttribute(byId("search-open", HTMLElement), "aria-expanded", String(this.panel.open === "search"));
    setAttribute(byId("members-open", HTMLElement), "aria-expanded", String(this.panel.open === "members"));
    this.drawTitle(label);
  }

  /** @param {string} label */
  drawTitle(label) {
    const { unread, mentions } = this.store.totals();
    const badge = mentions > 0 ? `(${mentions}) ` : unread > 0 ? "• " : "";
    const title = `${badge}${label === "" ? "" : `${label} · `}${t("app")}`;
    if (document.title !== title) document.title = title;
  }

  drawState() {
    const { state } = this.connection;
    clearTimeout(this.countdown);
    const text = stateText(state);
    const join = byId("join-enter", HTMLButtonElement);
    join.disabled = !this.welcome.hidden && (state.name === "connecting" || state.name === "online");
    setText(join, join.disabled ? t("entering") : t("enter"));
    if (!this.welcome.hidden && state.name === "waiting") setText(byId("join-error", HTMLElement), text);
    // The first moments of a connection are no news.
    const quiet = state.name === "online" || state.name === "idle";
    const bar = byId("connection", HTMLElement);
    bar.classList.toggle("shown", !quiet);
    setText(byId("connection-text", HTMLElement), quiet ? "" : text);
    const retry = byId("connection-retry", HTMLButtonElement);
    retry.hidden = state.name !== "waiting" && state.name !== "ended";
    if (state.name !== "waiting") {
      setText(retry, t("again"));
      return;
    }
    // The seconds are outside the text that a screen reader reads again when it changes.
    const seconds = Math.max(0, Math.ceil((state.until - Date.now()) / 1_000));
    setText(retry, `${t("retryNow")} (${seconds})`);
    this.countdown = window.setTimeout(() => this.drawState(), 1_000);
  }

  saveLater() {
    this.saving ??= setTimeout(() => this.save(), SAVE_MS);
  }

  save() {
    clearTimeout(this.saving);
    this.saving = null;
    const rooms = this.store.list();
    if (this.session.greetedOnce) {
      const names = rooms.filter((room) => !room.direct).map((room) => room.name);
      tab.set("rooms", names);
      browser.set("rooms", names);
    }
    tab.set("outbox", this.outbox.toJSON());
    tab.set("directs", rooms.filter((room) => room.direct).map((room) => ({
      name: room.name, messages: room.messages.slice(-DIRECTS_MAX),
    })));
    // Another tab may have read further, or written elsewhere.
    const read = { ...browser.get("read") };
    for (const room of rooms) if (room.read !== null) read[room.id] = room.read;
    browser.set("read", read);
    const drafts = { ...browser.get("drafts") };
    for (const room of rooms) drafts[room.id] = this.drafts[room.id];
    browser.set("drafts", drafts);
  }

  /** @param {unknown} saved */
  restoreDirects(saved) {
    if (!Array.isArray(saved)) return;
    for (const { name, messages } of saved) {
      const room = this.direct(String(name));
      if (!Array.isArray(messages)) continue;
      // The ids of this page count from the beginning again.
      room.messages = messages.map((message, index) => ({ ...message, id: `saved-${index}` }));
    }
  }
}

/** @param {import("./connection.js").ConnectionState} state */
function stateText(state) {
  switch (state.name) {
    case "connecting":
      return t("connecting");
    case "waiting":
      return t("offlineNow");
    case "ended":
      if (state.code === "taken_over") return t("endedTaken");
      if (state.code === "quit") return t("endedQuit");
      return state.reason === "" ? t("ended") : t("endedKicked", { reason: state.reason });
    default:
      return "";
  }
}

/** @param {Room} room */
function labelOf(room) {
  return room.direct ? room.name : `#${room.name}`;
}

/** The socket is where the page is, below the same path. */
function socketAddress() {
  const address = new URL("ws", location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  address.search = address.hash = "";
  return address.href;
}

/** Puts the texts into index.html. */
function translate() {
  document.documentElement.lang = texts.language;
  for (const element of document.querySelectorAll("[data-t]")) {
    if (element instanceof HTMLElement) element.textContent = t(/** @type {TextName} */ (element.dataset.t));
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    if (!(element instanceof HTMLElement)) continue;
    const label = t(/** @type {TextName} */ (element.dataset.label));
    element.setAttribute("aria-label", label);
    if (element instanceof HTMLButtonElement) element.title = label;
  }
}

applyTheme();
translate();
new App(await tabToken()).start();
