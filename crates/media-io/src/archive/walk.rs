//! Finding places in a stream's video: the fragment at an instant, and where a decoder has to begin for it.

use super::catalogue::{FileEntry, StreamFiles};
use super::reader::{ReadFile, Reader};
use media_core::fmp4::FragmentHeader;
use media_core::index::{FLAG_CONTAINS_KEY, Fragment};
use media_core::movie::FragmentRef;
use media_core::recording::fragmenter::{CLOCK_STEP_US, GAP_US, ticks_to_us};
use media_core::{Codec, Error, ErrorKind, Result, TrackParameters};
use std::sync::Arc;

/// How far before an instant its key frame is looked for, µs. The longest GOPs of cameras that save bits.
const KEY_LOOK_BACK_US: i64 = 120_000_000;

/// How far a picture's presentation may lie from its decoding, µs: 16 pictures, the most that may be reordered.
pub(crate) const REORDER_US: i64 = 1_000_000;

/// A place in a stream's video: file and fragment.
#[derive(Clone)]
pub(crate) struct Place {
    pub file: Arc<ReadFile>,
    pub fragment: usize,
}

impl Place {
    pub fn record(&self) -> &Fragment {
        &self.file.video[self.fragment]
    }
}

/// Most recovery points gone back over for a whole picture.
const MAX_REFRESHES: usize = 8;

/// Where a decoder begins.
pub(crate) struct Entry {
    pub place: Place,
    /// The fragment's header.
    pub header: FragmentHeader,
    /// The key sample's number in the fragment.
    pub sample: usize,
    /// Pictures from there on that may not be whole.
    pub recovery_frames: u32,
}

/// Server time of a sample's decoding, and its duration, µs.
fn times(place: &Place, header: &FragmentHeader, sample: usize) -> (i64, i64) {
    let rate = place.file.header.timescale[0];
    let before: i64 = header.samples.iter().take(sample).map(|s| i64::from(s.duration)).sum();
    let duration = header.samples.get(sample).map_or(0, |s| i64::from(s.duration));
    (
        place.record().start_us.saturating_add(ticks_to_us(before, rate)),
        ticks_to_us(duration, rate),
    )
}

/// How many pictures after a key sample are not whole yet.
fn recovery_frames(place: &Place, header: &FragmentHeader, sample: usize) -> Result<u32> {
    let recovery: fn(&[u8]) -> Option<u32> = match place.file.parameters()?.first().map(|p| p.codec) {
        Some(Codec::H264) => media_core::codec::h264::recovery_frames,
        Some(Codec::H265) => media_core::codec::h265::recovery_frames,
        _ => return Ok(0),
    };
    let before: u64 = header
        .samples
        .iter()
        .take(sample)
        .map(|s| u64::from(s.size_bytes))
        .sum();
    let size = header.samples.get(sample).map_or(0, |s| s.size_bytes as usize);
    let record = place.record();
    let data = record.offset + u64::from(record.moof_bytes) + before;
    Ok(recovery(&place.file.mp4.read_exactly(data, size)?).unwrap_or(0))
}

/// One stream's files around an interval, read as needed.
pub(crate) struct Walk<'a> {
    reader: &'a Reader,
    stream: &'a StreamFiles,
}

impl<'a> Walk<'a> {
    pub fn new(reader: &'a Reader, stream: &'a StreamFiles) -> Self {
        Self { reader, stream }
    }

    /// The files with video that may touch `start_us..end_us`, in order, with one more before.
    pub fn files(&self, start_us: i64, end_us: i64) -> Vec<Arc<FileEntry>> {
        let mut files = self.stream.around(start_us, end_us);
        files.retain(|f| f.start_us < end_us && f.end_us() > f.start_us);
        files
    }

    /// The first fragment that ends after `start_us` and begins before `end_us`. `NotFound` when there is none.
    pub fn first(&self, start_us: i64, end_us: i64) -> Result<Place> {
        for entry in self.files(start_us, end_us) {
            if entry.end_us() <= start_us {
                continue;
            }
            let file = self.reader.file(self.stream, &entry)?;
            let fragment = file.first_ending_after(start_us);
            if file.video.get(fragment).is_some_and(|f| f.start_us < end_us) {
                return Ok(Place { file, fragment });
            }
        }
        Err(Error::new(
            ErrorKind::NotFound,
            format!("{}: nothing is recorded there", self.stream.name),
        ))
    }

    /// The file before, if video runs on from it with the same parameters.
    fn file_before(&self, file: &ReadFile) -> Result<Option<Arc<ReadFile>>> {
        let start_us = file.entry.start_us;
        let files = self.stream.around(start_us - 1, start_us);
        let Some(entry) = files.iter().rfind(|f| f.start_us < start_us && f.end_us() > f.start_us) else {
            return Ok(None);
        };
        if (start_us - entry.end_us()).abs() > GAP_US + CLOCK_STEP_US {
            return Ok(None);
        }
        let before = self.reader.file(self.stream, entry)?;
        let same = same_video(before.parameters()?, file.parameters()?);
        Ok(Some(before).filter(|b| same && !b.video.is_empty()))
    }

    /// The files from one to another, both included.
    pub fn between(&self, from: &Arc<ReadFile>, to: &Arc<ReadFile>) -> Result<Vec<Arc<ReadFile>>> {
        if Arc::ptr_eq(&from.entry, &to.entry) {
            return Ok(vec![to.clone()]);
        }
        let mut files = vec![from.clone()];
        for entry in self.files(from.entry.start_us, to.entry.start_us) {
            if entry.start_us > from.entry.start_us && entry.start_us < to.entry.start_us {
                let file = self.reader.file(self.stream, &entry)?;
                if same_video(file.parameters()?, to.parameters()?) {
                    files.push(file);
                }
            }
        }
        files.push(to.clone());
        Ok(files)
    }

    /// Where a decoder has to begin so that the picture at an instant is whole: the key sample before, or in a stream
    /// that refreshes its pictures bit by bit, the one before that. None when there is none within reach.
    pub fn entry_before(&self, from: &Place, utc_us: i64) -> Result<Option<Entry>> {
        let mut entry: Option<Entry> = None;
        let mut before_us = utc_us;
        for _ in 0..MAX_REFRESHES {
            let Some((place, header, sample)) = self.key_before(from, before_us)? else {
                break;
            };
            let recovery_frames = recovery_frames(&place, &header, sample)?;
            let (begins_us, frame_us) = times(&place, &header, sample);
            let found = Entry {
                place,
                header,
                sample,
                recovery_frames,
            };
            if begins_us.saturating_add(i64::from(recovery_frames).saturating_mul(frame_us)) <= utc_us {
                return Ok(Some(found));
            }
            // Not whole yet: the one before is better, and this one the best if there is none.
            entry = Some(found);
            before_us = begins_us.saturating_sub(1);
        }
        Ok(entry)
    }

    /// The last key sample that is presented at or before `time` (ticks of the video in the file of `from`), at or
    /// before the fragment `from` or slightly after it; with its number within its fragment. None when there is none
    /// within reach.
    pub fn key_before(&self, from: &Place, utc_us: i64) -> Result<Option<(Place, FragmentHeader, usize)>> {
        let mut place = from.clone();
        // The picture wanted may be decoded after later ones: begin a little further on.
        while place
            .file
            .video
            .get(place.fragment + 1)
            .is_some_and(|f| f.start_us <= utc_us.saturating_add(REORDER_US))
        {
            place.fragment += 1;
        }
        loop {
            let record = *place.record();
            if record.start_us < utc_us.saturating_sub(KEY_LOOK_BACK_US) {
                return Ok(None);
            }
            if record.flags & FLAG_CONTAINS_KEY != 0 {
                let header = place.file.fragment_header(&record)?;
                let time = place.file.media_time_of(&record, utc_us);
                let whole = FragmentRef::whole(0, &record, 0);
                if let Some(key) = whole.last_key_until(&header, time) {
                    return Ok(Some((place, header, key)));
                }
            }
            if place.fragment > 0 {
                place.fragment -= 1;
                continue;
            }
            match self.file_before(&place.file)? {
                Some(before) => {
                    place = Place {
                        fragment: before.video.len() - 1,
                        file: before,
                    }
                }
                None => return Ok(None),
            }
        }
    }
}

/// Equal as far as a decoder of the video is concerned.
pub(crate) fn same_video(a: &[TrackParameters], b: &[TrackParameters]) -> bool {
    match (a.first(), b.first()) {
        (Some(a), Some(b)) => {
            a.codec == b.codec
                && a.configuration == b.configuration
                && (a.width, a.height, a.clock_rate) == (b.width, b.height, b.clock_rate)
        }
        _ => false,
    }
}

/// The first key sample decoded at or after an instant: its fragment, that fragment's header, and its number there.
pub(crate) fn first_key_after(file: &ReadFile, utc_us: i64) -> Result<Option<(usize, FragmentHeader, usize)>> {
    for place in file.first_ending_after(utc_us)..file.video.len() {
        let record = &file.video[place];
        if record.flags & FLAG_CONTAINS_KEY == 0 {
            continue;
        }
        let header = file.fragment_header(record)?;
        let wanted = file.media_time_of(record, utc_us);
        let mut dts = record.media_time;
        for (number, sample) in header.samples.iter().enumerate() {
            if sample.key && dts >= wanted {
                return Ok(Some((place, header, number)));
            }
            dts = dts.saturating_add(sample.duration.into());
        }
    }
    Ok(None)
}
