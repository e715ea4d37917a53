//! What an application can do to members and rooms, and what other members see of it.

use crate::{members, unlimited};
use chat_core::error::{JoinError, NickError, PublishError};
use chat_core::{CloseReason, Event, Hub, Member, PresenceChange};

/// Returns the next event about a join, a leave or the end of the room.
async fn next_change(member: &mut Member) -> String {
    loop {
        match member.next().await {
            Some(Event::Presence(presence)) => match &presence.change {
                PresenceChange::Left {
                    reason: Some(reason),
                } => return format!("{} left: {reason}", presence.nick),
                PresenceChange::Removed { reason, by: None } => {
                    return format!("{} removed: {reason}", presence.nick);
                }
                _ => {}
            },
            Some(Event::Closed(reason)) => return format!("closed: {reason}"),
            Some(_) => {}
            None => return "the end".into(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn promise_5_a_kick_is_announced_once_and_frees_the_nick_at_once() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    let kicked = hub.hub.kick("BOB", "too\x07 loud").await;
    assert_eq!(kicked.unwrap().as_str(), "bob");
    let again = hub.hub.session(Some("bob")).await.unwrap();
    assert_eq!(again.nick().as_str(), "bob");
    alice.sees("* bob left (gone: kicked: too loud)").await;
    bob.sees("* goodbye: you were sent away: too loud").await;
    assert!(bob.sees_the_end().await.is_empty());
    alice.sees_nothing().await;
    assert_eq!(hub.ended().await, CloseReason::Kicked("too loud".into()));
    assert!(hub.hub.kick("nobody", "").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_session_in_process_that_is_kicked_can_do_nothing_more() {
    let hub = Hub::default();
    let (mut alice, bob) = (
        hub.session(Some("alice")).await.unwrap(),
        hub.session(Some("bob")).await.unwrap(),
    );
    let mut listening = alice.join("lobby").await.unwrap();
    let watching = bob.join("lobby").await.unwrap();
    watching.say("before").await.unwrap();
    hub.kick("alice", "").await.unwrap();
    watching.say("after").await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = listening.next().await {
        if let Event::Message(message) = event {
            seen.push(message.text().to_owned());
        }
    }
    assert_eq!(seen, ["before"]);
    assert!(alice.next_direct().await.is_none());
    assert!(matches!(alice.join("ops").await, Err(JoinError::Ended)));
    assert!(matches!(
        alice.rename("alicia").await,
        Err(NickError::Ended)
    ));
    let said = listening.say("hello?").await;
    assert!(matches!(said, Err(PublishError::NotAMember)));
    let said = alice.publish("lobby", "hello?").await;
    assert!(matches!(said, Err(PublishError::NotAMember)));
    assert_eq!(hub.members("lobby"), [bob.nick()]);
    assert!(
        hub.session(Some("alicia")).await.is_ok(),
        "no nick is leaked"
    );
}

#[tokio::test(start_paused = true)]
async fn who_is_taken_out_of_a_room_is_told_and_put_back_into_the_lobby() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    for member in [&mut alice, &mut bob] {
        member.sends("/join ops").await;
        member.sees_until_quiet().await;
    }
    alice.sees_until_quiet().await;
    alice.sends("before").await;
    alice.sees_until_quiet().await;
    assert!(hub.hub.remove("lobby", "bob", "").await.is_none());
    hub.hub.remove("OPS", "bob", "not on call").await.unwrap();
    alice.sends("after").await;
    alice.sees("* bob was taken out of ops: not on call").await;
    bob.sees("14:02 alice: before").await;
    bob.sees("* you were taken out of ops: not on call").await;
    bob.sees("* you are bob in lobby").await;
    bob.sees("* nobody else is here yet").await;
    bob.sees_nothing().await;
    // The member may join again. The new membership must continue when the old membership is dropped.
    bob.sends("/join ops").await;
    bob.sees_in_time("14:02 alice: after").await;
    alice.sees("* bob joined").await;
    alice.sends("welcome back").await;
    bob.sees("14:02 alice: welcome back").await;
    alice.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_in_process_that_was_taken_out_may_join_again_before_it_drops_the_old_seat() {
    let hub = Hub::default();
    let alice = hub.session(Some("alice")).await.unwrap();
    let mut old = alice.join("ops").await.unwrap();
    hub.remove("ops", "alice", "why").await.unwrap();
    assert_eq!(next_change(&mut old).await, "alice removed: why");
    assert_eq!(next_change(&mut old).await, "the end");
    let new = alice.join("ops").await.unwrap();
    drop(old);
    assert_eq!(hub.members("ops"), [alice.nick()]);
    new.say("still here").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_room_that_is_closed_lets_everybody_go_after_what_was_said() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    let host = hub.hub.session(Some("host")).await.unwrap();
    let mut hosting = host.join("match-7").await.unwrap();
    for member in [&mut alice, &mut bob] {
        member.sends("/join match-7").await;
        member.sees_until_quiet().await;
    }
    alice.sees_until_quiet().await;
    hosting.say("good game").await.unwrap();
    assert_eq!(hub.hub.close_room("match-7", "over"), Some(3));
    assert_eq!(hub.hub.close_room("match-7", "over"), None);
    for member in [&mut alice, &mut bob] {
        member.sees("14:02 host: good game").await;
        member.sees("* match-7 was closed: over").await;
        let line = member.next_line().await.unwrap();
        assert!(line.ends_with("in lobby"), "{line}");
    }
    assert_eq!(next_change(&mut hosting).await, "closed: over");
    assert_eq!(next_change(&mut hosting).await, "the end");
    // The next join opens a new room with the same name.
    let anew = host.join("match-7").await.unwrap();
    assert_eq!(anew.info().position.seq, chat_core::Seq::START);
    drop(hosting);
    assert_eq!(hub.hub.members("match-7"), [host.nick()]);
}

#[tokio::test(start_paused = true)]
async fn a_closed_lobby_is_opened_anew_for_those_who_were_in_it() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    alice.sends("hello").await;
    alice.sees_until_quiet().await;
    hub.hub.close_room("lobby", "").unwrap();
    alice.sees("* lobby was closed").await;
    alice.sees("* you are alice in lobby").await;
    alice.sees("* nobody else is here yet").await;
    alice.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn an_application_publishes_without_being_there() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let ci = hub.hub.session(Some("ci")).await.unwrap();
    let seq = ci.publish("lobby", "build\x1b 12 failed").await.unwrap();
    alice.sees("14:02 ci: build 12 failed").await;
    alice.sees_nothing().await;
    assert_eq!(hub.hub.position("lobby").await.unwrap().seq, seq);
    // A message that is published in a room without members is shown to the next member.
    ci.publish("ops", "one").await.unwrap();
    ci.publish("ops", "two").await.unwrap();
    assert!(
        hub.hub
            .rooms()
            .iter()
            .all(|room| room.room.as_str() != "ops")
    );
    alice.sends("/join ops").await;
    alice.sees_in_time("14:02 ci: one").await;
    alice.sees("14:02 ci: two").await;
    let page = hub
        .hub
        .history("ops", chat_core::log::Span::Before(chat_core::Seq::END), 1);
    assert_eq!(page.await.unwrap().len(), 1);
    let refused = ci.publish("no name", "hi").await;
    assert!(matches!(refused, Err(PublishError::Room(_))));
    let empty = ci.publish("ops", " \x07").await;
    assert!(matches!(empty, Err(PublishError::Empty)));
}

#[tokio::test(start_paused = true)]
async fn reading_a_room_that_nobody_uses_leaves_nothing_behind() {
    let hub = Hub::default();
    let before = hub.stats().rooms;
    let span = chat_core::log::Span::After(chat_core::Seq::START);
    assert!(hub.history("nowhere", span, 10).await.unwrap().is_empty());
    hub.position("nowhere").await.unwrap();
    assert!(hub.members("nowhere").is_empty());
    assert_eq!(hub.stats().rooms, before);
}
