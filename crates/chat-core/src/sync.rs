//! The one lock that this crate uses.
//!
//! Invariant: a panic while a lock is held harms only its own session. Poisoning would hand that panic on to every
//! other member of the room, so it is ignored: each critical section leaves its data whole at every step.

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
