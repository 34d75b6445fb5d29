//! Start-up: finds every file, repairs those that were not closed, and fills the catalogue. Of a closed file only the
//! index's header and tail are read.

use super::catalogue::{Catalogue, FileEntry, FilePaths, FileState, StreamFiles, StreamName};
use super::checksum;
use super::disk::{read_exactly, read_up_to, storage_error};
use super::leftovers::{Orphan, doubled, is_unfinished_copy};
use super::objects::{OBJECT, StoredObject};
use super::rebuild::replace_index;
use super::regular::{self, Entry, entries};
use super::volumes::Volume;
use media_core::fmp4::{Init, read_init};
use media_core::index::{HEADER_BYTES, Header, RECORD_BYTES, Record, VERSION, newer_version, record_position};
use media_core::recording::file_name::{
    FileSlot, check_camera_id, parse_checksum_name, parse_day_directory, parse_index_name, parse_video_name,
};
use media_core::recording::repair::{Repaired, SealedTail, read_sealed_tail, repair};
use media_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Problems listed one by one; more are only counted.
const MAX_PROBLEMS: usize = 200;

/// The tail of a closed file's index that is read at first.
const TAIL_BYTES: usize = 16 * RECORD_BYTES;

/// Longest index that is read: a hundred times an hour's. What claims to be longer is damaged.
pub(super) const MAX_INDEX_BYTES: u64 = 64 << 20;

/// Bytes in which ftyp and moov are looked for, at first and at most.
const INIT_BYTES: [usize; 2] = [64 << 10, 3 << 20];

/// A video without an index that has no whole fragment and is no longer than this was torn before its first sync, and
/// goes: a second of 100 Mbit/s. A longer one was more than that.
const LARGEST_AT_BIRTH_BYTES: u64 = 16 << 20;

/// Threads that look through the cameras.
const THREADS: usize = 2;

/// What start-up found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RepairReport {
    /// Recordings looked at.
    pub files_checked: u64,
    /// Recordings that were not closed.
    pub files_repaired: u64,
    /// Torn bytes cut from their ends.
    pub bytes_cut: u64,
    /// Index records made anew from the `.mp4`.
    pub records_rebuilt: u64,
    /// How long it took, µs.
    pub duration_us: u64,
    /// One sentence for each file that could not be used or does not belong here.
    pub problems: Vec<String>,
}

impl RepairReport {
    /// Paths are told with control characters escaped: whoever named a file does not write the log.
    pub(super) fn problem(&mut self, path: &Path, what: impl std::fmt::Display) {
        self.problem_of(&path.to_string_lossy().escape_debug().to_string(), what);
    }

    pub(super) fn problem_of(&mut self, subject: &str, what: impl std::fmt::Display) {
        tracing::warn!(subject, "{what}");
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(format!("{subject}: {what}"));
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.files_checked += other.files_checked;
        self.files_repaired += other.files_repaired;
        self.bytes_cut += other.bytes_cut;
        self.records_rebuilt += other.records_rebuilt;
        let room = MAX_PROBLEMS.saturating_sub(self.problems.len());
        self.problems.extend(other.problems.into_iter().take(room));
    }
}

/// Whether there is any recording below `cameras`.
pub(super) fn has_recordings(cameras: &Path) -> bool {
    let below = |path: &Path| entries(path).unwrap_or_default();
    let is_recording = |day, entry: &Entry| parse_video_name(day, &entry.name).is_some();
    below(cameras).iter().any(|camera| {
        below(&camera.path).iter().any(|directory| {
            let day = parse_day_directory(&directory.name);
            day.is_some_and(|day| below(&directory.path).iter().any(|entry| is_recording(day, entry)))
        })
    })
}

/// Looks through all cameras of a volume, on two threads.
pub(super) fn fill(catalogue: &Catalogue, volume: &Arc<Volume>, orphans: &mut Vec<Orphan>) -> Result<RepairReport> {
    let directory = volume.cameras_directory();
    let mut report = RepairReport::default();
    let mut cameras = Vec::new();
    for entry in entries(directory)? {
        match check_camera_id(&entry.name) {
            Ok(()) if entry.is_directory() => cameras.push((entry.path, entry.name)),
            Ok(()) => report.problem(&entry.path, entry.what_it_is()),
            Err(_) => report.problem(&entry.path, "is no camera's directory and was left alone"),
        }
    }
    let next = AtomicUsize::new(0);
    let reports = Mutex::new((&mut report, orphans));
    std::thread::scope(|scope| {
        for _ in 0..THREADS.min(cameras.len()) {
            scope.spawn(|| {
                while let Some((path, name)) = cameras.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut orphans = Vec::new();
                    let found = camera(catalogue, volume, (path, name), &mut orphans);
                    let mut reports = reports.lock();
                    reports.0.add(found);
                    reports.1.append(&mut orphans);
                }
            });
        }
    });
    Ok(report)
}

fn camera(
    catalogue: &Catalogue,
    volume: &Arc<Volume>,
    (directory, camera_id): (&Path, &str),
    orphans: &mut Vec<Orphan>,
) -> RepairReport {
    let mut report = RepairReport::default();
    let days = match entries(directory) {
        Ok(days) => days,
        Err(e) => {
            report.problem(directory, e);
            return report;
        }
    };
    for Entry { path, name, .. } in days.iter().filter(|entry| entry.is_directory()) {
        match parse_day_directory(name) {
            Some(day) => {
                if let Err(e) = day_of(catalogue, volume, (path, camera_id, day), orphans, &mut report) {
                    report.problem(path, e);
                }
            }
            None => report.problem(path, "is no day's directory and was left alone"),
        }
    }
    for entry in days.iter().filter(|entry| !entry.is_directory()) {
        report.problem(&entry.path, entry.what_it_is());
    }
    report
}

fn day_of(
    catalogue: &Catalogue,
    volume: &Arc<Volume>,
    (directory, camera_id, day): (&Path, &str, i64),
    orphans: &mut Vec<Orphan>,
    report: &mut RepairReport,
) -> Result<()> {
    let mut lonely = HashSet::new();
    let mut videos = HashSet::new();
    let mut stored = Vec::new();
    let entries = entries(directory)?;
    let mut checksums: HashMap<_, _> = entries
        .iter()
        .filter(|entry| entry.is_file())
        .filter_map(|entry| Some((parse_checksum_name(day, &entry.name)?, entry)))
        .collect();
    for entry in &entries {
        let (path, name) = (&entry.path, entry.name.as_str());
        if !entry.is_file() {
            report.problem(path, entry.what_it_is());
        } else if let Some((slot, stream)) = parse_video_name(day, name) {
            videos.insert((slot, stream.to_owned()));
            report.files_checked += 1;
            let checksum = checksums.remove(&(slot, stream));
            let stream = catalogue.stream(&StreamName::new(camera_id, stream));
            if let Err(e) = file(volume, &stream, slot, checksum.is_some(), report) {
                report.problem(path, e);
            }
        } else if let Some((slot, stream)) = parse_index_name(day, name) {
            lonely.insert((slot, stream.to_owned()));
        } else if let Some((slot, stream)) = name.strip_suffix(OBJECT).and_then(|n| parse_video_name(day, n)) {
            stored.push((slot, stream.to_owned()));
        } else if is_unfinished_copy(day, name) {
            tracing::info!(path = %path.display(), "the unfinished copy of a move is removed");
            let _ = std::fs::remove_file(path);
        } else if name
            .strip_suffix(".new")
            .is_some_and(|n| parse_index_name(day, n).is_some())
        {
            // Ours, and never finished: the index whose place it was to take is there, or is made anew.
            report.problem(path, "was not finished and is gone");
            let _ = std::fs::remove_file(path);
        } else if !is_companion(name) {
            report.problem(path, "does not belong to the archive and was left alone");
        }
    }
    for (slot, stream) in stored {
        let files = catalogue.stream(&StreamName::new(camera_id, &stream));
        let paths = files.paths_on(volume, slot);
        report.files_checked += u64::from(videos.insert((slot, stream)));
        if let Err(e) = object(volume, &files, slot, &paths) {
            report.problem(&paths.object, e);
        }
    }
    lonely.extend(checksums.keys().map(|(slot, stream)| (*slot, (*stream).to_owned())));
    orphans.extend(lonely.difference(&videos).map(|(slot, stream)| Orphan {
        volume: volume.clone(),
        name: StreamName::new(camera_id, stream),
        slot: *slot,
    }));
    Ok(())
}

/// Files that other parts of the system keep beside the recordings.
fn is_companion(name: &str) -> bool {
    name == "chain.jsonl"
        || ["checksum_", "ai_", "events_", "thumb_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// A file whose video is an object. Should the video be here as well, it was about to be removed.
fn object(volume: &Arc<Volume>, stream: &Arc<StreamFiles>, slot: FileSlot, paths: &FilePaths) -> Result<()> {
    let object = StoredObject::read(&paths.object)?;
    if let Some(here) = stream.in_slot(slot) {
        let same = here.volume().number == volume.number && here.state.read().size_bytes == object.size_bytes;
        if !same {
            return Err(Error::malformed(
                "means a video that is here too, with another length; not used",
            ));
        }
        here.store_as(object);
        return Ok(std::fs::remove_file(&paths.video)?);
    }
    let index = open_existing(&paths.index, false)?;
    let found = index.map_or(Ok(None), |index| sealed(&index, object.size_bytes))?;
    let (tail, records) = found.ok_or_else(|| Error::malformed("has no whole index beside it"))?;
    let sum = checksum::read(&paths.checksum, &slot.video_name(&stream.name.stream));
    let state = FileState {
        end_us: tail.seal.end_us,
        records,
        size_bytes: object.size_bytes,
        sealed: true,
        gaps: tail.gaps,
        sha256: sum,
        ..FileState::default()
    };
    let entry = FileEntry::new(volume, slot, tail.seal.start_us, state);
    entry.store_as(object);
    stream.insert(Arc::new(entry));
    Ok(())
}

fn file(
    volume: &Arc<Volume>,
    stream: &Arc<StreamFiles>,
    slot: FileSlot,
    has_checksum: bool,
    report: &mut RepairReport,
) -> Result<()> {
    let FilePaths {
        video: video_path,
        index: index_path,
        checksum: checksum_path,
        ..
    } = stream.paths_on(volume, slot);
    if let Some(other) = stream.in_slot(slot) {
        return match other.volume().number == volume.number {
            // Begun or moved there while the volume went: it is in the catalogue, and may be open.
            true => Ok(()),
            false => doubled(stream, &other, &stream.paths_on(volume, slot), report),
        };
    }
    let video_size = std::fs::symlink_metadata(&video_path)?.len();
    let index = open_existing(&index_path, false)?;
    if let Some(index) = &index
        && let Some(version) = newer_version(&read_up_to(index, 0, HEADER_BYTES)?)
    {
        let message = format!(
            "its index has format version {version}, and this program knows none after {VERSION}: it was left alone; \
             start the version of the program that wrote it, or a newer one"
        );
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let found = match &index {
        Some(index) => sealed(index, video_size)?,
        None => None,
    };
    let entry = match found {
        Some((tail, records)) => {
            let state = FileState {
                end_us: tail.seal.end_us,
                records,
                size_bytes: video_size,
                sealed: true,
                gaps: tail.gaps,
                ..FileState::default()
            };
            FileEntry::new(volume, slot, tail.seal.start_us, state)
        }
        None => match repair_file(&video_path, &index_path, index, video_size, report)? {
            Some((start_us, state)) => FileEntry::new(volume, slot, start_us, state),
            None => return Ok(()),
        },
    };
    if has_checksum {
        entry.state.write().sha256 = checksum::read(&checksum_path, &slot.video_name(&stream.name.stream));
    }
    stream.insert(Arc::new(entry));
    Ok(())
}

fn open_existing(path: &Path, write: bool) -> Result<Option<File>> {
    let opened = if write {
        regular::open_to_write(path)
    } else {
        regular::open(path)
    };
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(storage_error(&e, path.display())),
    }
}

/// The tail of an index that was sealed and fits its `.mp4`, and how many fragments it lists.
fn sealed(index: &File, video_size: u64) -> Result<Option<(SealedTail, u64)>> {
    let size = index.metadata()?.len();
    let Some(records) = size.checked_sub(HEADER_BYTES as u64).map(|b| b / RECORD_BYTES as u64) else {
        return Ok(None);
    };
    if size > MAX_INDEX_BYTES
        || record_position(records) != size
        || Header::decode(&read_exactly(index, 0, HEADER_BYTES)?).is_err()
    {
        return Ok(None);
    }
    let mut wanted = TAIL_BYTES.min((size as usize).saturating_sub(HEADER_BYTES));
    loop {
        let tail = read_exactly(index, size - wanted as u64, wanted)?;
        match read_sealed_tail(&tail, records) {
            Ok(found) => {
                let found = found.filter(|t| t.seal.file_size_bytes == video_size);
                return Ok(found.map(|t| {
                    let fragments = records - 1 - t.gaps.len() as u64;
                    (t, fragments)
                }));
            }
            Err(needed) => wanted = needed,
        }
    }
}

/// Repairs a file that was not closed, on the disk too. None: it held nothing and is gone.
fn repair_file(
    video_path: &Path,
    index_path: &Path,
    index: Option<File>,
    video_size: u64,
    report: &mut RepairReport,
) -> Result<Option<(i64, FileState)>> {
    let Some(video) = open_existing(video_path, true)? else {
        return Ok(None);
    };
    let index_bytes = match &index {
        Some(index) => read_up_to(index, 0, index.metadata()?.len().min(MAX_INDEX_BYTES) as usize)?,
        None => Vec::new(),
    };
    let init = match find_init(|offset, length| Ok(read_up_to(&video, offset, length)?), video_size) {
        Ok(init) => init,
        // Ours, and torn before the first fragment: the index knows of none.
        Err(_) if Header::decode(&index_bytes).is_ok() && index_bytes.len() < HEADER_BYTES + RECORD_BYTES => {
            remove_empty(video_path, index_path, video_size, report);
            return Ok(None);
        }
        Err(_) if video_size == 0 => {
            remove_empty(video_path, index_path, 0, report);
            return Ok(None);
        }
        Err(e) => return Err(e.within("not a recording of this archive, or damaged; left alone")),
    };
    let mut read_at = |offset: u64, length: usize| Ok(read_up_to(&video, offset, length)?);
    let repaired = repair(&init, video_size, &index_bytes, &mut read_at)?;
    if repaired.fragments.is_empty() {
        if Header::decode(&index_bytes).is_err() && video_size > LARGEST_AT_BIRTH_BYTES {
            let message = "has no index that can be read, and its first fragment is damaged; left alone";
            return Err(Error::malformed(message));
        }
        remove_empty(video_path, index_path, video_size, report);
        return Ok(None);
    }
    report.files_repaired += 1;
    if index.is_none() {
        report.problem(video_path, "had no index; one was made from the video");
    }
    let mut state = FileState {
        end_us: repaired.seal.end_us,
        gaps: repaired.gaps.clone(),
        records: repaired.fragments.len() as u64,
        size_bytes: repaired.file_size_bytes,
        sealed: true,
        repaired: true,
        ..FileState::default()
    };
    match write_back(&video, index_path, &index_bytes, &repaired) {
        Ok(()) => {
            report.bytes_cut += video_size - repaired.file_size_bytes;
            report.records_rebuilt += (repaired.fragments.len() - repaired.kept) as u64;
        }
        Err(e) => {
            // On a full or read-only disk what the index names already can still be seen; the rest waits in the file.
            let header = repaired.header;
            let (gaps, seal) =
                media_core::recording::repair::seal(&header, &repaired.fragments[..repaired.kept], state.size_bytes);
            state = FileState {
                end_us: seal.end_us,
                gaps,
                records: repaired.kept as u64,
                sealed: false,
                ..state
            };
            report.problem(video_path, e.within("cannot be repaired now"));
            if repaired.kept == 0 {
                return Ok(None);
            }
        }
    }
    Ok(Some((repaired.seal.start_us, state)))
}

fn remove_empty(video_path: &Path, index_path: &Path, video_size: u64, report: &mut RepairReport) {
    report.files_repaired += 1;
    report.bytes_cut += video_size;
    // A second start would find the same again: nothing is lost when this fails.
    let _ = std::fs::remove_file(index_path);
    let _ = std::fs::remove_file(video_path);
}

/// Reads ftyp and moov from the start of a file.
pub(super) fn find_init(read: impl Fn(u64, usize) -> Result<Vec<u8>>, video_size: u64) -> Result<Init> {
    let first = read(0, INIT_BYTES[0])?;
    match read_init(&first) {
        Err(e) if e.kind() == ErrorKind::Malformed && video_size > INIT_BYTES[0] as u64 => {
            read_init(&read(0, INIT_BYTES[1])?)
        }
        read => read,
    }
}

/// Cuts the `.mp4`, makes it durable, then completes and seals its index: in place where its beginning is good, else
/// as a new file that takes its name.
fn write_back(video: &File, index_path: &Path, found: &[u8], repaired: &Repaired) -> Result<()> {
    let failed = |e: std::io::Error| storage_error(&e, index_path.display());
    video
        .set_len(repaired.file_size_bytes)
        .and_then(|()| video.sync_all())
        .map_err(failed)?;
    let mut records = Vec::with_capacity((repaired.fragments.len() - repaired.kept + 8) * RECORD_BYTES);
    for fragment in &repaired.fragments[repaired.kept..] {
        records.extend_from_slice(&Record::Fragment(*fragment).encode());
    }
    for gap in &repaired.gaps {
        records.extend_from_slice(&Record::Gap(*gap).encode());
    }
    records.extend_from_slice(&Record::Seal(repaired.seal).encode());
    if found.starts_with(&repaired.header.encode()) {
        let index = open_existing(index_path, true)?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{}: vanished", index_path.display())))?;
        let kept = record_position(repaired.kept as u64);
        let written = index.set_len(kept).and_then(|()| index.write_all_at(&records, kept));
        return written.and_then(|()| index.sync_all()).map_err(failed);
    }
    let mut bytes = repaired.header.encode().to_vec();
    bytes.append(&mut records);
    replace_index(index_path, &bytes).map_err(failed)
}
