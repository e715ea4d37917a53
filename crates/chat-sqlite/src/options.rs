//! Options of a journal.

use crate::keeper::INDEXED_PER_SECOND;
use crate::readers::SEARCH_TIME_MAX;
use chat_core::RoomName;
use chat_core::name::NameRules;
use std::time::Duration;

/// Options of a journal. Start from [`Options::default`] and change fields.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// When a message counts as kept. Default: [`Sync::Full`].
    pub sync: Sync,
    /// How long messages are kept. Default: [`Keep::Everything`].
    pub keep: Keep,
    /// Exceptions to `keep` for single rooms. Different spellings of one room's name are equivalent.
    pub keep_in: Vec<(RoomName, Keep)>,
    /// The rules for names. They must be those of the hub: a stored nick that the rules do not allow is shown as
    /// `someone`.
    pub names: NameRules,
    /// The maximum number of pages of 4 KiB in the file. For tests of a full disk.
    #[doc(hidden)]
    pub pages_max: Option<u32>,
    /// Whether a file is trusted although another program wrote `FILE-state`. For tests of damaged files.
    #[doc(hidden)]
    pub trusts_copies: bool,
    /// The time limit of one search. For tests of long searches.
    #[doc(hidden)]
    pub search_time_max: Duration,
    /// The number of message bytes indexed a second; 0 disables indexing. For tests of messages that are not indexed
    /// yet.
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

/// When a message counts as kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sync {
    /// After it is on the disk: a power cut loses no message that was delivered.
    #[default]
    Full,
    /// After the operating system has it: faster, but a power cut may lose the last moments.
    Normal,
}

/// How long messages are kept. Expired messages are removed in small steps; a reader gets a gap in their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// Without limit.
    #[default]
    Everything,
    /// For this number of days of 24 hours, by the machine's clock. Only an import can place an old message after a
    /// younger one; such a message is kept as long as the younger one.
    Days(u32),
    /// The latest messages of each room, up to this number. For a short time, up to an eighth more are kept, at most
    /// 500. With 0, none are kept. Messages that are not kept are still written to the file first.
    Count(u64),
}
