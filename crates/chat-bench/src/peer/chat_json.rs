//! `chat-server` in JSON Lines.
//!
//! Message lines are not parsed as JSON, but compared with the exact bytes that the server writes. This is possible
//! because payloads contain nothing that JSON escapes. Only the welcome is read with serde, once for each connection.

use std::io;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::ledger::Echo;
use crate::peer::{Chat, CommandLine, Frame, Peer, Place, Who, lines};

/// `chat-server` in the JSON dialect. Members ask for an echo, so a message has one delivery for each member.
#[derive(Debug)]
pub(crate) struct ChatJson(pub(crate) Chat);

/// Events that are ignored. `gap` is not one of them, because no message may be missed.
const PASSED_OVER: [&[u8]; 6] = [
    b"joined", b"left", b"members", b"hushed", b"present", b"renamed",
];

impl Peer for ChatJson {
    fn echo(&self) -> Echo {
        Echo::Include
    }

    fn command(&self, place: &Place<'_>) -> io::Result<CommandLine> {
        self.0.command(place)
    }

    fn login(&self, who: Who, out: &mut Vec<u8>) {
        let nick = who.nick();
        let hello = format!(
            "{{\"cmd\":\"hello\",\"id\":1,\"v\":1,\"nick\":\"{nick}\",\"echo\":true,\
             \"join\":[{{\"room\":\"bench\"}}]}}\n"
        );
        out.extend_from_slice(hello.as_bytes());
    }

    fn publish(&self, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"cmd":"say","room":"bench","text":""#);
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\"}\n");
    }

    fn read<'a>(&self, line: &'a [u8], used: usize, _bytes: &'a [u8]) -> Frame<'a> {
        if let Some((named, payload)) = said(line) {
            return Frame::Message {
                payload,
                named: Some(named),
                used,
            };
        }
        match event(line) {
            Some(b"ping") => Frame::Answer {
                bytes: b"{\"cmd\":\"ping\"}\n".to_vec(),
                used,
            },
            Some(name) if PASSED_OVER.contains(&name) => Frame::Notice { used },
            None if is_welcome(line) => Frame::Welcome { used },
            _ => lines::unexpected(line),
        }
    }
}

/// Reads `{"ev":"said","room":"bench","seq":12,"ts":1758000000123,"from":"m17","text":".."}`: the member's number and
/// the text.
fn said(line: &[u8]) -> Option<(u32, &[u8])> {
    let rest = line.strip_prefix(br#"{"ev":"said","room":"bench","seq":"#)?;
    let rest = skip_digits(rest)?.strip_prefix(br#","ts":"#)?;
    let rest = skip_digits(rest)?.strip_prefix(br#","from":""#)?;
    let quote = rest.iter().position(|byte| *byte == b'"')?;
    let (nick, rest) = rest.split_at(quote);
    let text = rest.strip_prefix(br#"","text":""#)?.strip_suffix(b"\"}")?;
    Some((lines::member_number(nick)?, text))
}

/// Returns `bytes` without the number at the start. `None` if nothing follows the number.
fn skip_digits(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit())?;
    (end > 0).then_some(&bytes[end..])
}

/// The name of a line's event.
fn event(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(br#"{"ev":""#)?;
    let quote = rest.iter().position(|byte| *byte == b'"')?;
    Some(&rest[..quote])
}

/// Whether a line is the answer to `hello` and says that the room was joined.
fn is_welcome(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Granted {
        re: u32,
        ok: Welcome,
    }
    #[derive(Deserialize)]
    struct Welcome {
        rooms: Vec<Room>,
    }
    #[derive(Deserialize)]
    struct Room {
        err: Option<IgnoredAny>,
    }
    serde_json::from_slice(line).is_ok_and(|granted: Granted| {
        granted.re == 1 && matches!(granted.ok.rooms[..], [Room { err: None }])
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::payload::{PayloadCodec, Stamp};
    use crate::peer::testing::{Seen, read_in_any_chunks};

    fn json() -> ChatJson {
        ChatJson(Chat {
            program: PathBuf::new(),
            extra: Vec::new(),
        })
    }

    #[test]
    fn any_chunking_gives_the_same_messages() {
        let stream = br#"{"re":1,"ok":{"v":1,"nick":"m17","limits":{"line":65536,"text":4096},"ping":25,"rooms":[{"room":"bench","epoch":"x","seq":0,"recovered":false,"count":1,"members":["m17"],"topic":""}]}}
{"ev":"joined","room":"bench","nick":"m18"}
{"ev":"said","room":"bench","seq":12,"ts":1758000000123,"from":"m3","text":"one: two"}
{"ev":"hushed","room":"bench","on":true}
{"ev":"members","room":"bench","count":101}
{"ev":"ping"}
{"ev":"said","room":"bench","seq":13,"ts":1758000000124,"from":"m12","text":"x"}
"#;
        let expected = [
            Seen::Welcome,
            Seen::Notice,
            Seen::Message(b"one: two".to_vec(), Some(3)),
            Seen::Notice,
            Seen::Notice,
            Seen::Answer(b"{\"cmd\":\"ping\"}\n".to_vec()),
            Seen::Message(b"x".to_vec(), Some(12)),
        ];
        assert_eq!(read_in_any_chunks(&json(), stream), expected);
    }

    #[test]
    fn gaps_errors_and_unknown_lines_are_wrong() {
        for line in [
            r#"{"ev":"gap","room":"bench","from":1,"to":2,"why":"expired"}"#,
            r#"{"ev":"bye","code":"draining","reconnect":true}"#,
            r#"{"err":{"code":"too_fast","msg":"slow down","retry_ms":1000}}"#,
            r#"{"re":1,"err":{"code":"nick_taken","msg":"taken","retry_ms":null}}"#,
            r#"{"re":1,"ok":{"rooms":[{"room":"bench","err":{"code":"full"}}]}}"#,
            r#"{"re":1,"ok":{"rooms":[]}}"#,
            r#"{"ev":"said","room":"other","seq":12,"ts":1,"from":"m3","text":"x"}"#,
            r#"{"ev":"said","room":"bench","seq":12,"ts":1,"from":"guest-7","text":"x"}"#,
            r#"{"ev":"said","room":"bench","seq":,"ts":1,"from":"m3","text":"x"}"#,
            r#"{"ev":"said","room":"bench","seq":12,"ts":1,"from":"m3","text":"x","replay":true"#,
            r#"{"ev":"acted","room":"bench","seq":12,"ts":1,"from":"m3","text":"x"}"#,
            "14:02 m4: hi",
            "",
        ] {
            let received = format!("{line}\n");
            let frame = json().next(received.as_bytes());
            assert!(matches!(frame, Frame::Wrong { .. }), "{line:?}");
        }
    }

    #[test]
    fn what_is_sent_is_json() {
        let stamp = Stamp {
            publisher: 7,
            sequence: 0xdead_beef,
        };
        let (mut payload, mut line) = (Vec::new(), Vec::new());
        PayloadCodec::new(4096).encode(stamp, &mut payload);
        json().publish(&payload, &mut line);
        let said: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(said["text"].as_str().unwrap().as_bytes(), payload);
        line.clear();
        json().login(Who::Member(3), &mut line);
        let hello: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(hello["nick"], "m3");
    }
}
