//! Clients that send no newline, such as the ten-line socket program of every tutorial.

use crate::{members, unlimited};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_client_without_newlines_is_heard_and_hears_itself() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut pupil = hub.connect("pupil");
    pupil.sends_bytes("안녕".as_bytes()).await;
    alice.sees("* guest-2 joined").await;
    alice.sees("14:02 guest-2: 안녕").await;
    pupil.sees_in_time("14:02 guest-2: 안녕").await;
    alice.sends("어서 와").await;
    pupil.sees("14:02 alice: 어서 와").await;
    pupil.sends_bytes(b"/nick kim").await;
    pupil.sees("* you are now kim").await;
    pupil.sends_bytes(b"one\ntwo").await;
    for text in ["one", "two"] {
        pupil.sees(&format!("14:02 kim: {text}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_arrives_in_pieces_is_one_message() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    let text = "가나다라".repeat(300);
    for piece in text.as_bytes().chunks(1201) {
        alice.sends_bytes(piece).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    bob.sees_nothing().await;
    alice.sends("").await;
    bob.sees(&format!("14:02 alice: {text}")).await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_stream_ends_a_text() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut script = hub.connect("script");
    script.sends_bytes(b"no newline").await;
    script.ends().await;
    alice.sees("* guest-2 joined").await;
    alice.sees("14:02 guest-2: no newline").await;
    alice.sees("* guest-2 left (gone: connection closed)").await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_comes_and_goes_without_a_word_is_not_announced() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut probe = hub.connect("probe");
    probe.ends().await;
    assert!(probe.sees_the_end().await.is_empty());
    alice.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn chunks_are_held_to_the_rate_too() {
    let mut hub = chat_testkit::TestHub::default();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut pupil = hub.connect("pupil");
    let began = tokio::time::Instant::now();
    for number in 0..40 {
        pupil
            .sends_bytes(format!("message {number};").as_bytes())
            .await;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    pupil.ends().await;
    pupil.sees_the_end().await;
    // The rate allows twenty messages at once, then five a second. Texts that wait are merged into one message, and no
    // text is lost.
    let seen = alice
        .sees_in_time("* guest-2 left (gone: connection closed)")
        .await
        .join("");
    let numbers = (0..40)
        .filter(|number| seen.contains(&format!("message {number};")))
        .count();
    assert_eq!(numbers, 40, "{seen}");
    let messages = seen.matches("guest-2: ").count();
    assert!(
        messages <= 20 + 1 + began.elapsed().as_secs() as usize * 5,
        "{messages} messages passed"
    );
}

#[tokio::test(start_paused = true)]
async fn an_endless_beginning_is_told_once_and_its_peer_goes_on() {
    let mut hub = unlimited();
    let mut endless = hub.connect_with("endless", 64 * 1024);
    // The line is longer than the stream holds, so the send succeeds only if the server reads the line. A test of the
    // codec checks that the line is not kept in memory.
    endless.sends_bytes(&vec![b'y'; 1024 * 1024]).await;
    endless
        .sees_in_time("! line too long (limit 8192 bytes)")
        .await;
    endless.sends("").await;
    endless.sends("/nick finite").await;
    endless.sees("* you are now finite").await;
}
