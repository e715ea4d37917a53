//! The loaded part of a room's log, and messages that are still pending.

use super::*;

#[test]
fn what_the_server_has_does_not_stay_pending() {
    let pending = |screen: &Screen| screen.state.room().pending.len();
    let mut screen = Screen::new();
    screen.happens(anew("0", 4));
    // The message arrives under an earlier nick, so it is recognised by its position.
    screen.enters("hello");
    screen.takes(1, 5);
    screen.hears(5, "me-before", "hello");
    assert_eq!(pending(&screen), 0);
    // The message itself never arrives, but a later message does.
    screen.enters("skipped");
    screen.takes(2, 6);
    screen.hears(7, "kim", "later");
    assert_eq!(pending(&screen), 0);
    // A message confirms only one pending message, even if another pending message has the same text.
    screen.enters("twice");
    screen.enters("twice");
    screen.takes(3, 8);
    screen.hears(8, "me", "twice");
    assert_eq!(pending(&screen), 1);
    screen.takes(4, 9);
    // The gap contains the message that was accepted. Later the log is replaced, and a message that the old log
    // accepted is gone. Each time, only a message that has not been accepted yet stays pending.
    screen.enters("not taken yet");
    screen.happens(Event::Gap {
        room: "lobby".into(),
        from: Some(9),
        to: Some(10),
        why: GapCause::Expired,
    });
    assert_eq!(pending(&screen), 1);
    screen.takes(5, 10);
    assert_eq!(pending(&screen), 0, "its place is in the gap");
    screen.enters("lost");
    screen.enters("said in the new log");
    screen.takes(6, 11);
    screen.happens(anew("1", 0));
    assert_eq!(pending(&screen), 1);
    screen.takes(7, 1);
    assert_eq!(pending(&screen), 1, "it is still to come");
    let mut message = Message::said("lobby", 1, "me", "said in the new log");
    message.epoch = "1".into();
    screen.happens(Event::Message(message));
    assert_eq!(pending(&screen), 0);
}

#[test]
fn older_messages_are_asked_for_at_the_top_and_stay_in_order() {
    let mut screen = Screen::new();
    (50..60).for_each(|seq| screen.hears(seq, "kim", &seq.to_string()));
    screen.presses(KeyCode::PageUp);
    assert_eq!(std::mem::take(&mut screen.effects), [asked_older("0", 50)]);
    screen.presses(KeyCode::PageUp);
    assert!(screen.effects.is_empty(), "it was asked for");
    screen.answers(older("0", 40..50));
    let seqs: Vec<String> = (40..60).map(|seq| format!("kim: {seq}")).collect();
    assert_eq!(screen.texts(), seqs);
    screen.presses(KeyCode::PageUp);
    screen.answers(older("0", 0..0));
    std::mem::take(&mut screen.effects);
    screen.presses(KeyCode::PageUp);
    assert!(screen.effects.is_empty(), "there is nothing older");
    assert!(screen.texts()[0].contains("no older messages"));
}

/// Returns messages of the lobby that were requested while the lobby's log had this epoch.
fn older(epoch: &str, seqs: std::ops::Range<u64>) -> Answer {
    let messages = seqs.map(|seq| Message::said("lobby", seq, "kim", &seq.to_string()));
    Answer::Older {
        room: "lobby".into(),
        epoch: epoch.into(),
        result: Ok(messages.collect()),
    }
}

/// Returns the event that the client joins the lobby, whose log has this epoch and ends at position `seq`.
pub(super) fn anew(epoch: &str, seq: u64) -> Event {
    let mut room = chat_json::Room::with("lobby", &["me"]);
    (room.epoch, room.seq) = (epoch.into(), seq);
    Event::Entered(room)
}

fn asked_older(epoch: &str, before: u64) -> Effect {
    Effect::Older {
        room: "lobby".into(),
        epoch: epoch.into(),
        before,
    }
}

#[test]
fn a_log_that_began_anew_has_nothing_older_than_what_was_said_before() {
    let mut screen = Screen::new();
    screen.happens(entered("lobby", &["me"]));
    (50..60).for_each(|seq| screen.hears(seq, "kim", &seq.to_string()));
    screen.presses(KeyCode::PageUp);
    assert_eq!(std::mem::take(&mut screen.effects), [asked_older("0", 50)]);
    screen.happens(anew("1", 2));
    for seq in 1..=2 {
        let mut message = Message::said("lobby", seq, "kim", "anew");
        message.epoch = "1".into();
        screen.happens(Event::Message(message));
    }
    // Messages that were requested from the replaced log are ignored.
    let before = screen.texts();
    screen.answers(older("0", 1..3));
    assert_eq!(screen.texts(), before);
    screen.presses(KeyCode::PageUp);
    screen.presses(KeyCode::PageUp);
    assert_eq!(screen.effects, []);
    assert!(screen.texts()[0].contains("no older messages"));
    // A search continues in the new log.
    let words = "nowhere".to_owned();
    let (room, before) = ("lobby".to_owned(), Some(1));
    assert_eq!(
        screen.enters("/search nowhere"),
        [Effect::Search {
            room,
            words,
            before
        }]
    );
}

#[test]
fn what_was_asked_for_before_a_log_was_known_is_asked_for_again() {
    let mut screen = Screen::new();
    screen.presses(KeyCode::PageUp);
    assert_eq!(
        std::mem::take(&mut screen.effects),
        [asked_older("", u64::MAX)]
    );
    screen.happens(entered("lobby", &["me"]));
    screen.answers(older("", 1..3));
    screen.presses(KeyCode::PageUp);
    assert_eq!(
        std::mem::take(&mut screen.effects),
        [asked_older("0", u64::MAX)]
    );
    // If no messages of the replaced log are loaded, older messages of the new log can be loaded.
    screen.happens(anew("1", 9));
    screen.presses(KeyCode::PageUp);
    screen.answers(older("1", 5..8));
    screen.effects.clear();
    screen.presses(KeyCode::PageUp);
    assert_eq!(screen.effects, [asked_older("1", 5)]);
}

#[test]
fn what_is_there_already_does_not_come_as_older() {
    let mut screen = Screen::new();
    (50..60).for_each(|seq| screen.hears(seq, "kim", &seq.to_string()));
    screen.presses(KeyCode::PageUp);
    screen.answers(older("0", 45..55));
    let seqs: Vec<String> = (45..60).map(|seq| format!("kim: {seq}")).collect();
    assert_eq!(screen.texts(), seqs);
    // A server that sends the same messages again has no older messages.
    screen.presses(KeyCode::PageUp);
    screen.answers(older("0", 45..55));
    assert!(screen.texts()[0].contains("no older messages"));
    assert_eq!(screen.texts().len(), 16);
}

#[test]
fn what_is_full_says_that_no_more_is_loaded() {
    let mut screen = Screen::new();
    let max = crate::scrollback::ENTRIES_MAX as u64;
    (1_000..1_000 + max + 1).for_each(|seq| screen.hears(seq, "kim", "hi"));
    let to_top = |screen: &mut Screen| {
        assert_eq!(keys::scroll_up(&mut screen.state, 10_000), []);
        let texts = screen.texts();
        let is_top = texts[0].contains("/around NUMBER");
        let count = texts.iter().filter(|text| text.contains("/around")).count();
        assert!(is_top && count == 1, "{} {count}", texts[0]);
    };
    to_top(&mut screen);
    to_top(&mut screen);
    // After the notice was dropped from the scrollback, it can be shown again.
    screen.presses(KeyCode::Esc);
    screen.hears(2_000 + max, "kim", "hi");
    to_top(&mut screen);
}

#[test]
fn what_does_not_fit_is_not_asked_for_again() {
    let mut screen = Screen::new();
    let max = crate::scrollback::ENTRIES_MAX as u64;
    (1_000..1_000 + max - 5).for_each(|seq| screen.hears(seq, "kim", "hi"));
    let asked = keys::scroll_up(&mut screen.state, 10_000);
    assert_eq!(asked, [asked_older("0", 1_000)]);
    screen.answers(older("0", 900..1_000));
    assert!(screen.texts()[0].contains("/around NUMBER"));
    screen.presses(KeyCode::PageUp);
    assert_eq!(screen.effects, []);
}

#[test]
fn that_nothing_is_older_holds_after_a_break() {
    let mut screen = Screen::new();
    (50..60).for_each(|seq| screen.hears(seq, "kim", "hi"));
    screen.presses(KeyCode::PageUp);
    screen.answers(older("0", 0..0));
    screen.happens(anew("0", 60));
    screen.effects.clear();
    screen.presses(KeyCode::PageUp);
    assert_eq!(screen.effects, []);
}

#[test]
fn what_is_replayed_to_who_comes_back_is_there_once() {
    let mut screen = Screen::new();
    (50..60).for_each(|seq| screen.hears(seq, "kim", &seq.to_string()));
    for seq in 57..63 {
        let mut message = Message::said("lobby", seq, "kim", &seq.to_string());
        message.is_replay = true;
        screen.happens(Event::Message(message));
    }
    let loaded = screen.state.room().scrollback.entries();
    let seqs: Vec<u64> = loaded.filter_map(|(_, entry)| entry.seq).collect();
    assert_eq!(seqs, (50..63).collect::<Vec<_>>());
}
