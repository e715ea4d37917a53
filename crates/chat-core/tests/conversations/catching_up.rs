//! Catching up on missed events: members in process, followers and connections are told of the same gaps.

use chat_core::log::{Gap, JournalError, MemoryJournal};
use chat_core::{Follower, Hub, Limits, Member, Missed, Seq};
use chat_testkit::{Intercept, TestHub, WrappedJournal, in_words};
use futures::FutureExt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Makes reads of a journal fail while the flag is set.
#[derive(Clone)]
struct Breaking(Arc<AtomicBool>);

impl Intercept for Breaking {
    async fn read(&self) -> Result<(), JournalError> {
        if self.0.load(Ordering::Relaxed) {
            return Err(JournalError::Unavailable("the disk is gone".into()));
        }
        Ok(())
    }
}

/// Returns a hub whose members fall behind after eight batches, and the flag that makes reads of its journal fail.
fn breaking_hub() -> (Hub, Arc<AtomicBool>) {
    let mut limits = Limits::default();
    limits.ring_batches = NonZeroUsize::new(8).unwrap();
    limits.rate = None;
    let is_broken = Arc::new(AtomicBool::new(false));
    let breaking = Breaking(Arc::clone(&is_broken));
    let journal = WrappedJournal::new(MemoryJournal::new(&limits), breaking);
    let hub = Hub::builder().limits(limits).journal(journal).build();
    (hub, is_broken)
}

/// Returns what the member receives up to the message `last`, in words.
async fn heard(member: &mut Member, last: &str) -> Vec<String> {
    let mut heard = Vec::new();
    while heard.last().is_none_or(|heard| heard != last) {
        heard.push(in_words(&member.next().await.expect("not the end")));
    }
    heard
}

/// Returns the events that the follower receives, up to the message `last`. Each event is described in words.
async fn followed(follower: &mut Follower, last: &str) -> Vec<String> {
    let mut heard = Vec::new();
    while heard.last().is_none_or(|heard| heard != last) {
        heard.push(in_words(&follower.next().await.expect("not the end").1));
    }
    heard
}

const fn missing(from: u64, to: u64) -> Gap {
    Gap {
        from: Seq(from),
        to: Seq(to),
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_is_told_when_the_log_cannot_be_read() {
    let (hub, is_broken) = breaking_hub();
    let alice = hub.session(Some("alice")).await.unwrap();
    let mut listening = alice.join("lobby").await.unwrap();
    let bot = hub.session(Some("bot")).await.unwrap();
    for number in 1..=20 {
        bot.publish("lobby", &number.to_string()).await.unwrap();
    }
    is_broken.store(true, Ordering::Relaxed);
    let unreadable = format!("{:?}", Missed::Unreadable(Some(missing(1, 20))));
    let first = in_words(&listening.next().await.expect("not the end"));
    assert_eq!(first, unreadable);
    // After the gap, the member receives new messages.
    bot.publish("lobby", "live").await.unwrap();
    assert_eq!(heard(&mut listening, "live").await, ["live"]);
}

#[tokio::test(start_paused = true)]
async fn promise_2_members_followers_and_connections_are_told_of_the_same_gap() {
    let (hub, is_broken) = breaking_hub();
    let mut wires = TestHub::over(hub.clone());
    let alice = hub.session(Some("alice")).await.unwrap();
    let mut listening = alice.join("lobby").await.unwrap();
    let mut wire = wires.member("bob").await;
    while let Some(Some(_)) = listening.next().now_or_never() {}
    let mut follower = hub.follow("lobby").unwrap();
    let bot = hub.session(Some("bot")).await.unwrap();
    is_broken.store(true, Ordering::Relaxed);
    for number in 1..=20 {
        bot.publish("lobby", &number.to_string()).await.unwrap();
    }
    let unreadable = format!("{:?}", Missed::Unreadable(Some(missing(1, 20))));
    assert_eq!(
        in_words(&listening.next().await.expect("not the end")),
        unreadable
    );
    assert_eq!(
        in_words(&follower.next().await.expect("not the end").1),
        unreadable
    );
    wire.sees_in_time("* 20 messages missed").await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_missed_presence_is_told_who_is_there() {
    let (hub, _) = breaking_hub();
    let mut follower = hub.follow("lobby").unwrap();
    let alice = hub.session(Some("alice")).await.unwrap();
    let _listening = alice.join("lobby").await.unwrap();
    let bot = hub.session(Some("bot")).await.unwrap();
    for number in 1..=20 {
        bot.publish("lobby", &number.to_string()).await.unwrap();
    }
    let mut expected = vec!["present: alice".to_owned()];
    expected.extend((1..=20).map(|number| number.to_string()));
    assert_eq!(followed(&mut follower, "20").await, expected);
    // A follower that missed only messages does not receive the present members again.
    for number in 21..=40 {
        bot.publish("lobby", &number.to_string()).await.unwrap();
    }
    let expected: Vec<_> = (21..=40).map(|number| number.to_string()).collect();
    assert_eq!(followed(&mut follower, "40").await, expected);
}
