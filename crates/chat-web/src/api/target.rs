//! What the path of a request names.

use crate::api::query::decode;
use chat_core::protocol::{Code, Refusal};

/// The target of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// `/rooms`
    Rooms,
    /// `/rooms/{room}/messages`
    Messages(String),
    /// `/rooms/{room}/events`
    Events(String),
}

impl Target {
    /// Parses a path. A slash at the end is ignored. The name of the room is percent-decoded, and not checked.
    pub(super) fn parse(path: &str) -> Result<Self, Refusal> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let unknown = || {
            let message =
                "no such target: there are /rooms, /rooms/{room}/messages and /rooms/{room}/events";
            Refusal::new(Code::NotFound, message)
        };
        let rest = path.strip_prefix("/rooms").ok_or_else(unknown)?;
        if rest.is_empty() {
            return Ok(Self::Rooms);
        }
        let rest = rest.strip_prefix('/').ok_or_else(unknown)?;
        let (room, part) = rest.split_once('/').ok_or_else(unknown)?;
        let make = match part {
            "messages" => Self::Messages,
            "events" => Self::Events,
            _ => return Err(unknown()),
        };
        let not_a_name = || {
            Refusal::new(
                Code::BadName,
                "the room's name is not percent-encoded UTF-8",
            )
        };
        decode(room, '+').map(make).ok_or_else(not_a_name)
    }

    /// Returns the methods of the target.
    pub(super) const fn methods(&self) -> &'static str {
        match self {
            Self::Rooms | Self::Events(_) => "GET, HEAD, OPTIONS",
            Self::Messages(_) => "GET, HEAD, POST, OPTIONS",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_room_in_any_script() {
        for path in ["/rooms", "/rooms/"] {
            assert_eq!(Target::parse(path), Ok(Target::Rooms));
        }
        let room = Target::Messages("한글".into());
        for path in [
            "/rooms/%ED%95%9C%EA%B8%80/messages",
            "/rooms/한글/messages/",
        ] {
            assert_eq!(Target::parse(path).as_ref(), Ok(&room));
        }
        let plus = Target::Events("#c++".into());
        assert_eq!(Target::parse("/rooms/%23c++/events"), Ok(plus));
    }

    #[test]
    fn another_path_is_not_found() {
        for path in [
            "/",
            "/rooms/ops",
            "/roomsx",
            "/rooms/ops/x",
            "/rooms/a/b/messages",
            "/rooms//messages//",
        ] {
            let refusal = Target::parse(path).unwrap_err();
            assert_eq!(refusal.code, Code::NotFound, "{path}");
        }
        for path in ["/rooms/%ff/events", "/rooms/%4/events", "/rooms/%zz/events"] {
            let refusal = Target::parse(path).unwrap_err();
            assert_eq!(refusal.code, Code::BadName, "{path}");
        }
    }
}
