//! The options of a journal.

use crate::keeper::INDEXED_PER_SECOND;
use crate::readers::SEARCH_TIME_MAX;
use chat_core::RoomName;
use chat_core::name::NameRules;
use std::time::Duration;

/// The options of a [`SqliteJournal`](crate::SqliteJournal). Start from [`Options::default`] and change fields.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// When a message counts as committed, so that the hub delivers and acknowledges it. The default is
    /// [`Sync::Full`].
    pub sync: Sync,
    /// How long messages are kept. The default is [`Keep::Everything`].
    pub keep: Keep,
    /// Rooms with their own setting instead of `keep`. A room's name may be in any spelling that the hub considers the
    /// same name.
    pub keep_in: Vec<(RoomName, Keep)>,
    /// The rules for names, which must be the rules of the hub. A stored nick that these rules do not allow is shown as
    /// `someone`.
    pub names: NameRules,
    /// The maximum size of the file, in pages of 4 KiB. `None` means no limit. For tests of a full disk.
    #[doc(hidden)]
    pub pages_max: Option<u32>,
    /// Whether the journal keeps the epochs of its logs if `FILE-state`, the file beside the database, seems to be a
    /// copy. For tests of damaged files.
    #[doc(hidden)]
    pub trusts_copies: bool,
    /// The time limit of one search (400 ms). For tests of long searches.
    #[doc(hidden)]
    pub search_time_max: Duration,
    /// The maximum number of bytes of text that are written to the search index in a second (512 KiB). 0 disables
    /// indexing. For tests of messages that are not indexed yet.
    #[doc(hidden)]
    pub indexed_per_second: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync: Sync::default(),
            keep: Keep::default(),
            keep_in: Vec::new(),
            names: NameRules::default(),
            pages_max: None,
            trusts_copies: false,
            search_time_max: SEARCH_TIME_MAX,
            indexed_per_second: INDEXED_PER_SECOND,
        }
    }
}

/// When a message counts as committed, so that the hub delivers and acknowledges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sync {
    /// The message is committed once it is on the disk. A power cut loses no delivered message.
    #[default]
    Full,
    /// The message is committed once the operating system has it. This setting is faster than `Full`, but a power cut
    /// may lose the messages that were delivered last.
    Normal,
}

/// How long the messages of a room are kept. The journal removes expired messages in small steps. A reader gets a gap
/// instead of the removed messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// All messages are kept without limit.
    #[default]
    Everything,
    /// Each message is kept for this number of days of 24 hours, by the machine's clock. If an import places an old
    /// message after a younger one, the old message is kept as long as the younger one.
    Days(u32),
    /// This number of the latest messages of each room is kept. To remove messages in larger steps, the journal also
    /// keeps up to an eighth more for a short time, but at most 500 more. With 0, messages are written to the file and
    /// then removed.
    Count(u64),
}
