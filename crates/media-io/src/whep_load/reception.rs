//! What one stream delivered: gaps, repairs and the figures of a receiver report (RFC 3550 §6.4.1 and appendix A).

use media_core::rtp::rtcp::ReportBlock;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A larger gap is a new start of the stream, not loss to be repaired.
const MAX_GAP: u64 = 1000;
/// Requests for one packet, and the time between them.
const MAX_REQUESTS: u8 = 5;
const REQUEST_EVERY: Duration = Duration::from_millis(60);

/// Running totals; the difference of two readings is what happened between them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Packets that the sequence numbers say were sent.
    pub(super) expected: u64,
    /// Different packets that arrived, also late or by repair.
    pub(super) received: u64,
    /// Of these, by repair.
    pub(super) repaired: u64,
    /// Packets that arrived more than once.
    pub(super) duplicates: u64,
}

#[derive(Debug)]
struct Missing {
    sequence: u64,
    requests: u8,
    ask_at: Instant,
}

/// Reception of one RTP stream.
#[derive(Debug, Default)]
pub(super) struct Reception {
    /// Extended numbers; the first packet has 2¹⁶ added so that one before it has a number too.
    first: Option<u64>,
    highest: u64,
    totals: Totals,
    missing: VecDeque<Missing>,
    jitter: f64,
    last_transit: Option<i64>,
    reported: Totals,
    /// The last packet that counts for `owed`, and how many up to it have not come.
    marked: u64,
    owed: u64,
}

impl Reception {
    /// Counts a packet of the stream itself.
    pub(super) fn packet(&mut self, sequence: u16, now: Instant) {
        if self.first.is_none() {
            let first = u64::from(sequence) + (1 << 16);
            self.first = Some(first);
            self.highest = first;
            self.totals = Totals {
                expected: 1,
                received: 1,
                ..self.totals
            };
            return;
        }
        let extended = self.extended(sequence);
        if extended <= self.highest {
            return self.fill(extended, false);
        }
        let gap = extended - self.highest - 1;
        if gap <= MAX_GAP {
            for sequence in self.highest + 1..extended {
                self.missing.push_back(Missing {
                    sequence,
                    requests: 0,
                    ask_at: now,
                });
            }
        }
        while self.missing.len() > MAX_GAP as usize {
            self.missing.pop_front();
        }
        self.totals.expected += gap + 1;
        self.totals.received += 1;
        self.highest = extended;
    }

    /// Counts a packet that came again over the stream of repairs.
    pub(super) fn repair(&mut self, sequence: u16) {
        if self.first.is_some() {
            self.fill(self.extended(sequence), true);
        }
    }

    fn fill(&mut self, extended: u64, by_repair: bool) {
        match self.missing.iter().position(|missing| missing.sequence == extended) {
            Some(at) => {
                self.missing.remove(at);
                self.totals.received += 1;
                self.totals.repaired += u64::from(by_repair);
                self.owed -= u64::from(extended <= self.marked);
            }
            None => self.totals.duplicates += 1,
        }
    }

    fn extended(&self, sequence: u16) -> u64 {
        let step = i64::from(sequence.wrapping_sub(self.highest as u16) as i16);
        self.highest.saturating_add_signed(step)
    }

    /// Notes the arrival of a packet for the jitter, times in ticks of the stream's clock.
    pub(super) fn arrival(&mut self, timestamp: u32, arrived_ticks: i64) {
        let transit = arrived_ticks - i64::from(timestamp);
        if let Some(last) = self.last_transit.replace(transit) {
            // A wrap of the timestamp is no jitter.
            let step = i64::from((transit - last) as i32).unsigned_abs() as f64;
            self.jitter += (step - self.jitter) / 16.0;
        }
    }

    /// Puts the packets to ask for now into `wanted`.
    pub(super) fn requests(&mut self, now: Instant, wanted: &mut Vec<u16>) {
        self.missing.retain(|missing| missing.requests < MAX_REQUESTS);
        for missing in self.missing.iter_mut().filter(|missing| missing.ask_at <= now) {
            missing.requests += 1;
            missing.ask_at = now + REQUEST_EVERY;
            wanted.push(missing.sequence as u16);
        }
    }

    /// When `requests` has something next.
    pub(super) fn next_request(&self) -> Option<Instant> {
        self.missing.iter().map(|missing| missing.ask_at).min()
    }

    /// From now on `owed` is about the packets sent so far.
    pub(super) fn mark(&mut self) {
        self.marked = self.highest;
        self.owed = self.totals.expected - self.totals.received;
    }

    /// Of the packets sent before the mark, those that have not come until now, also not by repair.
    pub(super) fn owed(&self) -> u64 {
        self.owed
    }

    /// Totals so far.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// The block of a report, about what came since the last one. Times of sender reports are the caller's.
    pub(super) fn block(&mut self, ssrc: u32) -> ReportBlock {
        let (now, before) = (self.totals, self.reported);
        self.reported = now;
        let expected = now.expected - before.expected;
        let lost = expected.saturating_sub(now.received - before.received);
        ReportBlock {
            ssrc,
            fraction_lost: (lost * 256).checked_div(expected).unwrap_or(0).min(255) as u8,
            cumulative_lost: (now.expected.saturating_sub(now.received)).min(0x7f_ffff) as i32,
            highest_sequence: self.highest.wrapping_sub(1 << 16) as u32,
            jitter: self.jitter as u32,
            ..ReportBlock::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(sequences: &[u16], now: Instant) -> Reception {
        let mut reception = Reception::default();
        for sequence in sequences {
            reception.packet(*sequence, now);
        }
        reception
    }

    fn wanted(reception: &mut Reception, now: Instant) -> Vec<u16> {
        let mut wanted = Vec::new();
        reception.requests(now, &mut wanted);
        wanted
    }

    #[test]
    fn a_gap_is_loss_until_it_is_filled() {
        let now = Instant::now();
        let mut reception = after(&[65_533, 65_534, 1], now);
        assert_eq!((reception.totals().expected, reception.totals().received), (5, 3));
        assert_eq!(wanted(&mut reception, now), [65_535, 0]);
        reception.packet(65_535, now);
        reception.repair(0);
        reception.repair(0);
        let totals = Totals {
            expected: 5,
            received: 5,
            repaired: 1,
            duplicates: 1,
        };
        assert_eq!(reception.totals(), totals);
        assert_eq!(reception.block(7).highest_sequence, 0x1_0001);
    }

    #[test]
    fn a_repair_on_its_way_is_no_loss() {
        let now = Instant::now();
        let mut reception = after(&[1, 4], now);
        reception.mark();
        reception.packet(6, now);
        assert_eq!(reception.owed(), 2, "and nothing of later");
        reception.repair(5);
        reception.repair(2);
        reception.repair(2);
        assert_eq!(reception.owed(), 1);
        reception.mark();
        assert_eq!(reception.owed(), 1, "lost for good");
    }

    #[test]
    fn a_missing_packet_is_asked_for_a_few_times() {
        let start = Instant::now();
        let mut reception = after(&[1, 3], start);
        let mut asked = 0;
        for step in 0..200 {
            let now = start + Duration::from_millis(5 * step);
            asked += wanted(&mut reception, now).len();
        }
        assert_eq!(asked, usize::from(MAX_REQUESTS));
        assert_eq!(reception.next_request(), None);
        assert_eq!(
            reception.totals().expected - reception.totals().received,
            1,
            "still lost"
        );
    }

    #[test]
    fn a_jump_is_lost_but_not_asked_for() {
        let now = Instant::now();
        let mut reception = after(&[1, 5000], now);
        assert!(wanted(&mut reception, now).is_empty());
        assert_eq!(reception.totals().expected, 5000);
    }

    #[test]
    fn a_report_tells_of_the_time_since_the_last() {
        let now = Instant::now();
        let mut reception = after(&[1, 2, 3, 5], now);
        let block = reception.block(9);
        assert_eq!((block.ssrc, block.fraction_lost, block.cumulative_lost), (9, 51, 1));
        for sequence in 6..10 {
            reception.packet(sequence, now);
        }
        let block = reception.block(9);
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 1));
    }

    #[test]
    fn steady_arrivals_have_no_jitter() {
        let mut reception = Reception::default();
        for picture in 0..100u32 {
            let timestamp = u32::MAX.wrapping_sub(90_000).wrapping_add(picture * 3000);
            reception.arrival(timestamp, i64::from(picture) * 3000 + 12);
        }
        assert_eq!(reception.block(1).jitter, 0);
        reception.arrival(u32::MAX.wrapping_sub(90_000).wrapping_add(100 * 3000), 303_200 + 12);
        assert_eq!(reception.block(1).jitter, 200);
    }
}
