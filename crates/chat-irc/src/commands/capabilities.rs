//! CAP: which capabilities the client enables (IRCv3 capability negotiation).

use super::Asking;
use crate::capability::{ALL, Capabilities};
use crate::names::middle;
use crate::numeric as n;
use crate::reply::Replies;
use bytes::BytesMut;
use chat_core::protocol::Command;

/// The most bytes of a list of capabilities in one line. Leaves space for the head of the line.
const LIST_BYTES_MAX: usize = 350;

/// The version of negotiation from which on capabilities have values and lists may have several lines.
const VERSION_WITH_VALUES: u32 = 302;

pub(super) fn cap(ask: &mut Asking<'_, '_, '_>, parameters: &[&str]) {
    let Some((sub_command, parameters)) = parameters.split_first() else {
        return ask.needs_more("CAP");
    };
    match sub_command.to_ascii_uppercase().as_str() {
        "LS" => {
            negotiate(ask, true);
            let version = parameters.first().and_then(|version| version.parse().ok());
            ls(ask, version.unwrap_or(0));
        }
        "LIST" => {
            let enabled = ask.peer.enabled;
            let names = enabled.names().map(str::to_owned);
            write(ask, "LIST", names, true);
        }
        "REQ" => {
            negotiate(ask, true);
            req(ask, parameters.first().copied().unwrap_or_default());
        }
        "END" => negotiate(ask, false),
        _ => {
            let sub_command = middle(sub_command);
            ask.numeric(n::ERR_INVALIDCAPCMD, &[&sub_command], "Invalid CAP command");
        }
    }
}

/// Holds the registration back, or lets it go on.
fn negotiate(ask: &mut Asking<'_, '_, '_>, is_negotiating: bool) {
    if let Some(registering) = &mut ask.peer.registering {
        registering.is_negotiating = is_negotiating;
    }
}

fn ls(ask: &mut Asking<'_, '_, '_>, version: u32) {
    let has_values = version >= VERSION_WITH_VALUES;
    if has_values {
        // "If a client sends CAP LS 302, cap-notify is enabled implicitly."
        ask.peer.enabled.insert(Capabilities::CAP_NOTIFY);
    }
    let listed = ALL.iter().map(|one| match (has_values, one.value) {
        (false, _) | (true, "") => one.name.to_owned(),
        (true, value) => format!("{}={value}", one.name),
    });
    write(ask, "LS", listed, has_values);
}

fn req(ask: &mut Asking<'_, '_, '_>, request: &str) {
    let words = request
        .split_ascii_whitespace()
        .map(|word| chat_core::text::clean(word).into_owned());
    match ask.peer.enabled.requested(request) {
        Some(enabled) => {
            write(ask, "ACK", words, true);
            ask.peer.enabled = enabled;
            // The encoder and the echo depend on the capabilities.
            ask.commands.push(Command::OptionsChanged);
        }
        None => write(ask, "NAK", words, true),
    }
}

/// Writes a list of capabilities. Writes several lines only if the client accepts them.
fn write(
    ask: &mut Asking<'_, '_, '_>,
    sub_command: &str,
    words: impl Iterator<Item = String>,
    may_be_several: bool,
) {
    let mut lines = vec![String::new()];
    for word in words {
        let line = lines.last_mut().filter(|line| {
            !may_be_several || line.is_empty() || line.len() + word.len() < LIST_BYTES_MAX
        });
        match line {
            Some(line) if line.is_empty() => line.push_str(&word),
            Some(line) => {
                line.push(' ');
                line.push_str(&word);
            }
            None => lines.push(word),
        }
    }
    ask.replies(|replies: Replies<'_>, out: &mut BytesMut| {
        let last = lines.len() - 1;
        for (at, line) in lines.iter().enumerate() {
            // Only LS and LIST mark the lines that others follow.
            let is_marked = at < last && matches!(sub_command, "LS" | "LIST");
            let head = [replies.nick, sub_command, "*"];
            replies.line("CAP", &head[..if is_marked { 3 } else { 2 }], line, out);
        }
    });
}
