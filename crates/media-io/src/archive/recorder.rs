//! The sink that records one stream of one camera.

use super::lane::{Lane, RecorderCounters, RecordingState};
use super::writer::Writer;
use crate::hub::Sink;
use media_core::fmp4::init_segment;
use media_core::index::GapCause;
use media_core::recording::fragmenter::{Fragmenter, FragmenterOptions, GAP_US, Step, utc_of_dts_us};
use media_core::{AccessUnit, TrackParameters};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

struct Cutting {
    fragmenter: Fragmenter,
    steps: Vec<Step>,
    /// Set while the hub may still repeat what an earlier recorder wrote.
    repeats: Option<Repeats>,
}

/// A hub gives a new sink the current GOP first, and part of it may be recorded: only what comes after is new.
struct Repeats {
    /// Units received from here on (µs, monotonic) are no repeats.
    began_us: u64,
    /// End of what is recorded, µs.
    recorded_to_us: i64,
    /// The repeats began with a key frame, so that what follows them can be decoded.
    decodable: bool,
}

impl Repeats {
    /// Whether a unit is recorded already. Sets `decodable`.
    fn holds(&mut self, unit: &AccessUnit) -> bool {
        // A unit that began before the end by less than a millisecond only touches it: clocks are rounded.
        let recorded = unit.received_us < self.began_us && utc_of_dts_us(unit) < self.recorded_to_us - 1_000;
        self.decodable |= recorded && unit.track == 0 && unit.key;
        recorded
    }
}

/// Records one stream: cuts fragments on the ingest task, writes them elsewhere. Made by `Archive::recorder`.
///
/// The metadata track is not recorded yet.
pub struct Recorder {
    lane: Arc<Lane>,
    writer: Arc<Writer>,
    cutting: Mutex<Cutting>,
    /// Length of the files of a buffered stream, µs.
    buffered_file_us: i64,
    stopped: AtomicBool,
}

impl Recorder {
    /// `now_us` is the monotonic clock's; `recorded_to_us` the end of the newest file there is; `buffered_file_us` the
    /// length of files while the stream is buffered.
    pub(super) fn new(
        lane: Arc<Lane>,
        writer: Arc<Writer>,
        options: FragmenterOptions,
        buffered_file_us: i64,
        now_us: u64,
        recorded_to_us: Option<i64>,
    ) -> Arc<Self> {
        let fragmenter = Fragmenter::new(options, is_recordable);
        let repeats = recorded_to_us.map(|recorded_to_us| Repeats {
            began_us: now_us,
            recorded_to_us,
            decodable: false,
        });
        Arc::new(Self {
            lane,
            writer,
            cutting: Mutex::new(Cutting {
                fragmenter,
                steps: Vec::new(),
                repeats,
            }),
            buffered_file_us,
            stopped: AtomicBool::new(false),
        })
    }

    /// Whether the stream is recorded in short files, most of which go again, or in files of an hour. A change counts
    /// from the next key frame, where a new file begins; no picture is lost.
    pub fn set_buffered(&self, buffered: bool) {
        let file_us = buffered.then_some(self.buffered_file_us);
        self.cutting.lock().fragmenter.set_file_us(file_us);
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
            self.writer.flush_lane(&self.lane);
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
        let Cutting { fragmenter, steps, .. } = &mut *cutting;
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
        let Cutting {
            fragmenter,
            steps,
            repeats,
        } = &mut *cutting;
        if let Some(repeated) = repeats {
            if repeated.holds(unit) {
                return true;
            }
            if unit.track == 0 {
                let touches = utc_of_dts_us(unit).saturating_sub(repeated.recorded_to_us).abs() <= GAP_US;
                if repeated.decodable && touches {
                    fragmenter.resume();
                }
                *repeats = None;
            }
        }
        fragmenter.push(unit, steps);
        if !steps.is_empty() {
            self.hand_over(steps);
        }
        true
    }

    fn interrupt(&self, cause: GapCause) {
        let mut cutting = self.cutting.lock();
        if self.is_stopped() {
            return;
        }
        let Cutting { fragmenter, steps, .. } = &mut *cutting;
        fragmenter.interrupt(cause, steps);
        self.hand_over(steps);
    }
}

/// Whether the container carries a track.
fn is_recordable(parameters: &TrackParameters) -> bool {
    init_segment(std::slice::from_ref(parameters)).is_ok()
}
