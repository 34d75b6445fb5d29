//! The state that the recorder of one stream shares with the writer and the sync thread.

use super::catalogue::StreamFiles;
use super::open_file::OpenFile;
use media_core::index::GapCause;
use media_core::recording::fragmenter::{FileStart, Fragment};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether a stream is being recorded, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordingState {
    /// Nothing written yet, or the camera is lost.
    Waiting,
    /// The last fragment was written.
    Recording,
    /// The last fragment could not be written: the reason, such as "disk full (…)".
    Failed(String),
    /// `stop` was called.
    Stopped,
}

/// Counters of one stream's recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecorderCounters {
    /// Bytes appended to `.mp4` files.
    pub bytes_written: u64,
    /// Fragments appended.
    pub fragments_written: u64,
    /// Fragments that were lost here: no room in the queue, or a disk that refused them.
    pub fragments_dropped: u64,
    /// Audio units left out.
    pub audio_units_dropped: u64,
}

/// A file as the writer knows it.
pub(super) struct LaneFile {
    pub start: FileStart,
    pub open: Option<Arc<OpenFile>>,
    /// Number of the volume that it lies on, or is to be made on.
    pub volume: Option<usize>,
    /// Nothing was tried yet: the origin and the start of `start` hold.
    pub untried: bool,
}

/// What a recorder asks for, in order.
pub(super) enum LaneJob {
    Open(FileStart),
    /// A fragment and the bytes that it takes in the queue.
    Fragment(Arc<Fragment>, usize),
    /// Fragments had no room in the queue at this point.
    Overload,
    Close(u64),
}

/// What is to be done for a stream. One volume's thread works on it at a time (`queued`); the lock is never held while
/// the disk is waited for.
#[derive(Default)]
pub(super) struct LaneFiles {
    pub jobs: VecDeque<LaneJob>,
    /// The stream waits in a volume's queue, or its thread works on it.
    pub queued: bool,
    /// Counts how often the stream was taken from a volume that did not answer: its thread, once it is back, finds that
    /// the stream is no longer its own.
    pub turn: u64,
    /// What is being written, to be written elsewhere should the volume not answer.
    pub writing: Option<(Arc<Fragment>, usize)>,
    /// The current file and perhaps the one before, which waits for its last audio.
    pub files: Vec<LaneFile>,
    /// Volumes that refused this stream, and until when (µs) each is not asked again.
    pub refused: Vec<(usize, u64)>,
    /// After a failure with no other volume: not before this instant, µs.
    pub retry_at_us: u64,
    /// Why fragments were dropped since the last one written.
    pub dropped: Option<GapCause>,
    /// End of the last fragment of video written, µs.
    pub last_end_us: Option<i64>,
}

impl LaneFiles {
    /// Numbers of the volumes that are not asked at `now_us`.
    pub fn refused_at(&self, now_us: u64) -> Vec<usize> {
        let still = self.refused.iter().filter(|(_, until_us)| now_us < *until_us);
        still.map(|(number, _)| *number).collect()
    }
}

pub(crate) struct Lane {
    pub stream: Arc<StreamFiles>,
    pub state: Mutex<RecordingState>,
    pub(super) files: Mutex<LaneFiles>,
    /// Nothing is left to do.
    pub(super) idle: Condvar,
    /// Why video is missing between the newest file there is and the first one that this lane makes.
    pub cause_before: GapCause,
    /// Whether its files get checksums.
    pub checksums: bool,
    pub bytes_written: AtomicU64,
    pub fragments_written: AtomicU64,
    pub fragments_dropped: AtomicU64,
    /// Fragments did not fit into the queue since the last one that did.
    pub overloaded: std::sync::atomic::AtomicBool,
}

impl Lane {
    pub fn new(
        stream: Arc<StreamFiles>,
        cause_before: GapCause,
        last_end_us: Option<i64>,
        checksums: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            stream,
            state: Mutex::new(RecordingState::Waiting),
            files: Mutex::new(LaneFiles {
                last_end_us,
                ..LaneFiles::default()
            }),
            idle: Condvar::new(),
            cause_before,
            checksums,
            bytes_written: AtomicU64::new(0),
            fragments_written: AtomicU64::new(0),
            fragments_dropped: AtomicU64::new(0),
            overloaded: std::sync::atomic::AtomicBool::new(false),
        })
    }

    /// A file was lost from what is durable of it on: what follows it knows why.
    pub(super) fn lost_after(&self, durable_end_us: i64) {
        let mut files = self.files.lock();
        if files.last_end_us.is_some_and(|end| end > durable_end_us) {
            files.last_end_us = Some(durable_end_us);
            files.dropped = Some(GapCause::Disk);
        }
    }

    /// Notes that a fragment is lost.
    pub fn count_dropped(&self) {
        self.fragments_dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the state; true when it is another one.
    pub fn set_state(&self, state: RecordingState) -> bool {
        let mut current = self.state.lock();
        if *current == state || *current == RecordingState::Stopped {
            return false;
        }
        *current = state;
        true
    }
}
