//! Messages that a server has found: lines with days and places, for they may be old.

use chat_json::{Message, MessageKind};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What a search has found, the latest first, and how to go on.
pub(crate) fn list_found(found: &[Message], words: &str) -> Vec<String> {
    if found.is_empty() {
        return vec![format!("nothing that was said before holds \"{words}\"")];
    }
    let mut lines = list(found);
    lines.push("/around PLACE shows what was said around one".to_owned());
    lines
}

/// Messages with their days and places.
pub(crate) fn list(messages: &[Message]) -> Vec<String> {
    let zone = TimeZone::system();
    let line = |message: &Message| {
        let at = i64::try_from(message.at).unwrap_or_default();
        let at = Timestamp::from_millisecond(at).unwrap_or_default();
        let at = at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M");
        let Message {
            seq, from, text, ..
        } = message;
        let said = match message.kind {
            MessageKind::Acted => format!("* {from} {text}"),
            MessageKind::Topic => format!("{from} set the topic: {text}"),
            _ => format!("{from}: {text}"),
        };
        format!("[{seq}] {at} {said}")
    };
    messages.iter().map(line).collect()
}
