//! How a file is used.

use crate::keeper::INDEXED_PER_SECOND;
use crate::readers::SEARCH_TIME_MAX;
use chat_core::RoomName;
use chat_core::name::NameRules;
use std::time::Duration;

/// How a file is used; start from [`Options::default`] and change fields.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// When a message counts as kept ([`Sync::Full`]).
    pub sync: Sync,
    /// How long messages are kept ([`Keep::Everything`]).
    pub keep: Keep,
    /// Rooms whose messages are kept otherwise; how their names are spelled makes no difference.
    pub keep_in: Vec<(RoomName, Keep)>,
    /// How names are read: those of the hub, or stored nicks that it allows are shown as `someone`.
    pub names: NameRules,
    /// How many pages of 4 KiB the file may have: for tests of a full disk.
    #[doc(hidden)]
    pub pages_max: Option<u32>,
    /// A file is trusted though what stands beside it was written by somebody else: for tests of damaged files.
    #[doc(hidden)]
    pub trusts_copies: bool,
    /// How long one search may take: for tests of long ones.
    #[doc(hidden)]
    pub search_time_max: Duration,
    /// How many bytes of messages are indexed in a second, with 0 none: for tests of what is not indexed yet.
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
    /// Once it is on the disk: a power cut loses nothing that anybody has seen.
    #[default]
    Full,
    /// Once the system has it: faster, and a power cut may lose the last moments.
    Normal,
}

/// How long messages are kept. What is no longer kept is removed in small steps, and is a gap to whoever asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// For ever.
    #[default]
    Everything,
    /// For so many days of 24 hours, by the machine's clock. What is older than that, but follows something younger, as
    /// only an import makes it, is kept as long as that.
    Days(u32),
    /// The latest so many of each room, and for a while up to an eighth more, at most 500; with 0, none. What is not to
    /// be kept passes through the file all the same.
    Count(u64),
}
