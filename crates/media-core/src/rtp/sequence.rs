//! Sequence numbers of one source: unwrapping, loss, and the figures of a receiver report (RFC 3550 §6.4.1, A.1, A.8).

use super::rtcp::ReportBlock;

/// A step forward beyond this is a new start, not loss (RFC 3550 A.1 MAX_DROPOUT).
pub const MAX_DROPOUT: u16 = 3000;

/// So many old packets in a row are a new start a little way back.
pub const MAX_OLD_RUN: u32 = 16;

/// Where a packet stands after those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Next in line, after this many that are missing.
    Next {
        /// Packets missing in between.
        lost_packets: u32,
    },
    /// At or before the last one: a duplicate, or too late.
    Old,
    /// Far away: the sender started anew.
    Restart,
}

/// Distance from `last` to `sequence`, −32,768 … 32,767.
#[inline]
pub fn distance(last: u16, sequence: u16) -> i16 {
    sequence.wrapping_sub(last) as i16
}

/// Counts what one source sent and what of it arrived.
#[derive(Debug, Clone, Default)]
pub struct SequenceCounter {
    last: Option<u16>,
    /// Packets in a row that were old.
    old_run: u32,
    /// Wraps of the sequence number, in the upper 16 bits.
    wraps: u32,
    received: u64,
    lost: u64,
    jitter_sixteenths: u32,
    last_transit: Option<u32>,
    reported_received: u64,
    reported_lost: u64,
}

impl SequenceCounter {
    /// Places the packet numbered `sequence` and counts it.
    #[inline]
    pub fn place(&mut self, sequence: u16) -> Place {
        let Some(last) = self.last else {
            self.advance(sequence);
            return Place::Next { lost_packets: 0 };
        };
        let step = distance(last, sequence);
        if step == 1 {
            self.advance(sequence);
            return Place::Next { lost_packets: 0 };
        }
        if step > 0 && step as u16 <= MAX_DROPOUT {
            let lost_packets = step as u32 - 1;
            self.lost += u64::from(lost_packets);
            self.advance(sequence);
            return Place::Next { lost_packets };
        }
        self.old_run += 1;
        if step <= 0 && step.unsigned_abs() < MAX_DROPOUT && self.old_run < MAX_OLD_RUN {
            return Place::Old;
        }
        self.advance(sequence);
        Place::Restart
    }

    fn advance(&mut self, sequence: u16) {
        if self.last.is_some_and(|last| sequence < last) {
            self.wraps = self.wraps.wrapping_add(1 << 16);
        }
        self.last = Some(sequence);
        self.old_run = 0;
        self.received += 1;
    }

    /// The next packet starts a new run of numbers, whatever its own.
    pub fn restart(&mut self) {
        self.last = None;
        self.last_transit = None;
    }

    /// Takes the last packet's arrival into the jitter: both in RTP ticks, both may wrap.
    #[inline]
    pub fn note_arrival(&mut self, arrival_ticks: u32, rtp_timestamp: u32) {
        let transit = arrival_ticks.wrapping_sub(rtp_timestamp);
        if let Some(last) = self.last_transit.replace(transit) {
            let change = (transit.wrapping_sub(last) as i32).unsigned_abs();
            let smoothed =
                i64::from(self.jitter_sixteenths) + i64::from(change) - i64::from((self.jitter_sixteenths + 8) >> 4);
            self.jitter_sixteenths = smoothed.clamp(0, 1 << 30) as u32;
        }
    }

    /// Packets lost in total.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Packets received in total.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The block of a receiver report on `ssrc`; resets the fraction lost.
    pub fn report(&mut self, ssrc: u32) -> ReportBlock {
        let lost = self.lost - self.reported_lost;
        let expected = lost + (self.received - self.reported_received);
        self.reported_lost = self.lost;
        self.reported_received = self.received;
        ReportBlock {
            ssrc,
            fraction_lost: (lost * 256).checked_div(expected).unwrap_or(0).min(255) as u8,
            cumulative_lost: self.lost.min(0x7f_ffff) as i32,
            highest_sequence: self.wraps | u32::from(self.last.unwrap_or(0)),
            jitter: self.jitter_sixteenths >> 4,
            ..ReportBlock::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_duplicates_wraps_and_restarts_are_told_apart() {
        let mut counter = SequenceCounter::default();
        assert_eq!(counter.place(65_534), Place::Next { lost_packets: 0 });
        assert_eq!(counter.place(65_535), Place::Next { lost_packets: 0 });
        assert_eq!(counter.place(2), Place::Next { lost_packets: 2 });
        assert_eq!(counter.place(2), Place::Old);
        assert_eq!(counter.place(65_535), Place::Old);
        assert_eq!(counter.place(30_000), Place::Restart);
        assert_eq!(counter.place(30_001), Place::Next { lost_packets: 0 });
        assert_eq!(counter.place(10_000), Place::Restart);
        assert_eq!(counter.lost(), 2);
        counter.restart();
        assert_eq!(counter.place(9_000), Place::Next { lost_packets: 0 });
        let places: Vec<Place> = (8_000..8_016).map(|sequence| counter.place(sequence)).collect();
        assert!(places[..15].iter().all(|place| *place == Place::Old));
        assert_eq!(places[15], Place::Restart, "a new start a little way back");
    }

    #[test]
    fn a_report_tells_fraction_total_and_wraps() {
        let mut counter = SequenceCounter::default();
        for sequence in (65_000..=65_535).chain(0..100) {
            if sequence % 4 != 3 {
                counter.place(sequence);
            }
        }
        let report = counter.report(7);
        assert_eq!(report.highest_sequence, 1 << 16 | 98);
        assert!((60..=66).contains(&report.fraction_lost), "{report:?}");
        assert_eq!(report.cumulative_lost, 158);
        assert_eq!(counter.report(7).fraction_lost, 0);
    }

    #[test]
    fn jitter_follows_the_spread_of_arrivals() {
        let mut counter = SequenceCounter::default();
        for n in 0..1000u32 {
            counter.note_arrival(n * 3000 + (n % 2) * 90, n * 3000);
        }
        assert!((80..=95).contains(&counter.report(1).jitter));
    }
}
