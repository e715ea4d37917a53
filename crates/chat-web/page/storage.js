// What the browser keeps: for this tab, or for all of them. A browser that keeps nothing is no error.

/** @param {() => Storage} area */
function storeIn(area) {
  return {
    /** @param {string} key @returns {any} */
    get(key) {
      try {
        return JSON.parse(area().getItem(`chat.${key}`) ?? "null");
      } catch {
        return null;
      }
    },
    /** @param {string} key @param {unknown} value */
    set(key, value) {
      try {
        if (value === null || value === undefined) area().removeItem(`chat.${key}`);
        else area().setItem(`chat.${key}`, JSON.stringify(value));
      } catch {
        // Full, or forbidden: the page works without it until it is closed.
      }
    },
  };
}

/** Ends with the tab. */
export const tab = storeIn(() => sessionStorage);
/** Shared by all tabs. */
export const browser = storeIn(() => localStorage);

/** @param {number} bytes */
export function secret(bytes) {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * The token of this tab. Two tabs of a browser are two clients: with one token, each would take the other's session over.
 * A duplicated tab has a copy of the other's token, so it asks first whether another page uses it.
 * @returns {Promise<string>}
 */
export async function tabToken() {
  const kept = tab.get("token");
  const mine = typeof kept === "string" && !(await isUsed(kept));
  const token = mine ? kept : secret(16);
  // The other tab sends what waits. Under another token its keys would not be recognised.
  if (!mine) tab.set("outbox", null);
  tab.set("token", token);
  answerFor(token);
  return token;
}

const CHANNEL = "chat.tabs";
/** How long another tab has to answer. */
const ANSWER_MS = 150;

/** @param {string} token @returns {Promise<boolean>} */
function isUsed(token) {
  if (typeof BroadcastChannel === "undefined") return Promise.resolve(false);
  return new Promise((resolve) => {
    const channel = new BroadcastChannel(CHANNEL);
    /** @param {boolean} used */
    const done = (used) => {
      channel.close();
      resolve(used);
    };
    channel.onmessage = ({ data }) => {
      if (data?.used === token) done(true);
    };
    channel.postMessage({ isUsed: token });
    setTimeout(() => done(false), ANSWER_MS);
  });
}

/** @param {string} token */
function answerFor(token) {
  if (typeof BroadcastChannel === "undefined") return;
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }) => {
    if (data?.isUsed === token) channel.postMessage({ used: token });
  };
}
