//! What the archive holds, in memory: per camera and stream the files in order of their first instant. The files are
//! the truth; this is read from their indexes at start-up and kept current by the recorder.

use super::changes::Changes;
use super::disk::sync_day;
use super::objects::{OBJECT, StoredObject};
use super::volumes::Volume;
use media_core::index::Gap;
use media_core::recording::file_name::FileSlot;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
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

/// Where a file lies: another volume when it was moved.
#[derive(Debug, Clone)]
struct Place {
    volume: Arc<Volume>,
    object: Option<Arc<StoredObject>>,
}

/// One `.mp4` and its index.
#[derive(Debug)]
pub(crate) struct FileEntry {
    pub slot: FileSlot,
    /// Server time of the first video sample, µs.
    pub start_us: i64,
    pub state: RwLock<FileState>,
    /// Held while what lies of it on the disk, closed, is changed; each file for itself, as a disk may hang.
    pub changing: Mutex<()>,
    place: RwLock<Place>,
}

impl FileEntry {
    /// A file on a volume.
    pub fn new(volume: &Arc<Volume>, slot: FileSlot, start_us: i64, state: FileState) -> Self {
        Self {
            slot,
            start_us,
            state: RwLock::new(state),
            changing: Mutex::default(),
            place: RwLock::new(Place {
                volume: volume.clone(),
                object: None,
            }),
        }
    }

    /// Where it lies.
    pub fn volume(&self) -> Arc<Volume> {
        self.place.read().volume.clone()
    }

    /// It lies elsewhere now.
    pub fn move_to(&self, volume: &Arc<Volume>) {
        self.place.write().volume = volume.clone();
    }

    /// The same file in the same place, seen anew.
    pub fn with(&self, start_us: i64, state: FileState) -> Self {
        Self {
            slot: self.slot,
            start_us,
            state: RwLock::new(state),
            changing: Mutex::default(),
            place: RwLock::new(self.place.read().clone()),
        }
    }

    /// The object that its video is, if it is in the object storage.
    pub fn object(&self) -> Option<Arc<StoredObject>> {
        self.place.read().object.clone()
    }

    /// Its video is an object now.
    pub fn store_as(&self, object: StoredObject) {
        self.place.write().object = Some(Arc::new(object));
    }

    /// Where it lies, to see whether that changed.
    pub fn place(&self) -> (usize, bool) {
        let place = self.place.read();
        (place.volume.number, place.object.is_some())
    }

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
    /// By `start_us`.
    files: RwLock<Vec<Arc<FileEntry>>>,
    by_slot: RwLock<HashMap<FileSlot, Arc<FileEntry>>>,
    /// Names of files that are being made and not in `files` yet.
    begun: Mutex<HashSet<FileSlot>>,
    /// The highest number of a file that was removed, by hour: a name means one file as long as we run.
    removed_numbers: Mutex<BTreeMap<i64, u32>>,
    /// The day's directory whose name is known to be durable.
    lasting_day: Mutex<PathBuf>,
    changes: Arc<Changes>,
}

impl StreamFiles {
    /// Takes a name for a new file; false when a file has it, on whatever volume.
    pub fn take_name(&self, slot: FileSlot) -> bool {
        self.in_slot(slot).is_none() && self.begun.lock().insert(slot)
    }

    /// The file of a name that was taken is in the catalogue now, or was not made.
    pub fn give_name_back(&self, slot: FileSlot) {
        self.begun.lock().remove(&slot);
    }

    /// Adds a file at its place.
    pub fn insert(self: &Arc<Self>, entry: Arc<FileEntry>) {
        {
            let mut files = self.files.write();
            let place = files.partition_point(|f| f.start_us <= entry.start_us);
            files.insert(place, entry.clone());
            self.by_slot.write().insert(entry.slot, entry.clone());
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
            self.by_slot.write().insert(entry.slot, entry.clone());
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
            self.by_slot.write().remove(&entry.slot);
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
        self.by_slot.read().get(&slot).cloned()
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

    /// Makes durable the names that lead to a day's directory, once for each day: whoever made it.
    pub fn make_day_last(&self, directory: &Path) -> io::Result<()> {
        // Not held meanwhile: on another volume the stream may go on.
        let lasts = *self.lasting_day.lock() == directory;
        if !lasts {
            sync_day(directory)?;
            *self.lasting_day.lock() = directory.to_owned();
        }
        Ok(())
    }

    /// The directory of a camera's day on a volume.
    pub fn day_directory(&self, volume: &Volume, slot: FileSlot) -> PathBuf {
        FilePaths::of(&self.name, volume, slot).directory
    }

    /// Paths of a file on a volume.
    pub fn paths_on(&self, volume: &Volume, slot: FileSlot) -> FilePaths {
        FilePaths::of(&self.name, volume, slot)
    }

    /// Paths of a file where it lies now.
    pub fn paths(&self, entry: &FileEntry) -> FilePaths {
        self.paths_on(&entry.volume(), entry.slot)
    }
}

/// The files of a recording.
#[derive(Debug, Clone)]
pub(crate) struct FilePaths {
    /// Of the day.
    pub directory: PathBuf,
    pub video: PathBuf,
    pub index: PathBuf,
    pub checksum: PathBuf,
    /// In place of the video, when that is in the object storage.
    pub object: PathBuf,
}

impl FilePaths {
    /// Of a file of a stream on a volume.
    pub fn of(name: &StreamName, volume: &Volume, slot: FileSlot) -> Self {
        let camera = volume.cameras_directory().join(&name.camera_id);
        let directory = camera.join(slot.directory());
        Self {
            video: directory.join(slot.video_name(&name.stream)),
            index: directory.join(slot.index_name(&name.stream)),
            checksum: directory.join(slot.checksum_name(&name.stream)),
            object: directory.join(slot.video_name(&name.stream) + OBJECT),
            directory,
        }
    }
}

/// Every stream that was ever recorded here.
pub(crate) struct Catalogue {
    streams: RwLock<BTreeMap<StreamName, Arc<StreamFiles>>>,
    changes: Arc<Changes>,
}

impl Catalogue {
    /// An empty catalogue, opened at `now_us`.
    pub fn new(now_us: i64) -> Self {
        Self {
            streams: RwLock::default(),
            changes: Arc::new(Changes::since(now_us)),
        }
    }

    /// What became of the files.
    pub fn changes(&self) -> &Changes {
        &self.changes
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
                files: RwLock::default(),
                by_slot: RwLock::default(),
                begun: Mutex::default(),
                removed_numbers: Mutex::default(),
                lasting_day: Mutex::default(),
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

    /// Takes out every file of a volume that went, to be read again when it is back.
    pub fn remove_volume(&self, number: usize) {
        for stream in self.all() {
            for entry in stream.all().iter().filter(|f| f.volume().number == number) {
                entry.state.write().removed = true;
                stream.remove(entry);
            }
        }
    }

    /// Every stream.
    pub fn all(&self) -> Vec<Arc<StreamFiles>> {
        self.streams.read().values().cloned().collect()
    }
}
