//! What is noted down of a fragment's circumstances before it is written.

use crate::archive::lane::{Lane, LaneFiles};
use crate::archive::open_file::{NewFile, OpenFile};
use media_core::TrackParameters;
use media_core::index::{Gap, GapCause};
use media_core::recording::fragmenter::{Fragment, GAP_US, rescale};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A fragment's circumstances, noted down before the lock is let go.
pub(super) struct Task {
    pub open: Option<Arc<OpenFile>>,
    pub cause: GapCause,
    pub after_loss: bool,
    start_us: i64,
    origin_90k: i64,
    tracks: Vec<Arc<TrackParameters>>,
    checksum: bool,
    leading_gap: Option<Gap>,
}

impl Task {
    pub fn of(files: &LaneFiles, lane: &Lane, fragment: &Fragment, open: Option<Arc<OpenFile>>) -> Self {
        let lost = files.dropped;
        let cause = lost.unwrap_or(fragment.cause);
        let mut task = Self {
            open,
            cause,
            after_loss: lost.is_some(),
            start_us: fragment.start_us(),
            origin_90k: 0,
            tracks: Vec::new(),
            checksum: lane.checksums,
            leading_gap: None,
        };
        let file = files.files.iter().find(|f| f.start.file == fragment.file);
        let Some(file) = file.filter(|_| task.open.is_none()) else {
            return task;
        };
        task.tracks = file.start.tracks.clone();
        let video_rate = task.tracks.first().map_or(90_000, |t| t.clock_rate);
        task.origin_90k = rescale(fragment.first_dts(), video_rate, 90_000);
        if file.untried {
            task.start_us = file.start.start_us;
            task.origin_90k = file.start.origin_90k;
        }
        let gap = files
            .last_end_us
            .filter(|end| task.start_us.saturating_sub(*end) > GAP_US);
        task.leading_gap = gap.map(|end| {
            let first = lane.fragments_written.load(Ordering::Relaxed) == 0;
            let cause = if first && cause != GapCause::Disk {
                lane.cause_before
            } else {
                cause
            };
            Gap {
                start_us: end,
                end_us: task.start_us,
                cause,
            }
        });
        task
    }

    pub fn new_file(&self) -> NewFile<'_> {
        NewFile {
            start_us: self.start_us,
            origin_90k: self.origin_90k,
            tracks: &self.tracks,
            checksum: self.checksum,
            leading_gap: self.leading_gap,
        }
    }
}
