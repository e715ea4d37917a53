//! Finds sessions by their nicks: what is known of them, which are online, which have ended, and which are watched.
//!
//! Invariant: an answer names no session that has not begun, or that has ended. However many sessions share a nick, a
//! lookup of the nick looks at no more than `SHARING_MAX` of them.

use crate::event::{EndedSession, MemberInfo, NickStatus, Profile, Whois};
use crate::hub::hub::Hub;
use crate::hub::roster::{NickKeys, SessionPresence, TellError};
use crate::log::Timestamp;
use crate::name::{Nick, RoomName, TYPED_NICK_BYTES_MAX};
use crate::room::Participant;
use crate::text;
use std::sync::Arc;
use std::time::Duration;

/// The most nicks that one request may ask about.
const ASKED_MAX: usize = 100;

/// The most sessions that a lookup of one nick looks at: those with the lowest ids.
const SHARING_MAX: usize = 16;

/// A session with a nick that was looked up.
enum Found {
    Here(Arc<Participant>),
    Elsewhere(SessionPresence),
}

impl Found {
    fn nick(&self) -> Nick {
        match self {
            Self::Here(session) => session.nick(),
            Self::Elsewhere(session) => session.nick.clone(),
        }
    }

    fn profile(&self) -> Profile {
        match self {
            Self::Here(session) => session.profile(),
            Self::Elsewhere(session) => session.profile.clone(),
        }
    }

    fn is_away(&self) -> bool {
        match self {
            Self::Here(session) => session.is_away(),
            Self::Elsewhere(session) => session.profile.away.is_some(),
        }
    }

    fn rooms(&self) -> Vec<RoomName> {
        match self {
            Self::Here(session) => {
                let rooms = session.joined_rooms().into_iter();
                rooms.map(|room| room.name.clone()).collect()
            }
            Self::Elsewhere(session) => session.rooms.clone(),
        }
    }
}

impl Hub {
    /// Returns what is known of the sessions with this nick, on all nodes; `None` if no session has it. The answer lists
    /// all their rooms, so show it to peers with care: [`Command::Whois`](crate::protocol::Command::Whois) lists the
    /// rooms that the asking peer may see.
    ///
    /// Of a session on another node, it is not known when it began and how long it is idle.
    #[must_use]
    pub fn whois(&self, nick: &str) -> Option<Whois> {
        self.whois_seen(nick, |_| true)
    }

    /// As [`whois`](Self::whois), but lists a room only if `sees` returns `true` for the room's key.
    pub(crate) fn whois_seen(&self, nick: &str, sees: impl Fn(&str) -> bool) -> Option<Whois> {
        let found = self.found(nick);
        let first = found.first()?;
        let mut whois = Whois::new(first.nick(), joint_profile(&found)?);
        whois.sessions = found.len();
        whois.rooms = found.iter().flat_map(Found::rooms).collect();
        whois.rooms.sort();
        whois.rooms.dedup();
        let is_seen = |room: &RoomName| sees(&self.fold(room.as_str()));
        whois.rooms.retain(is_seen);
        let here = || {
            found.iter().filter_map(|found| match found {
                Found::Here(session) => Some(session),
                Found::Elsewhere(_) => None,
            })
        };
        whois.since = here().map(|session| session.since()).min();
        let active = here().map(|session| session.active()).max();
        let idle = |active: Timestamp| self.now().0.saturating_sub(active.0);
        whois.idle = active.map(|active| Duration::from_millis(idle(active)));
        Some(whois)
    }

    /// Returns the session that has this nick, on any node; `None` if there is none. If several sessions share the
    /// nick, returns the first.
    #[must_use]
    pub fn online(&self, nick: &str) -> Option<MemberInfo> {
        let found = self.found(nick);
        let profile = joint_profile(&found)?;
        Some(MemberInfo::new(found.first()?.nick(), profile))
    }

    /// Returns the sessions that had this nick and have ended, or have taken another nick, the latest first: at most 16.
    /// The hub remembers the last 1,024 such sessions, and only its own: not those of other nodes, and not those before
    /// a restart.
    #[must_use]
    pub fn ended_sessions(&self, nick: &str) -> Vec<EndedSession> {
        self.ended(nick, usize::MAX)
    }

    pub(crate) fn ended(&self, nick: &str, limit: usize) -> Vec<EndedSession> {
        if nick.len() > TYPED_NICK_BYTES_MAX {
            return Vec::new();
        }
        self.0.ended.of(&self.fold(nick), limit)
    }

    /// Returns which of these nicks are online. Nicks beyond the first 100 are left out.
    pub(crate) fn statuses<T: AsRef<str>>(&self, nicks: &[T]) -> Vec<NickStatus> {
        let nicks = nicks.iter().take(ASKED_MAX).map(AsRef::as_ref);
        let status = |nick| NickStatus::new(shown(nick), self.online(nick));
        nicks.map(status).collect()
    }

    /// Returns the message of a nick that is away; `None` if one of the sessions that are looked at is not away.
    pub(crate) fn away(&self, nick: &str) -> Option<Arc<str>> {
        joint_profile(&self.found(nick))?.away
    }

    fn found(&self, nick: &str) -> Vec<Found> {
        let mut owners = self.owners(nick);
        owners.sort_unstable();
        let found = owners.into_iter().filter_map(|who| {
            if let Some(session) = self.0.participants.find(who) {
                return Some(Found::Here(session));
            }
            let elsewhere = self.0.participants.elsewhere.lock();
            elsewhere.sessions.get(&who).cloned().map(Found::Elsewhere)
        });
        found.take(SHARING_MAX).collect()
    }

    /// Records that a session of this hub gives up its nick, and tells those who watch the nick. A session whose peer was
    /// not welcomed is not recorded: a peer that registers has a guest nick before it has its own.
    pub(crate) fn note_gone(&self, session: &Participant, nick: &Nick) {
        let key = NickKeys::new(self.names(), nick).key;
        self.note_key(&key);
        if session.is_welcome() {
            let ended = EndedSession::new(nick.clone(), session.profile(), self.now());
            self.0.ended.note(key, ended);
        }
    }

    /// Tells those who watch a nick, if it has come or gone.
    pub(crate) fn note_nick(&self, nick: &Nick) {
        if !self.0.watches.is_empty() {
            self.note_key(&self.fold(nick.as_str()).into());
        }
    }

    /// Returns how many sessions are told when this nick comes or goes.
    pub(crate) fn watchers(&self, nick: &Nick) -> usize {
        if self.0.watches.is_empty() {
            return 0;
        }
        self.0.watches.watchers(&self.fold(nick.as_str()))
    }

    fn note_key(&self, key: &Arc<str>) {
        if !self.0.watches.is_empty() {
            self.0.watches.note(key, || self.online(key));
        }
    }

    /// Makes a session watch these nicks. Returns their present states, and the nicks that the session can't watch,
    /// because it would watch more than [`Limits::watched_nicks`](crate::Limits::watched_nicks), or because too many
    /// sessions watch the nick. At most 100 nicks are looked at.
    pub(crate) fn watch<T: AsRef<str>>(
        &self,
        session: &Arc<Participant>,
        nicks: &[T],
    ) -> (Vec<NickStatus>, Vec<String>) {
        let limit = self.limits().watched_nicks;
        let (mut watched, mut refused) = (Vec::new(), Vec::new());
        for nick in nicks.iter().take(ASKED_MAX).map(AsRef::as_ref) {
            let asked = shown(nick);
            let Ok(parsed) = self.names().nick(nick) else {
                // No session can have this nick.
                watched.push(NickStatus::new(asked, None));
                continue;
            };
            let key = NickKeys::new(self.names(), &parsed).key;
            let has_space = session.begin_to_watch(&key, &asked, limit);
            let online = has_space
                .then(|| self.0.watches.add(session, &key, || self.online(&key)))
                .flatten();
            match online {
                Some(online) => watched.push(NickStatus::new(asked, online)),
                None => {
                    if has_space {
                        session.end_watch(&key);
                    }
                    refused.push(asked);
                }
            }
        }
        if session.has_ended() {
            self.unwatch_all(session);
        }
        (watched, refused)
    }

    pub(crate) fn unwatch<T: AsRef<str>>(&self, session: &Participant, nicks: &[T]) {
        for nick in nicks.iter().take(ASKED_MAX).map(AsRef::as_ref) {
            if nick.len() <= TYPED_NICK_BYTES_MAX {
                let key = self.fold(nick);
                session.end_watch(&key);
                self.0.watches.remove(session.id(), &key);
            }
        }
    }

    pub(crate) fn unwatch_all(&self, session: &Participant) {
        for key in session.end_watches() {
            self.0.watches.remove(session.id(), &key);
        }
    }

    /// Returns the nicks that a session watches, with their present states.
    pub(crate) fn watched(&self, session: &Participant) -> Vec<NickStatus> {
        let watched = session.watched().into_iter();
        let status = |(key, asked): (Arc<str>, String)| NickStatus::new(asked, self.online(&key));
        watched.map(status).collect()
    }

    /// Returns what is known of a nick, or why nothing is.
    pub(crate) fn whois_or_refuse(
        &self,
        nick: &str,
        sees: impl Fn(&str) -> bool,
    ) -> Result<Whois, TellError> {
        self.whois_seen(nick, sees)
            .ok_or_else(|| TellError::no_such_nick(nick))
    }
}

/// Returns the profile of sessions that share a nick: that of the first, but away only if all are.
fn joint_profile(found: &[Found]) -> Option<Profile> {
    let mut profile = found.first()?.profile();
    if !found.iter().all(Found::is_away) {
        profile.away = None;
    }
    Some(profile)
}

/// Returns a nick as a peer has written it, cleaned and cut.
fn shown(nick: &str) -> String {
    text::clean(text::truncate(nick, TYPED_NICK_BYTES_MAX)).into_owned()
}
