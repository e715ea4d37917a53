//! Converts the events of a hub to the events of the wire.

use crate::wire::{Entry, Event, Present, Text, Why};
use chat_core::log::Gap;
use chat_core::protocol::Missed;
use chat_core::rooms::RoomInfo;
use chat_core::{Direct, DirectKind, Kind, Message, Presence, PresenceChange, SessionEvent};

/// Converts an event of a session in this process to an event of JSON Lines. A program with its own transport, such as
/// a WebSocket handler, can send the result. Events that JSON Lines does not have become [`Event::Unknown`].
///
/// If the application removes the session from a room, the result is [`Event::Left`] with the session's own nick. A
/// JSON Lines connection receives [`Event::Removed`] instead.
///
/// # Examples
///
/// ```
/// use chat_core::{Hub, SessionEvent};
/// use chat_json::wire;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::default();
/// let mut kim = hub.session(Some("kim")).await?.into_events();
/// kim.join("ops").await?;
/// let lee = hub.session(Some("lee")).await?;
/// let in_ops = lee.join("ops").await?;
///
/// let event: SessionEvent = kim.next().await.ok_or("an event")?;
/// let json = serde_json::to_string(&wire::Event::from(&event))?;
/// assert_eq!(json, r#"{"ev":"joined","room":"ops","nick":"lee"}"#);
/// # drop(in_ops);
/// # Ok(())
/// # }
/// ```
impl<'a> From<&'a SessionEvent> for Event<'a> {
    fn from(event: &'a SessionEvent) -> Self {
        use chat_core::Event as InRoom;
        match event {
            SessionEvent::Room(_, InRoom::Message(message)) => message_event(message, false),
            SessionEvent::Room(_, InRoom::Replayed(message)) => message_event(message, true),
            SessionEvent::Room(_, InRoom::Presence(presence)) => {
                presence_event(presence).unwrap_or(Event::Unknown)
            }
            SessionEvent::Room(_, InRoom::Present(info)) => present_event(info),
            SessionEvent::Room(room, InRoom::Gap(missed)) => gap_event(room.as_str(), *missed),
            SessionEvent::Room(room, InRoom::Closed(reason)) => Event::Removed {
                room: room.as_str().into(),
                reason: (**reason).into(),
                closed: true,
                by: None,
            },
            SessionEvent::Direct(direct) => direct_event(direct),
            _ => Event::Unknown,
        }
    }
}

/// Converts a message of a log to an event of JSON Lines, in the form that a page of history has.
impl<'a> From<&'a Message> for Event<'a> {
    fn from(message: &'a Message) -> Self {
        message_event(message, false)
    }
}

fn message_event(message: &Message, replay: bool) -> Event<'_> {
    let entry = Entry {
        room: message.room().as_str().into(),
        seq: message.seq().0,
        ts: message.at().0,
        from: message.from().as_str().into(),
        text: message.text().into(),
        key: message.key().map(Text::from),
        replay,
    };
    match message.kind() {
        Kind::Said => Event::Said(entry),
        Kind::Acted => Event::Acted(entry),
        Kind::Topic => Event::Topic(entry),
        Kind::Notice => Event::Notice(entry),
        Kind::Mode => Event::Mode(entry),
        _ => Event::Unknown,
    }
}

/// Returns the event that lists the members of a room.
pub(super) fn present_event(info: &RoomInfo) -> Event<'_> {
    let Present {
        room,
        count,
        members,
        roles,
        away,
    } = info.into();
    Event::Present {
        room,
        count,
        members,
        roles,
        away,
    }
}

pub(super) fn direct_event(direct: &Direct) -> Event<'_> {
    let (ts, from) = (direct.at.0, direct.from.as_str().into());
    match &direct.kind {
        DirectKind::Said | DirectKind::Acted | DirectKind::Notice => Event::Told {
            ts,
            from,
            text: (*direct.text).into(),
            kind: match direct.kind {
                DirectKind::Acted => Some("acted".into()),
                DirectKind::Notice => Some("notice".into()),
                _ => None,
            },
        },
        DirectKind::Invitation(room) => Event::Invited {
            ts,
            from,
            room: room.as_str().into(),
        },
        // Requests and responses are between programs that speak IRC.
        _ => Event::Unknown,
    }
}

/// Returns the event that announces a change; `None` if JSON Lines does not have the change.
pub(super) fn presence_event(presence: &Presence) -> Option<Event<'_>> {
    let room = presence.room.as_str().into();
    let nick = presence.nick.as_str().into();
    Some(match &presence.change {
        PresenceChange::Joined => Event::Joined { room, nick },
        PresenceChange::Left { reason } => Event::Left {
            room,
            nick,
            reason: reason.as_ref().map(|reason| reason.to_string().into()),
            by: None,
        },
        PresenceChange::Renamed { to } => Event::Renamed {
            room,
            nick,
            to: to.as_str().into(),
        },
        PresenceChange::Removed { reason, by } => Event::Left {
            room,
            nick,
            reason: Some(removed(reason).into()),
            by: by.as_ref().map(|by| by.as_str().into()),
        },
        PresenceChange::Hushed { .. } => Event::Hushed { room, on: true },
        PresenceChange::Unhushed => Event::Hushed { room, on: false },
        PresenceChange::Away {
            message: Some(message),
        } => Event::Away {
            room,
            nick,
            text: (**message).into(),
        },
        PresenceChange::Away { message: None } => Event::Back { room, nick },
        _ => return None,
    })
}

/// Returns the reason that other members see when the server or an operator has removed a member.
fn removed(reason: &str) -> String {
    if reason.is_empty() {
        "removed".to_owned()
    } else {
        format!("removed: {reason}")
    }
}

pub(super) fn gap_event(room: &str, missed: Missed) -> Event<'_> {
    let (gap, why) = match missed {
        Missed::Expired(gap) => (Some(gap), Why::Expired),
        Missed::BeyondLimit(gap) => (Some(gap), Why::Limit),
        Missed::Unreadable(gap) => (gap, Why::Unavailable),
        Missed::OtherEpoch => (None, Why::Epoch),
        _ => (None, Why::Other),
    };
    Event::Gap {
        room: Text::from(room),
        from: gap.map(|Gap { from, .. }| from.0),
        to: gap.map(|Gap { to, .. }| to.0),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_core::Nick;
    use chat_core::log::Timestamp;

    /// A program that answers every direct message would otherwise answer the answers of another one for ever.
    #[test]
    fn a_direct_notice_or_action_says_what_it_is() {
        for (kind, shown) in [
            (DirectKind::Said, ""),
            (DirectKind::Acted, r#","kind":"acted""#),
            (DirectKind::Notice, r#","kind":"notice""#),
        ] {
            let direct = Direct::new(Nick::parse("bob").unwrap(), Timestamp(5), "hi".into());
            let direct = direct.of_kind(kind);
            let event = serde_json::to_string(&direct_event(&direct)).unwrap();
            let expected = format!(r#"{{"ev":"told","ts":5,"from":"bob","text":"hi"{shown}}}"#);
            assert_eq!(event, expected);
        }
    }
}
