//! What the archive holds, in memory: per camera and stream the files in order of their first instant. The files are
//! the truth; this is read from their indexes at start-up and kept current by the recorder.

use super::changes::Changes;
use media_core::index::Gap;
use media_core::recording::file_name::FileSlot;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// No file is longer than this, µs: it ends with its hour, or, where files are short, soon after.
const LONGEST_FILE_US: i64 = 2 * 3_600_000_000;

/// Hours of which the numbers of removed files are remembered: those that may still be recorded into, even by a clock
/// that is set back.
const REMEMBERED_HOURS: usize = 48;

/// What is known of a file and changes while it is recorded.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileState {
    /// Server time of the end of the last durable video sample, µs.
    pub end_us: i64,
    /// Gaps inside the file, and one that ends where the file begins if the recorder knew why.
    pub gaps: Vec<Gap>,
    /// Durable fragment records in the index.
    pub records: u64,
    /// Length of the `.mp4` that the records cover.
    pub size_bytes: u64,
    /// Closed: nothing changes any more.
    pub sealed: bool,
    /// Closed by start-up repair: why recording ended is not known.
    pub repaired: bool,
    /// A recorder writes it.
    pub recording: bool,
    /// It is no longer part of the archive.
    pub removed: bool,
    /// SHA-256 of the whole `.mp4`, from its checksum file or as it was written.
    pub sha256: Option<[u8; 32]>,
}

/// One `.mp4` and its index.
#[derive(Debug)]
pub(crate) struct FileEntry {
    pub slot: FileSlot,
    /// Server time of the first video sample, µs.
    pub start_us: i64,
    pub state: RwLock<FileState>,
}

impl FileEntry {
    pub fn end_us(&self) -> i64 {
        self.state.read().end_us
    }
}

/// Name of a stream of a camera; sorts by camera.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StreamName {
    pub camera_id: String,
    pub stream: String,
}

impl StreamName {
    pub fn new(camera_id: &str, stream: &str) -> Self {
        Self {
            camera_id: camera_id.into(),
            stream: stream.into(),
        }
    }
}

impl std::fmt::Display for StreamName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "camera {} {}", self.camera_id, self.stream)
    }
}

/// The files of one stream.
#[derive(Debug)]
pub(crate) struct StreamFiles {
    pub name: StreamName,
    /// `{storage}/cameras/{camera_id}`.
    pub directory: PathBuf,
    /// By `start_us`.
    files: RwLock<Vec<Arc<FileEntry>>>,
    /// The highest number of a file that was removed, by hour: a name means one file as long as we run.
    removed_numbers: Mutex<BTreeMap<i64, u32>>,
    changes: Arc<Changes>,
}

impl StreamFiles {
    /// Adds a file at its place.
    pub fn insert(self: &Arc<Self>, entry: Arc<FileEntry>) {
        {
            let mut files = self.files.write();
            let place = files.partition_point(|f| f.start_us <= entry.start_us);
            files.insert(place, entry.clone());
        }
        self.changed(&entry);
    }

    /// Tells those who follow the changes that a file's state is another now.
    pub fn changed(self: &Arc<Self>, entry: &Arc<FileEntry>) {
        self.changes.note(self, entry);
    }

    /// Puts an entry in the place of one that says the same file began at another time.
    pub fn replace(self: &Arc<Self>, before: &Arc<FileEntry>, entry: Arc<FileEntry>) {
        {
            let mut files = self.files.write();
            files.retain(|f| !Arc::ptr_eq(f, before));
            let place = files.partition_point(|f| f.start_us <= entry.start_us);
            files.insert(place, entry.clone());
        }
        self.changes.note_replaced(self, before, &entry);
    }

    /// Takes a file out; false when it is out already.
    pub fn remove(&self, entry: &Arc<FileEntry>) -> bool {
        {
            let mut files = self.files.write();
            let Some(place) = files.iter().position(|f| Arc::ptr_eq(f, entry)) else {
                return false;
            };
            files.remove(place);
        }
        {
            let mut numbers = self.removed_numbers.lock();
            let highest = numbers.entry(entry.slot.hour).or_default();
            *highest = entry.slot.number.max(*highest);
            while numbers.len() > REMEMBERED_HOURS {
                numbers.pop_first();
            }
        }
        self.changes.note_removed(self, entry);
        true
    }

    /// The files that may hold something of `start_us..end_us`, and one file more on either side, in order.
    pub fn around(&self, start_us: i64, end_us: i64) -> Vec<Arc<FileEntry>> {
        let files = self.files.read();
        let begun = files.partition_point(|f| f.start_us <= start_us);
        // Where a clock was set back, or copies were put beside each other, an earlier one may reach further than the
        // one before; not from further back than the longest file.
        let earliest = files.partition_point(|f| f.start_us <= start_us.saturating_sub(LONGEST_FILE_US));
        let from = (earliest..begun)
            .find(|place| files[*place].end_us() > start_us)
            .unwrap_or(begun.saturating_sub(1));
        let to = files.partition_point(|f| f.start_us < end_us);
        files[from.min(to)..files.len().min(to + 1)].to_vec()
    }

    /// Every file in order.
    pub fn all(&self) -> Vec<Arc<FileEntry>> {
        self.files.read().clone()
    }

    /// The file in a slot.
    pub fn in_slot(&self, slot: FileSlot) -> Option<Arc<FileEntry>> {
        self.files.read().iter().find(|f| f.slot == slot).cloned()
    }

    /// A slot of the hour of `utc_us` that no removed file had; it may be taken on the disk.
    pub fn next_slot(&self, utc_us: i64) -> FileSlot {
        let first = FileSlot::of(utc_us);
        let removed = self.removed_numbers.lock().get(&first.hour).copied();
        FileSlot {
            number: removed.map_or(first.number, |number| number.saturating_add(1)),
            ..first
        }
    }

    /// The file that begins last.
    pub fn newest(&self) -> Option<Arc<FileEntry>> {
        self.files.read().last().cloned()
    }

    /// The path of a file's `.mp4`.
    pub fn video_path(&self, slot: FileSlot) -> PathBuf {
        self.directory
            .join(slot.directory())
            .join(slot.video_name(&self.name.stream))
    }

    /// The path of a file's checksum.
    pub fn checksum_path(&self, slot: FileSlot) -> PathBuf {
        self.directory
            .join(slot.directory())
            .join(slot.checksum_name(&self.name.stream))
    }

    /// The path of a file's index.
    pub fn index_path(&self, slot: FileSlot) -> PathBuf {
        self.directory
            .join(slot.directory())
            .join(slot.index_name(&self.name.stream))
    }
}

/// Every stream that was ever recorded here.
pub(crate) struct Catalogue {
    cameras_directory: PathBuf,
    streams: RwLock<BTreeMap<StreamName, Arc<StreamFiles>>>,
    changes: Arc<Changes>,
}

impl Catalogue {
    /// An empty catalogue of `{storage}/cameras`, opened at `now_us`.
    pub fn new(storage: &Path, now_us: i64) -> Self {
        Self {
            cameras_directory: storage.join("cameras"),
            streams: RwLock::default(),
            changes: Arc::new(Changes::since(now_us)),
        }
    }

    /// What became of the files.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    pub fn cameras_directory(&self) -> &Path {
        &self.cameras_directory
    }

    /// The files of a stream, made known if they are not.
    pub fn stream(&self, name: &StreamName) -> Arc<StreamFiles> {
        if let Some(known) = self.streams.read().get(name) {
            return known.clone();
        }
        let mut streams = self.streams.write();
        let fresh = || {
            Arc::new(StreamFiles {
                name: name.clone(),
                directory: self.cameras_directory.join(&name.camera_id),
                files: RwLock::default(),
                removed_numbers: Mutex::default(),
                changes: self.changes.clone(),
            })
        };
        streams.entry(name.clone()).or_insert_with(fresh).clone()
    }

    /// The files of a stream, if any was recorded.
    pub fn find(&self, camera_id: &str, stream: &str) -> Option<Arc<StreamFiles>> {
        self.streams.read().get(&StreamName::new(camera_id, stream)).cloned()
    }

    /// The streams of a camera.
    pub fn streams_of(&self, camera_id: &str) -> Vec<Arc<StreamFiles>> {
        let from = StreamName::new(camera_id, "");
        let streams = self.streams.read();
        streams
            .range(from..)
            .take_while(|(n, _)| n.camera_id == camera_id)
            .map(|(_, s)| s.clone())
            .collect()
    }

    /// Every stream.
    pub fn all(&self) -> Vec<Arc<StreamFiles>> {
        self.streams.read().values().cloned().collect()
    }
}
