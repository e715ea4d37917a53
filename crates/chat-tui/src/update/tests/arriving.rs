//! Connecting: the lobby, the message of the day, and a refused nick.

use super::*;
use crate::room::Room;

/// Returns a client that is not connected yet and has no room to join.
fn newcomer() -> Screen {
    let mut state = State::new("server:5000".into(), Colours::Off, TimeZone::UTC);
    state.rooms = vec![Room::new(String::new())];
    Screen {
        state,
        effects: Vec::new(),
    }
}

fn greeting(lobby: &str, motd: &[&str]) -> Event {
    Event::Greeting {
        lobby: Some(lobby.into()),
        motd: motd.iter().map(ToString::to_string).collect(),
    }
}

fn refused(nick: &str, code: &str, message: &str) -> Event {
    Event::NickRefused {
        nick: nick.into(),
        code: code.into(),
        message: message.into(),
    }
}

fn join(room: &str) -> Effect {
    Effect::Join {
        room: room.into(),
        from: room.into(),
    }
}

#[test]
fn a_newcomer_comes_into_the_servers_lobby_and_reads_the_operators_words() {
    let mut screen = newcomer();
    let online = || Event::Online {
        nick: "guest-1".into(),
    };
    assert_eq!(screen.enters("안녕"), [], "it is not known where yet");
    screen.happens(online());
    screen.happens(greeting("교실", &["환영합니다", "be kind"]));
    let (room, text, is_action) = ("교실".to_owned(), "안녕".to_owned(), false);
    let said = Effect::Say {
        room,
        id: 1,
        text,
        is_action,
    };
    assert_eq!(std::mem::take(&mut screen.effects), [join("교실"), said]);
    assert_eq!(screen.state.room().name, "교실");
    screen.happens(entered("교실", &["guest-1"]));
    assert_eq!(screen.texts()[..2], ["* 환영합니다", "* be kind"]);
    // After a reconnect, the greeting causes no new join, and the same message of the day is not shown again.
    screen.happens(online());
    screen.happens(greeting("교실", &["환영합니다", "be kind"]));
    assert_eq!(screen.effects, []);
    assert_eq!(screen.state.rooms.len(), 1);
    screen.happens(greeting("교실", &["closed at noon"]));
    assert_eq!(screen.texts().last().unwrap(), "* closed at noon");
}

#[test]
fn who_asked_for_a_room_is_not_put_into_the_lobby() {
    let mut screen = newcomer();
    assert_eq!(screen.enters("/join ops").len(), 1);
    screen.happens(greeting("교실", &[]));
    assert_eq!(screen.effects, []);
    let names: Vec<&str> = screen.state.rooms.iter().map(|room| &*room.name).collect();
    assert_eq!(names, ["ops"]);
    assert_eq!(screen.state.room().name, "ops");
}

#[test]
fn names_are_checked_where_they_are_typed() {
    for (line, why) in [
        ("/nick two words", "! invalid nick: "),
        ("/nick a:b", "! invalid nick: "),
        ("/join a:b", "! invalid room name: "),
        ("/msg a:b psst", "! invalid nick: "),
    ] {
        let mut screen = newcomer();
        assert_eq!(screen.enters(line), [], "{line}");
        assert!(screen.texts()[0].starts_with(why), "{:?}", screen.texts());
        assert_eq!(screen.state.room().editor.text(), line, "to be corrected");
        assert_eq!(screen.state.rooms.len(), 1);
    }
}

#[test]
fn a_taken_nick_is_offered_when_it_is_free() {
    let mut screen = Screen::new();
    screen.state.wanted_nick = Some("김철수".into());
    let why = "김철수 is taken: choose another nick";
    screen.happens(refused("김철수", "nick_taken", why));
    screen.happens(Event::Online {
        nick: "guest-1".into(),
    });
    let expected = "! 김철수 is taken: you enter as a guest; /nick 김철수 takes it once it is free";
    assert_eq!(screen.texts(), [expected]);
    assert_eq!(screen.state.chosen_nick, None, "nothing to remember");
    let (room, nick) = ("lobby".to_owned(), "김철수".to_owned());
    let left = |reason: Option<&str>| Event::Left {
        room: room.clone(),
        nick: nick.clone(),
        reason: reason.map(str::to_owned),
    };
    screen.happens(left(None));
    assert_eq!(screen.texts().len(), 2, "it went to another room");
    screen.happens(left(Some("gone")));
    screen.happens(left(Some("gone")));
    let offers = screen.texts();
    let offers = offers
        .iter()
        .filter(|text| text.contains("takes it"))
        .skip(1);
    let offers: Vec<_> = offers.collect();
    assert_eq!(offers, ["! 김철수 is free: /nick 김철수 takes it"]);
    let room = "lobby".to_owned();
    let result = Ok("김철수".to_owned());
    screen.answers(Answer::Renamed { room, result });
    assert_eq!(screen.state.chosen_nick.as_deref(), Some("김철수"));
}

#[test]
fn a_client_whose_connection_is_closed_connects_again_with_another_nick() {
    let mut screen = Screen::new();
    let why = "the server closed the connection: denied".into();
    screen.happens(Event::Closed { why });
    let expected = "! the connection is closed: the server closed the connection: denied (/nick NAME connects again)";
    assert_eq!(screen.texts(), [expected]);
    let nick = "이영희".to_owned();
    assert_eq!(screen.enters("/nick 이영희"), [Effect::Reconnect { nick }]);
    assert_eq!(screen.state.link, Link::Connecting);
    assert_eq!(screen.state.wanted_nick.as_deref(), Some("이영희"));
}

#[test]
fn a_nick_that_was_taken_without_a_connection_is_remembered_once_it_is_granted() {
    let mut screen = Screen::new();
    let (why, retry_in) = ("connection refused".into(), Duration::from_secs(1));
    screen.happens(Event::Offline { why, retry_in });
    let (room, nick) = ("lobby".to_owned(), "kim".to_owned());
    let asked = Effect::Nick {
        room: room.clone(),
        nick: nick.clone(),
    };
    assert_eq!(screen.enters("/nick kim"), [asked]);
    let result = Ok(nick.clone());
    screen.answers(Answer::Renamed { room, result });
    let text = "* kim is requested once there is a connection";
    assert_eq!(screen.texts().last().unwrap(), text);
    assert_eq!(
        (&*screen.state.nick, &screen.state.chosen_nick),
        ("me", &None)
    );
    screen.happens(Event::Online { nick: nick.clone() });
    assert_eq!(screen.state.chosen_nick, Some(nick));
}

#[test]
fn the_latency_is_not_an_old_one() {
    let mut screen = Screen::new();
    let took = Duration::from_millis(3);
    screen.answers(Answer::Ponged(Some(took)));
    assert_eq!(screen.state.latency, Some(took));
    screen.answers(Answer::Ponged(None));
    assert_eq!(screen.state.latency, None, "the server does not answer");
    screen.answers(Answer::Ponged(Some(took)));
    let (why, retry_in) = ("gone".into(), Duration::from_secs(1));
    screen.happens(Event::Offline { why, retry_in });
    assert_eq!(screen.state.latency, None);
    screen.answers(Answer::Ponged(Some(took)));
    assert_eq!(screen.state.latency, None, "it was asked before the break");
}

#[test]
fn lines_that_were_pasted_for_the_lobby_are_said_there_and_nowhere_else() {
    let mut screen = newcomer();
    screen.enters("/join ops");
    screen.presses_with(KeyCode::Char('1'), KeyModifiers::ALT);
    assert!(screen.state.room().is_nameless());
    update(&mut screen.state, Input::Pasted("a\nb\nc".into()));
    screen.happens(greeting("교실", &[]));
    assert_eq!(screen.state.room().name, "교실");
    screen.presses(KeyCode::Char('y'));
    assert_eq!(screen.effects.len(), 4, "it is joined for them");
    let is_elsewhere =
        |effect: &Effect| matches!(effect, Effect::Say { room, .. } if room != "교실");
    assert!(!screen.effects.iter().any(is_elsewhere));
}

#[test]
fn what_was_typed_before_the_server_was_reached_is_said_once() {
    let say = |id, text: &str| Effect::Say {
        room: "교실".into(),
        id,
        text: text.into(),
        is_action: false,
    };
    let mut screen = newcomer();
    assert_eq!(screen.enters("first"), [], "it is not known where yet");
    assert_eq!(screen.enters("/join 교실").len(), 1);
    assert_eq!(screen.enters("second"), [say(2, "second")]);
    screen.types("draft");
    screen.presses_with(KeyCode::Char('1'), KeyModifiers::ALT);
    screen.types("half");
    screen.happens(greeting("교실", &[]));
    // The client joins the lobby and then sends the line that was typed in the nameless room.
    assert_eq!(std::mem::take(&mut screen.effects), [say(1, "first")]);
    assert_eq!(screen.state.rooms.len(), 1);
    let pending = screen.state.room().pending.iter();
    assert_eq!(
        pending.map(|pending| pending.id).collect::<Vec<_>>(),
        [2, 1]
    );
    // The text that the user is still typing (`half`) stays in the input line. The draft of the nameless room moves to
    // the history.
    let text = |screen: &Screen| screen.state.room().editor.text().to_owned();
    assert_eq!(text(&screen), "half");
    for line in ["draft", "/join 교실", "first", "second"] {
        screen.presses(KeyCode::Up);
        assert_eq!(text(&screen), line);
    }
}

#[test]
fn what_was_typed_for_the_lobby_comes_to_the_room_that_is_it() {
    let mut screen = newcomer();
    screen.types("half");
    for room in ["교실", "ops"] {
        screen.happens(entered(room, &["me"]));
    }
    update(&mut screen.state, Input::Pasted(" a line".into()));
    update(&mut screen.state, Input::Pasted("a\nb".into()));
    screen.happens(greeting("교실", &[]));
    assert_eq!(screen.state.room().name, "교실");
    assert_eq!(screen.state.room().editor.text(), "half a line");
    assert_eq!(screen.effects, [], "the client is in it");
    screen.presses(KeyCode::Char('y'));
    let is_there = |effect: &Effect| matches!(effect, Effect::Say { room, .. } if room == "교실");
    assert!(screen.effects.len() == 2 && screen.effects.iter().all(is_there));
}
