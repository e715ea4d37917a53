//! A dialect of lines, spoken in frames: each line of its output is one text frame.
//!
//! Invariant: all connections share one encoder, so a batch of a room is encoded and framed once for all of them. A
//! frame of a server is not masked (RFC 6455, section 5.1), so it is the same for every connection.

use crate::ws::framing::{PING, WebSocketFraming};
use bytes::BytesMut;
use chat_core::log::Timestamp;
use chat_core::protocol::{
    Broadcast, Command, Commands, Dialect, DialectOptions, Encoder, Framing, Greeting, Moment,
    Reply, Step,
};
use chat_core::{CloseReason, Direct, Echo};
use std::sync::Arc;

/// Wraps a dialect of lines, and puts its output into WebSocket frames. The encoder of the wrapped dialect must never
/// change.
pub(super) struct InFrames<D> {
    dialect: D,
    encoder: Arc<FrameEncoder>,
}

/// Wraps the encoder of a dialect of lines.
pub(super) struct FrameEncoder(Arc<dyn Encoder>);

impl FrameEncoder {
    /// Wraps the encoder of a dialect whose output is lines. A server creates one `FrameEncoder` for all its
    /// connections.
    pub(super) fn new(lines: Arc<dyn Encoder>) -> Self {
        Self(lines)
    }
}

impl Encoder for FrameEncoder {
    fn encode(&self, item: &Broadcast<'_>, moment: Moment, out: &mut BytesMut) {
        framed(out, |lines| self.0.encode(item, moment, lines));
    }
}

impl<D: Dialect> InFrames<D> {
    pub(super) fn new(dialect: D, encoder: Arc<FrameEncoder>) -> Self {
        Self { dialect, encoder }
    }
}

impl<D: Dialect> Dialect for InFrames<D> {
    fn name(&self) -> &'static str {
        self.dialect.name()
    }

    fn encoder(&self) -> Arc<dyn Encoder> {
        Arc::<FrameEncoder>::clone(&self.encoder)
    }

    fn echo(&self) -> Echo {
        self.dialect.echo()
    }

    fn options(&self) -> DialectOptions {
        self.dialect.options()
    }

    fn receive<'a>(&mut self, line: &'a str, commands: &mut Commands<'a>) {
        self.dialect.receive(line, commands);
        if commands.out().is_empty() {
            return;
        }
        let mut lines = std::mem::take(commands);
        while let Some(step) = lines.pop() {
            match step {
                Step::Bytes(bytes) => frame_lines(&bytes, commands.out()),
                Step::Command(command) => {
                    // `lines` and `commands` can hold the same number of commands, so `push` drops no command here.
                    commands.push(command);
                }
            }
        }
    }

    fn framing(&self, item_bytes_max: usize) -> Option<Box<dyn Framing>> {
        Some(Box::new(WebSocketFraming::new(item_bytes_max)))
    }

    fn greet(&mut self, greeting: &Greeting<'_>, out: &mut BytesMut) {
        framed(out, |lines| self.dialect.greet(greeting, lines));
    }

    fn write_day(&self, previous: Timestamp, next: Timestamp, now: Timestamp, out: &mut BytesMut) {
        framed(out, |lines| {
            self.dialect.write_day(previous, next, now, lines)
        });
    }

    fn reply(&mut self, reply: &Reply<'_>, out: &mut BytesMut) {
        framed(out, |lines| self.dialect.reply(reply, lines));
    }

    fn follow_up(&mut self) -> Option<Command<'static>> {
        self.dialect.follow_up()
    }

    /// Writes a ping frame, which a browser answers by itself.
    fn ping(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&PING);
    }

    fn direct(&mut self, direct: &Direct, out: &mut BytesMut) {
        framed(out, |lines| self.dialect.direct(direct, lines));
    }

    fn goodbye(&mut self, reason: &CloseReason, out: &mut BytesMut) {
        framed(out, |lines| self.dialect.goodbye(reason, lines));
    }
}

/// Calls `write`, and appends each line that it writes as a frame.
fn framed(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let mut lines = BytesMut::new();
    write(&mut lines);
    frame_lines(&lines, out);
}

/// Appends each line as a text frame, without its newline.
fn frame_lines(lines: &[u8], out: &mut BytesMut) {
    // The header of a short frame is about as long as the newline that it replaces.
    out.reserve(lines.len() + 16);
    let mut rest = lines;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let (line, newline) = rest.split_at(end);
        if !line.is_empty() {
            WebSocketFraming::frame(line, out);
        }
        rest = newline.get(1..).unwrap_or_default();
    }
}
