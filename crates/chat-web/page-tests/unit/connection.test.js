import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection } from "../../page/connection.js";

/** A clock that stands still until it is moved. */
class Clock {
  time = 0;
  timers = [];
  setTimeout(run, ms) {
    const timer = { at: this.time + ms, run };
    this.timers.push(timer);
    return timer;
  }
  clearTimeout(timer) {
    this.timers = this.timers.filter((one) => one !== timer);
  }
  now() {
    return this.time;
  }
  random() {
    return 1;
  }
  advance(ms) {
    const end = this.time + ms;
    for (;;) {
      const next = this.timers.filter((one) => one.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.clearTimeout(next);
      this.time = next.at;
      next.run();
    }
    this.time = end;
  }
}

class Socket {
  readyState = 0;
  sent = [];
  closed = false;
  onopen = null;
  onmessage = null;
  onclose = null;
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
  }
  open() {
    this.readyState = 1;
    this.onopen?.({});
  }
  says(object) {
    this.onmessage?.({ data: JSON.stringify(object) });
  }
}

function connected() {
  const clock = new Clock();
  const sockets = [];
  const connection = new Connection(() => {
    sockets.push(new Socket());
    return sockets.at(-1);
  }, clock);
  const states = [];
  connection.onstate = (state) => states.push(state.name);
  connection.onopen = () => connection.greeted();
  connection.start();
  sockets[0].open();
  return { clock, sockets, connection, states };
}

test("a reply answers its command, and an offline end every other", async () => {
  const { sockets, connection } = connected();
  const first = connection.request({ cmd: "rooms" });
  const second = connection.request({ cmd: "nick", nick: "x" });
  const third = connection.request({ cmd: "rooms" });
  sockets[0].says({ re: sockets[0].sent[0].id, ok: { rooms: [] } });
  sockets[0].says({ re: sockets[0].sent[1].id, err: { code: "nick_taken", msg: "x is taken" } });
  assert.deepEqual(await first, { rooms: [] });
  await assert.rejects(second, { code: "nick_taken" });
  sockets[0].onclose({});
  await assert.rejects(third, { code: "offline" });
  await assert.rejects(connection.request({ cmd: "rooms" }), { code: "offline" });
});

test("the delay doubles up to its bound, and begins again after a hello", () => {
  const { clock, sockets, connection } = connected();
  const delays = [];
  for (let attempt = 0; attempt < 9; attempt += 1) {
    sockets.at(-1).onclose({});
    delays.push(connection.state.until - clock.now());
    clock.advance(delays.at(-1));
  }
  assert.deepEqual(delays, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
  sockets.at(-1).open();
  sockets.at(-1).onclose({});
  assert.equal(connection.state.until - clock.now(), 500);
});

test("the server's advice is taken", () => {
  const { clock, sockets, connection } = connected();
  sockets[0].says({ ev: "bye", code: "draining", reconnect: true, after_ms: 1234 });
  assert.equal(connection.state.until - clock.now(), 1234);
  clock.advance(1234);
  assert.equal(sockets.length, 2);
});

test("a session that was taken over does not come back by itself", () => {
  const { clock, sockets, connection } = connected();
  sockets[0].says({ ev: "bye", code: "taken_over", reconnect: false });
  sockets[0].onclose?.({});
  clock.advance(3_600_000);
  assert.equal(sockets.length, 1);
  assert.deepEqual(connection.state, { name: "ended", code: "taken_over", reason: "" });
});

test("a silent server is asked, and given up", () => {
  const { clock, sockets, states } = connected();
  clock.advance(30_000);
  assert.equal(sockets[0].sent.at(-1).cmd, "ping");
  sockets[0].says({ re: 1, ok: {} });
  clock.advance(30_000);
  assert.equal(states.at(-1), "online");
  clock.advance(35_000);
  assert.ok(sockets[0].closed);
  assert.notEqual(states.at(-1), "online");
});

test("the server's ping is answered", () => {
  const { sockets } = connected();
  sockets[0].says({ ev: "ping" });
  assert.deepEqual(sockets[0].sent.at(-1), { cmd: "ping" });
});

test("an attempt that is not answered is given up", () => {
  const clock = new Clock();
  const socket = new Socket();
  const connection = new Connection(() => socket, clock);
  connection.start();
  clock.advance(15_000);
  assert.equal(connection.state.name, "waiting");
  assert.ok(socket.closed);
});

test("a page that was asleep finds out at once", () => {
  const { clock, sockets, connection } = connected();
  connection.probe();
  clock.advance(5_000);
  assert.ok(sockets[0].closed);
  clock.advance(1);
  assert.equal(sockets.length, 2);
  sockets[1].onclose({});
  connection.probe();
  assert.equal(sockets.length, 3);
});
