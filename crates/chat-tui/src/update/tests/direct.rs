//! Direct messages: a window for each correspondent.

use super::*;

fn told(from: &str, text: &str) -> Event {
    Event::Direct {
        at: 0,
        from: from.into(),
        text: text.into(),
    }
}

fn names(screen: &Screen) -> Vec<&str> {
    let rooms = screen.state.rooms.iter();
    rooms.map(|room| &*room.name).collect()
}

fn tell(room: &str, id: Option<u64>, to: &str, text: &str) -> Effect {
    Effect::Tell {
        room: room.into(),
        id,
        to: to.into(),
        text: text.into(),
    }
}

fn told_to(screen: &mut Screen, effects: Vec<Effect>, result: &Result<(), String>) {
    for effect in effects {
        let Effect::Tell { room, id, to, text } = effect else {
            panic!("{effect:?}");
        };
        let result = result.clone();
        screen.answers(Answer::Direct {
            room,
            id,
            to,
            text,
            result,
        });
    }
}

#[test]
fn a_direct_message_goes_into_its_correspondents_window_and_is_counted() {
    let mut screen = Screen::new();
    screen.happens(told("이영희", "비밀"));
    screen.happens(told("이영희", "또"));
    screen.happens(told("kim", "psst"));
    assert_eq!(names(&screen), ["lobby", "@이영희", "@kim"]);
    assert!(
        screen.texts().is_empty(),
        "the room on the screen is not it"
    );
    let window = &screen.state.rooms[1];
    assert_eq!((window.unread, window.mentions), (2, 2));
    assert_eq!(screen.effects, [Effect::Bell, Effect::Bell, Effect::Bell]);
    screen.presses_with(KeyCode::Char('n'), KeyModifiers::CONTROL);
    assert_eq!(screen.texts(), ["이영희: 비밀", "이영희: 또"]);
    let window = screen.state.room();
    assert_eq!((window.unread, window.mentions), (0, 0));
    // The user has switched to the window.
    screen.happens(told("이영희", "보여요?"));
    assert_eq!(screen.state.room().unread, 0);
}

#[test]
fn what_is_typed_in_a_window_is_told_to_its_correspondent() {
    let mut screen = Screen::new();
    screen.effects.clear();
    let effects = screen.enters("/query 이영희 안녕");
    let first = tell("@이영희", Some(1), "이영희", "안녕");
    assert_eq!(effects, [first]);
    assert_eq!(screen.state.room().name, "@이영희");
    assert_eq!(screen.state.unsent(), 1);
    told_to(&mut screen, effects, &Ok(()));
    assert_eq!(screen.state.unsent(), 0);
    let effects = screen.enters("뭐 해?");
    assert_eq!(effects, [tell("@이영희", Some(2), "이영희", "뭐 해?")]);
    told_to(
        &mut screen,
        effects,
        &Err("nobody here is called 이영희".into()),
    );
    let refused = "! not sent to 이영희: nobody here is called 이영희";
    assert_eq!(screen.texts(), ["me: 안녕", refused]);
    assert_eq!(screen.state.room().editor.text(), "뭐 해?");
    assert_eq!(screen.state.unsent(), 0);
    // Commands that need a room are refused. `/leave` closes the window as it does for a room.
    for line in ["/topic x", "/who", "/me waves", "/around 5"] {
        assert_eq!(screen.enters(line), []);
        assert!(
            screen
                .texts()
                .last()
                .unwrap()
                .starts_with("! this is a window for direct messages")
        );
    }
    assert_eq!(screen.enters("/close"), []);
    assert_eq!(names(&screen), ["lobby"]);
}

#[test]
fn a_message_that_was_told_from_a_room_is_seen_there_and_in_the_window() {
    let mut screen = Screen::new();
    let effects = screen.enters("/msg kim psst");
    assert_eq!(
        names(&screen),
        ["lobby"],
        "nobody knows whether kim is there"
    );
    told_to(&mut screen, effects, &Ok(()));
    assert_eq!(screen.texts(), ["you -> kim: psst"]);
    assert_eq!(names(&screen), ["lobby", "@kim"]);
    screen.presses_with(KeyCode::Char('n'), KeyModifiers::CONTROL);
    assert_eq!(screen.texts(), ["me: psst"]);
}

#[test]
fn the_last_correspondent_is_answered_whatever_it_is_called_by_now() {
    let mut screen = Screen::new();
    assert_eq!(screen.enters("/r hello"), []);
    assert!(screen.texts()[0].starts_with("! no direct message has arrived"));
    screen.happens(told("kim", "psst"));
    screen.effects.clear();
    for room in ["lobby", "ops"] {
        let (room, nick, to) = (room.to_owned(), "kim".to_owned(), "킴".to_owned());
        screen.happens(Event::Renamed { room, nick, to });
    }
    assert_eq!(
        screen.enters("/r 안녕"),
        [tell("@킴", Some(1), "킴", "안녕")]
    );
    assert_eq!(screen.texts(), ["kim: psst", "* kim is now 킴"]);
    for room in ["lobby", "ops"] {
        let (room, nick, reason) = (room.to_owned(), "킴".to_owned(), Some("gone".to_owned()));
        screen.happens(Event::Left { room, nick, reason });
    }
    assert_eq!(screen.texts()[2..], ["* 킴 left (gone)"]);
}

#[test]
fn a_window_reads_nothing_from_a_log_and_no_room_can_pass_for_it() {
    let mut screen = Screen::new();
    screen.enters("/query kim");
    screen.presses(KeyCode::PageUp);
    assert_eq!(screen.effects, []);
    assert_eq!(
        screen.texts(),
        ["* direct messages are stored in this window only"]
    );
    screen.happens(entered("@kim", &["evil"]));
    assert_eq!(screen.state.room().members, ["kim"]);
    assert_eq!(screen.enters("/search x"), []);
}

#[test]
fn a_message_on_its_way_is_not_pending_for_ever_if_its_correspondent_changes_nick() {
    let refused = Err("no such nick".to_owned());
    for result in [Ok(()), refused] {
        let mut screen = Screen::new();
        let effects = screen.enters("/query kim hello");
        let (room, nick, to) = ("lobby".to_owned(), "kim".to_owned(), "lee".to_owned());
        screen.happens(Event::Renamed { room, nick, to });
        told_to(&mut screen, effects, &result);
        assert_eq!(screen.state.unsent(), 0);
        assert!(screen.state.room().pending.is_empty());
        assert_eq!(
            names(&screen),
            ["lobby", "@lee"],
            "no window of the old nick"
        );
        let (text, typed) = match result {
            Ok(()) => ("me: hello", ""),
            Err(_) => ("! not sent to kim: no such nick", "hello"),
        };
        assert_eq!(screen.texts(), ["* kim is now lee", text]);
        assert_eq!(screen.state.room().editor.text(), typed);
    }
}

#[test]
fn strangers_do_not_fill_the_list_of_rooms() {
    let mut screen = Screen::new();
    // Windows that the user opened or wrote in are not closed. The window on the screen and a window with typed text
    // are not closed either.
    screen.enters("/query chosen");
    screen.enters("/join lobby");
    for nick in ["answered", "typed", "shown"] {
        screen.happens(told(nick, "psst"));
    }
    screen.enters("/query answered hello");
    screen.enters("/join lobby");
    let typed = screen.state.position("@typed").unwrap();
    screen.state.show(typed);
    screen.types("half");
    let shown = screen.state.position("@shown").unwrap();
    screen.state.show(shown);
    (0..1_000).for_each(|number| screen.happens(told(&format!("stranger{number}"), "buy")));
    assert_eq!(screen.state.room().name, "@shown");
    let names = names(&screen);
    let (kept, strangers) = names.split_at_checked(5).unwrap();
    assert_eq!(kept, ["lobby", "@chosen", "@answered", "@typed", "@shown"]);
    assert_eq!(strangers.len(), 31, "with the one on the screen: 32");
    assert_eq!(
        (strangers[0], strangers[30]),
        ("@stranger969", "@stranger999")
    );
    let said = |text: &&String| text.contains("are closed for newer ones");
    assert_eq!(
        screen.texts().iter().filter(said).count(),
        1,
        "once, not for each"
    );
    // The limit on windows does not affect rooms.
    screen.happens(entered("ops", &["me"]));
    assert!(screen.state.position("ops").is_some());
}
