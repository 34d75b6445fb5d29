//! The sink that records one stream of one camera.

use super::lane::{Lane, RecorderCounters, RecordingState};
use super::writer::Writer;
use crate::hub::Sink;
use media_core::fmp4::init_segment;
use media_core::index::GapCause;
use media_core::recording::fragmenter::{Fragmenter, FragmenterOptions, Step};
use media_core::{AccessUnit, TrackParameters};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

struct Cutting {
    fragmenter: Fragmenter,
    steps: Vec<Step>,
}

/// Records one stream: cuts fragments on the ingest task, writes them elsewhere. Made by `Archive::recorder`.
///
/// The metadata track is not recorded yet.
pub struct Recorder {
    lane: Arc<Lane>,
    writer: Arc<Writer>,
    cutting: Mutex<Cutting>,
    stopped: AtomicBool,
}

impl Recorder {
    pub(super) fn new(lane: Arc<Lane>, writer: Arc<Writer>, options: FragmenterOptions) -> Arc<Self> {
        let fragmenter = Fragmenter::new(options, is_recordable);
        Arc::new(Self {
            lane,
            writer,
            cutting: Mutex::new(Cutting {
                fragmenter,
                steps: Vec::new(),
            }),
            stopped: AtomicBool::new(false),
        })
    }

    /// The camera that is recorded.
    pub fn camera_id(&self) -> &str {
        &self.lane.stream.name.camera_id
    }

    /// The stream that is recorded.
    pub fn stream(&self) -> &str {
        &self.lane.stream.name.stream
    }

    /// Whether recording goes on, and if not, why.
    pub fn state(&self) -> RecordingState {
        self.lane.state.lock().clone()
    }

    /// What was written and lost so far.
    pub fn counters(&self) -> RecorderCounters {
        RecorderCounters {
            bytes_written: self.lane.bytes_written.load(Ordering::Relaxed),
            fragments_written: self.lane.fragments_written.load(Ordering::Relaxed),
            fragments_dropped: self.lane.fragments_dropped.load(Ordering::Relaxed),
            audio_units_dropped: self.cutting.lock().fragmenter.audio_dropped(),
        }
    }

    /// Ends recording: cuts what is pending, and waits until the file is sealed. May block on the disk.
    pub fn stop(&self) {
        if self.finish() {
            self.writer.flush();
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Queues what is left; false when it was stopped before.
    pub(super) fn finish(&self) -> bool {
        let mut cutting = self.cutting.lock();
        if self.stopped.swap(true, Ordering::AcqRel) {
            return false;
        }
        let Cutting { fragmenter, steps } = &mut *cutting;
        fragmenter.finish(steps);
        self.hand_over(steps);
        self.lane.set_state(RecordingState::Stopped);
        true
    }

    fn hand_over(&self, steps: &mut Vec<Step>) {
        for step in steps.drain(..) {
            match step {
                Step::Open(start) => {
                    tracing::debug!(stream = %self.lane.stream.name, reason = ?start.reason, "new file");
                    self.writer.open(&self.lane, start);
                }
                Step::Fragment(fragment) => self.writer.append(&self.lane, fragment),
                Step::Close { file } => self.writer.close(&self.lane, file),
            }
        }
    }
}

impl Sink for Recorder {
    fn push(&self, unit: &Arc<AccessUnit>) -> bool {
        let mut cutting = self.cutting.lock();
        if self.is_stopped() {
            return false;
        }
        let Cutting { fragmenter, steps } = &mut *cutting;
        fragmenter.push(unit, steps);
        if !steps.is_empty() {
            self.hand_over(steps);
        }
        true
    }

    fn interrupt(&self) {
        let mut cutting = self.cutting.lock();
        if self.is_stopped() {
            return;
        }
        let Cutting { fragmenter, steps } = &mut *cutting;
        fragmenter.interrupt(GapCause::Network, steps);
        self.hand_over(steps);
    }
}

/// Whether the container carries a track.
fn is_recordable(parameters: &TrackParameters) -> bool {
    init_segment(std::slice::from_ref(parameters)).is_ok()
}
