//! The server side of JSON Lines.

mod dialect;
mod encoder;
mod events;
mod in_process;
mod replies;
mod requests;

pub use in_process::answer;
pub use replies::{found_messages, page_messages};

use crate::wire::LINE_BYTES_MAX;
use chat_core::protocol::{Detected, Detection, Detector, Dialect};
use dialect::Json;
use encoder::JsonForm;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Makes a server speak JSON Lines with peers whose first line is an object with a `cmd` field.
///
/// # Examples
///
/// ```
/// use chat_core::{Hub, Server};
/// use chat_json::JsonLines;
///
/// let server = Server::new(Hub::default()).protocol(JsonLines::default());
/// # drop(server);
/// ```
#[derive(Debug, Clone)]
pub struct JsonLines {
    encoder: Arc<JsonForm>,
    line_bytes: NonZeroUsize,
}

impl JsonLines {
    /// Sets the maximum length in bytes of a line that a client sends, without its terminator. The default is 64 KiB. A
    /// longer line is rejected.
    #[must_use]
    pub const fn line_bytes(mut self, line_bytes: NonZeroUsize) -> Self {
        self.line_bytes = line_bytes;
        self
    }

    /// Creates the dialect of a new connection, for a protocol that carries JSON Lines inside another framing, such as
    /// WebSocket. All dialects that this value and its clones create share one encoder.
    #[must_use]
    pub fn dialect(&self) -> impl Dialect + use<> {
        Json::new(Arc::clone(&self.encoder), self.line_bytes)
    }
}

impl Default for JsonLines {
    fn default() -> Self {
        Self {
            encoder: Arc::new(JsonForm),
            line_bytes: NonZeroUsize::new(LINE_BYTES_MAX).unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// From this number of bytes on, an incomplete first line is accepted if it looks like a hello. The detector does not
/// wait for the whole line, because a hello that names many rooms may be longer than
/// [`Limits::prefix_bytes`](chat_core::Limits::prefix_bytes).
const LONG_HELLO_BYTES: usize = 512;

impl Detector for JsonLines {
    fn detect(&self, prefix: &[u8]) -> Detection {
        let is_json = match prefix.iter().position(|&byte| byte == b'\n') {
            Some(end) => is_command(&prefix[..end]),
            None if prefix.len() >= LONG_HELLO_BYTES && has_hello(prefix) => may_be_command(prefix),
            None if may_be_command(prefix) => return Detection::NeedMore,
            None => false,
        };
        if is_json {
            Detection::Found(Detected::Dialect(Box::new(self.dialect())))
        } else {
            Detection::NotFound
        }
    }
}

/// Returns whether the line is an object with a `cmd` field of any value. So a program that begins without a hello gets
/// an error, and its line does not become a chat message.
fn is_command(line: &[u8]) -> bool {
    is_object(line) && serde_json::from_slice::<Headed>(line).is_ok()
}

/// Returns whether the prefix is an object with a `cmd` field, the beginning of an object, or blanks that may precede
/// an object. The result does not depend on how the bytes are split.
fn may_be_command(prefix: &[u8]) -> bool {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
    if !prefix.is_empty() && prefix.iter().all(is_blank) {
        return true;
    }
    is_object(prefix)
        && match serde_json::from_slice::<Headed>(prefix) {
            Ok(_) => true,
            Err(error) => error.is_eof() || ends_in_number(prefix, &error),
        }
}

/// Returns whether the prefix ends within a number. For an incomplete number, the parser reports a syntax error at the
/// last byte, not an unexpected end.
fn ends_in_number(prefix: &[u8], error: &serde_json::Error) -> bool {
    let is_open = |byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
    error.column() >= prefix.len() && prefix.last().is_some_and(|&last| is_open(last))
}

/// Returns whether the line begins with `{`. This check is needed because serde also accepts an array in place of a
/// struct.
fn is_object(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"{")
}

#[derive(Deserialize)]
struct Headed {
    #[serde(rename = "cmd")]
    _cmd: IgnoredAny,
}

/// Returns whether the prefix contains `"cmd":"hello"`, with any whitespace.
fn has_hello(prefix: &[u8]) -> bool {
    let dense: Vec<u8> = prefix
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let hello = br#""cmd":"hello""#;
    dense.windows(hello.len()).any(|window| window == hello)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(prefix: &str) -> String {
        format!("{:?}", JsonLines::default().detect(prefix.as_bytes()))
    }

    #[test]
    fn an_object_with_a_command_opens_json_lines() {
        for line in [
            r#"{"cmd":"hello"}"#,
            r#" { "v" : 1 , "cmd" : "hello" } "#,
            r#"{"cmd":"say","text":"no hello"}"#,
            r#"{"id":-1,"cmd":"ping"}"#,
        ] {
            assert_eq!(verdict(&format!("{line}\n")), "Found(Dialect)", "{line}");
            assert_eq!(verdict(&format!("{line}\r\n")), "Found(Dialect)", "{line}");
            assert_eq!(verdict(line), "NeedMore", "{line}");
        }
        for beginning in [" \t", "{\"id\":-", "{\"id\":1e", "{"] {
            assert_eq!(verdict(beginning), "NeedMore", "{beginning}");
        }
    }

    #[test]
    fn anything_else_is_not_ours() {
        for prefix in [
            "{\n",
            "{}\n",
            "{\"text\":\"cmd\"}\n",
            "[{\"cmd\":\"hello\"}]\n",
            "{\"cmd\":\"hello\"} is how you begin\n",
            "hello\n",
            "hello",
            "\n",
            " \r\n",
            "\n{\"cmd\":\"hello\"}",
            "{hello",
            "{\"text\":1}",
            "{} {",
        ] {
            assert_eq!(verdict(prefix), "NotFound", "{prefix:?}");
        }
    }

    #[test]
    fn a_hello_that_is_longer_than_a_prefix_may_be_is_recognised() {
        let room = r#"{"room":"ops","after":{"epoch":"3w5e11264sgsf","seq":1}},"#;
        let hello = format!(r#"{{"join":[{}"#, room.repeat(6));
        assert_eq!(verdict(&hello), "NeedMore");
        let hello = format!(r#"{{"cmd": "hello","join":[{}"#, room.repeat(12));
        assert_eq!(verdict(&hello), "Found(Dialect)");
        assert_eq!(verdict(&r#"{"a":"#.repeat(100)), "NeedMore");
    }
}
