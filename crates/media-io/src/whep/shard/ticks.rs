//! What a shard does of its own accord: packets that the pace held back, and reports.

use super::{PORTION_BYTES, REPORT_US, Shard};
use crate::whep::viewer::{Turn, Viewer, Wish};

/// How often packets that the pace holds back get their turn: at 50 Mbit/s some ten packets, one message.
const PACE_US: u64 = 2000;
/// The same for viewers who come last.
const LAST_PORTION_BYTES: u64 = 128 << 10;
/// How often the shard looks whose report is due.
const REPORTS_US: u64 = 20_000;

impl Shard {
    /// Sends what the pace held back, and reports that are due.
    pub(super) fn tick(&mut self) {
        let now_us = self.now_us();
        let mut wishes = Vec::new();
        self.pace(now_us, &mut wishes);
        if now_us >= self.reports_at_us {
            self.reports_at_us = now_us + REPORTS_US;
            self.report(now_us, &mut wishes);
        }
        for (key, wish) in wishes {
            self.grant(key, wish);
        }
    }

    /// Sends a portion of what the pace held back, where it is time; false when there is more to send now.
    pub(super) fn pace(&mut self, now_us: u64, wishes: &mut Vec<(u64, Wish)>) -> bool {
        // Each on a beat of its own: those who come last are served without a pause, and a viewer that had a look-in every
        // time would be sent its packets one by one.
        for (last, portion_bytes) in [(false, PORTION_BYTES), (true, LAST_PORTION_BYTES)] {
            if now_us < self.pace_at_us[usize::from(last)] {
                continue;
            }
            let done = self.pace_those(last, portion_bytes, now_us, wishes);
            // Cut short: on with it as soon as what has arrived meanwhile is on its way.
            self.pace_at_us[usize::from(last)] = now_us + if done { PACE_US } else { 0 };
            if !done {
                return false;
            }
            for audience in self.audiences.values_mut().filter(|audience| audience.waiting) {
                audience.waiting = audience.viewers.iter().any(Viewer::is_waiting);
            }
        }
        true
    }

    /// The same for those who come last or for the others, whether it is time or not.
    pub(super) fn pace_those(
        &mut self,
        last: bool,
        portion_bytes: u64,
        now_us: u64,
        wishes: &mut Vec<(u64, Wish)>,
    ) -> bool {
        let end_bytes = self.batch.pushed_bytes() + portion_bytes;
        let whose = usize::from(last);
        let waiting = self.audiences.iter().filter(|(_, audience)| audience.waiting);
        let mut feeds: Vec<usize> = waiting.map(|(id, _)| *id).collect();
        // Where it was cut short: audiences that are looked at first must not starve the others.
        let first = feeds.iter().position(|id| *id == self.pace_from[whose]).unwrap_or(0);
        feeds.rotate_left(first);
        for id in feeds {
            let Some(audience) = self.audiences.get_mut(&id) else {
                continue;
            };
            let first = std::mem::take(&mut audience.turn_of[whose]);
            for (at, viewer) in audience.viewers.iter_mut().enumerate().skip(first) {
                if !viewer.is_waiting() || viewer.comes_last(now_us) != last {
                    continue;
                }
                if self.batch.pushed_bytes() >= end_bytes {
                    audience.turn_of[whose] = at;
                    self.pace_from[whose] = id;
                    return false;
                }
                let mut turn = Turn {
                    outside: &self.outside,
                    batch: &mut self.batch,
                    now_us,
                };
                viewer.flush(&mut turn);
                wishes.extend(viewer.take_wish().map(|wish| (viewer.key, wish)));
                self.batch.flush_when_full(&self.outside);
            }
        }
        true
    }

    fn report(&mut self, now_us: u64, wishes: &mut Vec<(u64, Wish)>) {
        for viewer in self.audiences.values_mut().flat_map(|audience| &mut audience.viewers) {
            if now_us < viewer.report_at_us() {
                continue;
            }
            let mut turn = Turn {
                outside: &self.outside,
                batch: &mut self.batch,
                now_us,
            };
            viewer.report(REPORT_US, &mut turn);
            wishes.extend(viewer.take_wish().map(|wish| (viewer.key, wish)));
            self.batch.flush_when_full(&self.outside);
        }
    }
}
