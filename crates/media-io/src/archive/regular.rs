//! What lies in the archive's directories, opened without being led elsewhere: symbolic links are never followed, and
//! nothing is opened that could block (a FIFO) or is no file at all.

use super::disk::storage_error;
use media_core::Result;
use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// One name in a directory.
pub(crate) struct Entry {
    pub path: PathBuf,
    /// Names that are no UTF-8 come out changed and are therefore nobody's.
    pub name: String,
    kind: FileType,
}

impl Entry {
    pub fn is_directory(&self) -> bool {
        self.kind.is_dir()
    }

    pub fn is_file(&self) -> bool {
        self.kind.is_file()
    }

    /// Why it is not looked at, although its name is one of ours.
    pub fn what_it_is(&self) -> &'static str {
        match self.kind {
            kind if kind.is_symlink() => "is a symbolic link and was not followed",
            kind if kind.is_dir() => "is a directory and was left alone",
            kind if kind.is_file() => "is a file and was left alone",
            _ => "is no file and was left alone",
        }
    }
}

/// Everything in a directory, by name.
pub(crate) fn entries(directory: &Path) -> Result<Vec<Entry>> {
    let failed = |e: io::Error| storage_error(&e, directory.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        found.push(Entry {
            path: entry.path(),
            name: entry.file_name().to_string_lossy().into_owned(),
            kind: entry.file_type().map_err(failed)?,
        });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Opens a regular file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    open_with(File::options().read(true), path)
}

/// Opens a regular file to read and write.
pub(crate) fn open_to_write(path: &Path) -> io::Result<File> {
    open_with(File::options().read(true).write(true), path)
}

/// Opens a regular file in the way given. A symbolic link, or what is no file, is `InvalidInput`.
pub(crate) fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Non-blocking, since a FIFO would wait for somebody at its other end; it means nothing to a regular file.
    let opened = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let refused = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what);
    let file = opened.map_err(|e| match e.raw_os_error() {
        Some(libc::ELOOP) => refused("is a symbolic link and was not followed"),
        Some(libc::ENXIO) => refused("is no file"),
        _ => e,
    })?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(refused("is no file")),
    }
}
