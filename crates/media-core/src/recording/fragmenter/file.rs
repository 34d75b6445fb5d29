//! A file under way: its tracks, and the units of each that wait for their fragment's end.

use super::FRAGMENT_MAX_UNITS;
use super::step::{FileReason, FileStart, Fragment, Step};
use crate::index::GapCause;
use crate::{AccessUnit, TrackParameters};
use std::sync::Arc;

/// Units of one track that wait for their fragment's end.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) units: Vec<Arc<AccessUnit>>,
    pub(super) bytes: usize,
    pub(super) discontinuity: bool,
    pub(super) cause: Option<GapCause>,
    pub(super) capacity: usize,
}

impl Pending {
    pub(super) fn add(&mut self, unit: &Arc<AccessUnit>) {
        if self.units.is_empty() {
            self.units.reserve_exact(self.capacity);
        }
        self.bytes += unit.data.len();
        self.units.push(unit.clone());
    }

    pub(super) fn take(&mut self, file: u64, track: u8, last_duration: u32) -> Fragment {
        // One more than last time: the next fragment's vector then rarely grows.
        self.capacity = (self.units.len() + 1).min(FRAGMENT_MAX_UNITS);
        self.bytes = 0;
        Fragment {
            file,
            track,
            units: std::mem::take(&mut self.units),
            last_duration,
            discontinuity: std::mem::take(&mut self.discontinuity),
            cause: self.cause.take().unwrap_or(GapCause::Camera),
        }
    }
}

pub(super) struct OpenFile {
    pub(super) number: u64,
    pub(super) hour: i64,
    pub(super) reason: FileReason,
    pub(super) start_us: i64,
    pub(super) origin_90k: i64,
    /// True when `Step::Open` was given: the tracks are fixed.
    pub(super) opened: bool,
    pub(super) video: Arc<TrackParameters>,
    pub(super) audio: Option<Arc<TrackParameters>>,
    pub(super) video_pending: Pending,
    pub(super) audio_pending: Pending,
    pub(super) audio_last_dts: Option<i64>,
    /// End of the last video and audio fragment, in their ticks: nothing earlier can be appended.
    pub(super) video_written_to: i64,
    pub(super) audio_written_to: i64,
}

impl OpenFile {
    pub(super) fn open(&mut self, steps: &mut Vec<Step>) {
        if self.opened {
            return;
        }
        self.opened = true;
        let mut tracks = vec![self.video.clone()];
        tracks.extend(self.audio.clone());
        steps.push(Step::Open(FileStart {
            file: self.number,
            start_us: self.start_us,
            origin_90k: self.origin_90k,
            tracks,
            reason: self.reason,
        }));
    }

    pub(super) fn cut_video(&mut self, last_duration: u32, steps: &mut Vec<Step>) {
        if !self.video_pending.units.is_empty() {
            self.open(steps);
            let fragment = self.video_pending.take(self.number, 0, last_duration);
            self.video_written_to = fragment.first_dts().saturating_add(i64::from(fragment.duration()));
            steps.push(Step::Fragment(fragment));
        }
    }

    pub(super) fn cut_audio(&mut self, last_duration: u32, steps: &mut Vec<Step>) {
        if !self.audio_pending.units.is_empty() {
            self.open(steps);
            let fragment = self.audio_pending.take(self.number, 1, last_duration);
            self.audio_written_to = fragment.first_dts().saturating_add(i64::from(fragment.duration()));
            steps.push(Step::Fragment(fragment));
        }
    }
}
