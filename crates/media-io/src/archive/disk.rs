//! Positioned reads and writes with everything that the operating system may answer: short counts, interruptions,
//! full, read-only and failing disks.

use bytes::Bytes;
use media_core::{Error, ErrorKind, Result};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Most buffers of one `pwritev` (Linux: UIO_MAXIOV).
const MAX_BUFFERS: usize = 1024;

/// Writes `head` and then every buffer of `data` at `offset`, without copying them together.
pub(crate) fn write_all_at<'a>(
    file: &File,
    head: &'a [u8],
    data: impl Iterator<Item = &'a Bytes>,
    mut offset: u64,
) -> io::Result<()> {
    let mut buffers: Vec<&[u8]> = Vec::with_capacity(32);
    buffers.push(head);
    buffers.extend(data.map(|b| &b[..]));
    let mut vectors: Vec<libc::iovec> = Vec::with_capacity(buffers.len().min(MAX_BUFFERS));
    let mut rest = &mut buffers[..];
    while !rest.is_empty() {
        vectors.clear();
        vectors.extend(rest.iter().take(MAX_BUFFERS).map(|b| libc::iovec {
            iov_base: b.as_ptr().cast_mut().cast(),
            iov_len: b.len(),
        }));
        // SAFETY: each vector points into a slice that lives until the call returns; the kernel only reads them.
        let written = unsafe {
            libc::pwritev(
                file.as_raw_fd(),
                vectors.as_ptr(),
                vectors.len() as libc::c_int,
                offset as libc::off_t,
            )
        };
        if written < 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        let mut written = written as usize;
        if written == 0 && rest.iter().any(|b| !b.is_empty()) {
            return Err(io::ErrorKind::WriteZero.into());
        }
        offset += written as u64;
        let mut whole = 0;
        for buffer in rest.iter_mut() {
            if written < buffer.len() {
                *buffer = &buffer[written..];
                break;
            }
            written -= buffer.len();
            whole += 1;
        }
        rest = &mut rest[whole..];
    }
    Ok(())
}

/// Up to `length` bytes from `offset`; fewer only at the end of the file.
pub(crate) fn read_up_to(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Exactly `length` bytes from `offset`; `Malformed` when the file is shorter.
pub(crate) fn read_exactly(file: &File, offset: u64, length: usize) -> Result<Vec<u8>> {
    let bytes = read_up_to(file, offset, length)?;
    if bytes.len() < length {
        return Err(Error::malformed(format!(
            "the file ends at byte {}, {length} bytes from {offset} are needed",
            offset + bytes.len() as u64
        )));
    }
    Ok(bytes)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    SYNCED.lock().push(path.to_owned());
    File::open(path)?.sync_all()
}

/// Every directory that was synced, for tests.
#[cfg(test)]
pub(crate) static SYNCED: parking_lot::Mutex<Vec<std::path::PathBuf>> = parking_lot::Mutex::new(Vec::new());

/// Makes durable the names above a day's directory: its own and its camera's.
pub(crate) fn sync_day(directory: &Path) -> io::Result<()> {
    directory.ancestors().skip(1).take(2).try_for_each(sync_directory)
}

/// The error of an operation on a file of the archive, in the words of a recording's state.
pub(crate) fn storage_error(error: &io::Error, what: impl std::fmt::Display) -> Error {
    let (kind, reason) = match error.raw_os_error() {
        Some(libc::ENOSPC) => (ErrorKind::Exhausted, "disk full".into()),
        Some(libc::EDQUOT) => (ErrorKind::Exhausted, "disk quota reached".into()),
        Some(libc::EROFS) => (ErrorKind::Forbidden, "disk is read-only".into()),
        Some(libc::EACCES | libc::EPERM) => (ErrorKind::Forbidden, "no permission to write".into()),
        Some(libc::EIO) => (ErrorKind::Internal, "disk failure".into()),
        _ => (ErrorKind::Internal, error.to_string()),
    };
    Error::new(kind, format!("{reason} ({what})"))
}

/// Bytes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskSpace {
    /// Left for unprivileged writers.
    pub free_bytes: u64,
    /// In all.
    pub total_bytes: u64,
}

/// Space of the file system that holds `path`.
pub(crate) fn disk_space(path: &Path) -> Result<DiskSpace> {
    use std::os::unix::ffi::OsStrExt;
    let path_c = std::ffi::CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::new(ErrorKind::Invalid, format!("{}: a zero byte in a path", path.display())))?;
    let mut found = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path_c` ends in a zero byte and `found` has room for the answer.
    let answer = unsafe { libc::statvfs(path_c.as_ptr(), found.as_mut_ptr()) };
    if answer != 0 {
        return Err(Error::from(io::Error::last_os_error()).within(path.display()));
    }
    // SAFETY: statvfs succeeded, so it filled the structure.
    let found = unsafe { found.assume_init() };
    let block_bytes = found.f_frsize;
    Ok(DiskSpace {
        free_bytes: found.f_bavail * block_bytes,
        total_bytes: found.f_blocks * block_bytes,
    })
}

/// Number of the file system that holds `path`: two volumes of one share its space.
pub(crate) fn device_of(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata(path)?.dev())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn more_buffers_than_one_call_takes_arrive_in_order() {
        let file = tempfile::tempfile().unwrap();
        let parts: Vec<Bytes> = (0..3_000u32)
            .map(|i| Bytes::from(i.to_be_bytes()[..(i % 5) as usize].to_vec()))
            .collect();
        write_all_at(&file, b"head", parts.iter(), 10).unwrap();
        let mut expected = b"head".to_vec();
        parts.iter().for_each(|p| expected.extend_from_slice(p));
        assert_eq!(read_exactly(&file, 10, expected.len()).unwrap(), expected);
        assert!(read_exactly(&file, 11, expected.len()).is_err());
    }

    #[test]
    fn the_disk_has_some_size() {
        let space = disk_space(Path::new("/")).unwrap();
        assert!(space.total_bytes >= space.free_bytes && space.total_bytes > 0);
    }
}
