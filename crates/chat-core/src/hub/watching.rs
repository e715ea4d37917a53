//! The nicks that sessions watch: each watcher is told when the nick comes and goes.
//!
//! Invariant: the last notification that a watcher gets of a nick says whether the nick is online. A nick that goes and
//! comes back before its watchers are told, or that passes from one session to another, may cause no notification. How
//! many nicks a session may watch, and how many sessions may watch a nick, is bounded.

use crate::event::{MemberInfo, NickStatus};
use crate::log::SessionId;
use crate::room::Participant;
use crate::sync::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most sessions that may watch one nick. One change of the nick causes a notification for each of them. All are
/// notified under the lock, because two changes of a nick must not overtake each other.
const WATCHERS_MAX: usize = 128;

/// The nicks that sessions of this hub watch, by the nicks' keys.
#[derive(Debug, Default)]
pub(super) struct Watches {
    /// How many nicks are watched. Most hubs have none, and then need no lock.
    count: AtomicUsize,
    nicks: Mutex<HashMap<Arc<str>, Watched>>,
}

#[derive(Debug, Default)]
struct Watched {
    is_online: bool,
    watchers: HashMap<SessionId, Arc<Participant>>,
}

impl Watches {
    /// Makes a session watch a nick, and returns whether it does. Calls `look` for the nick's present state.
    pub(super) fn add(
        &self,
        session: &Arc<Participant>,
        key: &Arc<str>,
        look: impl FnOnce() -> Option<MemberInfo>,
    ) -> Option<Option<MemberInfo>> {
        let mut nicks = self.nicks.lock();
        let watched = nicks.entry(Arc::clone(key)).or_default();
        let is_new = !watched.watchers.contains_key(&session.id());
        if is_new && watched.watchers.len() >= WATCHERS_MAX {
            return None;
        }
        watched.watchers.insert(session.id(), Arc::clone(session));
        // The nick is counted before its state is read: a session that takes the nick afterwards finds the count.
        self.count.fetch_add(
            usize::from(watched.watchers.len() == 1 && is_new),
            Ordering::SeqCst,
        );
        let online = look();
        if watched.watchers.len() == 1 {
            watched.is_online = online.is_some();
        }
        drop(nicks);
        Some(online)
    }

    pub(super) fn remove(&self, session: SessionId, key: &str) {
        let mut nicks = self.nicks.lock();
        let Some(watched) = nicks.get_mut(key) else {
            return;
        };
        watched.watchers.remove(&session);
        if watched.watchers.is_empty() {
            nicks.remove(key);
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Returns how many sessions watch a nick.
    pub(super) fn watchers(&self, key: &str) -> usize {
        let nicks = self.nicks.lock();
        nicks.get(key).map_or(0, |watched| watched.watchers.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    /// Tells the watchers of a nick, if the nick has come or gone. Calls `look` for the nick's present state.
    pub(super) fn note(&self, key: &Arc<str>, look: impl FnOnce() -> Option<MemberInfo>) {
        let mut nicks = self.nicks.lock();
        let Some(watched) = nicks.get_mut(key) else {
            return;
        };
        let online = look();
        if watched.is_online == online.is_some() {
            return;
        }
        watched.is_online = online.is_some();
        for watcher in watched.watchers.values() {
            if let Some(asked) = watcher.watches(key) {
                let status = NickStatus::new(asked, online.clone());
                watcher.note_watched(Arc::clone(key), status);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Timestamp;
    use crate::name::Nick;

    #[test]
    fn the_watchers_of_one_nick_are_bounded() {
        let watches = Watches::default();
        let key: Arc<str> = "kim".into();
        let session = |number| {
            let nick = Nick::parse(&format!("n{number}")).unwrap();
            Arc::new(Participant::new(SessionId(number), nick, Timestamp(0)))
        };
        for number in 1..=WATCHERS_MAX as u64 {
            assert_eq!(watches.add(&session(number), &key, || None), Some(None));
        }
        assert_eq!(watches.add(&session(9999), &key, || None), None);
        assert_eq!(watches.add(&session(1), &key, || None), Some(None));
        watches.remove(SessionId(1), "kim");
        assert_eq!(watches.add(&session(9999), &key, || None), Some(None));
        for number in 2..=9999 {
            watches.remove(SessionId(number), "kim");
        }
        assert!(watches.is_empty() && watches.nicks.lock().is_empty());
    }
}
