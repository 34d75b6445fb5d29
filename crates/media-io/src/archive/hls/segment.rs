//! The bytes of a segment: fragments as they lie in the file, except those that are cut in two or moved in time.

use super::name::Part;
use crate::archive::catalogue::StreamName;
use crate::archive::playback::short_hex;
use crate::archive::reader::ReadFile;
use crate::source::ByteSource;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::{Bytes, BytesMut};
use media_core::fmp4::{Sample, TFDT_TIME_POSITION, fragment_header};
use media_core::index::Fragment;
use media_core::recording::fragmenter::rescale;
use media_core::{Error, ErrorKind, Result};
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a segment.
pub(super) enum Piece {
    Made(Bytes),
    /// Where they lie in the file.
    File(Range<u64>),
}

/// One file's part of a segment.
pub(super) struct Made {
    pub pieces: Vec<Piece>,
    /// Server time of the first sample, µs.
    pub start_us: i64,
    /// Server time at which the last fragment begins, µs.
    pub last_fragment_us: i64,
}

/// Puts a part together; None when the file has no such fragments.
pub(super) fn make(file: &ReadFile, part: &Part) -> Result<Option<Made>> {
    let first = file.video.partition_point(|f| f.sequence < part.from.sequence);
    let last = match part.to.at_key {
        true => file.video.partition_point(|f| f.sequence <= part.to.sequence),
        false => file.video.partition_point(|f| f.sequence < part.to.sequence),
    };
    let Some(fragments) = file.video.get(first..last).filter(|f| !f.is_empty()) else {
        return Ok(None);
    };
    if fragments[0].sequence != part.from.sequence {
        return Ok(None);
    }
    let mut placed: Vec<(u64, Vec<Piece>)> = Vec::new();
    let (mut begin, mut end): (Option<i64>, i64) = (None, i64::MIN);
    let mut last_fragment_us = i64::MIN;
    for record in fragments {
        let cut_head = part.from.at_key && record.sequence == part.from.sequence;
        let cut_tail = part.to.at_key && record.sequence == part.to.sequence;
        let (pieces, time) = if cut_head || cut_tail {
            match cut_fragment(file, record, cut_head, cut_tail, part.shift_90k)? {
                Some(made) => made,
                None => continue,
            }
        } else {
            let end = record.media_time.saturating_add(record.duration.into());
            (whole_fragment(file, record, part.shift_90k)?, record.media_time..end)
        };
        begin.get_or_insert(time.start);
        end = end.max(time.end);
        last_fragment_us = last_fragment_us.max(record.start_us);
        placed.push((record.offset, pieces));
    }
    let Some(begin) = begin else { return Ok(None) };
    let (rate, audio_rate) = (file.header.timescale[0], file.header.timescale[1]);
    let (audio_from, audio_to) = (rescale(begin, rate, audio_rate), rescale(end, rate, audio_rate));
    // Each fragment of sound belongs to the segment in which it begins.
    let skipped = file.audio.partition_point(|f| f.media_time < audio_from);
    for record in file.audio[skipped..].iter().take_while(|f| f.media_time < audio_to) {
        placed.push((record.offset, whole_fragment(file, record, part.shift_90k)?));
    }
    placed.sort_by_key(|(offset, _)| *offset);
    Ok(Some(Made {
        pieces: placed.into_iter().flat_map(|(_, pieces)| pieces).collect(),
        start_us: file.utc_of(&fragments[0], begin),
        last_fragment_us,
    }))
}

/// A fragment as it is, or with another decoding time in its moof.
fn whole_fragment(file: &ReadFile, record: &Fragment, shift_90k: i64) -> Result<Vec<Piece>> {
    let end = record.offset + u64::from(record.size_bytes);
    if shift_90k == 0 {
        return Ok(vec![Piece::File(record.offset..end)]);
    }
    let mut moof = file.mp4.read_exactly(record.offset, record.moof_bytes as usize)?;
    let Some(time) = moof.get_mut(TFDT_TIME_POSITION..TFDT_TIME_POSITION + 8) else {
        return Err(Error::malformed(format!(
            "the moof at byte {} is too short",
            record.offset
        )));
    };
    let rate = file.header.timescale[record.track as usize];
    let moved = record
        .media_time
        .saturating_add(rescale(shift_90k, 90_000, rate))
        .max(0);
    time.copy_from_slice(&moved.to_be_bytes());
    let data = record.offset + u64::from(record.moof_bytes);
    Ok(vec![Piece::Made(Bytes::from(moof)), Piece::File(data..end)])
}

/// A fragment from its first key sample on, or up to it: a new moof and part of the data, with the decoding times (of
/// the file) that it covers. None when nothing is left.
fn cut_fragment(
    file: &ReadFile,
    record: &Fragment,
    cut_head: bool,
    cut_tail: bool,
    shift_90k: i64,
) -> Result<Option<(Vec<Piece>, Range<i64>)>> {
    let header = file.fragment_header(record)?;
    let Some(key) = header.samples.iter().position(|s| s.key) else {
        return Ok(None);
    };
    let used = match (cut_head, cut_tail) {
        (true, false) => key..header.samples.len(),
        (false, true) => 0..key,
        _ => return Ok(None),
    };
    if used.is_empty() {
        return Ok(None);
    }
    let duration = |samples: &[Sample]| samples.iter().map(|s| i64::from(s.duration)).sum::<i64>();
    let bytes = |samples: &[Sample]| samples.iter().map(|s| u64::from(s.size_bytes)).sum::<u64>();
    let (before, samples) = (&header.samples[..used.start], &header.samples[used]);
    let begin = record.media_time.saturating_add(duration(before));
    let moved = begin
        .saturating_add(rescale(shift_90k, 90_000, file.header.timescale[0]))
        .max(0);
    let moof = fragment_header(record.sequence, 0, moved as u64, samples);
    let data = record.offset + u64::from(record.moof_bytes) + bytes(before);
    let pieces = vec![Piece::Made(Bytes::from(moof)), Piece::File(data..data + bytes(samples))];
    Ok(Some((pieces, begin..begin.saturating_add(duration(samples)))))
}

/// Bytes put together from files and from what was made.
pub(super) struct Pieces {
    /// With the position of each.
    pieces: Vec<(u64, Arc<ReadFile>, Piece)>,
    size_bytes: u64,
    etag: String,
}

impl Pieces {
    /// `name` and the files' identity must tell these bytes from all others of the stream.
    pub fn new(stream: &StreamName, name: &str, pieces: Vec<(Arc<ReadFile>, Piece)>) -> Self {
        let mut size_bytes = 0;
        let mut identity = format!("{stream} {name}");
        let mut placed: Vec<(u64, Arc<ReadFile>, Piece)> = Vec::with_capacity(pieces.len());
        for (file, piece) in pieces {
            let length = match &piece {
                Piece::Made(bytes) => bytes.len() as u64,
                Piece::File(range) => range.end - range.start,
            };
            let follows = match (placed.last_mut(), &piece) {
                // What follows each other in a file is read at once.
                (Some((_, last, Piece::File(before))), Piece::File(range))
                    if before.end == range.start && Arc::ptr_eq(last, &file) =>
                {
                    before.end = range.end;
                    true
                }
                _ => false,
            };
            if !follows {
                identity.push_str(&format!(" {}", file.entry.start_us));
                placed.push((size_bytes, file, piece));
            }
            size_bytes += length;
        }
        identity.push_str(&format!(" {size_bytes}"));
        let etag = short_hex(digest(&SHA256, identity.as_bytes()).as_ref());
        Self {
            pieces: placed,
            size_bytes,
            etag,
        }
    }
}

impl ByteSource for Pieces {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn etag(&self) -> &str {
        &self.etag
    }

    fn content_type(&self) -> &str {
        "video/mp4"
    }

    fn read_at(&self, offset: u64, max_bytes: usize) -> Result<Bytes> {
        let mut gathered = BytesMut::new();
        let mut at = offset;
        while gathered.len() < max_bytes && at < self.size_bytes {
            let place = self
                .pieces
                .partition_point(|(start, ..)| *start <= at)
                .saturating_sub(1);
            let Some((start, file, piece)) = self.pieces.get(place) else {
                break;
            };
            let (within, room) = (at - start, max_bytes - gathered.len());
            let part = match piece {
                Piece::Made(bytes) => {
                    let from = (within as usize).min(bytes.len());
                    bytes.slice(from..bytes.len().min(from.saturating_add(room)))
                }
                Piece::File(range) => {
                    let length = (range.end - range.start).saturating_sub(within).min(room as u64) as usize;
                    Bytes::from(file.mp4.read_up_to(range.start + within, length)?)
                }
            };
            if part.is_empty() {
                return Err(Error::new(
                    ErrorKind::Internal,
                    "a recorded file is shorter than its index says",
                ));
            }
            at += part.len() as u64;
            gathered.extend_from_slice(&part);
        }
        Ok(gathered.freeze())
    }
}
