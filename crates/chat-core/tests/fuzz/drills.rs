//! Drills with a crowd. Members join and leave often, and lagging members catch up at the same time. In some drills the
//! hub drains while this happens.

use crate::crowd::{Body, Crowd, Step};
use crate::harness::{check, in_paused_time};
use crate::recorder::{Recorder, Records};
use chat_core::log::MemoryJournal;
use chat_core::{Hub, HubBuilder, Limits};
use chat_testkit::{SlowJournal, WrappedJournal};
use proptest::prelude::*;
use proptest::sample::select;
use std::num::NonZeroUsize;
use std::time::Duration;

/// The settings of a drill.
#[derive(Debug, Clone)]
struct Setting {
    ring_batches: usize,
    queue_bytes: usize,
    journal_messages: usize,
    announce: usize,
    delivery_tasks: usize,
    /// The delay of each append in milliseconds, the last append first. `read` is the delay of every read.
    appends: Vec<u64>,
    read: u64,
    /// Whether all rooms are open at the start, so that a join does not wait for the journal.
    rooms_are_open: bool,
}

impl Setting {
    fn limits(&self) -> Limits {
        let size = |size| NonZeroUsize::new(size).unwrap();
        let mut limits = Limits::default();
        limits.rate = None;
        limits.ring_batches = size(self.ring_batches);
        limits.queue_bytes = size(self.queue_bytes);
        limits.journal_messages = size(self.journal_messages);
        limits.announce = self.announce;
        limits
    }

    fn crowd(&self) -> Crowd {
        let records = Records::default();
        let limits = self.limits();
        let builder = Hub::builder().delivery_tasks(self.delivery_tasks);
        let recorder = Recorder::new(&records, Duration::from_millis(self.read));
        let builder: HubBuilder = if self.appends.is_empty() {
            let journal = MemoryJournal::new(&limits);
            builder.journal(WrappedJournal::new(journal, recorder))
        } else {
            let delays = self.appends.iter().copied().map(Duration::from_millis);
            let journal = SlowJournal::new(delays.collect());
            builder.journal(WrappedJournal::new(journal, recorder))
        };
        let longest = self.appends.iter().max().copied().unwrap_or(0);
        let journal_time = Duration::from_millis(longest + self.read);
        // `Crowd` drops the future of a member's read after `read_time`, and the next read starts from the beginning.
        // So `read_time` must be longer than a read of the journal takes; otherwise no read would ever end.
        let is_slow = !self.appends.is_empty() || self.read > 0;
        let read_time = Duration::from_millis(self.read + u64::from(is_slow));
        Crowd::new(
            builder.limits(limits),
            records,
            journal_time,
            read_time,
            self.announce >= 100,
        )
    }
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..14_usize;
    let stream_bytes = select(vec![64, 100, 300, 1000, 4096]);
    prop_oneof![
        4 => (stream_bytes, any::<bool>()).prop_map(|(stream_bytes, echo)| Step::Arrive { stream_bytes, echo }),
        2 => (0..3_usize).prop_map(|room| Step::Embed { room }),
        4 => (who(), 0..3_usize).prop_map(|(who, room)| Step::Move { who, room }),
        2 => who().prop_map(|who| Step::Rename { who }),
        9 => (who(), 1..20_usize, 0..300_usize).prop_map(|(who, count, bytes)| Step::Say { who, count, bytes }),
        6 => (who(), 1..4000_usize).prop_map(|(who, count)| Step::Read { who, count }),
        1 => who().prop_map(|who| Step::Quit { who }),
        1 => who().prop_map(|who| Step::Close { who }),
        1 => who().prop_map(|who| Step::Vanish { who }),
        8 => Just(Step::Settle),
    ]
}

fn setting(
    appends: impl Strategy<Value = Vec<u64>>,
    queue_bytes: Vec<usize>,
) -> impl Strategy<Value = Setting> {
    (
        select(vec![2, 4, 8, 32, 128]),
        select(queue_bytes),
        select(vec![16, 50, 200, 1024]),
        select(vec![2, 5, 100, 100]),
        1..3_usize,
        appends,
        select(vec![0, 0, 1, 20]),
        any::<bool>(),
    )
        .prop_map(
            |(
                ring_batches,
                queue_bytes,
                journal_messages,
                announce,
                delivery_tasks,
                appends,
                read,
                rooms_are_open,
            )| Setting {
                ring_batches,
                queue_bytes,
                journal_messages,
                announce,
                delivery_tasks,
                appends,
                read,
                rooms_are_open,
            },
        )
}

async fn churn(setting: Setting, steps: Vec<Step>) {
    let mut crowd = setting.crowd();
    if setting.rooms_are_open {
        crowd.opens_rooms().await;
    }
    crowd.plays(&steps).await;
    crowd.comes_to_rest().await;
    crowd.check_hub().await;
    // If every join and leave is announced, each member knows the other members without a request.
    crowd.check_accounts(setting.announce == 100);
    for actor in &mut crowd.here {
        if let Body::Wire(wire) = &mut actor.body {
            wire.peer.push(b"/who\n");
        }
    }
    crowd.comes_to_rest().await;
    crowd.check_accounts(true);
    let open = crowd.stage.connections();
    let wires = crowd
        .here
        .iter()
        .filter(|actor| matches!(actor.body, Body::Wire(_)));
    assert_eq!(open, wires.count());
}

#[test]
fn after_any_churn_everybody_has_heard_all_and_knows_who_is_there() {
    let setting = setting(Just(Vec::new()), vec![64, 256, 4096, 64 * 1024, 256 * 1024]);
    let steps = prop::collection::vec(step(), 0..150);
    check(150, &(setting, steps), |(setting, steps)| {
        in_paused_time(move || churn(setting, steps));
    });
}

#[test]
fn lag_is_repaired_whoever_comes_and_goes_while_the_journal_takes_its_time() {
    let appends = prop::collection::vec(0..50_u64, 1..60);
    let setting = setting(appends, vec![64, 256, 1024]);
    let steps = prop::collection::vec(step(), 0..100);
    check(150, &(setting, steps), |(mut setting, steps)| {
        setting.rooms_are_open = true;
        in_paused_time(move || churn(setting, steps));
    });
}

#[test]
fn who_goes_to_a_room_that_the_journal_is_still_opening_is_shown_each_room_by_itself() {
    let setting = setting(Just(vec![0]), vec![1024, 64 * 1024]);
    let steps = prop::collection::vec(step(), 0..60);
    check(100, &(setting, steps), |(mut setting, steps)| {
        setting.rooms_are_open = false;
        in_paused_time(move || churn(setting, steps));
    });
}

#[test]
fn a_drain_at_any_moment_gives_everybody_what_was_said_and_one_goodbye() {
    let setting = setting(Just(Vec::new()), vec![64, 1024, 256 * 1024]);
    let steps = prop::collection::vec(step(), 0..80);
    check(150, &(setting, steps), |(setting, steps)| {
        in_paused_time(move || drain(setting, steps));
    });
}

#[test]
fn a_drain_while_the_journal_is_at_work_gives_everybody_the_same_end() {
    let appends = prop::collection::vec(0..50_u64, 1..40);
    let setting = setting(appends, vec![64, 1024, 256 * 1024]);
    let steps = prop::collection::vec(step(), 0..80);
    check(150, &(setting, steps), |(setting, steps)| {
        in_paused_time(move || drain(setting, steps));
    });
}

async fn drain(setting: Setting, steps: Vec<Step>) {
    let mut crowd = setting.crowd();
    crowd.opens_rooms().await;
    crowd.plays(&steps).await;
    crowd.stage.hub.drain();
    let began = tokio::time::Instant::now();
    while crowd.stage.connections() > 0 {
        assert!(
            began.elapsed() < Duration::from_secs(7),
            "the drain takes too long"
        );
        while crowd.reads_on().await {}
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    crowd.comes_to_rest().await;
    for actor in &crowd.here {
        match &actor.body {
            Body::Wire(wire) => {
                let lines = wire.peer.lines();
                let goodbyes = lines.iter().filter(|line| line.starts_with("* goodbye"));
                let last = lines.last().map(String::as_str);
                // A peer that was not greeted gets no goodbye.
                let expected = usize::from(!lines.is_empty());
                assert_eq!(goodbyes.count(), expected, "{lines:#?}");
                assert!(last.is_none_or(|last| last == "* goodbye: the server is shutting down"));
            }
            Body::Process(embedded) => assert!(embedded.has_heard_all()),
        }
    }
    crowd.check_drained();
}
