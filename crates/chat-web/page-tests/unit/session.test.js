import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandError } from "../../page/connection.js";
import { Outbox } from "../../page/outbox.js";
import { Session } from "../../page/session.js";
import { Store } from "../../page/store.js";

/** A connection whose replies the test gives. */
class Wire {
  online = false;
  asked = [];
  ended = null;
  request(command) {
    return new Promise((resolve, reject) => {
      this.asked.push({ command, ok: resolve, err: (code) => reject(new CommandError({ code, msg: code })) });
    });
  }
  send(command) {
    this.asked.push({ command });
    return true;
  }
  greeted() {
    this.online = true;
  }
  end(code) {
    this.ended = code;
  }
  drop() {}
  /** The connection ends: what was asked has no reply. */
  lose(session) {
    this.online = false;
    for (const { err } of this.asked.splice(0)) err?.("offline");
    session.stateChanged();
  }
  last(cmd) {
    return this.asked.findLast(({ command }) => command.cmd === cmd);
  }
}

const tick = () => new Promise((resolve) => setImmediate(resolve));
const roomReply = (more) => ({ room: "ops", epoch: "a", seq: 0, count: 1, members: ["kim"], topic: "", ...more });
const said = (seq, more) => ({ ev: "said", room: "ops", seq, ts: seq, from: "bob", text: `n${seq}`, ...more });

async function greeted() {
  const wire = new Wire();
  const store = new Store();
  store.wantedNick = "kim";
  store.room("ops");
  const session = new Session(wire, store, new Outbox("x"), "t".repeat(32), () => 1_000);
  wire.onopen();
  await tick();
  wire.last("hello").ok({ nick: "kim", token: "t".repeat(32), limits: { text: 4096 }, rooms: [roomReply()] });
  await tick();
  return { wire, store, session, room: store.get("ops") };
}

test("a return asks for what followed the last place that was seen", async () => {
  const { wire, session } = await greeted();
  assert.deepEqual(wire.last("hello").command.join, [{ room: "ops", limit: 60 }]);
  wire.onevent(said(7));
  wire.lose(session);
  wire.onopen();
  const { command } = wire.last("hello");
  assert.deepEqual(command.join, [{ room: "ops", after: { epoch: "a", seq: 7 }, limit: 500 }]);
  assert.equal(command.token, "t".repeat(32));
  assert.equal(command.echo, true);
});

test("the reply to an own message does not move the position", async () => {
  const { wire, session, room } = await greeted();
  wire.onevent(said(1));
  session.say(room, "say", "hi");
  wire.last("say").ok({ room: "ops", seq: 5 });
  await tick();
  assert.equal(room.head, 1);
  assert.equal(session.outbox.of("ops").length, 1, "shown until its event came");
  wire.onevent(said(5, { from: "kim", key: wire.last("say").command.key }));
  assert.equal(session.outbox.of("ops").length, 0);
});

test("a message without a reply is sent again under its key, and only once when it was said", async () => {
  const { wire, session, room } = await greeted();
  session.say(room, "say", "hi");
  const { key } = wire.last("say").command;
  wire.lose(session);
  await tick();
  wire.onopen();
  wire.last("hello").ok({ nick: "kim", rooms: [roomReply({ seq: 1 })] });
  await tick();
  assert.equal(wire.last("say").command.key, key);
  wire.onevent(said(1, { from: "kim", key, replay: true }));
  wire.last("say").ok({ room: "ops", seq: 1, dup: true });
  await tick();
  assert.equal(session.outbox.entries.length, 0);
  assert.deepEqual(room.messages.map((message) => message.seq), [1]);
});

test("a message that a lost log had is said again in the new one", async () => {
  const { wire, session, room } = await greeted();
  session.say(room, "say", "hi");
  wire.last("say").ok({ room: "ops", seq: 5 });
  await tick();
  wire.lose(session);
  wire.onopen();
  wire.last("hello").ok({ nick: "kim", rooms: [roomReply({ epoch: "b" })] });
  await tick();
  assert.equal(wire.last("say").command.text, "hi");
});

test("a taken nick is varied, but not at the form", async () => {
  const { wire, session } = await greeted();
  wire.lose(session);
  wire.onopen();
  wire.last("hello").err("nick_taken");
  await tick();
  assert.equal(wire.last("hello").command.nick, "kim-2");
  session.mayVary = false;
  let refused = "";
  session.onrefused = (error) => (refused = error.code);
  wire.last("hello").err("nick_taken");
  await tick();
  assert.equal(refused, "nick_taken");
});

test("a room that is opened during a hello is joined after it", async () => {
  const { wire, session, store } = await greeted();
  wire.lose(session);
  wire.onopen();
  assert.equal((await session.join("dev")).name, "dev");
  assert.equal(wire.last("join"), undefined);
  wire.last("hello").ok({ nick: "kim", rooms: [roomReply()] });
  await tick();
  assert.equal(wire.last("join").command.room, "dev");
  wire.last("join").err("full");
  await tick();
  assert.equal(store.get("dev"), undefined);
});

test("one page of history is read at a time", async () => {
  const { wire, session, room } = await greeted();
  wire.onevent(said(50));
  const first = session.older(room);
  assert.equal(session.older(room), first);
  wire.last("history").ok({ messages: [said(48), said(49)] });
  await first;
  assert.deepEqual(room.messages.map((message) => message.seq), [48, 49, 50]);
  assert.deepEqual(wire.last("history").command.before, 50);
});

test("the end of the log is read although older history is being read", async () => {
  const { wire, session, room } = await greeted();
  wire.onevent(said(50));
  const older = session.older(room);
  const pageBefore = wire.last("history");
  assert.equal(pageBefore.command.before, 50);
  const latest = session.latest(room);
  const end = wire.last("history");
  assert.notEqual(end, pageBefore);
  assert.equal(session.older(room), latest, "the window is about to be another one");
  end.ok({ messages: [said(90), said(91)] });
  await latest;
  pageBefore.ok({ messages: [said(48), said(49)] });
  await older;
  assert.deepEqual(room.messages.map(({ seq }) => seq), [90, 91]);
  assert.notEqual(session.older(room), latest);
});
