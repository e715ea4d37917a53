//! The framing of WebSocket, the server's side (RFC 6455, sections 5 to 8).
//!
//! Invariant: a connection that is idle between two messages keeps no buffer. The bytes of a message are unmasked and
//! checked as they arrive, so an invalid message ends the connection before the message is complete.

use bytes::{BufMut, BytesMut};
use chat_core::CloseReason;
use chat_core::codec::Inbound;
use chat_core::protocol::Framing;
use std::collections::VecDeque;

/// A ping without a payload.
pub(super) const PING: [u8; 2] = [FIN | Opcode::Ping as u8, 0];

/// Divides the frames of a client into messages. Only text is accepted.
pub(super) struct WebSocketFraming {
    /// The maximum length of a message in bytes.
    message_bytes_max: u32,
    /// The beginning of a header that is not complete yet.
    header: Header,
    /// The frame whose payload is being received.
    frame: Option<Frame>,
    /// The message that has begun and whose last frame has not ended.
    message: Option<Message>,
    /// The payloads of the complete messages that `next` has not returned. The payload of the unfinished message
    /// follows.
    payloads: BytesMut,
    /// The lengths of the complete messages in `payloads`.
    lengths: VecDeque<u32>,
    /// The payload of a control frame that is not complete yet.
    control: Vec<u8>,
    /// Whether the unfinished message is dropped. This includes a message of which only a part of the first header has
    /// arrived.
    is_skipping: bool,
    /// Why the input has ended. `None` if the input has not ended.
    end: Option<End>,
}

/// The bytes of a frame's header that have arrived. The longest header of a masked frame has 14 bytes.
#[derive(Default)]
struct Header {
    bytes: [u8; 14],
    length: u8,
}

/// A frame whose header is complete.
struct Frame {
    opcode: Opcode,
    is_last: bool,
    mask: [u8; 4],
    /// Number of payload bytes that have arrived.
    taken: u64,
    length: u64,
}

/// A message whose last frame has not been received completely.
#[derive(Default)]
struct Message {
    /// The number of payload bytes of this message that have arrived. They are at the end of `payloads`.
    length: usize,
    /// The number of bytes of the message that are known to be complete UTF-8 characters.
    checked: usize,
}

/// The contents of the first two bytes of a frame's header.
struct Start {
    opcode: Opcode,
    is_last: bool,
    /// The length, or 126 or 127 if a longer form of the length follows.
    short_length: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

/// Why the input has ended.
enum End {
    /// The peer has sent a close frame with this code. The answer has the same code.
    ByPeer(Option<u16>),
    /// The peer has broken a rule.
    Failed(Failure),
}

/// A rule that the peer has broken: the status code of the close frame, and an explanation.
#[derive(Debug, Clone, Copy)]
struct Failure(u16, &'static str);

/// The bit of the first byte that marks the last frame of a message.
const FIN: u8 = 0x80;

/// The bits of the first byte that only extensions use. The server agrees to no extension.
const RESERVED: u8 = 0x70;

/// The bit of the second byte that marks a masked payload.
const MASKED: u8 = 0x80;

/// The maximum payload of a control frame in bytes (RFC 6455, section 5.5).
const CONTROL_BYTES_MAX: u8 = 125;

/// Special values of the length field (RFC 6455, section 5.2). The payload's length follows in the next two bytes, or
/// in the next eight bytes.
const LENGTH_IN_2: u8 = 126;
const LENGTH_IN_8: u8 = 127;

/// Status codes of close frames (RFC 6455, section 7.4.1).
const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
const UNSUPPORTED: u16 = 1003;
const NOT_UTF8: u16 = 1007;
const POLICY: u16 = 1008;
const TOO_BIG: u16 = 1009;
const INTERNAL_ERROR: u16 = 1011;

impl WebSocketFraming {
    pub(super) fn new(message_bytes_max: usize) -> Self {
        Self {
            message_bytes_max: u32::try_from(message_bytes_max).unwrap_or(u32::MAX),
            header: Header::default(),
            frame: None,
            message: None,
            payloads: BytesMut::new(),
            lengths: VecDeque::new(),
            control: Vec::new(),
            is_skipping: false,
            end: None,
        }
    }

    /// Reads a header, or a part of the payload after it. Returns the bytes after what was read.
    fn read<'a>(&mut self, bytes: &'a [u8], answers: &mut BytesMut) -> Result<&'a [u8], Failure> {
        let (frame, bytes) = match self.frame.take() {
            Some(frame) => (frame, bytes),
            None => match self.read_header(bytes)? {
                (Some(frame), rest) => (frame, rest),
                (None, rest) => return Ok(rest),
            },
        };
        self.read_payload(frame, bytes, answers)
    }

    /// Takes the bytes of a header from `bytes`. Returns the frame if the header is complete, and the remaining bytes.
    fn read_header<'a>(&mut self, bytes: &'a [u8]) -> Result<(Option<Frame>, &'a [u8]), Failure> {
        let bytes = self.header.fill(2, bytes);
        let Some(start) = self.header.start()? else {
            return Ok((None, bytes));
        };
        self.check_order(&start)?;
        let bytes = self.header.fill(start.header_bytes(), bytes);
        let Some(frame) = self.header.frame(&start)? else {
            return Ok((None, bytes));
        };
        self.header = Header::default();
        if !frame.opcode.is_control() {
            let before = self.message.get_or_insert_default().length as u64;
            if frame.length > u64::from(self.message_bytes_max).saturating_sub(before) {
                return Err(Failure(TOO_BIG, "the message is too big"));
            }
        }
        Ok((Some(frame), bytes))
    }

    /// Checks that a frame may follow the frames before it.
    fn check_order(&self, start: &Start) -> Result<(), Failure> {
        match (start.opcode, &self.message) {
            (Opcode::Continuation, None) => {
                Err(Failure(PROTOCOL_ERROR, "there is no message to continue"))
            }
            (Opcode::Text | Opcode::Binary, Some(_)) => Err(Failure(
                PROTOCOL_ERROR,
                "the message before is not complete",
            )),
            (Opcode::Binary, None) => Err(Failure(UNSUPPORTED, "only text is accepted")),
            _ => Ok(()),
        }
    }

    /// Reads a part of the payload of `frame`. If the part holds the last byte of the payload, also finishes the frame.
    /// Returns the bytes after the part.
    fn read_payload<'a>(
        &mut self,
        mut frame: Frame,
        bytes: &'a [u8],
        answers: &mut BytesMut,
    ) -> Result<&'a [u8], Failure> {
        let left = usize::try_from(frame.length - frame.taken).unwrap_or(usize::MAX);
        let (piece, rest) = bytes.split_at(left.min(bytes.len()));
        if frame.opcode.is_control() {
            let start = self.control.len();
            self.control.extend_from_slice(piece);
            frame.unmask(&mut self.control[start..]);
        } else if !self.is_skipping {
            let start = self.payloads.len();
            // The bytes after this frame are mostly the payloads of further messages.
            self.payloads.reserve(bytes.len());
            self.payloads.extend_from_slice(piece);
            frame.unmask(&mut self.payloads[start..]);
            self.check_text(piece.len())?;
        }
        frame.taken += piece.len() as u64;
        if frame.taken < frame.length {
            self.frame = Some(frame);
        } else if frame.opcode.is_control() {
            self.end_control(frame.opcode, answers)?;
        } else if frame.is_last {
            self.end_message()?;
        }
        Ok(rest)
    }

    /// Notes that the unfinished message has `added` further bytes, and checks that they are UTF-8. The last character
    /// may be incomplete.
    fn check_text(&mut self, added: usize) -> Result<(), Failure> {
        let Some(message) = &mut self.message else {
            return Ok(());
        };
        message.length += added;
        let unchecked = self.payloads.len() - (message.length - message.checked);
        match std::str::from_utf8(&self.payloads[unchecked..]) {
            Ok(_) => message.checked = message.length,
            Err(error) if error.error_len().is_none() => message.checked += error.valid_up_to(),
            Err(_) => return Err(Failure(NOT_UTF8, "the text is not UTF-8")),
        }
        Ok(())
    }

    fn end_message(&mut self) -> Result<(), Failure> {
        let is_incomplete = |message: &Message| message.checked < message.length;
        if self.message.as_ref().is_some_and(is_incomplete) {
            return Err(Failure(NOT_UTF8, "the text ends in a part of a character"));
        }
        let message = self.message.take().unwrap_or_default();
        if std::mem::take(&mut self.is_skipping) {
            return Ok(());
        }
        // The length is at most `message_bytes_max`, which is a `u32`.
        self.lengths.push_back(message.length as u32);
        Ok(())
    }

    fn end_control(&mut self, opcode: Opcode, answers: &mut BytesMut) -> Result<(), Failure> {
        let payload = std::mem::take(&mut self.control);
        if self.message.is_none() {
            // `give_up` may have been called when only a part of this frame's header had arrived. The frame has turned
            // out to be no part of a message, so no message is dropped.
            self.is_skipping = false;
        }
        match opcode {
            Opcode::Ping => write_frame(Opcode::Pong, &payload, answers),
            Opcode::Close => self.end = Some(End::ByPeer(close_code(&payload)?)),
            _ => {}
        }
        Ok(())
    }

    /// Drops the payloads of the unfinished message. Keeps the payloads of complete messages.
    fn drop_unfinished(&mut self) {
        let length = self.message.as_ref().map_or(0, |message| message.length);
        self.payloads.truncate(self.payloads.len() - length);
        if self.payloads.is_empty() {
            self.payloads = BytesMut::new();
        }
    }
}

impl Framing for WebSocketFraming {
    fn push(&mut self, mut bytes: &[u8], answers: &mut BytesMut) {
        while !bytes.is_empty() && self.end.is_none() {
            match self.read(bytes, answers) {
                Ok(rest) => bytes = rest,
                Err(failure) => self.end = Some(End::Failed(failure)),
            }
            if self.end.is_some() {
                self.drop_unfinished();
                self.message = None;
            }
        }
    }

    fn next(&mut self) -> Option<Inbound> {
        let length = self.lengths.pop_front()?;
        let payload = self.payloads.split_to(length as usize);
        if self.lengths.is_empty() {
            self.lengths = VecDeque::new();
        }
        if self.payloads.is_empty() {
            self.payloads = BytesMut::new();
        }
        Some(Inbound::from_payload(payload))
    }

    fn pending(&self) -> usize {
        if self.end.is_some() {
            return self.payloads.len() + self.lengths.len();
        }
        let header = usize::from(self.header.length);
        self.payloads.len() + self.lengths.len() + self.control.len() + header
    }

    fn is_unfinished(&self) -> bool {
        let has_begun = self.header.length > 0 || self.frame.is_some() || self.message.is_some();
        has_begun && self.end.is_none()
    }

    fn give_up(&mut self) {
        self.drop_unfinished();
        if let Some(message) = &mut self.message {
            *message = Message::default();
        }
        self.is_skipping = true;
    }

    fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    fn close(&mut self, reason: &CloseReason, out: &mut BytesMut) {
        match self.end {
            Some(End::ByPeer(None)) => write_frame(Opcode::Close, &[], out),
            Some(End::ByPeer(Some(code))) => write_close(code, "", out),
            Some(End::Failed(Failure(code, why))) => write_close(code, why, out),
            None => {
                if let Some(code) = code_of(reason) {
                    write_close(code, &reason.to_string(), out);
                }
            }
        }
    }

    fn frame(payload: &[u8], out: &mut BytesMut) {
        write_frame(Opcode::Text, payload, out);
    }
}

impl Header {
    /// Takes bytes until the header has `length` of them. Returns the remaining bytes.
    fn fill<'a>(&mut self, length: usize, bytes: &'a [u8]) -> &'a [u8] {
        let has = usize::from(self.length);
        let missing = length.saturating_sub(has).min(bytes.len());
        let (taken, rest) = bytes.split_at(missing);
        self.bytes[has..has + missing].copy_from_slice(taken);
        self.length += missing as u8;
        rest
    }

    /// Reads the first two bytes. Returns `None` if they have not arrived.
    fn start(&self) -> Result<Option<Start>, Failure> {
        if self.length < 2 {
            return Ok(None);
        }
        let [first, second, ..] = self.bytes;
        if first & RESERVED != 0 {
            return Err(Failure(PROTOCOL_ERROR, "reserved bits are set"));
        }
        let Some(opcode) = Opcode::parse(first & 0x0f) else {
            return Err(Failure(PROTOCOL_ERROR, "the opcode is reserved"));
        };
        if second & MASKED == 0 {
            return Err(Failure(PROTOCOL_ERROR, "the frame is not masked"));
        }
        let is_last = first & FIN != 0;
        let short_length = second & !MASKED;
        if opcode.is_control() && !is_last {
            return Err(Failure(PROTOCOL_ERROR, "a control frame is fragmented"));
        }
        if opcode.is_control() && short_length > CONTROL_BYTES_MAX {
            return Err(Failure(PROTOCOL_ERROR, "a control frame is too long"));
        }
        Ok(Some(Start {
            opcode,
            is_last,
            short_length,
        }))
    }

    /// Reads the rest of the header. Returns `None` if the header is not complete.
    fn frame(&self, start: &Start) -> Result<Option<Frame>, Failure> {
        if usize::from(self.length) < start.header_bytes() {
            return Ok(None);
        }
        let bytes = &self.bytes[2..start.header_bytes()];
        let (length, mask) = bytes.split_at(bytes.len() - 4);
        let length = match start.short_length {
            LENGTH_IN_2 | LENGTH_IN_8 => length
                .iter()
                .fold(0, |length, &byte| length << 8 | u64::from(byte)),
            length => length.into(),
        };
        if length > i64::MAX as u64 {
            return Err(Failure(PROTOCOL_ERROR, "the length has its first bit set"));
        }
        Ok(Some(Frame {
            opcode: start.opcode,
            is_last: start.is_last,
            mask: [mask[0], mask[1], mask[2], mask[3]],
            taken: 0,
            length,
        }))
    }
}

impl Start {
    /// Returns the length of the whole header in bytes.
    const fn header_bytes(&self) -> usize {
        match self.short_length {
            LENGTH_IN_2 => 8,
            LENGTH_IN_8 => 14,
            _ => 6,
        }
    }
}

impl Frame {
    /// Removes the mask from the next bytes of the payload.
    fn unmask(&self, bytes: &mut [u8]) {
        let mut mask = self.mask;
        mask.rotate_left((self.taken % 4) as usize);
        let wide = u64::from_ne_bytes([
            mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
        ]);
        let (chunks, rest) = bytes.as_chunks_mut::<8>();
        for chunk in chunks {
            *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
        }
        for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
            *byte ^= mask;
        }
    }
}

impl Opcode {
    const fn parse(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Reads the status code of a close frame. Returns `None` if the frame has no code.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Failure> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => Ok(None),
            _ => Err(Failure(PROTOCOL_ERROR, "half of a status code")),
        };
    };
    let code = u16::from_be_bytes(*code);
    // A peer may send the codes of RFC 6455 and the IANA registry (1000 to 1014, with exceptions), of libraries (3000
    // to 3999), and of applications (4000 to 4999).
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Failure(PROTOCOL_ERROR, "not a status code"));
    }
    if std::str::from_utf8(reason).is_err() {
        return Err(Failure(NOT_UTF8, "the reason is not UTF-8"));
    }
    Ok(Some(code))
}

/// Returns the status code that tells the peer why the server ends the connection. `None` if the peer has closed the
/// stream.
const fn code_of(reason: &CloseReason) -> Option<u16> {
    match reason {
        CloseReason::Disconnected | CloseReason::Broken => None,
        CloseReason::Quit(_) => Some(NORMAL),
        CloseReason::Draining => Some(GOING_AWAY),
        CloseReason::Kicked(_)
        | CloseReason::Refused
        | CloseReason::NotRegistered
        | CloseReason::NotAuthenticated
        | CloseReason::TooSoon(_)
        | CloseReason::TimedOut
        | CloseReason::TakenOver => Some(POLICY),
        _ => Some(INTERNAL_ERROR),
    }
}

/// Appends a close frame. The reason is left out if it is too long.
fn write_close(code: u16, reason: &str, out: &mut BytesMut) {
    let mut payload = code.to_be_bytes().to_vec();
    if payload.len() + reason.len() <= CONTROL_BYTES_MAX.into() {
        payload.extend_from_slice(reason.as_bytes());
    }
    write_frame(Opcode::Close, &payload, out);
}

/// Appends a complete frame without a mask.
fn write_frame(opcode: Opcode, payload: &[u8], out: &mut BytesMut) {
    out.put_u8(FIN | opcode as u8);
    match payload.len() {
        length @ 0..=125 => out.put_u8(length as u8),
        length @ 126..=0xffff => {
            out.put_u8(LENGTH_IN_2);
            out.put_u16(length as u16);
        }
        length => {
            out.put_u8(LENGTH_IN_8);
            out.put_u64(length as u64);
        }
    }
    out.put_slice(payload);
}

#[cfg(test)]
impl WebSocketFraming {
    /// Returns the capacity of all buffers.
    pub(super) fn kept(&self) -> usize {
        self.payloads.capacity() + self.lengths.capacity() + self.control.capacity()
    }
}
