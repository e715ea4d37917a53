//! Recognises IRC clients, and creates their dialects.

use crate::dialect::Peer;
use crate::encoder::Encoders;
use chat_core::log::Timestamp;
use chat_core::protocol::{Detected, Detection, Detector, Dialect};
use chat_core::{Limits, Stats};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Lets a server speak IRC with peers whose first line is one of an IRC client.
///
/// The clones of a value share their encoders, so use clones of one value for all listeners of a hub.
///
/// # Examples
///
/// ```
/// use chat_core::{Hub, Server};
/// use chat_irc::Irc;
///
/// let irc = Irc::new("irc.example.org", "Example");
/// let on_common_port = Server::new(Hub::default()).protocol(irc.clone());
/// // A listener for IRC alone: a silent client is not greeted as a person.
/// let irc_only = Server::new(Hub::default())
///     .protocol(irc.clone())
///     .default_dialect(move || irc.dialect());
/// # drop((on_common_port, irc_only));
/// ```
#[derive(Clone)]
pub struct Irc(Arc<Shared>);

/// What all connections share.
pub(crate) struct Shared {
    /// The server's name.
    pub(crate) server: Arc<str>,
    pub(crate) network: Box<str>,
    pub(crate) encoders: Encoders,
    /// When this value was created.
    pub(crate) began: Timestamp,
    /// Returns the numbers for LUSERS.
    pub(crate) stats: Option<Box<dyn Fn() -> Stats + Send + Sync>>,
    /// The clock that TIME shows.
    pub(crate) now: fn() -> Timestamp,
    /// The hub's limits and its message of the day, from the first welcome.
    pub(crate) hub: OnceLock<(Limits, Vec<String>)>,
}

impl Irc {
    /// Creates the protocol of a server with this name on this network. A name is a host name, such as
    /// `irc.example.org`. Characters that can't be in a name are left out.
    #[must_use]
    pub fn new(server: &str, network: &str) -> Self {
        Self::with(server, network, None)
    }

    /// As [`new`](Self::new). `stats` returns the numbers that LUSERS shows, such as [`Hub::stats`](chat_core::Hub::stats).
    #[must_use]
    pub fn with_stats(
        server: &str,
        network: &str,
        stats: impl Fn() -> Stats + Send + Sync + 'static,
    ) -> Self {
        Self::with(server, network, Some(Box::new(stats)))
    }

    fn with(
        server: &str,
        network: &str,
        stats: Option<Box<dyn Fn() -> Stats + Send + Sync>>,
    ) -> Self {
        let server: Arc<str> = name(server, "irc.local").into();
        Self(Arc::new(Shared {
            encoders: Encoders::new(&server),
            server,
            network: name(network, "Chat").into(),
            began: Timestamp::now(),
            stats,
            now: Timestamp::now,
            hub: OnceLock::new(),
        }))
    }

    /// Creates the dialect of a new connection, for a listener that speaks only IRC, or for a protocol that carries IRC
    /// inside another framing.
    #[must_use]
    pub fn dialect(&self) -> Box<dyn Dialect> {
        Box::new(Peer::new(Arc::clone(&self.0)))
    }
}

impl fmt::Debug for Irc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Irc")
            .field("server", &self.0.server)
            .field("network", &self.0.network)
            .finish_non_exhaustive()
    }
}

impl Detector for Irc {
    fn detect(&self, prefix: &[u8]) -> Detection {
        let Some(end) = prefix.iter().position(|&byte| byte == b'\n') else {
            return if may_begin_irc(prefix) {
                Detection::NeedMore
            } else {
                Detection::NotFound
            };
        };
        let line = prefix[..end].strip_suffix(b"\r").unwrap_or(&prefix[..end]);
        if begins_irc(line) {
            Detection::Found(Detected::Dialect(self.dialect()))
        } else {
            Detection::NotFound
        }
    }
}

/// The commands with which clients begin.
const FIRST: [&[u8]; 8] = [
    b"AUTHENTICATE",
    b"CAP",
    b"NICK",
    b"PASS",
    b"PING",
    b"QUIT",
    b"USER",
    b"WEBIRC",
];

/// Returns whether a line without its end may become one that [`begins_irc`]. Tags and a source are not waited for,
/// because a program may send `:)` without a newline.
fn may_begin_irc(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.splitn(2, |&byte| byte == b' ');
    let command = words.next().unwrap_or_default();
    match words.next() {
        None => !command.is_empty() && FIRST.iter().any(|first| first.starts_with(command)),
        // What follows the command shows whether it is a sentence.
        Some(rest) => {
            let mut words = rest
                .split(|&byte| byte == b' ')
                .filter(|word| !word.is_empty());
            let (first, is_one) = (words.next().unwrap_or_default(), words.next().is_none());
            match command {
                b"NICK" | b"PASS" | b"PING" => first.starts_with(b":") || is_one,
                b"AUTHENTICATE" => is_one,
                b"QUIT" => first.is_empty() || first.starts_with(b":"),
                b"CAP" => {
                    let asks = [&b"LS"[..], b"LIST", b"REQ", b"END"];
                    let is_begun = |asks: &&[u8]| asks.starts_with(first);
                    asks.contains(&first) || is_one && asks.iter().any(is_begun)
                }
                b"USER" | b"WEBIRC" => true,
                _ => false,
            }
        }
    }
}

/// Returns whether a first line is one with which IRC clients begin. The command must be in capitals, because `nick bob`
/// may be a chat message. Tags or a source may come before it.
fn begins_irc(line: &[u8]) -> bool {
    let is_before_command = |word: &&[u8]| word.starts_with(b"@") || word.starts_with(b":");
    let words = line.split(|&b| b == b' ').filter(|word| !word.is_empty());
    let words: Vec<&[u8]> = words.skip_while(is_before_command).take(6).collect();
    match words[..] {
        [b"CAP", asks, ..] => matches!(asks, b"LS" | b"LIST" | b"REQ" | b"END"),
        [b"PASS" | b"NICK" | b"PING" | b"AUTHENTICATE", _] => true,
        [b"PASS" | b"PING" | b"QUIT" | b"NICK", parameter, ..] => parameter.starts_with(b":"),
        [b"USER" | b"WEBIRC", _, _, _, _, ..] | [b"QUIT"] => true,
        _ => false,
    }
}

/// Returns the characters of a name that a parameter can hold.
fn name(name: &str, default: &str) -> String {
    let allowed =
        |c: &char| !c.is_control() && !c.is_whitespace() && !matches!(c, ':' | '!' | '@' | ',');
    let name: String = name.chars().filter(allowed).take(63).collect();
    if name.is_empty() {
        default.into()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(prefix: &str) -> String {
        format!("{:?}", Irc::new("x", "x").detect(prefix.as_bytes()))
    }

    #[test]
    fn the_first_line_of_a_client_is_recognised() {
        for line in [
            "CAP LS 302\r\n",
            "CAP LS\n",
            "CAP REQ :server-time\n",
            "NICK bob\r\nUSER bob 0 * :Bob\r\n",
            "NICK :bob\n",
            "USER bob 0 * :Bob B\n",
            "PASS secret\n",
            "PASS :two words\n",
            "PING :1.2.3.4\n",
            "QUIT\n",
            "QUIT :gone for lunch\n",
        ] {
            assert_eq!(verdict(line), "Found(Dialect)", "{line:?}");
            let end = line.find('\n').unwrap();
            for length in 1..=end {
                assert_eq!(
                    verdict(&line[..length]),
                    "NeedMore",
                    "{:?}",
                    &line[..length]
                );
            }
        }
        let tagged = "@time=now :bob!b@host NICK bob\n";
        assert_eq!(verdict(tagged), "Found(Dialect)");
    }

    #[test]
    fn talk_that_looks_a_little_like_it_is_talk() {
        for talk in [
            "nick bob\n",
            "NICK the greek\n",
            "PASS the salt",
            "CAP it",
            "QUIT it",
            "USA",
            ":)",
            "@bob hi",
            "안녕\n",
            "",
        ] {
            assert_eq!(verdict(talk), "NotFound", "{talk:?}");
        }
    }

    #[test]
    fn a_name_is_one_parameter() {
        assert_eq!(name("chat example:\r\n", "x"), "chatexample");
        assert_eq!(name(" ", "x"), "x");
    }
}
