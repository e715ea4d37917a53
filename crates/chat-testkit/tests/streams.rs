//! Scripted members and faulty streams, with paused time.

use chat_core::{CloseReason, Limits};
use chat_testkit::{Faults, FaultyStream, TestHub, Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn unlimited() -> TestHub {
    let mut limits = Limits::default();
    limits.rate = None;
    TestHub::new(limits)
}

/// Connects bob over a stream whose faults can be set. At first the stream works.
async fn faulty_bob(hub: &mut TestHub) -> (Wire, Faults) {
    let (mut bob, faults) = hub.connect_faulty("bob");
    bob.sends("/nick bob").await;
    bob.sees_in_time("* you are now bob").await;
    (bob, faults)
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_ends_and_its_member_leaves_once() {
    let mut hub = unlimited();
    let mut alice = hub.member("alice").await;
    let (mut bob, faults) = faulty_bob(&mut hub).await;
    alice.sees_in_time("* guest-2 is now bob").await;

    faults.cut();
    assert!(faults.is_cut());
    assert_eq!(hub.ended().await, CloseReason::Disconnected);
    alice.sees("* bob left (gone: connection closed)").await;
    alice.sees_nothing().await;
    bob.sees_the_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_after_some_bytes_gives_those_and_no_more() {
    let mut hub = unlimited();
    let mut alice = hub.member("alice").await;
    let (mut bob, faults) = faulty_bob(&mut hub).await;
    alice.sees_in_time("* guest-2 is now bob").await;

    let before = faults.passed();
    faults.cut_after("one\ntw".len());
    bob.sends_bytes(b"one\ntwo\nthree\n").await;
    alice.sees("14:02 bob: one").await;
    hub.ended().await;
    assert_eq!(faults.passed() - before, 6);
    let rest = alice.sees_until_quiet().await;
    assert!(!rest.iter().any(|line| line.contains("three")), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_amid_a_line_it_is_given_breaks_there() {
    let mut hub = unlimited();
    let mut alice = hub.member("alice").await;
    let (mut bob, faults) = faulty_bob(&mut hub).await;

    faults.cut_after("14:02 al".len());
    alice.sends("hello").await;
    hub.ended().await;
    assert_eq!(bob.next_bytes().await, b"14:02 al");
    assert!(bob.next_bytes().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_reset_breaks() {
    let mut hub = unlimited();
    let (_bob, faults) = faulty_bob(&mut hub).await;
    faults.reset();
    assert_eq!(hub.ended().await, CloseReason::Broken);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stalls_takes_and_gives_nothing_until_it_is_released() {
    let mut hub = unlimited();
    let mut alice = hub.member("alice").await;
    let (mut bob, faults) = faulty_bob(&mut hub).await;
    alice.sees_in_time("* guest-2 is now bob").await;

    faults.stall();
    bob.sends("from bob").await;
    alice.sends("from alice").await;
    alice.sees_nothing().await;
    bob.sees_nothing().await;
    faults.release();
    alice.sees("14:02 bob: from bob").await;
    bob.sees("14:02 alice: from alice").await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stalls_for_ever_is_given_up() {
    let mut hub = unlimited();
    let mut alice = hub.member("alice").await;
    let (_bob, faults) = faulty_bob(&mut hub).await;
    faults.stall();
    alice.sends("is anybody there?").await;
    assert_eq!(hub.ended().await, CloseReason::Stalled);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_single_bytes_says_the_same() {
    let mut hub = unlimited();
    let mut alice = hub.member("alice").await;
    let (mut bob, faults) = hub.connect_faulty("bob");
    faults.read_bytewise();
    faults.write_bytewise();
    bob.sends("/nick bob").await;
    bob.sees_in_time("* you are now bob").await;
    alice.sees_in_time("* guest-2 is now bob").await;
    bob.sends("안녕\nagain").await;
    alice.sees("14:02 bob: 안녕").await;
    alice.sees("14:02 bob: again").await;
    alice.sends("hello").await;
    bob.sees("14:02 alice: hello").await;
}

#[tokio::test]
async fn a_stream_of_single_bytes_takes_and_gives_one_at_a_time() {
    let (mut near, far) = tokio::io::duplex(64);
    let (mut far, faults) = FaultyStream::new(far);
    faults.read_bytewise();
    faults.write_bytewise();
    near.write_all(b"ab").await.unwrap();
    let mut buffer = [0; 8];
    assert_eq!(far.read(&mut buffer).await.unwrap(), 1);
    assert_eq!(far.write(b"ab").await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_member_may_begin_with_lines_of_its_own() {
    let mut hub = unlimited();
    let mut alice = hub.member("alice").await;
    let lines = ["/nick bob", "hello"];
    let mut bob = hub.connect_saying("bob", lines).await;
    bob.sees_in_time("* you are now bob").await;
    alice.sees_containing(" joined").await;
    alice
        .sees_that("bob renames", |line| line.ends_with("bob"))
        .await;
    let line = alice.sees_containing("hello").await;
    assert_eq!(line, "14:02 bob: hello");
}

#[tokio::test(start_paused = true)]
#[should_panic(
    expected = "expected that a line contains \"goodbye\", but there is \"14:02 bob: hello\""
)]
async fn what_is_not_seen_is_described_with_what_is() {
    let mut hub = unlimited();
    let mut alice = hub.member("alice").await;
    hub.connect_saying("bob", ["/nick bob", "hello"]).await;
    alice.sees_in_time("* guest-2 is now bob").await;
    alice.sees_containing("goodbye").await;
}
