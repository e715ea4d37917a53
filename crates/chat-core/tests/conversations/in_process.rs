//! Members in process, without a connection: the hub as an embedding program uses it.

use crate::{members, two_in_the_lobby, unlimited};
use chat_core::error::{JoinError, PublishError, TellError};
use chat_core::log::{BatchSlice, Span};
use chat_core::{CloseReason, Echo, Event, Hub, Kind, Limits, Member, Peer, Seq, serve_connection};
use std::num::NonZeroUsize;

async fn next_text(member: &mut Member) -> String {
    loop {
        match member.next().await {
            Some(Event::Message(message)) => return message.text().to_owned(),
            Some(Event::Gap(missed)) => {
                let gap = missed.gap().unwrap();
                return format!("gap {}-{}", gap.from, gap.to);
            }
            Some(_) => {}
            None => return "the end".into(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn members_in_process_and_on_a_wire_meet_in_one_room() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let session = hub.hub.session(Some("bot")).await.unwrap();
    let mut bot = session.join("lobby").await.unwrap();
    alice.sees("* bot joined").await;
    alice.sends("hello bot").await;
    assert_eq!(next_text(&mut bot).await, "hello bot");
    bot.say("hello\x07 alice").await.unwrap();
    alice.sees("14:02 bot: hello alice").await;
    bot.act("beeps").await.unwrap();
    alice.sees("14:02 * bot beeps").await;
    alice.sends("/msg bot psst").await;
    alice.sees("14:02 you -> bot: psst").await;
    let mut session = session;
    let direct = session.next_direct().await.unwrap();
    assert_eq!((direct.from.as_str(), &*direct.text), ("alice", "psst"));
    session.rename("robot").await.unwrap();
    alice.sees("* bot is now robot").await;
    bot.leave();
    alice.sees("* robot left").await;
}

#[tokio::test(start_paused = true)]
async fn a_notice_is_shown_to_people_as_a_message() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let session = hub.hub.session(Some("bot")).await.unwrap();
    let bot = session.join("lobby").await.unwrap();
    alice.sees("* bot joined").await;
    bot.notice("build 7 failed").await.unwrap();
    alice.sees("14:02 bot: build 7 failed").await;
    let page = bot.history(Span::After(Seq::START), 9).await.unwrap();
    let BatchSlice { batch, range } = &page.slices[0];
    let kinds: Vec<_> = batch.messages(range.clone()).map(|m| m.kind).collect();
    assert_eq!(kinds, [Kind::Notice]);
}

#[tokio::test(start_paused = true)]
async fn a_member_gets_its_own_messages_only_if_it_wants_to() {
    let hub = Hub::default();
    let (_sessions, mut listening, talking) = two_in_the_lobby(&hub).await;
    assert_eq!(listening.say("mine").await.unwrap(), Seq(1));
    talking.say("yours").await.unwrap();
    assert_eq!(next_text(&mut listening).await, "yours");
    listening.set_echo(Echo::Include);
    listening.say("mine again").await.unwrap();
    assert_eq!(next_text(&mut listening).await, "mine again");
}

#[tokio::test(start_paused = true)]
async fn promise_2_a_member_that_lags_reads_what_it_missed_from_the_journal() {
    let mut limits = Limits::default();
    limits.ring_batches = NonZeroUsize::new(8).unwrap();
    let hub = Hub::new(limits);
    let (_sessions, mut listening, talking) = two_in_the_lobby(&hub).await;
    for number in 0..1000 {
        talking.say(&number.to_string()).await.unwrap();
    }
    for number in 0..1000 {
        assert_eq!(next_text(&mut listening).await, number.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_lags_is_told_who_is_there_if_it_missed_who_came_and_went() {
    let mut limits = Limits::default();
    limits.ring_batches = NonZeroUsize::new(8).unwrap();
    let hub = Hub::new(limits);
    let sessions = [
        hub.session(Some("alice")).await.unwrap(),
        hub.session(Some("bob")).await.unwrap(),
        hub.session(Some("kim")).await.unwrap(),
    ];
    let [alice, bob, kim] = &sessions;
    let mut listening = alice.join("lobby").await.unwrap();
    let talking = bob.join("lobby").await.unwrap();
    let gone = kim.join("lobby").await.unwrap();
    for _ in 0..2 {
        let event = listening.next().await;
        assert!(matches!(event, Some(Event::Presence(_))), "{event:?}");
    }
    talking.say("first").await.unwrap();
    gone.leave();
    bob.rename("rob").await.unwrap();
    for number in 0..100 {
        talking.say(&number.to_string()).await.unwrap();
    }
    let Some(Event::Present(info)) = listening.next().await else {
        panic!("it has missed kim's leaving");
    };
    let nicks: Vec<_> = info.nicks.iter().map(|nick| nick.as_str()).collect();
    assert_eq!((info.count, nicks), (2, vec!["alice", "rob"]));
    assert_eq!(next_text(&mut listening).await, "first");
    for number in 0..100 {
        assert_eq!(next_text(&mut listening).await, number.to_string());
    }
    // After the gap, the member receives live events again, each exactly once.
    let _back = kim.join("lobby").await.unwrap();
    let event = listening.next().await;
    assert!(matches!(event, Some(Event::Presence(_))), "{event:?}");
    // A member that missed only messages receives no presence event.
    for number in 0..100 {
        talking.say(&number.to_string()).await.unwrap();
    }
    let event = listening.next().await;
    assert!(matches!(event, Some(Event::Message(_))), "{event:?}");
}

#[tokio::test(start_paused = true)]
async fn promise_2_what_the_journal_no_longer_holds_is_one_explicit_gap() {
    let mut limits = Limits::default();
    limits.ring_batches = NonZeroUsize::new(8).unwrap();
    limits.journal_messages = NonZeroUsize::new(100).unwrap();
    let hub = Hub::new(limits);
    let (_sessions, mut listening, talking) = two_in_the_lobby(&hub).await;
    for number in 1..=1000 {
        talking.say(&number.to_string()).await.unwrap();
    }
    assert_eq!(next_text(&mut listening).await, "gap 1-900");
    for number in 901..=1000 {
        assert_eq!(next_text(&mut listening).await, number.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_says_why() {
    let mut limits = Limits::default();
    limits.rooms_per_session = NonZeroUsize::new(2).unwrap();
    limits.rooms = NonZeroUsize::new(3).unwrap();
    limits.mailbox = NonZeroUsize::new(1).unwrap();
    let hub = Hub::new(limits);
    let (alice, bob) = (
        hub.session(Some("alice")).await.unwrap(),
        hub.session(Some("bob")).await.unwrap(),
    );
    let one = alice.join("one").await.unwrap();
    let _two = alice.join("two").await.unwrap();
    assert!(matches!(
        alice.join("ONE").await,
        Err(JoinError::AlreadyIn(_))
    ));
    assert!(matches!(
        alice.join("three").await,
        Err(JoinError::TooManyRooms(2))
    ));
    assert!(matches!(
        alice.join("no name").await,
        Err(JoinError::Name(_))
    ));
    let _three = bob.join("three").await.unwrap();
    assert!(matches!(bob.join("four").await, Err(JoinError::Full(3))));
    assert!(matches!(
        one.say(&"x".repeat(4097)).await,
        Err(PublishError::TooLong(4096))
    ));
    assert!(matches!(
        one.say("\x1b\x07 ").await,
        Err(PublishError::Empty)
    ));
    alice.tell("bob", "one").await.unwrap();
    assert!(matches!(
        alice.tell("bob", "two").await,
        Err(TellError::MailboxFull(_))
    ));
    assert!(matches!(
        alice.tell("nobody", "hi").await,
        Err(TellError::NoSuchNick(_))
    ));
    hub.drain();
    assert!(matches!(one.say("late").await, Err(PublishError::Draining)));
}

#[tokio::test(start_paused = true)]
async fn positions_have_no_hole_and_an_empty_room_keeps_its_log() {
    let hub = Hub::default();
    let alice = hub.session(Some("alice")).await.unwrap();
    let lobby = alice.join("lobby").await.unwrap();
    for number in 1..=10 {
        assert_eq!(lobby.say("x").await.unwrap(), Seq(number));
    }
    let epoch = lobby.info().position.epoch;
    lobby.leave();
    let lobby = alice.join("Lobby").await.unwrap();
    assert_eq!(
        (lobby.info().position.epoch, lobby.info().position.seq),
        (epoch, Seq(10))
    );
    let page = lobby.history(Span::After(Seq(7)), 100).await.unwrap();
    assert_eq!((page.len(), page.last()), (3, Some(Seq(10))));
}

#[tokio::test(start_paused = true)]
async fn rooms_that_have_been_empty_longest_are_forgotten() {
    let mut limits = Limits::default();
    limits.empty_rooms = 2;
    let hub = Hub::new(limits);
    let alice = hub.session(Some("alice")).await.unwrap();
    for room in ["one", "two", "three"] {
        alice
            .join(room)
            .await
            .unwrap()
            .say("remember")
            .await
            .unwrap();
    }
    for (room, kept) in [("three", 1), ("two", 1), ("one", 0)] {
        let member = alice.join(room).await.unwrap();
        assert_eq!(member.info().position.seq, Seq(kept), "{room}");
        std::mem::forget(member);
    }
}

#[tokio::test(start_paused = true)]
async fn stats_count_what_happened() {
    let mut limits = Limits::default();
    limits.stall_timeout = std::time::Duration::from_secs(2);
    let mut hub = chat_testkit::TestHub::new(limits);
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    let before = hub.hub.stats();
    alice.sends("12345").await;
    bob.sees("14:02 alice: 12345").await;
    alice.sends_bytes(b"\xc3\x28\n").await;
    alice.sees_in_time("! not UTF-8: message dropped").await;
    alice.sends(&"x".repeat(9000)).await;
    alice.sees("! line too long (limit 8192 bytes)").await;
    alice.sends("/msg bob hi").await;
    bob.sees("14:02 alice -> you: hi").await;
    for _ in 0..20 {
        alice.sends("/msg nobody hi").await;
        alice
            .sees_in_time("! nobody here is called nobody: /who lists who is")
            .await;
    }
    let after = hub.hub.stats();
    assert_eq!((after.sessions, after.rooms), (2, 1));
    assert_eq!(after.messages_in - before.messages_in, 1);
    assert_eq!(after.deliveries_out - before.deliveries_out, 1);
    assert_eq!(after.lines_not_utf8 - before.lines_not_utf8, 1);
    assert_eq!(after.lines_oversized - before.lines_oversized, 1);
    assert_eq!(after.directs - before.directs, 1);
    assert_eq!(after.refusals - before.refusals, 22);
    assert!(after.rate_pauses > before.rate_pauses);
    assert!(after.bytes_in - before.bytes_in > 9000);
    assert!(after.bytes_out - before.bytes_out > 20 * 40);
    let mut stuck = hub.connect_with("stuck", 16);
    stuck.sends("/help").await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(hub.hub.stats().stalled, 1);
}

#[test]
fn a_connection_on_a_runtime_without_timers_is_refused_with_a_reason() {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let reason = runtime.unwrap().block_on(async {
        let (_near, far) = tokio::io::duplex(64);
        serve_connection(far, Peer::default(), Hub::default()).await
    });
    assert_eq!(reason, CloseReason::NoTimers);
}
