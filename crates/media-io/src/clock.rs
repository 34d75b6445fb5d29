//! Time, passed in: nothing below asks the operating system for the time except through this trait.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Server time and a monotonic instant, both in µs.
pub trait Clock: Send + Sync {
    /// µs since the Unix epoch, by the server's (possibly stepped) clock.
    fn utc_us(&self) -> i64;
    /// µs since the clock was made; never goes back.
    fn monotonic_us(&self) -> u64;
}

/// The operating system's clocks.
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic side starts at 0 now.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { origin: Instant::now() })
    }
}

impl Clock for SystemClock {
    fn utc_us(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_micros() as i64)
    }

    fn monotonic_us(&self) -> u64 {
        self.origin.elapsed().as_micros() as u64
    }
}

/// A clock that stands still until told otherwise (tests).
#[derive(Default)]
pub struct ManualClock {
    utc_us: AtomicI64,
    monotonic_us: AtomicI64,
}

impl ManualClock {
    /// A clock showing `utc_us`.
    pub fn at(utc_us: i64) -> Arc<Self> {
        Arc::new(Self {
            utc_us: AtomicI64::new(utc_us),
            monotonic_us: AtomicI64::new(0),
        })
    }

    /// Moves both sides forward.
    pub fn advance_us(&self, us: i64) {
        self.utc_us.fetch_add(us, Ordering::SeqCst);
        self.monotonic_us.fetch_add(us, Ordering::SeqCst);
    }

    /// Steps only the server's clock, as NTP or an administrator does.
    pub fn step_utc_us(&self, us: i64) {
        self.utc_us.fetch_add(us, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn utc_us(&self) -> i64 {
        self.utc_us.load(Ordering::SeqCst)
    }

    fn monotonic_us(&self) -> u64 {
        self.monotonic_us.load(Ordering::SeqCst) as u64
    }
}
