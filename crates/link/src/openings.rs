//! How many rounds a link's database was opened for, counted alike at both ends. What has to come after it (files are looked at
//! once the marks of the rows that cite them were read) is told how many that is: at the agent it waits for it, and the master sees
//! whether it came after the last one. Knows nothing of what is opened.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Rounds that a database was opened for.
#[derive(Debug, Default)]
pub struct Openings {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    count: u64,
    /// The link has ended.
    over: bool,
}

impl Openings {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.lock().count
    }

    /// There is one more.
    pub fn note(&self) {
        self.lock().count += 1;
        self.changed.notify_all();
    }

    /// No more follow: nobody waits any longer.
    pub fn end(&self) {
        self.lock().over = true;
        self.changed.notify_all();
    }

    /// Waits until there were so many; says whether there were.
    pub(crate) fn wait_for(&self, count: u64) -> bool {
        let is_awaited = |state: &mut State| state.count < count && !state.over;
        let state = self.changed.wait_while(self.lock(), is_awaited).unwrap_or_else(PoisonError::into_inner);
        state.count >= count
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn who_has_to_come_after_waits_for_as_many() {
        let openings = Openings::default();
        assert!(openings.wait_for(0));
        thread::scope(|scope| {
            let after = scope.spawn(|| openings.wait_for(2).then(|| openings.count()));
            openings.note();
            openings.note();
            assert_eq!(after.join().unwrap(), Some(2));
        });
    }

    #[test]
    fn nobody_waits_when_the_link_has_ended() {
        let openings = Openings::default();
        thread::scope(|scope| {
            let after = scope.spawn(|| openings.wait_for(u64::MAX));
            openings.end();
            assert!(!after.join().unwrap());
        });
        assert!(openings.wait_for(0));
    }
}
