//! IRC clients on the common port and on a port of their own.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use crate::harness::{DEADLINE, Member, Server};

/// A client that writes and reads whole lines.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: SocketAddr, nick: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut client = Self(BufReader::new(stream));
        client.says("CAP REQ :server-time message-tags batch draft/chathistory");
        client.says(&format!("NICK {nick}\r\nUSER u 0 * :Real\r\nCAP END"));
        let welcome = client.hears(" 001 ");
        assert!(welcome.starts_with(":irc.example.org 001 "), "{welcome}");
        client
    }

    fn says(&mut self, line: &str) {
        let line = format!("{line}\r\n");
        self.0.get_mut().write_all(line.as_bytes()).unwrap();
    }

    /// Returns the first line that contains `part`.
    fn hears(&mut self, part: &str) -> String {
        loop {
            let mut line = String::new();
            let count = self.0.read_line(&mut line).unwrap();
            assert!(count > 0, "the stream ended before {part:?}");
            if line.contains(part) {
                return line.trim_end().to_owned();
            }
        }
    }
}

fn start(arguments: &[&str]) -> Server {
    let named = ["--irc-name", "irc.example.org", "--network", "Example"];
    Server::with(&[&named, arguments].concat())
}

#[test]
fn irc_clients_talk_with_others_on_one_port() {
    let server = start(&[]);
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Client::connect(server.address(), "밥");
    bob.says("JOIN #lobby");
    alice.sees("* 밥 joined");
    bob.says("PRIVMSG #lobby :안녕");
    assert!(alice.sees_part("밥: ").ends_with("안녕"));
    alice.says("hello");
    let heard = bob.hears(" PRIVMSG ");
    assert!(
        heard.ends_with(" :alice!~u@hidden PRIVMSG #lobby :hello"),
        "{heard}"
    );
    bob.says("QUIT :so long");
    alice.sees("* 밥 left (gone: so long)");
}

#[test]
fn a_listener_for_irc_greets_nobody() {
    let mut process = Server::run(&[
        "--listen",
        "irc://127.0.0.1:0",
        "--irc-name",
        "irc.example.org",
    ]);
    let address = process.stderr.wait_for("the address", |line| {
        let (_, address) = line.split_once("listening on irc://")?;
        address.split_whitespace().next()?.parse().ok()
    });
    let mut silent = TcpStream::connect(address).unwrap();
    let mut bob = Client::connect(address, "bob");
    bob.says("JOIN #lobby");
    let names = bob.hears(" 353 ");
    assert!(names.ends_with(" :bob"), "{names}");
    silent.write_all(b"hello\r\n").unwrap();
    let mut answer = String::new();
    BufReader::new(silent).read_line(&mut answer).unwrap();
    assert!(answer.starts_with(":irc.example.org 451 "), "{answer}");
}

#[test]
fn message_ids_hold_over_a_restart() {
    let name = format!("chat-e2e-{}-irc", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let data = directory.join("chat.db");
    let data = data.to_str().unwrap();
    let read = |server: &Server| {
        let mut bob = Client::connect(server.address(), "bob");
        bob.says("JOIN #ops");
        bob.hears(" 366 ");
        bob
    };
    let mut server = start(&["--data", data]);
    let mut bob = read(&server);
    bob.says("PRIVMSG #ops :one\r\nPRIVMSG #ops :two\r\nCHATHISTORY LATEST #ops * 10");
    let one = bob.hears(" PRIVMSG #ops :one");
    let id = one
        .split("msgid=")
        .nth(1)
        .unwrap()
        .split([' ', ';'])
        .next()
        .unwrap();
    server.signal("TERM");
    server.ends_within(DEADLINE);
    let server = start(&["--data", data]);
    let mut bob = read(&server);
    bob.says(&format!("CHATHISTORY AFTER #ops msgid={id} 10"));
    assert!(bob.hears(" PRIVMSG ").ends_with(" :two"));
    drop(server);
    std::fs::remove_dir_all(directory).unwrap();
}
