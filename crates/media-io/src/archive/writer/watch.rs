//! The thread that notices volumes that do not answer, and gives their streams to others.

use super::{Desk, WATCH_PERIOD, Writer};
use crate::archive::lane::{Lane, LaneJob};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A write that takes longer means that the volume does not answer, µs.
const LONGEST_WRITE_US: u64 = 1_000_000;

/// The same for making one file durable, which takes longer on a busy disk, µs.
const LONGEST_SYNC_US: u64 = 2_000_000;

impl Writer {
    /// Whether a write or a sync takes longer than it should.
    pub(super) fn hangs(&self, desk: &Desk) -> bool {
        let now_us = self.clock.monotonic_us();
        let since = desk.syncing_since_us.load(Ordering::Acquire);
        let write_since = desk.writing.lock().as_ref().map(|(_, since_us)| *since_us);
        write_since.is_some_and(|since_us| now_us.saturating_sub(since_us) > LONGEST_WRITE_US)
            || since > 0 && now_us.saturating_sub(since) > LONGEST_SYNC_US
    }

    /// Notices volumes that do not answer, and gives their streams to others.
    pub(super) fn run_watch(&self) {
        loop {
            let mut ended = self.ended.lock();
            if *ended || !self.end_called.wait_for(&mut ended, WATCH_PERIOD).timed_out() {
                return;
            }
            drop(ended);
            for desk in self.desks.iter().filter(|desk| self.hangs(desk)) {
                desk.volume.hangs("the disk does not answer");
                if self.spare_volume(&[desk.volume.number]).is_some() {
                    self.take_away(desk);
                }
            }
        }
    }

    fn take_away(&self, desk: &Desk) {
        let held = desk.writing.lock().as_ref().map(|(lane, _)| lane.clone());
        if let Some(lane) = held {
            let mut files = lane.files.lock();
            if let Some((fragment, bytes)) = files.writing.take() {
                files.turn += 1;
                for file in files.files.iter_mut().filter(|f| f.volume == Some(desk.volume.number)) {
                    file.volume = None;
                    let open = file.open.take();
                    // What is being written is closed by the thread that hangs, once it is back.
                    if let Some(open) = open.filter(|_| file.start.file != fragment.file) {
                        open.close();
                    }
                }
                files.jobs.push_front(LaneJob::Fragment(fragment, bytes));
                drop(files);
                tracing::warn!(stream = %lane.stream.name, volume = desk.volume.name(), "taken from a volume that hangs");
                self.hand_on(desk, lane);
            }
        }
        let waiting: Vec<_> = desk.ready.lock().drain(..).collect();
        for lane in waiting {
            self.hand_on(desk, lane);
        }
    }

    fn hand_on(&self, from: &Desk, lane: Arc<Lane>) {
        let number = self.spare_volume(&[from.volume.number]).unwrap_or(from.volume.number);
        self.desks[number].push(lane);
    }
}
