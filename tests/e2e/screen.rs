//! The full-screen client on a terminal.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Client, Member, Server, Tmux, binary, has_tmux};

/// A directory for the state that a client remembers. It is removed when the test ends.
pub(crate) struct Home(pub(crate) PathBuf);

impl Home {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("chat-e2e-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Starts the client in a terminal of this size.
    pub(crate) fn client(&self, width: u16, height: u16, arguments: &str) -> Tmux {
        let program = binary("chat-client").display();
        let home = self.0.display();
        Tmux::start(
            width,
            height,
            &format!("XDG_STATE_HOME='{home}' TZ=UTC '{program}' {arguments}"),
        )
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn a_session_from_arriving_to_quitting() {
    if !has_tmux() {
        return;
    }
    let mut server = Server::start();
    let address = server.address();
    let mut nc = Member::arrive(&server, "nc");
    for number in 1..=300 {
        nc.says(&format!("earlier {number}"));
    }
    nc.says("/who");
    nc.sees_part("* lobby: 1 member");

    let homes = [Home::new("kim"), Home::new("bob")];
    let kim = homes[0].client(80, 24, &format!("{address} --nick 김철수"));
    let bob = homes[1].client(80, 24, &format!("{address} --nick bob"));
    kim.shows("earlier 300");
    bob.shows("earlier 300");
    nc.sees("* 김철수 joined");

    edits_wide_characters(&kim, &bob, &mut nc);
    pastes_many_lines(&kim, &bob, &mut nc);
    resizes(&kim);
    scrolls_back(&kim);
    server.signal("KILL");
    server.ends_within(Duration::from_secs(10));
    drop(server);
    let server = talks_after_a_restart(&kim, &bob, &address.to_string());
    quits(&kim, &bob);

    // The next client restores the remembered state.
    let again = homes[0].client(80, 24, "");
    again.shows(&format!("김철수 | online | {address}"));
    again.presses(&["C-c"]);
    again.shows("ended with 0");
    drop(server);
}

/// Checks that the cursor is after wide characters, and that Backspace deletes a whole character.
fn edits_wide_characters(kim: &Tmux, bob: &Tmux, nc: &mut Member) {
    kim.types("안녕하세요");
    kim.has_cursor_at(2 + 10, 23);
    kim.presses(&["BSpace"]);
    kim.has_cursor_at(2 + 8, 23);
    kim.presses(&["Left"]);
    kim.has_cursor_at(2 + 6, 23);
    kim.presses(&["End", "Enter"]);
    bob.shows("김철수: 안녕하세");
    nc.sees("김철수: 안녕하세");
    kim.has_cursor_at(2, 23);
}

/// Checks that the client asks before it sends a paste of many lines, and that the client sends the lines in order.
fn pastes_many_lines(kim: &Tmux, bob: &Tmux, nc: &mut Member) {
    let lines: Vec<String> = (1..=30).map(|number| format!("pasted {number}")).collect();
    kim.pastes(&lines.join("\n"));
    kim.shows("send 30 lines? (y/n)");
    kim.presses(&["y"]);
    for line in &lines {
        nc.sees(&format!("김철수: {line}"));
    }
    bob.shows("pasted 30");
}

/// Checks that the client adapts when the terminal becomes smaller and large again.
fn resizes(kim: &Tmux) {
    kim.resize(40, 10);
    kim.waits_for("the narrow screen", |screen| {
        screen.len() == 10 && screen[7].contains("pasted 30") && screen[8].contains("online")
    });
    kim.types("좁은");
    kim.has_cursor_at(2 + 4, 9);
    kim.presses(&["C-u"]);
    kim.resize(80, 24);
    kim.waits_for("the wide screen", |screen| {
        screen.len() == 24 && screen.iter().any(|line| line.contains("pasted 11"))
    });
}

/// Checks that scrolling up loads older messages.
fn scrolls_back(kim: &Tmux) {
    for _ in 0..60 {
        kim.presses(&["PPage"]);
        if kim
            .screen()
            .iter()
            .any(|line| line.contains("no older messages"))
        {
            break;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    kim.shows("earlier 1");
    kim.presses(&["Escape"]);
    kim.shows("pasted 30");
}

/// Starts the server again after it was killed. A line that was typed while no server ran must be sent exactly once.
fn talks_after_a_restart(kim: &Tmux, bob: &Tmux, address: &str) -> Server {
    kim.shows("OFFLINE");
    kim.enters("said while away");
    kim.shows("1 not sent");
    let server = Server::with(&["--listen", address]);
    kim.shows("back online");
    bob.shows("김철수: said while away");
    let count = |screen: &[String]| {
        screen
            .iter()
            .filter(|line| line.contains("said while away"))
            .count()
    };
    kim.waits_for("it is said", |screen| {
        count(screen) == 1 && !screen.concat().contains("1 not sent")
    });
    assert_eq!(count(&bob.screen()), 1);
    server
}

/// Checks that the client asks before it discards a draft, and that the client restores the terminal.
fn quits(kim: &Tmux, bob: &Tmux) {
    kim.types("draft");
    kim.presses(&["C-c"]);
    kim.shows("would be lost: quit? (y/n)");
    kim.presses(&["n", "C-u", "C-c"]);
    kim.shows("ended with 0");
    kim.waits_for("the screen before", |screen| {
        !screen.concat().contains("pasted")
    });
    bob.shows("김철수 left");
}

#[test]
fn rooms_help_completion_and_suspending() {
    if !has_tmux() {
        return;
    }
    let server = Server::start();
    let address = server.address();
    let mut nc = Member::arrive(&server, "nc");
    let home = Home::new("rooms");
    let kim = home.client(100, 30, &format!("{address} --nick kim"));
    nc.sees("* kim joined");
    kim.enters("/join ops");
    kim.shows("you are kim in ops");
    nc.says("kim: look here");
    kim.shows("lobby 1!1");
    kim.presses(&["C-n"]);
    kim.shows("nc: kim: look here");
    kim.types("n");
    kim.presses(&["Tab"]);
    kim.has_cursor_at(2 + 4, 29);
    kim.enters("hi");
    nc.sees("kim: nc: hi");
    kim.presses(&["F1"]);
    kim.shows("help: any key closes");
    kim.presses(&["Escape"]);
    // A key directly after Escape would be read as Alt and this key, so the test waits.
    kim.waits_for("the help to go", |screen| {
        !screen.concat().contains("help: any key closes")
    });
    kim.enters("/msg nobody psst");
    kim.shows("not sent to nobody: nobody here is called nobody");
    kim.enters("/nick 킴");
    nc.sees("* kim is now 킴");
    kim.shows("킴 | online");
    kim.enters("/quit good night");
    nc.sees("* 킴 left (gone: good night)");
    kim.shows("ended with 0");
}

#[test]
fn it_stops_and_goes_on() {
    if !has_tmux() {
        return;
    }
    let server = Server::start();
    let home = Home::new("stops");
    let program = binary("chat-client").display();
    let shell = Tmux::start(80, 24, "bash --norc -i");
    shell.types(&format!(
        "XDG_STATE_HOME='{}' '{program}' {} --nick kim",
        home.0.display(),
        server.address()
    ));
    shell.presses(&["Enter"]);
    shell.shows("you are kim in lobby");
    shell.presses(&["C-z"]);
    shell.shows("Stopped");
    shell.enters("fg");
    shell.shows("kim | online");
    shell.types("typed after fg");
    shell.has_cursor_at(2 + 14, 23);
}

#[test]
fn it_goes_on_after_somebody_else_has_stopped_it() {
    if !has_tmux() {
        return;
    }
    let server = Server::start();
    let home = Home::new("stopped");
    let program = binary("chat-client").display();
    let shell = Tmux::start(80, 24, "bash --norc -i");
    let directory = home.0.display();
    shell.types(&format!(
        "sh -c 'echo $$ >{directory}/pid; XDG_STATE_HOME={directory} exec {program} {} --nick kim'",
        server.address()
    ));
    shell.presses(&["Enter"]);
    shell.shows("you are kim in lobby");
    let pid = fs::read_to_string(home.0.join("pid")).unwrap();
    let kill = |signal| {
        let status = Command::new("kill").args([signal, pid.trim()]).status();
        assert!(status.unwrap().success());
    };
    kill("-STOP");
    shell.shows("Stopped");
    shell.enters("fg");
    shell.waits_for("the screen again", |screen| {
        screen[22].contains("kim | online") && !screen.concat().contains("Stopped")
    });
    shell.enters("after fg");
    shell.shows("kim: after fg");
}

#[test]
fn a_damaged_memory_is_set_aside_with_a_notice() {
    if !has_tmux() {
        return;
    }
    let server = Server::start();
    let home = Home::new("damaged");
    let directory = home.0.join("chat-client");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("state.json"), "{ half").unwrap();
    let client = home.client(100, 24, &format!("{} --nick kim", server.address()));
    client.shows("damaged");
    client.shows("kim | online");
    client.presses(&["C-c"]);
    client.shows("ended with 0");
    assert_eq!(
        fs::read_to_string(directory.join("state.damaged.json")).unwrap(),
        "{ half"
    );
    assert!(
        fs::read_to_string(directory.join("state.json"))
            .unwrap()
            .contains("kim")
    );
    // The client first looks for the last server in this file. It must report the damage of the file nevertheless.
    fs::write(directory.join("state.json"), "{ again").unwrap();
    let client = home.client(100, 24, "");
    client.shows("damaged-2.json");
    client.presses(&["C-c"]);
    client.shows("ended with 0");
    let kept = |name| fs::read_to_string(directory.join(name)).unwrap();
    assert_eq!(kept("state.damaged.json"), "{ half");
    assert_eq!(kept("state.damaged-2.json"), "{ again");
}

#[test]
fn a_server_that_was_never_reached_is_not_the_next_default() {
    if !has_tmux() {
        return;
    }
    let server = Server::start();
    let address = server.address();
    let home = Home::new("unreached");
    let state = home.0.join("chat-client/state.json");
    let nowhere = home.client(80, 24, "kim.invalid --nick kim");
    nowhere.shows("OFFLINE");
    nowhere.presses(&["C-c"]);
    nowhere.shows("ended with 0");
    assert!(!state.exists(), "{:?}", fs::read_to_string(&state));
    let client = home.client(80, 24, &format!("{address} --nick kim"));
    client.shows("kim | online");
    client.presses(&["C-c"]);
    client.shows("ended with 0");
    let known = fs::read_to_string(&state).unwrap();
    let nowhere = home.client(80, 24, "kim.invalid");
    nowhere.shows("OFFLINE");
    nowhere.presses(&["C-c"]);
    nowhere.shows("ended with 0");
    assert_eq!(fs::read_to_string(&state).unwrap(), known);
}

#[test]
fn a_session_that_is_refused_ends_with_1() {
    if !has_tmux() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let refuses = || {
        let (mut stream, _) = listener.accept().unwrap();
        let refused = r#"{"re":0,"err":{"code":"denied","msg":"not today","retry_ms":null}}"#;
        stream.write_all(format!("{refused}\n").as_bytes()).unwrap();
        stream
    };
    let home = Home::new("refused");
    let client = home.client(80, 24, &format!("{address} --nick kim"));
    let refused = refuses();
    client.shows("CLOSED");
    // The client connects again when the user chooses another nick.
    client.enters("/nick lee");
    let again = refuses();
    client.waits_for("the second refusal", |screen| {
        screen.concat().matches("not today").count() == 2
    });
    client.presses(&["C-c"]);
    client.shows("ended with 1");
    client.shows("chat-client: ");
    drop((refused, again));
}

#[test]
fn plain_stays_a_line_client_and_the_manual_is_made_of_the_arguments() {
    if !has_tmux() {
        return;
    }
    let server = Server::start();
    let home = Home::new("plain");
    let client = home.client(80, 24, &format!("{} --plain --nick kim", server.address()));
    client.shows("* you are now kim");
    let output = |arguments: &[&str]| {
        let output = Client::command(arguments).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(output(&["man"]).contains(".TH CHAT-CLIENT"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(output(&["completions", shell]).contains("chat-client"));
    }
}

#[test]
fn a_flood_leaves_it_usable_and_bounded() {
    if !has_tmux() {
        return;
    }
    let server = Server::start();
    let address = server.address();
    let home = Home::new("flood");
    let kim = home.client(80, 24, &format!("{address} --nick kim"));
    kim.shows("you are kim in lobby");
    let before = kim.resident_kib();
    let arguments = [
        "send",
        "lobby",
        "--nick",
        "bot",
        "--server",
        &address.to_string(),
    ];
    let mut bot = Client::start(&arguments);
    for number in 1..=50_000 {
        bot.types(&format!(
            "한글 message {number} with some more words than fit into one line of the screen"
        ));
        if number == 10_000 {
            kim.types("typed meanwhile");
            kim.has_cursor_at(2 + 15, 23);
        }
    }
    bot.ends_input();
    assert_eq!(bot.exit_code(), 0);
    kim.shows("message 50000");
    kim.has_cursor_at(2 + 15, 23);
    let grown = kim.resident_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "grew by {grown} KiB");
}

#[test]
fn a_hostile_server_reaches_nothing_but_the_screen() {
    if !has_tmux() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let home = Home::new("hostile");
    let kim = home.client(80, 24, &format!("{address} --nick kim"));
    let (mut stream, _) = listener.accept().unwrap();
    let evil = r"\u001b]0;owned\u0007\u001b[2J\u009b31m\u202e\u0008";
    let mut lines = vec![format!(
        r#"{{"re":0,"ok":{{"v":1,"nick":"kim{evil}","limits":{{"line":65536,"text":4096}},"ping":25,"rooms":[{{"room":"lobby","epoch":"a","seq":7,"members":["{evil}"],"count":18446744073709551615,"topic":"{evil}"}}]}}}}"#
    )];
    for seq in ["8", "7", "18446744073709551615", "0", "9"] {
        lines.push(format!(
            r#"{{"ev":"said","room":"lobby","seq":{seq},"ts":18446744073709551615,"from":"{evil}{}","text":"{evil} said {seq}"}}"#,
            "n".repeat(100_000)
        ));
    }
    for line in [
        "{",
        "[]",
        "null",
        "{\"ev\":7}",
        "{\"ev\":\"unheard of\"}",
        "{\"re\":{}}",
        "{\"re\":99,\"ok\":{}}",
    ] {
        lines.push(line.to_owned());
    }
    for number in 0..20_000 {
        lines.push(format!(
            r#"{{"ev":"joined","room":"lobby","nick":"m{number}{evil}"}}"#
        ));
    }
    lines.push(r#"{"ev":"told","ts":0,"from":"x","text":"the last line"}"#.to_owned());
    stream
        .write_all((lines.join("\n") + "\n").as_bytes())
        .unwrap();
    // The test has sent more direct messages than the client holds, so the client reports that some were missed.
    let ends = ["2 @x 1!1", "direct messages were missed"];
    kim.waits_for("the end", |screen| {
        let screen = screen.concat();
        ends.iter().any(|end| screen.contains(end))
    });
    assert!(!kim.screen().concat().contains("owned\u{7}"));
    assert_ne!(
        kim.title(),
        "owned",
        "no escape sequence has reached the terminal"
    );
    kim.types("alive");
    kim.has_cursor_at(2 + 5, 23);
    assert!(kim.resident_kib() < 64 * 1024);
}
