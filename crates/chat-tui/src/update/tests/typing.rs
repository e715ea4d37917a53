//! Text that is typed or pasted is sent as the user intends, or is kept.

use super::log::anew;
use super::*;

#[test]
fn many_pasted_lines_are_asked_about() {
    let mut screen = Screen::new();
    let paste = |screen: &mut Screen, text: &str| {
        screen.effects = update(&mut screen.state, Input::Pasted(text.into()));
    };
    paste(&mut screen, "one line");
    assert_eq!(screen.state.room().editor.text(), "one line");
    let lines: Vec<String> = (0..30).map(|number| format!("line {number}")).collect();
    paste(&mut screen, &lines.join("\r\n"));
    assert!(screen.effects.is_empty(), "nothing is sent yet");
    // The user may have meant Enter for the input line. Enter must therefore not answer the question.
    for key in [KeyCode::Char('x'), KeyCode::Enter] {
        screen.presses(key);
        assert!(matches!(screen.state.overlay, Some(Overlay::Paste { .. })));
    }
    screen.presses(KeyCode::Char('y'));
    assert_eq!(screen.effects.len(), 30);
    paste(&mut screen, "a\nb");
    screen.presses(KeyCode::Esc);
    assert!(screen.effects.is_empty() && screen.state.overlay.is_none());
}

#[test]
fn quitting_asks_only_if_something_would_be_lost() {
    let mut screen = Screen::new();
    screen.types("draft");
    screen.presses_with(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(!screen.state.is_over);
    screen.presses(KeyCode::Char('n'));
    screen.presses_with(KeyCode::Char('u'), KeyModifiers::CONTROL);
    screen.presses_with(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(screen.state.is_over);
    assert_eq!(
        screen.effects,
        [Effect::Quit {
            reason: String::new()
        }]
    );
}

#[test]
fn a_paste_that_is_too_much_is_refused_whole() {
    let mut screen = Screen::new();
    for text in ["x\n".repeat(501), "y".repeat(20_000)] {
        update(&mut screen.state, Input::Pasted(text));
        assert!(screen.state.overlay.is_none() && screen.state.room().editor.text().is_empty());
        assert!(screen.texts().last().unwrap().starts_with("! not pasted"));
    }
    // Each paste is short enough alone. The second is refused, because the text that is already in the input line
    // counts towards the length limit.
    for _ in 0..2 {
        update(&mut screen.state, Input::Pasted("y".repeat(10_000)));
        assert_eq!(screen.state.room().editor.text().len(), 10_000);
    }
}

#[test]
fn what_is_refused_is_told_with_its_reason_and_comes_back_to_be_typed() {
    let mut screen = Screen::new();
    screen.enters("too much");
    let (room, took) = ("lobby".to_owned(), Duration::ZERO);
    let result = Err("message too long".to_owned());
    screen.answers(Answer::Said {
        room,
        id: 1,
        result,
        took,
    });
    assert_eq!(screen.texts(), ["! not sent: too much (message too long)"]);
    assert_eq!(screen.state.room().editor.text(), "too much");
}

#[test]
fn what_is_refused_comes_back_as_it_was_typed() {
    for line in ["/me waves", "//quit now", "///etc", "hello / there"] {
        let mut screen = Screen::new();
        let said = screen.enters(line);
        let (room, took) = ("lobby".to_owned(), Duration::ZERO);
        let result = Err("slow down".to_owned());
        screen.answers(Answer::Said {
            room,
            id: 1,
            result,
            took,
        });
        assert_eq!(screen.state.room().editor.text(), line);
        assert_eq!(screen.texts(), [format!("! not sent: {line} (slow down)")]);
        // Sending the line that was put back must have the same effect as sending the typed line.
        let again = screen.enters("");
        let texts = |effects: &[Effect]| match effects {
            [
                Effect::Say {
                    text, is_action, ..
                },
            ] => (text.clone(), *is_action),
            other => panic!("{other:?}"),
        };
        assert_eq!(texts(&again), texts(&said));
    }
}

#[test]
fn what_is_edited_among_older_lines_stays_until_it_is_sent() {
    let mut screen = Screen::new();
    screen.enters("one");
    screen.enters("two");
    screen.types("draft");
    let text = |screen: &Screen| screen.state.room().editor.text().to_owned();
    screen.presses(KeyCode::Up);
    screen.types(" edited");
    screen.presses(KeyCode::Up);
    assert_eq!(text(&screen), "one");
    screen.presses(KeyCode::Down);
    assert_eq!(text(&screen), "two edited");
    screen.presses(KeyCode::Down);
    assert_eq!(text(&screen), "draft");
    screen.presses(KeyCode::Up);
    screen.presses(KeyCode::Enter);
    assert_eq!(text(&screen), "");
    // The history contains the line as it was sent, and the user's new line is not lost.
    for expected in ["two edited", "draft", "two", "one", "one"] {
        screen.presses(KeyCode::Up);
        assert_eq!(text(&screen), expected);
    }
}

#[test]
fn a_draft_behind_an_older_line_is_asked_about_when_quitting() {
    let mut screen = Screen::new();
    screen.enters("one");
    screen.types("draft");
    screen.presses(KeyCode::Up);
    screen.presses_with(KeyCode::Char('u'), KeyModifiers::CONTROL);
    screen.presses_with(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(!screen.state.is_over);
}

#[test]
fn a_paste_is_not_lost_to_what_lies_over_the_screen() {
    let mut screen = Screen::new();
    let paste = |screen: &mut Screen, text: &str| {
        update(&mut screen.state, Input::Pasted(text.into()));
    };
    screen.presses(KeyCode::F(1));
    paste(&mut screen, "one");
    assert!(screen.state.overlay.is_none());
    assert_eq!(screen.state.room().editor.text(), "one");
    screen.presses_with(KeyCode::Char('c'), KeyModifiers::CONTROL);
    paste(&mut screen, " and two");
    assert!(screen.state.overlay.is_none());
    assert_eq!(screen.state.room().editor.text(), "one and two");
    // Pasted text is added to the lines of the paste question that is open.
    paste(&mut screen, "a\nb");
    paste(&mut screen, "c");
    paste(&mut screen, &"d\n".repeat(500));
    assert!(screen.texts().last().unwrap().starts_with("! not pasted"));
    screen.presses(KeyCode::Char('y'));
    assert_eq!(screen.effects.len(), 3);
}

#[test]
fn a_paste_that_does_not_fit_yet_is_kept_whole() {
    let mut screen = Screen::new();
    for number in 1..=700 {
        screen.enters(&format!("{number}"));
    }
    update(&mut screen.state, Input::Pasted("x\n".repeat(500)));
    screen.presses(KeyCode::Char('y'));
    assert_eq!(screen.effects, []);
    assert!(matches!(&screen.state.overlay, Some(Overlay::Paste { lines }) if lines.len() == 500));
    // Once fewer messages are pending, all lines can be sent.
    screen.happens(anew("0", 700));
    for id in 1..=200 {
        screen.takes(id, id);
    }
    screen.hears(200, "me", "200");
    screen.presses(KeyCode::Char('y'));
    assert_eq!(screen.effects.len(), 500);
    assert!(screen.state.overlay.is_none());
}

#[test]
fn the_command_to_quit_asks_as_the_key_does_and_keeps_its_reason() {
    let mut screen = Screen::new();
    let (why, retry_in) = ("connection refused".into(), Duration::from_secs(1));
    screen.happens(Event::Offline { why, retry_in });
    screen.enters("not sent");
    assert_eq!(screen.enters("/quit good night"), []);
    assert!(!screen.state.is_over);
    screen.presses(KeyCode::Char('n'));
    assert_eq!(screen.enters("/quit good night"), []);
    screen.presses(KeyCode::Char('y'));
    assert!(screen.state.is_over);
    let reason = "good night".to_owned();
    assert_eq!(screen.effects, [Effect::Quit { reason }]);
}

#[test]
fn what_came_back_is_replaced_by_what_is_typed_next_and_edited_by_keys() {
    let mut screen = Screen::new();
    let text = |screen: &Screen| screen.state.room().editor.text().to_owned();
    screen.enters("/nosuch 안녕");
    assert_eq!(text(&screen), "/nosuch 안녕");
    screen.types("그냥");
    assert_eq!(text(&screen), "그냥", "not \"/nosuch 안녕그냥\"");
    // The line that was replaced is in the history.
    screen.presses(KeyCode::Up);
    assert_eq!(text(&screen), "/nosuch 안녕");
    screen.presses(KeyCode::Enter);
    screen.presses(KeyCode::Backspace);
    screen.types("!");
    assert_eq!(text(&screen), "/nosuch 안!");
    screen.presses(KeyCode::Enter);
    update(&mut screen.state, Input::Pasted("pasted".into()));
    assert_eq!(text(&screen), "pasted");
}

#[test]
fn a_pasted_tab_is_sent() {
    let mut screen = Screen::new();
    update(&mut screen.state, Input::Pasted("10\t20 한글\t끝".into()));
    let Some(Effect::Say { text, .. }) = screen.enters("").pop() else {
        panic!("it is said");
    };
    assert_eq!(text, "10\t20 한글\t끝");
}

#[test]
fn pasted_control_characters_are_left_out() {
    let mut screen = Screen::new();
    let pasted = "a\u{1b}[2J\u{202e}b\nc\u{9b}d";
    update(&mut screen.state, Input::Pasted(pasted.into()));
    screen.presses(KeyCode::Char('y'));
    let pending = screen.state.room().pending.iter();
    let texts: Vec<&str> = pending.map(|pending| &*pending.text).collect();
    assert_eq!(texts, ["a[2Jb", "cd"]);
}

/// Returns a paste of thirty lines.
fn thirty() -> Input {
    let lines: Vec<String> = (0..30).map(|number| format!("line {number}")).collect();
    Input::Pasted(lines.join("\n"))
}

#[test]
fn pasted_lines_are_not_said_in_another_room_than_theirs() {
    // In the first case the server refuses the room. In the second case the user has left the room.
    let refused = Answer::Joined {
        room: "staff".into(),
        from: "lobby".into(),
        result: Err("not for you".into()),
    };
    let left = Answer::Left {
        room: "staff".into(),
        result: Ok(()),
    };
    for closed in [refused, left] {
        let mut screen = Screen::new();
        screen.enters("/join staff");
        update(&mut screen.state, thirty());
        screen.answers(closed);
        assert_eq!(screen.state.room().name, "lobby");
        screen.presses(KeyCode::Char('y'));
        assert_eq!(screen.effects, []);
        let kept = "! 30 lines pasted in staff are not sent: Up recalls them";
        assert!(screen.texts().iter().any(|text| text == kept));
        assert_eq!(screen.state.unsent(), 0);
        screen.presses(KeyCode::Up);
        assert_eq!(screen.state.room().editor.text(), "line 29");
    }
}

#[test]
fn pasted_lines_follow_their_room_when_it_gets_another_name() {
    let mut screen = Screen::new();
    screen.enters("/query kim");
    update(&mut screen.state, thirty());
    let (room, nick, to) = ("lobby".to_owned(), "kim".to_owned(), "lee".to_owned());
    screen.happens(Event::Renamed { room, nick, to });
    screen.presses(KeyCode::Char('y'));
    assert_eq!(screen.effects.len(), 30);
    let is_for_lee = |effect: &Effect| matches!(effect, Effect::Tell { to, .. } if to == "lee");
    assert!(screen.effects.iter().all(is_for_lee));
}
