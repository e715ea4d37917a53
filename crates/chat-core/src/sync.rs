//! The locks that this crate uses.
//!
//! Invariant: a panic while a lock is held harms only its own session. Poisoning would pass that panic on to every
//! other member of the room, so it is ignored. Each critical section therefore leaves its data consistent at every
//! step.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex as StdMutex, MutexGuard, PoisonError};

/// A mutex that cannot be poisoned; never held across an `.await`.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(StdMutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(StdMutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Number of locks, and so the maximum number of keys whose work runs at the same time.
const TURNS: usize = 16;

/// Runs the work for one key one after another, also across `.await`s. Work for different keys waits for each other
/// only if the hashes of the keys select the same lock.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    locks: [tokio::sync::Mutex<()>; TURNS],
    hasher: RandomState,
}

impl Turns {
    /// Waits for the turn of `key`, which lasts until the guard is dropped. Cancel safe.
    pub(crate) async fn turn(&self, key: &(impl Hash + ?Sized)) -> tokio::sync::MutexGuard<'_, ()> {
        let at = self.hasher.hash_one(key) as usize % TURNS;
        self.locks[at].lock().await
    }
}
