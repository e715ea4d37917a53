//! Messages as rows: their ids, and the conversion of rows to batches.

use chat_core::log::{Account, Batch, BatchSlice, Drafts, SessionId, Timestamp};
use chat_core::name::NameRules;
use chat_core::{Kind, Nick, RoomName, Seq};
use rusqlite::Row;
use std::sync::Arc;

/// The number of bits of an id that hold the position; the other bits hold the room.
const PLACE_BITS: u32 = 40;

/// The highest position that fits into the id of a message.
pub(crate) const PLACE_MAX: u64 = (1 << PLACE_BITS) - 1;

/// The highest room id that fits into the id of a message.
pub(crate) const ROOM_MAX: i64 = (1 << (63 - PLACE_BITS)) - 1;

/// The columns of a message, in the order that [`Stored::read`] expects.
pub(crate) const COLUMNS: &str =
    "m.id, m.at, m.author, m.kind, m.text, m.key, m.session, m.life, m.account";

/// Returns [`COLUMNS`] for a file with this schema. A file that is only read may have an earlier schema.
pub(crate) const fn columns(schema: i64) -> &'static str {
    if schema < 3 {
        "m.id, m.at, m.author, m.kind, m.text, m.key, m.session, m.life, NULL"
    } else {
        COLUMNS
    }
}

/// Returns the id of a message. A position that is too high gives the last id of the room.
pub(crate) fn id(room: i64, seq: Seq) -> i64 {
    (room << PLACE_BITS) | seq.0.min(PLACE_MAX).cast_signed()
}

/// Returns the position of a message from the id of its row.
pub(crate) fn seq(id: i64) -> Seq {
    Seq(id.cast_unsigned() & PLACE_MAX)
}

/// A message as it is stored.
#[derive(Debug)]
pub(crate) struct Stored {
    /// The id of the message's room.
    pub(crate) room: i64,
    pub(crate) seq: Seq,
    pub(crate) at: Timestamp,
    pub(crate) author: String,
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) key: Option<String>,
    pub(crate) account: Option<String>,
    session: SessionId,
    /// Each opening of the file has a number. This is the number of the opening during which the message was stored.
    life: i64,
}

impl Stored {
    /// Reads a row of [`COLUMNS`].
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            room: row.get::<_, i64>(0)? >> PLACE_BITS,
            seq: seq(row.get(0)?),
            at: Timestamp(row.get::<_, i64>(1)?.cast_unsigned()),
            author: row.get(2)?,
            // A number that is not a valid kind is damage. No dialect shows a message of this kind.
            kind: Kind::from_number(u8::try_from(row.get::<_, i64>(3)?).unwrap_or(u8::MAX)),
            text: row.get(4)?,
            key: row.get(5)?,
            session: SessionId(row.get::<_, i64>(6)?.cast_unsigned()),
            life: row.get(7)?,
            account: row.get(8)?,
        })
    }
}

impl Stored {
    /// Returns the author's session if the message was stored during the opening of the file with the number `life`.
    /// Otherwise returns `NOBODY`.
    fn session(&self, life: u64) -> SessionId {
        if self.life == life.cast_signed() {
            self.session
        } else {
            SessionId::NOBODY
        }
    }
}

/// Converts rows, in the order of the log, to batches. Consecutive messages of one author at one time form one batch.
///
/// The result has session ids only for messages of the current opening of the file. Sessions of earlier openings have
/// ended. A new session may have the same number as an earlier session, and must not take that session's messages for
/// its own.
pub(crate) fn slices(
    rows: Vec<Stored>,
    room: &RoomName,
    names: &NameRules,
    life: u64,
) -> Vec<BatchSlice> {
    let mut slices = Vec::new();
    let mut rows = rows.into_iter().peekable();
    while let Some(first) = rows.next() {
        let (author, at) = (first.author.clone(), first.at);
        let account = first.account.clone();
        let session = first.session(life);
        // An account that is not valid is ignored.
        let parsed = account.as_deref().and_then(|id| Account::parse(id).ok());
        let mut drafts = Drafts::new(session, nick(&author, names), at).with_account(parsed);
        let mut seqs = Vec::new();
        let mut next = Some(first);
        while let Some(row) = next {
            drafts.restore(row.kind, &row.text, row.key.as_deref());
            seqs.push(row.seq);
            next = rows.next_if(|row| {
                row.at == at
                    && row.author == author
                    && row.account == account
                    && row.session(life) == session
            });
        }
        let batch: Batch = drafts.number(room.clone(), seqs);
        let range = 0..batch.len();
        slices.push(BatchSlice {
            batch: Arc::new(batch),
            range,
        });
    }
    slices
}

/// Returns the stored nick, or a placeholder if the rules for names do not allow it.
fn nick(name: &str, names: &NameRules) -> Nick {
    names.restore_nick(name).unwrap_or_else(|error| {
        tracing::debug!(%error, "a stored nick is no name by these rules");
        Nick::parse("someone").expect("this is a name")
    })
}
