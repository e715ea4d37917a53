//! What is typed or pasted is sent as it is meant, or kept.

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
    screen.presses(KeyCode::Char('x'));
    assert!(matches!(screen.state.overlay, Some(Overlay::Paste { .. })));
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
        // So that the same is meant when it is entered again.
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
