//! WebSocket, the client's side (RFC 6455), for the peers whose messages are text frames.
//!
//! All clients use the same key and the same mask: a server accepts any key on each connection, and removes any mask at
//! the same cost.

use crate::peer::{Frame, lines};

/// The first bytes of frames: a complete text, a close, a ping and a pong (RFC 6455, section 5.2).
pub(super) const TEXT: u8 = 0x81;
pub(super) const CLOSE: u8 = 0x88;
pub(super) const PING: u8 = 0x89;
pub(super) const PONG: u8 = 0x8a;

/// The bit of the second byte that marks a masked frame.
const MASKED: u8 = 0x80;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The rest of the request's first line, and the headers of every request. The key is the example in RFC 6455, section
/// 1.3.
const REQUEST_HEADERS: &[u8] = b" HTTP/1.1\r\n\
    Host: 127.0.0.1\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n";

/// Appends the request that opens a WebSocket.
pub(super) fn push_request(target: &str, subprotocol: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(REQUEST_HEADERS);
    if let Some(subprotocol) = subprotocol {
        out.extend_from_slice(b"Sec-WebSocket-Protocol: ");
        out.extend_from_slice(subprotocol.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Reads the response to the request, or the first frame in `bytes`. `read` is given a frame's text, and the length of
/// the frame.
pub(super) fn next<'a>(
    bytes: &'a [u8],
    read: impl FnOnce(&'a [u8], usize) -> Frame<'a>,
) -> Frame<'a> {
    match bytes.first() {
        None => return Frame::Incomplete,
        Some(b'H') => return response(bytes),
        Some(_) => {}
    }
    let Some((payload, used)) = payload(bytes) else {
        return Frame::Incomplete;
    };
    match bytes[0] {
        TEXT => read(payload, used),
        PING => {
            let mut pong = Vec::new();
            push_frame(PONG, payload, &mut pong);
            Frame::Answer { bytes: pong, used }
        }
        CLOSE => lines::unexpected(payload.get(2..).unwrap_or(b"a close frame")),
        _ => lines::unexpected(&bytes[..used]),
    }
}

/// Appends a masked text frame.
pub(super) fn push_text(text: &[u8], out: &mut Vec<u8>) {
    push_frame(TEXT, text, out);
}

/// Reads the head of the response to the request.
fn response(bytes: &[u8]) -> Frame<'_> {
    const END: &[u8] = b"\r\n\r\n";
    match memchr::memmem::find(bytes, END) {
        None => Frame::Incomplete,
        Some(end) if bytes.starts_with(b"HTTP/1.1 101 ") => Frame::Switched {
            used: end + END.len(),
        },
        Some(end) => lines::unexpected(&bytes[..end]),
    }
}

/// Returns the payload of the frame at the start of `bytes`, and the length of the frame; `None` if it is incomplete.
fn payload(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (start, length): (usize, usize) = match bytes.get(1)? {
        126 => {
            let length = bytes[2..].first_chunk()?;
            (4, usize::from(u16::from_be_bytes(*length)))
        }
        127 => {
            let length = bytes[2..].first_chunk()?;
            (10, usize::try_from(u64::from_be_bytes(*length)).ok()?)
        }
        length => (2, usize::from(*length)),
    };
    let end = start.checked_add(length)?;
    Some((bytes.get(start..end)?, end))
}

/// Appends a masked frame.
fn push_frame(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    match payload.len() {
        length @ 0..=125 => out.push(MASKED | length as u8),
        length @ 126..=0xffff => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    out.extend(masked.map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
pub(super) mod testing {
    //! The frames of a server, for the tests of the peers.

    /// Returns a frame of a server.
    pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        if payload.len() < 126 {
            bytes.push(payload.len() as u8);
        } else {
            bytes.push(126);
            bytes.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Returns a frame of a client.
    pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        super::push_frame(first, payload, &mut bytes);
        bytes
    }
}
