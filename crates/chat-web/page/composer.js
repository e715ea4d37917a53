// The field in which a member writes: sending, composition, completion, drafts.

import { complete } from "./commands.js";
import { h, setAttribute } from "./dom.js";
import { byteLength } from "./text.js";

/** @typedef {import("./commands.js").Completion} Completion */
/** @typedef {import("./i18n.js").Texts} Texts */

/** Hangul only: what a Korean input method composes. Others use Enter to choose a candidate. */
const HANGUL = /^[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff\s]+$/;
/** From here on the remaining bytes are worth a word. */
const LONG = 0.85;

export class Composer {
  /**
   * @param {HTMLFormElement} form @param {HTMLTextAreaElement} field @param {HTMLElement} list @param {Texts} texts
   */
  constructor(form, field, list, texts) {
    this.field = field;
    this.list = list;
    this.texts = texts;
    /** What was typed. Gives whether it was taken. @type {(text: string) => boolean} */
    this.onsend = () => false;
    /** @type {(text: string) => void} */
    this.ondraft = () => {};
    /** @type {(text: string) => void} */
    this.onhint = () => {};
    /** @type {() => { nicks: string[], rooms: string[] }} */
    this.known = () => ({ nicks: [], rooms: [] });
    this.textMax = 4096;
    this.composing = false;
    this.composed = "";
    /** Enter was pressed during a composition: what it completes is sent. */
    this.sendWhenComposed = false;
    /** @type {Completion | null} */
    this.completion = null;
    this.chosen = 0;
    /** What was sent last, for the arrow up. */
    this.sentLast = "";
    this.listen(form);
  }

  /** @param {HTMLFormElement} form */
  listen(form) {
    const { field } = this;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
      field.focus();
    });
    field.addEventListener("compositionstart", () => {
      this.composing = true;
      this.composed = "";
    });
    field.addEventListener("compositionupdate", (event) => {
      this.composed = event.data;
    });
    field.addEventListener("compositionend", (event) => this.compositionEnded(event.data));
    field.addEventListener("keydown", (event) => this.keyDown(event));
    field.addEventListener("input", () => this.changed());
    field.addEventListener("blur", () => this.closeList());
    this.list.addEventListener("mousedown", (event) => {
      // The field keeps the focus.
      event.preventDefault();
      const option = event.target instanceof Element ? event.target.closest("[data-index]") : null;
      if (option instanceof HTMLElement) this.accept(Number(option.dataset.index));
    });
  }

  /** @param {KeyboardEvent} event */
  keyDown(event) {
    // An input method may take the key's name and leave its place on the keyboard.
    if (event.key === "Enter" || (event.keyCode === 229 && /^(Numpad)?Enter$/.test(event.code))) {
      this.enter(event);
      return;
    }
    if (event.isComposing || event.keyCode === 229) return;
    const open = this.completion !== null;
    if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      this.choose(this.chosen + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Tab" && !event.shiftKey && (open || this.offer(true))) {
      if (open || this.completion?.options.length === 1) this.accept(this.chosen);
    } else if (open && event.key === "Escape") {
      this.closeList();
      event.stopPropagation();
    } else if (event.key === "ArrowUp" && this.field.value === "" && this.sentLast !== "") {
      this.set(this.sentLast);
    } else {
      return;
    }
    event.preventDefault();
  }

  /**
   * Enter sends once. During a composition it first completes it: the text is then read after the last syllable is in
   * the field and no longer in the input method, so it is neither cut nor left behind. A second Enter that some systems
   * add finds an empty field.
   * @param {KeyboardEvent} event
   */
  enter(event) {
    if (event.shiftKey || event.altKey) return;
    if (event.isComposing || event.keyCode === 229) {
      if (this.composing) this.sendWhenComposed = HANGUL.test(this.composed);
      // Safari ends the composition before it tells of the key. The candidate list of other languages also ends so.
      else if (HANGUL.test(this.composed)) setTimeout(() => this.send());
      return;
    }
    event.preventDefault();
    if (this.completion !== null && !this.isComplete()) this.accept(this.chosen);
    else this.send();
  }

  /** @param {string} data */
  compositionEnded(data) {
    this.composing = false;
    this.composed = data;
    if (this.sendWhenComposed && HANGUL.test(data)) setTimeout(() => this.send());
    this.sendWhenComposed = false;
  }

  /** The word is an option already: Enter then sends. */
  isComplete() {
    const { completion } = this;
    if (completion === null) return true;
    const word = this.field.value.slice(completion.start, completion.end);
    return word === completion.options[this.chosen]?.text.trimEnd() && word.startsWith("/");
  }

  send() {
    if (this.composing) return;
    const text = this.field.value.replace(/[\r\n]+$/, "");
    if (text.trim() === "") {
      if (this.field.value !== "") this.set("");
      return;
    }
    // A command may show another room, whose draft then replaces this text.
    this.set("");
    if (this.onsend(text)) this.sentLast = text;
    else this.set(text);
  }

  changed() {
    // Some systems add the line break of an Enter that was sent already.
    if (/^[\r\n]+$/.test(this.field.value)) this.field.value = "";
    this.resize();
    const longest = Math.max(...this.field.value.split("\n").map(byteLength));
    const long = longest > this.textMax * LONG;
    this.onhint(long ? this.texts.t("length", { n: longest, max: this.textMax }) : "");
    this.ondraft(this.field.value);
    this.offer(false);
  }

  /** Another text, as of another room. @param {string} text */
  set(text) {
    this.field.value = text;
    this.field.setSelectionRange(text.length, text.length);
    this.resize();
    this.closeList();
    this.ondraft(text);
  }

  resize() {
    const { field } = this;
    const box = field.parentElement ?? field;
    // The field is measured at its least height. Its surroundings keep theirs: otherwise the messages would become
    // higher for a moment, and be scrolled.
    box.style.height = `${box.offsetHeight}px`;
    field.style.height = "auto";
    const height = field.scrollHeight;
    field.style.height = `${height}px`;
    box.style.height = "";
  }

  /** Shows how the word at the caret may go on. @param {boolean} asked */
  offer(asked) {
    const { field } = this;
    const caret = field.selectionStart;
    this.completion = caret === field.selectionEnd ? complete(field.value, caret, { ...this.known(), asked }) : null;
    if (this.completion === null) {
      this.closeList();
      return false;
    }
    this.list.replaceChildren(...this.completion.options.map((option, index) =>
      h("div", { id: `option-${index}`, role: "option", "data-index": String(index), "aria-selected": "false" },
        h("b", {}, option.label), option.detail !== "" && ` ${option.detail}`)));
    this.list.hidden = false;
    this.field.setAttribute("aria-controls", this.list.id);
    this.choose(0);
    return true;
  }

  /** @param {number} index */
  choose(index) {
    const options = [...this.list.children];
    this.chosen = (index + options.length) % options.length;
    options.forEach((option, at) => setAttribute(option, "aria-selected", String(at === this.chosen)));
    options[this.chosen]?.scrollIntoView({ block: "nearest" });
    this.field.setAttribute("aria-activedescendant", `option-${this.chosen}`);
  }

  /** @param {number} index */
  accept(index) {
    const { completion, field } = this;
    const option = completion?.options[index];
    if (completion === null || option === undefined) return;
    const before = field.value.slice(0, completion.start) + option.text;
    const after = field.value.slice(completion.end);
    field.value = before + (before.endsWith(" ") ? after.replace(/^ /, "") : after);
    field.setSelectionRange(before.length, before.length);
    this.changed();
    this.closeList();
  }

  closeList() {
    this.completion = null;
    this.list.hidden = true;
    this.field.removeAttribute("aria-activedescendant");
    this.field.removeAttribute("aria-controls");
  }
}
