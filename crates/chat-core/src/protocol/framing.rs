//! How the bytes of one connection are divided into items: the seam below a dialect.
//!
//! Invariant: a framing does no I/O, never waits and has no clock. Bytes go in and items come out; whatever limits the
//! length and the time of an item is the connection's, the same for every framing.

use crate::line::Inbound;
use bytes::BytesMut;

/// How one connection's bytes are divided into items, other than by lines.
///
/// A dialect that is not spoken in lines gives its connections a framing with
/// [`Dialect::framing`](crate::protocol::Dialect::framing); each item is then given to
/// [`Dialect::receive`](crate::protocol::Dialect::receive) as a line would be.
///
/// What a dialect and its [`Encoder`](crate::protocol::Encoder) write goes to the peer as it is, so they write complete
/// frames, for which they call [`frame`](Self::frame). An encoder is shared by the members who speak one dialect in one
/// framing, so a batch is encoded and framed once for all of them.
///
/// # Limits
///
/// What is too long is not kept: `next` reports [`Inbound::Oversized`] as soon as that is known, and skips the item to
/// its end. An item whose end does not come within [`Limits::line_timeout`](crate::Limits::line_timeout) is given up.
pub trait Framing: Send + Sync {
    /// Takes bytes that were read. Appends to `answers` what the framing itself answers, such as the pong to a ping.
    fn push(&mut self, bytes: &[u8], answers: &mut BytesMut);

    /// Takes the next item: complete, or rejected. `None` until more bytes are pushed.
    fn next(&mut self) -> Option<Inbound>;

    /// How many bytes are kept that `next` has not taken. More than the longest item and its header must not be kept
    /// once `next` has returned `None`.
    fn pending(&self) -> usize;

    /// Drops the unfinished item, whose end has not come in time; what still comes of it is skipped.
    fn give_up(&mut self);

    /// Takes what is left when the stream has ended. The default drops it: an item without its end is incomplete.
    fn finish(&mut self) -> Option<Inbound> {
        None
    }

    /// Appends what ends the conversation in this framing, such as a close frame, after the dialect's goodbye. The
    /// default is nothing.
    fn close(&mut self, _out: &mut BytesMut) {}

    /// Appends a payload as one frame. It depends on nothing but the payload, so that what was framed once is right for
    /// every connection.
    fn frame(payload: &[u8], out: &mut BytesMut)
    where
        Self: Sized;
}
