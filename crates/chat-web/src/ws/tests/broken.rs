//! Frames that break the rules of RFC 6455, and frames that only seem to break them.

use super::peer::{
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, Raw, TEXT, frame, frame_of, unlimited,
};
use std::time::Duration;

const PING_COMMAND: &[u8] = br#"{"cmd":"ping","id":1}"#;

/// Sends a valid command and then these bytes. Expects the answer to the command, and a close frame.
async fn close_code(bytes: &[u8]) -> Option<u16> {
    let mut hub = unlimited();
    let mut raw = Raw::connect(&mut hub).await;
    raw.sends(&[&frame(FIN | TEXT, PING_COMMAND), bytes].concat())
        .await;
    assert_eq!(raw.sees_text().await, r#"{"re":1,"ok":{}}"#);
    raw.sees_close().await
}

#[tokio::test(start_paused = true)]
async fn what_breaks_the_protocol_ends_the_connection_with_1002() {
    let text = frame(TEXT, b"{");
    let mut unmasked = vec![FIN | TEXT, PING_COMMAND.len() as u8];
    unmasked.extend_from_slice(PING_COMMAND);
    let mut cases = vec![
        ("not masked", unmasked),
        ("a ping that is not masked", vec![FIN | PING, 0]),
        ("nothing to continue", frame(FIN | CONTINUATION, b"{}")),
        ("nothing to continue yet", frame(CONTINUATION, b"{}")),
        (
            "a text inside of a text",
            [&text[..], &frame(FIN | TEXT, b"{}")].concat(),
        ),
        (
            "binary inside of a text",
            [&text[..], &frame(FIN | BINARY, b"{}")].concat(),
        ),
        ("a fragmented ping", frame(PING, b"")),
        ("a fragmented pong", frame(PONG, b"")),
        ("a fragmented close", frame(CLOSE, b"")),
        ("a long ping", frame(FIN | PING, &[b'x'; 126])),
        ("a long pong", frame(FIN | PONG, &[b'x'; 126])),
        ("a long close", frame(FIN | CLOSE, &[3; 126])),
        ("half of a close code", frame(FIN | CLOSE, &[3])),
        ("a negative length", frame_of(FIN | TEXT, 1 << 63, b"")),
    ];
    for reserved in [0x10, 0x20, 0x40, 0x70] {
        cases.push(("reserved bits", frame(FIN | reserved | TEXT, b"{}")));
        cases.push(("reserved bits of a ping", frame(FIN | reserved | PING, b"")));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.push(("a reserved opcode", frame(FIN | opcode, b"")));
    }
    for code in [
        0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        cases.push((
            "a reserved close code",
            frame(FIN | CLOSE, &code.to_be_bytes()),
        ));
    }
    for (name, bytes) in cases {
        assert_eq!(close_code(&bytes).await, Some(1002), "{name}: {bytes:x?}");
    }
}

#[tokio::test(start_paused = true)]
async fn binary_messages_end_the_connection_with_1003() {
    for bytes in [frame(FIN | BINARY, b""), frame(BINARY, b"{}")] {
        assert_eq!(close_code(&bytes).await, Some(1003), "{bytes:x?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_utf8_ends_the_connection_with_1007() {
    let euro = "€".as_bytes();
    let mut reason = 1000_u16.to_be_bytes().to_vec();
    reason.push(0xff);
    for (name, bytes) in [
        ("an invalid byte", frame(FIN | TEXT, b"a\xffb")),
        ("a surrogate", frame(FIN | TEXT, b"\xed\xa0\x80")),
        ("beyond Unicode", frame(FIN | TEXT, b"\xf4\x90\x80\x80")),
        ("an overlong form", frame(FIN | TEXT, b"\xc0\xaf")),
        ("half of a character", frame(FIN | TEXT, &euro[..2])),
        (
            "half of a character in fragments",
            [
                frame(TEXT, &euro[..1]),
                frame(FIN | CONTINUATION, &euro[1..2]),
            ]
            .concat(),
        ),
        (
            "a character that a new one interrupts",
            [frame(TEXT, &euro[..2]), frame(FIN | CONTINUATION, euro)].concat(),
        ),
        // The next two messages have no end: the connection must end as soon as the text is invalid.
        ("an invalid first fragment", frame(TEXT, b"a\xff")),
        (
            "an invalid part of a frame",
            frame_of(FIN | TEXT, 1000, b"\xf4\x90"),
        ),
        ("a reason", frame(FIN | CLOSE, &reason)),
    ] {
        assert_eq!(close_code(&bytes).await, Some(1007), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_big_ends_the_connection_with_1009() {
    const MAX: usize = 64 * 1024;
    let half = vec![b' '; MAX / 2];
    for (name, bytes) in [
        ("one byte more", frame(FIN | TEXT, &vec![b' '; MAX + 1])),
        // The frame has no payload: the length in the header suffices for the refusal.
        ("a gigabyte", frame_of(FIN | TEXT, 1 << 30, b"")),
        (
            "the longest length",
            frame_of(FIN | TEXT, i64::MAX as u64, b""),
        ),
        (
            "in fragments",
            [
                frame(TEXT, &half),
                frame(CONTINUATION, &half),
                frame_of(FIN | CONTINUATION, 1, b""),
            ]
            .concat(),
        ),
    ] {
        assert_eq!(close_code(&bytes).await, Some(1009), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_is_answered_with_its_code_and_what_follows_is_ignored() {
    assert_eq!(close_code(&frame(FIN | CLOSE, b"")).await, None);
    for code in [
        1000_u16, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ] {
        for reason in ["", "안녕", &"x".repeat(123)] {
            let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
            let close = frame(FIN | CLOSE, &payload);
            let bytes = [close, frame(FIN | PING, b""), frame(FIN | TEXT, b"\xff")].concat();
            assert_eq!(close_code(&bytes).await, Some(code), "{code} {reason}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn control_frames_of_the_longest_payload_are_answered() {
    let mut hub = unlimited();
    let mut raw = Raw::connect(&mut hub).await;
    for length in [0, 1, 124, 125] {
        let payload = vec![0xfe; length];
        raw.sends(&frame(FIN | PING, &payload)).await;
        assert_eq!(raw.sees_frame().await, (FIN | PONG, payload));
    }
    raw.sends(&frame(FIN | PONG, &[0xff; 125])).await;
    raw.sees_nothing().await;
}

/// A length may be written in more bytes than it needs.
#[tokio::test(start_paused = true)]
async fn a_length_in_a_longer_form_is_accepted() {
    let mut hub = unlimited();
    let mut raw = Raw::connect(&mut hub).await;
    let mut bytes = vec![FIN | TEXT, 0x80 | 127];
    bytes.extend_from_slice(&(PING_COMMAND.len() as u64).to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(PING_COMMAND);
    raw.sends(&bytes).await;
    assert_eq!(raw.sees_text().await, r#"{"re":1,"ok":{}}"#);
}

#[tokio::test(start_paused = true)]
async fn frames_that_arrive_with_the_request_are_read() {
    let mut hub = unlimited();
    let mut raw = Raw::connect_sending(&mut hub, &frame(FIN | TEXT, PING_COMMAND)).await;
    raw.sees_head("101").await;
    assert_eq!(raw.sees_text().await, r#"{"re":1,"ok":{}}"#);
}

/// The text of a frame is never a line of another dialect, whatever it looks like.
#[tokio::test(start_paused = true)]
async fn text_that_is_a_line_of_another_dialect_is_refused() {
    let mut hub = unlimited();
    let mut alice = hub.member("alice").await;
    let mut raw = Raw::connect(&mut hub).await;
    raw.sends(&frame(FIN | TEXT, b"/nick mallory\nhello\n"))
        .await;
    assert!(raw.sees_text().await.contains("bad_request"));
    alice.sees_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_takes_too_long_is_dropped_and_the_next_one_is_read() {
    let mut hub = unlimited();
    let mut raw = Raw::connect(&mut hub).await;
    raw.sends(&frame(TEXT, b"{\"cmd\":")).await;
    for _ in 0..7 {
        tokio::time::sleep(Duration::from_secs(8)).await;
        raw.sends(&frame(CONTINUATION, b" ")).await;
        raw.sends(&frame(FIN | PONG, b"")).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let refused = raw.sees_text().await;
    assert!(
        refused.contains("its end did not come in time"),
        "{refused}"
    );
    raw.sends(&frame(CONTINUATION, b"\xff")).await;
    raw.sends(&frame(FIN | PING, b"still here")).await;
    raw.sends(&frame(FIN | CONTINUATION, b"\"ping\"}")).await;
    raw.sends(&frame(FIN | TEXT, PING_COMMAND)).await;
    assert_eq!(raw.sees_frame().await.0, FIN | PONG);
    assert_eq!(raw.sees_text().await, r#"{"re":1,"ok":{}}"#);
}
