//! How the bytes of one connection are divided into items: the layer below a dialect.
//!
//! Invariant: a framing does no I/O, never waits and has no clock. Bytes go in and items come out. The connection
//! limits the length and the time of an item, in the same way for every framing.

use crate::line::Inbound;
use bytes::BytesMut;

/// Divides one connection's bytes into items other than lines.
///
/// A dialect that is not spoken in lines returns a framing from
/// [`Dialect::framing`](crate::protocol::Dialect::framing). Each item is then given to
/// [`Dialect::receive`](crate::protocol::Dialect::receive) as a line would be.
///
/// The output of a dialect and its [`Encoder`](crate::protocol::Encoder) is sent to the peer unchanged. They therefore
/// write complete frames, with [`frame`](Self::frame). Members that speak one dialect in one framing share an encoder,
/// so a batch is encoded and framed once for all of them.
///
/// # Limits
///
/// An item that is too long is not kept: `next` reports [`Inbound::Oversized`] as soon as that is known, and skips the
/// item to its end. An item whose end does not arrive within [`Limits::line_timeout`](crate::Limits::line_timeout) is
/// given up, and so is the rest of a skipped item: the peer is told again. Each item costs the peer as much as a line,
/// whether it is accepted or rejected. A connection whose framing keeps more than it may is closed.
pub trait Framing: Send + Sync {
    /// Processes bytes that were read. Appends to `answers` what the framing itself answers, such as the pong to a
    /// ping.
    fn push(&mut self, bytes: &[u8], answers: &mut BytesMut);

    /// Takes the next item, complete or rejected. Returns `None` if more bytes are needed.
    fn next(&mut self) -> Option<Inbound>;

    /// Returns how many bytes are kept that `next` has not taken. Once `next` has returned `None`, at most the longest
    /// item and its header may be kept.
    fn pending(&self) -> usize;

    /// Returns whether an item has begun and not ended, whether its bytes are kept or skipped. Its time is limited.
    fn is_unfinished(&self) -> bool;

    /// Drops the unfinished item, whose end has not arrived in time, and skips its remaining bytes. May be called again
    /// while they are skipped; the item is then skipped to the same end.
    fn give_up(&mut self);

    /// Takes what is left at the end of the stream, as one item. Called once, after `next` has returned `None`. The
    /// default drops it, because an item without its end is incomplete.
    fn finish(&mut self) -> Option<Inbound> {
        None
    }

    /// Appends what ends the conversation in this framing, such as a close frame, after the dialect's goodbye. The
    /// default appends nothing.
    fn close(&mut self, _out: &mut BytesMut) {}

    /// Appends a payload as one frame. The result depends on the payload alone, so one frame is right for every
    /// connection.
    fn frame(payload: &[u8], out: &mut BytesMut)
    where
        Self: Sized;
}
