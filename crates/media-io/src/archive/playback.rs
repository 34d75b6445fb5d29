//! `playback.mp4`: a stream between two instants as a progressive MP4 that exists only while it is read.

use super::Archive;
use super::catalogue::StreamFiles;
use super::plan::Plan;
use super::reader::{ReadFile, read_header};
use super::timeline::check_interval;
use crate::source::ByteSource;
use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};
use media_core::movie::{FTYP, Movie, Slice, TrackPlan};
use media_core::recording::file_name::{check_camera_id, check_stream_name};
use media_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::fmt::Write as _;
use std::sync::Arc;

/// Part of a stream, ready to be served.
pub struct Playback {
    /// The MP4.
    pub source: Arc<dyn ByteSource>,
    /// The first instant it presents, µs: the one asked for, or the next that is recorded.
    pub start_us: i64,
    /// Where it ends, µs: at the latest where the recording does.
    pub end_us: i64,
    /// Where the recording goes on although the MP4 ends before the instant asked for: the codec or its parameters
    /// changed, or the interval is longer than a day.
    pub next_start_us: Option<i64>,
}

impl Archive {
    /// A stream's recording in `[start_us, end_us)` as an MP4: from the key frame before the start on, with an edit
    /// list that presents exactly the interval; gaps stay gaps; sound included. An end in the future means the newest
    /// durable sample, a start in a gap the next recorded instant.
    ///
    /// `Invalid` when the start is not before the end, `NotFound` when nothing is recorded there.
    pub fn playback(&self, camera_id: &str, stream: &str, start_us: i64, end_us: i64) -> Result<Playback> {
        let files = self.stream_files(camera_id, stream)?;
        check_interval(start_us, end_us)?;
        self.movie(&files, start_us, end_us)
            .map_err(|e| e.within(format!("camera {camera_id} {stream}")))
    }

    /// The files of a stream. `NotFound` when it was never recorded.
    pub(super) fn stream_files(&self, camera_id: &str, stream: &str) -> Result<Arc<StreamFiles>> {
        check_camera_id(camera_id)?;
        check_stream_name(stream)?;
        let found = self.catalogue.find(camera_id, stream);
        found.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("camera {camera_id} {stream}: nothing is recorded"),
            )
        })
    }

    pub(super) fn movie(&self, files: &StreamFiles, start_us: i64, end_us: i64) -> Result<Playback> {
        let plan = Plan::new(&self.reader, files, start_us, end_us)?;
        let etag = etag(files, &plan);
        let movie = Movie::new(plan.tracks, plan.media_start_90k, plan.media_duration_90k)?;
        let source = MovieSource {
            movie,
            files: plan.files,
            head: Mutex::new(None),
            etag,
        };
        Ok(Playback {
            source: Arc::new(source),
            start_us: plan.start_us,
            end_us: plan.end_us,
            next_start_us: plan.next_start_us,
        })
    }
}

/// Names the bytes of a plan: which samples of which files, where on the timeline.
fn etag(stream: &StreamFiles, plan: &Plan) -> String {
    let mut digest = Context::new(&SHA256);
    digest.update(stream.name.to_string().as_bytes());
    for file in &plan.files {
        digest.update(&file.entry.slot.hour.to_le_bytes());
        digest.update(&file.entry.slot.number.to_le_bytes());
        digest.update(&file.entry.start_us.to_le_bytes());
    }
    for TrackPlan { fragments, .. } in &plan.tracks {
        for fragment in fragments {
            digest.update(&fragment.file.to_le_bytes());
            digest.update(&fragment.data_offset.to_le_bytes());
            digest.update(&fragment.data_bytes.to_le_bytes());
            digest.update(&fragment.media_time.to_le_bytes());
        }
    }
    digest.update(&plan.media_start_90k.to_le_bytes());
    digest.update(&plan.media_duration_90k.to_le_bytes());
    short_hex(digest.finish().as_ref())
}

/// The first 16 bytes in hexadecimal: enough to tell contents apart.
pub(super) fn short_hex(bytes: &[u8]) -> String {
    bytes.iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

struct MovieSource {
    movie: Movie,
    files: Vec<Arc<ReadFile>>,
    /// Made when it is first read: it takes a look at every fragment.
    head: Mutex<Option<Bytes>>,
    etag: String,
}

impl MovieSource {
    fn file(&self, number: u32) -> Result<&Arc<ReadFile>> {
        let missing = || {
            Error::new(
                ErrorKind::Internal,
                format!("file {number} of a movie is not in its plan"),
            )
        };
        self.files.get(number as usize).ok_or_else(missing)
    }

    fn head(&self) -> Result<Bytes> {
        let mut head = self.head.lock();
        if let Some(made) = &*head {
            return Ok(made.clone());
        }
        let tables = self
            .movie
            .tables(|f| read_header(&self.file(f.file)?.mp4, f.offset, f.moof_bytes))?;
        let made = Bytes::from(tables);
        *head = Some(made.clone());
        Ok(made)
    }
}

impl ByteSource for MovieSource {
    fn size_bytes(&self) -> u64 {
        self.movie.size_bytes()
    }

    fn etag(&self) -> &str {
        &self.etag
    }

    fn content_type(&self) -> &str {
        "video/mp4"
    }

    fn read_at(&self, offset: u64, max_bytes: usize) -> Result<Bytes> {
        let mut at = offset;
        let mut gathered = BytesMut::new();
        while gathered.len() < max_bytes {
            let room = max_bytes - gathered.len();
            match self.movie.slice_at(at) {
                None => break,
                Some(Slice::Head { offset, length }) => {
                    // A player waits for the first byte; the tables of many hours take longer than that.
                    if offset < FTYP.len() as u64 && self.head.try_lock().is_none_or(|made| made.is_none()) {
                        let from = offset as usize;
                        return Ok(Bytes::from_static(
                            &FTYP[from..FTYP.len().min(from.saturating_add(room))],
                        ));
                    }
                    let length = room.min(usize::try_from(length).unwrap_or(room));
                    let head = self.head()?;
                    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(head.len());
                    let part = head.slice(from..(from + length).min(head.len()));
                    if gathered.is_empty() {
                        return Ok(part);
                    }
                    gathered.extend_from_slice(&part);
                    at += part.len() as u64;
                }
                Some(Slice::File { file, offset, length }) => {
                    let length = room.min(usize::try_from(length).unwrap_or(room));
                    let part = self.file(file)?.mp4.read_up_to(offset, length)?;
                    if part.len() < length {
                        return Err(Error::new(
                            ErrorKind::Internal,
                            "a recorded file is shorter than its index says",
                        ));
                    }
                    at += part.len() as u64;
                    if gathered.is_empty() && part.len() == max_bytes {
                        return Ok(Bytes::from(part));
                    }
                    gathered.extend_from_slice(&part);
                }
            }
        }
        Ok(gathered.freeze())
    }
}
