//! A condition that threads wait for. Waking costs a call of the system only if somebody waits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, MutexGuard, PoisonError};

/// One condition. Who changes what it is about holds the same lock as who waits for it.
#[derive(Default)]
pub(super) struct Signal {
    condition: Condvar,
    waiting: AtomicUsize,
}

impl Signal {
    /// Waits to be woken; may wake for no reason.
    pub fn wait<'a, T>(&self, state: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        // The lock orders this: whoever comes next sees that somebody waits.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let state = self.condition.wait(state).unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        state
    }

    /// Wakes all who wait. The lock is held, or was since what they wait for has changed.
    pub fn wake(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.condition.notify_all();
        }
    }
}
