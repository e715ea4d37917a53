//! The reply to a message in the message's place in its room, see [`Echo::Reply`](crate::Echo::Reply).
//!
//! Invariant: a published message is answered once. The next command waits until then.
//!
//! Delivery stops before a message of such a session, and the connection writes what follows as it repairs a lag: from
//! the log, with the reply in the message's place. A message that delivery will not reach is answered after the gap, or
//! when the session leaves the room.

use crate::connection::connection::Connection;
use crate::log::{Batch, Epoch};
use crate::protocol::Reply;
use std::sync::Arc;
use tokio::io::AsyncRead;

/// A published message that is not answered yet.
#[derive(Debug)]
pub(super) struct Owed {
    pub(super) batch: Arc<Batch>,
    /// The epoch of the room's log before the message was appended.
    pub(super) epoch: Epoch,
}

impl Owed {
    /// Whether this is the message.
    pub(super) fn is(&self, batch: &Batch) -> bool {
        self.batch.room() == batch.room() && self.batch.last() == batch.last()
    }
}

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Writes the reply that is owed if delivery will not reach its message.
    pub(super) fn reply_if_passed(&mut self) {
        let Some(Owed { batch, epoch }) = self.conversation.owed() else {
            return;
        };
        let mut members = self.members.iter();
        let member = members.find(|member| member.room() == batch.room());
        if !member.is_some_and(|member| member.awaits(*epoch, batch.last())) {
            self.reply_owed();
        }
    }

    /// Writes the reply that is owed, wherever its message is.
    pub(super) fn reply_owed(&mut self) {
        if let Some(owed) = self.conversation.take_owed() {
            self.reply(&Reply::Published(&owed.batch));
        }
    }
}
