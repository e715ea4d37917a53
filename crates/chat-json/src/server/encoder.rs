//! Encodes the events of a room as JSON lines.
//!
//! Invariant: each event is one line. The parts that all messages of a batch share are encoded once for the batch.

use crate::server::events::{gap_event, presence_event};
use crate::wire::Event;
use bytes::{BufMut, BytesMut};
use chat_core::Kind;
use chat_core::log::{Batch, MessageRef};
use chat_core::protocol::{Broadcast, Encoder, Moment};
use serde::Serialize;
use std::ops::Range;

/// The JSON encoder. All JSON connections of a hub share one encoder.
#[derive(Debug)]
pub(super) struct JsonForm;

impl Encoder for JsonForm {
    fn encode(&self, item: &Broadcast<'_>, moment: Moment, out: &mut BytesMut) {
        match item {
            Broadcast::Messages(batch, range) => {
                let frame = Frame::new(batch, moment);
                let messages = batch.messages(range.clone());
                out.reserve(messages.map(|message| frame.bytes(&message)).sum());
                for message in batch.messages(range.clone()) {
                    if frame.write(&message, out) {
                        out.put_u8(b'\n');
                    }
                }
            }
            Broadcast::Presence(presence) => {
                if let Some(event) = presence_event(presence) {
                    write_line(&event, out);
                }
            }
            Broadcast::Count(room, count) => {
                let room = room.as_str().into();
                write_line(
                    &Event::Members {
                        room,
                        count: *count,
                    },
                    out,
                );
            }
            Broadcast::Missed(room, missed) => write_line(&gap_event(room.as_str(), *missed), out),
            _ => {}
        }
    }
}

/// Writes one object and a newline.
pub(super) fn write_line(object: &impl Serialize, out: &mut BytesMut) {
    write(object, out);
    out.put_u8(b'\n');
}

fn write(object: &(impl Serialize + ?Sized), out: &mut BytesMut) {
    // The call can't fail: the keys of all objects are strings, and writing to a buffer always succeeds.
    if serde_json::to_writer(out.writer(), object).is_err() {
        debug_assert!(false, "our own types can be written");
    }
}

/// Writes a JSON string.
fn write_text(text: &str, out: &mut BytesMut) {
    // Few texts have a character that JSON escapes. The loop has no branch for each byte, so that the compiler can
    // compare many bytes at once.
    let is_escaped = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    let has_any = |has, byte| has | is_escaped(byte);
    if text.bytes().fold(false, has_any) {
        return write(text, out);
    }
    out.put_u8(b'"');
    out.put_slice(text.as_bytes());
    out.put_u8(b'"');
}

/// Writes the latest messages of a page as the elements of a JSON array, oldest first. Writes as many as fit in
/// `bytes_max`, but at least one.
pub(super) fn write_latest(
    slices: &[(&Batch, Range<usize>)],
    bytes_max: usize,
    out: &mut BytesMut,
) {
    write_list(latest(slices, bytes_max).iter().rev(), out);
}

/// Like [`write_latest`], but the latest message comes first.
pub(super) fn write_latest_first(
    slices: &[(&Batch, Range<usize>)],
    bytes_max: usize,
    out: &mut BytesMut,
) {
    write_list(latest(slices, bytes_max).iter(), out);
}

fn latest(slices: &[(&Batch, Range<usize>)], bytes_max: usize) -> Vec<BytesMut> {
    let mut latest: Vec<BytesMut> = Vec::new();
    let mut bytes = 0;
    'all: for (batch, range) in slices.iter().rev() {
        let frame = Frame::new(batch, Moment::Live);
        for index in range.clone().rev() {
            let mut piece = BytesMut::new();
            for message in batch.messages(index..index + 1) {
                frame.write(&message, &mut piece);
            }
            if piece.is_empty() {
                continue;
            }
            bytes += piece.len() + 1;
            if bytes > bytes_max && !latest.is_empty() {
                break 'all;
            }
            latest.push(piece);
        }
    }
    latest
}

/// Writes the earliest messages of a page, oldest first. Writes as many as fit in `bytes_max`, but at least one.
pub(super) fn write_earliest(
    slices: &[(&Batch, Range<usize>)],
    bytes_max: usize,
    out: &mut BytesMut,
) {
    let mut earliest: Vec<BytesMut> = Vec::new();
    let mut bytes = 0;
    'all: for (batch, range) in slices {
        let frame = Frame::new(batch, Moment::Live);
        for message in batch.messages(range.clone()) {
            let mut piece = BytesMut::new();
            if !frame.write(&message, &mut piece) {
                continue;
            }
            bytes += piece.len() + 1;
            if bytes > bytes_max && !earliest.is_empty() {
                break 'all;
            }
            earliest.push(piece);
        }
    }
    write_list(earliest.iter(), out);
}

fn write_list<'a>(pieces: impl Iterator<Item = &'a BytesMut>, out: &mut BytesMut) {
    for (at, piece) in pieces.enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        out.put_slice(piece);
    }
}

/// The bytes of a message besides its text and the parts that all messages of a batch share: the name of its event, a
/// position of up to 20 digits, and punctuation.
const OWN_BYTES: usize = 40;

/// The encoded parts that all messages of a batch share.
struct Frame {
    /// The bytes of a message between the name of its event and its position. They include the room's name.
    room: BytesMut,
    /// The bytes of a message between its position and its text. They include the time and the sender.
    origin: BytesMut,
    moment: Moment,
}

impl Frame {
    fn new(batch: &Batch, moment: Moment) -> Self {
        let (mut room, mut origin) = (BytesMut::new(), BytesMut::new());
        room.put_slice(b"\",\"room\":");
        write(batch.room().as_str(), &mut room);
        room.put_slice(b",\"seq\":");
        origin.put_slice(b",\"ts\":");
        write(&batch.at().0, &mut origin);
        origin.put_slice(b",\"from\":");
        write(batch.from().as_str(), &mut origin);
        origin.put_slice(b",\"text\":");
        Self {
            room,
            origin,
            moment,
        }
    }

    /// Returns about how many bytes a message takes. It takes more if it has a key, or if JSON escapes characters of
    /// its text.
    fn bytes(&self, message: &MessageRef<'_>) -> usize {
        self.room.len() + self.origin.len() + message.text.len() + OWN_BYTES
    }

    /// Writes a message as an [`Event`], with the same fields in the same order. If this version does not know the
    /// kind of the message, writes nothing and returns `false`.
    fn write(&self, message: &MessageRef<'_>, out: &mut BytesMut) -> bool {
        let event: &[u8] = match message.kind {
            Kind::Said => b"said",
            Kind::Acted => b"acted",
            Kind::Topic => b"topic",
            Kind::Notice => b"notice",
            Kind::Mode => b"mode",
            _ => return false,
        };
        out.reserve(self.bytes(message));
        out.put_slice(b"{\"ev\":\"");
        out.put_slice(event);
        out.put_slice(&self.room);
        write(&message.seq.0, out);
        out.put_slice(&self.origin);
        write_text(message.text, out);
        if let Some(key) = message.key {
            out.put_slice(b",\"key\":");
            write(key, out);
        }
        if self.moment == Moment::Replay {
            out.put_slice(b",\"replay\":true");
        }
        out.put_u8(b'}');
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Entry;
    use chat_core::log::{Drafts, SessionId, Timestamp};
    use chat_core::{Nick, RoomName, Seq};

    fn batch(kind: Kind, text: &str) -> Batch {
        let nick = Nick::parse("alice").unwrap();
        let mut drafts = Drafts::new(SessionId(1), nick, Timestamp(1_758_000_000_123));
        drafts.push(kind, text);
        drafts.number(RoomName::parse("ops").unwrap(), [Seq(1048)])
    }

    fn encode(kind: Kind, text: &str, moment: Moment) -> String {
        let (batch, mut out) = (batch(kind, text), BytesMut::new());
        JsonForm.encode(&Broadcast::Messages(&batch, 0..1), moment, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn a_message_is_written_as_its_type_says() {
        for (kind, text) in [
            (Kind::Said, "quotes \" and \\ and 한글\ttab"),
            (Kind::Said, "한글, nothing to escape"),
            (Kind::Said, "\""),
            (Kind::Said, "a \\"),
            (Kind::Said, "a\ttab"),
            (Kind::Acted, "waves"),
            (Kind::Topic, ""),
            (Kind::Notice, "build 7 failed"),
            (Kind::Mode, "+moderated +operator bob"),
        ] {
            for moment in [Moment::Live, Moment::Replay] {
                let entry = Entry {
                    room: "ops".into(),
                    seq: 1048,
                    ts: 1_758_000_000_123,
                    from: "alice".into(),
                    text: text.into(),
                    key: None,
                    replay: moment == Moment::Replay,
                };
                let event = match kind {
                    Kind::Said => Event::Said(entry),
                    Kind::Acted => Event::Acted(entry),
                    Kind::Notice => Event::Notice(entry),
                    Kind::Mode => Event::Mode(entry),
                    _ => Event::Topic(entry),
                };
                let expected = serde_json::to_string(&event).unwrap() + "\n";
                assert_eq!(encode(kind, text, moment), expected);
            }
        }
    }

    #[test]
    fn a_kind_of_a_later_version_is_left_out() {
        let unknown = Kind::from_number(200);
        assert_eq!(encode(unknown, "from 2030", Moment::Live), "");
        let batches = [
            batch(Kind::Said, "one"),
            batch(unknown, "from 2030"),
            batch(Kind::Said, "two"),
        ];
        let slices: Vec<_> = batches.iter().map(|batch| (batch, 0..1)).collect();
        for write in [write_earliest, write_latest, write_latest_first] {
            let mut out = BytesMut::new();
            write(&slices, usize::MAX, &mut out);
            let text = format!("[{}]", String::from_utf8_lossy(&out));
            let list: Vec<Event<'_>> = serde_json::from_str(&text).unwrap();
            assert_eq!(list.len(), 2, "{text}");
        }
    }

    #[test]
    fn a_page_that_does_not_fit_keeps_what_is_nearest_to_its_end() {
        let batches: Vec<_> = (0..4).map(|_| batch(Kind::Said, "hello")).collect();
        let slices: Vec<_> = batches.iter().map(|batch| (batch, 0..1)).collect();
        let one = encode(Kind::Said, "hello", Moment::Live).len();
        for (fits, expected) in [(one * 2, 2), (one * 100, 4), (1, 1)] {
            let mut out = BytesMut::new();
            write_latest(&slices, fits, &mut out);
            let text = format!("[{}]", String::from_utf8_lossy(&out));
            let list: Vec<Event<'_>> = serde_json::from_str(&text).unwrap();
            assert_eq!(list.len(), expected, "{text}");
        }
    }
}
