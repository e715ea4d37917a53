//! How changes of presence are announced.
//!
//! Invariant: one item announces one change. If a room has too many members to announce each change, only the followers
//! of the hub receive the changes.

use crate::event::{Presence, PresenceChange, Profile};
use crate::log::SessionId;
use crate::name::Nick;
use crate::room::item::Body;
use crate::room::room::{Room, State, Told, What};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// The time between two announcements of the number of members, in a room with too many members to announce each
/// change.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// A change of presence, and the number under which all rooms of the session announce it. The number is `None` if only
/// one room announces the change.
pub(super) struct Change {
    pub(super) change: PresenceChange,
    pub(super) number: Option<NonZeroU32>,
    /// What is known of the session after the change.
    pub(super) profile: Profile,
}

impl Change {
    /// Creates a change that only one room announces. Such a change has no number.
    pub(super) const fn here(change: PresenceChange, profile: Profile) -> Self {
        Self {
            change,
            number: None,
            profile,
        }
    }
}

impl Room {
    /// Announces a member's new nick. If other sessions keep the old nick, announces only the arrival of the new nick.
    /// If other sessions already have the new nick, announces only the departure of the old nick. If other sessions
    /// have each of the two nicks, announces nothing.
    pub(super) fn announce_rename(
        self: &Arc<Self>,
        state: &mut State,
        session: SessionId,
        nick: Nick,
        change: Change,
    ) {
        let PresenceChange::Renamed { to } = &change.change else {
            return;
        };
        let to = to.clone();
        let account = change.profile.account.as_ref();
        let (keeps_old, has_new) = (state.unshare(&nick), state.share(&to, account));
        match (keeps_old, has_new) {
            (false, false) if state.hushed => self.whisper(session, nick, change),
            (false, false) => self.announce(state, session, nick, change),
            // The author is `NOBODY`. If the author were the session itself, the session's in-process member would take
            // the arrival or departure for the end of its own membership.
            (true, false) => {
                self.announce_arrival(state, SessionId::NOBODY, &to, change.profile);
            }
            (false, true) => {
                let left = PresenceChange::Left { reason: None };
                let left = Change::here(left, change.profile);
                self.announce_departure(state, SessionId::NOBODY, &nick, left);
            }
            (true, true) => {}
        }
    }

    /// Announces what has changed of a member. If other sessions have the same nick, announces nothing: the change is
    /// not one of all sessions of the nick.
    pub(super) fn announce_change(
        self: &Arc<Self>,
        state: &mut State,
        session: SessionId,
        nick: &Nick,
        change: Change,
    ) {
        if state.is_shared(nick) {
            return;
        }
        if state.hushed {
            self.whisper(session, nick.clone(), change);
        } else {
            self.announce(state, session, nick.clone(), change);
        }
    }

    /// Announces that a member has joined. A room with too many members reports the join only to the hub's followers.
    /// The room then announces `Hushed` once, and later sends the number of members.
    pub(super) fn announce_arrival(
        self: &Arc<Self>,
        state: &mut State,
        session: SessionId,
        nick: &Nick,
        profile: Profile,
    ) {
        let limit = self.context.limits.announce;
        let joined = Change::here(PresenceChange::Joined, profile.clone());
        if state.count() <= limit && !state.hushed {
            self.announce(state, session, nick.clone(), joined);
        } else {
            self.whisper(session, nick.clone(), joined);
            if !std::mem::replace(&mut state.hushed, true) {
                let hushed = PresenceChange::Hushed { limit };
                let hushed = Change::here(hushed, profile);
                self.announce(state, session, nick.clone(), hushed);
            }
        }
        if state.hushed {
            self.count_soon(state);
        }
    }

    /// Announces that a member has left.
    pub(super) fn announce_departure(
        self: &Arc<Self>,
        state: &mut State,
        session: SessionId,
        nick: &Nick,
        change: Change,
    ) {
        let limit = self.context.limits.announce;
        if !state.hushed {
            self.announce(state, session, nick.clone(), change);
            return;
        }
        let unhushed = Change::here(PresenceChange::Unhushed, change.profile.clone());
        self.whisper(session, nick.clone(), change);
        if state.count() <= limit - limit / 4 {
            // Announcements begin again only at three quarters of the limit. Otherwise one member that keeps joining
            // and leaving could switch them on and off.
            state.hushed = false;
            self.announce(state, session, nick.clone(), unhushed);
        } else {
            self.count_soon(state);
            if self.tx.receiver_count() > state.shards.len() {
                // The session that left may have a reader in this process. This item wakes the reader, which then
                // notices the departure.
                self.send(state, session, Body::Nudge);
            }
        }
    }

    fn announce(
        self: &Arc<Self>,
        state: &mut State,
        session: SessionId,
        nick: Nick,
        change: Change,
    ) {
        state.cursor.presences += 1;
        let presence = self.presence(session, nick, change);
        self.send(state, session, Body::Presence(Arc::new(presence)));
    }

    /// Sends the change to the followers of the hub, but not to the members of the room. This is for rooms that have
    /// too many members to announce each change.
    fn whisper(self: &Arc<Self>, session: SessionId, nick: Nick, change: Change) {
        self.context.feed.send(|| Told {
            room: Arc::clone(self),
            what: What::Whisper(Arc::new(self.presence(session, nick, change))),
        });
    }

    fn presence(&self, session: SessionId, nick: Nick, change: Change) -> Presence {
        Presence {
            room: self.name.clone(),
            session,
            nick,
            change: change.change,
            number: change.number,
            profile: change.profile,
        }
    }

    /// Announces the number of members after [`COUNT_EVERY`]. Only members over connections receive the number.
    fn count_soon(self: &Arc<Self>, state: &mut State) {
        if !state.shards.is_empty() && !std::mem::replace(&mut state.counting, true) {
            let room = Arc::clone(self);
            self.context.tasks.spawn(async move {
                tokio::time::sleep(COUNT_EVERY).await;
                let mut state = room.state.lock();
                state.counting = false;
                if state.hushed {
                    let body = Body::Count(room.name.clone(), state.count());
                    room.send(&mut state, SessionId(0), body);
                }
            });
        }
    }
}
