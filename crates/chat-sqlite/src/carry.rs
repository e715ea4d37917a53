//! Exports the messages of a file, and imports messages into a file.

use crate::error::OpenError;
use crate::file;
use crate::options::Options;
use crate::rooms::{Changes, Key, Rooms};
use crate::rows;
use crate::scan;
use crate::store::{self, Room};
use chat_core::log::{Account, AccountError, Drafts, SessionId, Timestamp};
use chat_core::name::NameError;
use chat_core::{Kind, Nick, RoomName, Seq, text};
use rusqlite::{Connection, Transaction};
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::Path;

/// The maximum number of messages in one transaction of an import.
const IMPORTED_AT_ONCE: usize = 5000;

/// The longest text that an import accepts, in bytes. This is also the length of the longest line that a server
/// accepts.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// The latest time that an import accepts: the end of the year 9999.
const AT_MAX: Timestamp = Timestamp(253_402_300_799_999);

/// The highest position that an import accepts: half of the highest position that a log can hold. The other half stays
/// free for later messages.
const IMPORTED_SEQ_MAX: u64 = rows::PLACE_MAX / 2;

/// One message of an export or an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The room's name.
    pub room: String,
    /// The position of the message in the room's log.
    pub seq: Seq,
    /// The time of the message.
    pub at: Timestamp,
    /// The author's nick.
    pub from: String,
    /// The author's account, if there is one.
    pub account: Option<String>,
    /// The kind of message.
    pub kind: Kind,
    /// The text.
    pub text: String,
    /// The key under which the author published the message, if there is one.
    pub key: Option<String>,
}

/// Why [`export`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The file can't be read.
    #[error(transparent)]
    File(#[from] OpenError),
    /// The room's name is not valid.
    #[error("room: {0}")]
    Room(#[from] NameError),
    /// The file has no room with this name.
    #[error("there is no room {0} in it: `chat-server check` lists them")]
    NoRoom(RoomName),
    /// The caller's function that receives the messages returned this error.
    #[error("can't write: {0}")]
    Output(#[from] io::Error),
}

/// Why [`import`] ended before the last message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file can't be opened or written.
    #[error("{error}")]
    File {
        /// The messages that were imported before the error. They stay in the file.
        imported: Imported,
        /// Why the file can't be opened or written.
        error: OpenError,
    },
    /// A message breaks a rule, so it can't be imported.
    #[error("message {}: {why}; what precedes it is imported", imported.messages + 1)]
    Refused {
        /// The messages that were imported before the rejected message. They stay in the file.
        imported: Imported,
        /// The rule that the message breaks.
        why: RecordError,
    },
}

/// Why [`import`] rejects a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The room's name is not valid.
    #[error("room: {0}")]
    Room(NameError),
    /// The author's nick is not valid.
    #[error("from: {0}")]
    Nick(NameError),
    /// The author's account is not valid.
    #[error("account: {0}")]
    Account(AccountError),
    /// The text has this many bytes, which is more than 64 KiB.
    #[error("text: it has {0} bytes, and 65536 at most are taken")]
    TextTooLong(usize),
    /// The message has this position, which is too high for a file.
    #[error("seq: {0} is more than a log can hold")]
    TooFar(Seq),
    /// The message has this time, in milliseconds since 1970, which is after the year 9999.
    #[error("ts: {0} is after the year 9999; milliseconds are meant")]
    TooLate(u64),
}

/// The result of an [`import`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// The number of imported messages.
    pub messages: u64,
    /// The number of rooms that contain the imported messages.
    pub rooms: u64,
}

/// The result of an [`export`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// The number of exported messages.
    pub messages: u64,
    /// The ranges of messages that can't be read, and so were not exported.
    pub unreadable: Vec<Unreadable>,
}

/// A range of messages in one room that can't be read, because the file is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreadable {
    /// The room's name.
    pub room: String,
    /// The first position of the range.
    pub from: Seq,
    /// The last position of the range.
    pub to: Seq,
}

/// Calls `each` with every message of a file: one room after the other, and each room in the order of its log. A server
/// may have the file open. Messages that can't be read are skipped and listed in the result.
///
/// # Errors
///
/// Returns an error if the file can't be read at all. If `each` returns an error, the export ends with that error.
pub fn export(
    path: &Path,
    options: &Options,
    room: Option<&str>,
    since: Option<Timestamp>,
    each: &mut dyn FnMut(Record) -> io::Result<()>,
) -> Result<Exported, ExportError> {
    let connection = file::read_only(path)?;
    file::identify(&connection)?;
    let rooms = store::rooms(&connection).map_err(OpenError::from)?;
    let wanted = room.map(|room| options.names.room(room)).transpose()?;
    let key = wanted
        .as_ref()
        .map(|room| (options.names.fold)(room.as_str()));
    let is_wanted = |room: &Room| key.as_ref().is_none_or(|key| **key == *room.key);
    if let Some(wanted) = wanted
        && !rooms.iter().any(is_wanted)
    {
        return Err(ExportError::NoRoom(wanted));
    }
    let mut exported = Exported::default();
    for room in rooms.iter().filter(|room| is_wanted(room)) {
        let unreadable = scan::messages(&connection, room, &mut |stored| {
            if since.is_some_and(|since| stored.at < since) {
                return Ok(());
            }
            exported.messages += 1;
            each(Record {
                room: room.name.clone(),
                seq: stored.seq,
                at: stored.at,
                from: stored.author,
                account: stored.account,
                kind: stored.kind,
                text: stored.text,
                // A key contains no control character. In the file, a control character and a mark of the key's owner
                // may follow the key. The mark is not exported.
                key: stored.key.map(|mut key| {
                    key.truncate(key.find(text::is_unsafe).unwrap_or(key.len()));
                    key
                }),
            })
        });
        exported.unreadable.extend(unreadable?);
    }
    Ok(exported)
}

/// Imports messages into a file that no other program has open. Creates the file if it does not exist.
///
/// The first message that is imported into an empty room keeps its position. Every other message gets the position
/// after the last message of its room. A message that breaks a rule ends the import; the messages before it stay in
/// the file.
///
/// # Errors
///
/// See [`ImportError`].
pub fn import(
    path: &Path,
    options: &Options,
    records: impl IntoIterator<Item = Record>,
) -> Result<Imported, ImportError> {
    let mut imported = Imported::default();
    match take_all(path, options, records, &mut imported) {
        Ok(None) => Ok(imported),
        Ok(Some(why)) => Err(ImportError::Refused { imported, why }),
        Err(error) => Err(ImportError::File { imported, error }),
    }
}

/// Imports messages until one is rejected. Returns the reason, or `None` if all messages were imported.
fn take_all(
    path: &Path,
    options: &Options,
    records: impl IntoIterator<Item = Record>,
    imported: &mut Imported,
) -> Result<Option<RecordError>, OpenError> {
    let mut opened = file::open(path, options)?;
    let mut all = Rooms::new(opened.progress);
    // `peek` may be called again after the end of the iterator, so the iterator is fused.
    let mut records = records.into_iter().fuse().peekable();
    let mut rooms = HashSet::new();
    while records.peek().is_some() {
        let transaction = opened.connection.transaction()?;
        let mut changes = all.begin();
        let (mut refused, mut taken) = (None, 0);
        for record in records.by_ref().take(IMPORTED_AT_ONCE) {
            let names = match Names::of(&record, options) {
                Ok(names) => names,
                Err(why) => {
                    refused = Some(why);
                    break;
                }
            };
            rooms.insert(Key::clone(&names.key));
            take(&transaction, &all, &mut changes, names, &record)?;
            taken += 1;
        }
        commit(transaction, &changes)?;
        all.commit(changes);
        imported.messages += taken;
        imported.rooms = rooms.len() as u64;
        let noted = opened.state.write(all.progress());
        noted.map_err(OpenError::io("what stands beside it"))?;
        if refused.is_some() {
            return Ok(refused);
        }
    }
    Ok(None)
}

fn commit(transaction: Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    for room in changes.rooms.values() {
        store::update(&transaction, room)?;
        // No member waits during an import, so one step indexes all messages.
        if let Some(id) = room.id {
            store::index(&transaction, id, usize::MAX)?;
        }
    }
    store::update_progress(&transaction, changes.progress)?;
    transaction.commit()
}

/// The names in a record, parsed by the rules in [`Options::names`].
struct Names {
    key: Key,
    room: RoomName,
    nick: Nick,
    account: Option<Account>,
}

impl Names {
    /// Parses the names in a record, and checks the limits of the record.
    fn of(record: &Record, options: &Options) -> Result<Self, RecordError> {
        if record.text.len() > TEXT_BYTES_MAX {
            return Err(RecordError::TextTooLong(record.text.len()));
        }
        if record.seq.0 > IMPORTED_SEQ_MAX {
            return Err(RecordError::TooFar(record.seq));
        }
        if record.at > AT_MAX {
            return Err(RecordError::TooLate(record.at.0));
        }
        let account = record.account.as_deref().map(Account::parse).transpose();
        let room = options.names.room(&record.room);
        let room = room.map_err(RecordError::Room)?;
        Ok(Self {
            key: (options.names.fold)(room.as_str()).into(),
            nick: options
                .names
                .restore_nick(&record.from)
                .map_err(RecordError::Nick)?,
            account: account.map_err(RecordError::Account)?,
            room,
        })
    }
}

/// Appends one message to its room.
fn take(
    connection: &Connection,
    all: &Rooms,
    changes: &mut Changes,
    names: Names,
    record: &Record,
) -> rusqlite::Result<()> {
    all.find(changes, connection, &names.key, names.room.as_str())?;
    let Some(room) = all.known(&mut changes.rooms, &names.key) else {
        return Ok(());
    };
    let drafts = Drafts::new(SessionId::NOBODY, names.nick, record.at);
    let mut drafts = drafts.with_account(names.account);
    drafts.restore(record.kind, &record.text, record.key.as_deref());
    let mut seq = room.tail.next();
    if room.tail == Seq::START {
        // The import has no messages before this position, so the positions before it count as expired.
        seq = seq.max(record.seq);
        room.floor = Seq(seq.0.saturating_sub(1));
    }
    let batch = drafts.number(names.room, [seq]);
    store::append(connection, room, &mut changes.progress, &batch)
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { room, from, to } = self;
        write!(f, "{room}: {from} to {to} can't be read")
    }
}

/// A number and the noun that it counts, such as `2 rooms`.
pub(crate) struct Count(pub(crate) u64, pub(crate) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, what) = self;
        let plural = if *count == 1 { "" } else { "s" };
        write!(f, "{count} {what}{plural}")
    }
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rooms = Count(self.rooms, "room");
        write!(f, "{} into {rooms}", Count(self.messages, "message"))
    }
}
