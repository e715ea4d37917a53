//! Rooms' logs: the messages in them, and the journal that keeps them.

mod account;
mod batch;
mod drafts;
mod journal;
mod key;
mod keyed;
mod keys;
mod kind;
mod mask;
mod memory;
mod mode_change;
mod modes;
mod position;
mod search;
mod topic;
mod user_host;

pub use account::{Account, AccountError};
pub use batch::{Batch, Message, MessageRef};
pub use drafts::{DraftRef, Drafts};
pub(crate) use journal::{Append, DynJournal, DynLog};
pub use journal::{
    Appended, BatchSlice, Followed, Gap, Head, Journal, JournalError, Log, Page, Span,
};
pub(crate) use key::{Key, Owner};
pub use key::{KeyError, TokenDigest};
pub(crate) use keys::{Claim, Claimed, Keys, Said};
pub use kind::{Kind, UnknownKind};
pub(crate) use mask::MaskPattern;
pub use mask::{Mask, MaskError, MaskSubject};
pub use memory::{MemoryJournal, MemoryLog};
pub use mode_change::{
    MaskList, ModeChange, ModeChanges, ModeParseError, Role, RoleTarget, RoomKey, Setting,
};
pub use modes::{MaskEntry, Modes};
pub use position::{Epoch, ParseEpochError, Position, Seq, SessionId, Timestamp};
pub use topic::{Topic, TopicSet};
pub use user_host::{UserHost, UserHostError};
