//! Formats messages that a search on the server found. Found messages may be old, so each line has the date and the
//! message number.

use chat_json::{Message, MessageKind};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Formats the results of a search for `words`, the latest first, and says how to continue the search.
pub(crate) fn list_found(found: &[Message], words: &str) -> Vec<String> {
    if found.is_empty() {
        return vec![format!("no older message contains \"{words}\"")];
    }
    let mut lines = list(found);
    lines.push("/around NUMBER shows the messages around a match".to_owned());
    lines
}

/// Formats messages with their dates and numbers.
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
            MessageKind::Mode => format!("{from} {}", message.in_words()),
            _ => format!("{from}: {text}"),
        };
        format!("[{seq}] {at} {said}")
    };
    messages.iter().map(line).collect()
}
