//! The bit rate of a stream over the last seconds.

/// Seconds looked back on: several GOPs of an ordinary camera.
const SECONDS: usize = 8;

/// Bit rates in bit/s, 0 while unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bitrate {
    /// Mean of the last eight seconds.
    pub mean_bps: u64,
    /// The calmest second of them.
    pub calm_bps: u64,
}

/// Counts bytes by seconds. Seconds are those of the clock that is passed in.
#[derive(Debug, Default)]
pub(crate) struct BitrateMeter {
    second: Option<u64>,
    bytes_now: u64,
    /// Whole seconds, the newest at `next` - 1.
    bytes: [u64; SECONDS],
    next: usize,
    filled: usize,
}

impl BitrateMeter {
    /// Notes `bytes` that arrived at `at_us`. What is older than the newest counts as just now.
    pub(crate) fn add(&mut self, bytes: usize, at_us: u64) {
        let at = at_us / 1_000_000;
        let second = *self.second.get_or_insert(at);
        if at > second {
            self.end_second(self.bytes_now);
            for _ in 0..(at - second - 1).min(SECONDS as u64) {
                self.end_second(0);
            }
            self.bytes_now = 0;
            self.second = Some(at);
        }
        self.bytes_now = self.bytes_now.saturating_add(bytes as u64);
    }

    fn end_second(&mut self, bytes: u64) {
        self.bytes[self.next] = bytes;
        self.next = (self.next + 1) % SECONDS;
        self.filled = (self.filled + 1).min(SECONDS);
    }

    /// The rates over the seconds that are over; the first of all, which is seldom whole, counts like the others.
    pub(crate) fn read(&self) -> Bitrate {
        let bytes = &self.bytes[..self.filled];
        let Some(calm) = bytes.iter().min() else {
            return Bitrate::default();
        };
        Bitrate {
            mean_bps: bytes.iter().sum::<u64>() * 8 / self.filled as u64,
            calm_bps: calm * 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_calms_of_the_last_seconds() {
        let mut meter = BitrateMeter::default();
        assert_eq!(meter.read(), Bitrate::default());
        for second in 0..20u64 {
            let bytes = if second % 2 == 0 { 3000 } else { 1000 };
            for part in 0..10 {
                meter.add(bytes / 10, 5_000_000_000 + second * 1_000_000 + part * 100_000);
            }
        }
        let expected = Bitrate {
            mean_bps: 16_000,
            calm_bps: 8000,
        };
        assert_eq!(meter.read(), expected);
        // The camera was away for an hour, and its clock went back: neither counts.
        meter.add(8000, 9_000_000_000);
        assert_eq!(meter.read(), Bitrate::default());
        meter.add(8000, 0);
        meter.add(0, 9_001_000_000);
        assert_eq!(meter.read().mean_bps, 16_000);
    }
}
