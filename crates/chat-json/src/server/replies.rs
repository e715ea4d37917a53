//! Converts the answers of the hub to the JSON objects that the server sends.
//!
//! Invariant: the functions of this module do not depend on the state of the connection.

use super::encoder::{write_earliest, write_latest, write_latest_first};
use crate::wire::{
    Affected, Awayness, Event, Fault, Hole, Id, Listed, MaskEntry, Modes, Place, Present, Profile,
    Published, Refused, RoomsList, Text, Topic, Whois,
};
use bytes::{BufMut, BytesMut};
use chat_core::log::{Batch, Gap, Page, Span};
use chat_core::protocol::{Code, Hint, Joined, Refusal};
use chat_core::rooms::{self, MaskList, Role, RoomInfo, RoomSummary, Setting};
use chat_core::{CloseReason, Nick, RoomName, Seq, text};
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::Range;
use std::time::Duration;

/// The maximum number of message bytes in a page of history. The whole reply, with its other fields, then fits into one
/// line that any client can read.
const PAGE_BYTES_MAX: usize = 48 * 1024;

/// The maximum number of bytes of a topic in a list of rooms: enough to recognise the topic.
const LISTED_TOPIC_BYTES_MAX: usize = 64;

/// The range of the delay before clients reconnect to a server that shuts down, in milliseconds. The delay is random,
/// so that not all clients reconnect at once.
const COME_BACK_MS: Range<u64> = 500..3_000;

/// How long a client waits before it repeats a request that the server can't perform now.
const RETRY_UNAVAILABLE: Duration = Duration::from_secs(1);

/// How long a client waits before it repeats a request that the server refused because of a limit.
const RETRY_FULL: Duration = Duration::from_secs(5);

/// The fields of [`Histories`](crate::wire::Histories), with messages that are already written as JSON.
#[derive(Serialize)]
pub(super) struct Messages<'a> {
    room: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<Hole>,
    messages: &'a RawValue,
}

impl<'a> Messages<'a> {
    /// Creates the fields of a reply. `list` holds the messages as JSON that [`page`] or [`found`] has written. Returns
    /// `None` if `list` is not JSON.
    pub(super) fn new(room: &'a RoomName, gap: Option<Gap>, list: &'a [u8]) -> Option<Self> {
        let Ok(messages) = serde_json::from_slice(list) else {
            debug_assert!(false, "what we wrote is JSON");
            return None;
        };
        Some(Self {
            room: room.as_str().into(),
            gap: gap.map(hole),
            messages,
        })
    }
}

/// Writes the messages of a page of history as a JSON array of [`Event`]s, oldest first, as in [`Histories`].
///
/// Writes as many as fit in a line, but at least one: the earliest ones for [`Span::After`], otherwise the latest ones.
///
/// [`Histories`]: crate::wire::Histories
#[must_use]
pub fn page_messages(span: Span, found: &Page) -> Box<RawValue> {
    raw(&page(span, found))
}

/// Writes the messages that a search has found as a JSON array of [`Event`]s, latest first, as in [`Histories`]. Writes
/// as many as fit in a line, but at least one.
///
/// [`Histories`]: crate::wire::Histories
#[must_use]
pub fn found_messages(page: &Page) -> Box<RawValue> {
    raw(&found(page))
}

fn raw(list: &[u8]) -> Box<RawValue> {
    serde_json::from_slice(list).unwrap_or_else(|_| {
        debug_assert!(false, "what we wrote is JSON");
        RawValue::NULL.to_owned()
    })
}

/// Writes the messages of a page as a JSON array, oldest first. Writes as many as fit in a line.
pub(super) fn page(span: Span, page: &Page) -> BytesMut {
    list(
        page,
        match span {
            Span::After(_) => write_earliest,
            _ => write_latest,
        },
    )
}

/// Writes the messages that a search has found as a JSON array, latest first. Writes as many as fit in a line.
pub(super) fn found(page: &Page) -> BytesMut {
    list(page, write_latest_first)
}

/// A batch, and the range of its messages that the encoder writes.
type Slice<'a> = (&'a Batch, Range<usize>);

fn list(page: &Page, write: fn(&[Slice<'_>], usize, &mut BytesMut)) -> BytesMut {
    let slices = page.slices.iter();
    let slices: Vec<_> = slices
        .map(|slice| (&*slice.batch, slice.range.clone()))
        .collect();
    let mut list = BytesMut::from(&b"["[..]);
    write(&slices, PAGE_BYTES_MAX, &mut list);
    list.put_u8(b']');
    list
}

const fn hole(gap: Gap) -> Hole {
    Hole {
        from: gap.from.0,
        to: gap.to.0,
    }
}

pub(super) fn published(room: &RoomName, seq: Seq, dup: bool) -> Published<'_> {
    Published {
        room: room.as_str().into(),
        seq: seq.0,
        dup,
    }
}

impl<'a> Published<'a> {
    /// Converts the result of publishing a message in `room` under a key. If the message is a repetition, the reply
    /// names the room of the first message.
    #[must_use]
    pub fn new(room: &'a RoomName, result: &'a chat_core::Published) -> Self {
        match result {
            chat_core::Published::New(seq) => published(room, *seq, false),
            chat_core::Published::Duplicate { room, seq } => published(room, *seq, true),
        }
    }
}

/// Takes a room's topic from the information about the room.
impl<'a> From<&'a RoomInfo> for Topic<'a> {
    fn from(info: &'a RoomInfo) -> Self {
        Self {
            room: info.room.as_str().into(),
            topic: (*info.topic).into(),
        }
    }
}

/// Converts the information about a room that a session has joined. Sets `recovered` to `None`.
impl<'a> From<&'a RoomInfo> for Place<'a> {
    fn from(info: &'a RoomInfo) -> Self {
        let Present {
            room,
            count,
            members,
            roles,
            away,
        } = info.into();
        Self {
            room,
            epoch: Some(info.position.epoch.to_string().into()),
            seq: Some(info.position.seq.0),
            recovered: None,
            count: Some(count),
            members: Some(members),
            roles,
            role: None,
            away,
            hushed: info.is_hushed,
            topic: Some((*info.topic).into()),
            err: None,
        }
    }
}

pub(super) fn place(joined: &Joined) -> Place<'_> {
    Place {
        recovered: joined.is_recovered,
        role: joined.role.map(|role| role.as_str().into()),
        ..Place::from(&joined.info)
    }
}

/// Returns the result for each room of a hello: the room's state, or why the room can't be joined.
pub(super) fn places<'a>(rooms: &'a [(&'a str, Result<Joined, Refusal>)]) -> Vec<Place<'a>> {
    let places = rooms.iter().map(|(room, joined)| match joined {
        Ok(joined) => place(joined),
        Err(refusal) => no_place(room, refusal),
    });
    places.collect()
}

fn no_place<'a>(room: &'a str, refusal: &'a Refusal) -> Place<'a> {
    let shown: String = text::clean(room).chars().take(64).collect();
    Place {
        room: shown.into(),
        epoch: None,
        seq: None,
        recovered: None,
        count: None,
        members: None,
        roles: BTreeMap::new(),
        role: None,
        away: Vec::new(),
        hushed: false,
        topic: None,
        err: Some(fault(refusal)),
    }
}

impl<'a> RoomsList<'a> {
    /// Creates the list of these rooms. `has_more` tells whether more rooms follow the last room of the list.
    #[must_use]
    pub fn new(rooms: &'a [RoomSummary], has_more: bool) -> Self {
        let listed = rooms.iter().map(|summary| Listed {
            room: summary.room.as_str().into(),
            count: summary.count,
            topic: beginning(&summary.topic).into(),
        });
        Self {
            rooms: listed.collect(),
            more: has_more,
        }
    }
}

fn beginning(topic: &str) -> &str {
    &topic[..topic.floor_char_boundary(LISTED_TOPIC_BYTES_MAX)]
}

impl<'a> From<&'a RoomInfo> for Present<'a> {
    fn from(info: &'a RoomInfo) -> Self {
        Self {
            room: info.room.as_str().into(),
            count: info.count,
            members: info.nicks.iter().map(|nick| nick.as_str().into()).collect(),
            roles: info
                .roles
                .iter()
                .map(|(nick, role)| (nick.as_str().into(), role.as_str().into()))
                .collect(),
            away: info.away.iter().map(|nick| nick.as_str().into()).collect(),
        }
    }
}

pub(super) fn modes<'a>(
    room: &'a RoomName,
    modes: &'a rooms::Modes,
    role: Option<Role>,
) -> Modes<'a> {
    let settings = Setting::ALL.into_iter();
    let entry = |entry: &'a rooms::MaskEntry| MaskEntry {
        mask: entry.mask.as_str().into(),
        by: entry.by.as_str().into(),
        ts: entry.at.0,
    };
    let masks = MaskList::ALL.into_iter().filter_map(|list| {
        let masks: Vec<_> = modes.list(list).iter().map(entry).collect();
        (!masks.is_empty()).then(|| (list.as_str().into(), masks))
    });
    let accounts = modes.accounts();
    Modes {
        room: room.as_str().into(),
        modes: settings
            .filter(|setting| modes.has(*setting))
            .map(|setting| setting.as_str().into())
            .collect(),
        key: modes.key().map(|key| key.as_str().into()),
        limit: modes.limit().map(NonZeroU32::get),
        masks: masks.collect(),
        accounts: accounts
            .map(|(account, role)| (account.as_str().into(), role.as_str().into()))
            .collect(),
        role: role.map(|role| role.as_str().into()),
    }
}

pub(super) fn affected<'a>(room: &'a RoomName, nick: &'a Nick) -> Affected<'a> {
    Affected {
        room: room.as_str().into(),
        nick: nick.as_str().into(),
    }
}

impl<'a> From<&'a chat_core::Profile> for Profile<'a> {
    fn from(profile: &'a chat_core::Profile) -> Self {
        let text = |text: &'a Option<std::sync::Arc<str>>| text.as_deref().map(Text::from);
        Self {
            who: profile.user_host.as_str().into(),
            account: profile
                .account
                .as_ref()
                .map(|account| account.as_str().into()),
            name: text(&profile.real_name),
            away: text(&profile.away),
            bot: profile.is_bot,
            operator: profile.is_operator,
        }
    }
}

impl<'a> From<&'a chat_core::profile::Whois> for Whois<'a> {
    fn from(whois: &'a chat_core::profile::Whois) -> Self {
        Self {
            nick: whois.nick.as_str().into(),
            profile: (&whois.profile).into(),
            rooms: whois
                .rooms
                .iter()
                .map(|room| room.as_str().into())
                .collect(),
            since: whois.since.map(|since| since.0),
            idle_ms: whois.idle.map(|idle| idle.as_millis() as u64),
        }
    }
}

pub(super) fn awayness(away: Option<&str>) -> Awayness<'_> {
    Awayness {
        away: away.map(Text::from),
    }
}

impl<'a> Event<'a> {
    /// Returns the [`Bye`](Event::Bye) with which the server ends a connection for this reason. Returns `None` if the
    /// peer has closed the connection, or can't be reached.
    #[must_use]
    pub fn bye(reason: &'a CloseReason) -> Option<Self> {
        bye(reason)
    }
}

fn bye(reason: &CloseReason) -> Option<Event<'_>> {
    let mut why = None;
    let (code, after_ms) = match reason {
        CloseReason::Quit(_) => ("quit", None),
        CloseReason::Kicked(reason) => {
            why = Some(&**reason).filter(|reason| !reason.is_empty());
            ("kicked", None)
        }
        // The peer has learned the reason from the refusal before the close.
        CloseReason::Refused | CloseReason::NotAuthenticated => ("denied", None),
        CloseReason::TakenOver => ("taken_over", None),
        CloseReason::TooSoon(wait) => {
            let wait = wait.as_millis() as u64;
            ("rate_limited", Some(wait + fastrand::u64(COME_BACK_MS)))
        }
        CloseReason::Draining => ("draining", Some(fastrand::u64(COME_BACK_MS))),
        CloseReason::Failed | CloseReason::NoTimers | CloseReason::Dropped => {
            ("failed", Some(fastrand::u64(COME_BACK_MS)))
        }
        _ => return None,
    };
    Some(Event::Bye {
        code: code.into(),
        reason: why.map(Text::from),
        reconnect: after_ms.is_some(),
        after_ms,
    })
}

impl Refused<'static> {
    /// Creates the reply to a command that is refused for this reason. `re` is the id of the command.
    #[must_use]
    pub fn new(re: Option<Id>, refusal: &Refusal) -> Self {
        let err = fault(refusal);
        Self { re, err }
    }
}

fn fault(refusal: &Refusal) -> Fault<'static> {
    let retry = match refusal.code {
        Code::Unavailable => Some(RETRY_UNAVAILABLE),
        Code::Full => Some(RETRY_FULL),
        _ => None,
    };
    Fault {
        code: refusal.code.as_str().into(),
        msg: Text(message(refusal).into_owned().into()),
        retry_ms: retry.map(|retry| retry.as_millis() as u64),
    }
}

/// Returns the text of a refusal: what was wrong, and which command may help.
fn message(refusal: &Refusal) -> Cow<'_, str> {
    let hint = match refusal.hint {
        Some(Hint::ListRooms | Hint::JoinListed) => "\"rooms\" lists them",
        Some(Hint::ListMembers) => "\"who\" lists who is in a room",
        _ => return refusal.message.as_str().into(),
    };
    format!("{} ({hint})", refusal.message).into()
}
