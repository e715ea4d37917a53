//! What the hub remembers of sessions that have ended.
//!
//! Invariant: the memory is bounded, however many sessions begin and end.

use crate::event::EndedSession;
use crate::sync::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// How many sessions the hub remembers. The oldest are forgotten first. Each takes up to about 500
/// bytes.
const REMEMBERED_MAX: usize = 1024;

/// The most sessions in an answer about one nick.
pub(super) const LISTED_MAX: usize = 16;

/// The sessions that have given up their nicks, the oldest first, with the keys of the nicks.
#[derive(Debug, Default)]
pub(super) struct Ended(Mutex<VecDeque<(Arc<str>, EndedSession)>>);

impl Ended {
    pub(super) fn note(&self, key: Arc<str>, session: EndedSession) {
        let mut ended = self.0.lock();
        if ended.len() >= REMEMBERED_MAX {
            ended.pop_front();
        }
        ended.push_back((key, session));
    }

    /// Returns the sessions that had the nick with this key, the latest first: at most `limit`.
    pub(super) fn of(&self, key: &str, limit: usize) -> Vec<EndedSession> {
        let ended = self.0.lock();
        let found = ended.iter().rev().filter(|(had, _)| **had == *key);
        let found = found.take(limit.min(LISTED_MAX));
        found.map(|(_, session)| session.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Profile;
    use crate::log::Timestamp;
    use crate::name::Nick;

    #[test]
    fn the_sessions_that_are_remembered_are_bounded_and_the_latest_come_first() {
        let ended = Ended::default();
        let end = |nick: &str, at| {
            let parsed = Nick::parse(nick).unwrap();
            let session = EndedSession::new(parsed, Profile::default(), Timestamp(at));
            ended.note(nick.into(), session);
        };
        end("first", 0);
        (0..20).for_each(|at| end("kim", at));
        let at = |found: Vec<EndedSession>| found.iter().map(|e| e.at.0).collect::<Vec<_>>();
        assert_eq!(at(ended.of("kim", 2)), [19, 18]);
        assert_eq!(ended.of("kim", usize::MAX).len(), LISTED_MAX);
        assert_eq!(ended.of("first", 9).len(), 1);
        (0..REMEMBERED_MAX as u64).for_each(|at| end("lee", at));
        assert_eq!(ended.0.lock().len(), REMEMBERED_MAX);
        assert!(ended.of("first", 9).is_empty() && ended.of("kim", 9).is_empty());
    }
}
