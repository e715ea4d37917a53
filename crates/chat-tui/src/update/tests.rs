//! Tests how keys and events change the state.

mod arriving;
mod direct;
mod log;
mod typing;

use super::*;
use crate::Colours;
use crate::room::FoundAt;
use crate::scrollback::What;
use crate::state::{Link, Overlay};
use chat_json::GapCause;
use crossterm::event::{KeyCode, KeyModifiers};
use jiff::tz::TimeZone;
use unicode_segmentation::UnicodeSegmentation;

/// A state of the screen, with methods that press keys and send events.
struct Screen {
    state: State,
    effects: Vec<Effect>,
}

impl Screen {
    fn new() -> Self {
        let state = State::new("server:5000".into(), Colours::Off, TimeZone::UTC);
        let mut screen = Self {
            state,
            effects: Vec::new(),
        };
        screen.happens(Event::Online { nick: "me".into() });
        screen
    }

    fn happens(&mut self, event: Event) {
        self.effects
            .extend(update(&mut self.state, Input::Event(event)));
    }

    fn answers(&mut self, answer: Answer) {
        update(&mut self.state, Input::Answer(answer));
    }

    /// The server accepts message `id` of the lobby at position `seq`.
    fn takes(&mut self, id: u64, seq: u64) {
        let (room, took) = ("lobby".to_owned(), Duration::ZERO);
        let result = Ok(seq);
        self.answers(Answer::Said {
            room,
            id,
            result,
            took,
        });
    }

    fn types(&mut self, text: &str) {
        text.chars().for_each(|c| self.presses(KeyCode::Char(c)));
    }

    fn presses(&mut self, code: KeyCode) {
        self.presses_with(code, KeyModifiers::NONE);
    }

    fn presses_with(&mut self, code: KeyCode, modifiers: KeyModifiers) {
        let key = Input::Key(KeyEvent::new(code, modifiers));
        self.effects.extend(update(&mut self.state, key));
    }

    fn enters(&mut self, line: &str) -> Vec<Effect> {
        self.types(line);
        self.presses(KeyCode::Enter);
        std::mem::take(&mut self.effects)
    }

    fn hears(&mut self, seq: u64, from: &str, text: &str) {
        self.happens(said("lobby", seq, from, text));
    }

    /// Returns the texts of all entries in the room on the screen.
    fn texts(&self) -> Vec<String> {
        let entries = self.state.room().scrollback.entries();
        entries
            .map(|(_, entry)| crate::room::parts(entry).0 + entry.text())
            .collect()
    }
}

fn said(room: &str, seq: u64, from: &str, text: &str) -> Event {
    Event::Message(Message::said(room, seq, from, text))
}

fn entered(room: &str, members: &[&str]) -> Event {
    Event::Entered(chat_json::Room::with(room, members))
}

#[test]
fn what_is_typed_is_said_and_pending_until_it_comes_back() {
    let mut screen = Screen::new();
    let effects = screen.enters("안녕");
    let (room, text) = ("lobby".to_owned(), "안녕".to_owned());
    let (id, is_action) = (1, false);
    assert_eq!(
        effects,
        [Effect::Say {
            room: room.clone(),
            id,
            text,
            is_action
        }]
    );
    assert_eq!(screen.state.unsent(), 1);
    let took = Duration::from_millis(3);
    screen.answers(Answer::Said {
        room,
        id,
        result: Ok(1),
        took,
    });
    assert_eq!(
        (screen.state.unsent(), screen.state.room().pending.len()),
        (0, 1)
    );
    screen.hears(1, "me", "안녕");
    assert!(screen.state.room().pending.is_empty());
    assert_eq!(screen.texts(), ["me: 안녕"]);
}

#[test]
fn what_comes_back_before_its_answer_is_not_pending_either() {
    let mut screen = Screen::new();
    screen.enters("a\tb");
    screen.hears(1, "me", "ab");
    screen.takes(1, 1);
    assert!(screen.state.room().pending.is_empty());
}

#[test]
fn other_rooms_count_what_is_unread_and_what_is_for_one() {
    let mut screen = Screen::new();
    screen.happens(entered("ops", &["me", "kim"]));
    screen.happens(said("ops", 1, "kim", "hello"));
    screen.happens(said("ops", 2, "kim", "Me: look"));
    assert_eq!(std::mem::take(&mut screen.effects), [Effect::Bell]);
    assert_eq!(
        (screen.state.rooms[1].unread, screen.state.rooms[1].mentions),
        (2, 1)
    );
    screen.presses_with(KeyCode::Char('n'), KeyModifiers::CONTROL);
    assert_eq!(screen.state.room().name, "ops");
    assert_eq!(
        (screen.state.room().unread, screen.state.room().mentions),
        (0, 0)
    );
    screen.presses_with(KeyCode::Char('1'), KeyModifiers::ALT);
    assert_eq!(screen.state.room().name, "lobby");
    screen.happens(said("ops", 3, "kim", "later"));
    let ops = &screen.state.rooms[1];
    assert_eq!(
        ops.marker,
        Some(ops.scrollback.range().end - 2),
        "unread begins before it"
    );
}

#[test]
fn a_nick_is_mentioned_as_a_word() {
    for (text, is_mention) in [
        ("김철수님 여기요", true),
        ("hi 김철수", true),
        ("김철수-2", false),
        // Text that is pasted from macOS, for example from file names, contains decomposed Hangul syllables.
        (
            "\u{1100}\u{1175}\u{11b7}\u{110e}\u{1165}\u{11af}\u{1109}\u{116e} 어디?",
            true,
        ),
        ("이김철수", false),
    ] {
        let mut screen = Screen::new();
        screen.happens(Event::Online {
            nick: "김철수".into(),
        });
        screen.hears(1, "kim", text);
        assert_eq!(screen.effects.contains(&Effect::Bell), is_mention, "{text}");
    }
}

#[test]
fn tab_completes_nicks_and_goes_on_to_the_next() {
    let mut screen = Screen::new();
    screen.happens(entered("lobby", &["me", "alice", "albert", "김철수"]));
    screen.types("al");
    screen.presses(KeyCode::Tab);
    assert_eq!(screen.state.room().editor.text(), "albert: ");
    screen.presses(KeyCode::Tab);
    assert_eq!(screen.state.room().editor.text(), "alice: ");
    screen.types("김");
    screen.presses(KeyCode::Tab);
    assert_eq!(screen.state.room().editor.text(), "alice: 김철수 ");
}

#[test]
fn commands_do_what_the_table_says() {
    let mut screen = Screen::new();
    let (room, text) = ("lobby".to_owned(), "waves".to_owned());
    let (id, is_action) = (1, true);
    assert_eq!(
        screen.enters("/me waves"),
        [Effect::Say {
            room: room.clone(),
            id,
            text,
            is_action
        }]
    );
    let (to, text) = ("kim".to_owned(), "psst psst".to_owned());
    assert_eq!(
        screen.enters("/msg kim psst psst"),
        [Effect::Tell {
            room: room.clone(),
            id: None,
            to,
            text
        }]
    );
    let (joined, from) = ("ops".to_owned(), room.clone());
    assert_eq!(
        screen.enters("/join #ops"),
        [Effect::Join { room: joined, from }]
    );
    assert_eq!(screen.state.room().name, "ops");
    assert_eq!(screen.enters("/join lobby"), []);
    assert_eq!(screen.state.room().name, "lobby");
    assert_eq!(screen.enters("/nosuch"), []);
    assert!(
        screen
            .texts()
            .last()
            .unwrap()
            .starts_with("! unknown command: /nosuch")
    );
    assert_eq!(
        screen.state.room().editor.text(),
        "/nosuch",
        "it can be mended"
    );
}

#[test]
fn an_answer_is_seen_though_older_messages_are_being_read() {
    let mut screen = Screen::new();
    (1..=100).for_each(|seq| screen.hears(seq, "kim", "hi"));
    let is_at_end = |screen: &Screen| screen.state.room().scrollback.is_at_end();
    for line in ["/topic", "/me", "/nosuch"] {
        screen.presses(KeyCode::PageUp);
        assert!(!is_at_end(&screen));
        screen.enters(line);
        assert!(is_at_end(&screen), "{line}");
        screen.presses_with(KeyCode::Char('u'), KeyModifiers::CONTROL);
    }
    screen.presses(KeyCode::PageUp);
    let (room, result) = ("lobby".to_owned(), Ok(Vec::new()));
    screen.answers(Answer::Lines { room, result });
    assert!(!is_at_end(&screen), "there is nothing to see");
    let (room, result) = ("lobby".to_owned(), Ok(vec!["found".to_owned()]));
    screen.answers(Answer::Lines { room, result });
    assert!(is_at_end(&screen));
}

#[test]
fn a_search_goes_back_from_find_to_find() {
    let mut screen = Screen::new();
    for (seq, text) in [
        (1, "first 결제 error"),
        (2, "nothing"),
        (3, "second 결제 error"),
    ] {
        screen.hears(seq, "kim", text);
    }
    let found = |screen: &Screen| screen.state.room().found.as_ref().unwrap().at;
    screen.enters("/search 결제 error");
    assert_eq!(found(&screen), FoundAt::Loaded(2));
    screen.presses(KeyCode::Enter);
    assert_eq!(found(&screen), FoundAt::Loaded(0));
    // A search for other words starts at the end of the log.
    screen.presses_with(KeyCode::Char('u'), KeyModifiers::CONTROL);
    screen.enters("/search nothing");
    assert_eq!(found(&screen), FoundAt::Loaded(1));
    // When the search continues past the loaded messages, the server searches the older messages.
    let asked = |before| Effect::Search {
        room: "lobby".into(),
        words: "nothing".into(),
        before: Some(before),
    };
    assert_eq!(screen.enters(""), [asked(1)]);
    screen.answers(Answer::Found {
        room: "lobby".into(),
        words: "nothing".into(),
        result: Ok((vec!["[0] nothing".into()], Some(0))),
    });
    assert_eq!(screen.enters(""), [asked(0)]);
    screen.presses_with(KeyCode::Char('u'), KeyModifiers::CONTROL);
    let (room, seq) = ("lobby".into(), 1041);
    let asked = Effect::Around { room, seq };
    assert_eq!(screen.enters("/around 1041"), [asked]);
}

#[test]
fn what_was_read_in_an_earlier_session_is_not_unread() {
    let mut screen = Screen::new();
    screen.state.room_mut().read = Some(Place {
        epoch: "0".into(),
        seq: 2,
    });
    (1..=4).for_each(|seq| screen.hears(seq, "kim", "hi"));
    assert_eq!(screen.state.room().marker, Some(1));
}

#[test]
fn a_break_is_one_notice_and_not_a_stack_of_errors() {
    let mut screen = Screen::new();
    for _ in 0..5 {
        let (why, retry_in) = ("connection refused".into(), Duration::from_secs(1));
        screen.happens(Event::Offline { why, retry_in });
    }
    assert!(matches!(screen.state.link, Link::Offline { .. }));
    screen.happens(Event::Online { nick: "me".into() });
    assert_eq!(
        screen.texts(),
        [
            "! offline: connection refused (trying again)",
            "* back online"
        ]
    );
    let (room, why) = ("lobby".to_owned(), GapCause::Expired);
    screen.happens(Event::Gap {
        room,
        from: Some(3),
        to: Some(7),
        why,
    });
    assert_eq!(screen.texts()[2], "! 5 messages are missing here");
}

#[test]
fn a_hostile_server_finds_no_hold() {
    let mut screen = Screen::new();
    let evil = "\x1b]0;title\x07\u{9b}2J\u{202e}".repeat(100) + &"x".repeat(1_000_000);
    // `marked` is a single grapheme of a million characters.
    let marked = "a".to_owned() + &"\u{301}".repeat(1_000_000);
    let joined = "👩\u{200d}".repeat(100_000);
    let accents = "e\u{301}\u{302}\u{303}".repeat(64);
    let names = [&evil, &marked, &joined, &accents];
    for name in names {
        for seq in [5, 4, u64::MAX, 0, 5] {
            screen.hears(seq, name, name);
        }
        screen.happens(entered("lobby", &[name, "me"]));
        screen.happens(entered(name, &[]));
        screen.happens(Event::Online { nick: name.clone() });
        assert!(screen.state.nick.len() <= 256);
    }
    for number in 0..100_000 {
        let (room, nick) = ("lobby".to_owned(), format!("m{number}"));
        screen.happens(Event::Joined { room, nick });
    }
    let (room, nick, to) = ("nowhere".to_owned(), evil.clone(), evil.clone());
    screen.happens(Event::Renamed { room, nick, to });
    let why = GapCause::Other;
    screen.happens(Event::Gap {
        room: "lobby".into(),
        from: Some(u64::MAX),
        to: Some(0),
        why,
    });
    screen.happens(Event::Gap {
        room: "lobby".into(),
        from: Some(0),
        to: Some(u64::MAX),
        why,
    });
    (0..1_000).for_each(|number| screen.happens(entered(&format!("room{number}"), &[])));
    let state = &screen.state;
    assert!(state.room().members.len() <= 500 && state.rooms.len() <= 256);
    assert!(state.room().scrollback.range().count() <= crate::scrollback::ENTRIES_MAX);
    for (_, entry) in state.room().scrollback.entries() {
        let (prefix, text) = crate::room::parts(entry);
        let shown = prefix + &text;
        assert!(
            shown.len() < 32 * 1024 && !shown.chars().any(char::is_control),
            "{}",
            shown.len()
        );
        if let What::Said { from, .. } = &entry.what {
            assert!(from.len() <= 256 && from.graphemes(true).count() <= 64);
            assert!(from.graphemes(true).all(|one| one.chars().count() <= 16));
        }
    }
    assert!(state.rooms.iter().all(|room| room.name.len() <= 256));
    let members = state.rooms.iter().flat_map(|room| &room.members);
    assert!(members.clone().count() > 0 && members.clone().all(|nick| nick.len() <= 256));
}

#[test]
fn a_room_that_was_left_is_joined_again() {
    let mut screen = Screen::new();
    screen.happens(entered("lobby", &["me"]));
    let join = |room: &str, from: &str| {
        let (room, from) = (room.to_owned(), from.to_owned());
        Effect::Join { room, from }
    };
    assert_eq!(screen.enters("/join lobby"), [], "the client is in it");
    let (room, result) = ("lobby".to_owned(), Ok(()));
    screen.answers(Answer::Left { room, result });
    assert_eq!(screen.enters("/join lobby"), [join("lobby", "lobby")]);
    assert_eq!(screen.enters("/join lobby"), [], "it is asked for");
    screen.happens(Event::NotEntered {
        room: "lobby".into(),
        code: "removed".into(),
        message: String::new(),
    });
    assert_eq!(screen.enters("/join lobby"), [join("lobby", "lobby")]);
    let (room, from) = ("lobby".to_owned(), "lobby".to_owned());
    let result = Err("the room is full".to_owned());
    screen.answers(Answer::Joined { room, from, result });
    assert_eq!(screen.texts().last().unwrap(), "! lobby: the room is full");
    assert_eq!(screen.enters("/join lobby"), [join("lobby", "lobby")]);
}

#[test]
fn a_room_is_one_however_it_is_spelled() {
    let mut screen = Screen::new();
    // Text that is pasted from macOS, for example from file names, contains decomposed Hangul syllables.
    for (typed, name) in [("Ops", "ops"), ("\u{1112}\u{1161}\u{11ab}", "한")] {
        screen.enters(&format!("/join {typed}"));
        let Some(Effect::Say { room, id, .. }) = screen.enters("hello").pop() else {
            panic!("it is said");
        };
        screen.happens(entered(name, &["me"]));
        assert_eq!(screen.state.room().name, name);
        let (result, took) = (Err("too much".into()), Duration::ZERO);
        screen.answers(Answer::Said {
            room,
            id,
            result,
            took,
        });
        assert!(screen.state.room().pending.is_empty());
        screen.presses_with(KeyCode::Char('u'), KeyModifiers::CONTROL);
    }
    assert_eq!(screen.enters("/join OPS"), []);
    assert_eq!(screen.state.rooms.len(), 3);
}

#[test]
fn a_room_that_is_refused_is_closed_again() {
    let mut screen = Screen::new();
    screen.enters("/join secret");
    assert_eq!(screen.state.room().name, "secret");
    let (room, from) = ("secret".to_owned(), "lobby".to_owned());
    let result = Err("no such name".to_owned());
    screen.answers(Answer::Joined { room, from, result });
    assert_eq!(
        (screen.state.rooms.len(), &*screen.state.room().name),
        (1, "lobby")
    );
    assert_eq!(screen.texts(), ["! secret: no such name"]);
}

#[test]
fn a_room_that_was_never_joined_can_be_closed() {
    let mut screen = Screen::new();
    screen.enters("/join secret");
    assert_eq!(screen.state.rooms.len(), 2);
    let (room, result) = ("secret".to_owned(), Err("you are not in that room".into()));
    screen.answers(Answer::Left { room, result });
    assert_eq!(
        (screen.state.rooms.len(), &*screen.state.room().name),
        (1, "lobby")
    );
}
