//! Reading and copying whole files no faster than somebody wants, and no longer than the archive is open.

use media_core::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Longest sleep: the archive's end is noticed this soon.
const MAX_SLEEP: Duration = Duration::from_millis(100);

/// Bytes handled at a time.
pub(crate) const STEP_BYTES: usize = 1 << 20;

/// Keeps one long operation to a rate.
pub(crate) struct Pace<'a> {
    began: Instant,
    bytes: u64,
    max_bytes_per_s: Option<u64>,
    over: &'a AtomicBool,
}

impl<'a> Pace<'a> {
    /// At most `max_bytes_per_s` (None or 0: as fast as it goes), until `over` is set.
    pub fn new(max_bytes_per_s: Option<u64>, over: &'a AtomicBool) -> Self {
        Self {
            began: Instant::now(),
            bytes: 0,
            max_bytes_per_s: max_bytes_per_s.filter(|rate| *rate > 0),
            over,
        }
    }

    /// Waits as long as `bytes` more may take. `Unavailable` when the archive is being closed.
    pub fn wait(&mut self, bytes: usize) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        loop {
            if self.over.load(Ordering::Relaxed) {
                return Err(Error::new(ErrorKind::Unavailable, "the archive is being closed"));
            }
            let Some(rate) = self.max_bytes_per_s else {
                return Ok(());
            };
            let due = Duration::from_secs_f64(self.bytes as f64 / rate as f64);
            match due.checked_sub(self.began.elapsed()) {
                None | Some(Duration::ZERO) => return Ok(()),
                Some(left) => std::thread::sleep(left.min(MAX_SLEEP)),
            }
        }
    }
}
