//! A scripted program: sends objects, and compares the objects that it receives.

use chat_testkit::{TestHub, Wire};
use serde_json::{Value, json};

pub(crate) struct Program {
    pub(crate) wire: Wire,
    ids: u64,
}

impl Program {
    /// Connects a program. The program sends nothing yet.
    pub(crate) fn connect(hub: &mut TestHub, name: &str) -> Self {
        Self::over(hub.connect(name))
    }

    /// Runs a program on an existing stream. The program sends nothing yet.
    pub(crate) const fn over(wire: Wire) -> Self {
        Self { wire, ids: 1000 }
    }

    /// Connects a program, takes a nick and joins rooms.
    pub(crate) async fn join(hub: &mut TestHub, nick: &str, rooms: &[&str]) -> Self {
        let rooms: Vec<_> = rooms.iter().map(|room| json!({"room": room})).collect();
        let (program, _) = Self::hello(hub, json!({"nick": nick, "join": rooms})).await;
        program
    }

    /// Connects a program and sends a hello with these fields. Returns the program and the welcome.
    pub(crate) async fn hello(hub: &mut TestHub, fields: Value) -> (Self, Value) {
        let mut program = Self::connect(hub, fields["nick"].as_str().unwrap_or("program"));
        let welcome = program.does("hello", fields).await;
        (program, welcome)
    }

    /// Sends an object.
    pub(crate) async fn sends(&mut self, request: Value) {
        self.wire.sends(&request.to_string()).await;
    }

    /// Sends several objects in one write.
    pub(crate) async fn sends_all(&mut self, requests: &[Value]) {
        let lines: String = requests
            .iter()
            .map(|request| format!("{request}\n"))
            .collect();
        self.wire.sends_bytes(lines.as_bytes()).await;
    }

    /// Returns the next object that the program receives.
    pub(crate) async fn next(&mut self) -> Value {
        match self.wire.next_line().await {
            Some(line) => self.parse(&line),
            None => panic!("the stream ended\n{}", self.wire.transcript()),
        }
    }

    /// Expects that the next object is this one.
    pub(crate) async fn sees(&mut self, expected: Value) {
        let seen = self.next().await;
        assert_eq!(seen, expected, "\n{}", self.wire.transcript());
    }

    /// Sends a command, and expects that the next object grants the command. Returns the result.
    pub(crate) async fn does(&mut self, cmd: &str, fields: Value) -> Value {
        let mut answer = self.asks(cmd, fields).await;
        match answer["ok"].take() {
            Value::Null => panic!("refused: {answer}\n{}", self.wire.transcript()),
            ok => ok,
        }
    }

    /// Sends a command, and expects that the next object answers it. Returns the answer.
    pub(crate) async fn asks(&mut self, cmd: &str, mut fields: Value) -> Value {
        self.ids += 1;
        fields["cmd"] = json!(cmd);
        fields["id"] = json!(self.ids);
        self.sends(fields).await;
        let answer = self.next().await;
        assert_eq!(answer["re"], self.ids, "\n{}", self.wire.transcript());
        answer
    }

    /// Publishes a text. Returns the position of the message.
    pub(crate) async fn says(&mut self, room: &str, text: &str) -> u64 {
        let said = self.does("say", json!({"room": room, "text": text})).await;
        said["seq"].as_u64().unwrap()
    }

    /// Returns all objects until nothing more arrives.
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
