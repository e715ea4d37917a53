//! How rooms and nicks are written in IRC. The room `ops` is the channel `#ops`.
//!
//! Every nick and every room name of core can be written in IRC. Core's rules are narrower than IRC's: a channel whose
//! name has a character that core does not allow, such as `#c++`, does not exist.

use crate::reply::Line;
use chat_core::text;
use std::borrow::Cow;

/// The user name of a session, until core knows the real one.
pub(crate) const USER: &str = "~u";

/// The host of a session, until core knows one. It hides the address.
pub(crate) const HOST: &str = "hidden";

/// The character with which the name of a channel begins.
pub(crate) const CHANNEL: char = '#';

/// Returns the room of a channel. `None` if the target is not a channel, or can't be a room. Core drops one `#` of a
/// room's name, so `##ops` would be another spelling of `#ops`.
pub(crate) fn room_of(target: &str) -> Option<&str> {
    let room = target.strip_prefix(CHANNEL)?;
    (!room.is_empty() && !room.starts_with(CHANNEL)).then_some(room)
}

/// Returns whether a target has the form of a channel.
pub(crate) fn is_channel(target: &str) -> bool {
    target.starts_with([CHANNEL, '&', '+', '!'])
}

/// Writes the source of a session's lines: `nick!user@host`.
pub(crate) fn write_source(line: &mut Line<'_>, nick: &str) {
    line.text(nick).text("!").text(USER).text("@").text(HOST);
}

/// Returns whether two names are the same under the case mapping that the server announces, `ascii`.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || one.to_lowercase() == other.to_lowercase()
}

/// Returns a text of the peer that can be a parameter in the middle of a line: without control characters and spaces.
pub(crate) fn middle(text: &str) -> Cow<'_, str> {
    /// More than the longest name.
    const BYTES_MAX: usize = 100;
    let word = text.split(' ').next().unwrap_or_default();
    let word = word.trim_start_matches(':');
    let word = &word[..word.floor_char_boundary(BYTES_MAX)];
    match text::clean(word) {
        word if word.is_empty() => Cow::Borrowed("*"),
        word if word.contains(' ') => Cow::Owned(word.replace(' ', "_")),
        word => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_a_room() {
        assert_eq!(room_of("#한국"), Some("한국"));
        assert_eq!(room_of("#2600"), Some("2600"));
        for other in ["#", "##ops", "ops", "&ops", ""] {
            assert_eq!(room_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_parameter_of_the_peer_stays_one_parameter() {
        for (text, parameter) in [
            ("#a b", "#a"),
            ("", "*"),
            (":::x", "x"),
            ("a\x07b", "ab"),
            ("a\nb", "a_b"),
        ] {
            assert_eq!(middle(text), parameter);
        }
        assert!(middle(&"한".repeat(100)).len() <= 100);
    }
}
