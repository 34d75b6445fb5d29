//! Puts UDP packets back in order: a packet ahead of its turn waits until those before it have come, or for at most
//! [`MAX_HELD`] packets or [`MAX_WAIT_US`], whichever is over first. Packets in order pass without being copied.

use super::sequence::{MAX_DROPOUT, MAX_OLD_RUN, distance};
use std::collections::VecDeque;

/// Most packets that wait.
pub const MAX_HELD: usize = 64;
/// Longest time that a packet waits, µs.
pub const MAX_WAIT_US: u64 = 100_000;

#[derive(Debug)]
struct Held {
    sequence: u16,
    arrival_us: u64,
    bytes: Vec<u8>,
}

/// The packets of one source that came ahead of their turn.
#[derive(Debug, Default)]
pub struct ReorderBuffer {
    /// Sequence number that is due.
    next: Option<u16>,
    /// By rising sequence number from `next` on.
    held: VecDeque<Held>,
    /// Packets in a row that came after their turn.
    old_run: u32,
    duplicates: u64,
    reordered: u64,
}

impl ReorderBuffer {
    /// Takes one packet (`arrival_us` monotonic) and hands out, in order, those whose turn it is. Missing packets show
    /// as gaps in the numbers handed out.
    #[inline]
    pub fn push(&mut self, sequence: u16, arrival_us: u64, bytes: &[u8], out: &mut impl FnMut(&[u8], u64)) {
        let step = self.next.map_or(0, |next| distance(next, sequence));
        if step == 0 && self.held.is_empty() {
            self.next = Some(sequence.wrapping_add(1));
            out(bytes, arrival_us);
            return;
        }
        self.push_out_of_order(sequence, arrival_us, bytes, step, out);
    }

    fn push_out_of_order(
        &mut self,
        sequence: u16,
        arrival_us: u64,
        bytes: &[u8],
        step: i16,
        out: &mut impl FnMut(&[u8], u64),
    ) {
        self.old_run = if step < 0 { self.old_run + 1 } else { 0 };
        if step.unsigned_abs() > MAX_DROPOUT || self.old_run >= MAX_OLD_RUN {
            // The sender started anew: nothing before it will come.
            self.flush(out);
            self.next = Some(sequence.wrapping_add(1));
            self.old_run = 0;
            out(bytes, arrival_us);
            return;
        }
        if step < 0 {
            self.duplicates += 1;
        } else if step == 0 {
            self.next = Some(sequence.wrapping_add(1));
            out(bytes, arrival_us);
            self.release_run(out);
        } else {
            let place = self.held.partition_point(|held| distance(held.sequence, sequence) > 0);
            if self.held.get(place).is_some_and(|held| held.sequence == sequence) {
                self.duplicates += 1;
            } else {
                self.reordered += 1;
                self.held.insert(
                    place,
                    Held {
                        sequence,
                        arrival_us,
                        bytes: bytes.to_vec(),
                    },
                );
            }
        }
        while self.held.len() > MAX_HELD {
            self.give_up_on_next(out);
        }
        self.expire(arrival_us, out);
    }

    /// Gives up on packets missing for too long. Call it when nothing arrives, too.
    pub fn expire(&mut self, now_us: u64, out: &mut impl FnMut(&[u8], u64)) {
        while self
            .held
            .iter()
            .any(|held| now_us.saturating_sub(held.arrival_us) >= MAX_WAIT_US)
        {
            self.give_up_on_next(out);
        }
    }

    /// True when packets wait, so that `expire` is worth calling.
    pub fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// Packets that came twice, or after they had been given up.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Packets that came ahead of their turn.
    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    fn give_up_on_next(&mut self, out: &mut impl FnMut(&[u8], u64)) {
        self.next = self.held.front().map(|held| held.sequence).or(self.next);
        self.release_run(out);
    }

    fn release_run(&mut self, out: &mut impl FnMut(&[u8], u64)) {
        while self.held.front().is_some_and(|held| Some(held.sequence) == self.next) {
            if let Some(held) = self.held.pop_front() {
                self.next = Some(held.sequence.wrapping_add(1));
                out(&held.bytes, held.arrival_us);
            }
        }
    }

    fn flush(&mut self, out: &mut impl FnMut(&[u8], u64)) {
        for held in self.held.drain(..) {
            out(&held.bytes, held.arrival_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(arrivals: &[(u16, u64)]) -> (Vec<u16>, ReorderBuffer) {
        let mut buffer = ReorderBuffer::default();
        let mut order = Vec::new();
        for (sequence, arrival_us) in arrivals {
            buffer.push(*sequence, *arrival_us, &sequence.to_be_bytes(), &mut |bytes, _| {
                order.push(u16::from_be_bytes([bytes[0], bytes[1]]));
            });
        }
        (order, buffer)
    }

    #[test]
    fn swapped_packets_come_out_in_order_across_the_wrap() {
        let (order, buffer) = run(&[(65_534, 0), (0, 1), (65_535, 2), (2, 3), (1, 4), (3, 5)]);
        assert_eq!(order, [65_534, 65_535, 0, 1, 2, 3]);
        assert_eq!((buffer.reordered(), buffer.is_waiting()), (2, false));
    }

    #[test]
    fn duplicates_and_late_packets_are_dropped() {
        let (order, buffer) = run(&[(1, 0), (2, 0), (2, 0), (4, 0), (4, 0), (3, 0), (1, 0)]);
        assert_eq!(order, [1, 2, 3, 4]);
        assert_eq!(buffer.duplicates(), 3);
    }

    #[test]
    fn a_missing_packet_is_waited_for_100_ms_only() {
        let (order, _) = run(&[(1, 0), (3, 10_000), (4, 50_000), (5, 109_999)]);
        assert_eq!(order, [1]);
        let (order, _) = run(&[(1, 0), (3, 10_000), (4, 50_000), (5, 110_000)]);
        assert_eq!(order, [1, 3, 4, 5]);
        let (_, mut buffer) = run(&[(1, 0), (3, 10_000)]);
        let mut released = 0;
        buffer.expire(110_000, &mut |_, _| released += 1);
        assert_eq!(released, 1, "also when nothing more arrives");
    }

    #[test]
    fn a_missing_packet_is_waited_for_64_packets_only() {
        let arrivals: Vec<(u16, u64)> = [(0, 0)].into_iter().chain((2..=65).map(|n| (n, 1))).collect();
        assert_eq!(run(&arrivals).0, [0]);
        let arrivals: Vec<(u16, u64)> = [(0, 0)].into_iter().chain((2..=66).map(|n| (n, 1))).collect();
        assert_eq!(run(&arrivals).0.len(), 66);
    }

    #[test]
    fn a_sender_that_starts_anew_is_followed_at_once() {
        let (order, _) = run(&[(100, 0), (102, 0), (40_000, 0), (40_001, 0)]);
        assert_eq!(order, [100, 102, 40_000, 40_001]);
        let arrivals: Vec<(u16, u64)> = [(1000, 0)].into_iter().chain((500..520).map(|n| (n, 0))).collect();
        assert_eq!(
            run(&arrivals).0,
            [1000, 515, 516, 517, 518, 519],
            "a new start a little way back"
        );
    }

    proptest! {
        #[test]
        fn numbers_never_go_back_and_small_shuffles_are_healed(start: u16, swaps in proptest::collection::vec(0usize..8, 1..200)) {
            let mut sequences: Vec<u16> = (0..swaps.len() as u16).map(|n| start.wrapping_add(n)).collect();
            for (block, swap) in sequences[1..].chunks_mut(8).zip(&swaps) {
                block.rotate_left(swap % block.len());
            }
            let arrivals: Vec<(u16, u64)> = sequences.iter().enumerate().map(|(n, s)| (*s, n as u64 * 500)).collect();
            let (order, _) = run(&arrivals);
            let offsets: Vec<u16> = order.iter().map(|s| s.wrapping_sub(start)).collect();
            prop_assert!(offsets.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!(offsets.len(), swaps.len());
        }

        #[test]
        fn anything_may_arrive(arrivals in proptest::collection::vec((any::<u16>(), 0u64..1_000_000), 0..300)) {
            let (order, buffer) = run(&arrivals);
            prop_assert!(order.len() <= arrivals.len());
            prop_assert!(buffer.held.len() <= MAX_HELD);
        }
    }
}
