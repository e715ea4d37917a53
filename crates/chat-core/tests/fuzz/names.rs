//! A text that is accepted as a name can't be mistaken for anything else, and contains no invisible character.

use crate::harness::{check, in_paused_time};
use chat_core::{Nick, RoomName, text};
use chat_testkit::TestHub;
use proptest::prelude::*;

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => any::<String>(),
        2 => "[a-z0-9_.\\[\\]{}|^-]{0,40}",
        2 => "[a-z\u{300}-\u{36f}\u{200b}-\u{206f}\u{3164}\u{ad}가-힣A-ZÀ-ÿ: \t]{1,36}",
        1 => ".{1,40}",
        1 => "\\PC{1,40}",
        1 => Just("you".to_owned()),
    ]
}

/// Returns whether this is one of the most important invisible characters. Unicode's tables have the full list.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{feff}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{e0000}'..='\u{e0fff}')
}

fn assert_is_harmless(name: &str) {
    let is_bad = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || text::is_unsafe(c)
            || is_invisible(c)
            || matches!(c, ':' | ',' | '/' | '*' | '!' | '#')
    };
    assert!(!name.chars().any(is_bad), "{name:?}");
}

#[test]
fn a_text_is_refused_or_is_a_name_that_reads_back_as_itself() {
    check(4000, &texts(), |name| {
        match Nick::parse(&name) {
            Ok(nick) => {
                assert_is_harmless(&name);
                assert!(name.chars().count() <= 32 && name != "you");
                // The time at the beginning of a line begins with a digit, so a name must not begin with a digit.
                assert!(!name.starts_with(char::is_numeric), "{name:?}");
                assert_eq!(nick.as_str(), name);
                assert_eq!(Nick::parse(nick.as_str()).as_ref(), Ok(&nick));
            }
            Err(error) => assert!(!error.to_string().chars().any(text::is_unsafe)),
        }
        match RoomName::parse(&name) {
            Ok(room) => {
                assert_is_harmless(room.as_str());
                assert!(room.as_str().len() <= 64);
                assert_eq!(RoomName::parse(room.as_str()).as_ref(), Ok(&room));
            }
            Err(error) => assert!(!error.to_string().chars().any(text::is_unsafe)),
        }
    });
}

#[test]
fn whatever_is_asked_for_as_a_name_the_answer_is_one_harmless_line() {
    let command = prop::sample::select(vec![
        "/nick ", "/join ", "/who ", "/msg ", "/help ", "/", "/topic ",
    ]);
    check(400, &(command, texts()), |(command, name)| {
        in_paused_time(move || async move {
            let mut hub = TestHub::default();
            let mut kim = hub.member("kim").await;
            let asked = format!("{command}{}", name.replace(['\n', '\r', '\0'], " "));
            let quits = asked.to_lowercase().starts_with("/quit");
            kim.sends(&asked).await;
            kim.sends("/msg nobody-at-all hello").await;
            let end = "! nobody here is called nobody-at-all: /who lists who is";
            if !quits {
                for line in kim.sees_in_time(end).await {
                    assert!(!line.chars().any(text::is_unsafe), "{line:?}");
                }
            }
            assert!(hub.hub.sessions() <= 1);
        });
    });
}
