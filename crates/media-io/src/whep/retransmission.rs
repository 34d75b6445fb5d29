//! What a viewer can ask for again: which of its sequence numbers carried which payload, and how much it may have.
//!
//! Payloads are shared by all viewers of a stream; a viewer's history is one entry per picture, since the packets of a
//! picture have consecutive numbers.

use super::packets::CutUnit;
use std::collections::VecDeque;
use std::sync::Arc;

/// Older packets come too late for any picture that is still to be shown.
const KEEP_US: u64 = 2_000_000;
/// Pictures (or units of sound) kept at most.
const MAX_RUNS: usize = 256;
/// Packets kept at most, as far as whole pictures go.
const MAX_PACKETS: usize = 4096;
/// A packet is not sent again within this time: the request crossed the answer.
const AGAIN_AFTER_US: u64 = 10_000;
/// Answers remembered for that.
const MAX_RECENT: usize = 64;
/// Retransmissions may be this share of what was sent (1/2), so that a viewer who asks for everything always gets half
/// as much again and never more.
const SHARE: i64 = 2;
/// What asking for a packet that cannot be had costs: looking for it is work too.
const VAIN_BYTES: i64 = 32;
/// What may be asked for at once: two large key frames.
const MAX_ALLOWANCE_BYTES: i64 = 512 << 10;

/// Consecutive packets: those of one unit.
#[derive(Debug)]
struct Run {
    first: u64,
    cut: Arc<CutUnit>,
    timestamp: u32,
    named: bool,
    sent_us: u64,
}

/// A packet that was sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) sequence: u64,
    pub(super) cut: Arc<CutUnit>,
    /// Which payload of `cut`.
    pub(super) index: usize,
    /// RTP timestamp of the unit.
    pub(super) timestamp: u32,
    /// Whether its header named the section.
    pub(super) named: bool,
}

/// What was sent to one viewer on one stream, and what it may have again.
#[derive(Debug)]
pub(super) struct History {
    runs: VecDeque<Run>,
    packets: usize,
    recent: VecDeque<(u64, u64)>,
    allowance_bytes: i64,
}

impl History {
    /// Nothing sent yet.
    pub(super) fn new() -> Self {
        Self {
            runs: VecDeque::new(),
            packets: 0,
            recent: VecDeque::new(),
            allowance_bytes: MAX_ALLOWANCE_BYTES / 4,
        }
    }

    /// Notes that the packets of `cut` have the sequence numbers from `first` on.
    pub(super) fn note(&mut self, first: u64, cut: &Arc<CutUnit>, timestamp: u32, named: bool, now_us: u64) {
        while let Some(oldest) = self.runs.front()
            && (self.runs.len() >= MAX_RUNS
                || self.packets > MAX_PACKETS
                || now_us.saturating_sub(oldest.sent_us) > KEEP_US)
        {
            self.packets -= oldest.cut.len();
            self.runs.pop_front();
        }
        self.packets += cut.len();
        self.runs.push_back(Run {
            first,
            cut: cut.clone(),
            timestamp,
            named,
            sent_us: now_us,
        });
        let earned = cut.size_bytes() as i64 / SHARE;
        self.allowance_bytes = (self.allowance_bytes + earned).min(MAX_ALLOWANCE_BYTES);
    }

    /// Whether nothing can be had until more was sent.
    pub(super) fn is_spent(&self) -> bool {
        self.allowance_bytes <= 0
    }

    /// The packet that had `sequence`, when it may be sent again. `next` is the number that no packet has had yet.
    pub(super) fn grant(&mut self, sequence: u16, next: u64, now_us: u64) -> Option<Sent> {
        let granted = self.find(sequence, next, now_us);
        match &granted {
            Some((_, size_bytes)) => self.allowance_bytes -= *size_bytes as i64,
            // What was asked in vain leaves no debt.
            None => self.allowance_bytes = (self.allowance_bytes - VAIN_BYTES).max(self.allowance_bytes.min(0)),
        }
        granted.map(|(sent, _)| sent)
    }

    /// The packet and its size in bytes.
    fn find(&mut self, sequence: u16, next: u64, now_us: u64) -> Option<(Sent, usize)> {
        if self.is_spent() {
            return None;
        }
        let behind = (next as u16).wrapping_sub(sequence);
        let sequence = next.checked_sub(u64::from(behind)).filter(|_| behind > 0)?;
        // The last run that begins before it: where a unit was abandoned half sent, the next took over its numbers.
        let after = self.runs.partition_point(|run| run.first <= sequence);
        let run = self.runs.get(after.checked_sub(1)?)?;
        let index = (sequence - run.first) as usize;
        let size_bytes = run.cut.payload(index)?.bytes.len();
        let just_now =
            |(number, at_us): &(u64, u64)| *number == sequence && now_us.saturating_sub(*at_us) < AGAIN_AFTER_US;
        if self.recent.iter().any(just_now) {
            return None;
        }
        if self.recent.len() >= MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((sequence, now_us));
        let sent = Sent {
            sequence,
            cut: run.cut.clone(),
            index,
            timestamp: run.timestamp,
            named: run.named,
        };
        Some((sent, size_bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::packets::cut_of;
    use super::*;

    #[test]
    fn numbers_lead_to_payloads_across_the_rollover() {
        let mut history = History::new();
        let (first, second) = (cut_of(3000), cut_of(3000));
        assert_eq!((first.len(), second.len()), (3, 3));
        history.note(65_534, &first, 10, true, 0);
        history.note(65_537, &second, 20, false, 33_000);
        let next = 65_540;
        for (sequence, expected) in [
            (65_534u16, (10, 0, true)),
            (65_535, (10, 1, true)),
            (0, (10, 2, true)),
            (1, (20, 0, false)),
            (3, (20, 2, false)),
        ] {
            let sent = history.grant(sequence, next, 50_000).unwrap();
            assert_eq!((sent.timestamp, sent.index, sent.named), expected, "{sequence}");
        }
        assert!(history.grant(4, next, 50_000).is_none(), "not sent yet");
        assert!(history.grant(65_533, next, 50_000).is_none(), "before the first");
    }

    #[test]
    fn a_unit_abandoned_half_sent_gives_its_numbers_to_the_next() {
        let mut history = History::new();
        history.note(100, &cut_of(3000), 10, false, 0);
        history.note(101, &cut_of(3000), 20, false, 0);
        let sent = history.grant(102, 104, 0).unwrap();
        assert_eq!((sent.timestamp, sent.index), (20, 1));
    }

    #[test]
    fn what_is_old_is_forgotten_and_memory_is_bounded() {
        let mut history = History::new();
        history.note(1, &cut_of(100), 0, false, 0);
        history.note(2, &cut_of(100), 0, false, KEEP_US + 1);
        assert!(history.grant(1, 3, KEEP_US + 1).is_none());
        for number in 3..10_000 {
            history.note(number, &cut_of(100), 0, false, KEEP_US + 1);
        }
        assert!(history.runs.len() <= MAX_RUNS);
        let mut history = History::new();
        let key_frame = cut_of(1 << 20);
        for number in 0..100 {
            history.note(number * 1000, &key_frame, 0, false, 0);
            assert!(history.packets <= MAX_PACKETS + 2 * key_frame.len());
        }
    }

    #[test]
    fn a_viewer_that_asks_for_everything_gets_half_as_much_again() {
        let mut history = History::new();
        let (mut next, mut sent_bytes, mut again_bytes) = (0u64, 0, 0);
        for picture in 0..3000u64 {
            let now_us = picture * 33_000;
            let cut = cut_of(6000);
            history.note(next, &cut, 0, false, now_us);
            next += cut.len() as u64;
            sent_bytes += cut.size_bytes();
            for sequence in next.saturating_sub(300)..next {
                if let Some(sent) = history.grant(sequence as u16, next, now_us) {
                    again_bytes += sent.cut.payload(sent.index).unwrap().bytes.len();
                }
            }
        }
        let limit = sent_bytes / 2 + MAX_ALLOWANCE_BYTES as usize;
        assert!(
            (sent_bytes / 3..=limit).contains(&again_bytes),
            "{again_bytes} of {sent_bytes}"
        );
    }

    #[test]
    fn a_request_that_crossed_its_answer_is_not_answered_twice() {
        let mut history = History::new();
        history.note(7, &cut_of(100), 0, false, 0);
        assert!(history.grant(7, 8, 1000).is_some());
        assert!(history.grant(7, 8, 2000).is_none());
        assert!(history.grant(7, 8, 1000 + AGAIN_AFTER_US).is_some());
    }
}
