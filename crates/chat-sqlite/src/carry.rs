//! Carrying what is kept from file to file.

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

/// How many messages one transaction of an import takes.
const IMPORTED_AT_ONCE: usize = 5000;

/// The longest text that is imported: as long as the longest line that a server takes.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// The last moment that is imported: the end of the year 9999.
const AT_MAX: Timestamp = Timestamp(253_402_300_799_999);

/// The last place that is imported: as many follow it as precede it.
const IMPORTED_SEQ_MAX: u64 = rows::PLACE_MAX / 2;

/// One message, as it is carried from file to file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The room's name.
    pub room: String,
    /// The place in its log.
    pub seq: Seq,
    /// When it was said.
    pub at: Timestamp,
    /// Who said it: the nick.
    pub from: String,
    /// Who said it: the account, if there is one.
    pub account: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// The text.
    pub text: String,
    /// The key under which it was said.
    pub key: Option<String>,
}

/// Why not all was exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The file can't be read.
    #[error(transparent)]
    File(#[from] OpenError),
    /// The room's name can't be one.
    #[error("room: {0}")]
    Room(#[from] NameError),
    /// There is no such room in the file.
    #[error("there is no room {0} in it: `chat-server check` lists them")]
    NoRoom(RoomName),
    /// What was exported could not be written.
    #[error("can't write: {0}")]
    Output(#[from] io::Error),
}

/// Why not all was imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file can't be opened or written.
    #[error("{error}")]
    File {
        /// What is imported all the same.
        imported: Imported,
        /// Why no more is.
        error: OpenError,
    },
    /// A message can't be taken.
    #[error("message {}: {why}; what precedes it is imported", imported.messages + 1)]
    Refused {
        /// What precedes it.
        imported: Imported,
        /// Why not.
        why: RecordError,
    },
}

/// Why a message can't be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The name of its room can't be one.
    #[error("room: {0}")]
    Room(NameError),
    /// The name of its author can't be one.
    #[error("from: {0}")]
    Nick(NameError),
    /// The account of its author can't be one.
    #[error("account: {0}")]
    Account(AccountError),
    /// Its text is longer than 64 KiB.
    #[error("text: it has {0} bytes, and 65536 at most are taken")]
    TextTooLong(usize),
    /// Its place is too far.
    #[error("seq: {0} is more than a log can hold")]
    TooFar(Seq),
    /// Its time is after the year 9999.
    #[error("ts: {0} is after the year 9999; milliseconds are meant")]
    TooLate(u64),
}

/// What an import has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// How many messages.
    pub messages: u64,
    /// Into how many rooms.
    pub rooms: u64,
}

/// What an export has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// How many messages were handed out.
    pub messages: u64,
    /// What can't be read any more.
    pub unreadable: Vec<Unreadable>,
}

/// Messages that are damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreadable {
    /// Their room's name.
    pub room: String,
    /// The first of their places.
    pub from: Seq,
    /// The last of their places.
    pub to: Seq,
}

/// Hands each message of a file to `each`: room by room, in the order of their logs. The file may be in use. What is
/// damaged is passed over, and said at the end.
///
/// # Errors
///
/// The file can't be read at all, or `each` failed, which ends it.
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
                // No key holds a control character: what follows one is the mark of its owner, which is not carried.
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

/// Takes messages into a file that nobody has open; it is made if need be. In a room that is empty the first keeps its
/// place; all others follow what is there, without a hole. One that can't be taken ends it; what precedes it is imported.
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

/// Takes what can be taken, and gives why not all could be.
fn take_all(
    path: &Path,
    options: &Options,
    records: impl IntoIterator<Item = Record>,
    imported: &mut Imported,
) -> Result<Option<RecordError>, OpenError> {
    let mut opened = file::open(path, options)?;
    let mut all = Rooms::new(opened.progress);
    // One that goes on after its end would have a message left out.
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
        // Nobody waits for it.
        if let Some(id) = room.id {
            store::index(&transaction, id, usize::MAX)?;
        }
    }
    store::update_progress(&transaction, changes.progress)?;
    transaction.commit()
}

/// A record's names, read by the rules.
struct Names {
    key: Key,
    room: RoomName,
    nick: Nick,
    account: Option<Account>,
}

impl Names {
    /// Looks whether a record can be taken.
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

/// Adds one message.
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
        // What precedes it was not exported: it is as if it had been kept no longer.
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

/// So many of something.
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
