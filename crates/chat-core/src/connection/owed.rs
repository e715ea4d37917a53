//! Writes the reply to a published message among the events of its room, in the place of the message; see
//! [`Echo::Reply`](crate::Echo::Reply).
//!
//! Invariant: a published message is answered once, and the next command waits for that answer.
//!
//! When delivery to the connection reaches the message, delivery holds back the events after the message until the
//! connection has written the reply. If output is already held back, delivery stops at the message, and the connection
//! writes the reply when it catches up.
//!
//! Delivery may never reach the message. Then the reply is written after the gap that contains the message, when the
//! session leaves the room, or after `Limits::stall_timeout`.

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
    /// The batch that holds only this message.
    pub(super) batch: Arc<Batch>,
    /// The epoch of the room's log before the message was appended.
    pub(super) epoch: Epoch,
    /// The time at which the message was published.
    pub(super) since: Instant,
}

impl Owed {
    /// Returns whether `batch` holds this message.
    pub(super) fn is(&self, batch: &Batch) -> bool {
        self.batch.room() == batch.room() && self.batch.last() == batch.last()
    }
}

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Handles a message of the peer that delivery has reached. If the message has no reply yet, writes the reply.
    /// Otherwise, the peer was told that the message failed, although it was appended. The peer is then shown the
    /// message like a message of another member.
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

    /// Returns whether delivery will not reach the published message that still needs a reply. Returns `false` if no
    /// message needs a reply.
    pub(super) fn has_passed_owed(&self) -> bool {
        let Some(Owed { batch, epoch, .. }) = self.conversation.owed() else {
            return false;
        };
        let (epoch, seq) = (*epoch, batch.last());
        let is_awaited = |member: &WireMember| member.awaits(Position { epoch, seq });
        // `awaits` is called before `is_due` is read. If delivery reaches the message between these two steps, `is_due`
        // is `true`.
        !self.owed_member().is_some_and(is_awaited) && !self.transport.outbound().progress().is_due
    }

    /// Writes the reply to the unanswered message before delivery reaches the message. The message is not shown when
    /// delivery reaches it later.
    pub(super) fn write_owed_out_of_place(&mut self) {
        if let Some(Owed { batch, epoch, .. }) = self.conversation.owed() {
            // `note_answered` is called first. If delivery reached the message before that call, `write_due` answers
            // the message.
            if let Some(member) = self.owed_member() {
                member.note_answered(Arc::clone(batch), *epoch);
            }
            self.write_due();
            self.write_owed();
        }
    }

    /// Returns the session's member in one room: the room of the published message that the connection has yet to reply
    /// to.
    fn owed_member(&self) -> Option<&WireMember> {
        let room = self.conversation.owed()?.batch.room();
        self.members
            .iter()
            .find(|member| member.room().name == *room)
    }

    fn write_owed(&mut self) {
        if let Some(owed) = self.conversation.take_owed() {
            self.reply(&Reply::Published(&owed.batch));
        }
    }

    /// Handles the message that delivery has reached, if there is one; see [`write_due`](Self::write_due). Then
    /// releases the output that is held back.
    pub(super) fn uncork(&mut self) {
        self.write_due();
        self.transport.uncork();
    }
}
