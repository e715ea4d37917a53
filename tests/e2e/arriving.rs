//! The operator's settings for new members: `--motd` and `--room`.

use std::fs;
use std::path::Path;

use crate::harness::{Member, Server};

#[test]
fn the_message_of_the_day_comes_first() {
    let server = Server::with(&["--motd", "be kind"]);
    let mut newcomer = Member::connect(&server, "newcomer");
    assert_eq!(newcomer.next_line(), "* be kind");
    newcomer.is_greeted();
}

#[test]
fn the_message_of_the_day_may_be_a_file() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-motd.txt");
    fs::write(&path, "be kind\nand \u{1b}[1mbrief\n").unwrap();
    let server = Server::with(&["--motd", &format!("@{}", path.display())]);
    let mut newcomer = Member::connect(&server, "newcomer");
    assert_eq!(newcomer.next_line(), "* be kind");
    assert_eq!(newcomer.next_line(), "* and [1mbrief");
    newcomer.is_greeted();
}

#[test]
fn the_default_room_can_be_named() {
    let server = Server::with(&["--room", "den"]);
    let mut newcomer = Member::connect(&server, "newcomer");
    let greeting = newcomer.sees_part("* you are guest-");
    assert!(greeting.contains(" in den: "), "{greeting}");
}
