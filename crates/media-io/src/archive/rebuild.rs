//! Making the index of a closed file anew from its `.mp4`.

use super::Archive;
use super::catalogue::FileState;
use super::disk::{read_up_to, storage_error, sync_directory};
use super::listing::check_sealed;
use super::objects::Mp4;
use super::pace::Pace;
use super::regular;
use super::start::{MAX_INDEX_BYTES, find_init};
use media_core::index::newer_version;
use media_core::recording::repair;
use media_core::{Error, ErrorKind, Result};
use serde::Serialize;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// What making an index anew found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// Records of the index, gaps and seal included.
    pub records: u64,
    /// Those that were missing before, or different.
    pub records_rebuilt: u64,
    /// Bytes read of the `.mp4`: its headers, not its pictures.
    pub bytes_read: u64,
}

impl Archive {
    /// Makes the index of a closed file anew from its `.mp4` and puts it in place of the one there is. What only the
    /// recorder knew (server times, losses, causes of gaps) is kept where the present index has it whole. Others are
    /// recorded and played meanwhile; may block for as long as reading the headers takes.
    ///
    /// `NotFound`; `Conflict` for a file that is not closed; `Malformed` when the `.mp4` is not whole fragments to its
    /// end, in which case the index stays as it is.
    pub fn rebuild_index(&self, camera_id: &str, name: &str) -> Result<FileReport> {
        let (stream, entry) = self.recorded(camera_id, name)?;
        check_sealed(&stream, &entry)?;
        let index_path = stream.paths(&entry).index;
        let within = |e: Error| e.within(format!("camera {camera_id} {name}"));
        let video = Mp4::open(&stream, &entry, &self.objects).map_err(within)?;
        let size = video.size_bytes()?;
        let present = match regular::open(&index_path) {
            Ok(index) => read_up_to(&index, 0, index.metadata()?.len().min(MAX_INDEX_BYTES) as usize)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(storage_error(&e, index_path.display())),
        };
        if let Some(version) = newer_version(&present) {
            let message = format!("its index has format version {version}, which this program does not know");
            return Err(within(Error::new(ErrorKind::Unsupported, message)));
        }
        let mut pace = Pace::new(None, &self.closing);
        let mut bytes_read = 0;
        let mut read_at = |offset: u64, length: usize| {
            let bytes = video.read_up_to(offset, length)?;
            bytes_read += bytes.len() as u64;
            pace.wait(bytes.len())?;
            Ok(bytes)
        };
        let init = find_init(|offset, length| video.read_up_to(offset, length), size).map_err(within)?;
        let rebuilt = repair::rebuild(&init, size, &present, &mut read_at).map_err(within)?;
        let _one_at_a_time = entry.changing.lock();
        self.check_current(camera_id, name, &entry)?;
        if rebuilt.index != present {
            // It may have been moved meanwhile.
            let index_path = stream.paths(&entry).index;
            replace_index(&index_path, &rebuilt.index).map_err(|e| storage_error(&e, index_path.display()))?;
            let state = FileState {
                end_us: rebuilt.seal.end_us,
                gaps: rebuilt.gaps,
                records: rebuilt.fragments,
                size_bytes: size,
                ..entry.state.read().clone()
            };
            if rebuilt.seal.start_us == entry.start_us {
                *entry.state.write() = state;
                stream.changed(&entry);
            } else {
                let moved = entry.with(rebuilt.seal.start_us, state);
                entry.state.write().removed = true;
                stream.replace(&entry, Arc::new(moved));
            }
            self.reader.forget(&entry);
        }
        Ok(FileReport {
            records: rebuilt.records,
            records_rebuilt: rebuilt.records_rebuilt,
            bytes_read,
        })
    }
}

/// Writes a whole index beside the one there is, and gives it its name once it is durable.
pub(super) fn replace_index(index_path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh_path = index_path.with_extension("vms-idx.new");
    let fresh = File::create(&fresh_path)?;
    let written = fresh
        .write_all_at(bytes, 0)
        .and_then(|()| fresh.sync_all())
        .and_then(|()| std::fs::rename(&fresh_path, index_path))
        .and_then(|()| index_path.parent().map_or(Ok(()), sync_directory));
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh_path);
    }
    written
}
