//! Which fragments of which files show a camera's stream from one instant to another.
//!
//! A plan follows the recording across files and gaps as long as the parameters stay the same. All its files lie on one
//! timeline: media time of the first file, on which the others begin where the camera's own clock puts them, or the
//! server's where the two disagree (the camera's clock was read anew after a reconnection).

use super::catalogue::StreamFiles;
use super::reader::{ReadFile, Reader};
use super::walk::{Entry, REORDER_US, Walk, first_key_after, same_video};
use media_core::fmp4::FragmentHeader;
use media_core::index::Fragment;
use media_core::movie::{FragmentRef, TrackPlan, list_first_key_only};
use media_core::recording::fragmenter::{CLOCK_STEP_US, rescale};
use media_core::{Error, ErrorKind, Result, TrackParameters};
use std::sync::Arc;

/// Longest plan, µs; what follows is another.
pub(crate) const LONGEST_US: i64 = 24 * 3_600_000_000;

/// Longest gap within a plan, ticks of 1/90,000 s: 12 hours; a sample's duration has 32 bits.
const LONGEST_JUMP_90K: i64 = 12 * 3_600 * 90_000;

/// Where the media times of two files and their server times disagree by more than this, the latter count, µs.
const MEDIA_CLOCK_TRUST_US: i64 = 1_000_000;

/// True unless both have sound and it differs: a file without sound can stand between files with it.
fn same_audio(known: Option<&TrackParameters>, found: &[TrackParameters]) -> bool {
    match (known, found.get(1)) {
        (Some(known), Some(found)) => known == found,
        _ => true,
    }
}

/// Fragments of one stream with the same parameters, on one timeline.
pub(crate) struct Plan {
    pub files: Vec<Arc<ReadFile>>,
    pub tracks: Vec<TrackPlan>,
    /// First instant presented, µs.
    pub start_us: i64,
    /// The end, µs.
    pub end_us: i64,
    /// The presented interval on the timeline of `tracks`, ticks of 1/90,000 s.
    pub media_start_90k: i64,
    pub media_duration_90k: u64,
    /// Where the recording goes on with other parameters, or with more than fits into one plan, µs.
    pub next_start_us: Option<i64>,
}

/// A plan under construction: the files used so far and where they lie.
struct Building {
    files: Vec<Arc<ReadFile>>,
    /// Media time 0 of each file on the plan's timeline, ticks of 1/90,000 s.
    shifts_90k: Vec<i64>,
    /// With the number of the record within its file.
    video: Vec<(FragmentRef, usize)>,
    audio: Vec<FragmentRef>,
    audio_parameters: Option<TrackParameters>,
    video_rate: u32,
    /// Pictures are not presented in decoding order.
    composed: bool,
}

impl Building {
    /// Where a file lies on the timeline, if there is no more than a track can jump before it.
    fn place(&self, file: &ReadFile) -> Option<i64> {
        let Some(base) = self.files.first() else { return Some(0) };
        let end_90k = self.video_end_90k();
        let shift = shift_90k(base, file, end_90k);
        let first_90k = file
            .video
            .first()
            .map_or(0, |f| rescale(f.media_time, self.video_rate, 90_000));
        (shift.saturating_add(first_90k).saturating_sub(end_90k) <= LONGEST_JUMP_90K).then_some(shift)
    }

    fn push_file(&mut self, file: &Arc<ReadFile>, shift_90k: i64) -> u32 {
        self.files.push(file.clone());
        self.shifts_90k.push(shift_90k);
        self.files.len() as u32 - 1
    }

    /// End of the video so far, ticks of 1/90,000 s, rounded up.
    fn video_end_90k(&self) -> i64 {
        let end = self
            .video
            .last()
            .map_or(0, |(f, _)| f.media_time.saturating_add_unsigned(f.duration));
        let (rate, end) = (i128::from(self.video_rate.max(1)), i128::from(end));
        ((end * 90_000 + rate - 1).div_euclid(rate)) as i64
    }

    /// A file's media time 0 in ticks of a track.
    fn shift(&self, file: u32, rate: u32) -> i64 {
        rescale(self.shifts_90k.get(file as usize).copied().unwrap_or(0), 90_000, rate)
    }

    /// Server time on the timeline, in ticks of the video, as a fragment near it sees it.
    fn time(&self, file: u32, record: &Fragment, utc_us: i64) -> i64 {
        let media = self
            .files
            .get(file as usize)
            .map_or(0, |f| f.media_time_of(record, utc_us));
        media.saturating_add(self.shift(file, self.video_rate))
    }

    fn record(&self, place: usize) -> Option<(&FragmentRef, &Arc<ReadFile>, &Fragment)> {
        let (reference, record) = self.video.get(place)?;
        let file = self.files.get(reference.file as usize)?;
        Some((reference, file, file.video.get(*record)?))
    }

    /// Takes the pictures from the end that are presented after `limit_us`. The end on the timeline in ticks of
    /// 1/90,000 s, and as server time.
    fn trim_end(&mut self, limit_us: i64) -> Result<(i64, i64)> {
        while let Some((reference, file, record)) = self.record(self.video.len().wrapping_sub(1)) {
            let (reference, file, record) = (*reference, file.clone(), *record);
            let header = file.fragment_header(&record)?;
            self.composed |= is_composed(&header);
            let whole = FragmentRef::whole(reference.file, &record, self.shift(reference.file, self.video_rate));
            let limit = self.time(reference.file, &record, limit_us);
            let used = whole.samples_before(&header, limit);
            let first = reference.first_sample as usize;
            let number = self.video.pop().map_or(0, |(_, number)| number);
            if used <= first {
                continue;
            }
            self.video.push((whole.trim(&header, first..used)?, number));
            // The end of the picture that is shown last: with B-frames not the one decoded last.
            let mut dts = whole.media_time;
            let mut end = i64::MIN;
            for sample in &header.samples[..used] {
                let pts = dts.saturating_add(sample.composition_offset.into());
                end = end.max(pts.saturating_add(sample.duration.into()));
                dts = dts.saturating_add(sample.duration.into());
            }
            let end = end.min(limit);
            let end_us = file.utc_of(&record, end.saturating_sub(self.shift(reference.file, self.video_rate)));
            return Ok((rescale(end, self.video_rate, 90_000), end_us.min(limit_us)));
        }
        Err(Error::new(ErrorKind::NotFound, "nothing is recorded there"))
    }

    /// Adds the sound of a file between two instants of the timeline.
    fn add_audio(&mut self, file: u32, start_90k: i64, end_90k: i64) -> Result<()> {
        let Some(read) = self.files.get(file as usize).cloned() else {
            return Ok(());
        };
        let Some(parameters) = read.parameters()?.get(1) else {
            return Ok(());
        };
        let rate = parameters.clock_rate;
        let shift = self.shift(file, rate);
        let (from, to) = (
            rescale(start_90k, 90_000, rate) - shift,
            rescale(end_90k, 90_000, rate) - shift,
        );
        let first = read
            .audio
            .partition_point(|f| f.media_time.saturating_add(f.duration.into()) <= from);
        let mut written_to = self
            .audio
            .last()
            .map_or(i64::MIN, |f| f.media_time.saturating_add_unsigned(f.duration));
        for record in read.audio[first..].iter().take_while(|f| f.media_time < to) {
            let whole = FragmentRef::whole(file, record, shift);
            // Rounding may make two files' sound overlap by little; by much, it is the same time once more.
            if whole.media_time >= written_to.saturating_sub(i64::from(rate) / 10) {
                let media_time = whole.media_time.max(written_to);
                written_to = media_time.saturating_add_unsigned(whole.duration);
                self.audio.push(FragmentRef { media_time, ..whole });
            }
        }
        Ok(())
    }
}

/// Media time 0 of a file on the timeline on which that of `base` is 0 and which is in use up to `end_90k`: where the
/// camera's clock puts it, or the server's where the two disagree.
pub(crate) fn shift_90k(base: &ReadFile, file: &ReadFile, end_90k: i64) -> i64 {
    let media = file.header.origin_90k.saturating_sub(base.header.origin_90k);
    let utc = rescale(
        file.entry.start_us.saturating_sub(base.entry.start_us),
        1_000_000,
        90_000,
    );
    let trusted = media.abs_diff(utc) <= (MEDIA_CLOCK_TRUST_US * 9 / 100) as u64;
    // Whatever the clocks say, pictures follow each other.
    let first = file
        .video
        .first()
        .map_or(0, |f| rescale(f.media_time, file.header.timescale[0], 90_000));
    (if trusted { media } else { utc }).max(end_90k.saturating_sub(first))
}

fn is_composed(header: &FragmentHeader) -> bool {
    header.samples.iter().any(|s| s.composition_offset != 0)
}

impl Plan {
    /// Plans `[start_us, end_us)` from the key frame before on. `NotFound` when nothing is recorded there.
    pub fn new(reader: &Reader, stream: &StreamFiles, start_us: i64, end_us: i64) -> Result<Self> {
        let walk = Walk::new(reader, stream);
        let first = walk.first(start_us, end_us)?;
        let start_us = start_us.max(first.record().start_us);
        let limit_us = end_us.min(start_us.saturating_add(LONGEST_US));
        let key = walk.entry_before(&first, start_us)?;
        let parameters = first.file.parameters()?.to_vec();
        let video_parameters = parameters
            .first()
            .cloned()
            .ok_or_else(|| Error::malformed("a recording without tracks"))?;
        let mut building = Building {
            files: Vec::new(),
            shifts_90k: Vec::new(),
            video: Vec::new(),
            audio: Vec::new(),
            audio_parameters: parameters.get(1).cloned(),
            video_rate: video_parameters.clock_rate,
            composed: video_parameters.reorder_depth > 0,
        };
        let mut from = match &key {
            Some(Entry {
                place, header, sample, ..
            }) => {
                building.composed |= is_composed(header);
                let file = building.push_file(&place.file, 0);
                let used = FragmentRef::whole(file, place.record(), 0).trim(header, *sample..header.samples.len())?;
                building.video.push((used, place.fragment));
                place.fragment + 1
            }
            None => {
                building.push_file(&first.file, 0);
                first.fragment
            }
        };
        let begin_us = building.files[0].entry.start_us;
        let mut next_start_us = None;
        let mut covered_us = i64::MIN;
        let mut media_start = None;
        for entry in walk.files(begin_us, limit_us) {
            let is_base = Arc::ptr_eq(&entry, &building.files[0].entry);
            if !is_base && entry.start_us <= begin_us {
                continue;
            }
            let read = reader.file(stream, &entry)?;
            let Some(last) = read.video.last() else { continue };
            // The clock was set back, this time was shown already: go on after it, at a key frame.
            let again = !is_base && entry.start_us < covered_us.saturating_sub(CLOCK_STEP_US);
            let resume = if again {
                first_key_after(&read, covered_us)?
            } else {
                None
            };
            match &resume {
                Some((place, _, _)) => from = *place,
                None if again => continue,
                None if !is_base => from = 0,
                None => {}
            }
            let number = if is_base {
                0
            } else {
                let found = read.parameters()?;
                let same = same_video(&parameters, found) && same_audio(building.audio_parameters.as_ref(), found);
                let shift = building.place(&read).filter(|_| same);
                let Some(shift) = shift else {
                    if entry.start_us < first.file.entry.start_us {
                        continue;
                    }
                    next_start_us = read.video.get(from).map(|f| f.start_us).filter(|us| *us < end_us);
                    break;
                };
                if building.audio_parameters.is_none() {
                    building.audio_parameters = found.get(1).cloned();
                }
                building.push_file(&read, shift)
            };
            let shift = building.shift(number, building.video_rate);
            for (place, record) in read.video.iter().enumerate().skip(from) {
                if record.start_us >= limit_us.saturating_add(REORDER_US) {
                    break;
                }
                let mut used = FragmentRef::whole(number, record, shift);
                if let Some((_, header, key)) = resume.as_ref().filter(|(resumed, ..)| *resumed == place) {
                    used = used.trim(header, *key..header.samples.len())?;
                }
                building.video.push((used, place));
            }
            covered_us = covered_us.max(read.end_us(last));
            if media_start.is_none() && Arc::ptr_eq(&entry, &first.file.entry) {
                media_start = Some(building.time(number, first.record(), start_us));
            }
        }
        let missing = || Error::new(ErrorKind::Internal, "the file of the first picture is not in its plan");
        let media_start_90k = rescale(media_start.ok_or_else(missing)?, building.video_rate, 90_000);
        let (media_end_90k, shown_to_us) = building.trim_end(limit_us)?;
        if next_start_us.is_none() && limit_us < end_us {
            next_start_us = walk
                .first(limit_us, end_us)
                .ok()
                .map(|place| place.record().start_us.max(limit_us));
        }
        for file in 0..building.files.len() as u32 {
            building.add_audio(file, media_start_90k, media_end_90k)?;
        }
        let reorder_depth = video_parameters.reorder_depth.max(u8::from(building.composed));
        let mut tracks = vec![TrackPlan {
            parameters: TrackParameters {
                reorder_depth,
                ..video_parameters
            },
            fragments: building.video.into_iter().map(|(reference, _)| reference).collect(),
        }];
        if key.is_some_and(|entry| entry.recovery_frames > 0) {
            list_first_key_only(&mut tracks[0].fragments);
        }
        if let Some(parameters) = building.audio_parameters.filter(|_| !building.audio.is_empty()) {
            tracks.push(TrackPlan {
                parameters,
                fragments: building.audio,
            });
        }
        Ok(Self {
            files: building.files,
            tracks,
            start_us,
            end_us: shown_to_us,
            media_start_90k,
            media_duration_90k: media_end_90k.saturating_sub(media_start_90k).max(0) as u64,
            next_start_us,
        })
    }
}
