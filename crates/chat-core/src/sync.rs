//! The locks that this crate uses.
//!
//! Invariant: a panic while a lock is held harms only the session whose work panicked. Poisoning is ignored, because it
//! would make every later use of the lock panic, for all members of a room. Each critical section therefore leaves its
//! data consistent at every step.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex as StdMutex, MutexGuard, PoisonError};

/// A mutex that can't be poisoned. No lock of this mutex is held across an `.await`.
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

/// The number of locks in [`Turns`]. At most this many turns are held at the same time.
const TURNS: usize = 16;

/// Locks by key. Only one task at a time holds the turn of a key. The task may hold the turn across `.await`s. Tasks
/// with different keys wait for each other only if the hashes of the keys select the same lock.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    locks: [tokio::sync::Mutex<()>; TURNS],
    hasher: RandomState,
}

impl Turns {
    /// Waits until no other task has the turn of `key`, and takes the turn. The turn lasts until the guard is dropped.
    /// Cancel safe.
    pub(crate) async fn turn(&self, key: &(impl Hash + ?Sized)) -> tokio::sync::MutexGuard<'_, ()> {
        let at = self.hasher.hash_one(key) as usize % TURNS;
        self.locks[at].lock().await
    }
}
