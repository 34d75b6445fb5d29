//! Recordings whose `.mp4` is in an object storage: a small file `video_….mp4.object` beside the index says where, and
//! bytes come through a reader that somebody else gives.

use super::Archive;
use super::catalogue::{FileEntry, StreamFiles};
use super::checksum::hex;
use super::disk::{read_up_to, storage_error};
use super::listing::check_sealed;
use super::marker::{unserializable, write_durably};
use super::regular;
use media_core::{Error, ErrorKind, Result};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// What a file's name ends in that stands for a video in the object storage.
pub(super) const OBJECT: &str = ".object";

/// Objects are read in blocks of this size.
const BLOCK_BYTES: u64 = 4 << 20;

/// Blocks kept in memory.
const KEPT_BLOCKS: usize = 16;

/// Bytes at either end of an object that are compared before the video goes.
const COMPARED_BYTES: usize = 64 << 10;

/// Longest key; S3 knows no longer ones.
const MAX_KEY_BYTES: usize = 1024;

/// Largest `.object` file read.
const MAX_DOCUMENT_BYTES: usize = 16 << 10;

/// Gives `length` bytes at an offset of the object of a key, or says why not. Called from any thread; may block.
pub type ObjectReader = dyn Fn(&str, u64, usize) -> std::result::Result<Vec<u8>, String> + Send + Sync;

/// `video_….mp4.object`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredObject {
    pub key: String,
    pub size_bytes: u64,
    /// In hexadecimal, if it is known.
    pub sha256: Option<String>,
}

impl StoredObject {
    /// Reads a `.object` file.
    pub fn read(path: &Path) -> Result<Self> {
        let file = regular::open(path).map_err(|e| storage_error(&e, path.display()))?;
        let bytes = read_up_to(&file, 0, MAX_DOCUMENT_BYTES)?;
        let read: Self =
            serde_json::from_slice(&bytes).map_err(|e| Error::malformed(format!("says no object's place: {e}")))?;
        if read.key.is_empty() || read.key.len() > MAX_KEY_BYTES || i64::try_from(read.size_bytes).is_err() {
            return Err(Error::malformed("says no object's place"));
        }
        Ok(read)
    }
}

type Block = (Arc<str>, u64, Arc<Vec<u8>>);

/// The object storage as the archive reads it.
#[derive(Default)]
pub(crate) struct Objects {
    reader: RwLock<Option<Arc<ObjectReader>>>,
    /// Last used first.
    kept: Mutex<VecDeque<Block>>,
}

impl Objects {
    fn has_reader(&self) -> bool {
        self.reader.read().is_some()
    }

    fn read(&self, key: &str, offset: u64, length: usize) -> std::result::Result<Vec<u8>, String> {
        let reader = self.reader.read().clone();
        let reader = reader.ok_or_else(|| "no object storage is set up".to_owned())?;
        let bytes = reader(key, offset, length)?;
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(format!("{} bytes came of {length} at byte {offset}", bytes.len()))
        }
    }

    fn block(&self, key: &Arc<str>, number: u64, size_bytes: u64) -> std::result::Result<Arc<Vec<u8>>, String> {
        {
            let mut kept = self.kept.lock();
            if let Some(place) = kept.iter().position(|(k, n, _)| k == key && *n == number)
                && let Some(block) = kept.remove(place)
            {
                let bytes = block.2.clone();
                kept.push_front(block);
                return Ok(bytes);
            }
        }
        let offset = number * BLOCK_BYTES;
        let length = size_bytes.saturating_sub(offset).min(BLOCK_BYTES) as usize;
        let bytes = Arc::new(self.read(key, offset, length)?);
        let mut kept = self.kept.lock();
        kept.push_front((key.clone(), number, bytes.clone()));
        kept.truncate(KEPT_BLOCKS);
        Ok(bytes)
    }
}

/// The bytes of a recording's `.mp4`, wherever they are.
pub(crate) enum Mp4 {
    File(File),
    Object {
        objects: Arc<Objects>,
        key: Arc<str>,
        size_bytes: u64,
        /// The file's name, for messages.
        path: String,
    },
}

impl Mp4 {
    /// Opens the video of a file where it lies now.
    pub fn open(stream: &StreamFiles, entry: &FileEntry, objects: &Arc<Objects>) -> Result<Self> {
        let path = stream.paths(entry).video;
        if let Some(object) = entry.object() {
            return Ok(Self::Object {
                objects: objects.clone(),
                key: object.key.as_str().into(),
                size_bytes: object.size_bytes,
                path: path.display().to_string(),
            });
        }
        match regular::open(&path) {
            Ok(file) => Ok(Self::File(file)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::from(e)),
            Err(e) => Err(storage_error(&e, path.display())),
        }
    }

    pub fn size_bytes(&self) -> Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len()),
            Self::Object { size_bytes, .. } => Ok(*size_bytes),
        }
    }

    /// Up to `length` bytes from `offset`; fewer only at the end. `Unavailable` when the object storage gives none.
    pub fn read_up_to(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let (objects, key, size_bytes, path) = match self {
            Self::File(file) => return Ok(read_up_to(file, offset, length)?),
            Self::Object {
                objects,
                key,
                size_bytes,
                path,
            } => (objects, key, *size_bytes, path),
        };
        let end = offset.saturating_add(length as u64).min(size_bytes);
        let mut bytes = Vec::with_capacity(end.saturating_sub(offset) as usize);
        let mut at = offset;
        while at < end {
            let number = at / BLOCK_BYTES;
            let block = objects.block(key, number, size_bytes).map_err(|reason| {
                Error::new(
                    ErrorKind::Unavailable,
                    format!("{path}: the object storage does not give it: {reason:.200}"),
                )
            })?;
            let from = (at - number * BLOCK_BYTES) as usize;
            let to = ((end - number * BLOCK_BYTES) as usize).min(block.len());
            bytes.extend_from_slice(block.get(from..to).unwrap_or(&[]));
            at = (number + 1) * BLOCK_BYTES;
        }
        Ok(bytes)
    }

    /// Exactly `length` bytes from `offset`; `Malformed` when there are fewer.
    pub fn read_exactly(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let bytes = self.read_up_to(offset, length)?;
        if bytes.len() < length {
            return Err(Error::malformed(format!(
                "the file ends at byte {}, {length} bytes from {offset} are needed",
                offset + bytes.len() as u64
            )));
        }
        Ok(bytes)
    }
}

impl Archive {
    /// How bytes of objects are got.
    pub fn read_objects_with(&self, reader: Arc<ObjectReader>) {
        *self.objects.reader.write() = Some(reader);
        self.objects.kept.lock().clear();
    }

    /// The `.mp4` of a closed file is in the object storage under `object_key`: it is read from there from now on, and
    /// removed from its volume; the bytes freed. The object's first and last bytes are compared before.
    ///
    /// `NotFound`; `Conflict` while it is being recorded or moved, when it has no seal (the next start would not know the
    /// index for whole) or when nothing reads objects; `Unavailable` when the object cannot be read; `Malformed` when it
    /// differs; `Invalid` for an impossible key.
    pub fn use_object(&self, camera_id: &str, name: &str, object_key: &str) -> Result<u64> {
        if object_key.is_empty() || object_key.len() > MAX_KEY_BYTES {
            let message = format!("an object's key has 1 to {MAX_KEY_BYTES} bytes");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let (stream, entry) = self.recorded(camera_id, name)?;
        let told = |e: Error| e.within(format!("camera {camera_id} {name}"));
        check_sealed(&stream, &entry)?;
        if !self.objects.has_reader() {
            return Err(told(Error::new(ErrorKind::Conflict, "no object storage is set up")));
        }
        let _turn = self.moves.begin(&stream, entry.slot).map_err(told)?;
        match entry.object() {
            Some(object) if object.key == object_key => return Ok(0),
            Some(_) => return Err(told(Error::new(ErrorKind::Conflict, "it is another object already"))),
            None => {}
        }
        self.hand_over(&stream, &entry, object_key).map_err(told)
    }

    fn hand_over(&self, stream: &Arc<StreamFiles>, entry: &Arc<FileEntry>, object_key: &str) -> Result<u64> {
        let paths = stream.paths(entry);
        let video = Mp4::open(stream, entry, &self.objects)?;
        let size_bytes = video.size_bytes()?;
        for offset in [0, size_bytes.saturating_sub(COMPARED_BYTES as u64)] {
            let ours = video.read_up_to(offset, COMPARED_BYTES)?;
            let theirs = self.objects.read(object_key, offset, ours.len());
            let theirs = theirs.map_err(|reason| {
                let message = format!("the object storage does not give it: {reason:.200}");
                Error::new(ErrorKind::Unavailable, message)
            })?;
            if ours != theirs {
                return Err(Error::malformed("the object is not the same"));
            }
        }
        let _nothing_else_changes_it = entry.changing.lock();
        let (removed, sum) = {
            let state = entry.state.read();
            (state.removed, state.sha256)
        };
        if removed {
            return Err(Error::new(ErrorKind::NotFound, "it was removed meanwhile"));
        }
        let object = StoredObject {
            key: object_key.to_owned(),
            size_bytes,
            sha256: sum.map(|sum| hex(&sum)),
        };
        let text = serde_json::to_vec(&object).map_err(unserializable)?;
        let object_name = paths
            .object
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        write_durably(&paths.directory, &object_name, &text)?;
        entry.store_as(object);
        self.reader.forget(entry);
        stream.changed(entry);
        // The object counts: what stays here the next start removes.
        if let Err(e) = std::fs::remove_file(&paths.video) {
            tracing::warn!(path = %paths.video.display(), error = %e, "a video that is an object now stays");
        }
        Ok(size_bytes)
    }
}
