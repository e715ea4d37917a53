//! What happens to each command of a peer.

use crate::connection::conversation::Then;
use crate::connection::conversation::waiting::{Draft, Place};
use crate::log::Kind;
use crate::protocol::Command;
use std::borrow::Cow;

/// Decides what happens to a command. A command that publishes a message becomes a draft. The connection executes all
/// other commands.
pub(super) fn then(command: Command<'_>) -> Then<'_> {
    let (kind, place, text, key) = match command {
        Command::Say { room, text, key } => (Kind::Said, Place::Joined(room), text, key),
        Command::Act { room, text, key } => (Kind::Acted, Place::Joined(room), text, key),
        Command::Notice { room, text, key } => (Kind::Notice, Place::Joined(room), text, key),
        Command::Publish {
            room,
            text,
            key,
            if_missing,
        } => (Kind::Said, Place::Any { room, if_missing }, text, key),
        Command::Topic {
            room,
            text: Some(text),
        } => (Kind::Topic, Place::Joined(room), text, None::<Cow<'_, str>>),
        Command::Mode { room, changes } if !changes.is_empty() => {
            let text = Cow::Owned(changes.to_string());
            (Kind::Mode, Place::Joined(room), text, None)
        }
        command => return Then::Perform(command),
    };
    Then::Draft(Draft {
        kind,
        place,
        text,
        key,
    })
}

/// Returns whether a peer that has no session yet may send this command.
pub(super) const fn precedes_session(command: &Command<'_>) -> bool {
    matches!(
        command,
        Command::Hello { .. }
            | Command::Authenticate(_)
            | Command::SetProfile { .. }
            | Command::Ping
            | Command::Quit { .. }
            | Command::OptionsChanged
    )
}
