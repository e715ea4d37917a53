//! The trait of a framing, which divides the bytes of one connection into items for its dialect.
//!
//! Invariant: a framing does no I/O, never waits and has no clock. Bytes go in and items come out. The connection
//! limits how long an item may be and how long it may take to arrive, in the same way for every framing.

use crate::event::CloseReason;
use crate::line::Inbound;
use bytes::BytesMut;

/// Divides one connection's bytes into items other than lines.
///
/// A dialect that is not spoken in lines returns a framing from
/// [`Dialect::framing`](crate::protocol::Dialect::framing). Each item is then given to
/// [`Dialect::receive`](crate::protocol::Dialect::receive) as a line would be.
///
/// The output of a dialect and its [`Encoder`](crate::protocol::Encoder) is sent to the peer unchanged. The dialect and
/// the encoder therefore write complete frames, with [`frame`](Self::frame). Members that speak one dialect in one
/// framing share an encoder, so a batch is encoded and framed once for all of them.
///
/// # Limits
///
/// A framing does not keep an item that is too long: [`next`](Self::next) returns [`Inbound::Oversized`] as soon as the
/// limit is exceeded, and the framing skips the rest of the item.
///
/// If the end of an item does not arrive within [`Limits::line_timeout`](crate::Limits::line_timeout), the connection
/// calls [`give_up`](Self::give_up) and tells the peer that the item was dropped. The time limit also applies while an
/// over-long item is skipped. So the peer may be told twice about the same item.
///
/// The connection charges the peer for each item as for a line, whether the item is accepted or rejected. If the
/// framing keeps more bytes than [`pending`](Self::pending) allows, the connection calls [`give_up`](Self::give_up). If
/// the framing then still keeps too many bytes, the connection is closed.
pub trait Framing: Send + Sync {
    /// Processes bytes that were read from the peer. Appends to `answers` the frames that the framing itself sends in
    /// return, such as the pong to a ping.
    fn push(&mut self, bytes: &[u8], answers: &mut BytesMut);

    /// Removes and returns the next item: complete, or rejected with the reason. Returns `None` if more bytes are
    /// needed.
    fn next(&mut self) -> Option<Inbound>;

    /// Returns the number of bytes that the framing keeps and that `next` has not returned yet. Once `next` has
    /// returned `None`, the framing may keep at most one item of the maximum length and its header.
    fn pending(&self) -> usize;

    /// Returns whether an item has begun and its end has not arrived. This includes an item whose bytes are skipped.
    /// The connection limits the time of such an item.
    fn is_unfinished(&self) -> bool;

    /// Drops the unfinished item, because its end has not arrived in time, and skips its remaining bytes. The
    /// connection may call this method again while bytes are skipped; the framing then continues to skip to the same
    /// end.
    fn give_up(&mut self);

    /// Returns the bytes that are left at the end of the stream, as one item. The connection calls this method once,
    /// after `next` has returned `None`. The default returns `None`: an item without its end is incomplete, and is
    /// dropped.
    fn finish(&mut self) -> Option<Inbound> {
        None
    }

    /// Returns whether the peer's input has ended. The input ends if the peer has sent this framing's own close
    /// message, or has broken the framing's rules so that no further frame can be read. The default is `false`.
    ///
    /// The connection calls this method when [`next`](Self::next) has returned `None`. If the result is `true`, the
    /// connection publishes the messages that it has received, and ends with [`CloseReason::Disconnected`].
    /// [`close`](Self::close) then tells the peer why. The framing discards all bytes that it receives afterwards.
    fn has_ended(&self) -> bool {
        false
    }

    /// Appends the frame with which this framing ends a connection, such as a WebSocket close frame. The connection
    /// sends this frame after the dialect's goodbye. The default appends nothing.
    fn close(&mut self, _reason: &CloseReason, _out: &mut BytesMut) {}

    /// Appends a payload as one complete frame. The result must depend on the payload alone, because the same frame is
    /// sent to several connections.
    fn frame(payload: &[u8], out: &mut BytesMut)
    where
        Self: Sized;
}
