//! Simple programs: what they send besides text, and what they are able to read.

use crate::{members, unlimited};
use chat_core::{Hub, Peer};
use chat_testkit::TestHub;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// The most bytes of a greeting. A typical program reads with `recv(1024)`, and 24 bytes are kept in reserve.
const GREETING_BYTES_MAX: usize = 1000;

/// Returns a line of about 300 bytes.
fn korean(number: usize) -> String {
    format!("{number}{}", " 안녕하세요 여러분".repeat(11))
}

fn bytes(lines: &[String]) -> usize {
    lines.iter().map(|line| line.len() + 1).sum()
}

#[tokio::test(start_paused = true)]
async fn a_byte_order_mark_before_the_first_line_is_skipped() {
    for piece in [1, 2, 100] {
        let mut hub = unlimited();
        let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
        let mut program = hub.connect("program");
        for bytes in "\u{feff}/msg alice my password is 1234\n"
            .as_bytes()
            .chunks(piece)
        {
            program.sends_bytes(bytes).await;
            tokio::task::yield_now().await;
        }
        bob.sees("* guest-3 joined").await;
        alice
            .sees_in_time("14:02 guest-3 -> you: my password is 1234")
            .await;
        bob.sees_nothing().await;
        // Only the first byte-order mark is skipped. A later mark is an ordinary character.
        program.sends("\u{feff}/who").await;
        bob.sees("14:02 guest-3: \u{feff}/who").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_order_mark_alone_is_no_text() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut program = hub.connect("program");
    program.sends_bytes("\u{feff}".as_bytes()).await;
    program.sees_in_time("* here with you: alice").await;
    alice.sees("* guest-2 joined").await;
    program.sends_bytes("안녕".as_bytes()).await;
    alice.sees("14:02 guest-2: 안녕").await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_not_known_to_read_lines_is_greeted_in_a_thousand_bytes() {
    let mut hub = TestHub::build(Hub::builder().motd(&"be kind to each other\n".repeat(100)));
    let mut alice = hub.member("alice").await;
    alice
        .sends(&format!("/topic {}", "긴 주제 ".repeat(100)))
        .await;
    for number in 0..15 {
        alice.sends(&korean(number)).await;
    }
    alice.sees_until_quiet().await;
    for opening in ["", "안녕"] {
        let mut program = hub.connect("program");
        program.sends_bytes(opening.as_bytes()).await;
        tokio::time::sleep(std::time::Duration::from_millis(310)).await;
        let greeting = program.sees_until_quiet().await;
        let echo = greeting
            .iter()
            .filter(|line| line.ends_with(": 안녕"))
            .count();
        assert_eq!(echo, usize::from(!opening.is_empty()), "{greeting:?}");
        let greeting = &greeting[..greeting.len() - echo];
        assert!(bytes(greeting) <= GREETING_BYTES_MAX, "{greeting:?}");
        assert!(
            greeting
                .iter()
                .any(|line| line.starts_with("* you are guest-")),
            "{greeting:?}"
        );
        // The greeting contains the latest messages that fit, all of them complete.
        assert_eq!(
            greeting.last(),
            Some(&format!("14:02 alice: {}", korean(14))),
        );
        // After `/leave`, the peer is greeted in the lobby again. This greeting has the same size limit.
        program.sends_bytes(b"/join ops").await;
        tokio::time::sleep(std::time::Duration::from_millis(210)).await;
        program.sends_bytes(b"/leave").await;
        tokio::time::sleep(std::time::Duration::from_millis(210)).await;
        let again = program.sees_until_quiet().await;
        let lobby = again.iter().rposition(|line| line.ends_with(" in lobby"));
        assert!(
            bytes(&again[lobby.unwrap()..]) <= GREETING_BYTES_MAX,
            "{again:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_sent_a_line_is_shown_all_that_there_is() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    for number in 0..20 {
        alice.sends(&korean(number)).await;
    }
    alice.sees_until_quiet().await;
    let mut bob = hub.connect_saying("bob", ["/nick bob"]).await;
    let greeting = bob.sees_in_time("* you are now bob").await;
    let shown = greeting.iter().filter(|line| line.contains("안녕")).count();
    assert_eq!(shown, 20, "{greeting:?}");
}

/// A stream that records each write separately.
struct Writes {
    stream: DuplexStream,
    writes: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl AsyncRead for Writes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Writes {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.writes.lock().unwrap().push(bytes.to_vec());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_is_sent_goes_out_in_writes_of_whole_lines() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    for number in 0..20 {
        alice.sends(&korean(number)).await;
    }
    alice.sees_until_quiet().await;
    let writes = Arc::new(Mutex::new(Vec::new()));
    let (stream, _far) = tokio::io::duplex(64);
    hub.serve(
        Writes {
            stream,
            writes: Arc::clone(&writes),
        },
        Peer::default(),
    );
    alice.sees_in_time("* guest-2 joined").await;
    for number in 0..300 {
        alice.sends(&korean(number)).await;
        if number % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    alice.sees_until_quiet().await;
    let writes = writes.lock().unwrap();
    assert!(writes.len() > 10, "{} writes", writes.len());
    for bytes in writes.iter() {
        assert!(bytes.ends_with(b"\n"), "{}", String::from_utf8_lossy(bytes));
        assert!(std::str::from_utf8(bytes).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn korean_in_cp949_is_told_at_once_and_its_neighbours_are_kept() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut program = hub.connect("program");
    let began = tokio::time::Instant::now();
    program.sends_bytes("먼저".as_bytes()).await;
    tokio::task::yield_now().await;
    program.sends_bytes(b"\xbe\xc8\xb3\xe7").await;
    program
        .sees_in_time("! not UTF-8: message dropped; send UTF-8, this looks like CP949")
        .await;
    assert!(began.elapsed().is_zero(), "{:?}", began.elapsed());
    program.sends_bytes("다음".as_bytes()).await;
    alice.sees("* guest-2 joined").await;
    alice.sees("14:02 guest-2: 먼저").await;
    alice.sees("14:02 guest-2: 다음").await;
}

#[tokio::test(start_paused = true)]
async fn utf16_is_told_and_never_said() {
    let mark = "\u{feff}안녕\n".encode_utf16();
    let mut texts: Vec<Vec<u8>> = Vec::new();
    for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        texts.push(mark.clone().flat_map(bytes).collect());
        texts.push("안녕 hi\r\n".encode_utf16().flat_map(bytes).collect());
        texts.push("hi\n".encode_utf16().flat_map(bytes).collect());
    }
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    for text in texts {
        let mut program = hub.connect("program");
        program.sends_bytes(&text).await;
        program.sees("! send UTF-8: this looks like UTF-16").await;
        assert!(program.sees_the_end().await.is_empty());
        alice.sees_nothing().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_nul_ends_a_text_in_every_mode() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    let mut program = hub.connect("program");
    program.sends_bytes(b"two\0three\0").await;
    alice.sees("* guest-2 joined").await;
    for text in ["two", "three"] {
        alice.sees(&format!("14:02 guest-2: {text}")).await;
    }
    // First case: the peer has sent lines that end with newlines.
    let mut bob = hub.member("bob").await;
    alice.sees_until_quiet().await;
    bob.sends_bytes(b"four\0fi").await;
    bob.sends_bytes(b"ve\0\n").await;
    for text in ["four", "five"] {
        alice.sees(&format!("14:02 bob: {text}")).await;
    }
    // Second case: the peer sends no newlines.
    program.sends_bytes(b"six").await;
    alice.sees("14:02 guest-2: six").await;
    program.sends_bytes(b"seven\0eight").await;
    for text in ["seven", "eight"] {
        alice.sees(&format!("14:02 guest-2: {text}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_that_sends_each_key_may_correct_what_it_types() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    for key in "helloo\x7f 안녕하\x08\r".chars() {
        alice.sends_bytes(key.to_string().as_bytes()).await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    alice.sends_bytes(b"\n").await;
    bob.sees("14:02 alice: hello 안녕").await;
}

#[tokio::test(start_paused = true)]
async fn what_irc_clients_and_proxies_open_with_never_becomes_chat() {
    let mut hub = unlimited();
    let [mut alice] = members(&mut hub, ["alice"]).await;
    for (opening, answer) in [
        ("CAP LS 302\r\nNICK kim\r\nUSER kim 0 * :Kim\r\n", "ERROR :"),
        (
            "NICK kim\r\nUSER kim 0 * :Kim\r\nPRIVMSG #a :hi\r\n",
            "ERROR :",
        ),
        (
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nhello\r\n",
            "! no PROXY header",
        ),
        (
            "\r\n\r\n\0\r\nQUIT\n!\x11\0\x0chello\n",
            "! no PROXY header",
        ),
        // C programs may send the NUL at the end of a string.
        ("EHLO example.org\0", "554 "),
        ("CAP LS 302\0\n", "ERROR :"),
    ] {
        for is_greeted in [false, true] {
            let mut client = hub.connect("client");
            if is_greeted {
                client.sees_in_time("* here with you: alice").await;
                alice.sees_containing(" joined").await;
            }
            client.sends_bytes(opening.as_bytes()).await;
            let line = client.next_line().await.unwrap();
            assert!(line.starts_with(answer), "{opening:?}: {line:?}");
            assert!(client.sees_the_end().await.is_empty());
            if is_greeted {
                alice
                    .sees_containing(" left (gone: connection closed)")
                    .await;
            }
            alice.sees_nothing().await;
        }
    }
    let mut talker = hub.connect("talker");
    talker.sends("nick bob").await;
    alice.sees_containing(" joined").await;
    alice.sees_containing(": nick bob").await;
}

#[tokio::test(start_paused = true)]
async fn a_line_longer_than_any_message_must_end_in_time() {
    let mut hub = unlimited();
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    let began = tokio::time::Instant::now();
    alice.sends_bytes(&[b'x'; 5000]).await;
    for _ in 0..5 {
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        alice.sends_bytes(b"x").await;
        alice.sees_nothing().await;
    }
    alice
        .sees("! line dropped: its end did not come in time")
        .await;
    assert_eq!(began.elapsed().as_secs(), 60);
    // The server skips the rest of the line.
    alice.sends("the rest of it").await;
    alice.sends("hello").await;
    bob.sees("14:02 alice: hello").await;
    // A person who types slowly has no time limit.
    for key in "안녕하세요".chars() {
        alice.sends_bytes(key.to_string().as_bytes()).await;
        tokio::time::sleep(std::time::Duration::from_secs(50)).await;
    }
    alice.sends("").await;
    bob.sees("14:02 alice: 안녕하세요").await;
}

#[tokio::test(start_paused = true)]
async fn pauses_put_off_the_end_of_a_line_by_their_own_length_only() {
    let mut limits = chat_core::Limits::default();
    limits.rate = None;
    limits.queue_bytes = 4096.try_into().unwrap();
    let mut hub = TestHub::new(limits);
    let mut bob = hub.member("bob").await;
    let mut alice = hub.connect_with("alice", 64);
    alice.sends("/nick alice").await;
    alice.sees_in_time("* you are now alice").await;
    let began = tokio::time::Instant::now();
    alice.sends_bytes(&[b'x'; 5000]).await;
    for _ in 0..12 {
        tokio::time::sleep(std::time::Duration::from_secs(20)).await;
        // After these messages, so much output waits for alice that the server does not read from her.
        bob.sends(&"long".repeat(500)).await;
        bob.sends(&"long".repeat(500)).await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        alice.sends_bytes(b"x").await;
        let told = alice.sees_until_quiet().await;
        if told.iter().any(|line| line.starts_with("! line dropped")) {
            break;
        }
    }
    let took = began.elapsed().as_secs();
    assert!((62..=90).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_of_a_line_can_be_lifted() {
    let mut limits = chat_core::Limits::default();
    limits.line_timeout = None;
    let mut hub = TestHub::new(limits);
    let [mut alice, mut bob] = members(&mut hub, ["alice", "bob"]).await;
    alice.sends_bytes(&[b'/'; 5000]).await;
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    alice.sends("").await;
    alice.sees_containing("! message too long").await;
    bob.sees_nothing().await;
}
