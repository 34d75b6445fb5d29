//! The files for those who decide about them: what there is, by revision.

use super::Archive;
use super::catalogue::{FileEntry, StreamFiles};
use super::changes::RemovedFile;
use super::checksum::hex;
use media_core::recording::file_name::{check_camera_id, parse_recording_name};
use media_core::{Error, ErrorKind, Result};
use serde::Serialize;
use std::sync::Arc;

/// One `.mp4` of one stream with its index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordedFile {
    /// The camera.
    pub camera_id: String,
    /// `main`, `sub` …
    pub stream: String,
    /// Below the camera's directory: `2026-11-23/video_10_sub_2.mp4`.
    pub name: String,
    /// Where it lies.
    pub volume: String,
    /// First sample, µs since the Unix epoch.
    pub start_us: i64,
    /// End of the last durable sample, µs.
    pub end_us: i64,
    /// Length of the `.mp4` that its index covers.
    pub size_bytes: u64,
    /// Nothing changes any more.
    pub sealed: bool,
    /// SHA-256 of the whole `.mp4` in hexadecimal, where it is known.
    pub sha256: Option<String>,
    /// Where the `.mp4` is in the object storage, if it is there.
    pub object_key: Option<String>,
}

/// What became of the files after some revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChanges {
    /// To ask from the next time.
    pub revision: u64,
    /// `files` is everything there is.
    pub whole: bool,
    /// Files that began, were sealed or moved.
    pub files: Vec<RecordedFile>,
    /// Files that are gone; empty when `whole`.
    pub removed: Vec<RemovedFile>,
}

impl RecordedFile {
    fn of(stream: &StreamFiles, entry: &FileEntry) -> Self {
        let state = entry.state.read();
        Self {
            camera_id: stream.name.camera_id.clone(),
            stream: stream.name.stream.clone(),
            name: entry.slot.recording_name(&stream.name.stream),
            volume: entry.volume().name().to_owned(),
            start_us: entry.start_us,
            end_us: state.end_us,
            size_bytes: state.size_bytes,
            sealed: state.sealed,
            sha256: state.sha256.filter(|_| state.sealed).map(|sum| hex(&sum)),
            object_key: entry.object().map(|object| object.key.clone()),
        }
    }
}

impl Archive {
    /// What became of the files after `revision`; everything for 0. A file changes when it appears (with its first
    /// durable fragment), is sealed, hashed, moved or removed, not with every fragment.
    pub fn file_changes(&self, after_revision: u64) -> FileChanges {
        let since = self.catalogue.changes().after(after_revision);
        FileChanges {
            revision: since.revision,
            whole: since.whole,
            files: since
                .files
                .iter()
                .map(|(stream, entry)| RecordedFile::of(stream, entry))
                .collect(),
            removed: since.removed,
        }
    }

    /// The file that a camera's recording `{YYYY-MM-DD}/video_….mp4` means. `NotFound` when there is none.
    pub(super) fn recorded(&self, camera_id: &str, name: &str) -> Result<(Arc<StreamFiles>, Arc<FileEntry>)> {
        check_camera_id(camera_id)?;
        parse_recording_name(name)
            .and_then(|(slot, stream)| {
                let stream = self.catalogue.find(camera_id, stream)?;
                let entry = stream.in_slot(slot)?;
                Some((stream, entry))
            })
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    format!("camera {camera_id}: there is no file {name:.64}"),
                )
            })
    }

    /// Whether an entry still is the file of a name, for who holds its `changing`. `NotFound` when it was removed,
    /// `Conflict` when another took its place.
    pub(super) fn check_current(&self, camera_id: &str, name: &str, entry: &FileEntry) -> Result<()> {
        if !entry.state.read().removed {
            return Ok(());
        }
        self.recorded(camera_id, name)?;
        let message = format!("camera {camera_id}: {name} was replaced meanwhile");
        Err(Error::new(ErrorKind::Conflict, message))
    }
}

/// `Conflict` for a file that is being recorded.
pub(super) fn check_closed(stream: &StreamFiles, entry: &FileEntry) -> Result<()> {
    if !entry.state.read().recording {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Conflict,
        format!(
            "camera {}: {} is being recorded",
            stream.name.camera_id,
            entry.slot.recording_name(&stream.name.stream)
        ),
    ))
}

/// `Conflict` for a file that is being recorded, or has no seal: what an end of the process or a disk left open.
pub(super) fn check_sealed(stream: &StreamFiles, entry: &FileEntry) -> Result<()> {
    check_closed(stream, entry)?;
    if entry.state.read().sealed {
        return Ok(());
    }
    let (camera_id, name) = (&stream.name.camera_id, entry.slot.recording_name(&stream.name.stream));
    Err(Error::new(
        ErrorKind::Conflict,
        format!("camera {camera_id}: {name} is not closed; the next start repairs it"),
    ))
}
