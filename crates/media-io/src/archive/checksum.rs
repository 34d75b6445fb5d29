//! The SHA-256 of a recording, and the file beside it that holds it in the form of `sha256sum`.

use super::Archive;
use super::catalogue::{FileEntry, StreamFiles};
use super::disk::{read_up_to, sync_directory};
use super::objects::Mp4;
use super::pace::{Pace, STEP_BYTES};
use super::regular;
use aws_lc_rs::digest::{Context, SHA256};
use media_core::{Error, Result};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// A SHA-256.
pub(crate) type Sha256 = [u8; 32];

/// In hexadecimal.
pub(crate) fn hex(sum: &Sha256) -> String {
    sum.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The sum of all that went into a context.
pub(crate) fn finish(context: Context) -> Sha256 {
    let mut sum = [0; 32];
    sum.copy_from_slice(context.finish().as_ref());
    sum
}

/// What `sha256sum` prints of a file.
fn line(sum: &Sha256, video_name: &str) -> String {
    format!("{}  {video_name}\n", hex(sum))
}

/// The sum in a checksum file's content; None when it is not the line that belongs to the video.
pub(crate) fn read_line(content: &[u8], video_name: &str) -> Option<Sha256> {
    let digits = content.get(..64)?;
    let mut sum = [0; 32];
    for (byte, pair) in sum.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    (content == line(&sum, video_name).as_bytes()).then_some(sum)
}

/// Writes a checksum file, durably. What stood there before was torn.
pub(crate) fn write(path: &Path, video_name: &str, sum: &Sha256) -> io::Result<()> {
    let mut file = regular::open_with(File::options().write(true).create(true).truncate(true), path)?;
    file.write_all(line(sum, video_name).as_bytes())?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// The sum that a checksum file holds; None when there is none, or it is torn.
pub(crate) fn read(path: &Path, video_name: &str) -> Option<Sha256> {
    let file = regular::open(path).ok()?;
    let content = read_up_to(&file, 0, 256).ok()?;
    read_line(&content, video_name)
}

impl Archive {
    /// The SHA-256 of a `.mp4` as it is now (as far as it is durable), read no faster than `max_bytes_per_s`. A closed
    /// file that has no checksum file gets one. Blocks for as long as the reading takes.
    ///
    /// `NotFound`; `Unavailable` when the archive is closed meanwhile.
    pub fn hash_file(&self, camera_id: &str, name: &str, max_bytes_per_s: Option<u64>) -> Result<String> {
        let (stream, entry) = self.recorded(camera_id, name)?;
        let (sealed, durable_bytes, known) = {
            let state = entry.state.read();
            (state.sealed, state.size_bytes, state.sha256.is_some())
        };
        let video = Mp4::open(&stream, &entry, &self.objects)?;
        let failed = |e: Error| e.within(stream.paths(&entry).video.display());
        let length = match sealed {
            true => video.size_bytes().map_err(failed)?,
            false => durable_bytes,
        };
        let mut pace = Pace::new(max_bytes_per_s, &self.closing);
        let mut context = Context::new(&SHA256);
        let mut at = 0;
        while at < length {
            let step = usize::try_from(length - at).unwrap_or(STEP_BYTES).min(STEP_BYTES);
            let bytes = video.read_up_to(at, step).map_err(failed)?;
            if bytes.is_empty() {
                break;
            }
            context.update(&bytes);
            at += bytes.len() as u64;
            pace.wait(bytes.len())?;
        }
        let sum = finish(context);
        if sealed && !known {
            keep_checksum(&stream, &entry, sum);
        }
        Ok(hex(&sum))
    }
}

/// A checksum that cannot be written now is for the next call; the caller has it already.
fn keep_checksum(stream: &Arc<StreamFiles>, entry: &Arc<FileEntry>, sum: Sha256) {
    let _not_while_it_is_removed = entry.changing.lock();
    if entry.state.read().removed {
        return;
    }
    let path = stream.paths(entry).checksum;
    if let Err(e) = write(&path, &entry.slot.video_name(&stream.name.stream), &sum) {
        tracing::warn!(path = %path.display(), error = %e, "no checksum");
        return;
    }
    entry.state.write().sha256 = Some(sum);
    stream.changed(entry);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_line_that_belongs_to_the_video_counts() {
        let sum: Sha256 = std::array::from_fn(|i| i as u8 * 7);
        let good = line(&sum, "video_10.mp4");
        assert_eq!(read_line(good.as_bytes(), "video_10.mp4"), Some(sum));
        for cut in 0..good.len() {
            assert_eq!(read_line(&good.as_bytes()[..cut], "video_10.mp4"), None, "{cut}");
        }
        assert_eq!(read_line(good.as_bytes(), "video_11.mp4"), None);
        assert_eq!(read_line(&[b'+'; 80], "video_10.mp4"), None);
        assert_eq!(read_line(good.to_uppercase().as_bytes(), "video_10.mp4"), None);
    }
}
