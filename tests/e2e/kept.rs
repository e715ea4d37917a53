//! Tests that the server keeps messages in a file: after kills, after exports and imports, and after the file was
//! replaced.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Member, Server, Tmux, binary, has_tmux, untimed};
use serde_json::{Value, json};

/// A directory for one test. It is removed when the test ends.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = format!("chat-e2e-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(dir);
        std::fs::create_dir_all(&dir).expect("a directory can be made");
        Self(dir)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Runs `chat-server` until it ends. Returns the exit code, stdout and stderr.
fn run(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(binary("chat-server"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server's program starts");
    let mut stdin = child.stdin.take().expect("it has an input");
    // A program that ends without reading its input prints the reason, so a failed write is ignored.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().expect("it was not killed");
    (code, text(&output.stdout), text(&output.stderr))
}

/// Sends a `hello` in the JSON dialect. Returns the welcome.
fn hello(member: &mut Member, nick: &str, after: Option<&Value>) -> Value {
    let mut room = json!({"room": "lobby"});
    if let Some(after) = after {
        room["after"] = after.clone();
    }
    member.says(&json!({"cmd": "hello", "id": 1, "nick": nick, "join": [room]}).to_string());
    ask(member, 1)
}

fn ask(member: &mut Member, id: u64) -> Value {
    let line = member.sees_part(&format!("{{\"re\":{id},"));
    let mut answer: Value = serde_json::from_str(&line).expect("an answer is JSON");
    answer["ok"].take()
}

/// Returns the texts of the messages that a new member is shown.
fn shown(member: &mut Member) -> Vec<String> {
    let lines = member.hears_until_part("last words");
    let said = lines.iter().filter(|line| !line.starts_with('*'));
    said.map(|line| untimed(line).to_owned()).collect()
}

#[test]
fn what_was_said_is_there_after_a_kill() {
    let dir = Dir::new("kill");
    let data = dir.file("chat.db");
    let mut server = Server::with(&["--data", &data]);
    let mut alice = Member::arrive(&server, "alice");
    let mut program = Member::connect(&server, "program");
    let place = hello(&mut program, "program", None)["rooms"][0].take();
    for text in ["안녕", "결제 is down", "last words"] {
        alice.says(text);
    }
    program.sees_part("last words");
    let mut newcomer = Member::connect(&server, "newcomer");
    let before = shown(&mut newcomer);
    assert_eq!(before, ["alice: 안녕", "alice: 결제 is down"]);
    server.signal("KILL");
    server.ends_within(std::time::Duration::from_secs(5));

    let server = Server::with(&["--data", &data]);
    let mut newcomer = Member::connect(&server, "newcomer");
    assert_eq!(shown(&mut newcomer), before);
    newcomer.says("/search 결제");
    newcomer.sees_part("[2] alice: 결제 is down");
    // A program that joins again with its last position receives the later messages.
    let after = json!({"epoch": place["epoch"], "seq": place["seq"]});
    let mut again = Member::connect(&server, "again");
    let found = hello(&mut again, "program", Some(&after));
    assert_eq!(found["rooms"][0]["recovered"], true);
    assert_eq!(found["rooms"][0]["epoch"], place["epoch"]);
    for text in ["안녕", "결제 is down", "last words"] {
        let event: Value = serde_json::from_str(&again.next_line()).expect("an event is JSON");
        assert_eq!(
            (&event["text"], &event["replay"]),
            (&json!(text), &json!(true))
        );
    }
    if has_tmux() {
        let client = binary("chat-client").display();
        let screen = Tmux::start(
            80,
            24,
            &format!(
                "env XDG_STATE_HOME={} {client} {} --nick kim",
                dir.0.display(),
                server.address()
            ),
        );
        screen.shows("alice: 안녕");
        screen.shows("alice: last words");
    }
}

#[test]
fn the_banner_says_where_what_is_said_is_kept() {
    let dir = Dir::new("banner");
    let data = dir.file("chat.db");
    let mut server = Server::with(&["--data", &data]);
    let kept = |line: &str| {
        line.contains("what is said is kept")
            .then(|| line.to_owned())
    };
    let line = server.stderr.wait_for("where it is kept", kept);
    assert!(line.ends_with(&data), "{line}");
    let arguments = [
        "--data",
        &dir.file("few.db"),
        "--keep",
        "30",
        "--keep",
        "ops=off",
    ];
    let mut server = Server::with(&arguments);
    let line = server.stderr.wait_for("where it is kept", kept);
    let expected = "; the latest 30 messages of each room; ops: for ever";
    assert!(line.ends_with(expected), "{line}");
    let mut server = Server::start();
    let line = server.stderr.wait_for("where it is kept", kept);
    assert!(line.ends_with("in memory, until it ends"), "{line}");
}

#[test]
fn a_file_is_served_once() {
    let dir = Dir::new("once");
    let data = dir.file("chat.db");
    let server = Server::with(&["--data", &data]);
    let (code, _, errors) = run(&["--listen", "127.0.0.1:0", "--data", &data], "");
    assert_eq!(code, 2);
    assert!(errors.contains("another"), "{errors}");
    drop(server);
}

#[test]
fn a_file_that_is_no_log_is_refused_and_not_touched() {
    let dir = Dir::new("foreign");
    let file = dir.file("letter.txt");
    let letter = "Dear reader,\n".repeat(1000);
    std::fs::write(&file, &letter).expect("it can be written");
    let (code, _, errors) = run(&["--listen", "127.0.0.1:0", "--data", &file], "");
    assert_eq!(code, 2);
    assert!(errors.contains(&file), "{errors}");
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), letter);
    let nowhere = dir.file("no/such/directory/chat.db");
    let (code, _, errors) = run(&["--listen", "127.0.0.1:0", "--data", &nowhere], "");
    assert_eq!(code, 2);
    assert!(errors.contains(&nowhere), "{errors}");
}

#[test]
fn what_is_exported_can_be_imported() {
    let dir = Dir::new("export");
    let (data, copy) = (dir.file("chat.db"), dir.file("copy.db"));
    let server = Server::with(&["--data", &data]);
    let mut alice = Member::arrive(&server, "alice");
    for line in [
        "안녕",
        "/me waves",
        "/topic on call: kim",
        "/join ops",
        "deployed",
    ] {
        alice.says(line);
    }
    alice.says("/who");
    alice.sees_part("* ops: 1 member");
    drop(server);

    let (code, exported, _) = run(&["export", "--data", &data, "--json"], "");
    assert_eq!(code, 0);
    assert_eq!(exported.lines().count(), 4, "{exported}");
    let (code, plain, _) = run(&["export", "--data", &data, "--room", "OPS"], "");
    assert_eq!((code, plain.lines().count()), (0, 1), "{plain}");
    assert!(plain.ends_with(" ops alice: deployed\n"), "{plain}");
    let (code, late, _) = run(&["export", "--data", &data, "--since", "2999-01-01"], "");
    assert_eq!((code, late.as_str()), (0, ""));

    let (code, _, errors) = run(&["import", "--data", &copy], &exported);
    assert_eq!(code, 0, "{errors}");
    let (_, again, _) = run(&["export", "--data", &copy, "--json"], "");
    assert_eq!(again, exported);
    let (code, report, _) = run(&["check", "--data", &copy], "");
    assert_eq!(code, 0, "{report}");
    assert!(report.contains("4 messages"), "{report}");
    let server = Server::with(&["--data", &copy]);
    let mut bob = Member::connect(&server, "bob");
    bob.sees_part("* topic: on call: kim");
    bob.sees_part("alice: 안녕");

    let (code, _, errors) = run(&["import", "--data", &dir.file("bad.db")], "not json\n");
    assert_eq!(code, 2);
    assert!(errors.contains("line 1"), "{errors}");
}

#[test]
fn what_is_no_file_of_ours_is_not_checked() {
    let missing = Path::new("/nonexistent/chat.db")
        .to_string_lossy()
        .into_owned();
    let (code, _, errors) = run(&["check", "--data", &missing], "");
    assert_eq!(code, 2);
    assert!(errors.contains(&missing), "{errors}");
}

#[test]
fn what_is_kept_can_be_limited() {
    let dir = Dir::new("keep");
    let data = dir.file("chat.db");
    let server = Server::with(&["--data", &data, "--keep", "2"]);
    let mut alice = Member::arrive(&server, "alice");
    for number in 0..200 {
        alice.says(&format!("number {number}"));
    }
    alice.says("last words");
    alice.says("/who");
    alice.sees_part("1 member");
    drop(server);
    let server = Server::with(&["--data", &data, "--keep", "2"]);
    let mut program = Member::connect(&server, "program");
    hello(&mut program, "program", None);
    // Old messages are removed in small steps while the server runs.
    let mut kept = usize::MAX;
    for id in 2..200 {
        program.says(
            &json!({"cmd": "history", "id": id, "room": "lobby", "after": {"seq": 0}, "limit": 1000})
                .to_string(),
        );
        let page = ask(&mut program, id);
        kept = page["messages"].as_array().expect("messages").len();
        if kept == 2 {
            assert_eq!(page["gap"], json!({"from": 1, "to": 199}));
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{kept} are kept");
}

#[test]
fn while_the_disk_fails_nothing_is_acknowledged_and_then_it_goes_on() {
    let dir = Dir::new("fails");
    let server = Server::with(&["--data", &dir.file("chat.db")]);
    let mut alice = Member::arrive(&server, "alice");
    let mut bob = Member::arrive(&server, "bob");
    alice.says("before");
    bob.sees("alice: before");
    // Writes beyond the first byte of a file fail. For the server this looks much like a failing disk.
    server.limit_file_size("1");
    alice.says("lost");
    alice.sees("! it may or may not have been kept: the room's log failed (the disk fails); look before you say it again");
    // Features that need no log still work.
    alice.says("/msg bob psst");
    bob.sees_part("psst");
    server.limit_file_size("unlimited");
    alice.says("after");
    let heard = bob.hears_until("alice: after");
    assert!(!heard.iter().any(|line| line.contains("lost")), "{heard:?}");
}

#[test]
fn what_an_import_does_not_take_is_said_by_its_line_and_the_rest_is_there() {
    let dir = Dir::new("refused");
    let data = dir.file("chat.db");
    let line = |seq: u64, from: &str| {
        json!({"room": "ops", "seq": seq, "ts": 1, "from": from, "kind": "said", "text": "hi"})
            .to_string()
    };
    let good = [line(1, "alice"), line(3, "alice")];
    for (bad, why) in [
        (line(2, "no name"), "line 3: from: "),
        ("not json".to_owned(), "line 3: "),
        ("x".repeat(2_000_000), "line 3: it is longer"),
    ] {
        let input = [&good[0], "", &bad, &good[1]].join("\n");
        let (code, _, errors) = run(&["import", "--data", &data], &input);
        assert_eq!(code, 2);
        assert!(errors.contains(why), "{errors}");
        assert!(errors.contains("what precedes it is imported"), "{errors}");
        let (_, report, _) = run(&["check", "--data", &data], "");
        assert!(report.contains("1 message in 1 room"), "{report}");
        std::fs::remove_file(&data).expect("it is there");
        std::fs::remove_file(data.clone() + "-state").expect("it is there");
    }
    let input = format!("\u{feff}{}\r\n{}\n\n", good[0], good[1]);
    let (code, _, errors) = run(&["import", "--data", &data], &input);
    assert_eq!(code, 0, "{errors}");
    let (code, _, errors) = run(&["export", "--data", &data, "--room", "nosuch"], "");
    assert_eq!(code, 2);
    assert!(errors.contains("no room nosuch"), "{errors}");
}

#[test]
fn one_room_can_be_kept_in_another_way() {
    let dir = Dir::new("keep-one");
    let data = dir.file("chat.db");
    let arguments = ["--data", &data, "--keep", "0", "--keep", "OPS=off"];
    let mut server = Server::with(&arguments);
    let mut alice = Member::arrive(&server, "alice");
    for line in ["gone", "/join ops", "kept", "/who"] {
        alice.says(line);
    }
    alice.sees_part("* ops: 1 member");
    server.signal("TERM");
    assert_eq!(server.exit_code(), 0);
    let (_, kept, _) = run(&["export", "--data", &data], "");
    assert!(kept.ends_with(" ops alice: kept\n"), "{kept}");
    let (code, _, errors) = run(&["--data", &data, "--keep", "for ever"], "");
    assert_eq!(code, 2);
    assert!(errors.contains("ops=30d"), "{errors}");
}
