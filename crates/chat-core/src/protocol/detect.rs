//! Recognises the protocol of a connection by its first bytes.
//!
//! Invariant: the opening of another protocol, such as HTTP, is never taken for a chat message, so that no web page can
//! post into a room. The refused protocols are entries of a table: to refuse another protocol, add an entry, not a
//! branch.

use crate::line::{is_unmarked_utf16, starts_with_mark};
use crate::protocol::dialect::Dialect;
use crate::protocol::take_over::TakeOver;
use bytes::Bytes;
use std::sync::Arc;

/// Recognises one protocol by a connection's first bytes.
pub trait Detector: Send + Sync + 'static {
    /// Examines the prefix: all bytes that the connection has received so far, without telnet commands and byte-order
    /// marks.
    ///
    /// If the peer has sent telnet commands or byte-order marks, the detector is also called with the bytes as the peer
    /// sent them, because such bytes may belong to a binary protocol. The server answers the telnet commands only when
    /// no detector recognises the unchanged bytes, and none needs more of them.
    ///
    /// On [`NeedMore`](Detection::NeedMore) the connection waits for more bytes, until it has received
    /// [`Limits::prefix_bytes`](crate::Limits::prefix_bytes) (1 KiB) or
    /// [`Limits::prefix_timeout`](crate::Limits::prefix_timeout) (5 s) has passed. Then the connection gets the default
    /// dialect. If the stream ends earlier, the prefix is dropped, because it may be the opening of another protocol.
    fn detect(&self, prefix: &[u8]) -> Detection;

    /// Returns whether [`detect`](Self::detect) may return [`Detected::TakeOver`]. The default is `false`.
    ///
    /// A detector that returns `true` is called before all others, with the bytes as the peer sent them, including
    /// telnet commands. It is not called after the peer was greeted.
    fn may_take_over(&self) -> bool {
        false
    }
}

/// What a [`Detector`] has found out about a prefix. The prefix is all bytes that a connection has received so far.
pub enum Detection {
    /// The prefix begins this detector's protocol. The value says how the connection continues. The decision is final.
    Found(Detected),
    /// The prefix does not begin this detector's protocol. More bytes can't change that.
    NotFound,
    /// The prefix may begin this detector's protocol. More bytes are needed to decide.
    NeedMore,
}

impl Detection {
    /// Compares the prefix with the openings of a protocol. Returns `Found` with the result of `found` if the prefix
    /// begins with one of the openings. Returns `NeedMore` if one of the openings begins with the prefix, and
    /// `NotFound` otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// use bytes::Bytes;
    /// use chat_core::protocol::{Detected, Detection};
    ///
    /// let detect = |prefix| {
    ///     let goodbye = || Detected::Refused(Bytes::from_static(b"not here\n"));
    ///     Detection::by_opening(prefix, &["EHLO ", "HELO "], goodbye)
    /// };
    /// assert!(matches!(detect(b"EHLO me"), Detection::Found(_)));
    /// assert!(matches!(detect(b"HEL"), Detection::NeedMore));
    /// assert!(matches!(detect(b"HELP"), Detection::NotFound));
    /// ```
    pub fn by_opening(prefix: &[u8], openings: &[&str], found: impl FnOnce() -> Detected) -> Self {
        let mut openings = openings.iter().map(|opening| opening.as_bytes());
        if openings.clone().any(|opening| prefix.starts_with(opening)) {
            Self::Found(found())
        } else if openings.any(|opening| opening.starts_with(prefix)) {
            Self::NeedMore
        } else {
            Self::NotFound
        }
    }
}

/// How a connection continues after a [`Detector`] has recognised its protocol.
pub enum Detected {
    /// The peer speaks this dialect. The prefix that the detector examined is also the dialect's first input: the first
    /// line of the prefix is passed to [`receive`](Dialect::receive). A dialect with a [framing](Dialect::framing) gets
    /// no lines. Its framing gets the prefix with all telnet commands and byte-order marks that the peer sent.
    Dialect(Box<dyn Dialect>),
    /// The protocol is not supported. The peer is sent these bytes and disconnected.
    Refused(Bytes),
    /// This protocol takes over the byte stream. Only a detector whose [`may_take_over`](Detector::may_take_over)
    /// returns `true` may return this variant. If another detector returns it, the connection is closed.
    TakeOver(Box<dyn TakeOver>),
}

impl std::fmt::Debug for Detection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Found(Detected::Dialect(_)) => "Found(Dialect)",
            Self::Found(Detected::Refused(_)) => "Found(Refused)",
            Self::Found(Detected::TakeOver(_)) => "Found(TakeOver)",
            Self::NotFound => "NotFound",
            Self::NeedMore => "NeedMore",
        })
    }
}

impl std::fmt::Debug for Detected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dialect(_) => "Dialect",
            Self::Refused(_) => "Refused",
            Self::TakeOver(_) => "TakeOver",
        })
    }
}

/// A protocol that is recognised only to be refused. `answer` is sent to the peer before the connection is closed.
struct Reserved {
    recognise: fn(&[u8]) -> Match,
    answer: &'static [u8],
}

enum Match {
    Yes,
    No,
    /// More bytes are needed to decide.
    Perhaps,
}

/// Returns the detectors of protocols that are refused unless the program adds a detector for them.
pub(crate) fn reserved() -> impl Iterator<Item = Arc<dyn Detector>> {
    const RESERVED: [Reserved; 7] = [
        Reserved {
            recognise: is_http,
            answer:
                b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
                This is a chat server, not a web server. Try: nc HOST PORT\n",
        },
        // The answer is a fatal TLS alert: protocol_version (RFC 8446, section 6).
        Reserved {
            recognise: is_tls,
            answer: &[0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46],
        },
        Reserved {
            recognise: |prefix| starts_with(prefix, b"SSH-"),
            answer: b"! this is a chat server, not SSH: try nc HOST PORT\r\n",
        },
        Reserved {
            recognise: is_smtp,
            answer: b"554 this is a chat server, not SMTP\r\n",
        },
        Reserved {
            recognise: is_irc,
            answer: b"ERROR :this server does not speak IRC: try nc HOST PORT\r\n",
        },
        Reserved {
            recognise: is_proxy,
            answer: b"! no PROXY header is taken here: connect without one\r\n",
        },
        Reserved {
            recognise: is_utf16,
            answer: b"! send UTF-8: this looks like UTF-16\r\n",
        },
    ];
    RESERVED
        .into_iter()
        .map(|reserved| Arc::new(reserved) as Arc<dyn Detector>)
}

impl Detector for Reserved {
    fn detect(&self, prefix: &[u8]) -> Detection {
        match (self.recognise)(prefix) {
            Match::Yes => Detection::Found(Detected::Refused(Bytes::from_static(self.answer))),
            Match::No => Detection::NotFound,
            Match::Perhaps => Detection::NeedMore,
        }
    }
}

/// Minimum length in bytes at which the beginning of an HTTP request line is recognised without its newline. No person
/// types a line of this length that begins like a request line.
const REQUEST_LINE_BYTES: usize = 512;

/// Recognises a complete request line, `METHOD SP target SP HTTP/1.x` (RFC 9112, section 3). `GET lost` is a chat
/// message.
fn is_http(prefix: &[u8]) -> Match {
    let Some(line) = first_line(prefix) else {
        let mut words = prefix.splitn(2, |&b| b == b' ');
        let method = words.next().unwrap_or_default();
        let may_be_path = words.next().is_some_and(|target| target.starts_with(b"/"));
        return match is_method(method) && may_be_path {
            true if prefix.len() >= REQUEST_LINE_BYTES => Match::Yes,
            true => Match::Perhaps,
            false => Match::No,
        };
    };
    let words: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
    match words[..] {
        [method, target, version]
            if is_method(method) && !target.is_empty() && version.starts_with(b"HTTP/") =>
        {
            Match::Yes
        }
        _ => Match::No,
    }
}

fn is_method(word: &[u8]) -> bool {
    !word.is_empty() && word.len() <= 16 && word.iter().all(u8::is_ascii_uppercase)
}

/// Recognises a TLS handshake record of any version.
fn is_tls(prefix: &[u8]) -> Match {
    starts_with(prefix, &[0x16, 0x03])
}

fn is_smtp(prefix: &[u8]) -> Match {
    let greets = |line: &[u8]| line.starts_with(b"EHLO ") || line.starts_with(b"HELO ");
    match first_line(prefix) {
        Some(line) if greets(line) && line.iter().filter(|&&b| b == b' ').count() == 1 => {
            Match::Yes
        }
        _ => Match::No,
    }
}

fn is_irc(prefix: &[u8]) -> Match {
    match first_line(prefix) {
        Some(line) if begins_irc(line) => Match::Yes,
        _ => Match::No,
    }
}

/// Returns whether a line, without its end, is one with which IRC clients begin (RFC 2812, section 3.1; IRCv3 for CAP).
/// Tags or a prefix may come before the command. The command must be in capitals, because `nick bob` may be a chat
/// message.
///
/// # Examples
///
/// ```
/// use chat_core::protocol::begins_irc;
///
/// assert!(begins_irc(b"NICK bob"));
/// assert!(!begins_irc(b"NICK the greek"));
/// ```
#[must_use]
pub fn begins_irc(line: &[u8]) -> bool {
    let is_before_command = |word: &&[u8]| word.starts_with(b"@") || word.starts_with(b":");
    let words = line.split(|&b| b == b' ').filter(|word| !word.is_empty());
    let words: Vec<&[u8]> = words.skip_while(is_before_command).take(6).collect();
    match words[..] {
        [b"CAP", asks, ..] => matches!(asks, b"LS" | b"LIST" | b"REQ" | b"END"),
        [b"PASS" | b"NICK" | b"PING" | b"AUTHENTICATE", _] => true,
        [b"PASS" | b"PING" | b"QUIT", parameter, ..] => parameter.starts_with(b":"),
        // A real name of one word may have no colon. `USER 42 has joined us` is talk.
        [b"USER", user, mode, _, _]
            if mode == user || !mode.iter().all(u8::is_ascii_alphabetic) =>
        {
            true
        }
        [b"USER", _, _, _, real_name, ..] => real_name.starts_with(b":"),
        [b"WEBIRC", _, _, _, _, ..] | [b"QUIT"] => true,
        _ => false,
    }
}

/// Recognises a PROXY header of version 1 or 2, as in HAProxy's specification.
fn is_proxy(prefix: &[u8]) -> Match {
    const VERSION_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    let is_version_1 = [&b"PROXY TCP4 "[..], b"PROXY TCP6 ", b"PROXY UNKNOWN"]
        .iter()
        .any(|begin| prefix.starts_with(begin));
    match first_line(prefix) {
        Some(_) if is_version_1 => Match::Yes,
        None if is_version_1 => Match::Perhaps,
        _ => starts_with(prefix, VERSION_2),
    }
}

/// Recognises UTF-16, with or without a byte-order mark.
fn is_utf16(prefix: &[u8]) -> Match {
    if starts_with_mark(prefix) || is_unmarked_utf16(prefix) {
        Match::Yes
    } else {
        Match::No
    }
}

/// Compares the prefix with the first bytes of a protocol. Returns `Perhaps` if more bytes may complete `magic`. A
/// prefix that begins with a printable character is never `Perhaps`, because a person's text must not wait.
fn starts_with(prefix: &[u8], magic: &[u8]) -> Match {
    if prefix.starts_with(magic) {
        Match::Yes
    } else if !prefix.is_empty() && magic.starts_with(prefix) && !prefix[0].is_ascii_graphic() {
        Match::Perhaps
    } else {
        Match::No
    }
}

fn first_line(prefix: &[u8]) -> Option<&[u8]> {
    let end = prefix.iter().position(|&b| b == b'\n')?;
    let line = &prefix[..end];
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(prefix: &[u8]) -> &'static str {
        let mut verdict = "talk";
        for detector in reserved() {
            match detector.detect(prefix) {
                Detection::Found(_) => return "refused",
                Detection::NeedMore => verdict = "more",
                Detection::NotFound => {}
            }
        }
        verdict
    }

    #[test]
    fn what_other_protocols_open_with_is_refused() {
        for prefix in [
            &b"GET / HTTP/1.1\r\nHost: x\r\n"[..],
            b"POST /say?x=%20y HTTP/1.0\n",
            b"PRI * HTTP/2.0\r\n",
            b"\x16\x03\x01\x02\x00",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"EHLO example.org\r\n",
            format!("POST /{}", "a".repeat(600)).as_bytes(),
            b"HELO there\n",
            b"CAP LS 302\r\n",
            b"CAP END\n",
            b"CAP LIST\n",
            b"USER bob 8 * bob\n",
            b"USER bob bob host bob\n",
            b"NICK bob\r\nUSER bob 0 * :Bob\r\n",
            b"USER bob 0 * :Bob B\n",
            b"PASS secret\n",
            b"PASS :two words\n",
            b"PING :1.2.3.4\n",
            b"@time=now :bob!b@host NICK bob\n",
            b"QUIT\n",
            b"QUIT :gone for lunch\n",
            b"WEBIRC pass gateway host 1.2.3.4\n",
            b"AUTHENTICATE PLAIN\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nhello\r\n",
            b"PROXY UNKNOWN\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c",
            b"\xff\xfeh\0i\0",
            b"h\0i\0\n\0",
            b"\0h\0i\0\n",
        ] {
            assert_eq!(verdict(prefix), "refused", "{}", prefix.escape_ascii());
        }
    }

    #[test]
    fn talk_that_looks_a_little_like_them_is_talk() {
        for prefix in [
            "GET lost\n",
            "GET lost",
            "HELO my dear friends\n",
            "SSH is down\n",
            "POST it HTTP\n",
            "S",
            "안녕",
            "nick bob\n",
            "Nick bob\n",
            "NICK the greek\n",
            "NICK bob",
            "USER error\n",
            "USER 42 has joined us\n",
            "NICK :) is my friend\n",
            "PASS the salt\n",
            "PING me later\n",
            "QUIT it\n",
            "CAP it\n",
            "PROXY wars\n",
            "\r\nhello\r\n",
            "two\0three\0",
        ] {
            assert_eq!(verdict(prefix.as_bytes()), "talk", "{prefix}");
        }
    }

    #[test]
    fn a_beginning_that_may_become_one_waits_for_more() {
        assert_eq!(verdict(b"\x16"), "more");
        assert_eq!(verdict(b"GET /index.html HT"), "more");
        assert_eq!(verdict(b"\r\n\r"), "more");
        assert_eq!(verdict(b"PROXY TCP4 1.2.3"), "more");
    }
}
