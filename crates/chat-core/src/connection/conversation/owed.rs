//! The published message to which the connection has not replied yet. The connection replies once delivery reaches the
//! message in its room.

use crate::connection::conversation::Conversation;
use crate::connection::owed::Owed;
use crate::log::Batch;
use crate::protocol::Reply;
use bytes::BytesMut;

impl Conversation {
    /// Keeps a published message that has no reply yet. The connection writes the reply when delivery reaches the
    /// message.
    pub(in crate::connection) fn owe(&mut self, owed: Owed) {
        debug_assert!(self.owed.is_none(), "the next message waits for the reply");
        self.owed = Some(Box::new(owed));
    }

    /// Returns the published message that is not answered yet.
    pub(in crate::connection) fn owed(&self) -> Option<&Owed> {
        self.owed.as_deref()
    }

    /// Takes the published message that is not answered yet. The caller answers it.
    pub(in crate::connection) const fn take_owed(&mut self) -> Option<Box<Owed>> {
        self.owed.take()
    }

    /// If `batch` is the message that is not answered yet, writes the reply and returns `true`.
    pub(in crate::connection) fn write_owed(&mut self, batch: &Batch, out: &mut BytesMut) -> bool {
        let (Some(dialect), Some(owed)) =
            (&mut self.dialect, self.owed.take_if(|owed| owed.is(batch)))
        else {
            return false;
        };
        dialect.reply(&Reply::Published(&owed.batch), out);
        true
    }
}
