// What the page's address says: `/#ops`, `/#ops,dev`, `/#@alice`, and a nick as in `/?nick=kim#ops` or `/#ops?nick=kim`.
// Pure.

import { roomName } from "./text.js";

/** @typedef {{ rooms: string[], direct: string, nick: string }} Address */

/** @param {string} hash @param {string} [search] @returns {Address} */
export function parseAddress(hash, search = "") {
  const [names = "", query = ""] = hash.replace(/^#/, "").split("?");
  const nick = new URLSearchParams(query).get("nick") ?? new URLSearchParams(search).get("nick") ?? "";
  /** @type {string[]} */
  const rooms = [];
  let direct = "";
  for (const part of names.split(",")) {
    const name = decode(part).trim();
    if (name.startsWith("@")) direct ||= name.slice(1);
    else if (roomName(name) !== "") rooms.push(roomName(name));
  }
  return { rooms, direct, nick: nick.trim() };
}

/** The address of a room. @param {{ name: string, direct: boolean }} room */
export function hashOf({ name, direct }) {
  return `#${direct ? "@" : ""}${encodeURIComponent(name)}`;
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
