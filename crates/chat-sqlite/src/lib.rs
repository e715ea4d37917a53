//! Rooms' logs in one SQLite file: a [`Journal`](chat_core::log::Journal) that survives the process, with search.
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
//! # What is kept when
//!
//! One thread writes: whatever waits becomes one transaction, and a message is delivered and acknowledged when that is
//! committed. With [`Sync::Full`] the commit is on the disk by then: neither the end of the process (`kill -9`) nor a
//! power cut loses a message that anybody has seen, as far as the disk tells the truth. With [`Sync::Normal`] the
//! system has it: the end of the process loses nothing; a power cut may lose the last moments. So when the machine was
//! started again and the file was not closed before, the rooms' epochs change, and whoever may have seen more is told.
//!
//! # Beside the file
//!
//! `FILE-wal` and `FILE-shm` are SQLite's. The file itself is held locked, so that nobody opens it under another path
//! (a bind mount), and so is `FILE-state`, which says how much
//! has been appended: a file that holds less than it did (restored from a copy, cut short) is another life of its logs,
//! and gets new epochs; so does one without its `FILE-state`, or with a copy of it. To restore a backup, put back the file
//! alone. (Who keeps the time of a copy, as a snapshot of a whole disk does, hides that from it.) To back up while a server runs, use `chat-server export`, or SQLite's own `.backup`: a plain copy of a file that
//! is being written is none. The file must be on a disk of this machine: SQLite's locks and its `-shm` do not work over a
//! network. What turns bits over within texts is not noticed: SQLite keeps no checksums.

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

/// The examples of this package's README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
