//! A video and its index: made together under a name that nobody has, and removed together.

use super::catalogue::StreamFiles;
use super::disk::sync_day;
use super::volumes::Volume;
use media_core::Result;
use media_core::recording::file_name::FileSlot;
use std::fs::File;
use std::io;
use std::path::Path;

/// Makes a day's directory, durably, if it is not there.
pub(super) fn make_directory(volume: &Volume, directory: &Path) -> Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(directory).map_err(|e| volume.failed(&e, directory.display()))?;
    sync_day(directory).map_err(|e| volume.failed(&e, directory.display()))
}

/// Takes the name and makes both files; `AlreadyExists` when any file has it, here or on another volume.
pub(super) fn create_pair(stream: &StreamFiles, volume: &Volume, slot: FileSlot) -> io::Result<(File, File)> {
    if !stream.take_name(slot) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let paths = stream.paths_on(volume, slot);
    let create = |path: &Path| File::options().read(true).write(true).create_new(true).open(path);
    let made = create(&paths.video).and_then(|mp4| match create(&paths.index) {
        Ok(index) => Ok((mp4, index)),
        Err(e) => {
            let _ = std::fs::remove_file(&paths.video);
            Err(e)
        }
    });
    if made.is_err() {
        stream.give_name_back(slot);
    }
    made
}

/// Removes what `create_pair` made, and gives the name back.
pub(super) fn remove_pair(stream: &StreamFiles, volume: &Volume, slot: FileSlot) {
    let paths = stream.paths_on(volume, slot);
    let _ = std::fs::remove_file(paths.index);
    let _ = std::fs::remove_file(paths.video);
    stream.give_name_back(slot);
}
