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
mod leftovers;
mod listing;
mod lock;
mod marker;
mod moving;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod moving_tests;
mod objects;
mod open_file;
mod overlaps;
mod pace;
mod pair;
mod picture;
mod plan;
mod playback;
mod reader;
mod rebuild;
mod recorder;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod refusal_tests;
mod regular;
mod removal;
mod sparse;
mod start;
mod timeline;
mod volumes;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod volumes_tests;
mod walk;
mod writer;
mod zip;

pub use changes::RemovedFile;
pub use disk::DiskSpace;
pub use exports::{ExportFormat, ExportProgress, ExportRequest, ExportState, ExportedFile};
pub use lane::{RecorderCounters, RecordingState};
pub use listing::{FileChanges, RecordedFile};
pub use objects::ObjectReader;
pub use picture::Picture;
pub use playback::Playback;
pub use rebuild::FileReport;
pub use recorder::Recorder;
pub use sparse::{SparseArchive, make_sparse, make_sparse_archive};
pub use start::RepairReport;
pub use timeline::{Timeline, TimelineGap, TimelineRange};
pub use volumes::{MAIN_VOLUME, VolumeOptions, VolumeState, VolumeStatus, VolumeTier};
pub use writer::WriteCounters;

use crate::clock::Clock;
use catalogue::{Catalogue, StreamName};
use exports::Exports;
use lane::Lane;
use leftovers::Orphan;
use lock::Lock;
use marker::Marker;
use media_core::index::GapCause;
use media_core::recording::file_name::{check_camera_id, check_stream_name};
use media_core::recording::fragmenter::FragmenterOptions;
use media_core::{Error, ErrorKind, Result};
use moving::Moves;
use objects::Objects;
use parking_lot::Mutex;
use reader::Reader;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use volumes::Volume;
use writer::Writer;

/// How long the end waits for a disk that does not answer.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// Sizes and periods of an archive.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveOptions {
    /// Length of a fragment, ms.
    pub fragment_ms: u32,
    /// Everything written becomes durable this often, ms.
    pub sync_ms: u32,
    /// Fragments waiting for the writer, at most; what comes on top is dropped and counted.
    pub queue_max_bytes: usize,
    /// A missing volume is looked for this often, and a failing one first tried again after this long, ms.
    pub volume_retry_ms: u32,
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
            volume_retry_ms: 10_000,
            buffered_file_ms: 60_000,
            checksums: true,
        }
    }
}

/// All recordings of one installation: on the volumes, with a lock and a list of these in `{data_dir}/storage`.
pub struct Archive {
    storage: PathBuf,
    options: ArchiveOptions,
    clock: Arc<dyn Clock>,
    catalogue: Arc<Catalogue>,
    volumes: Vec<Arc<Volume>>,
    writer: Arc<Writer>,
    objects: Arc<Objects>,
    reader: Reader,
    exports: Exports,
    recorders: Mutex<HashMap<StreamName, Weak<Recorder>>>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    moves: Moves,
    /// `close` was called: long reading of whole files ends.
    closing: AtomicBool,
    _lock: Lock,
}

impl Archive {
    /// Opens the archive in `storage` (made if missing) with recordings in `storage` itself; see `open_on`.
    pub fn open(storage: &Path, options: ArchiveOptions, clock: Arc<dyn Clock>) -> Result<(Arc<Self>, RepairReport)> {
        Self::open_on(storage, Vec::new(), options, clock)
    }

    /// Opens the archive of `storage` (made if missing) on its volumes, repairs what an earlier process left open, and
    /// starts the writers. Without volumes, and for recordings that were made before volumes were named, `storage`
    /// itself is one (`main`). A volume that is missing is reported, and looked for from then on.
    ///
    /// `Invalid` for volumes that contradict each other; `Conflict` when another process has the archive open; `Forbidden` or `Exhausted` when the disk refuses.
    pub fn open_on(
        storage: &Path,
        mut volumes: Vec<VolumeOptions>,
        options: ArchiveOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<(Arc<Self>, RepairReport)> {
        let began_us = clock.monotonic_us();
        let cameras = storage.join("cameras");
        std::fs::create_dir_all(&cameras).map_err(|e| disk::storage_error(&e, cameras.display()))?;
        let lock = Lock::take(storage)?;
        let named = !volumes.is_empty();
        volumes::check(storage, &volumes)?;
        if !named || !volumes.iter().any(|v| v.path == storage) && start::has_recordings(&cameras) {
            let weight = u32::from(!named);
            volumes.push(VolumeOptions {
                weight,
                ..VolumeOptions::main(storage)
            });
            volumes::check_names(&volumes)?;
        }
        let retry_us = u64::from(options.volume_retry_ms.max(10)) * 1_000;
        let volumes: Vec<Arc<Volume>> = volumes
            .into_iter()
            .enumerate()
            .map(|(number, volume)| {
                let marker = match volume.path == storage {
                    true => None,
                    false => Some(Marker::new(storage, &volume.name, &volume.path)?),
                };
                Ok(Volume::new(volume, number, marker, clock.clone(), retry_us))
            })
            .collect::<Result<_>>()?;
        let catalogue = Arc::new(Catalogue::new(clock.utc_us()));
        let mut report = RepairReport::default();
        let mut orphans = Vec::new();
        for volume in &volumes {
            match attach(&catalogue, volume, &mut orphans) {
                Ok(found) => report.add(found),
                // The archive's own directory is no disk that may be back later.
                Err(e) if volume.options.path == storage => return Err(e),
                Err(e) => {
                    volume.went(e.message());
                    report.problem(
                        &volume.options.path,
                        format!("volume {} is missing: {e}", volume.name()),
                    );
                }
            }
        }
        leftovers::sort_out(&catalogue, orphans, &mut report);
        overlaps::report(&catalogue, &mut report);
        report.duration_us = clock.monotonic_us().saturating_sub(began_us);
        let writer = Writer::new(
            clock.clone(),
            &volumes,
            options.sync_ms,
            options.queue_max_bytes,
            retry_us,
        );
        let presence = Arc::new(Presence {
            catalogue: catalogue.clone(),
            volumes: volumes.clone(),
        });
        presence.number_files();
        let threads = writer.start(&presence)?;
        tracing::info!(
            files = report.files_checked,
            repaired = report.files_repaired,
            problems = report.problems.len(),
            ms = report.duration_us / 1_000,
            "archive open"
        );
        let objects = Arc::default();
        let archive = Self {
            storage: storage.to_owned(),
            options,
            clock,
            catalogue,
            volumes,
            writer,
            reader: Reader::new(&objects),
            objects,
            exports: Exports::default(),
            recorders: Mutex::default(),
            threads: Mutex::new(threads),
            moves: Moves::default(),
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
        self.writer.know(&lane);
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
        let patience = Instant::now() + CLOSE_PATIENCE;
        let open = self.writer.open_files();
        if open > 0 {
            tracing::warn!(open, "files could not be closed; the next start repairs them");
        }
        self.writer.exit();
        for thread in threads {
            while !thread.is_finished() && self.writer.any_hangs() {
                // What a disk holds up cannot be ended.
                if Instant::now() > patience {
                    tracing::warn!("a disk does not answer: its threads are left behind");
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            // A panic in there has been reported by the panic hook.
            let _ = thread.join();
        }
    }

    /// Counters of everything written since `open`.
    pub fn write_counters(&self) -> WriteCounters {
        self.writer.counters()
    }

    /// Space of the file systems of all volumes, as last seen.
    pub fn disk_space(&self) -> DiskSpace {
        let mut devices = Vec::new();
        let mut sum = DiskSpace::default();
        for (space, device) in self.volumes.iter().map(|v| v.space()) {
            if !devices.contains(&device) {
                devices.push(device);
                sum.free_bytes += space.free_bytes;
                sum.total_bytes += space.total_bytes;
            }
        }
        sum
    }

    /// The volumes, in the order of the configuration.
    pub fn volumes(&self) -> Vec<VolumeStatus> {
        let mut recorded = vec![0; self.volumes.len()];
        for entry in self.catalogue.all().iter().flat_map(|s| s.all()) {
            let number = entry.volume().number;
            recorded[number] += entry.state.read().size_bytes;
        }
        let status = |(volume, recorded): (&Arc<Volume>, u64)| volume.status(recorded);
        self.volumes.iter().zip(recorded).map(status).collect()
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

/// Finds a volume and reads its recordings.
fn attach(catalogue: &Catalogue, volume: &Arc<Volume>, orphans: &mut Vec<Orphan>) -> Result<RepairReport> {
    volume.find()?;
    let report = start::fill(catalogue, volume, orphans)?;
    volume.came();
    Ok(report)
}

/// What the archive has of its volumes while they come and go.
pub(crate) struct Presence {
    catalogue: Arc<Catalogue>,
    volumes: Vec<Arc<Volume>>,
}

impl Presence {
    /// A volume is gone, and its recordings with it.
    pub fn gone(&self, volume: &Volume, reason: &str) {
        volume.went(reason);
        // Before its names are forgotten: the streams that were on it begin files elsewhere at this very moment.
        self.number_files();
        self.catalogue.remove_volume(volume.number);
    }

    /// Looks for a missing volume; its recordings are there again when it is back.
    pub fn look_for(&self, volume: &Arc<Volume>) {
        let mut orphans = Vec::new();
        match attach(&self.catalogue, volume, &mut orphans) {
            Ok(mut report) => {
                leftovers::sort_out(&self.catalogue, orphans, &mut report);
                tracing::info!(volume = volume.name(), files = report.files_checked, "volume is back");
            }
            Err(e) => volume.went(e.message()),
        }
        self.number_files();
    }

    /// With a volume missing, names of files that it may have are not given again.
    fn number_files(&self) {
        let missing = self.volumes.iter().any(|v| !v.is_present());
        self.volumes.iter().for_each(|v| v.use_own_numbers(missing));
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        self.close();
        self.volumes.iter().for_each(|v| v.release());
    }
}
