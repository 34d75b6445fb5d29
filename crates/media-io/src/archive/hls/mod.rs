//! HLS of a recording (RFC 8216): playlists over segments that are made from recorded fragments when they are read.
//!
//! A segment begins with the key sample of one fragment and ends before that of another, 4 s later or as soon after
//! that as the camera's key frames allow, across the end of a file if need be. All segments of a playlist lie on the
//! timeline of its first file; a gap or other parameters make a discontinuity.
//!
//! A segment's name says what it is made of (`name::SegmentName`), so it stays valid without any state. Anyone can make
//! up a name: `Archive::hls_segment` holds each part of it against the time that may be seen.

mod name;
mod playlist;
mod segment;

use super::Archive;
use super::catalogue::StreamFiles;
use super::timeline::check_interval;
use crate::source::ByteSource;
use bytes::Bytes;
use media_core::recording::file_name::FileSlot;
use media_core::{Error, ErrorKind, Result};
use name::SegmentName;
use segment::{Made, Piece, Pieces};
use std::sync::Arc;

/// Longest initialization segment served; those written here have about 1 KiB.
const MAX_INIT_BYTES: usize = 2 << 20;

impl Archive {
    /// A media playlist of a stream's recording in `[start_us, end_us)`, at most a day of it. Begins with the key frame
    /// before the start (EXT-X-START tells players where to go in). URIs are relative: `init-….mp4`, `segment-….m4s`.
    ///
    /// `Invalid` when the start is not before the end, `NotFound` when nothing is recorded there.
    pub fn hls_playlist(&self, camera_id: &str, stream: &str, start_us: i64, end_us: i64) -> Result<String> {
        let files = self.stream_files(camera_id, stream)?;
        check_interval(start_us, end_us)?;
        playlist::playlist(&self.reader, &files, start_us, end_us)
    }

    /// The initialization segment `init-{name}.mp4` of a playlist. `NotFound` for a name of none.
    pub fn hls_init(&self, camera_id: &str, stream: &str, name: &str) -> Result<Arc<dyn ByteSource>> {
        let files = self.stream_files(camera_id, stream)?;
        let slot = name.split_once('-').and_then(|(hour, number)| {
            Some(FileSlot {
                hour: hour.parse().ok()?,
                number: number.parse().ok()?,
            })
        });
        let entry = slot
            .and_then(|slot| files.in_slot(slot))
            .ok_or_else(|| not_found(&files, name))?;
        let file = self.reader.file(&files, &entry)?;
        let size = usize::try_from(file.header.init_size_bytes)
            .unwrap_or(usize::MAX)
            .min(MAX_INIT_BYTES);
        let head = Bytes::from(file.mp4.read_exactly(0, size)?);
        Ok(Arc::new(Pieces::new(
            &files.name,
            name,
            vec![(file, Piece::Made(head))],
        )))
    }

    /// The media segment `segment-{name}.m4s` of a playlist. `granted_us` is the time that may be seen, `i64::MIN` and
    /// `i64::MAX` where it has no bound.
    ///
    /// `NotFound` for a name of none, `Forbidden` when a part of it holds what no playlist within `granted_us` lists: a
    /// picture before the key frame with which that of the whole begins, or a fragment that begins after the end.
    pub fn hls_segment(
        &self,
        camera_id: &str,
        stream: &str,
        name: &str,
        granted_us: (i64, i64),
    ) -> Result<Arc<dyn ByteSource>> {
        let files = self.stream_files(camera_id, stream)?;
        let parsed = SegmentName::parse(name).ok_or_else(|| not_found(&files, name))?;
        let mut pieces = Vec::new();
        for part in &parsed.parts {
            let entry = files.in_slot(part.slot).ok_or_else(|| not_found(&files, name))?;
            let file = self.reader.file(&files, &entry)?;
            let made = segment::make(&file, part)?.ok_or_else(|| not_found(&files, name))?;
            if !self.is_listed(&files, &made, granted_us)? {
                return Err(Error::new(
                    ErrorKind::Forbidden,
                    format!("{}: the segment {name:?} reaches beyond the granted time", files.name),
                ));
            }
            pieces.extend(made.pieces.into_iter().map(|piece| (file.clone(), piece)));
        }
        Ok(Arc::new(Pieces::new(&files.name, name, pieces)))
    }

    /// Whether a playlist within `granted_us` can list a part.
    fn is_listed(&self, files: &StreamFiles, made: &Made, granted_us: (i64, i64)) -> Result<bool> {
        let (start_us, end_us) = granted_us;
        if made.last_fragment_us >= end_us {
            return Ok(false);
        }
        Ok(made.start_us >= start_us || made.start_us >= playlist::begin_us(&self.reader, files, start_us, end_us)?)
    }
}

fn not_found(files: &StreamFiles, name: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("{}: there is no segment {name:?}", files.name),
    )
}
