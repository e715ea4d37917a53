//! History (IRCv3 draft/chathistory; replay on join).

use crate::{ask, client, client_with, hub, joins, lines_of};
use chat_core::log::Timestamp;
use chat_core::{Hub, Limits};
use chat_testkit::{TestHub, Wire};
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const CAPABILITIES: &str = "batch server-time message-tags draft/chathistory";

/// Sends a request. Returns the texts of the messages in its batch, and their ids.
async fn history(wire: &mut Wire, request: &str) -> (Vec<String>, Vec<String>) {
    let lines = ask(wire, request).await;
    assert!(
        lines[0].contains(" BATCH +") && lines[0].contains(" chathistory #"),
        "{lines:?}"
    );
    assert!(lines.last().unwrap().contains(" BATCH -"), "{lines:?}");
    let messages = &lines[1..lines.len() - 1];
    assert!(messages.iter().all(|line| line.starts_with("@batch=")));
    let text = |line: &String| line.rsplit_once(" :").unwrap().1.to_owned();
    let id = |line: &String| {
        line.split("msgid=")
            .nth(1)
            .unwrap()
            .split([' ', ';'])
            .next()
            .unwrap()
            .to_owned()
    };
    (
        messages.iter().map(text).collect(),
        messages.iter().map(id).collect(),
    )
}

/// Returns a hub whose clock advances by a second with each message, and a room with the messages m1 to m20.
async fn filled() -> (TestHub, Wire) {
    static CLOCK: AtomicU64 = AtomicU64::new(60_000);
    let mut limits = Limits::default();
    limits.rate = None;
    let builder = Hub::builder().limits(limits);
    let builder = builder.clock(|| Timestamp(CLOCK.fetch_add(1000, Ordering::Relaxed)));
    let mut hub = crate::over(TestHub::over(builder.build()));
    let session = hub.hub.session(Some("kim")).await.unwrap();
    let kim = session.join("a").await.unwrap();
    for number in 1..=20 {
        kim.say(&format!("m{number}")).await.unwrap();
    }
    kim.set_topic("not in the history").await.unwrap();
    let mut bob = client_with(&mut hub, "bob", CAPABILITIES).await;
    joins(&mut bob, "a").await;
    drop((kim, session));
    lines_of(&mut bob).await;
    (hub, bob)
}

fn range(from: usize, to: usize) -> Vec<String> {
    (from..=to).map(|number| format!("m{number}")).collect()
}

#[tokio::test(start_paused = true)]
async fn history_is_read_by_message_ids() {
    let (_hub, mut bob) = filled().await;
    let (texts, ids) = history(&mut bob, "CHATHISTORY LATEST #a * 100").await;
    assert_eq!(texts, range(1, 20));
    let of = |number: usize| &ids[number - 1];
    for (request, expected) in [
        (format!("BEFORE #a msgid={} 3", of(10)), range(7, 9)),
        (format!("AFTER #a msgid={} 3", of(10)), range(11, 13)),
        (format!("AROUND #a msgid={} 5", of(10)), range(8, 12)),
        (format!("AROUND #a msgid={} 1", of(10)), range(10, 10)),
        (
            format!("BETWEEN #a msgid={} msgid={} 100", of(5), of(9)),
            range(6, 8),
        ),
        (
            format!("BETWEEN #a msgid={} msgid={} 2", of(5), of(15)),
            range(6, 7),
        ),
        (
            format!("BETWEEN #a msgid={} msgid={} 2", of(15), of(5)),
            range(13, 14),
        ),
        (format!("LATEST #a msgid={} 100", of(17)), range(18, 20)),
        (format!("BEFORE #a msgid={} 3", of(1)), vec![]),
    ] {
        let found = history(&mut bob, &format!("CHATHISTORY {request}")).await;
        assert_eq!(found.0, expected, "{request}");
    }
}

#[tokio::test(start_paused = true)]
async fn history_is_read_by_times() {
    let (_hub, mut bob) = filled().await;
    let lines = ask(&mut bob, "CHATHISTORY LATEST #a * 100").await;
    let time = |number: usize| {
        let line = &lines[number];
        line.split("time=")
            .nth(1)
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned()
    };
    for (request, expected) in [
        (format!("BEFORE #a timestamp={} 3", time(10)), range(7, 9)),
        (format!("AFTER #a timestamp={} 3", time(10)), range(11, 13)),
        (format!("AROUND #a timestamp={} 5", time(10)), range(8, 12)),
        (
            format!("BETWEEN #a timestamp={} timestamp={} 9", time(5), time(9)),
            range(6, 8),
        ),
        (
            format!("BETWEEN #a timestamp={} timestamp={} 2", time(15), time(5)),
            range(13, 14),
        ),
        (
            format!("LATEST #a timestamp={} 100", time(17)),
            range(18, 20),
        ),
        (
            "AFTER #a timestamp=1970-01-01T00:00:00.000Z 2".into(),
            range(1, 2),
        ),
        (
            "BEFORE #a timestamp=2999-01-01T00:00:00.000Z 2".into(),
            range(19, 20),
        ),
        (
            "AFTER #a timestamp=2999-01-01T00:00:00.000Z 2".into(),
            vec![],
        ),
    ] {
        let found = history(&mut bob, &format!("CHATHISTORY {request}")).await;
        assert_eq!(found.0, expected, "{request}");
    }
}

/// A log that is longer than one page is searched by halves.
#[tokio::test(start_paused = true)]
async fn a_time_is_found_in_a_long_log() {
    static CLOCK: AtomicU64 = AtomicU64::new(60_000);
    let mut limits = Limits::default();
    limits.rate = None;
    limits.history_max = 10;
    let builder = Hub::builder().limits(limits);
    let builder = builder.clock(|| Timestamp(CLOCK.fetch_add(1000, Ordering::Relaxed)));
    let mut hub = crate::over(TestHub::over(builder.build()));
    let session = hub.hub.session(Some("kim")).await.unwrap();
    let kim = session.join("a").await.unwrap();
    for number in 1..=200 {
        kim.say(&format!("m{number}")).await.unwrap();
    }
    let mut bob = client_with(&mut hub, "bob", CAPABILITIES).await;
    joins(&mut bob, "a").await;
    let lines = ask(
        &mut bob,
        "CHATHISTORY AFTER #a timestamp=1970-01-01T00:00:00.000Z 1",
    )
    .await;
    let first = lines[1]
        .split("time=")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    let base: u64 =
        first[14..16].parse::<u64>().unwrap() * 60 + first[17..19].parse::<u64>().unwrap();
    for number in [1, 2, 50, 51, 133, 199] {
        let seconds = base + number - 1;
        let at = format!("1970-01-01T00:{:02}:{:02}.000Z", seconds / 60, seconds % 60);
        let number = usize::try_from(number).unwrap();
        let found = history(&mut bob, &format!("CHATHISTORY AFTER #a timestamp={at} 1"))
            .await
            .0;
        assert_eq!(found, range(number + 1, number + 1));
        let found = history(&mut bob, &format!("CHATHISTORY BEFORE #a timestamp={at} 1"))
            .await
            .0;
        assert_eq!(
            found,
            if number == 1 {
                vec![]
            } else {
                range(number - 1, number - 1)
            }
        );
    }
}

/// "FAIL CHATHISTORY ..." with the codes of the specification.
#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_is_refused() {
    let (_hub, mut bob) = filled().await;
    for (request, code) in [
        ("", "NEED_MORE_PARAMS"),
        ("LATEST #a", "NEED_MORE_PARAMS LATEST"),
        ("NONSENSE #a * 1", "INVALID_PARAMS NONSENSE"),
        ("LATEST #a * x", "INVALID_PARAMS LATEST x"),
        ("BEFORE #a * 1", "INVALID_PARAMS BEFORE *"),
        ("LATEST #b * 1", "INVALID_TARGET LATEST #b"),
        ("LATEST kim * 1", "INVALID_TARGET LATEST kim"),
        ("AFTER #a msgid=1-2-3 1", "MESSAGE_ERROR AFTER #a"),
    ] {
        let line = &ask(&mut bob, &format!("CHATHISTORY {request}")).await[0];
        assert!(
            line.starts_with(&format!(":irc.test FAIL CHATHISTORY {code} :")),
            "{request}: {line}"
        );
    }
    // The id of a message of an earlier log: the position is known, but the time is another.
    let ids = history(&mut bob, "CHATHISTORY LATEST #a * 100").await.1;
    let mut parts = ids[3].split('-').map(str::to_owned).collect::<Vec<_>>();
    parts[1] = "1".into();
    let line = &ask(
        &mut bob,
        &format!("CHATHISTORY AFTER #a msgid={} 1", parts.join("-")),
    )
    .await[0];
    assert!(line.contains(" MESSAGE_ERROR AFTER #a :"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn targets_are_the_rooms_with_messages_between_the_times() {
    let (_hub, mut bob) = filled().await;
    joins(&mut bob, "empty").await;
    let all = "CHATHISTORY TARGETS timestamp=1970-01-01T00:00:00.000Z timestamp=2999-01-01T00:00:00.000Z 10";
    let lines = ask(&mut bob, all).await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].ends_with(" draft/chathistory-targets"));
    assert!(
        lines[1].contains(" :irc.test CHATHISTORY TARGETS #a 1970-01-01T00:"),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_labelled_history_has_its_label_on_its_batch() {
    let (mut hub, _bob) = filled().await;
    let capabilities = format!("{CAPABILITIES} labeled-response draft/event-playback");
    let mut carol = client_with(&mut hub, "carol", &capabilities).await;
    joins(&mut carol, "a").await;
    let lines = ask(&mut carol, "@label=h CHATHISTORY LATEST #a * 2").await;
    assert!(
        lines[0].starts_with("@label=h :irc.test BATCH +"),
        "{lines:?}"
    );
    assert!(lines[0].ends_with(" chathistory #a"));
    assert!(
        lines[2].contains(" TOPIC #a :not in the history"),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn history_is_replayed_on_join_to_clients_that_do_not_ask_for_it() {
    let mut hub = hub();
    let session = hub.hub.session(Some("kim")).await.unwrap();
    let kim = session.join("a").await.unwrap();
    kim.say("earlier").await.unwrap();
    kim.set_topic("of yesterday").await.unwrap();
    kim.set_topic("of today").await.unwrap();
    let mut timed = client_with(&mut hub, "timed", "server-time").await;
    joins(&mut timed, "a").await;
    assert_eq!(
        lines_of(&mut timed).await,
        ["@time=1970-01-01T14:02:00.000Z :kim!~u@hidden PRIVMSG #a :earlier"]
    );
    // A client that knows batches can tell earlier messages from new ones.
    let mut batching = client_with(&mut hub, "batching", "server-time batch").await;
    joins(&mut batching, "a").await;
    assert_eq!(
        lines_of(&mut batching).await,
        [
            ":irc.test BATCH +r1 chathistory #a",
            "@batch=r1;time=1970-01-01T14:02:00.000Z :kim!~u@hidden PRIVMSG #a :earlier",
            ":irc.test BATCH -r1",
        ]
    );
    let mut asking = client_with(&mut hub, "asking", "server-time draft/chathistory batch").await;
    joins(&mut asking, "a").await;
    assert!(lines_of(&mut asking).await.is_empty());
    // Without a time, an old message would look new.
    let mut old = client(&mut hub, "old").await;
    joins(&mut old, "a").await;
    assert!(lines_of(&mut old).await.is_empty());
}

/// A client that pages stops when a page has fewer messages than it asked for, so what it is not shown does not count.
#[tokio::test(start_paused = true)]
async fn what_is_not_shown_does_not_count() {
    let mut hub = hub();
    let session = hub.hub.session(Some("kim")).await.unwrap();
    let kim = session.join("a").await.unwrap();
    for number in 1..=9 {
        kim.say(&format!("m{number}")).await.unwrap();
        for topic in 0..100 {
            kim.set_topic(&format!("topic {topic}")).await.unwrap();
        }
    }
    let mut bob = client_with(&mut hub, "bob", CAPABILITIES).await;
    joins(&mut bob, "a").await;
    let (texts, ids) = history(&mut bob, "CHATHISTORY LATEST #a * 3").await;
    assert_eq!(texts, range(7, 9));
    for (request, expected) in [
        (format!("BEFORE #a msgid={} 3", ids[0]), range(4, 6)),
        (format!("AROUND #a msgid={} 5", ids[0]), range(5, 9)),
        (format!("AFTER #a msgid={} 5", ids[0]), range(8, 9)),
        (
            "AFTER #a timestamp=1970-01-01T00:00:00.000Z 4".into(),
            range(1, 4),
        ),
        (
            format!(
                "BETWEEN #a timestamp=1970-01-01T00:00:00.000Z msgid={} 9",
                ids[2]
            ),
            range(1, 8),
        ),
        (
            format!(
                "BETWEEN #a msgid={} timestamp=1970-01-01T00:00:00.000Z 4",
                ids[2]
            ),
            range(5, 8),
        ),
        (
            "LATEST #a timestamp=1970-01-01T00:00:00.000Z 20".into(),
            range(1, 9),
        ),
    ] {
        let found = history(&mut bob, &format!("CHATHISTORY {request}")).await;
        assert_eq!(found.0, expected, "{request}");
    }
}

/// Messages that the log no longer holds are not passed over in silence.
#[tokio::test(start_paused = true)]
async fn a_gap_is_written_inside_the_batch() {
    let mut limits = Limits::default();
    limits.rate = None;
    limits.journal_messages = NonZero::new(10).unwrap();
    let mut hub = crate::hub_with(limits);
    let session = hub.hub.session(Some("kim")).await.unwrap();
    let kim = session.join("a").await.unwrap();
    kim.say("m1").await.unwrap();
    let mut bob = client_with(&mut hub, "bob", CAPABILITIES).await;
    joins(&mut bob, "a").await;
    let (_, ids) = history(&mut bob, "CHATHISTORY LATEST #a * 3").await;
    for number in 2..=30 {
        kim.say(&format!("m{number}")).await.unwrap();
    }
    lines_of(&mut bob).await;
    let texts = |lines: Vec<String>| -> Vec<String> {
        assert!(
            lines[1..lines.len() - 1]
                .iter()
                .all(|line| line.starts_with("@batch="))
        );
        let texts = lines[1..lines.len() - 1].iter();
        texts
            .map(|line| line.rsplit_once(" :").unwrap().1.to_owned())
            .collect()
    };
    let held = kim_held(&hub).await;
    let first = 30 - held + 1;
    let missing = |count: usize| vec![format!("{count} messages are missing here")];
    for (request, expected) in [
        (
            format!("AFTER #a msgid={} 2", ids[0]),
            [missing(first - 2), range(first, first + 1)].concat(),
        ),
        ("LATEST #a * 3".into(), range(28, 30)),
        (
            "LATEST #a * 500".into(),
            [missing(first - 1), range(first, 30)].concat(),
        ),
    ] {
        let lines = ask(&mut bob, &format!("CHATHISTORY {request}")).await;
        assert_eq!(texts(lines), expected, "{request}");
    }
}

/// Returns how many messages the log of #a holds.
async fn kim_held(hub: &TestHub) -> usize {
    let span = chat_core::log::Span::After(chat_core::Seq::START);
    hub.hub.history("a", span, 100).await.unwrap().len()
}

/// A long answer is written in parts, so that a peer which does not read it makes the server hold little of it.
#[tokio::test(start_paused = true)]
async fn a_long_history_is_one_batch_and_does_not_pile_up() {
    let mut hub = hub();
    let session = hub.hub.session(Some("kim")).await.unwrap();
    let kim = session.join("a").await.unwrap();
    let text = "x".repeat(4000);
    for _ in 0..200 {
        kim.say(&text).await.unwrap();
    }
    let mut bob = hub.connect_with("bob", 1024);
    bob.sends(&format!("CAP REQ :{CAPABILITIES} labeled-response"))
        .await;
    bob.sends("NICK bob").await;
    bob.sends("USER u 0 * :r").await;
    bob.sends("CAP END").await;
    bob.sees_in_time(":irc.test 422 bob :There is no message of the day")
        .await;
    joins(&mut bob, "a").await;
    let before = hub.hub.stats().bytes_out;
    bob.sends("@label=h CHATHISTORY LATEST #a * 200").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let held = hub.hub.stats().bytes_out - before;
    let lines = lines_of(&mut bob).await;
    let bytes: usize = lines.iter().map(|line| line.len() + 2).sum();
    assert!(
        bytes > 200 * 4000 && held < 400_000,
        "{held} of {bytes} bytes"
    );
    assert!(
        lines[0].starts_with("@label=h :irc.test BATCH +"),
        "{}",
        lines[0]
    );
    let messages = &lines[1..lines.len() - 1];
    assert!(
        messages
            .iter()
            .all(|line| line.matches("batch=").count() == 1)
    );
    assert_eq!(
        messages
            .iter()
            .filter(|line| line.contains(";msgid="))
            .count(),
        200
    );
    let batches = lines.iter().filter(|line| line.contains(" BATCH "));
    assert_eq!(batches.count(), 2);
}
