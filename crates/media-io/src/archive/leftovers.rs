//! What a move that a kill interrupted left on either volume, found at the start and removed.

use super::catalogue::{Catalogue, FileEntry, FilePaths, StreamFiles, StreamName};
use super::moving::{MOVING, are_same};
use super::start::RepairReport;
use super::volumes::Volume;
use media_core::Result;
use media_core::recording::file_name::{FileSlot, parse_checksum_name, parse_index_name, parse_video_name};
use std::sync::Arc;

/// What a move that was interrupted left of its copy.
pub(super) fn is_unfinished_copy(day: i64, name: &str) -> bool {
    name.strip_suffix(MOVING).is_some_and(|name| {
        parse_video_name(day, name).is_some()
            || parse_index_name(day, name).is_some()
            || parse_checksum_name(day, name).is_some()
    })
}

/// An index, a checksum or both without their video.
pub(super) struct Orphan {
    pub volume: Arc<Volume>,
    pub name: StreamName,
    pub slot: FileSlot,
}

/// What lacks its video is the rest of a move where another volume has the file; else it is reported.
pub(super) fn sort_out(catalogue: &Catalogue, orphans: Vec<Orphan>, report: &mut RepairReport) {
    for Orphan { volume, name, slot } in orphans {
        let stream = catalogue.find(&name.camera_id, &name.stream);
        let moved = stream
            .and_then(|s| s.in_slot(slot))
            .is_some_and(|f| f.volume().number != volume.number);
        let paths = FilePaths::of(&name, &volume, slot);
        let video_name = slot.video_name(&name.stream);
        for (path, what) in [(&paths.index, "an index"), (&paths.checksum, "a checksum")] {
            if moved {
                let _ = std::fs::remove_file(path);
            } else if path.exists() {
                report.problem(path, format!("is {what} without {video_name}"));
            }
        }
        if moved {
            tracing::info!(path = %paths.video.display(), "the rest of a file that was moved is removed");
            let _ = std::fs::remove_dir(&paths.directory);
        }
    }
}

/// A file that another volume has as well: the rest of a move when both are the same, else for somebody to decide.
pub(super) fn doubled(
    stream: &StreamFiles,
    other: &FileEntry,
    paths: &FilePaths,
    report: &mut RepairReport,
) -> Result<()> {
    let there = stream.paths(other);
    let volume = other.volume();
    if !are_same(&paths.video, &there.video)? {
        let message = format!(
            "is on volume {} too, with other content: this one is not used",
            volume.name()
        );
        report.problem(&paths.video, message);
        return Ok(());
    }
    tracing::info!(path = %paths.video.display(), on = volume.name(), "the second copy of a moved file is removed");
    for path in [&paths.video, &paths.index, &paths.checksum] {
        let _ = std::fs::remove_file(path);
    }
    let _ = std::fs::remove_dir(&paths.directory);
    Ok(())
}
