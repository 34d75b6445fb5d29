//! Reading what is recorded: indexes and open files, the few dozen used last kept at hand.

use super::catalogue::{FileEntry, StreamFiles};
use super::disk::{read_exactly, storage_error};
use super::objects::{Mp4, Objects};
use super::regular;
use super::start::find_init;
use media_core::fmp4::{FragmentHeader, FragmentRead, read_fragment_header};
use media_core::index::{Fragment, HEADER_BYTES, Header, RECORD_BYTES, Record, record_position};
use media_core::recording::fragmenter::{rescale, ticks_to_us};
use media_core::{Error, Result, TrackParameters};
use parking_lot::Mutex;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Files kept at hand: an hour of one camera and stream takes about half a megabyte for its index.
const KEPT_FILES: usize = 32;

/// A recorded file, ready to be read: as much of it as was durable when it was looked up.
pub(crate) struct ReadFile {
    pub entry: Arc<FileEntry>,
    pub header: Header,
    /// Video fragments in order.
    pub video: Vec<Fragment>,
    /// Audio fragments in order.
    pub audio: Vec<Fragment>,
    pub mp4: Arc<Mp4>,
    /// Where it lay when it was opened.
    place: (usize, bool),
    parameters: Arc<OnceLock<Vec<TrackParameters>>>,
    /// Fragment records read.
    records: u64,
}

impl ReadFile {
    /// Parameters of the tracks, video first.
    pub fn parameters(&self) -> Result<&[TrackParameters]> {
        if let Some(known) = self.parameters.get() {
            return Ok(known);
        }
        let init = find_init(
            |offset, length| self.mp4.read_up_to(offset, length),
            self.mp4.size_bytes()?,
        )?;
        Ok(self.parameters.get_or_init(|| init.tracks))
    }

    /// The moof of a fragment.
    pub fn fragment_header(&self, fragment: &Fragment) -> Result<FragmentHeader> {
        read_header(&self.mp4, fragment.offset, fragment.moof_bytes)
    }

    /// Server time of a fragment's end, µs.
    pub fn end_us(&self, fragment: &Fragment) -> i64 {
        media_core::recording::repair::end_us(&self.header, fragment)
    }

    /// Media time (ticks of the video) of a server time, as a fragment near it sees it.
    pub fn media_time_of(&self, fragment: &Fragment, utc_us: i64) -> i64 {
        let since_us = utc_us.saturating_sub(fragment.start_us);
        fragment
            .media_time
            .saturating_add(rescale(since_us, 1_000_000, self.header.timescale[0]))
    }

    /// Server time (µs) of a media time (ticks of the video), as a fragment near it sees it.
    pub fn utc_of(&self, fragment: &Fragment, media_time: i64) -> i64 {
        let since = media_time.saturating_sub(fragment.media_time);
        fragment
            .start_us
            .saturating_add(ticks_to_us(since, self.header.timescale[0]))
    }

    /// Number of the first video fragment that ends after an instant.
    pub fn first_ending_after(&self, utc_us: i64) -> usize {
        self.video.partition_point(|f| self.end_us(f) <= utc_us)
    }
}

/// Reads the moof and mdat header at `offset`.
pub(crate) fn read_header(mp4: &Mp4, offset: u64, moof_bytes: u32) -> Result<FragmentHeader> {
    let bytes = mp4.read_exactly(offset, moof_bytes as usize)?;
    match read_fragment_header(&bytes)? {
        FragmentRead::Whole(header) => Ok(header),
        FragmentRead::NeedBytes(_) => Err(Error::malformed(format!(
            "the fragment at byte {offset} has a longer header than its index says"
        ))),
    }
}

pub(crate) struct Reader {
    objects: Arc<Objects>,
    /// Last used first.
    kept: Mutex<Vec<Arc<ReadFile>>>,
}

impl Reader {
    pub fn new(objects: &Arc<Objects>) -> Self {
        Self {
            objects: objects.clone(),
            kept: Mutex::default(),
        }
    }

    /// A file with all that is durable of it by now.
    pub fn file(&self, stream: &StreamFiles, entry: &Arc<FileEntry>) -> Result<Arc<ReadFile>> {
        let known = {
            let kept = self.kept.lock();
            let known = kept.iter().find(|f| Arc::ptr_eq(&f.entry, entry));
            known.filter(|f| f.place == entry.place()).cloned()
        };
        let records = entry.state.read().records;
        if let Some(known) = &known
            && known.records >= records
        {
            self.keep(known);
            return Ok(known.clone());
        }
        let place = entry.place();
        let mut read = read_file(stream, entry, &self.objects, records, known.as_deref());
        // Moved while it was being opened: it is elsewhere now.
        if read.is_err() && entry.place() != place {
            read = read_file(stream, entry, &self.objects, records, None);
        }
        let read = Arc::new(read.map_err(|e| e.within(stream.paths(entry).video.display()))?);
        self.keep(&read);
        Ok(read)
    }

    /// Lets go of a file that was removed or replaced; whoever reads it goes on.
    pub fn forget(&self, entry: &Arc<FileEntry>) {
        self.kept.lock().retain(|f| !Arc::ptr_eq(&f.entry, entry));
    }

    fn keep(&self, file: &Arc<ReadFile>) {
        let mut kept = self.kept.lock();
        kept.retain(|f| !Arc::ptr_eq(&f.entry, &file.entry));
        // Removed while it was being opened: kept at hand it would keep its room on the disk.
        if file.entry.state.read().removed || file.place != file.entry.place() {
            return;
        }
        kept.insert(0, file.clone());
        kept.truncate(KEPT_FILES);
    }
}

fn open(path: &Path) -> Result<File> {
    regular::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::from(e),
        _ => storage_error(&e, path.display()),
    })
}

/// Whether a fragment lies after another of its track, in the file and in time.
fn follows(last: &Fragment, next: &Fragment) -> bool {
    let end = last.media_time.saturating_add(last.duration.into());
    next.offset >= last.offset + u64::from(last.size_bytes) && next.media_time >= end
}

/// Reads the index of `entry` up to `records`, or what `known` lacks of it.
fn read_file(
    stream: &StreamFiles,
    entry: &Arc<FileEntry>,
    objects: &Arc<Objects>,
    records: u64,
    known: Option<&ReadFile>,
) -> Result<ReadFile> {
    let place = entry.place();
    let index = open(&stream.paths(entry).index)?;
    let mut file = match known {
        Some(known) => ReadFile {
            entry: entry.clone(),
            header: known.header.clone(),
            video: known.video.clone(),
            audio: known.audio.clone(),
            mp4: known.mp4.clone(),
            place: known.place,
            parameters: known.parameters.clone(),
            records: known.records,
        },
        None => ReadFile {
            entry: entry.clone(),
            header: Header::decode(&read_exactly(&index, 0, HEADER_BYTES)?)?,
            video: Vec::new(),
            audio: Vec::new(),
            mp4: Arc::new(Mp4::open(stream, entry, objects)?),
            place,
            parameters: Arc::default(),
            records: 0,
        },
    };
    let missing = usize::try_from(records.saturating_sub(file.records)).unwrap_or(0);
    let bytes = read_exactly(&index, record_position(file.records), missing * RECORD_BYTES)?;
    for block in bytes.chunks_exact(RECORD_BYTES) {
        match Record::decode(block, file.records)? {
            Record::Fragment(fragment) => {
                let track = match fragment.track {
                    0 => &mut file.video,
                    1 => &mut file.audio,
                    _ => &mut Vec::new(),
                };
                // A record that is there twice, or goes back: each picture counts once, and places are found by
                // halving.
                if track.last().is_none_or(|last| follows(last, &fragment)) {
                    track.push(fragment);
                }
            }
            Record::Gap(_) | Record::Seal(_) => {
                return Err(Error::malformed(format!(
                    "index record {}: a fragment was expected",
                    file.records
                )));
            }
        }
        file.records += 1;
    }
    Ok(file)
}
