//! The archive: every file of every recording (docs/format/), opened by one process at a time.
//!
//! `Recorder`s put fragments in; the timeline, playback, pictures and exports read what is durable.

mod catalogue;
mod changes;
mod checksum;
mod disk;
mod exports;
mod hls;
mod lane;
mod listing;
mod lock;
mod open_file;
mod overlaps;
mod pace;
mod picture;
mod plan;
mod playback;
mod reader;
mod rebuild;
mod recorder;
mod regular;
mod removal;
mod sparse;
mod start;
mod timeline;
mod walk;
mod writer;
mod zip;

pub use changes::RemovedFile;
pub use disk::DiskSpace;
pub use exports::{ExportFormat, ExportProgress, ExportRequest, ExportState, ExportedFile};
pub use lane::{RecorderCounters, RecordingState};
pub use listing::{FileChanges, RecordedFile};
pub use picture::Picture;
pub use playback::Playback;
pub use rebuild::FileReport;
pub use recorder::Recorder;
pub use sparse::{SparseArchive, make_sparse, make_sparse_archive};
pub use start::RepairReport;
pub use timeline::{Timeline, TimelineGap, TimelineRange};
pub use writer::WriteCounters;

use crate::clock::Clock;
use catalogue::{Catalogue, StreamName};
use exports::Exports;
use lane::Lane;
use lock::Lock;
use media_core::index::GapCause;
use media_core::recording::file_name::{check_camera_id, check_stream_name};
use media_core::recording::fragmenter::FragmenterOptions;
use media_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use reader::Reader;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use writer::Writer;

/// Sizes and periods of an archive.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveOptions {
    /// Length of a fragment, ms.
    pub fragment_ms: u32,
    /// Everything written becomes durable this often, ms.
    pub sync_ms: u32,
    /// Fragments waiting for the writer, at most; what comes on top is dropped and counted.
    pub queue_max_bytes: usize,
    /// Length of the files of buffered streams, ms; each ends at the first key frame after it.
    pub buffered_file_ms: u32,
    /// Every file gets its SHA-256 as it is written.
    pub checksums: bool,
}

impl Default for ArchiveOptions {
    fn default() -> Self {
        Self {
            fragment_ms: 500,
            sync_ms: 1000,
            queue_max_bytes: 256 << 20,
            buffered_file_ms: 60_000,
            checksums: true,
        }
    }
}

/// All recordings below one directory, `{data_dir}/storage`.
pub struct Archive {
    storage: PathBuf,
    options: ArchiveOptions,
    clock: Arc<dyn Clock>,
    catalogue: Arc<Catalogue>,
    writer: Arc<Writer>,
    reader: Reader,
    exports: Exports,
    recorders: Mutex<HashMap<StreamName, Weak<Recorder>>>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    /// Held while what lies on the disk beside a closed file is changed.
    removals: Mutex<()>,
    /// `close` was called: long reading of whole files ends.
    closing: AtomicBool,
    _lock: Lock,
}

impl Archive {
    /// Opens the archive in `storage` (made if missing), repairs what an earlier process left open, and starts the
    /// writer. `Conflict` when another process has it open; `Forbidden` or `Exhausted` when the disk refuses.
    pub fn open(storage: &Path, options: ArchiveOptions, clock: Arc<dyn Clock>) -> Result<(Arc<Self>, RepairReport)> {
        let began_us = clock.monotonic_us();
        let cameras = storage.join("cameras");
        std::fs::create_dir_all(&cameras).map_err(|e| disk::storage_error(&e, cameras.display()))?;
        let lock = Lock::take(storage)?;
        let catalogue = Arc::new(Catalogue::new(storage, clock.utc_us()));
        let mut report = start::fill(&catalogue)?;
        overlaps::report(&catalogue, &mut report);
        report.duration_us = clock.monotonic_us().saturating_sub(began_us);
        let writer = Writer::new(clock.clone(), options.sync_ms, options.queue_max_bytes);
        let threads = writer.start()?;
        tracing::info!(
            files = report.files_checked,
            repaired = report.files_repaired,
            problems = report.problems.len(),
            ms = report.duration_us / 1_000,
            "archive open"
        );
        let archive = Self {
            storage: storage.to_owned(),
            options,
            clock,
            catalogue,
            writer,
            reader: Reader::default(),
            exports: Exports::default(),
            recorders: Mutex::default(),
            threads: Mutex::new(threads),
            removals: Mutex::default(),
            closing: AtomicBool::new(false),
            _lock: lock,
        };
        Ok((Arc::new(archive), report))
    }

    /// The directory given to `open`.
    pub fn storage(&self) -> &Path {
        &self.storage
    }

    /// A sink that records a camera's stream; nothing is written before its first key frame.
    /// `Conflict` while another recorder of that stream runs, `Invalid` for names that cannot be file names.
    pub fn recorder(&self, camera_id: &str, stream: &str) -> Result<Arc<Recorder>> {
        check_camera_id(camera_id)?;
        check_stream_name(stream)?;
        let name = StreamName::new(camera_id, stream);
        let mut recorders = self.recorders.lock();
        recorders.retain(|_, r| r.upgrade().is_some_and(|r| !r.is_stopped()));
        if recorders.contains_key(&name) {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("{name}: is being recorded already"),
            ));
        }
        let files = self.catalogue.stream(&name);
        let (cause, last_end_us) = match files.newest() {
            Some(newest) => {
                let state = newest.state.read();
                let known = state.sealed && !state.repaired;
                (
                    if known { GapCause::Stop } else { GapCause::Unknown },
                    Some(state.end_us),
                )
            }
            None => (GapCause::Unknown, None),
        };
        let fragmenter = FragmenterOptions {
            fragment_us: i64::from(self.options.fragment_ms.max(50)) * 1_000,
            ..Default::default()
        };
        let lane = Lane::new(files, cause, last_end_us, self.options.checksums);
        let now_us = self.clock.monotonic_us();
        let buffered_file_us = i64::from(self.options.buffered_file_ms) * 1_000;
        let recorder = Recorder::new(
            lane,
            self.writer.clone(),
            fragmenter,
            buffered_file_us,
            now_us,
            last_end_us,
        );
        recorders.insert(name, Arc::downgrade(&recorder));
        Ok(recorder)
    }

    /// Waits until everything handed over so far is durable and listed. For tests and orderly ends; may block.
    pub fn flush(&self) {
        self.writer.flush();
    }

    /// Stops every recorder, seals every file and ends the threads. The archive can still be read. May block.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.exports.close();
        let recorders: Vec<_> = self.recorders.lock().drain().filter_map(|(_, r)| r.upgrade()).collect();
        for recorder in recorders {
            recorder.finish();
        }
        let threads = std::mem::take(&mut *self.threads.lock());
        if threads.is_empty() {
            return;
        }
        self.writer.flush();
        let open = self.writer.open_files();
        if open > 0 {
            tracing::warn!(open, "files could not be closed; the next start repairs them");
        }
        self.writer.exit();
        for thread in threads {
            // A panic in there has been reported by the panic hook.
            let _ = thread.join();
        }
    }

    /// Counters of everything written since `open`.
    pub fn write_counters(&self) -> WriteCounters {
        self.writer.counters()
    }

    /// Space of the archive's file system.
    pub fn disk_space(&self) -> Result<DiskSpace> {
        disk::disk_space(&self.storage)
    }

    /// Bytes of all recordings, without their indexes.
    pub fn recorded_bytes(&self) -> u64 {
        self.catalogue
            .all()
            .iter()
            .flat_map(|s| s.all())
            .map(|f| f.state.read().size_bytes)
            .sum()
    }

    /// The server's time, µs.
    pub fn now_us(&self) -> i64 {
        self.clock.utc_us()
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        self.close();
    }
}
