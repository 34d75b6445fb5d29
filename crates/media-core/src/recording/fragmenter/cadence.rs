//! How often a track's units come.

use crate::TrackParameters;
use std::collections::VecDeque;

/// The usual distance between two units of a track: the median of the last few.
#[derive(Default)]
pub(super) struct Cadence {
    intervals: VecDeque<u32>,
}

const CADENCE_INTERVALS: usize = 8;

impl Cadence {
    pub(super) fn note(&mut self, interval: u32) {
        if self.intervals.len() == CADENCE_INTERVALS {
            self.intervals.pop_front();
        }
        self.intervals.push_back(interval);
    }

    /// Ticks; from the parameters, or 40 ms, as long as nothing was seen.
    pub(super) fn usual(&self, parameters: &TrackParameters) -> u32 {
        let count = self.intervals.len();
        if count > 0 {
            let mut sorted = [u32::MAX; CADENCE_INTERVALS];
            for (slot, interval) in sorted.iter_mut().zip(&self.intervals) {
                *slot = *interval;
            }
            sorted.sort_unstable();
            return sorted[(count - 1) / 2];
        }
        match parameters.fps_milli {
            fps @ 1_000..=240_000 => (u64::from(parameters.clock_rate) * 1_000 / u64::from(fps)) as u32,
            _ => parameters.clock_rate / 25,
        }
    }
}
