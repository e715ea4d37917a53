//! The ids of messages (IRCv3 message-ids).
//!
//! An id names the room, the position in the room's log, and the time of the message. The time stands in for the log's
//! epoch, which an encoder does not know: a message of another epoch has the same position, but not the same time.
//! Nodes that share a log write the same ids, and ids hold as long as the log does.

use chat_core::log::Timestamp;
use chat_core::{RoomName, Seq};
use std::fmt;

/// The id of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MsgId {
    room: u32,
    pub(crate) seq: Seq,
    pub(crate) at: Timestamp,
}

impl MsgId {
    pub(crate) fn new(room: &RoomName, seq: Seq, at: Timestamp) -> Self {
        let room = hash(room.as_str());
        Self { room, seq, at }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let mut part = || {
            let part = parts.next()?;
            let is_written_so = part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            u64::from_str_radix(part, 16).ok().filter(|_| is_written_so)
        };
        Some(Self {
            seq: Seq(part()?),
            at: Timestamp(part()?),
            room: part()?.try_into().ok()?,
        })
    }

    /// Returns whether this may be the id of a message in this room.
    pub(crate) fn is_in(self, room: &str) -> bool {
        self.room == hash(room)
    }
}

impl fmt::Display for MsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.seq.0, self.at.0, self.room)
    }
}

/// Returns the FNV-1a hash of a room's name. The hash keeps ids of different rooms apart; it protects nothing.
fn hash(room: &str) -> u32 {
    let lower = room.chars().flat_map(char::to_lowercase);
    lower.fold(0x811c_9dc5, |hash, c| {
        (hash ^ u32::from(c)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_parsed_from_what_it_is_written_as() {
        let id = MsgId::new(
            &RoomName::parse("Ops").unwrap(),
            Seq(26),
            Timestamp(1_700_000_000_000),
        );
        assert_eq!(MsgId::parse(&id.to_string()), Some(id));
        assert!(id.is_in("ops") && !id.is_in("dev"));
        for bad in [
            "",
            "1-2",
            "1-2-",
            "+1-2-3",
            "1-2-fffffffff",
            "G-1-1",
            "1-2-3-4",
        ] {
            assert_eq!(MsgId::parse(bad), None, "{bad}");
        }
    }
}
