//! Properties of the framing: its result does not depend on how the bytes are split, and its memory is bounded.

use super::peer::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, frame};
use crate::ws::framing::WebSocketFraming;
use bytes::BytesMut;
use chat_core::CloseReason;
use chat_core::codec::Inbound;
use chat_core::protocol::Framing;
use proptest::collection::vec;
use proptest::prelude::*;

const MESSAGE_BYTES_MAX: usize = 300;

/// The result of the framing.
#[derive(Debug, Default, PartialEq)]
struct Given {
    items: Vec<Inbound>,
    answers: BytesMut,
    close: BytesMut,
    has_ended: bool,
    is_unfinished: bool,
}

/// Pushes the bytes in pieces. `pieces` has the lengths of the pieces, and is repeated until all bytes are pushed.
fn given(bytes: &[u8], pieces: &[usize]) -> Given {
    let mut framing = WebSocketFraming::new(MESSAGE_BYTES_MAX);
    let mut given = Given::default();
    let mut rest = bytes;
    for piece in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*piece).min(rest.len()));
        rest = after;
        framing.push(piece, &mut given.answers);
        assert!(framing.pending() <= MESSAGE_BYTES_MAX + 200 + 2 * piece.len());
        given.items.extend(std::iter::from_fn(|| framing.next()));
        assert!(framing.pending() <= MESSAGE_BYTES_MAX + 14 + 125);
        if !framing.is_unfinished() {
            assert_eq!((framing.pending(), framing.kept()), (0, 0));
        }
    }
    framing.close(&CloseReason::Disconnected, &mut given.close);
    given.has_ended = framing.has_ended();
    given.is_unfinished = framing.is_unfinished();
    given
}

/// A message in fragments, with control frames between them.
fn message() -> impl Strategy<Value = (Vec<u8>, String)> {
    let control = prop_oneof![Just(PING), Just(PONG)];
    let between = (control, vec(any::<u8>(), 0..=125));
    let cuts = vec(
        (any::<prop::sample::Index>(), proptest::option::of(between)),
        0..4,
    );
    (".{0,70}", cuts).prop_map(|(text, mut cuts)| {
        cuts.sort_by_key(|(at, _)| at.index(text.len() + 1));
        let mut bytes = Vec::new();
        let mut begin = 0;
        let opcode = |begin: &[u8]| if begin.is_empty() { TEXT } else { CONTINUATION };
        for (at, between) in cuts {
            let at = at.index(text.len() + 1);
            bytes.extend(frame(opcode(&bytes), &text.as_bytes()[begin..at]));
            begin = at;
            if let Some((control, payload)) = between {
                bytes.extend(frame(FIN | control, &payload));
            }
        }
        bytes.extend(frame(FIN | opcode(&bytes), &text.as_bytes()[begin..]));
        (bytes, text)
    })
}

/// Returns any frame. Most of these frames are not allowed at their place in the stream.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop_oneof![
        4 => Just(TEXT), 4 => Just(CONTINUATION), 2 => Just(PING), 1 => Just(CLOSE), 1 => Just(BINARY), 1 => 0_u8..16
    ];
    let payload = prop_oneof![
        ".{0,40}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..200),
        Just(vec![b'x'; 150]),
        Just(1000_u16.to_be_bytes().to_vec()),
    ];
    (
        prop_oneof![3 => Just(FIN), 2 => Just(0), 1 => any::<u8>()],
        opcode,
        payload,
    )
        .prop_map(|(bits, opcode, payload)| frame((bits & 0xf0) | opcode, &payload))
}

proptest! {
    #[test]
    fn any_split_of_valid_messages_gives_the_same_items(
        messages in vec(message(), 1..6),
        pieces in vec(1_usize..200, 1..20),
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let whole = given(&bytes, &[usize::MAX]);
        let texts: Vec<Inbound> = messages
            .iter()
            .map(|(_, text)| Inbound::Line(text.as_str().into()))
            .collect();
        prop_assert_eq!(&whole.items, &texts);
        prop_assert!(!whole.has_ended && !whole.is_unfinished);
        prop_assert_eq!(&given(&bytes, &pieces), &whole);
        prop_assert_eq!(&given(&bytes, &[1]), &whole);
    }

    #[test]
    fn any_split_of_any_frames_gives_the_same_items_and_the_same_end(
        frames in vec(any_frame(), 1..8),
        flip in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
        pieces in vec(1_usize..100, 1..20),
    ) {
        let mut bytes = frames.concat();
        if let Some((at, flip)) = flip {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        let whole = given(&bytes, &[usize::MAX]);
        prop_assert_eq!(&given(&bytes, &pieces), &whole);
        prop_assert_eq!(&given(&bytes, &[1]), &whole);
    }

    #[test]
    fn any_bytes_are_bounded_whether_or_not_the_peer_is_given_up(
        bytes in vec(any::<u8>(), 0..600),
        frames in vec(any_frame(), 0..4),
        pieces in vec(1_usize..100, 1..20),
    ) {
        let mut framing = WebSocketFraming::new(MESSAGE_BYTES_MAX);
        let bytes = [frames.concat(), bytes].concat();
        let mut rest = &bytes[..];
        for piece in pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*piece).min(rest.len()));
            rest = after;
            framing.push(piece, &mut BytesMut::new());
            while framing.next().is_some() {}
            if framing.is_unfinished() {
                framing.give_up();
            }
            prop_assert!(framing.pending() <= 14 + 125);
        }
    }
}

#[test]
fn a_member_that_is_idle_keeps_no_buffer() {
    let mut framing = WebSocketFraming::new(MESSAGE_BYTES_MAX);
    for _ in 0..3 {
        let frames = [frame(FIN | TEXT, b"hello"), frame(FIN | PING, b"x")].concat();
        framing.push(&frames, &mut BytesMut::new());
        assert!(framing.next().is_some());
        assert_eq!(framing.kept(), 0);
    }
    let size = size_of::<WebSocketFraming>();
    assert!(size <= 192, "{size} bytes");
}
