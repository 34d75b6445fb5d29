//! What viewers who are gone leave behind: memory that the allocator keeps until it is asked for it.

use std::time::{Duration, Instant};

/// So many gone viewers are worth asking for: some megabytes.
const MANY: usize = 64;
/// Others may be about to leave too, and shards are still saying goodbye.
const AFTER: Duration = Duration::from_secs(3);

/// Counts departures, and says when their memory should go back to the system.
#[derive(Debug, Default)]
pub(super) struct Departures {
    gone: usize,
    due: Option<Instant>,
}

impl Departures {
    /// One more viewer is gone.
    pub(super) fn count(&mut self, now: Instant) {
        self.gone += 1;
        if self.gone >= MANY && self.due.is_none() {
            self.due = Some(now + AFTER);
        }
    }

    /// When `is_due` is worth asking.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether memory is to be given back now; said once.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if self.due.is_none_or(|due| due > now) {
            return false;
        }
        *self = Self::default();
        true
    }
}

/// Gives free memory back to the system. Takes milliseconds: not where somebody waits.
pub(super) fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim takes a number and touches the allocator's free memory alone.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_departures_are_answered_once_and_few_never() {
        let now = Instant::now();
        let mut departures = Departures::default();
        (1..MANY).for_each(|_| departures.count(now));
        assert!(!departures.is_due(now + 10 * AFTER));
        departures.count(now);
        departures.count(now + AFTER / 2);
        assert_eq!(departures.due(), Some(now + AFTER));
        assert!(!departures.is_due(now));
        assert!(departures.is_due(now + AFTER));
        assert!(!departures.is_due(now + AFTER));
        assert_eq!(departures.due(), None);
    }
}
