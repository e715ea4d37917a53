//! The forms that a line of the plain dialect can have.

use bytes::{BufMut, BytesMut};

pub(super) fn notice(out: &mut BytesMut, text: std::fmt::Arguments<'_>) {
    line(out, format_args!("* {text}"));
}

pub(super) fn error(out: &mut BytesMut, text: std::fmt::Arguments<'_>) {
    line(out, format_args!("! {text}"));
}

pub(super) fn line(out: &mut BytesMut, text: std::fmt::Arguments<'_>) {
    out.put_slice(text.to_string().as_bytes());
    out.put_u8(b'\n');
}
