//! One process at a time in an archive: an advisory lock on `.lock`, which the kernel drops with the process.

use media_core::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

/// Held as long as it lives.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `storage`. `Conflict` names the directory and the process that has it.
    pub fn take(storage: &Path) -> Result<Self> {
        let path = storage.join(".lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| super::disk::storage_error(&e, path.display()))?;
        // SAFETY: flock on a descriptor that `file` owns.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::EWOULDBLOCK) {
                return Err(super::disk::storage_error(&error, path.display()));
            }
            let mut holder = String::new();
            // What cannot be read only makes the message poorer.
            let _ = file.take(20).read_to_string(&mut holder);
            let holder = match holder.trim() {
                "" => "another process".to_owned(),
                pid => format!("process {pid}"),
            };
            let directory = storage.display();
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("the archive {directory} is in use by {holder}"),
            ));
        }
        // Only for the message above; on a full disk the lock itself is enough.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first() {
        let directory = tempfile::tempdir().unwrap();
        let first = Lock::take(directory.path()).unwrap();
        let refused = Lock::take(directory.path()).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        assert!(refused.message().contains(&directory.path().display().to_string()));
        assert!(refused.message().contains(&format!("process {}", std::process::id())));
        drop(first);
        Lock::take(directory.path()).unwrap();
    }
}
