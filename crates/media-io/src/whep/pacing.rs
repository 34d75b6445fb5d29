//! How fast packets leave: a key frame or a GOP sent in one go overruns the receiver's socket buffer and the queues on
//! the way; what is lost then comes back as retransmissions, later than if it had been paced.

/// What may leave at once: an ordinary picture of a 4 Mbit/s stream is 17 KB and is never held back.
const BURST_BYTES: i64 = 48 << 10;
/// A stream is sent at least this many times faster than it was made.
const TIMES_BITRATE: u64 = 20;
/// Floor and ceiling of the pace.
const MIN_BYTES_PER_S: u64 = 50_000_000 / 8;
const MAX_BYTES_PER_S: u64 = 1_000_000_000 / 8;

/// A token bucket in bytes. Times are µs of one monotonic clock.
#[derive(Debug)]
pub(super) struct Pacer {
    bytes_per_s: u64,
    credit_bytes: i64,
    refilled_us: u64,
}

impl Pacer {
    /// A full bucket at the slowest pace.
    pub(super) fn new(now_us: u64) -> Self {
        Self {
            bytes_per_s: MIN_BYTES_PER_S,
            credit_bytes: BURST_BYTES,
            refilled_us: now_us,
        }
    }

    /// Sets the pace for a stream that made `bytes` in `duration_us`.
    pub(super) fn follow(&mut self, bytes: u64, duration_us: u64) {
        // A GOP of one or two pictures says nothing about the rate: assume it took a fifth of a second.
        let stream_bytes_per_s = bytes.saturating_mul(1_000_000) / duration_us.max(200_000);
        self.bytes_per_s = stream_bytes_per_s
            .saturating_mul(TIMES_BITRATE)
            .clamp(MIN_BYTES_PER_S, MAX_BYTES_PER_S);
    }

    /// Takes `size_bytes` if the bucket is not empty; it may go into debt by one packet.
    pub(super) fn take(&mut self, size_bytes: usize, now_us: u64) -> bool {
        let passed_us = now_us.saturating_sub(self.refilled_us).min(1_000_000);
        let refill = (passed_us * self.bytes_per_s / 1_000_000) as i64;
        if refill > 0 {
            self.credit_bytes = (self.credit_bytes + refill).min(BURST_BYTES);
            self.refilled_us = now_us;
        }
        if self.credit_bytes <= 0 {
            return false;
        }
        self.credit_bytes -= size_bytes as i64;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a shard comes back.
    const TICK_US: u64 = 2000;

    /// Sends `packets` of 1200 bytes as a shard's ticks allow; the time until the last has left.
    fn drain(pacer: &mut Pacer, packets: usize) -> u64 {
        let mut left = packets;
        let mut now_us = 0;
        loop {
            while left > 0 && pacer.take(1200, now_us) {
                left -= 1;
            }
            if left == 0 {
                return now_us;
            }
            now_us += TICK_US;
        }
    }

    #[test]
    fn an_ordinary_picture_leaves_at_once_and_a_key_frame_is_spread() {
        assert_eq!(drain(&mut Pacer::new(0), 15), 0);
        let key_frame_us = drain(&mut Pacer::new(0), 250);
        assert!(
            (35_000..50_000).contains(&key_frame_us),
            "{key_frame_us} µs for 300 KB at 50 Mbit/s"
        );
    }

    #[test]
    fn a_gop_leaves_twenty_times_faster_than_it_was_made() {
        let mut pacer = Pacer::new(0);
        pacer.follow(5_000_000, 10_000_000);
        let us = drain(&mut pacer, 5_000_000 / 1200);
        assert!((450_000..550_000).contains(&us), "{us} µs for ten seconds of 4 Mbit/s");
    }

    #[test]
    fn odd_rates_are_clamped() {
        let mut pacer = Pacer::new(0);
        pacer.follow(u64::MAX, 0);
        assert_eq!(pacer.bytes_per_s, MAX_BYTES_PER_S);
        pacer.follow(0, u64::MAX);
        assert_eq!(pacer.bytes_per_s, MIN_BYTES_PER_S);
        // A clock that stood still for a day does not open the gates.
        assert!(pacer.take(1, 86_400_000_000));
        assert!(pacer.credit_bytes <= BURST_BYTES);
    }
}
