//! Two hubs that append to one log. Members see the same order on both hubs.

use crate::members;
use chat_core::error::PublishError;
use chat_core::log::{JournalError, Span};
use chat_core::{Echo, Event, Hub, Limits, Member, Seq, Session};
use chat_testkit::{SharedJournal, SharedNode, TestHub, conformance};
use std::num::NonZeroUsize;
use std::time::Duration;

/// Returns a hub with small rings, and the hub's node of the journal.
pub(super) fn hub(shared: &SharedJournal, incarnation: u32) -> (Hub, SharedNode) {
    let mut limits = Limits::default();
    limits.rate = None;
    limits.ring_batches = NonZeroUsize::new(8).unwrap();
    let node = shared.node(incarnation);
    let hub = Hub::builder().limits(limits).journal(node.clone()).build();
    (hub, node)
}

pub(super) async fn join(hub: &Hub, nick: &str) -> (Session, Member) {
    let session = hub.session(Some(nick)).await.unwrap();
    let member = session.join("ops").await.unwrap();
    (session, member)
}

/// Returns the member's next event. Fails after an hour.
pub(super) async fn event(member: &mut Member) -> Event {
    let next = tokio::time::timeout(Duration::from_secs(3600), member.next());
    next.await.expect("nothing came").unwrap()
}

/// Returns the next message that the member receives: its position, its author and its text.
pub(super) async fn next(member: &mut Member) -> (Seq, String, String) {
    loop {
        match event(member).await {
            Event::Message(message) => {
                let (from, text) = (message.from().to_string(), message.text().to_owned());
                return (message.seq(), from, text);
            }
            Event::Gap(missed) => panic!("{missed:?}"),
            _ => {}
        }
    }
}

/// Returns the next text that the member receives, or what the member missed.
pub(super) async fn next_text(member: &mut Member) -> String {
    loop {
        match event(member).await {
            Event::Message(message) => return message.text().to_owned(),
            Event::Gap(missed) => {
                return match missed.gap() {
                    Some(gap) => format!("gap {}-{}", gap.from, gap.to),
                    None => "messages of another epoch".into(),
                };
            }
            _ => {}
        }
    }
}

/// Says `count` messages, one after another.
pub(super) async fn say(member: &Member, nick: &str, count: usize) {
    for number in 0..count {
        member.say(&format!("{nick} {number}")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn members_on_two_hubs_see_one_order() {
    for seed in 0..20 {
        let shared = SharedJournal::new(seed);
        let [(here, _), (there, _)] = [1, 2].map(|node| hub(&shared, node));
        let (_alice, mut alice) = join(&here, "alice").await;
        let (_carol, mut carol) = join(&here, "carol").await;
        let (_bob, mut bob) = join(&there, "bob").await;
        tokio::join!(
            say(&alice, "alice", 20),
            say(&bob, "bob", 20),
            say(&carol, "carol", 20)
        );
        let mut orders = Vec::new();
        for member in [&mut alice, &mut carol, &mut bob] {
            member.set_echo(Echo::Include);
            let mut order = Vec::new();
            for _ in 0..60 {
                order.push(next(member).await);
            }
            for nick in ["alice", "bob", "carol"] {
                let own = order.iter().filter(|(_, from, _)| from == nick);
                let own: Vec<_> = own.map(|(_, _, text)| text.clone()).collect();
                let expected: Vec<_> = (0..20).map(|number| format!("{nick} {number}")).collect();
                assert_eq!(own, expected, "seed {seed}");
            }
            orders.push(order);
        }
        assert!(orders[0].is_sorted(), "seed {seed}: {:?}", orders[0]);
        assert_eq!(orders[0], orders[1], "seed {seed}");
        assert_eq!(orders[0], orders[2], "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn members_over_wires_see_what_another_hub_appends() {
    let shared = SharedJournal::new(7);
    let test_hub = |node| {
        let mut limits = Limits::default();
        limits.rate = None;
        TestHub::build(Hub::builder().limits(limits).journal(shared.node(node)))
    };
    let [mut here, mut there] = [1, 2].map(test_hub);
    let [mut alice] = members(&mut here, ["alice"]).await;
    let [mut bob] = members(&mut there, ["bob"]).await;
    alice.sends("one").await;
    bob.sees_in_time("14:02 alice: one").await;
    bob.sends("two").await;
    alice.sees_in_time("14:02 bob: two").await;
    alice.sends("/topic from here").await;
    bob.sees_in_time("* alice set the topic: from here").await;
    // Alice, who uses a terminal, does not receive her own message.
    alice.sends("three").await;
    bob.sees_in_time("14:02 alice: three").await;
    alice.sees_in_time("* alice set the topic: from here").await;
    alice.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn echoes_are_right_although_session_numbers_collide() {
    for seed in 0..20 {
        let shared = SharedJournal::new(seed);
        let [(here, _), (there, _)] = [1, 2].map(|node| hub(&shared, node));
        let (alices, mut alice) = join(&here, "alice").await;
        let (bobs, mut bob) = join(&there, "bob").await;
        assert_eq!(alices.id(), bobs.id(), "the first session of each hub");
        tokio::join!(say(&alice, "alice", 10), say(&bob, "bob", 10));
        // Neither member receives its own messages, and each receives all messages of the other.
        for number in 0..10 {
            assert_eq!(next(&mut alice).await.2, format!("bob {number}"));
            assert_eq!(next(&mut bob).await.2, format!("alice {number}"));
        }
        alice.say("the end").await.unwrap();
        assert_eq!(next(&mut bob).await.2, "the end");
        let page = alice.history(Span::After(Seq::START), 99).await.unwrap();
        assert_eq!(page.len(), 21);
        for slice in &page.slices {
            let is_own = slice.batch.author() == alices.id();
            assert_eq!(is_own, slice.batch.from().as_str() == "alice");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_foreign_append_is_never_skipped() {
    for seed in 0..20 {
        let shared = SharedJournal::new(seed);
        let [(here, node), (there, _)] = [1, 2].map(|node| hub(&shared, node));
        let (_alice, mut alice) = join(&here, "alice").await;
        let (_bob, bob) = join(&there, "bob").await;
        node.hold();
        // Alice's node does not follow the log yet. Before and after Alice's own messages, Bob publishes more messages
        // than the ring holds. So Alice lags once the node follows the log again.
        say(&bob, "bob", 15).await;
        say(&alice, "alice", 5).await;
        let late = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            node.release();
            say(&bob, "late", 15).await;
        };
        let read = async {
            let mut texts = Vec::new();
            while texts.len() < 30 {
                texts.push(next(&mut alice).await.2);
                tokio::time::sleep(Duration::from_millis(seed)).await;
            }
            texts
        };
        let ((), texts) = tokio::join!(late, read);
        let expected = |nick| (0..15).map(move |number| format!("{nick} {number}"));
        let expected: Vec<_> = expected("bob").chain(expected("late")).collect();
        assert_eq!(texts, expected, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_member_joins_into_is_followed_from_there_without_a_hole() {
    let shared = SharedJournal::new(3);
    let [(here, node), (there, _)] = [1, 2].map(|node| hub(&shared, node));
    let (_alice, alice) = join(&here, "alice").await;
    let (_bob, bob) = join(&there, "bob").await;
    node.hold();
    say(&bob, "bob", 3).await;
    // The log has messages that this hub has not delivered yet. A new member begins at the position of the hub.
    let (_carol, mut carol) = join(&here, "carol").await;
    assert_eq!(carol.info().position.seq, Seq::START);
    node.release();
    for number in 0..3 {
        assert_eq!(next(&mut carol).await.2, format!("bob {number}"));
    }
    assert_eq!(alice.info().position.seq, carol.info().position.seq);
}

#[tokio::test(start_paused = true)]
async fn a_gap_and_a_new_epoch_are_told() {
    let shared = SharedJournal::new(5);
    let [(here, node), (there, _)] = [1, 2].map(|node| hub(&shared, node));
    let (_alice, mut alice) = join(&here, "alice").await;
    let (_bob, mut bob) = join(&there, "bob").await;
    let epoch = alice.info().position.epoch;
    node.hold();
    say(&bob, "gone", 3).await;
    shared.let_go("ops");
    bob.say("kept").await.unwrap();
    node.release();
    assert!(next_text(&mut alice).await.starts_with("gap 1-"));
    assert_eq!(next_text(&mut alice).await, "kept");
    shared.reset("ops");
    for member in [&mut alice, &mut bob] {
        assert_eq!(next_text(member).await, "messages of another epoch");
        assert_ne!(member.info().position.epoch, epoch);
    }
    bob.say("anew").await.unwrap();
    assert_eq!(next_text(&mut alice).await, "anew");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_lags_over_a_new_epoch_is_told_and_given_what_follows() {
    let shared = SharedJournal::new(6);
    let [(here, _), (there, _)] = [1, 2].map(|node| hub(&shared, node));
    let (_alice, mut alice) = join(&here, "alice").await;
    let (_bob, bob) = join(&there, "bob").await;
    say(&bob, "before", 3).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    shared.reset("ops");
    tokio::time::sleep(Duration::from_secs(1)).await;
    say(&bob, "after", 12).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut texts = Vec::new();
    while texts.last().is_none_or(|last| last != "after 11") {
        texts.push(next_text(&mut alice).await);
    }
    let told = texts
        .iter()
        .position(|text| text == "messages of another epoch");
    let expected: Vec<_> = (0..12).map(|number| format!("after {number}")).collect();
    assert_eq!(texts[told.unwrap() + 1..], expected, "{texts:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_yet_is_delivered_once_it_is_in_the_log() {
    let shared = SharedJournal::new(8);
    let [(here, node), (there, _)] = [1, 2].map(|node| hub(&shared, node));
    let (_alice, mut alice) = join(&here, "alice").await;
    let (_bob, mut bob) = join(&there, "bob").await;
    alice.set_echo(Echo::Include);
    node.lose_answers(true);
    let unknown = alice.say("is it in?").await;
    assert!(
        matches!(
            unknown,
            Err(PublishError::Journal(JournalError::Uncertain(_)))
        ),
        "{unknown:?}"
    );
    assert_eq!(next(&mut alice).await.2, "is it in?");
    assert_eq!(next(&mut bob).await.2, "is it in?");
    node.lose_answers(false);
    alice.say("it is").await.unwrap();
    assert_eq!(next(&mut alice).await.2, "it is");
}

#[tokio::test(start_paused = true)]
async fn a_drain_delivers_what_the_log_has_taken() {
    let shared = SharedJournal::new(9);
    let [(here, node), _] = [1, 2].map(|node| hub(&shared, node));
    let (_alice, mut alice) = join(&here, "alice").await;
    let (_carol, carol) = join(&here, "carol").await;
    node.hold();
    say(&carol, "carol", 2).await;
    here.drain();
    let read = async {
        let first = next(&mut alice).await.2;
        let second = next(&mut alice).await.2;
        (first, second, alice.next().await.is_none())
    };
    let release = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        node.release();
    };
    let (read, ()) = tokio::join!(read, release);
    assert_eq!(read, ("carol 0".into(), "carol 1".into(), true));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_can_not_be_reached_is_counted() {
    let shared = SharedJournal::new(10);
    let (here, node) = hub(&shared, 1);
    let (_alice, _member) = join(&here, "alice").await;
    node.set_reachable(false);
    tokio::time::sleep(Duration::from_secs(1)).await;
    node.set_reachable(true);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(here.stats().journal_outages, 1);
}

#[tokio::test(start_paused = true)]
async fn the_shared_journal_conforms() {
    let shared = SharedJournal::new(11);
    let nodes = [shared.node(1), shared.node(2)];
    conformance::assert_conforms(conformance::shared_journal(nodes).await);
}
