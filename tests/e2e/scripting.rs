//! `chat-client send`, `tail`, `rooms` and `who` in scripts, with the real programs and a real shell.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Client, DEADLINE, Member, Server, pause};
use serde_json::Value;

fn at(server: &Server) -> [String; 2] {
    ["--server".to_owned(), server.address().to_string()]
}

/// Starts a command of `chat-client` that connects to `server`.
fn start(server: &Server, arguments: &[&str]) -> Client {
    let [flag, address] = at(server);
    Client::start(&[arguments, &[&flag, &address]].concat())
}

/// Runs a command of `chat-client` until it ends. Returns the exit code.
fn run(server: &Server, arguments: &[&str]) -> i32 {
    let mut client = start(server, arguments);
    client.ends_input();
    client.exit_code()
}

#[test]
fn send_ends_when_the_server_has_it() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    assert_eq!(
        run(
            &server,
            &["send", "lobby", "안녕", "everybody", "--nick", "bot"]
        ),
        0
    );
    assert_eq!(alice.next_line_untimed(), "bot: 안녕 everybody");
    // `send` publishes without joining the room: alice sees no join and no leave.
    alice.says("/who");
    assert_eq!(alice.next_line_untimed(), "* lobby: 1 member: alice");
}

#[test]
fn send_says_each_line_as_it_comes() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bot = start(&server, &["send", "lobby", "--nick", "bot"]);
    for text in ["one", "두울", "three"] {
        bot.types(text);
        alice.sees(&format!("bot: {text}"));
    }
    bot.types(&"x".repeat(5000));
    bot.stderr.wait_for("the refusal", |line| {
        line.contains("line 4: message too long").then_some(())
    });
    bot.ends_input();
    assert_eq!(bot.exit_code(), 1);
}

#[test]
fn send_opens_no_room_unless_told_so() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    alice.says("/join deploys");
    alice.sees_part("in deploys");
    for (room, told) in [
        (
            "deplyos",
            "no such room: deplyos (did you mean deploys?); --create creates it",
        ),
        ("tea", "no such room: tea; --create creates it"),
    ] {
        let mut send = start(&server, &["send", room, "hi"]);
        assert_eq!(send.exit_code(), 1);
        assert_eq!(send.stderr.all(), [format!("chat-client: {told}")]);
    }
    // The client ends although its input is still open, because the first line was refused.
    let mut send = start(&server, &["send", "tea"]);
    send.types("one");
    assert_eq!(send.exit_code(), 1);
    assert_eq!(
        send.stderr.all(),
        ["chat-client: no such room: tea; --create creates it"]
    );
    assert_eq!(
        run(&server, &["send", "tea", "--create", "hi", "--nick", "bot"]),
        0
    );
    assert_eq!(run(&server, &["send", "#Tea", "again", "--nick", "bot"]), 0);
    assert_eq!(
        run(&server, &["send", "Deploys", "done", "--nick", "bot"]),
        0
    );
    alice.sees("bot: done");
    alice.says("/join tea");
    alice.sees("bot: hi");
    alice.sees("bot: again");
}

#[test]
fn send_reads_its_input_a_message_a_line_in_order() {
    let server = Server::with_limits(&["--rate", "off"]);
    let mut alice = Member::arrive(&server, "alice");
    let mut bot = start(&server, &["send", "lobby", "--nick", "bot"]);
    for number in 0..500 {
        bot.types(&number.to_string());
        bot.types("");
    }
    bot.ends_input();
    assert_eq!(bot.exit_code(), 0);
    for number in 0..500 {
        alice.sees(&format!("bot: {number}"));
    }
}

#[test]
fn send_folds_its_input_into_one_message() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bot = start(&server, &["send", "lobby", "--fold", "--nick", "bot"]);
    ["one", "두 번째", "three"]
        .iter()
        .for_each(|line| bot.types(line));
    bot.ends_input();
    assert_eq!(bot.exit_code(), 0);
    alice.sees("bot: one 두 번째 three");
}

#[test]
fn send_of_nothing_says_nothing() {
    let server = Server::start();
    assert_eq!(run(&server, &["send", "lobby"]), 0);
}

#[test]
fn what_is_refused_is_told_with_its_line_and_the_rest_is_said() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let mut bot = start(&server, &["send", "lobby", "--nick", "bot"]);
    bot.types("first");
    bot.types(&"x".repeat(5000));
    bot.types("third");
    bot.ends_input();
    assert_eq!(bot.exit_code(), 1);
    let told = bot.stderr.all();
    assert_eq!(
        told,
        ["chat-client: line 2: message too long (limit 4096 bytes)"]
    );
    alice.sees("bot: first");
    alice.sees("bot: third");
}

#[test]
fn what_can_not_be_done_is_told_in_one_line_and_by_the_exit_code() {
    let server = Server::start();
    let _alice = Member::arrive(&server, "alice");
    for (arguments, code, told) in [
        (
            &["send", "a:b", "hi"][..],
            1,
            "a:b: that can't be a room's name",
        ),
        (
            &["send", "lobby", ""],
            1,
            "chat-client: nothing visible to say",
        ),
        (
            &["send", "lobby", "hi", "--nick", "alice"],
            1,
            "alice is taken",
        ),
        (&["tail", "a:b"], 1, "not in a:b"),
        (&["who", "nowhere"], 1, "no such room"),
        (&["send"], 2, "required arguments"),
        (&["send", "two words", "hi"], 2, "spaces"),
        (&["tail", "lobby", "--since", "x"], 2, "invalid value"),
        (&["tail", "lobby", "--time", "%!"], 2, "invalid value"),
    ] {
        let mut client = start(&server, arguments);
        client.ends_input();
        assert_eq!(client.exit_code(), code, "{arguments:?}");
        let stderr = client.stderr.all();
        assert!(stderr.concat().contains(told), "{arguments:?}: {stderr:?}");
        assert!(code == 2 || stderr.len() == 1, "{stderr:?}");
    }
    let mut nowhere = Client::start(&["send", "ops", "hi", "--server", "127.0.0.1:1"]);
    assert_eq!(nowhere.exit_code(), 1);
    assert!(nowhere.stderr.all()[0].starts_with("chat-client: can't connect to 127.0.0.1:1: "));
}

#[test]
fn tail_begins_with_the_latest_and_goes_on() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    (1..=5).for_each(|number| alice.says(&number.to_string()));
    // The server's answer shows that it has received the earlier messages.
    alice.says("/who");
    alice.sees_part("* lobby: 1 member");
    let mut latest = start(&server, &["tail", "lobby", "-n", "2"]);
    let mut since = start(&server, &["tail", "lobby", "--since", "1"]);
    latest.shows("alice: 4");
    (2..=5).for_each(|number| since.shows(&format!("alice: {number}")));
    alice.says("/me waves");
    latest.shows("alice: 5");
    for tail in [&mut latest, &mut since] {
        tail.shows_part("* alice waves");
        tail.signal("TERM");
        assert_eq!(tail.exit_code(), 0);
    }
}

#[test]
fn tail_ends_when_its_reader_is_gone_although_nothing_more_is_said() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    for arguments in [
        &["tail", "lobby", "-n", "5"][..],
        &["tail", "lobby", "--json"],
    ] {
        alice.says("one");
        let [flag, address] = at(&server);
        let mut tail = Client::command(arguments)
            .args([flag, address])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut reader = BufReader::new(tail.stdout.take().unwrap());
        reader.read_line(&mut line).unwrap();
        assert!(line.contains("one"), "{line}");
        drop(reader);
        // `tail` ends as soon as its stdout is closed, although no further message is sent.
        alice.sees_part("* guest-");
        alice.sees_part("left (gone: ");
        let output = tail.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

#[test]
fn tail_writes_to_what_has_no_reader_that_could_go() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    let path = std::env::temp_dir().join(format!("chat-e2e-{}-tail", std::process::id()));
    let [flag, address] = at(&server);
    let mut tail = Client::command(&["tail", "lobby"])
        .args([flag, address])
        .stdin(Stdio::null())
        .stdout(File::create(&path).unwrap())
        .spawn()
        .unwrap();
    alice.sees_part("joined");
    alice.says("into a file");
    let until = Instant::now() + DEADLINE;
    while !fs::read_to_string(&path).unwrap().contains("into a file") {
        assert!(Instant::now() < until, "nothing was written");
        pause(Duration::from_millis(10));
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
    fs::remove_file(&path).unwrap();
}

#[test]
fn tail_says_that_there_is_no_such_message_yet() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    (1..=3).for_each(|number| alice.says(&number.to_string()));
    alice.says("/who");
    alice.sees_part("* lobby: 1 member");
    let mut tail = start(&server, &["tail", "lobby", "--since", "99999"]);
    tail.shows("alice: 3");
    let told =
        "chat-client: lobby has no message 99999; the last one is 3: all stored messages follow";
    tail.stderr
        .wait_for(told, |line| (line == told).then_some(()));
    assert_eq!(tail.stderr.all().len(), 1);
    let mut tail = start(&server, &["tail", "lobby", "--since", "99999", "--json"]);
    let gap: Value = serde_json::from_str(&tail.shows_part("gap")).unwrap();
    let (why, last) = (&gap["gap"]["why"], &gap["gap"]["last"]);
    assert_eq!((why, last), (&"beyond".into(), &3.into()));
    let object: Value = serde_json::from_str(&tail.shows_part("alice")).unwrap();
    // With the epoch, the server can tell whether the position is in its present log.
    let epoch = object["epoch"].as_str().unwrap();
    let mut known = start(
        &server,
        &["tail", "lobby", "--since", &format!("{epoch}:2")],
    );
    known.shows("alice: 3");
    assert!(known.stderr.all().is_empty());
    let mut other = start(&server, &["tail", "lobby", "--since", "zzz:2"]);
    other.shows("alice: 1");
    let told = "the room's log was replaced";
    other
        .stderr
        .wait_for(told, |line| line.contains(told).then_some(()));
}

#[test]
fn tail_says_that_a_room_is_new_and_what_was_meant() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    alice.says("/join deploys");
    alice.sees_part("in deploys");
    for (room, told) in [
        (
            "deplyos",
            "chat-client: deplyos is a new room (did you mean deploys?)",
        ),
        ("tea", "chat-client: tea is a new room"),
    ] {
        let mut tail = start(&server, &["tail", room]);
        tail.stderr
            .wait_for(told, |line| (line == told).then_some(()));
        tail.signal("TERM");
        assert_eq!(tail.exit_code(), 0);
    }
    let mut tail = start(&server, &["tail", "deploys"]);
    alice.sees_part("joined");
    alice.says("hi");
    tail.shows("alice: hi");
    assert!(tail.stderr.all().is_empty());
}

#[test]
fn tail_writes_the_time_as_it_is_told() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    alice.says("hi");
    let mut tail = start(&server, &["tail", "lobby", "--time", "%Y at %H"]);
    let line = tail.shows_part("alice: hi");
    assert!(line.starts_with("20") && line.contains(" at "), "{line}");
}

#[test]
fn tail_survives_a_restart_of_the_server_and_tells_the_gap() {
    let mut server = Server::start();
    let address = server.address();
    let mut alice = Member::arrive(&server, "alice");
    let mut tail = start(&server, &["tail", "lobby", "--json"]);
    alice.sees_part("joined");
    alice.says("before");
    let object: Value = serde_json::from_str(&tail.shows_part("before")).unwrap();
    assert_eq!(object["from"], "alice");
    assert_eq!(
        (&object["kind"], &object["seq"]),
        (&"said".into(), &1.into())
    );
    server.signal("TERM");
    server.ends_within(Duration::from_secs(10));
    drop(server);
    tail.stderr.wait_for("an offline notice", |line| {
        line.contains("offline").then_some(())
    });
    let server = Server::with(&["--listen", &address.to_string()]);
    let gap: Value = serde_json::from_str(&tail.shows_part("gap")).unwrap();
    assert_eq!(gap["gap"]["why"], "epoch");
    assert_eq!(run(&server, &["send", "lobby", "after"]), 0);
    tail.shows_part("after");
}

#[test]
fn rooms_and_who_list_what_there_is() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    alice.says("/topic on call: 김철수");
    alice.sees_part("set the topic");
    let mut rooms = start(&server, &["rooms", "--json"]);
    let listed: Value = serde_json::from_str(&rooms.shows_part("lobby")).unwrap();
    assert_eq!(rooms.exit_code(), 0);
    assert_eq!(
        (&listed["count"], &listed["topic"]),
        (&1.into(), &"on call: 김철수".into())
    );
    let mut who = start(&server, &["who", "lobby"]);
    who.shows("alice");
    assert_eq!(who.exit_code(), 0);
}

#[test]
fn a_shell_pipes_into_send_and_out_of_tail() {
    let server = Server::start();
    let client = crate::harness::binary("chat-client").display();
    let address = server.address();
    // `head` stops reading, which ends `tail`. python3 replaces jq where jq is missing.
    let script = format!(
        r#"
        set -eu
        jq_text() {{
            if command -v jq >/dev/null; then jq --unbuffered -r .text
            else python3 -uc 'import json,sys
for line in sys.stdin: print(json.loads(line)["text"])'; fi
        }}
        exec 3>&1
        {{ '{client}' tail ops --server {address} --json | jq_text | head -n 3 >&3; }} &
        until '{client}' who ops --server {address} >/dev/null 2>&1; do :; done
        printf 'one\n두울\nthree\n' | '{client}' send ops --server {address}
        until ! kill -0 $! 2>/dev/null; do '{client}' send ops --server {address} more; done
        "#
    );
    let mut shell = Command::new("bash");
    let output = shell
        .arg("-c")
        .arg(script)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    std::io::stderr().write_all(&output.stderr).unwrap();
    assert_eq!(shown, "one\n두울\nthree\n");
    assert!(output.status.success());
}
