//! Recognises HTTP by its request line.
//!
//! Invariant: `GET lost` is a chat message. A line is a request only if a person would not write it.

/// Length in bytes from which a prefix without a newline counts as a request line, because no person types such a line.
const LONG_LINE_BYTES: usize = 512;

/// The longest method, in bytes. The longest that is registered has 17.
const METHOD_BYTES: usize = 20;

/// The methods that HTTP defines, and the opening of HTTP/2.
const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI",
];

/// The first line of a connection that speaks HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestLine {
    /// The bytes may begin a request line.
    Unfinished,
    /// A request line of HTTP/1.1 or HTTP/1.0.
    Http1,
    /// A request line of another version, such as the opening of HTTP/2, or one without a version, as in HTTP/0.9.
    OtherVersion,
}

impl RequestLine {
    /// Examines the first bytes of a connection. Returns `None` if they are not HTTP.
    pub(crate) fn recognise(prefix: &[u8]) -> Option<Self> {
        let Some(end) = prefix.iter().position(|&byte| byte == b'\n') else {
            return Self::unfinished(prefix);
        };
        let line = prefix[..end].strip_suffix(b"\r").unwrap_or(&prefix[..end]);
        let words: Vec<&[u8]> = line.splitn(4, |&byte| byte == b' ').collect();
        match words[..] {
            [method, target, version] if is_method(method) && is_version(version) => {
                if !is_known(method) && !is_target(target) {
                    return None;
                }
                Some(match version {
                    b"HTTP/1.1" | b"HTTP/1.0" => Self::Http1,
                    _ => Self::OtherVersion,
                })
            }
            [b"GET", target] if target.starts_with(b"/") => Some(Self::OtherVersion),
            _ => None,
        }
    }

    fn unfinished(prefix: &[u8]) -> Option<Self> {
        let Some(space) = prefix.iter().position(|&byte| byte == b' ') else {
            let mut methods = METHODS.iter().map(|method| method.as_bytes());
            let is_begun = !prefix.is_empty() && methods.any(|method| method.starts_with(prefix));
            return is_begun.then_some(Self::Unfinished);
        };
        let (method, target) = (&prefix[..space], &prefix[space + 1..]);
        let may_be_target = is_target(target) || (is_known(method) && begins_target(target));
        if !is_method(method) || !may_be_target {
            None
        } else if prefix.len() >= LONG_LINE_BYTES {
            Some(Self::Http1)
        } else {
            Some(Self::Unfinished)
        }
    }
}

/// Returns whether the word is a token, as RFC 9110 defines it.
fn is_method(word: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !word.is_empty() && word.len() <= METHOD_BYTES && word.iter().all(is_token)
}

fn is_known(method: &[u8]) -> bool {
    METHODS.iter().any(|known| known.as_bytes() == method)
}

/// Returns whether the word begins as a target: a path, a URL or `*`.
fn is_target(word: &[u8]) -> bool {
    let openings = [&b"/"[..], b"http://", b"https://"];
    word == b"*" || openings.iter().any(|opening| word.starts_with(opening))
}

/// Returns whether more bytes may make the word a target.
fn begins_target(word: &[u8]) -> bool {
    [&b"http://"[..], b"https://"]
        .iter()
        .any(|opening| opening.starts_with(word))
}

fn is_version(word: &[u8]) -> bool {
    match word.strip_prefix(b"HTTP/") {
        Some([major, b'.', minor]) => major.is_ascii_digit() && minor.is_ascii_digit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::RequestLine::{self, Http1, OtherVersion, Unfinished};

    #[test]
    fn a_request_line_is_recognised() {
        let long = format!("POST /{}", "a".repeat(600));
        for (prefix, expected) in [
            ("GET / HTTP/1.1\r\n", Http1),
            ("GET / HTTP/1.0\n", Http1),
            (
                "POST /rooms/ops/messages?nick=ci HTTP/1.1\r\nHost: x",
                Http1,
            ),
            ("OPTIONS * HTTP/1.1\r\n", Http1),
            ("CONNECT example.org:443 HTTP/1.1\r\n", Http1),
            ("M-SEARCH * HTTP/1.1\r\n", Http1),
            ("patch /x HTTP/1.1\r\n", Http1),
            ("GET http://127.0.0.1:5000/ HTTP/1.1\r\n", Http1),
            (long.as_str(), Http1),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", OtherVersion),
            ("GET / HTTP/3.0\r\n", OtherVersion),
            ("GET / HTTP/1.7\r\n", OtherVersion),
            ("GET /\r\n", OtherVersion),
            ("GET /rooms\n", OtherVersion),
            ("G", Unfinished),
            ("GET", Unfinished),
            ("GET ", Unfinished),
            ("GET h", Unfinished),
            ("GET /index.html HT", Unfinished),
            ("BREW /pot HTTP/1", Unfinished),
        ] {
            assert_eq!(
                RequestLine::recognise(prefix.as_bytes()),
                Some(expected),
                "{prefix}"
            );
        }
    }

    #[test]
    fn what_a_person_writes_is_not_a_request() {
        for prefix in [
            "GET lost\n",
            "GET lost",
            "GET help",
            "POST it HTTP\n",
            "I use HTTP/1.1\n",
            "we like HTTP/2\n",
            "GET / please\n",
            "Good morning",
            "/join ops\n",
            "{\"cmd\":\"hello\"}\n",
            "* waves",
            "안녕\n",
            "\n",
            "",
        ] {
            assert_eq!(RequestLine::recognise(prefix.as_bytes()), None, "{prefix}");
        }
    }
}
