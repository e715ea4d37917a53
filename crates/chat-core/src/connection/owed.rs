//! Writes the reply to a message in the message's place among those of its room; see
//! [`Echo::Reply`](crate::Echo::Reply).
//!
//! Invariant: a published message is answered once, and the next command waits for that answer.
//!
//! When delivery reaches the message, it holds back what follows until the connection has written the reply. If the
//! output is held back already, delivery stops at the message, and the connection writes the reply when it catches up.
//! A message that delivery will not reach is answered after the gap that has it, when the session leaves the room, or
//! after `Limits::stall_timeout`.

use crate::connection::connection::Connection;
use crate::event::{Broadcast, Moment};
use crate::log::{Batch, Epoch, Position};
use crate::protocol::Reply;
use crate::session::WireMember;
use bytes::BytesMut;
use std::sync::Arc;
use tokio::io::AsyncRead;
use tokio::time::Instant;

/// A published message that is not answered yet.
#[derive(Debug)]
pub(super) struct Owed {
    pub(super) batch: Arc<Batch>,
    /// The epoch of the room's log before the message was appended.
    pub(super) epoch: Epoch,
    /// When the message was published.
    pub(super) since: Instant,
}

impl Owed {
    /// Whether this is the message.
    pub(super) fn is(&self, batch: &Batch) -> bool {
        self.batch.room() == batch.room() && self.batch.last() == batch.last()
    }
}

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Writes the reply to the message that delivery has reached. If the message is not owed a reply, because its
    /// append seemed to fail, it is shown like the messages of others.
    pub(super) fn write_due(&mut self) {
        let Some(batch) = self.transport.outbound().take_due() else {
            return;
        };
        if self.conversation.owed().is_some_and(|owed| owed.is(&batch)) {
            self.write_owed();
        } else if let Some(dialect) = self.conversation.dialect() {
            let mut out = BytesMut::new();
            let messages = Broadcast::Messages(&batch, 0..batch.len());
            dialect.encoder().encode(&messages, Moment::Live, &mut out);
            self.send(out);
        }
    }

    /// Whether a reply is owed, and delivery will not reach its message.
    pub(super) fn has_passed_owed(&self) -> bool {
        let Some(Owed { batch, epoch, .. }) = self.conversation.owed() else {
            return false;
        };
        let (epoch, seq) = (*epoch, batch.last());
        let is_awaited = |member: &WireMember| member.awaits(Position { epoch, seq });
        // In this order: a message that was reached in between is due.
        !self.owed_member().is_some_and(is_awaited) && !self.transport.outbound().progress().is_due
    }

    /// Writes the reply that is owed, wherever its message is. The message is not shown any more.
    pub(super) fn write_owed_out_of_place(&mut self) {
        if let Some(Owed { batch, epoch, .. }) = self.conversation.owed() {
            // In this order: a message that delivery has just reached is due, and answered in its place.
            if let Some(member) = self.owed_member() {
                member.note_answered(Arc::clone(batch), *epoch);
            }
            self.write_due();
            self.write_owed();
        }
    }

    /// The session's member in the room of the message that is owed a reply.
    fn owed_member(&self) -> Option<&WireMember> {
        let room = self.conversation.owed()?.batch.room();
        self.members.iter().find(|member| member.room() == room)
    }

    fn write_owed(&mut self) {
        if let Some(owed) = self.conversation.take_owed() {
            self.reply(&Reply::Published(&owed.batch));
        }
    }

    /// Releases what rooms have delivered, after the reply that must precede it.
    pub(super) fn uncork(&mut self) {
        self.write_due();
        self.transport.uncork();
    }
}
