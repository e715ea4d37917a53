// Telling a member who looks elsewhere: notifications, a sound, the title, and the live region of screen readers.

import { setText } from "./dom.js";
import { browser } from "./storage.js";

/** Between two texts of the live region, so that each is read. */
const SPOKEN_MS = 1_200;
/** More waiting texts than this become one. */
const SPOKEN_MAX = 3;

export class Notifier {
  constructor() {
    this.wanted = browser.get("notify") === true;
    this.sound = browser.get("sound") === true;
    /** @type {AudioContext | null} */
    this.audio = null;
  }

  get possible() {
    return "Notification" in window && window.isSecureContext;
  }

  get denied() {
    return this.possible && Notification.permission === "denied";
  }

  get on() {
    return this.wanted && this.possible && Notification.permission === "granted";
  }

  /** Called by a click: asks the browser, which asks the member. @param {boolean} wanted */
  async want(wanted) {
    this.wanted = wanted && this.possible && (await Notification.requestPermission()) === "granted";
    browser.set("notify", this.wanted);
    return this.wanted;
  }

  /** Called by a click: browsers play nothing before one. @param {boolean} wanted */
  wantSound(wanted) {
    this.sound = wanted;
    browser.set("sound", wanted);
    if (wanted) this.play();
  }

  /** @param {string} title @param {string} body @param {string} tag @param {() => void} onclick */
  tell(title, body, tag, onclick) {
    if (this.sound) this.play();
    if (!this.on) return;
    try {
      const notification = new Notification(title, { body, tag, icon: "icon.svg" });
      notification.onclick = () => {
        window.focus();
        notification.close();
        onclick();
      };
    } catch {
      // Some browsers on phones have the class, but allow it in service workers only.
    }
  }

  play() {
    try {
      this.audio ??= new AudioContext();
      void this.audio.resume();
      const start = this.audio.currentTime;
      for (const [delay, pitch] of /** @type {const} */ ([[0, 660], [0.12, 880]])) {
        const tone = this.audio.createOscillator();
        const volume = this.audio.createGain();
        tone.frequency.value = pitch;
        volume.gain.setValueAtTime(0, start + delay);
        volume.gain.linearRampToValueAtTime(0.12, start + delay + 0.02);
        volume.gain.exponentialRampToValueAtTime(0.001, start + delay + 0.25);
        tone.connect(volume).connect(this.audio.destination);
        tone.start(start + delay);
        tone.stop(start + delay + 0.3);
      }
    } catch {
      // No sound device.
    }
  }
}

/** Gives a polite live region one text at a time. */
export class Announcer {
  /** @param {HTMLElement} region @param {(count: number) => string} summary */
  constructor(region, summary) {
    this.region = region;
    this.summary = summary;
    /** @type {string[]} */
    this.waiting = [];
    this.busy = false;
  }

  /** @param {string} text */
  say(text) {
    this.waiting.push(text);
    if (!this.busy) this.next();
  }

  next() {
    if (this.waiting.length > SPOKEN_MAX) this.waiting = [this.summary(this.waiting.length)];
    const text = this.waiting.shift();
    this.busy = text !== undefined;
    if (text === undefined) {
      setText(this.region, "");
      return;
    }
    this.region.textContent = text;
    setTimeout(() => this.next(), SPOKEN_MS);
  }
}
