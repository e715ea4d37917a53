// The dialogs: rooms of the server, settings, help.

import { COMMANDS } from "./commands.js";
import { CommandError } from "./connection.js";
import { byId, h, setText } from "./dom.js";
import { browser } from "./storage.js";
import { fold, roomName } from "./text.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./i18n.js").Texts} Texts */
/** @typedef {import("./i18n.js").TextName} TextName */
/** @typedef {import("./notify.js").Notifier} Notifier */

/** Shows a dialog, and closes it by its button, by Escape, or by a click beside it. @param {HTMLDialogElement} dialog */
function prepare(dialog) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  for (const button of dialog.querySelectorAll("[data-close]")) button.addEventListener("click", () => dialog.close());
}

export class RoomsDialog {
  /** @param {Session} session @param {Texts} texts @param {(name: string) => void} onroom */
  constructor(session, texts, onroom) {
    this.session = session;
    this.texts = texts;
    this.onroom = onroom;
    this.dialog = byId("rooms-dialog", HTMLDialogElement);
    this.list = byId("all-rooms", HTMLElement);
    this.status = byId("all-rooms-status", HTMLElement);
    this.more = byId("more-rooms", HTMLButtonElement);
    this.input = byId("new-room", HTMLInputElement);
    this.last = "";
    prepare(this.dialog);
    byId("new-room-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      const name = roomName(this.input.value);
      if (name !== "") this.choose(name);
    });
    this.more.addEventListener("click", () => void this.load());
  }

  show() {
    this.list.replaceChildren();
    this.last = "";
    this.input.value = "";
    if (!this.dialog.open) this.dialog.showModal();
    this.input.focus();
    void this.load();
  }

  /** @param {string} name */
  choose(name) {
    this.dialog.close();
    this.onroom(name);
  }

  async load() {
    this.more.hidden = true;
    setText(this.status, this.texts.t("loading"));
    try {
      const reply = await this.session.rooms(this.last === "" ? undefined : this.last);
      const rooms = /** @type {{ room: string, count: number, topic: string }[]} */ (reply.rooms);
      this.last = rooms.at(-1)?.room ?? "";
      this.list.append(...rooms.map((room) => this.item(room)));
      this.more.hidden = reply.more !== true;
      setText(this.status, this.list.childElementCount === 0 ? this.texts.t("noRooms") : "");
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      setText(this.status, error.code === "offline" ? this.texts.t("offlineCommand") : error.message);
    }
  }

  /** @param {{ room: string, count: number, topic: string }} room */
  item({ room, count, topic }) {
    const isIn = this.session.store.get(fold(room))?.joined === true;
    const state = isIn ? `${this.texts.membersCount(count)}, ${this.texts.t("isIn")}` : this.texts.membersCount(count);
    const button = h("button", { type: "button", class: "listed" },
      h("b", {}, `#${room}`), h("small", {}, state), topic !== "" && h("span", {}, topic));
    button.addEventListener("click", () => this.choose(room));
    return h("li", {}, button);
  }
}

export class SettingsDialog {
  /** @param {Session} session @param {Texts} texts @param {Notifier} notifier @param {(text: string) => void} onhint */
  constructor(session, texts, notifier, onhint) {
    this.session = session;
    this.texts = texts;
    this.notifier = notifier;
    this.dialog = byId("settings-dialog", HTMLDialogElement);
    this.nick = byId("settings-nick", HTMLInputElement);
    this.error = byId("settings-error", HTMLElement);
    this.notify = byId("settings-notify", HTMLInputElement);
    this.notifyHint = byId("settings-notify-hint", HTMLElement);
    this.sound = byId("settings-sound", HTMLInputElement);
    this.onhint = onhint;
    prepare(this.dialog);
    byId("nick-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.rename();
    });
    this.notify.addEventListener("change", async () => {
      await notifier.want(this.notify.checked);
      this.update();
    });
    this.sound.addEventListener("change", () => notifier.wantSound(this.sound.checked));
    this.themes = [...this.dialog.querySelectorAll("input[name=theme]")].filter((one) => one instanceof HTMLInputElement);
    for (const theme of this.themes) theme.addEventListener("change", () => setTheme(theme.value));
  }

  show() {
    this.nick.value = this.session.store.nick;
    setText(this.error, "");
    this.update();
    if (!this.dialog.open) this.dialog.showModal();
  }

  update() {
    const { notifier, texts } = this;
    this.notify.checked = notifier.on;
    this.notify.disabled = !notifier.possible || notifier.denied;
    setText(this.notifyHint, !notifier.possible ? texts.t("notifyInsecure") : notifier.denied ? texts.t("notifyDenied") : "");
    this.sound.checked = notifier.sound;
    for (const theme of this.themes) theme.checked = theme.value === themeNow();
  }

  async rename() {
    const nick = this.nick.value.trim();
    if (nick === "" || nick === this.session.store.nick) {
      this.dialog.close();
      return;
    }
    try {
      await this.session.rename(nick);
      this.dialog.close();
      this.onhint(this.texts.t("nickNow", { nick: this.session.store.nick }));
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      setText(this.error, error.code === "offline" ? this.texts.t("offlineCommand") : error.message);
    }
  }
}

/** @returns {string} */
function themeNow() {
  return browser.get("theme") ?? "auto";
}

/** @param {string} theme */
function setTheme(theme) {
  browser.set("theme", theme === "auto" ? null : theme);
  applyTheme();
}

export function applyTheme() {
  const theme = themeNow();
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

export class HelpDialog {
  /** @param {Texts} texts */
  constructor(texts) {
    this.dialog = byId("help-dialog", HTMLDialogElement);
    prepare(this.dialog);
    byId("help-commands", HTMLElement).append(...COMMANDS.flatMap(({ name, args }) => [
      h("dt", {}, h("kbd", {}, `/${name}`), args !== "" && ` ${args}`),
      h("dd", {}, texts.t(/** @type {TextName} */ (`cmd_${name}`))),
    ]));
    /** @type {[string, TextName][]} */
    const keys = [
      ["Enter", "keySend"], ["Shift+Enter", "keyLine"], ["Tab", "keyComplete"], ["Alt+↑ ↓", "keyRooms"],
      ["Alt+Shift+↓", "keyUnread"], ["Ctrl+K", "keyJoin"], ["Ctrl+Shift+F", "keySearch"],
      ["Page ↑ ↓", "keyScroll"], ["Esc", "keyEscape"],
    ];
    byId("help-keys", HTMLElement).append(...keys.flatMap(([key, text]) => [
      h("dt", {}, h("kbd", {}, key)), h("dd", {}, texts.t(text)),
    ]));
  }

  show() {
    if (!this.dialog.open) this.dialog.showModal();
  }
}
