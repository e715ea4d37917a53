// What a member types: commands, texts, and how they are completed. Pure.

import { fold, linesOf, roomName } from "./text.js";

/**
 * @typedef {{ type: "say", texts: string[] } | { type: "act", text: string } | { type: "tell", to: string, text: string }
 *   | { type: "join", room: string } | { type: "leave" } | { type: "nick", nick: string }
 *   | { type: "topic", text: string | null } | { type: "search", text: string } | { type: "who" } | { type: "rooms" }
 *   | { type: "help" } | { type: "quit", reason: string } | { type: "nothing" }
 *   | { type: "unknown", name: string, nearest: string } | { type: "incomplete", name: string }} Input
 */
/** @typedef {{ start: number, end: number, options: { text: string, label: string, detail: string }[] }} Completion */

/** The commands, each with what follows it. */
export const COMMANDS = [
  { name: "help", args: "" },
  { name: "join", args: "ROOM" },
  { name: "leave", args: "" },
  { name: "me", args: "TEXT" },
  { name: "msg", args: "NICK TEXT" },
  { name: "nick", args: "NAME" },
  { name: "quit", args: "" },
  { name: "rooms", args: "" },
  { name: "search", args: "WORDS" },
  { name: "topic", args: "TEXT" },
  { name: "who", args: "" },
];

/**
 * Reads what was typed. `//text` says `/text`.
 * @param {string} input
 * @returns {Input}
 */
export function parseInput(input) {
  if (input.startsWith("//")) return { type: "say", texts: linesOf(input.slice(1)) };
  const match = /^\/(\p{L}*)(?:\s+([\s\S]*))?$/u.exec(input.trimEnd());
  if (match === null) {
    const texts = linesOf(input);
    return texts.length === 0 ? { type: "nothing" } : { type: "say", texts };
  }
  const name = (match[1] ?? "").toLowerCase();
  const rest = (match[2] ?? "").trim();
  return command(name, rest);
}

/** @param {string} name @param {string} rest @returns {Input} */
function command(name, rest) {
  /** @type {Input} */
  const incomplete = { type: "incomplete", name };
  switch (name) {
    case "help": case "rooms": case "who": case "leave":
      return { type: name };
    case "me":
      return rest === "" ? incomplete : { type: "act", text: linesOf(rest).join(" ") };
    case "nick":
      return rest === "" ? incomplete : { type: "nick", nick: rest };
    case "join":
      return roomName(rest) === "" ? incomplete : { type: "join", room: roomName(rest) };
    case "search":
      return rest === "" ? incomplete : { type: "search", text: rest };
    case "topic":
      return { type: "topic", text: rest === "" ? null : rest === "-" ? "" : rest };
    case "quit":
      return { type: "quit", reason: rest };
    case "msg": {
      const parts = /^@?(\S+)\s+([\s\S]+)$/.exec(rest);
      return parts === null ? incomplete : { type: "tell", to: parts[1] ?? "", text: linesOf(parts[2] ?? "").join(" ") };
    }
    default:
      return { type: "unknown", name, nearest: nearest(name) };
  }
}

/** @param {string} name */
function nearest(name) {
  let best = "help";
  let least = Infinity;
  for (const known of COMMANDS) {
    const distance = distanceOf(name, known.name);
    if (distance < least) [best, least] = [known.name, distance];
  }
  return best;
}

/** How many letters two short words differ in. @param {string} a @param {string} b */
function distanceOf(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= Math.min(a.length, 32); i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + cost));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

const OPTIONS_MAX = 8;

/**
 * What the word at the caret may become. Without `asked`, only words that begin with `@`, `/` or `#` are completed.
 * @param {string} text
 * @param {number} caret
 * @param {{ nicks: string[], rooms: string[], asked: boolean }} known
 * @returns {Completion | null}
 */
export function complete(text, caret, known) {
  const before = text.slice(0, caret);
  const start = before.search(/\S*$/);
  const word = before.slice(start);
  if (word === "" || (text[caret] ?? " ").trim() !== "") return null;
  const options = optionsFor(before, start, word, known).slice(0, OPTIONS_MAX);
  return options.length === 0 ? null : { start, end: caret, options };
}

/**
 * @param {string} before @param {number} start @param {string} word
 * @param {{ nicks: string[], rooms: string[], asked: boolean }} known
 */
function optionsFor(before, start, word, known) {
  if (start === 0 && word.startsWith("/")) {
    return COMMANDS.filter(({ name }) => name.startsWith(word.slice(1).toLowerCase()))
      .map(({ name, args }) => ({ text: args === "" ? `/${name}` : `/${name} `, label: `/${name}`, detail: args }));
  }
  if (/^\/join\s+$/i.test(before.slice(0, start)) || word.startsWith("#")) {
    return known.rooms.filter((room) => fold(room).startsWith(fold(roomName(word))))
      .map((room) => ({ text: word.startsWith("#") ? `#${room} ` : room, label: `#${room}`, detail: "" }));
  }
  const at = word.startsWith("@");
  const command = /^\/msg\s+$/i.test(before.slice(0, start));
  if (!at && !command && !known.asked) return [];
  const partial = fold(at ? word.slice(1) : word);
  const end = start === 0 && !at ? ": " : " ";
  return known.nicks.filter((nick) => fold(nick).startsWith(partial))
    .map((nick) => ({ text: (at ? `@${nick}` : nick) + (command ? " " : end), label: nick, detail: "" }));
}
