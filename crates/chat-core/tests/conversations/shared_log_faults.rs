//! Faults of a log that several hubs append to: the log begins anew, is lost or has gaps. Members are told of
//! everything that they miss.

use crate::shared_log::{event, hub, join, say};
use crate::slow;
use chat_core::log::{Followed, Gap, Log, Position};
use chat_core::{Event, Follower, Hub, JoinRequest, Limits, Member, MemberHandle, Seq};
use chat_testkit::{Intercept, SharedJournal, SharedNode, TestHub, WrappedJournal, in_words};
use futures::StreamExt;
use futures::future::ready;
use futures::stream::{self, BoxStream};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Waits longer than any delay of the journal.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// Receives until the member's session ends. Returns a description of each received message and gap.
async fn to_the_end(member: &mut Member) -> Vec<String> {
    let mut heard = Vec::new();
    let all = async {
        while let Some(event) = member.next().await {
            heard.extend(logged(&event));
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(3600), all);
    all.await.expect("the session ends");
    heard
}

/// Returns what the member receives next, in words.
async fn next_logged(member: &mut Member) -> String {
    loop {
        if let Some(words) = logged(&event(member).await) {
            return words;
        }
    }
}

/// Describes a message or a gap in words. Returns `None` for any other event.
fn logged(event: &Event) -> Option<String> {
    let is_logged = matches!(
        event,
        Event::Message(_) | Event::Replayed(_) | Event::Gap(_)
    );
    is_logged.then(|| in_words(event))
}

#[tokio::test(start_paused = true)]
async fn an_append_under_way_across_a_new_epoch_does_not_hold_up_the_drain() {
    let shared = SharedJournal::new(21);
    let (here, node) = hub(&shared, 1);
    let (_alice, mut alice) = join(&here, "alice").await;
    let (_bob, bob) = join(&here, "bob").await;
    say(&bob, "bob", 5).await;
    node.hold_answers(true);
    let late = async {
        let handle = MemberHandle::clone(&bob);
        handle.say("late").await
    };
    let begins_anew = async {
        settle().await;
        shared.reset("ops");
        settle().await;
        node.hold_answers(false);
    };
    let (late, ()) = tokio::join!(late, begins_anew);
    assert!(late.is_ok(), "{late:?}");
    here.drain();
    let heard = to_the_end(&mut alice).await;
    assert_eq!(heard.last().unwrap(), "OtherEpoch", "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_waits_while_the_log_begins_anew_shows_nothing_of_the_new_epoch() {
    let shared = SharedJournal::new(22);
    let test_hub = |node| {
        let mut limits = Limits::default();
        limits.rate = None;
        TestHub::build(Hub::builder().limits(limits).journal(shared.node(node)))
    };
    let [mut here, mut there] = [1, 2].map(test_hub);
    let mut bob = there.member("bob").await;
    for number in 0..3 {
        bob.sends(&format!("before {number}")).await;
    }
    settle().await;
    let mut slow = slow(&mut here).await;
    slow.sees_until_quiet().await;
    // The answer to /help fills the stream, so the replay waits until the peer reads.
    slow.sends_bytes(b"/help\n/history 3\n").await;
    settle().await;
    shared.reset("lobby");
    settle().await;
    for number in 0..3 {
        bob.sends(&format!("after {number}")).await;
    }
    settle().await;
    let mut lines = slow.sees_in_time("14:02 bob: after 2").await;
    lines.retain(|line| line.contains("bob: ") || line.contains("anew"));
    let expected = [
        "* the room's log began anew: messages missed",
        "14:02 bob: after 0",
        "14:02 bob: after 1",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_member_is_given_no_positions_of_an_epoch_that_the_room_does_not_know_yet() {
    let shared = SharedJournal::new(23);
    let [(here, node), (there, _)] = [1, 2].map(|node| hub(&shared, node));
    let (_alice, mut alice) = join(&here, "alice").await;
    let (_bob, bob) = join(&there, "bob").await;
    say(&bob, "before", 12).await;
    settle().await;
    node.hold();
    shared.reset("ops");
    settle().await;
    say(&bob, "after", 3).await;
    // The log has begun anew, but this hub has not noticed yet.
    let heard = next_logged(&mut alice).await;
    assert!(
        heard.starts_with("Unreadable(Some(Gap { from: Seq(1)"),
        "{heard}"
    );
    node.release();
    for expected in ["OtherEpoch", "after 0", "after 1", "after 2"] {
        assert_eq!(next_logged(&mut alice).await, expected);
    }
}

/// Lets `times` visitors join and leave the room. With enough visitors, a member that takes no events lags.
async fn come_and_go(hub: &Hub, times: usize) {
    for number in 0..times {
        drop(join(hub, &format!("visitor-{number}")).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_lags_while_the_log_is_lost_is_told() {
    let shared = SharedJournal::new(24);
    let [(here, node), (there, _)] = [1, 2].map(|node| hub(&shared, node));
    let (_alice, mut alice) = join(&here, "alice").await;
    let mut follower = here.follow("ops").unwrap();
    let mut wires = TestHub::over(here.clone());
    let mut slow = slow(&mut wires).await;
    slow.sends("/join ops").await;
    slow.sees_until_quiet().await;
    let (_bob, bob) = join(&there, "bob").await;
    slow.sends("/help").await;
    say(&bob, "bob", 3).await;
    settle().await;
    node.set_broken(true);
    settle().await;
    come_and_go(&here, 12).await;
    let expected = ["bob 0", "bob 1", "bob 2", "Unreadable(None)"];
    for expected in expected {
        assert_eq!(next_logged(&mut alice).await, expected);
    }
    let mut heard = Vec::new();
    while heard.len() < expected.len() {
        heard.extend(logged(&follower.next().await.unwrap().1));
    }
    assert_eq!(heard, expected);
    let unreadable = "* the room's log can't be read now: earlier messages are not shown";
    let lines = slow.sees_in_time(unreadable).await;
    assert!(
        lines.iter().any(|line| line.ends_with("bob: bob 2")),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_log_is_followed_again_from_what_was_delivered_last() {
    let shared = SharedJournal::new(25);
    let [(here, node), (there, _)] = [1, 2].map(|node| hub(&shared, node));
    let (_alice, mut alice) = join(&here, "alice").await;
    let (_carol, carol) = join(&here, "carol").await;
    let (_bob, bob) = join(&there, "bob").await;
    say(&bob, "before", 2).await;
    settle().await;
    node.set_broken(true);
    for expected in ["before 0", "before 1", "Unreadable(None)"] {
        assert_eq!(next_logged(&mut alice).await, expected);
    }
    say(&bob, "between", 3).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let began = tokio::time::Instant::now();
    let refused = carol.say("to nobody").await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(
        refused.to_string(),
        "not delivered: the room's log can't be used now (it can't be followed now), try again"
    );
    assert_eq!(here.stats().journal_outages, 1);
    node.set_broken(false);
    // The outage was reported once, however long it lasted. After the outage, the member receives the messages that
    // were published during it.
    for expected in ["between 0", "between 1", "between 2"] {
        assert_eq!(next_logged(&mut alice).await, expected);
    }
    assert!(began.elapsed() < Duration::from_secs(11));
    carol.say("to all").await.unwrap();
    assert_eq!(next_logged(&mut alice).await, "to all");
}

/// After a failure, the hub follows the log again. The new stream yields nothing, because nothing was appended. The hub
/// still counts the log as followed, because the stream does not end.
#[tokio::test(start_paused = true)]
async fn a_lost_log_that_is_silent_is_followed_again() {
    let shared = SharedJournal::new(36);
    let (here, node) = hub(&shared, 1);
    let (_alice, mut alice) = join(&here, "alice").await;
    let (_carol, carol) = join(&here, "carol").await;
    node.set_broken(true);
    assert_eq!(next_logged(&mut alice).await, "Unreadable(None)");
    assert!(carol.say("to nobody").await.is_err());
    node.set_broken(false);
    tokio::time::sleep(Duration::from_secs(3)).await;
    carol.say("to all").await.unwrap();
    assert_eq!(next_logged(&mut alice).await, "to all");
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_when_a_lost_log_is_followed_again_is_told() {
    let shared = SharedJournal::new(26);
    let [(here, node), (there, _)] = [1, 2].map(|node| hub(&shared, node));
    let (_alice, mut alice) = join(&here, "alice").await;
    let (_bob, bob) = join(&there, "bob").await;
    for begins_anew in [false, true] {
        node.set_broken(true);
        assert_eq!(next_logged(&mut alice).await, "Unreadable(None)");
        say(&bob, "gone", 3).await;
        if begins_anew {
            shared.reset("ops");
        } else {
            shared.let_go("ops");
        }
        say(&bob, "kept", 1).await;
        node.set_broken(false);
        let missed = next_logged(&mut alice).await;
        let expected = if begins_anew { "OtherEpoch" } else { "Expired" };
        assert!(missed.starts_with(expected), "{missed}");
        assert_eq!(next_logged(&mut alice).await, "kept 0");
    }
}

#[tokio::test(start_paused = true)]
async fn who_joins_while_the_log_is_lost_is_told_and_given_what_comes_later() {
    let shared = SharedJournal::new(27);
    let [(here, node), (there, _)] = [1, 2].map(|node| hub(&shared, node));
    let (_alice, _member) = join(&here, "alice").await;
    let (_bob, bob) = join(&there, "bob").await;
    node.set_broken(true);
    settle().await;
    let (_carol, mut carol) = join(&here, "carol").await;
    assert_eq!(next_logged(&mut carol).await, "Unreadable(None)");
    let mut wires = TestHub::over(here.clone());
    let mut dave = wires.member("dave").await;
    dave.sends("/join ops").await;
    let unreadable = "* the room's log can't be read now: earlier messages are not shown";
    dave.sees_in_time(unreadable).await;
    bob.say("hello").await.unwrap();
    node.set_broken(false);
    assert_eq!(next_logged(&mut carol).await, "hello");
    dave.sees_containing("bob: hello").await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_log_holds_up_neither_an_append_nor_a_drain() {
    let shared = SharedJournal::new(28);
    let (here, node) = hub(&shared, 1);
    let (_alice, mut alice) = join(&here, "alice").await;
    let (_bob, bob) = join(&here, "bob").await;
    node.hold();
    node.hold_answers(true);
    let lose = async {
        settle().await;
        node.set_broken(true);
        settle().await;
        node.hold_answers(false);
    };
    let (said, ()) = tokio::join!(bob.say("under way"), lose);
    assert!(said.is_ok(), "{said:?}");
    here.drain();
    assert_eq!(to_the_end(&mut alice).await, ["Unreadable(None)"]);
}

/// A fault of the stream of a followed log. While the fault is set, the stream panics or ends instead of yielding its
/// next item. In the second case, each new stream ends after 500 ms.
struct Fault {
    is_set: AtomicBool,
    panics: bool,
    /// The positions that the room has passed to `follow`.
    followed_after: Mutex<Vec<Position>>,
}

impl Fault {
    fn new(panics: bool) -> Arc<Self> {
        Arc::new(Self {
            is_set: AtomicBool::new(false),
            panics,
            followed_after: Mutex::default(),
        })
    }

    fn set(&self, is_set: bool) {
        self.is_set.store(is_set, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        let is_set = self.is_set.load(Ordering::Relaxed);
        assert!(!(is_set && self.panics), "the log is broken");
        is_set
    }
}

#[derive(Clone)]
struct Faulty(Arc<Fault>);

impl Intercept for Faulty {
    fn follow(&self, log: &impl Log, after: Position) -> Option<BoxStream<'static, Followed>> {
        self.0.followed_after.lock().unwrap().push(after);
        if self.0.is_set() {
            let ends = tokio::time::sleep(Duration::from_millis(500));
            return Some(stream::once(ends).filter_map(|()| ready(None)).boxed());
        }
        let fault = Arc::clone(&self.0);
        let followed = log.follow(after)?;
        Some(followed.take_while(move |_| ready(!fault.is_set())).boxed())
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_panics_is_a_lost_log() {
    let shared = SharedJournal::new(33);
    let fault = Fault::new(true);
    let journal = WrappedJournal::new(shared.node(1), Faulty(Arc::clone(&fault)));
    let here = Hub::builder().journal(journal).build();
    let (there, _) = hub(&shared, 2);
    let (_alice, mut alice) = join(&here, "alice").await;
    let (_bob, bob) = join(&there, "bob").await;
    fault.set(true);
    say(&bob, "bob", 2).await;
    assert_eq!(next_logged(&mut alice).await, "Unreadable(None)");
    // Each new attempt to follow the log panics, too.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(alice.say("to nobody").await.is_err());
    fault.set(false);
    for expected in ["bob 0", "bob 1"] {
        assert_eq!(next_logged(&mut alice).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_whose_streams_end_late_is_lost_once() {
    let shared = SharedJournal::new(35);
    let fault = Fault::new(false);
    let journal = WrappedJournal::new(shared.node(1), Faulty(Arc::clone(&fault)));
    let here = Hub::builder().journal(journal).build();
    let (there, _) = hub(&shared, 2);
    let (_alice, mut alice) = join(&here, "alice").await;
    let (_bob, bob) = join(&there, "bob").await;
    let delivered = bob.say("delivered").await.unwrap();
    assert_eq!(next_logged(&mut alice).await, "delivered");
    fault.set(true);
    bob.say("lost").await.unwrap();
    assert_eq!(next_logged(&mut alice).await, "Unreadable(None)");
    for _ in 0..600 {
        // Each new stream ends without a message, so the room can't follow the log and refuses the message.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(alice.say("to nobody").await.is_err());
    }
    assert_eq!(here.stats().journal_outages, 1);
    fault.set(false);
    assert_eq!(next_logged(&mut alice).await, "lost");
    let followed_after = fault.followed_after.lock().unwrap();
    assert!(followed_after.len() > 2);
    assert!(followed_after[1..].iter().all(|at| at.seq == delivered));
}

/// Returns a hub that forgets a room as soon as the room is empty, and the hub's node of the journal.
fn forgetful_hub(shared: &SharedJournal, rooms: usize) -> (Hub, SharedNode) {
    let mut limits = Limits::default();
    limits.rate = None;
    limits.ring_batches = NonZeroUsize::new(8).unwrap();
    limits.rooms = NonZeroUsize::new(rooms).unwrap();
    limits.empty_rooms = 0;
    let node = shared.node(1);
    let hub = Hub::builder().limits(limits).journal(node.clone()).build();
    (hub, node)
}

/// Returns what the follower receives next, in words.
async fn followed(follower: &mut Follower) -> String {
    loop {
        let next = tokio::time::timeout(Duration::from_secs(3600), follower.next());
        if let Some(words) = logged(&next.await.expect("nothing came").unwrap().1) {
            return words;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_is_given_what_other_hubs_append_while_the_room_is_forgotten_here() {
    let shared = SharedJournal::new(29);
    let (here, _) = forgetful_hub(&shared, 9);
    let (there, _) = hub(&shared, 2);
    let mut followers = [here.follow("ops").unwrap(), here.follow_all()];
    let (_bob, bob) = join(&there, "bob").await;
    drop(join(&here, "alice").await);
    for (what, expected) in [
        ("nothing", ""),
        ("expires", "Expired"),
        ("begins anew", "OtherEpoch"),
    ] {
        let alice = join(&here, "alice").await;
        say(&bob, "live", 1).await;
        settle().await;
        drop(alice);
        assert!(here.info("ops").is_none());
        say(&bob, "between", 2).await;
        match what {
            "expires" => shared.let_go("ops"),
            "begins anew" => shared.reset("ops"),
            _ => {}
        }
        let _alice = join(&here, "alice").await;
        say(&bob, "again", 1).await;
        for follower in &mut followers {
            assert_eq!(followed(follower).await, "live 0");
            if what == "nothing" {
                assert_eq!(followed(follower).await, "between 0");
                assert_eq!(followed(follower).await, "between 1");
            } else {
                let missed = followed(follower).await;
                assert!(missed.starts_with(expected), "{missed}");
            }
            assert_eq!(followed(follower).await, "again 0");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_lags_while_a_room_is_opened_anew_is_given_each_message_once() {
    let shared = SharedJournal::new(30);
    let (here, _) = forgetful_hub(&shared, 9);
    let (there, _) = hub(&shared, 2);
    let (_bob, bob) = join(&there, "bob").await;
    let carol = here.session(Some("carol")).await.unwrap();
    let noise = carol.join("noise").await.unwrap();
    // How many messages are published: numbers around the size of the ring.
    let counts = [0, 1, 6, 7, 8, 12];
    for case in 0..6 * 6 * 2 {
        let (before, after) = (counts[case % 6], counts[case / 6 % 6]);
        let is_noisy = case / 36 == 1;
        let mut follower = here.follow_all();
        let alice = join(&here, "alice").await;
        bob.say("first").await.unwrap();
        assert_eq!(followed(&mut follower).await, "first");
        // The messages that make the follower lag may be in another room.
        say(&noise, "noise", if is_noisy { 12 } else { 0 }).await;
        settle().await;
        say(&bob, "before", before).await;
        settle().await;
        drop(alice);
        say(&bob, "between", 2).await;
        let _alice = join(&here, "alice").await;
        say(&bob, "after", after).await;
        settle().await;
        let mut heard = Vec::new();
        while let Ok(Some((room, event))) =
            tokio::time::timeout(Duration::from_secs(1), follower.next()).await
        {
            heard.extend(logged(&event).filter(|_| room.as_str() == "ops"));
        }
        let all = [("before", before), ("between", 2), ("after", after)];
        let all = all
            .into_iter()
            .flat_map(|(nick, count)| (0..count).map(move |number| format!("{nick} {number}")));
        assert_eq!(
            heard,
            all.collect::<Vec<_>>(),
            "{before} {after} {is_noisy}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_remembers_a_bounded_number_of_rooms_and_tells_what_it_can_not_know() {
    let shared = SharedJournal::new(31);
    let (here, _) = forgetful_hub(&shared, 2);
    let (there, _) = hub(&shared, 2);
    let mut follower = here.follow_all();
    let bob = there.session(Some("bob")).await.unwrap();
    let alice = here.session(Some("alice")).await.unwrap();
    for number in 0..9 {
        let room = format!("room-{number}");
        bob.publish(&room, "early").await.unwrap();
        let member = alice.join(room.as_str()).await.unwrap();
        bob.publish(&room, &format!("live {number}")).await.unwrap();
        // After the follower has forgotten rooms, it can't know whether a room is new or was forgotten. So other events
        // may come before this message.
        while followed(&mut follower).await != format!("live {number}") {}
        drop(member);
    }
    bob.publish("room-0", "missed").await.unwrap();
    bob.publish("room-8", "between").await.unwrap();
    let _member = alice.join("room-0").await.unwrap();
    bob.publish("room-0", "live").await.unwrap();
    for expected in ["Unreadable(None)", "live"] {
        assert_eq!(followed(&mut follower).await, expected);
    }
    let _member = alice.join("room-8").await.unwrap();
    assert_eq!(followed(&mut follower).await, "between");
}

#[tokio::test(start_paused = true)]
async fn a_hole_in_the_middle_of_a_log_is_told_to_lagging_members_too() {
    let shared = SharedJournal::new(32);
    let [(here, node), (there, _)] = [1, 2].map(|node| hub(&shared, node));
    let (_alice, mut live) = join(&here, "alice").await;
    let (_bob, bob) = join(&there, "bob").await;
    say(&bob, "before", 2).await;
    while next_logged(&mut live).await != "before 1" {}
    let (_carol, mut lagging) = join(&here, "carol").await;
    let mut follower = here.follow("ops").unwrap();
    node.hold();
    let from = bob.say("lost 0").await.unwrap();
    let to = bob.say("lost 1").await.unwrap();
    say(&bob, "after", 12).await;
    shared.lose("ops", Gap { from, to });
    node.release();
    let missed = next_logged(&mut live).await;
    assert!(
        missed.starts_with("Expired") && missed.contains(&format!("to: {to:?}")),
        "{missed}"
    );
    assert_eq!(next_logged(&mut live).await, "after 0");
    settle().await;
    // The first page begins with the gap. A page with messages before the gap would end before the gap.
    assert_eq!(next_logged(&mut lagging).await, missed);
    assert_eq!(next_logged(&mut lagging).await, "after 0");
    assert_eq!(followed(&mut follower).await, missed);
    assert_eq!(followed(&mut follower).await, "after 0");
    let whole = JoinRequest::from("ops").resume(Position {
        seq: Seq::START,
        ..lagging.info().position
    });
    let dave = here.session(Some("dave")).await.unwrap();
    let mut replaying = dave.join(whole).await.unwrap();
    for expected in [
        "replayed before 0",
        "replayed before 1",
        &missed,
        "replayed after 0",
    ] {
        assert_eq!(next_logged(&mut replaying).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_given_the_rest_of_a_log_that_begins_anew_is_told() {
    let shared = SharedJournal::new(34);
    let mut limits = Limits::default();
    limits.rate = None;
    limits.queue_bytes = NonZeroUsize::new(4096).unwrap();
    let here = Hub::builder()
        .limits(limits)
        .journal(shared.node(1))
        .build();
    let (there, _) = hub(&shared, 2);
    let mut wires = TestHub::over(here.clone());
    let mut slow = slow(&mut wires).await;
    let bob = there.session(Some("bob")).await.unwrap();
    for number in 0..100 {
        let text = format!("bob {number} {}", "long ".repeat(50));
        bob.publish("lobby", &text).await.unwrap();
    }
    // The peer's queue is full. The server reads the remaining messages from the log, page by page, as the peer reads.
    here.drain();
    settle().await;
    shared.reset("lobby");
    settle().await;
    let lines = slow.sees_the_end().await;
    let is_anew = |line: &String| line == "* the room's log began anew: messages missed";
    let at = lines.iter().position(is_anew);
    let before = lines.iter().take_while(|line| !is_anew(line));
    let texts: Vec<_> = before.filter(|line| line.contains("bob: bob ")).collect();
    assert!(at.is_some() && texts.len() < 100, "{at:?} {lines:?}");
}
