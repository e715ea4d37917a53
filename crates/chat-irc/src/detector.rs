//! Recognises IRC clients, and creates their dialects.

use crate::dialect::Peer;
use crate::encoder::Encoders;
use chat_core::log::Timestamp;
use chat_core::protocol::{Detected, Detection, Detector, Dialect, begins_irc};
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

/// The commands with which clients begin. A gateway's WEBIRC and an early AUTHENTICATE are recognised once the line is
/// whole: they are not worth that a program's text such as `W` waits.
const FIRST: [&[u8]; 6] = [b"CAP", b"NICK", b"PASS", b"PING", b"QUIT", b"USER"];

/// Returns whether a line without its end may become one that [`begins_irc`], so that the connection waits for the end.
///
/// Clients send whole lines, and what is held may be the message of a program that sends no newline. So a line is
/// waited for only as long as its parameters are those that IRC allows.
fn may_begin_irc(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.splitn(2, |&byte| byte == b' ');
    let command = words.next().unwrap_or_default();
    let Some(rest) = words.next() else {
        return !command.is_empty() && FIRST.iter().any(|first| first.starts_with(command));
    };
    let words = rest
        .split(|&byte| byte == b' ')
        .filter(|word| !word.is_empty());
    let words: Vec<&[u8]> = words.take(5).collect();
    let asks = [&b"LS"[..], b"LIST", b"REQ", b"END"];
    match (command, &words[..]) {
        (b"NICK" | b"PASS" | b"PING" | b"QUIT" | b"CAP" | b"USER", []) => true,
        (b"NICK" | b"PASS" | b"PING" | b"USER", [_]) => true,
        (b"PASS" | b"PING" | b"QUIT", [first, ..]) => first.starts_with(b":"),
        (b"CAP", [begun]) => asks.iter().any(|asks| asks.starts_with(begun)),
        (b"CAP", [asked, ..]) => asks.contains(asked),
        // The mode is a number, `*`, or the name of a host.
        (b"USER", [user, mode, others @ ..]) => {
            let is_user = mode == user || others.is_empty() && user.starts_with(mode);
            let is_mode = is_user || !mode.iter().all(u8::is_ascii_alphabetic);
            let is_name = others.len() <= 2 || others[1].starts_with(b":");
            is_mode && is_name
        }
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
            "USER bob bob host :Bob\n",
            "USER bob 0 * :Bob B\n",
            "PASS secret\n",
            "PASS :two words\n",
            "PING :1.2.3.4\n",
            "QUIT\n",
            "QUIT :gone for lunch\n",
        ] {
            assert_eq!(verdict(line), "Found(Dialect)", "{line:?}");
            let end = line.find('\n').unwrap();
            if !FIRST.iter().any(|first| line.as_bytes().starts_with(first)) {
                continue;
            }
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
            "NICK :) is my friend\n",
            "PASS the salt",
            "USER 42 has joined",
            "USER 42 has joined us\n",
            "W",
            "A",
            "QUIT it",
            "PING me later",
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
