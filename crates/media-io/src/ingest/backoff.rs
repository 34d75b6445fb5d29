//! When to try again: exponential back-off with jitter, so that cameras behind one switch do not come back as one.

use media_core::ErrorKind;
use std::time::Duration;

/// The first retry comes after this at most (and at least three tenths of it).
const FIRST_MS: u64 = 1_000;
/// No wait is longer.
const CEILING_MS: u64 = 30_000;
/// Frames for so long mean that the camera is well, and the next trouble starts from the first step.
const WELL_US: u64 = 10_000_000;

/// The waits of one stream.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after a session that failed with `kind` after `frames_us` µs of frames. `random`: any 64 bits.
    pub(super) fn next(&mut self, kind: ErrorKind, frames_us: u64, random: u64) -> Duration {
        if frames_us >= WELL_US {
            self.failures = 0;
        }
        let step = self.failures;
        self.failures = self.failures.saturating_add(1);
        if kind == ErrorKind::Unauthorized {
            // Cameras lock accounts after a few wrong passwords.
            return Duration::from_millis(CEILING_MS);
        }
        let longest_ms = FIRST_MS.checked_shl(step.min(16)).unwrap_or(CEILING_MS).min(CEILING_MS);
        let least_ms = if step == 0 { longest_ms * 3 / 10 } else { longest_ms / 2 };
        Duration::from_millis(least_ms + random % (longest_ms - least_ms + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_is_soon_and_later_ones_double_up_to_the_ceiling() {
        for random in [0, 1, u64::MAX / 3, u64::MAX] {
            let mut backoff = Backoff::default();
            let first = backoff.next(ErrorKind::Unavailable, 0, random).as_millis();
            assert!((300..=1000).contains(&first), "{first}");
            for longest in [2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
                let wait = backoff.next(ErrorKind::Unavailable, 0, random).as_millis();
                assert!((longest / 2..=longest).contains(&wait), "{wait} of {longest}");
            }
        }
    }

    #[test]
    fn ten_seconds_of_frames_start_it_over_and_less_do_not() {
        let mut backoff = Backoff::default();
        for _ in 0..4 {
            backoff.next(ErrorKind::Unavailable, 9_999_999, 0);
        }
        assert_eq!(backoff.next(ErrorKind::Unavailable, 9_999_999, 0).as_millis(), 8_000);
        assert_eq!(backoff.next(ErrorKind::Unavailable, 10_000_000, 0).as_millis(), 300);
    }

    #[test]
    fn a_refused_password_is_tried_again_slowly_from_the_start() {
        assert_eq!(Backoff::default().next(ErrorKind::Unauthorized, 0, 7).as_secs(), 30);
    }
}
