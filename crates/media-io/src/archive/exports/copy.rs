//! Copying movies into an export while its digest and progress are kept.

use super::Export;
use crate::archive::disk::storage_error;
use crate::archive::playback::Playback;
use aws_lc_rs::digest::Context;
use media_core::{Error, ErrorKind, Result};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::Ordering;

/// Bytes copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// Copies movies into an output and keeps the job's progress.
pub(super) struct Copy<'a, W = Hashed> {
    pub job: &'a Export,
    pub out: W,
    /// Recorded time of all that is exported.
    pub total_us: i64,
    pub done_us: i64,
}

impl<W> Copy<'_, W> {
    /// Copies all of a movie.
    pub fn playback(
        &mut self,
        playback: &Playback,
        mut put: impl FnMut(&mut W, &[u8]) -> io::Result<()>,
    ) -> Result<()> {
        let size = playback.source.size_bytes();
        let length_us = (playback.end_us - playback.start_us).max(0);
        let mut at = 0;
        while at < size {
            if self.job.cancelled.load(Ordering::Relaxed) {
                return Err(Error::new(ErrorKind::Conflict, "the export was cancelled"));
            }
            let bytes = playback.source.read_at(at, COPY_BYTES)?;
            if bytes.is_empty() {
                return Err(Error::new(
                    ErrorKind::Internal,
                    format!("a movie of {size} bytes ended at {at}"),
                ));
            }
            put(&mut self.out, &bytes).map_err(|e| storage_error(&e, "writing the export"))?;
            at += bytes.len() as u64;
            self.job.bytes_written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            let done_us = self.done_us as f64 + length_us as f64 * at as f64 / size.max(1) as f64;
            // Gaps count in a movie and not in the total: never show that all is done before it is.
            let millionths = (done_us / self.total_us as f64 * 1e6).min(999_999.0);
            self.job.progress.store(millionths as u64, Ordering::Relaxed);
        }
        self.done_us = self.done_us.saturating_add(length_us);
        Ok(())
    }
}

/// A file and the digest of all that is written into it.
pub(super) struct Hashed {
    pub file: File,
    pub digest: Context,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// In hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
