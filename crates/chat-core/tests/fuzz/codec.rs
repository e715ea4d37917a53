//! The line codec gives the expected lines for any bytes in any chunks.

use crate::harness::check;
use bytes::BytesMut;
use chat_core::codec::{Charset, Inbound, LineCodec};
use proptest::prelude::*;
use proptest::sample::Index;
use tokio_util::codec::Decoder;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[a-z]{0,12}".prop_map(String::into_bytes),
        4 => prop::sample::select(vec!["\n", "\r\n", "\r\0", "\r", "\0", "\r\r\n", "한글"])
            .prop_map(|piece| piece.as_bytes().to_vec()),
        1 => (0..80_usize).prop_map(|count| vec![b'x'; count]),
        2 => prop::collection::vec(any::<u8>(), 0..24),
    ];
    prop::collection::vec(piece, 0..32).prop_map(|pieces| pieces.concat())
}

fn decode(limit: usize, chunks: &[&[u8]]) -> Vec<Inbound> {
    let (mut codec, mut buffer) = (LineCodec::new(limit), BytesMut::new());
    let mut found = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        while let Some(inbound) = codec.decode(&mut buffer).unwrap() {
            found.push(inbound);
        }
        assert!(buffer.len() <= limit + 1, "it holds {} bytes", buffer.len());
    }
    while let Some(inbound) = codec.decode_eof(&mut buffer).unwrap() {
        found.push(inbound);
    }
    assert!(buffer.is_empty());
    found
}

/// Computes the expected lines in a simple and slow way.
fn lines(limit: usize, bytes: &[u8]) -> Vec<Inbound> {
    let mut found = Vec::new();
    let mut line = Vec::new();
    for (at, &byte) in bytes.iter().enumerate() {
        let follows_return = at > 0 && bytes[at - 1] == b'\r' && line.last() == Some(&b'\r');
        if byte == b'\n' || byte == b'\0' && follows_return {
            if follows_return {
                line.pop();
            }
            found.push(inbound(limit, &line));
            line.clear();
        } else {
            line.push(byte);
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if !line.is_empty() {
        found.push(inbound(limit, &line));
    }
    found
}

fn inbound(limit: usize, line: &[u8]) -> Inbound {
    match std::str::from_utf8(line) {
        _ if line.len() > limit => Inbound::Oversized,
        Ok(text) => Inbound::Line(text.into()),
        Err(_) => Inbound::NotUtf8(Charset::guess(line)),
    }
}

#[test]
fn any_bytes_in_any_chunks_give_the_lines_that_they_hold() {
    let cuts = prop::collection::vec(any::<Index>(), 0..12);
    check(
        2000,
        &(bytes(), cuts, 1..40_usize),
        |(bytes, cuts, limit)| {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            assert_eq!(decode(limit, &chunks), lines(limit, &bytes));
        },
    );
}
