//! A scripted program: it sends objects, and compares objects.

use chat_testkit::{TestHub, Wire};
use serde_json::{Value, json};

pub(crate) struct Program {
    pub(crate) wire: Wire,
    ids: u64,
}

impl Program {
    /// Connects, and sends nothing.
    pub(crate) fn connect(hub: &mut TestHub, name: &str) -> Self {
        Self::over(hub.connect(name))
    }

    /// Takes a stream, and sends nothing.
    pub(crate) const fn over(wire: Wire) -> Self {
        Self { wire, ids: 1000 }
    }

    /// Connects, takes a nick and joins rooms.
    pub(crate) async fn join(hub: &mut TestHub, nick: &str, rooms: &[&str]) -> Self {
        let rooms: Vec<_> = rooms.iter().map(|room| json!({"room": room})).collect();
        let (program, _) = Self::hello(hub, json!({"nick": nick, "join": rooms})).await;
        program
    }

    /// Connects and sends a hello with these fields. Returns the welcome.
    pub(crate) async fn hello(hub: &mut TestHub, fields: Value) -> (Self, Value) {
        let mut program = Self::connect(hub, fields["nick"].as_str().unwrap_or("program"));
        let welcome = program.does("hello", fields).await;
        (program, welcome)
    }

    /// Sends an object.
    pub(crate) async fn sends(&mut self, request: Value) {
        self.wire.sends(&request.to_string()).await;
    }

    /// Sends objects in one write.
    pub(crate) async fn sends_all(&mut self, requests: &[Value]) {
        let lines: String = requests
            .iter()
            .map(|request| format!("{request}\n"))
            .collect();
        self.wire.sends_bytes(lines.as_bytes()).await;
    }

    /// Returns the next object.
    pub(crate) async fn next(&mut self) -> Value {
        match self.wire.next_line().await {
            Some(line) => self.parse(&line),
            None => panic!("the stream ended\n{}", self.wire.transcript()),
        }
    }

    /// Expects this object next.
    pub(crate) async fn sees(&mut self, expected: Value) {
        let seen = self.next().await;
        assert_eq!(seen, expected, "\n{}", self.wire.transcript());
    }

    /// Expects that this command is granted next. Returns the result.
    pub(crate) async fn does(&mut self, cmd: &str, fields: Value) -> Value {
        let mut answer = self.asks(cmd, fields).await;
        match answer["ok"].take() {
            Value::Null => panic!("refused: {answer}\n{}", self.wire.transcript()),
            ok => ok,
        }
    }

    /// Expects that this command is answered next. Returns the answer.
    pub(crate) async fn asks(&mut self, cmd: &str, mut fields: Value) -> Value {
        self.ids += 1;
        fields["cmd"] = json!(cmd);
        fields["id"] = json!(self.ids);
        self.sends(fields).await;
        let answer = self.next().await;
        assert_eq!(answer["re"], self.ids, "\n{}", self.wire.transcript());
        answer
    }

    /// Publishes a text. Returns its position.
    pub(crate) async fn says(&mut self, room: &str, text: &str) -> u64 {
        let said = self.does("say", json!({"room": room, "text": text})).await;
        said["seq"].as_u64().unwrap()
    }

    /// Reads until nothing more arrives.
    pub(crate) async fn sees_until_quiet(&mut self) -> Vec<Value> {
        let lines = self.wire.sees_until_quiet().await;
        lines.iter().map(|line| self.parse(line)).collect()
    }

    fn parse(&self, line: &str) -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| {
            panic!("not JSON: {error}: {line:?}\n{}", self.wire.transcript())
        })
    }
}
