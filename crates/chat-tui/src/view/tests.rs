//! Tests the screen as text, which is read from the cells of a `TestBackend`.

use super::draw;
use crate::Colours;
use crate::state::State;
use crate::update::{Answer, Input, update};
use chat_json::{Event, GapCause, Message, MessageKind, Room};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Position;
use std::time::Duration;

struct Screen {
    state: State,
    terminal: Terminal<TestBackend>,
}

impl Screen {
    fn new(width: u16, height: u16) -> Self {
        let state = State::new("server:5000".into(), Colours::Off, TimeZone::UTC);
        let terminal = Terminal::new(TestBackend::new(width, height)).expect("a test's terminal");
        let mut screen = Self { state, terminal };
        screen.does(Input::Resized { width, height });
        screen.happens(Event::Online {
            nick: "김철수".into(),
        });
        screen.happens(Event::Entered(Room::with(
            "lobby",
            &["alice", "김철수", "Zoë"],
        )));
        screen
    }

    fn does(&mut self, input: Input) {
        update(&mut self.state, input);
    }

    fn happens(&mut self, event: Event) {
        self.does(Input::Event(event));
    }

    fn hears(&mut self, seq: u64, from: &str, text: &str) {
        let mut message = Message::said("lobby", seq, from, text);
        message.at = (14 * 60 + 2) * 60_000;
        self.happens(Event::Message(message));
    }

    fn types(&mut self, text: &str) {
        for c in text.chars() {
            self.presses(KeyCode::Char(c));
        }
    }

    fn presses(&mut self, code: KeyCode) {
        self.does(Input::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }

    /// Draws the state. Returns the lines of the screen without trailing spaces, and the position of the cursor.
    fn shows(&mut self) -> (Vec<String>, Position) {
        let state = &self.state;
        self.terminal
            .draw(|frame| draw(state, frame))
            .expect("it is drawn");
        let position = self
            .terminal
            .get_cursor_position()
            .expect("there is a cursor");
        let buffer = self.terminal.backend().buffer();
        let lines = buffer
            .content()
            .chunks(usize::from(buffer.area.width))
            .map(|row| {
                let mut line = String::new();
                let mut skip = 0;
                for cell in row {
                    if skip > 0 {
                        skip -= 1;
                        continue;
                    }
                    skip = crate::wrap::columns(cell.symbol()).saturating_sub(1);
                    line.push_str(cell.symbol());
                }
                line.trim_end().to_owned()
            });
        (lines.collect(), position)
    }

    fn lines(&mut self) -> Vec<String> {
        self.shows().0
    }
}

#[test]
fn the_main_view() {
    let mut screen = Screen::new(80, 12);
    screen.hears(1, "alice", "안녕하세요 여러분! 👩‍👩‍👧‍👦 cafe\u{301}");
    screen.hears(2, "Zoë", "see https://example.org/path for more");
    screen.happens(Event::Entered(Room::with("ops", &["alice"])));
    screen.happens(Event::Message(Message::said(
        "ops",
        1,
        "alice",
        "김철수 look",
    )));
    screen.types("한글 typing");
    let (lines, cursor) = screen.shows();
    let expected = [" lobby (3)", "", "", "1 lobby            │", "", ""];
    assert_eq!(lines[0], expected[0]);
    insta(&lines, "main");
    assert_eq!((cursor.x, cursor.y), (2 + 4 + 7, 11));
}

#[test]
fn a_member_that_is_away_is_marked_until_it_is_back() {
    let mut screen = Screen::new(80, 8);
    let mut ops = Room::with("lobby", &["alice", "Zoë"]);
    ops.away = vec!["Zoë".to_owned()];
    screen.happens(Event::Entered(ops));
    let happens = |nick: &str, text: Option<&str>| Event::Away {
        room: "lobby".to_owned(),
        nick: nick.to_owned(),
        text: text.map(str::to_owned),
    };
    screen.happens(happens("alice", Some("lunch\x1b[2J")));
    let shown = screen.lines().join("\n");
    for expected in ["alice (away)", "Zoë (away)", "* alice is away: lunch[2J"] {
        assert!(shown.contains(expected), "{shown}");
    }
    let (room, nick, to) = ("lobby".to_owned(), "alice".to_owned(), "ali".to_owned());
    screen.happens(Event::Renamed { room, nick, to });
    assert!(screen.lines().join("\n").contains("ali (away)"));
    screen.happens(happens("ali", None));
    screen.happens(happens("nobody", Some("x")));
    screen.happens(happens("Zoë", None));
    let shown = screen.lines().join("\n");
    assert!(
        shown.contains("* ali is back") && !shown.contains("(away)"),
        "{shown}"
    );
}

/// Compares lines of the screen with a file in `snapshots/`. With `UPDATE_SNAPSHOTS=1`, writes the file.
fn insta(lines: &[String], name: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("snapshots")
        .join(format!("{name}.txt"));
    let text = lines.join("\n") + "\n";
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(&path, &text).expect("a snapshot");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text,
        kept,
        "{}: UPDATE_SNAPSHOTS=1 if this is how it shall be",
        path.display()
    );
}

#[test]
fn a_narrow_screen_has_messages_and_the_line_only() {
    let mut screen = Screen::new(40, 10);
    screen.hears(1, "alice", &"긴 메시지는 단어에서 나뉩니다 ".repeat(3));
    screen.hears(
        2,
        "alice",
        "https://example.org/a/very/long/address/that/fits/into/no/line/at/all",
    );
    screen.types(&"가".repeat(30));
    let (lines, cursor) = screen.shows();
    insta(&lines, "narrow");
    assert!(cursor.x < 40 && cursor.y == 9);
    assert!(lines.iter().all(|line| crate::wrap::columns(line) <= 40));
}

#[test]
fn scrolled_back_and_offline() {
    let mut screen = Screen::new(60, 10);
    (1..=30).for_each(|seq| screen.hears(seq, "alice", &format!("message {seq}")));
    screen.presses(KeyCode::PageUp);
    let (why, retry_in) = ("connection refused".into(), Duration::from_secs(1));
    screen.happens(Event::Offline { why, retry_in });
    screen.types("later");
    screen.presses(KeyCode::Enter);
    screen.presses(KeyCode::PageUp);
    let lines = screen.lines();
    insta(&lines, "scrolled");
}

#[test]
fn where_unread_begins() {
    let mut screen = Screen::new(60, 10);
    screen.hears(1, "alice", "read");
    screen.happens(Event::Entered(Room::with("ops", &["alice"])));
    screen.does(Input::Key(KeyEvent::new(
        KeyCode::Char('n'),
        KeyModifiers::CONTROL,
    )));
    screen.hears(2, "alice", "unread");
    screen.does(Input::Key(KeyEvent::new(
        KeyCode::Char('p'),
        KeyModifiers::CONTROL,
    )));
    insta(&screen.lines(), "unread");
}

#[test]
fn help_and_questions() {
    let mut screen = Screen::new(80, 30);
    screen.presses(KeyCode::F(1));
    insta(&screen.lines(), "help");
    screen.presses(KeyCode::Esc);
    screen.does(Input::Pasted("a\nb\nc".into()));
    let (lines, cursor) = screen.shows();
    assert_eq!(lines[29], "send 3 lines? (y/n)");
    assert_eq!((cursor.x, cursor.y), (19, 29));
    screen.presses(KeyCode::Esc);
    screen.types("x");
    for _ in 0..999 {
        screen.presses(KeyCode::Enter);
        screen.types("x");
    }
    screen.does(Input::Pasted("a\nb\nc".into()));
    let (lines, _) = screen.shows();
    assert!(lines[29].starts_with("too many messages are waiting: y retries sending 3 lines"));
}

#[test]
fn what_waits_is_shown_and_what_is_refused_says_why() {
    let mut screen = Screen::new(60, 10);
    screen.types("first");
    screen.presses(KeyCode::Enter);
    screen.types("second");
    screen.presses(KeyCode::Enter);
    let (room, took) = ("lobby".to_owned(), Duration::ZERO);
    let result = Err("you are not in that room".into());
    screen.does(Input::Answer(Answer::Said {
        room,
        id: 1,
        result,
        took,
    }));
    insta(&screen.lines(), "refused");
}

#[test]
fn correspondents_have_windows_beside_the_rooms() {
    let mut screen = Screen::new(80, 12);
    let (at, from, text) = (
        (14 * 60 + 2) * 60_000,
        "이영희".into(),
        "비밀\t이야기".into(),
    );
    screen.happens(Event::Direct { at, from, text });
    screen.hears(1, "alice", "hello");
    insta(&screen.lines(), "direct_unread");
    screen.types("/query 이영희");
    screen.presses(KeyCode::Enter);
    screen.types("알겠어");
    insta(&screen.lines(), "direct");
}

#[test]
fn a_new_day_is_told_where_it_begins() {
    let mut screen = Screen::new(60, 8);
    let said = |seq, day: u64, text| {
        let mut message = Message::said("lobby", seq, "alice", text);
        message.at = (day * 24 * 60 + 14 * 60) * 60_000;
        message
    };
    for (seq, day, text) in [(5, 1, "오후"), (6, 1, "same day"), (7, 2, "다음 날")] {
        screen.happens(Event::Message(said(seq, day, text)));
    }
    insta(&screen.lines(), "days");
    // Older messages are inserted above the loaded messages, and the date of each day is shown only once.
    let mut older = vec![said(3, 0, "older"), said(4, 1, "아침")];
    older.iter_mut().for_each(|message| message.epoch.clear());
    let (room, epoch) = ("lobby".to_owned(), "0".to_owned());
    let result = Ok(older);
    screen.presses(KeyCode::PageUp);
    screen.does(Input::Answer(Answer::Older {
        room,
        epoch,
        result,
    }));
    screen.presses(KeyCode::Esc);
    let mut seen = Vec::new();
    for _ in 0..10 {
        for line in screen.lines().into_iter().rev() {
            if line.contains("--- 1970") || line.contains("14:00") {
                seen.push(line.trim_matches('-').trim().to_owned());
            }
        }
        screen.presses(KeyCode::PageUp);
    }
    let position = |part: &str| seen.iter().position(|line| line.contains(part));
    let parts = [
        "다음 날",
        "1970-01-03",
        "same day",
        "오후",
        "아침",
        "1970-01-02",
        "older",
        "1970-01-01",
    ];
    let positions: Vec<usize> = parts
        .iter()
        .map(|part| position(part).unwrap_or_else(|| panic!("{part}: {seen:?}")))
        .collect();
    assert!(positions.is_sorted(), "{seen:?}");
}

#[test]
fn any_size_is_drawn_with_the_cursor_on_the_screen() {
    for width in [1, 2, 9, 10, 11, 20, 39, 40, 60, 72, 80, 300] {
        for height in [1, 2, 3, 4, 5, 10, 50] {
            let mut screen = Screen::new(width, height);
            screen.hears(1, "alice", "한글 text 👩‍👩‍👧‍👦");
            screen.types("한글");
            for overlay in [false, true] {
                if overlay {
                    screen.presses(KeyCode::F(1));
                }
                let (lines, cursor) = screen.shows();
                assert!(cursor.x < width && cursor.y < height, "{width}x{height}");
                assert_eq!(lines.len(), usize::from(height));
            }
        }
    }
}

/// Returns every kind of event and answer. `text` is used for every text that a server may choose.
fn everything(text: &str) -> Vec<Input> {
    let messages = messages(text).map(Event::Message);
    let events = events(text).into_iter().chain(messages);
    let answers = answers(text).into_iter().map(Input::Answer);
    events.map(Input::Event).chain(answers).collect()
}

fn messages(text: &str) -> impl Iterator<Item = Message> {
    let kinds = [MessageKind::Said, MessageKind::Acted, MessageKind::Topic];
    kinds.into_iter().zip(1..).map(move |(kind, seq)| {
        let mut message = Message::said("lobby", seq, text, text);
        message.kind = kind;
        message
    })
}

fn events(text: &str) -> Vec<Event> {
    let own = || text.to_owned();
    let (room, at, why) = ("lobby".to_owned(), 0, GapCause::Other);
    let mut entered = Room::with("lobby", &[text]);
    entered.topic = own();
    vec![
        Event::Online { nick: own() },
        Event::Greeting {
            lobby: Some(own()),
            motd: vec![own()],
        },
        Event::Entered(entered),
        Event::Entered(Room::with(text, &[text])),
        Event::Direct {
            at,
            from: own(),
            text: own(),
        },
        Event::Joined {
            room: room.clone(),
            nick: own(),
        },
        Event::Renamed {
            room: room.clone(),
            nick: own(),
            to: format!("{text} 2"),
        },
        Event::Away {
            room: room.clone(),
            nick: format!("{text} 2"),
            text: Some(own()),
        },
        Event::Left {
            room: room.clone(),
            nick: format!("{text} 2"),
            reason: Some(own()),
        },
        Event::Gap {
            room,
            from: None,
            to: None,
            why,
        },
        Event::NickRefused {
            nick: own(),
            code: "nick_taken".into(),
            message: own(),
        },
        Event::NotEntered {
            room: own(),
            code: own(),
            message: own(),
        },
        Event::Rejected {
            code: own(),
            message: own(),
        },
        Event::Offline {
            why: own(),
            retry_in: Duration::ZERO,
        },
    ]
}

fn answers(text: &str) -> Vec<Answer> {
    let own = || text.to_owned();
    let room = "lobby".to_owned();
    vec![
        Answer::Lines {
            room: room.clone(),
            result: Ok(vec![own()]),
        },
        Answer::Lines {
            room: room.clone(),
            result: Err(own()),
        },
        Answer::Found {
            room: room.clone(),
            words: "x".into(),
            result: Ok((vec![own()], None)),
        },
        Answer::Direct {
            room: room.clone(),
            id: None,
            to: own(),
            text: own(),
            result: Ok(()),
        },
        Answer::Direct {
            room: room.clone(),
            id: None,
            to: own(),
            text: own(),
            result: Err(own()),
        },
        Answer::Renamed {
            room: room.clone(),
            result: Ok(own()),
        },
        Answer::Joined {
            room: own(),
            from: room.clone(),
            result: Err(own()),
        },
        Answer::Older {
            room,
            epoch: "0".into(),
            result: Err(own()),
        },
    ]
}

/// The cells alone would not show a fault: ratatui drops control characters, but counts them in the layout of a line.
/// So this test checks that the state contains no control characters, and that the cells equal those of the cleaned
/// text.
#[test]
fn a_text_with_control_characters_is_drawn_as_the_text_without_them() {
    let evil = "\u{1b}]0;title\u{7}\u{9b}2J\u{8}\u{7f} \u{202e}one\r\n\u{0}two \u{2066}한";
    let clean = chat_core::text::clean(evil).into_owned();
    let (everything_evil, everything_clean) = (everything(evil), everything(&clean));
    for (evil, clean) in everything_evil.into_iter().zip(everything_clean) {
        let name = format!("{evil:?}");
        let (mut screen, mut expected) = (Screen::new(80, 24), Screen::new(80, 24));
        screen.does(evil);
        expected.does(clean);
        // `Debug` escapes control characters and characters that reorder text, so their escapes can be searched for.
        let state = format!("{:?}", screen.state);
        for escape in ["\\u{", "\\r", "\\n", "\\0"] {
            assert!(!state.contains(escape), "{escape} of {name}: {state}");
        }
        assert_eq!(screen.shows(), expected.shows(), "{name}");
    }
}
