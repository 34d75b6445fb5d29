//! Which RTP timestamp a live picture has in one viewer's session, by the server time of the picture.

use std::sync::atomic::{AtomicU64, Ordering};

/// Ticks of every video's RTP clock per second.
const CLOCK_RATE: i128 = 90_000;
/// An offset is known; below it its 32 bits.
const KNOWN: u64 = 1 << 32;

/// How timestamps of one viewer's live video stand to server time. Written by its shard with every live picture, read by
/// whoever wants to know.
#[derive(Debug, Default)]
pub(super) struct Instants(AtomicU64);

impl Instants {
    /// The picture of server time `utc_us` is sent live with `timestamp`.
    pub(super) fn note(&self, timestamp: u32, utc_us: i64) {
        let offset = timestamp.wrapping_sub(ticks(utc_us));
        self.0.store(KNOWN | u64::from(offset), Ordering::Relaxed);
    }

    /// What `ticks` of a picture's server time are to be added to for its timestamp, modulo 2³². None before the first
    /// live picture.
    pub(super) fn offset(&self) -> Option<u32> {
        let known = self.0.load(Ordering::Relaxed);
        (known & KNOWN != 0).then_some(known as u32)
    }
}

/// µs since the Unix epoch as ticks of 1/90000 s, the low 32 bits.
fn ticks(utc_us: i64) -> u32 {
    (i128::from(utc_us) * CLOCK_RATE).div_euclid(1_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_follows_from_the_server_time_and_the_offset() {
        let instants = Instants::default();
        assert_eq!(instants.offset(), None);
        let noted_us = 1_750_000_000_000_000;
        for timestamp in [0, 7, u32::MAX] {
            instants.note(timestamp, noted_us);
            let offset = instants.offset().unwrap_or_default();
            assert_eq!(ticks(noted_us).wrapping_add(offset), timestamp);
            assert_eq!(
                ticks(noted_us + 100_000).wrapping_add(offset),
                timestamp.wrapping_add(9000)
            );
            assert_eq!(
                ticks(noted_us - 100_000).wrapping_add(offset),
                timestamp.wrapping_sub(9000)
            );
        }
        for utc_us in [i64::MIN, -1, i64::MAX] {
            instants.note(5, utc_us);
            assert!(instants.offset().is_some());
        }
    }
}
