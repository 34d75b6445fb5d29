//! Removing files for good.

use super::Archive;
use super::catalogue::{FileEntry, StreamFiles};
use super::disk::{storage_error, sync_directory};
use super::listing::check_closed;
use media_core::Result;
use std::io;
use std::path::Path;
use std::sync::Arc;

impl Archive {
    /// Removes a file with its index and its checksum, and the day's directory when nothing else is in it; the bytes
    /// freed. Whoever reads the file goes on reading.
    ///
    /// `NotFound`; `Conflict` while it is being recorded, or was replaced meanwhile; `Forbidden` and the like when the disk refuses, in which case
    /// the file is still there.
    pub fn remove_file(&self, camera_id: &str, name: &str) -> Result<u64> {
        let (stream, entry) = self.recorded(camera_id, name)?;
        let _one_at_a_time = entry.changing.lock();
        self.check_current(camera_id, name, &entry)?;
        check_closed(&stream, &entry)?;
        let freed = remove_from_disk(&stream, &entry)?;
        entry.state.write().removed = true;
        stream.remove(&entry);
        self.reader.forget(&entry);
        let directory = stream.paths(&entry).directory;
        // Else a power cut could bring some of the names back and others not. Where the disk refuses, that is the worst
        // of it.
        if let Err(e) = sync_directory(&directory) {
            tracing::warn!(path = %directory.display(), error = %e, "a removal is not known to be on the disk");
        }
        // Fails as long as anything is in it, which is how it should be.
        let _ = std::fs::remove_dir(directory);
        Ok(freed)
    }
}

/// The index goes first: what a kill leaves is then a video without index, which the next start makes whole again, or
/// a checksum alone.
fn remove_from_disk(stream: &StreamFiles, entry: &Arc<FileEntry>) -> Result<u64> {
    let mut freed = 0;
    let paths = stream.paths(entry);
    for path in [paths.index, paths.video, paths.object, paths.checksum] {
        freed += remove(&path)?;
    }
    Ok(freed)
}

/// The bytes freed: 0 when there was no such file.
fn remove(path: &Path) -> Result<u64> {
    let failed = |e: io::Error| storage_error(&e, path.display());
    let size = match std::fs::symlink_metadata(path) {
        Ok(found) => found.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(failed(e)),
    };
    match std::fs::remove_file(path) {
        Ok(()) => Ok(size),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(failed(e)),
    }
}
