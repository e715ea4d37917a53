//! Sessions in process have the same features as connections: resuming, keys, and one stream for the events of all
//! rooms.

use chat_core::error::PublishError;
use chat_core::log::{Epoch, Position, Span, TokenDigest};
use chat_core::{
    CloseReason, Event, Hub, JoinRequest, Limits, Member, Missed, PresenceChange, Published, Seq,
    Session, SessionEvent, SessionEvents,
};
use chat_testkit::{SlowJournal, in_words};
use futures::FutureExt;
use std::time::Duration;

/// Returns, in words, the events that a member can receive without waiting.
async fn given(member: &mut Member) -> Vec<String> {
    let mut given = Vec::new();
    while let Some(Some(event)) = member.next().now_or_never() {
        given.push(in_words(&event));
    }
    given
}

/// Returns a hub with five messages in the room `ops`, and the session that published them.
async fn hub_with_five() -> (Hub, Session) {
    let hub = Hub::default();
    let bot = hub.session(Some("bot")).await.unwrap();
    for number in 1..=5 {
        bot.publish("ops", &number.to_string()).await.unwrap();
    }
    (hub, bot)
}

#[tokio::test(start_paused = true)]
async fn a_member_is_given_what_followed_the_position_that_it_resumes_from() {
    let (hub, bot) = hub_with_five().await;
    let kim = hub.session(Some("kim")).await.unwrap();
    let end = hub.position("ops").await.unwrap();
    let seen = Position { seq: Seq(2), ..end };
    let mut ops = kim
        .join(JoinRequest::from("ops").resume(seen))
        .await
        .unwrap();
    bot.publish("ops", "live").await.unwrap();
    let expected = ["replayed 3", "replayed 4", "replayed 5", "live"];
    assert_eq!(given(&mut ops).await, expected);
    ops.leave();

    let request = JoinRequest::from("ops").resume(seen).latest(2);
    let mut ops = kim.join(request).await.unwrap();
    let expected = [
        "BeyondLimit(Gap { from: Seq(3), to: Seq(4) })",
        "replayed 5",
        "replayed live",
    ];
    assert_eq!(given(&mut ops).await, expected);
    ops.leave();

    let mut ops = kim.join(JoinRequest::from("ops").latest(1)).await.unwrap();
    assert_eq!(given(&mut ops).await, ["replayed live"]);
    ops.leave();

    let other = Position {
        epoch: Epoch(end.epoch.0 ^ 1),
        seq: Seq(2),
    };
    let request = JoinRequest::from("ops").resume(other).latest(1);
    let mut ops = kim.join(request).await.unwrap();
    assert_eq!(given(&mut ops).await, ["OtherEpoch", "replayed live"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_client_says_again_under_its_key_is_not_said_twice() {
    let hub = Hub::default();
    let token = TokenDigest::new([7; TokenDigest::BYTES]);
    let kim = hub.session(Some("kim")).await.unwrap();
    kim.set_token(token);
    let ops = kim.join("ops").await.unwrap();
    assert_eq!(
        ops.say_once("k1", "once").await.unwrap(),
        Published::New(Seq(1))
    );
    let again = Published::Duplicate {
        room: ops.room().clone(),
        seq: Seq(1),
    };
    assert_eq!(ops.say_once("k1", "once").await.unwrap(), again);
    assert!(matches!(
        ops.say_once("", "no key").await,
        Err(PublishError::Key(_))
    ));
    // The client begins another session with the same token.
    drop((ops, kim));
    let back = hub.session(Some("kim-2")).await.unwrap();
    back.set_token(token);
    let ops = back.join("ops").await.unwrap();
    assert_eq!(ops.say_once("k1", "once").await.unwrap(), again);
    let page = ops.history(Span::After(Seq::START), 10).await.unwrap();
    assert_eq!(page.len(), 1);
}

/// Returns the next event of a session, in words.
async fn next(events: &mut SessionEvents) -> String {
    match events.next().await {
        Some(SessionEvent::Room(room, event)) => format!("{room}: {}", in_words(&event)),
        Some(SessionEvent::Direct(direct)) => format!("{} -> {}", direct.from, direct.text),
        Some(other) => format!("{other:?}"),
        None => "the end".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn all_rooms_and_direct_messages_are_one_stream() {
    let hub = Hub::default();
    let mut kim = hub.session(Some("kim")).await.unwrap().into_events();
    kim.join("ops").await.unwrap();
    kim.join("dev").await.unwrap();
    let bot = hub.session(Some("bot")).await.unwrap();
    let in_ops = bot.join("ops").await.unwrap();
    assert_eq!(next(&mut kim).await, "ops: bot joined");
    in_ops.say("one").await.unwrap();
    assert_eq!(next(&mut kim).await, "ops: one");
    bot.publish("dev", "two").await.unwrap();
    assert_eq!(next(&mut kim).await, "dev: two");
    bot.tell("kim", "psst").await.unwrap();
    assert_eq!(next(&mut kim).await, "bot -> psst");
    kim.room("OPS").unwrap().say("mine").await.unwrap();
    hub.close_room("dev", "done").unwrap();
    assert_eq!(next(&mut kim).await, "dev: closed done");
    // The leave is announced at once. After that, the session receives no events of this room.
    assert!(kim.leave("ops"));
    assert_eq!(hub.members("ops").len(), 1);
    in_ops.say("not for kim").await.unwrap();
    assert!(kim.next().now_or_never().is_none());
    assert_eq!(kim.rooms().count(), 0);
    kim.join("ops").await.unwrap();
    in_ops.say("again").await.unwrap();
    assert_eq!(next(&mut kim).await, "ops: again");
    in_ops.say("the last").await.unwrap();
    hub.kick("kim", "bye").await.unwrap();
    assert_eq!(next(&mut kim).await, "ops: the last");
    assert_eq!(next(&mut kim).await, "the end");
    drop(kim);
    assert!(hub.session(Some("kim")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_busy_room_keeps_no_other_waiting() {
    let hub = Hub::default();
    let mut kim = hub.session(Some("kim")).await.unwrap().into_events();
    for room in ["busy", "quiet"] {
        kim.join(room).await.unwrap();
    }
    let bot = hub.session(Some("bot")).await.unwrap();
    for number in 0..100 {
        bot.publish("busy", &number.to_string()).await.unwrap();
    }
    bot.publish("quiet", "here").await.unwrap();
    bot.tell("kim", "psst").await.unwrap();
    let mut first = Vec::new();
    for _ in 0..6 {
        first.push(next(&mut kim).await);
    }
    assert!(first.contains(&"quiet: here".to_owned()), "{first:?}");
    assert!(first.contains(&"bot -> psst".to_owned()), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_loses_no_event() {
    let hub = Hub::builder().journal(SlowJournal::new(Vec::new())).build();
    let bot = hub.session(Some("bot")).await.unwrap();
    for number in 0..600 {
        bot.publish("ops", &number.to_string()).await.unwrap();
    }
    let end = hub.position("ops").await.unwrap();
    let seen = Position {
        seq: Seq::START,
        ..end
    };
    let mut kim = hub.session(Some("kim")).await.unwrap().into_events();
    kim.join("dev").await.unwrap();
    kim.join(JoinRequest::from("ops").resume(seen))
        .await
        .unwrap();
    let (mut replayed, mut live) = (0, 0);
    while replayed < 600 {
        bot.publish("dev", "x").await.unwrap();
        // The replay of one room continues where it was, although the other room has new messages.
        match kim.next().now_or_never() {
            Some(Some(SessionEvent::Room(_, Event::Replayed(message)))) => {
                assert_eq!(message.text(), replayed.to_string());
                replayed += 1;
            }
            Some(Some(SessionEvent::Room(_, Event::Message(_)))) => live += 1,
            Some(other) => panic!("{other:?}"),
            None => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    assert!(live > 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_alone_in_a_room_that_is_forgotten_has_missed_nothing() {
    let mut limits = Limits::default();
    limits.empty_rooms = 0;
    let hub = Hub::builder().limits(limits).build();
    let mut seen = None;
    for visit in 0..3 {
        let mut kim = hub.session(Some("kim")).await.unwrap().into_events();
        let mut request = JoinRequest::from("quiet");
        if let Some(seen) = seen {
            request = request.resume(seen);
        }
        let joined = kim.join(request).await.unwrap();
        assert_eq!(kim.next().now_or_never().map(drop), None, "visit {visit}");
        seen = Some(joined.position);
    }
    // The hub forgets the room together with its messages. A member that resumes receives a gap, because the new log
    // has another epoch.
    let kim = hub.session(Some("kim")).await.unwrap();
    kim.join("quiet").await.unwrap().say("hello").await.unwrap();
    let mut back = kim.into_events();
    let request = JoinRequest::from("quiet").resume(seen.unwrap());
    back.join(request).await.unwrap();
    assert!(matches!(
        back.next().await,
        Some(SessionEvent::Room(_, Event::Gap(Missed::OtherEpoch)))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_is_told_why_and_others_see_its_reason() {
    let hub = Hub::default();
    let mut kim = hub.session(Some("kim")).await.unwrap().into_events();
    kim.join("ops").await.unwrap();
    assert!(kim.room("dev").is_err());
    let mut lee = hub.session(Some("lee")).await.unwrap().into_events();
    lee.join("ops").await.unwrap();
    lee.close(&CloseReason::Disconnected);
    let mut changes = Vec::new();
    while let Some(Some(SessionEvent::Room(_, Event::Presence(who)))) = kim.next().now_or_never() {
        changes.push(who.change.clone());
    }
    let left = changes.last().unwrap();
    let reason = Some(CloseReason::Disconnected);
    assert!(matches!(left, PresenceChange::Left { reason: seen } if *seen == reason));
    assert_eq!(kim.end_reason(), None);
    hub.kick("kim", "enough").await.unwrap();
    while kim.next().await.is_some() {}
    assert_eq!(kim.end_reason(), Some(CloseReason::Kicked("enough".into())));
}

#[tokio::test(start_paused = true)]
async fn a_client_takes_its_nick_back_from_a_session_that_is_left() {
    let hub = Hub::default();
    let token = TokenDigest::new([7; TokenDigest::BYTES]);
    let with_token = async || {
        let session = hub.session(None).await.unwrap();
        session.set_token(token);
        session.take_nick("kim").await.unwrap();
        session
    };
    let left = with_token().await;
    let stranger = hub.session(None).await.unwrap();
    assert!(stranger.take_nick("kim").await.is_err());
    let _back = with_token().await;
    let left = left.into_events();
    assert_eq!(left.end_reason(), Some(CloseReason::TakenOver));
}
