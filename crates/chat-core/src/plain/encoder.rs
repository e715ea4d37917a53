//! Writes a room's events for members that speak the plain dialect.
//!
//! Invariant: one event is one line. The encoder does not allocate memory anew for each message, because it encodes
//! every message of a busy room.

use crate::event::{Broadcast, Encoder, Missed, Moment, Presence, PresenceChange};
use crate::log::{Batch, BatchSlice, Gap, Kind, MessageRef, ModeChanges, Page, Timestamp};
use crate::plain::wall_time::WallTime;
use crate::plain::write::{because, notice};
use bytes::{BufMut, BytesMut};
use std::ops::Range;
use std::sync::Arc;

/// The two encoders of the plain dialect: one writes the time of each message, the other does not. All plain
/// connections of a server share these two encoders.
#[derive(Clone)]
pub(crate) struct PlainEncoders {
    wall_time: fn(Timestamp) -> WallTime,
    with_time: Arc<PlainForm>,
    without_time: Arc<PlainForm>,
}

struct PlainForm {
    /// Converts the time of a message; `None` if the encoder writes no times.
    wall_time: Option<fn(Timestamp) -> WallTime>,
}

impl PlainEncoders {
    pub(crate) fn new(wall_time: fn(Timestamp) -> WallTime) -> Self {
        Self {
            wall_time,
            with_time: Arc::new(PlainForm {
                wall_time: Some(wall_time),
            }),
            without_time: Arc::new(PlainForm { wall_time: None }),
        }
    }

    pub(crate) fn get(&self, shows_time: bool) -> Arc<dyn Encoder> {
        let encoder = if shows_time {
            &self.with_time
        } else {
            &self.without_time
        };
        Arc::<PlainForm>::clone(encoder)
    }

    /// Writes the messages that a search found, the latest first. Each line has the day, because the message may be
    /// old. Each line also has the message's position, so that the peer can read the messages before it with
    /// `/history`.
    pub(crate) fn write_found(&self, page: &Page, out: &mut BytesMut) {
        for BatchSlice { batch, range } in page.slices.iter().rev() {
            let WallTime {
                year,
                month,
                day,
                hour,
                minute,
            } = (self.wall_time)(batch.at());
            let messages: Vec<_> = batch.messages(range.clone()).collect();
            for MessageRef {
                seq, kind, text, ..
            } in messages.into_iter().rev()
            {
                let from = batch.from();
                let said = match kind {
                    Kind::Said | Kind::Notice => format!("{from}: {text}"),
                    Kind::Acted => format!("* {from} {text}"),
                    Kind::Topic => format!("{from} set the topic: {text}"),
                    Kind::Mode => format!("{from} {}", ModeChanges::read(text).in_words()),
                    Kind::Unknown(_) => continue,
                };
                notice(
                    out,
                    format_args!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} [{seq}] {said}"),
                );
            }
        }
    }

    /// Writes the day of `next`, if it differs from the day of `previous`. If the day of `next` is the day of `now`,
    /// the line ends with `(today)`.
    pub(crate) fn write_day(
        &self,
        previous: Timestamp,
        next: Timestamp,
        now: Timestamp,
        out: &mut BytesMut,
    ) {
        let day_of = |at| {
            let WallTime {
                year, month, day, ..
            } = (self.wall_time)(at);
            (year, month, day)
        };
        let next = day_of(next);
        if day_of(previous) != next {
            let (year, month, day) = next;
            let today = if day_of(now) == next { " (today)" } else { "" };
            notice(out, format_args!("{year}-{month:02}-{day:02}{today}"));
        }
    }

    /// Writes the time of day of a timestamp, and a space.
    pub(crate) fn write_time(&self, at: Timestamp, out: &mut BytesMut) {
        out.put_slice(&Clock::new((self.wall_time)(at)).0);
    }
}

impl std::fmt::Debug for PlainEncoders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlainForms")
    }
}

/// The time of day and a space, as in `14:02 `. Formatted once for each batch.
struct Clock([u8; 6]);

impl Clock {
    const fn new(WallTime { hour, minute, .. }: WallTime) -> Self {
        Self([
            b'0' + hour / 10,
            b'0' + hour % 10,
            b':',
            b'0' + minute / 10,
            b'0' + minute % 10,
            b' ',
        ])
    }
}

impl Encoder for PlainForm {
    fn encode(&self, item: &Broadcast<'_>, _moment: Moment, out: &mut BytesMut) {
        match item {
            Broadcast::Messages(batch, range) => self.encode_messages(batch, range.clone(), out),
            Broadcast::Presence(presence) => encode_presence(presence, out),
            Broadcast::Count(..) => {}
            Broadcast::Missed(_, missed) => encode_missed(*missed, out),
        }
    }
}

impl PlainForm {
    fn encode_messages(&self, batch: &Batch, range: Range<usize>, out: &mut BytesMut) {
        let clock = self
            .wall_time
            .map(|wall_time| Clock::new(wall_time(batch.at())));
        let clock = clock.as_ref().map_or(&[][..], |clock| &clock.0);
        // A notice begins with `* `. An action begins with the time and `* `, or with `** ` if no time is shown, so an
        // action always differs from a notice.
        let star: &[u8] = if clock.is_empty() { b"** " } else { b"* " };
        let from = batch.from().as_str();
        out.reserve(batch.bytes() + range.len() * (clock.len() + from.len() + 4));
        for message in batch.messages(range) {
            match message.kind {
                Kind::Said | Kind::Notice => put(
                    out,
                    &[
                        clock,
                        from.as_bytes(),
                        b": ",
                        message.text.as_bytes(),
                        b"\n",
                    ],
                ),
                Kind::Acted => put(
                    out,
                    &[
                        clock,
                        star,
                        from.as_bytes(),
                        b" ",
                        message.text.as_bytes(),
                        b"\n",
                    ],
                ),
                Kind::Topic if message.text.is_empty() => {
                    put(out, &[b"* ", from.as_bytes(), b" took the topic away\n"]);
                }
                Kind::Topic => {
                    put(
                        out,
                        &[
                            b"* ",
                            from.as_bytes(),
                            b" set the topic: ",
                            message.text.as_bytes(),
                            b"\n",
                        ],
                    );
                }
                Kind::Mode => {
                    let changes = ModeChanges::read(message.text);
                    // A later version may have written changes that this version does not know.
                    if !changes.is_empty() {
                        notice(out, format_args!("{from} {}", changes.in_words()));
                    }
                }
                // This version of the crate does not know the kind, so it writes nothing.
                Kind::Unknown(_) => {}
            }
        }
    }
}

fn put(out: &mut BytesMut, pieces: &[&[u8]]) {
    pieces.iter().for_each(|piece| out.put_slice(piece));
}

fn encode_presence(presence: &Presence, out: &mut BytesMut) {
    let Presence {
        room, nick, change, ..
    } = presence;
    match change {
        PresenceChange::Joined => notice(out, format_args!("{nick} joined")),
        PresenceChange::Left { reason: None } => notice(out, format_args!("{nick} left")),
        PresenceChange::Left {
            reason: Some(reason),
        } => {
            notice(out, format_args!("{nick} left (gone: {reason})"));
        }
        PresenceChange::Removed { reason, by } => {
            let because = because(reason);
            match by {
                Some(by) => notice(out, format_args!("{nick} was kicked by {by}{because}")),
                None => notice(out, format_args!("{nick} was taken out of {room}{because}")),
            }
        }
        PresenceChange::Renamed { to } => notice(out, format_args!("{nick} is now {to}")),
        PresenceChange::Hushed { limit } => notice(
            out,
            format_args!(
                "more than {limit} are in {room}: who comes and goes is not announced now (/who tells)"
            ),
        ),
        PresenceChange::Unhushed => {
            notice(
                out,
                format_args!("who comes and goes in {room} is announced again"),
            );
        }
        PresenceChange::Away {
            message: Some(message),
        } => notice(out, format_args!("{nick} is away: {message}")),
        PresenceChange::Away { message: None } => notice(out, format_args!("{nick} is back")),
        // People do not need to know this.
        PresenceChange::ProfileChanged { .. } => {}
    }
}

fn encode_missed(missed: Missed, out: &mut BytesMut) {
    match missed {
        Missed::Expired(gap) | Missed::BeyondLimit(gap) | Missed::Unreadable(Some(gap)) => {
            encode_gap(gap, out);
        }
        Missed::Unreadable(None) => notice(
            out,
            format_args!("the room's log can't be read now: earlier messages are not shown"),
        ),
        Missed::OtherEpoch => {
            notice(
                out,
                format_args!("the room's log began anew: messages missed"),
            );
        }
    }
}

fn encode_gap(gap: Gap, out: &mut BytesMut) {
    let messages = if gap.len() == 1 {
        "message"
    } else {
        "messages"
    };
    notice(out, format_args!("{} {messages} missed", gap.len()));
}
