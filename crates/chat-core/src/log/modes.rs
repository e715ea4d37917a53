//! The modes of a room, as the messages of its log have set them.
//!
//! Invariant: each list has at most [`Modes::ENTRIES_MAX`] entries, whatever the log holds. The state depends only on
//! the log, so all hubs and journals that read a log agree on it.

use crate::log::account::Account;
use crate::log::batch::Batch;
use crate::log::mask::{Mask, MaskSubject};
use crate::log::mode_change::{
    MaskList, ModeChange, ModeChanges, Role, RoleTarget, RoomKey, Setting,
};
use crate::log::position::Timestamp;
use crate::name::Nick;
use std::fmt;
use std::num::NonZeroU32;

/// The modes of one room. By default none is set, and every session may join and speak.
///
/// # Text
///
/// A journal stores the modes as a text, in which each mode is a line: [`Display`](fmt::Display) writes the text and
/// [`read`](Self::read) reads it. Each line is a [`ModeChange`] without its sign. The line of a mask is followed by the
/// nick that added the mask and the time in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modes {
    /// The settings that are set, one bit each.
    settings: u8,
    key: Option<RoomKey>,
    limit: Option<NonZeroU32>,
    lists: [Vec<MaskEntry>; MaskList::ALL.len()],
    accounts: Vec<(Account, Role)>,
}

/// A mask in a list of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MaskEntry {
    /// The mask.
    pub mask: Mask,
    /// The nick that the author had when it added the mask.
    pub by: Nick,
    /// The time at which the hub accepted the change.
    pub at: Timestamp,
}

impl Modes {
    /// The most masks of one list, and the most accounts with a role.
    pub const ENTRIES_MAX: usize = 100;

    /// Returns whether a mode is set.
    #[must_use]
    pub const fn has(&self, setting: Setting) -> bool {
        self.settings & bit(setting) != 0
    }

    /// Returns the key that a session needs to join; `None` if it needs none.
    #[must_use]
    pub const fn key(&self) -> Option<&RoomKey> {
        self.key.as_ref()
    }

    /// Returns how many members the room may have; `None` if there is no limit.
    #[must_use]
    pub const fn limit(&self) -> Option<NonZeroU32> {
        self.limit
    }

    /// Returns the masks of a list, in the order in which they were added.
    #[must_use]
    pub fn list(&self, list: MaskList) -> &[MaskEntry] {
        &self.lists[list as usize]
    }

    /// Returns the accounts that have a role, in the order in which they were given one.
    pub fn accounts(&self) -> impl Iterator<Item = (&Account, Role)> {
        self.accounts.iter().map(|(account, role)| (account, *role))
    }

    /// Returns the role that the sessions of an account have in the room.
    #[must_use]
    pub fn role_of(&self, account: &Account) -> Option<Role> {
        self.accounts()
            .find(|(other, _)| *other == account)
            .map(|(_, role)| role)
    }

    /// Returns whether a mask of the list stands for the user.
    #[must_use]
    pub fn lists(&self, list: MaskList, who: &MaskSubject<'_>) -> bool {
        self.list(list).iter().any(|entry| entry.mask.matches(who))
    }

    /// Returns what a session outside the room may know of the modes: the settings and the limit, and that the room has a
    /// key. The lists and the accounts are empty.
    #[must_use]
    pub fn seen_from_outside(self) -> Self {
        let mut seen = self.without_lists();
        if seen.key.is_some() {
            seen.key = Some(RoomKey::hidden());
        }
        seen
    }

    /// Removes the lists and the accounts.
    pub(crate) fn without_lists(self) -> Self {
        Self {
            lists: Default::default(),
            accounts: Vec::new(),
            ..self
        }
    }

    /// Takes the key of other modes, if the key of these modes is not known.
    pub(crate) fn reveal_key(&mut self, head: impl FnOnce() -> Self) {
        if self.key.as_ref().is_some_and(RoomKey::is_hidden) {
            self.key = head().key.or_else(|| self.key.take());
        }
    }

    /// Returns whether some modes restrict who publishes what in the room.
    pub(crate) fn restrict_publishing(&self) -> bool {
        let settings = bit(Setting::TopicLock) | bit(Setting::Moderated) | bit(Setting::NoExternal);
        self.settings & settings != 0
            || self.restrict_joining()
            || !self.list(MaskList::Quiet).is_empty()
    }

    /// Returns whether some modes restrict who joins the room. A limit of members does not concern a session that
    /// publishes or reads from outside; it counts here, too, because the caller then looks more closely.
    pub(crate) fn restrict_joining(&self) -> bool {
        self.has(Setting::InviteOnly)
            || self.key.is_some()
            || self.limit.is_some()
            || !self.list(MaskList::Ban).is_empty()
    }

    /// Applies the changes that the batch's messages make. Changes of the roles of members are not part of this value,
    /// because members keep their roles only until they leave. Returns whether this value has changed.
    pub fn apply(&mut self, batch: &Batch) -> bool {
        let mut has_changed = false;
        for changes in batch.mode_changes() {
            for change in &changes {
                has_changed |= self.change(change, batch.from(), batch.at());
            }
        }
        has_changed
    }

    /// Applies one change of this author. Returns whether this value has changed. A mask or an account is not added to
    /// a full list.
    pub fn change(&mut self, change: &ModeChange, by: &Nick, at: Timestamp) -> bool {
        match change {
            ModeChange::Set(setting) => {
                set(&mut self.settings, |settings| settings | bit(*setting))
            }
            ModeChange::Unset(setting) => {
                set(&mut self.settings, |settings| settings & !bit(*setting))
            }
            ModeChange::Key(key) => {
                let has_changed = self.key != *key;
                self.key.clone_from(key);
                has_changed
            }
            ModeChange::Limit(limit) => set(&mut self.limit, |_| *limit),
            ModeChange::Add(list, mask) => {
                let list = &mut self.lists[*list as usize];
                let is_new =
                    list.iter().all(|entry| entry.mask != *mask) && list.len() < Self::ENTRIES_MAX;
                if is_new {
                    let (mask, by) = (mask.clone(), by.clone());
                    list.push(MaskEntry { mask, by, at });
                }
                is_new
            }
            ModeChange::Remove(list, mask) => {
                let list = &mut self.lists[*list as usize];
                let count = list.len();
                list.retain(|entry| entry.mask != *mask);
                list.len() < count
            }
            ModeChange::Grant(role, RoleTarget::Account(account)) => self.grant(account, *role),
            ModeChange::Revoke(role, RoleTarget::Account(account)) => {
                let count = self.accounts.len();
                self.accounts.retain(|had| had != &(account.clone(), *role));
                self.accounts.len() < count
            }
            ModeChange::Grant(_, RoleTarget::Nick(_))
            | ModeChange::Revoke(_, RoleTarget::Nick(_)) => false,
        }
    }

    fn grant(&mut self, account: &Account, role: Role) -> bool {
        if let Some((_, had)) = self.accounts.iter_mut().find(|(other, _)| other == account) {
            return set(had, |had| had.max(role));
        }
        let has_space = self.accounts.len() < Self::ENTRIES_MAX;
        if has_space {
            self.accounts.push((account.clone(), role));
        }
        has_space
    }

    /// Returns whether the list, or the list of accounts with a role, has no space for another entry.
    pub(crate) fn is_full_for(&self, change: &ModeChange) -> bool {
        let len = match change {
            ModeChange::Add(list, mask)
                if self.list(*list).iter().all(|entry| entry.mask != *mask) =>
            {
                self.list(*list).len()
            }
            ModeChange::Grant(_, RoleTarget::Account(account))
                if self.role_of(account).is_none() =>
            {
                self.accounts.len()
            }
            _ => 0,
        };
        len >= Self::ENTRIES_MAX
    }

    /// Reads the text of modes, for a journal that restores them. Skips the lines that this version does not know.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut modes = Self::default();
        // The author of changes that have none in the text.
        let Ok(nobody) = Nick::of_any_rules("-") else {
            return modes;
        };
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let (change, set) = match words[..] {
                [word, mask, by, at] => (format!("+{word} {mask}"), Some((by, at))),
                [_] | [_, _] => (format!("+{line}"), None),
                _ => continue,
            };
            let set = set.map(|(by, at)| Some((Nick::of_any_rules(by).ok()?, at.parse().ok()?)));
            let (by, at) = set.flatten().unwrap_or_else(|| (nobody.clone(), 0));
            for change in &ModeChanges::read(&change) {
                modes.change(change, &by, Timestamp(at));
            }
        }
        modes
    }
}

/// Changes a value. Returns whether the value differs from before.
fn set<T: PartialEq + Copy>(value: &mut T, change: impl FnOnce(T) -> T) -> bool {
    let had = std::mem::replace(value, change(*value));
    had != *value
}

const fn bit(setting: Setting) -> u8 {
    1 << setting as u8
}

impl fmt::Display for Modes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for setting in Setting::ALL {
            if self.has(setting) {
                writeln!(f, "{}", setting.as_str())?;
            }
        }
        if let Some(key) = &self.key {
            writeln!(f, "key {}", key.as_str())?;
        }
        if let Some(limit) = self.limit {
            writeln!(f, "limit {limit}")?;
        }
        for list in MaskList::ALL {
            for MaskEntry { mask, by, at } in self.list(list) {
                writeln!(f, "{} {mask} {by} {}", list.as_str(), at.0)?;
            }
        }
        for (account, role) in self.accounts() {
            let account = RoleTarget::Account(account.clone());
            writeln!(f, "{} {account}", role.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Seq;
    use crate::log::{Drafts, Kind, SessionId};
    use crate::name::RoomName;

    fn applied(texts: &[&str]) -> Modes {
        let mut modes = Modes::default();
        for (at, text) in texts.iter().enumerate() {
            let mut drafts = Drafts::new(
                SessionId(1),
                Nick::parse("alice").unwrap(),
                Timestamp(at as u64),
            );
            drafts.push(Kind::Said, "+secret");
            drafts.push(Kind::Mode, text);
            let batch = drafts.number(RoomName::parse("ops").unwrap(), (1..).map(Seq));
            let had = modes.clone();
            assert_eq!(modes.apply(&batch), had != modes, "{text}");
        }
        modes
    }

    #[test]
    fn changes_are_applied_in_order() {
        let modes = applied(&[
            "+moderated +secret +key a +limit 3 +ban x",
            "-secret +key b +ban x +ban y +operator bob",
            "-ban x -quiet z +operator $a:kim +voice $a:kim +owner $a:lee -owner $a:kim",
        ]);
        assert_eq!(
            modes.to_string(),
            "moderated\nkey b\nlimit 3\nban y!*@* alice 1\noperator $a:kim\nowner $a:lee\n"
        );
        assert!(modes.has(Setting::Moderated) && !modes.has(Setting::Secret));
        assert_eq!(
            applied(&["+secret +key a", "-secret -key -limit"]),
            Modes::default()
        );
    }

    #[test]
    fn the_text_of_modes_is_read_to_the_same_modes() {
        let all = "+topic-lock +moderated +invite-only +secret +no-external +key k +limit 7 +ban a +ban b \
            +except c +invite-except $a:d +quiet e!f@g +owner $a:h +voice $a:i";
        let modes = applied(&[all]);
        assert_eq!(Modes::read(&modes.to_string()), modes);
        assert_eq!(Modes::read(""), Modes::default());
        let read = Modes::read(
            "loud\nmoderated\ncolour red\nban x!*@* alice 5 later\nban y!*@* alice 5\n",
        );
        assert_eq!(read.to_string(), "moderated\nban y!*@* alice 5\n");
    }

    #[test]
    fn the_messages_of_a_batch_hide_the_keys_that_it_knows() {
        let (alice, ops) = (
            Nick::parse("alice").unwrap(),
            RoomName::parse("ops").unwrap(),
        );
        let drafts = || Drafts::new(SessionId(1), alice.clone(), Timestamp(0));
        let mut set = drafts();
        // A mask may look like a change of the key, and a key that is not valid is removed.
        for text in [
            "+ban +key +key one",
            "+key a,b -secret",
            "+loud +key two +limit 2",
        ] {
            set.push(Kind::Mode, text);
        }
        let texts = |batch: &Batch| -> Vec<String> {
            let messages = batch.messages(0..batch.len());
            messages.map(|message| message.text.to_owned()).collect()
        };
        let shown = ["+ban +key +key *", "-secret", "+loud +key * +limit 2"];
        let batch = set.number(ops.clone(), (1..).map(Seq));
        assert_eq!(texts(&batch), shown);
        let keys = |batch: &Batch| -> Vec<String> {
            let changes = batch.mode_changes().flat_map(|changes| changes.0.clone());
            let keys = changes.filter_map(|change| match change {
                ModeChange::Key(Some(key)) => Some(key.as_str().to_owned()),
                _ => None,
            });
            keys.collect()
        };
        assert_eq!(keys(&batch), ["one", "two"]);
        // A store does not restore the keys.
        let mut restored = drafts();
        shown
            .iter()
            .for_each(|text| restored.restore(Kind::Mode, text, None));
        let restored = restored.number(ops, (1..).map(Seq));
        assert_eq!(texts(&restored), shown);
        assert_eq!(keys(&restored), ["*", "*"]);
        let mut modes = Modes::default();
        modes.apply(&restored);
        assert!(modes.key().is_some_and(RoomKey::is_hidden));
        modes.reveal_key(Modes::default);
        assert!(modes.key().is_some_and(RoomKey::is_hidden));
        modes.reveal_key(|| Modes::read("key two"));
        assert_eq!(modes.key().map(RoomKey::as_str), Some("two"));
    }

    #[test]
    fn a_list_has_at_most_100_entries() {
        let mut modes = Modes::default();
        let alice = Nick::parse("alice").unwrap();
        for entry in 0..150 {
            for text in [format!("+ban b{entry}"), format!("+voice $a:{entry}")] {
                for change in &ModeChanges::parse(&text).unwrap() {
                    assert_eq!(modes.is_full_for(change), entry >= 100);
                    assert_eq!(modes.change(change, &alice, Timestamp(0)), entry < 100);
                }
            }
        }
        assert_eq!(
            (modes.list(MaskList::Ban).len(), modes.accounts().count()),
            (100, 100)
        );
        // An entry that is in the list already needs no space.
        assert!(
            !modes.is_full_for(
                &ModeChanges::parse("+ban b7")
                    .unwrap()
                    .iter()
                    .next()
                    .unwrap()
                    .clone()
            )
        );
    }
}
