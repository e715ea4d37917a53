//! A [`Journal`](chat_core::log::Journal) that stores the logs of rooms in one SQLite file, with search.
//!
//! ```no_run
//! use chat_core::Hub;
//! use chat_sqlite::{Options, SqliteJournal};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let journal = SqliteJournal::open("chat.db".as_ref(), &Options::default())?;
//! let hub = Hub::builder().journal(journal).build();
//! # Ok(())
//! # }
//! ```
//!
//! # Durability
//!
//! One thread writes to the file. All waiting batches become one transaction, and a message is delivered and
//! acknowledged when its transaction is committed.
//!
//! With [`Sync::Full`], a message is on the disk when it is delivered. Neither the end of the process (`kill -9`) nor
//! a power cut loses a delivered message, if the disk really writes what it reports as written.
//!
//! With [`Sync::Normal`], only the operating system has a message when it is delivered. The end of the process loses
//! nothing, but a power cut may lose messages of the last moments. So the rooms get new epochs if the machine was
//! restarted before the file was closed. The new epoch tells a client that it may have received messages that the log
//! no longer holds.
//!
//! # Files beside the database
//!
//! SQLite makes `FILE-wal` and `FILE-shm`. This crate makes `FILE-state`, which records how many messages have been
//! appended to the file. The crate locks the database file and `FILE-state`. So no other server can open the file, even
//! under another path (a bind mount).
//!
//! The logs get new epochs in three cases: the file holds fewer messages than `FILE-state` records, because the file
//! was restored from a copy or cut short; `FILE-state` is missing; or `FILE-state` is a copy.
//!
//! To restore a backup, put back the database file alone, without `FILE-state`. The crate does not detect a restored
//! copy that preserves the times of the files, such as a snapshot of a whole disk. To back up while a server runs, use
//! `chat-server export` or SQLite's own `.backup`. A plain copy of a file in use is not a valid backup.
//!
//! The file must be on a local disk, because SQLite's locks and its `-shm` file do not work over a network. Flipped
//! bits within texts are not detected, because SQLite keeps no checksums.

#![deny(missing_docs)]

mod carry;
mod check;
mod error;
mod expiry;
mod file;
mod held;
mod index;
mod journal;
mod keeper;
mod options;
mod queue;
mod readers;
mod rooms;
mod rows;
mod scan;
mod search;
mod state;
mod store;
mod thread;
mod writer;

pub use carry::{
    ExportError, Exported, ImportError, Imported, Record, RecordError, Unreadable, export, import,
};
pub use check::{Report, check};
pub use error::OpenError;
pub use journal::{SqliteJournal, SqliteLog};
pub use options::{Keep, Options, Sync};

/// Turns the examples in this package's README into tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
