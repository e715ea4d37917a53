//! Writes lines of the plain dialect: notices, errors and refusals.

use crate::protocol::{Hint, Refusal};
use bytes::{BufMut, BytesMut};

pub(super) fn notice(out: &mut BytesMut, text: std::fmt::Arguments<'_>) {
    line(out, format_args!("* {text}"));
}

pub(super) fn error(out: &mut BytesMut, text: std::fmt::Arguments<'_>) {
    line(out, format_args!("! {text}"));
}

/// Writes why a request was refused, and which command may help.
pub(super) fn refusal(out: &mut BytesMut, refusal: &Refusal) {
    let hint = match refusal.hint {
        Some(Hint::ListRooms) => " (/rooms lists them)",
        Some(Hint::JoinListed) => " (/rooms)",
        Some(Hint::ListMembers) => ": /who lists who is",
        None => "",
    };
    error(out, format_args!("{refusal}{hint}"));
}

pub(super) fn line(out: &mut BytesMut, text: std::fmt::Arguments<'_>) {
    out.put_slice(text.to_string().as_bytes());
    out.put_u8(b'\n');
}

/// Returns a colon and the reason, to append to a sentence. Returns an empty text if `reason` is empty.
pub(super) fn because(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    }
}
