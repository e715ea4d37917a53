//! Checks the server's command line, and its messages when it can't start.

use std::process::{Command, Stdio};

use crate::harness::{Client, Member, Server, binary};

/// Expects that the server does not start with these arguments. Returns the server's message.
fn refused(arguments: &[&str]) -> String {
    let mut server = Server::run(arguments);
    let code = server.exit_code();
    let said = server.stderr.all().join("\n");
    assert_eq!(code, 2, "{arguments:?}: {said}");
    said
}

#[test]
fn an_address_in_use_is_said_with_the_way_out() {
    let server = Server::start();
    let said = refused(&["--listen", &server.address().to_string()]);
    let line = said
        .lines()
        .find(|line| line.contains(&server.address().to_string()));
    let line = line.unwrap_or_else(|| panic!("the address is not named: {said}"));
    assert!(line.contains("--listen"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn bad_arguments_are_refused() {
    for arguments in [
        &["--no-such-flag"][..],
        &["--listen", "nowhere at all"],
        &["--rate", "fast"],
        &["--rate", "0:0"],
        &["--drain", "soon"],
        &["--line-bytes", "0"],
        &["--room", "two words"],
        &["--motd", "@/no/such/file"],
        &["a-stray-argument"],
    ] {
        let said = refused(arguments);
        assert!(
            !said.is_empty() && !said.contains("panicked"),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn help_names_the_flags() {
    let mut server = Server::run(&["--help"]);
    assert_eq!(server.exit_code(), 0);
    let help = server.stdout.all().join("\n");
    for flag in [
        "--listen",
        "--room",
        "--motd",
        "--rate",
        "--per-address",
        "--line-bytes",
        "--history",
        "--drain",
        "--log",
        "--log-format",
    ] {
        assert!(help.contains(flag), "{flag} is missing: {help}");
    }
}

#[test]
fn it_says_how_to_join() {
    let server = Server::start();
    let mut alice = Member::arrive(&server, "alice");
    // By now the server has written all of its startup messages, even if the test has not read them yet.
    alice.says("/who");
    alice.sees_part("* lobby: 1 member");
    let port = server.address().port().to_string();
    let said = server.stderr.all().join("\n");
    let join = format!("join lobby with  chat-client 127.0.0.1:{port}");
    assert!(said.contains(&join), "{said}");
    assert!(!said.contains("cargo"), "{said}");
    assert!(
        said.lines()
            .any(|line| line.contains("nc ") && line.contains(&port)),
        "{said}"
    );
}

#[test]
fn it_listens_on_several_addresses() {
    // The harness passes one address itself, and has already waited for the line about that address.
    let mut server = Server::with(&["--listen", "127.0.0.1:0"]);
    let first = server.address();
    let second = server.stderr.wait_for("another address", |line| {
        let (_, address) = line.split_once("listening on ")?;
        address.parse().ok().filter(|second| *second != first)
    });
    for address in [first, second] {
        let mut client = Client::start(&[&address.to_string()]);
        client.shows_part("* you are guest-");
    }
}

#[test]
fn help_wraps_between_words() {
    for (program, arguments) in [
        ("chat-server", &["--help"][..]),
        ("chat-server", &["import", "--help"]),
        ("chat-client", &["--help"]),
        ("chat-client", &["tail", "--help"]),
    ] {
        let help = |columns: &str| {
            let mut command = Command::new(binary(program));
            command.args(arguments).env("COLUMNS", columns);
            let output = command.stdin(Stdio::null()).output().unwrap();
            assert!(output.status.success(), "{program} {arguments:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let narrow = help("80");
        let longest = narrow.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(80), "{program} {arguments:?}: {narrow}");
        let words = |help: &str| {
            help.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            words(&narrow),
            words(&help("100")),
            "{program} {arguments:?}"
        );
    }
}
