//! Checks encoders: complete and clean lines, repeatable output, and batches encoded like their single messages.

use super::{Rule, Speech, Violation, hostile, shortened, unpanicked, written};
use crate::random::Random;
use bytes::BytesMut;
use chat_core::log::Gap;
use chat_core::log::{Batch, Drafts, SessionId, Timestamp};
use chat_core::protocol::{Broadcast, Dialect, Encoder, Missed, Moment};
use chat_core::{CloseReason, Kind, Nick, Presence, PresenceChange, RoomName, Seq};
use std::sync::Arc;

/// Checks that two connections with equal settings share one encoder. Then checks what this encoder writes.
pub(super) fn check(
    one: &dyn Dialect,
    other: &dyn Dialect,
    speech: &Speech,
) -> Result<(), Violation> {
    let (encoder, same) = (one.encoder(), other.encoder());
    if !std::ptr::addr_eq(Arc::as_ptr(&encoder), Arc::as_ptr(&same)) {
        let expected = "two connections with equal settings to have one form";
        return Err(Violation::new(Rule::SharedForm, expected, "a form each"));
    }
    for seed in speech.seeds.clone() {
        let mut random = Random::new(seed);
        check_items(&*encoder, speech, &mut random).map_err(|violation| violation.seeded(seed))?;
    }
    Ok(())
}

fn check_items(
    encoder: &dyn Encoder,
    speech: &Speech,
    random: &mut Random,
) -> Result<(), Violation> {
    let (room, nick) = (room(), nick());
    let batch = batch(random);
    for moment in [Moment::Live, Moment::Replay] {
        let whole = encode(
            encoder,
            &Broadcast::Messages(&batch, 0..batch.len()),
            moment,
            speech,
        )?;
        let mut pieces = BytesMut::new();
        for at in 0..batch.len() {
            let piece = Broadcast::Messages(&batch, at..at + 1);
            pieces.extend_from_slice(&encode(encoder, &piece, moment, speech)?);
        }
        if pieces != whole {
            let same = pieces
                .iter()
                .zip(&whole)
                .take_while(|(a, b)| a == b)
                .count();
            let from_there = |bytes: &[u8]| {
                let text = bytes[same..].escape_ascii().to_string();
                format!("from byte {same} on: {}", shortened(&text))
            };
            let (expected, seen) = (from_there(&pieces), from_there(&whole));
            return Err(Violation::new(Rule::Pieces, expected, seen));
        }
        for change in changes(random) {
            let presence = Presence::new(room.clone(), SessionId(1), nick.clone(), change);
            encode(encoder, &Broadcast::Presence(&presence), moment, speech)?;
        }
        for count in [0, 1, usize::MAX] {
            encode(encoder, &Broadcast::Count(&room, count), moment, speech)?;
        }
        for missed in missed() {
            encode(encoder, &Broadcast::Missed(&room, missed), moment, speech)?;
        }
    }
    Ok(())
}

/// Encodes an item twice: into an empty buffer, and into a buffer that already holds output. Fails if the results
/// differ.
fn encode(
    encoder: &dyn Encoder,
    item: &Broadcast<'_>,
    moment: Moment,
    speech: &Speech,
) -> Result<BytesMut, Violation> {
    let doing = shortened(&format!("encoding {item:?}"));
    let (mut first, mut second) = (BytesMut::new(), BytesMut::from(&b"before\n"[..]));
    unpanicked(&doing, || encoder.encode(item, moment, &mut first))?;
    unpanicked(&doing, || encoder.encode(item, moment, &mut second))?;
    if second.strip_prefix(b"before\n") != Some(&first[..]) {
        let expected = format!("before\\n{}", first.escape_ascii());
        let seen = second.escape_ascii().to_string();
        let (expected, seen) = (shortened(&expected), shortened(&seen));
        return Err(Violation::new(Rule::Repeatable, expected, seen));
    }
    written::check(&first, speech, "", &doing)?;
    Ok(first)
}

/// The kinds of messages, and a kind that only a later version may have.
const KINDS: [Kind; 6] = [
    Kind::Said,
    Kind::Acted,
    Kind::Topic,
    Kind::Notice,
    Kind::Mode,
    Kind::from_number(200),
];

/// Returns a batch with messages of every kind. The texts are hostile input that was cleaned, as core cleans a text
/// before a dialect receives it.
pub(super) fn batch(random: &mut Random) -> Batch {
    let mut drafts = Drafts::new(SessionId(1), nick(), Timestamp(random.next() >> 24));
    for at in 0..=random.below(6) {
        let kind = *random.pick(&KINDS);
        let key = random.once_in(2).then(|| format!("k\\\"{at}"));
        drafts.restore(kind, &hostile::clean_text(random), key.as_deref());
    }
    drafts.restore(Kind::Topic, "", None);
    let first = random.next() >> 1;
    drafts.number(room(), (first..).map(Seq))
}

/// Returns a batch with one message of each kind in `kinds`. Each text is hostile, but has no characters that control a
/// terminal.
pub(super) fn batch_of(kinds: &[Kind], random: &mut Random) -> Batch {
    let mut drafts = Drafts::new(SessionId(1), nick(), Timestamp(random.next() >> 24));
    for kind in kinds {
        drafts.restore(*kind, &hostile::clean_text(random), None);
    }
    let first = random.next() >> 1;
    drafts.number(room(), (first..).map(Seq))
}

fn changes(random: &mut Random) -> Vec<PresenceChange> {
    let left = reasons(random)
        .into_iter()
        .map(|reason| PresenceChange::Left {
            reason: Some(reason),
        });
    left.chain([
        PresenceChange::Joined,
        PresenceChange::Left { reason: None },
        PresenceChange::Removed {
            reason: hostile::clean_text(random).into(),
            by: None,
        },
        PresenceChange::Removed {
            reason: hostile::clean_text(random).into(),
            by: Some(nick()),
        },
        PresenceChange::Removed {
            reason: "".into(),
            by: None,
        },
        PresenceChange::Renamed { to: nick() },
        PresenceChange::Hushed { limit: 100 },
        PresenceChange::Unhushed,
        PresenceChange::Away {
            message: Some("\"lunch\" \\ {한}".into()),
        },
        PresenceChange::Away { message: None },
        PresenceChange::ProfileChanged {
            was: Box::default(),
        },
    ])
    .collect()
}

fn missed() -> [Missed; 6] {
    let gap = |from, to| Gap {
        from: Seq(from),
        to: Seq(to),
    };
    [
        Missed::Expired(gap(1, 1)),
        Missed::Expired(gap(1, u64::MAX)),
        Missed::BeyondLimit(gap(3, 9)),
        Missed::Unreadable(Some(gap(3, 9))),
        Missed::Unreadable(None),
        Missed::OtherEpoch,
    ]
}

/// Returns the reasons why a session may end.
pub(super) fn reasons(random: &mut Random) -> [CloseReason; 13] {
    [
        CloseReason::Quit(None),
        CloseReason::Quit(Some(hostile::clean_text(random).into())),
        CloseReason::Disconnected,
        CloseReason::Broken,
        CloseReason::Stalled,
        CloseReason::NotAuthenticated,
        CloseReason::Silent,
        CloseReason::Draining,
        CloseReason::Kicked(hostile::clean_text(random).into()),
        CloseReason::Kicked("".into()),
        CloseReason::Refused,
        CloseReason::Failed,
        CloseReason::Dropped,
    ]
}

pub(super) fn nick() -> Nick {
    Nick::parse("한글[^_^]").expect("this is a nick")
}

pub(super) fn room() -> RoomName {
    RoomName::parse("{ops}").expect("this is a room's name")
}
