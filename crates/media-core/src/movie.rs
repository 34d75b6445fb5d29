//! A virtual progressive MP4 over fragments of recordings: what `playback.mp4` and an export serve.
//!
//! Its head (ftyp, moov, mdat header) is made on demand; its mdat is the samples' data where they lie in the recorded
//! files. The length and every offset follow from index records alone, because the tables have one entry per sample
//! (stts, stsz, ctts), key sample (stss) or fragment (co64): no moof is read before the head itself is wanted.
//!
//! Each track has one sample entry; where parameters change the movie ends (the caller starts another).

use crate::error::{Error, ErrorKind, Result};
use crate::fmp4::boxes::{put_u32, put_u64, write_box, write_full_box};
use crate::fmp4::{self, FragmentHeader, MOVIE_TIMESCALE, TrackBox, sample_entry, write_movie_header, write_track};
use crate::index;
use crate::track::TrackParameters;
use std::ops::Range;

/// Length of the mdat header: always the 64-bit form, so that it does not depend on what follows.
const MDAT_HEADER_BYTES: u64 = 16;
/// Most bytes of tables in one movie; 4 GiB is the limit of the moov's size field.
const MAX_TABLE_BYTES: u64 = 1 << 31;

/// A fragment of a recording, or the part of it that a movie uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentRef {
    /// The caller's number of the file; comes back in `Slice::File`.
    pub file: u32,
    /// Position of the moof in the file.
    pub offset: u64,
    /// Length of moof + mdat header; what has to be read for `Movie::tables`.
    pub moof_bytes: u32,
    /// First sample used, counted within the fragment.
    pub first_sample: u32,
    /// Samples used.
    pub samples: u32,
    /// Key samples among them.
    pub key_samples: u32,
    /// Position in the file of the first used sample's data.
    pub data_offset: u64,
    /// Bytes of data used.
    pub data_bytes: u32,
    /// Decoding time of the first used sample, in ticks of the track on the movie's timeline, on which all files'
    /// fragments lie where they were recorded.
    pub media_time: i64,
    /// Sum of the durations of the used samples in ticks of the track.
    pub duration: u64,
}

impl FragmentRef {
    /// The whole fragment of an index record. `shift` is added to its media time: the file's media time 0 on the
    /// movie's timeline, in ticks of the track.
    pub fn whole(file: u32, record: &index::Fragment, shift: i64) -> Self {
        Self {
            file,
            offset: record.offset,
            moof_bytes: record.moof_bytes,
            first_sample: 0,
            samples: record.samples as u32,
            key_samples: record.key_samples as u32,
            data_offset: record.offset + record.moof_bytes as u64,
            data_bytes: record.size_bytes.saturating_sub(record.moof_bytes),
            media_time: record.media_time.saturating_add(shift),
            duration: record.duration as u64,
        }
    }

    /// Only the given samples of the whole fragment, whose header is `header`. `Malformed` when header and index
    /// record contradict each other, `Invalid` when the fragment has no such samples.
    pub fn trim(&self, header: &FragmentHeader, samples: Range<usize>) -> Result<Self> {
        self.check(header)?;
        let used = header.samples.get(samples.clone()).ok_or_else(|| {
            let message = format!("{}: samples {samples:?} of {}", self.name(), header.samples.len());
            Error::new(ErrorKind::Invalid, message)
        })?;
        let skipped = &header.samples[..samples.start];
        Ok(Self {
            first_sample: samples.start as u32,
            samples: used.len() as u32,
            key_samples: used.iter().filter(|sample| sample.key).count() as u32,
            data_offset: self.data_offset + skipped.iter().map(|sample| sample.size_bytes as u64).sum::<u64>(),
            data_bytes: used.iter().map(|sample| sample.size_bytes).sum(),
            media_time: self
                .media_time
                .saturating_add(skipped.iter().map(|sample| sample.duration as i64).sum()),
            duration: used.iter().map(|sample| sample.duration as u64).sum(),
            ..*self
        })
    }

    /// Number of the last key sample of the whole fragment that is presented at or before `time` (movie's timeline,
    /// ticks of the track).
    pub fn last_key_until(&self, header: &FragmentHeader, time: i64) -> Option<usize> {
        self.presentation(header).rposition(|(pts, key)| key && pts <= time)
    }

    /// How many samples of the whole fragment there are up to the last one that is presented before `time`.
    pub fn samples_before(&self, header: &FragmentHeader, time: i64) -> usize {
        self.presentation(header)
            .rposition(|(pts, _)| pts < time)
            .map_or(0, |last| last + 1)
    }

    /// Presentation time and key flag of every sample of the whole fragment.
    fn presentation(
        &self,
        header: &FragmentHeader,
    ) -> impl DoubleEndedIterator<Item = (i64, bool)> + ExactSizeIterator {
        let mut dts = self.media_time;
        let times: Vec<(i64, bool)> = header
            .samples
            .iter()
            .map(|sample| {
                let pts = dts.saturating_add(sample.composition_offset as i64);
                dts = dts.saturating_add(sample.duration as i64);
                (pts, sample.key)
            })
            .collect();
        times.into_iter()
    }

    /// The header must be the one that the index record was written for.
    fn check(&self, header: &FragmentHeader) -> Result<()> {
        if header.moof_bytes != self.moof_bytes {
            let message = format!(
                "{}: a moof of {} bytes, {} indexed",
                self.name(),
                header.moof_bytes,
                self.moof_bytes
            );
            return Err(Error::malformed(message));
        }
        Ok(())
    }

    fn name(&self) -> String {
        format!("file {}, fragment at byte {}", self.file, self.offset)
    }
}

/// One track of a movie.
#[derive(Debug, Clone)]
pub struct TrackPlan {
    /// The one sample entry.
    pub parameters: TrackParameters,
    /// Fragments in decoding order.
    pub fragments: Vec<FragmentRef>,
}

/// What lies at an offset of the movie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slice {
    /// Bytes of what `Movie::tables` returns.
    Head {
        /// Position in the head.
        offset: u64,
        /// Bytes from there to the end of the head.
        length: u64,
    },
    /// Bytes of a recorded file.
    File {
        /// The number from `FragmentRef::file`.
        file: u32,
        /// Position in that file.
        offset: u64,
        /// Bytes from there that follow each other in the movie.
        length: u64,
    },
}

/// A track with what its tables need.
#[derive(Debug, Clone)]
struct Track {
    plan: TrackPlan,
    /// Where each fragment's data lies in the movie's mdat, from the start of its data.
    chunk_offsets: Vec<u64>,
    samples: u64,
    key_samples: u64,
    /// Runs of (first chunk from 1, samples per chunk): stsc.
    chunk_runs: Vec<(u32, u32)>,
    edit: fmp4::Edit,
}

/// The movie: see the module.
#[derive(Debug, Clone)]
pub struct Movie {
    tracks: Vec<Track>,
    /// (track, fragment, position in the mdat's data), in the order of the mdat.
    layout: Vec<(usize, usize, u64)>,
    data_bytes: u64,
    head_bytes: u64,
}

impl Movie {
    /// A movie of these tracks that presents exactly [media_start_90k, media_start_90k + media_duration_90k) of the
    /// timeline on which the fragments lie, in ticks of 1/90000 s.
    ///
    /// The first track must have fragments in the interval (`NotFound` else); further tracks without are left out.
    /// The presented interval ends early where a track without B-frames does. `Invalid` for fragments out of order, for a gap
    /// of more than 2^32 − 1 ticks (13 h of video) and for more samples than a moov can list.
    pub fn new(tracks: Vec<TrackPlan>, media_start_90k: i64, media_duration_90k: u64) -> Result<Self> {
        let media_end = media_start_90k.saturating_add_unsigned(media_duration_90k);
        let mut planned = Vec::with_capacity(tracks.len());
        for (number, plan) in tracks.into_iter().enumerate() {
            sample_entry::check(&plan.parameters)?;
            match Track::new(plan, media_start_90k, media_end)? {
                Some(track) => planned.push(track),
                None if number > 0 => {}
                None => return Err(Error::new(ErrorKind::NotFound, "nothing is recorded in the interval")),
            }
        }
        if planned.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "a movie without tracks"));
        }
        let mut movie = Self {
            tracks: planned,
            layout: Vec::new(),
            data_bytes: 0,
            head_bytes: 0,
        };
        movie.lay_out();
        let table_bytes: u64 = movie.tracks.iter().map(Track::table_bytes).sum();
        if table_bytes > MAX_TABLE_BYTES {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the interval has more pictures than one movie can list",
            ));
        }
        let mut frame = Vec::new();
        movie.write_head(&mut frame, |_, _| ());
        movie.head_bytes = frame.len() as u64 + table_bytes;
        Ok(movie)
    }

    /// Orders the fragments of all tracks by time, as a player wants to read them.
    fn lay_out(&mut self) {
        let mut order: Vec<(i64, usize, usize)> = Vec::new();
        for (number, track) in self.tracks.iter().enumerate() {
            for (fragment, reference) in track.plan.fragments.iter().enumerate() {
                order.push((
                    rescale(reference.media_time, track.plan.parameters.clock_rate, MOVIE_TIMESCALE),
                    number,
                    fragment,
                ));
            }
        }
        // By time, then by track; the order within a track is kept because its media times never decrease.
        order.sort_unstable();
        for (_, number, fragment) in order {
            let track = &mut self.tracks[number];
            track.chunk_offsets.push(self.data_bytes);
            self.layout.push((number, fragment, self.data_bytes));
            self.data_bytes += track.plan.fragments[fragment].data_bytes as u64;
        }
    }

    /// Length of the movie in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.head_bytes + self.data_bytes
    }

    /// Length of the head in bytes: of what `tables` returns.
    pub fn head_bytes(&self) -> u64 {
        self.head_bytes
    }

    /// Length of the presented interval in ticks of 1/90000 s.
    pub fn duration_90k(&self) -> u64 {
        self.tracks
            .iter()
            .map(|track| track.edit.empty + track.edit.duration)
            .max()
            .unwrap_or(0)
    }

    /// The head: ftyp, moov and the mdat header. `headers` reads the header of a fragment (`moof_bytes` at `offset` of
    /// `file`); it is called once per fragment, track by track. `Malformed` when a header is not what the index said.
    pub fn tables(&self, mut headers: impl FnMut(&FragmentRef) -> Result<FragmentHeader>) -> Result<Vec<u8>> {
        let mut tables = Vec::with_capacity(self.tracks.len());
        for track in &self.tracks {
            tables.push(track.tables(self.head_bytes, &mut headers)?);
        }
        let mut head = Vec::with_capacity(self.head_bytes as usize);
        self.write_head(&mut head, |track, out| out.extend_from_slice(&tables[track]));
        debug_assert_eq!(head.len() as u64, self.head_bytes);
        Ok(head)
    }

    /// What lies at `offset`, up to the next inner boundary; None at and after the end.
    pub fn slice_at(&self, offset: u64) -> Option<Slice> {
        if offset < self.head_bytes {
            return Some(Slice::Head {
                offset,
                length: self.head_bytes - offset,
            });
        }
        let at = offset - self.head_bytes;
        if at >= self.data_bytes {
            return None;
        }
        // The last fragment that begins at or before `at` is not empty: fragments without data are not in the plan.
        let (track, fragment, start) = self.layout[self.layout.partition_point(|(_, _, start)| *start <= at) - 1];
        let reference = &self.tracks[track].plan.fragments[fragment];
        let within = at - start;
        Some(Slice::File {
            file: reference.file,
            offset: reference.data_offset + within,
            length: reference.data_bytes as u64 - within,
        })
    }

    fn write_head(&self, out: &mut Vec<u8>, tables: impl Fn(usize, &mut Vec<u8>)) {
        write_box(out, b"ftyp", |out| out.extend_from_slice(b"isom\0\0\0\0isomiso4mp41"));
        write_box(out, b"moov", |out| {
            write_movie_header(out, self.duration_90k(), self.tracks.len() as u32 + 1);
            for (number, track) in self.tracks.iter().enumerate() {
                let track_box = TrackBox {
                    track_id: number as u32 + 1,
                    parameters: &track.plan.parameters,
                    movie_duration: track.edit.empty + track.edit.duration,
                    media_duration: track.media_duration(),
                    edit: Some(track.edit),
                };
                write_track(out, &track_box, |out| tables(number, out));
            }
        });
        put_u32(out, 1); // the size follows in 64 bits
        out.extend_from_slice(b"mdat");
        put_u64(out, MDAT_HEADER_BYTES + self.data_bytes);
    }
}

impl Track {
    /// None when the track has nothing in the interval.
    fn new(mut plan: TrackPlan, media_start: i64, media_end: i64) -> Result<Option<Self>> {
        plan.fragments
            .retain(|fragment| fragment.samples > 0 && fragment.data_bytes > 0);
        let (Some(first), Some(last)) = (plan.fragments.first(), plan.fragments.last()) else {
            return Ok(None);
        };
        let rate = plan.parameters.clock_rate;
        let base = first.media_time;
        let track_start = rescale(base, rate, MOVIE_TIMESCALE);
        let track_end = rescale(
            last.media_time.saturating_add_unsigned(last.duration),
            rate,
            MOVIE_TIMESCALE,
        );
        for pair in plan.fragments.windows(2) {
            let step = pair[1].media_time.checked_sub(pair[0].media_time);
            if !step.is_some_and(|step| (0..=u32::MAX as i64).contains(&step)) {
                let message = format!("{} follows {} after {step:?} ticks", pair[1].name(), pair[0].name());
                return Err(Error::new(ErrorKind::Invalid, message));
            }
        }
        let start = media_start.max(track_start);
        // With B-frames the last pictures may be shown after the last decoding time; the caller knows its end.
        let end = if plan.parameters.reorder_depth == 0 {
            media_end.min(track_end)
        } else {
            media_end
        };
        if end <= start || track_end <= media_start {
            return Ok(None);
        }
        let edit = fmp4::Edit {
            empty: (start - media_start) as u64,
            media_time: rescale(start, MOVIE_TIMESCALE, rate).saturating_sub(base).max(0),
            duration: (end - start) as u64,
        };
        let mut chunk_runs: Vec<(u32, u32)> = Vec::new();
        for (chunk, fragment) in plan.fragments.iter().enumerate() {
            if chunk_runs
                .last()
                .is_none_or(|(_, samples)| *samples != fragment.samples)
            {
                chunk_runs.push((chunk as u32 + 1, fragment.samples));
            }
        }
        let samples = plan.fragments.iter().map(|fragment| fragment.samples as u64).sum();
        let key_samples = plan.fragments.iter().map(|fragment| fragment.key_samples as u64).sum();
        let chunk_offsets = Vec::with_capacity(plan.fragments.len());
        Ok(Some(Self {
            plan,
            chunk_offsets,
            samples,
            key_samples,
            chunk_runs,
            edit,
        }))
    }

    /// Decoding time of the end of the last sample, from the first sample's.
    fn media_duration(&self) -> u64 {
        match (self.plan.fragments.first(), self.plan.fragments.last()) {
            (Some(first), Some(last)) => (last.media_time - first.media_time) as u64 + last.duration,
            _ => 0,
        }
    }

    fn has_composition(&self) -> bool {
        self.plan.parameters.reorder_depth > 0
    }

    /// Without stss every sample is a key sample.
    fn has_sync_table(&self) -> bool {
        self.key_samples < self.samples
    }

    /// Length of what `tables` returns.
    fn table_bytes(&self) -> u64 {
        let mut bytes = 16 + 8 * self.samples; // stts
        if self.has_composition() {
            bytes += 16 + 8 * self.samples; // ctts
        }
        if self.has_sync_table() {
            bytes += 16 + 4 * self.key_samples; // stss
        }
        bytes += 16 + 12 * self.chunk_runs.len() as u64; // stsc
        bytes += 20 + 4 * self.samples; // stsz
        bytes + 16 + 8 * self.plan.fragments.len() as u64 // co64
    }

    /// stts, ctts, stss, stsc, stsz and co64 (ISO/IEC 14496-12 §8.6, §8.7).
    fn tables(
        &self,
        head_bytes: u64,
        headers: &mut impl FnMut(&FragmentRef) -> Result<FragmentHeader>,
    ) -> Result<Vec<u8>> {
        let capacity = self.samples as usize;
        let (mut durations, mut sizes) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        let mut offsets = Vec::with_capacity(if self.has_composition() { capacity } else { 0 });
        let mut keys = Vec::with_capacity(self.key_samples as usize);
        let mut dts = self.plan.fragments.first().map_or(0, |fragment| fragment.media_time);
        for (number, fragment) in self.plan.fragments.iter().enumerate() {
            let header = headers(fragment)?;
            fragment.check(&header)?;
            let first = fragment.first_sample as usize;
            let disagree = || Error::malformed(format!("{}: its samples are not those indexed", fragment.name()));
            let used = header
                .samples
                .get(first..first + fragment.samples as usize)
                .ok_or_else(disagree)?;
            let data_bytes: u64 = used.iter().map(|sample| sample.size_bytes as u64).sum();
            if data_bytes != fragment.data_bytes as u64 {
                return Err(disagree());
            }
            let keys_before = keys.len();
            for (place, sample) in used.iter().enumerate() {
                if sample.key {
                    keys.push(sizes.len() as u32 + 1);
                }
                sizes.push(sample.size_bytes);
                if self.has_composition() {
                    offsets.push(sample.composition_offset);
                }
                // A fragment's last sample lasts until the next fragment: this is where a gap stays a gap, and where
                // an overlap is taken back.
                let duration = match self.plan.fragments.get(number + 1) {
                    Some(next) if place + 1 == used.len() => {
                        next.media_time.saturating_sub(dts).clamp(0, u32::MAX as i64) as u32
                    }
                    _ => sample.duration,
                };
                durations.push(duration);
                dts = dts.saturating_add(duration as i64);
            }
            if keys.len() - keys_before != fragment.key_samples as usize {
                return Err(disagree());
            }
        }
        let mut out = Vec::with_capacity(self.table_bytes() as usize);
        write_full_box(&mut out, b"stts", 0, 0, |out| {
            put_u32(out, durations.len() as u32);
            for duration in durations {
                put_u32(out, 1);
                put_u32(out, duration);
            }
        });
        if self.has_composition() {
            write_full_box(&mut out, b"ctts", 1, 0, |out| {
                put_u32(out, offsets.len() as u32);
                for offset in offsets {
                    put_u32(out, 1);
                    put_u32(out, offset as u32);
                }
            });
        }
        if self.has_sync_table() {
            write_full_box(&mut out, b"stss", 0, 0, |out| {
                put_u32(out, keys.len() as u32);
                keys.iter().for_each(|key| put_u32(out, *key));
            });
        }
        write_full_box(&mut out, b"stsc", 0, 0, |out| {
            put_u32(out, self.chunk_runs.len() as u32);
            for (first_chunk, samples) in &self.chunk_runs {
                put_u32(out, *first_chunk);
                put_u32(out, *samples);
                put_u32(out, 1); // sample_description_index
            }
        });
        write_full_box(&mut out, b"stsz", 0, 0, |out| {
            put_u32(out, 0); // sizes differ
            put_u32(out, sizes.len() as u32);
            sizes.iter().for_each(|size| put_u32(out, *size));
        });
        write_full_box(&mut out, b"co64", 0, 0, |out| {
            put_u32(out, self.chunk_offsets.len() as u32);
            self.chunk_offsets
                .iter()
                .for_each(|offset| put_u64(out, head_bytes + offset));
        });
        Ok(out)
    }
}

/// `time` in ticks of `from` per second as ticks of `to` per second, rounded to the nearest.
fn rescale(time: i64, from: u32, to: u32) -> i64 {
    if from == to {
        return time;
    }
    let (from, scaled) = (from as i128, time as i128 * to as i128);
    (scaled + from / 2)
        .div_euclid(from)
        .clamp(i64::MIN as i128, i64::MAX as i128) as i64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fmp4::{FragmentRead, Sample, fragment_header, read_fragment_header};
    use crate::track::Codec;
    use proptest::prelude::*;

    fn video(reorder_depth: u8) -> TrackParameters {
        TrackParameters {
            codec: Codec::H264,
            clock_rate: 90_000,
            configuration: bytes::Bytes::from_static(&[1, 66, 0, 30, 255, 224, 0]),
            width: 64,
            height: 48,
            channels: 0,
            reorder_depth,
            fps_milli: 0,
        }
    }

    fn audio() -> TrackParameters {
        TrackParameters {
            codec: Codec::PcmA,
            clock_rate: 8_000,
            width: 0,
            height: 0,
            channels: 1,
            ..video(0)
        }
    }

    /// A file of fragments as a recorder lays them out, with the references that an index gives.
    #[derive(Default)]
    struct File {
        bytes: Vec<u8>,
        references: Vec<FragmentRef>,
    }

    impl File {
        fn add(&mut self, track: u8, media_time: i64, samples: &[Sample]) {
            let header = fragment_header(self.references.len() as u32, track, media_time as u64, samples);
            let data_bytes: u32 = samples.iter().map(|sample| sample.size_bytes).sum();
            let record = index::Fragment {
                track,
                samples: samples.len() as u16,
                key_samples: samples.iter().filter(|sample| sample.key).count() as u16,
                media_time,
                duration: samples.iter().map(|sample| sample.duration).sum(),
                size_bytes: header.len() as u32 + data_bytes,
                offset: self.bytes.len() as u64,
                moof_bytes: header.len() as u32,
                ..Default::default()
            };
            self.references.push(FragmentRef::whole(9, &record, 0));
            self.bytes.extend_from_slice(&header);
            for (number, sample) in samples.iter().enumerate() {
                self.bytes.extend(std::iter::repeat_n(
                    16 * track + number as u8,
                    sample.size_bytes as usize,
                ));
            }
        }

        fn header(&self, reference: &FragmentRef) -> FragmentHeader {
            match read_fragment_header(&self.bytes[reference.offset as usize..]).unwrap() {
                FragmentRead::Whole(header) => header,
                FragmentRead::NeedBytes(_) => panic!("torn"),
            }
        }

        fn movie_bytes(&self, movie: &Movie) -> Vec<u8> {
            let head = movie.tables(|reference| Ok(self.header(reference))).unwrap();
            let mut bytes = Vec::new();
            while let Some(slice) = movie.slice_at(bytes.len() as u64) {
                let (source, offset, length) = match slice {
                    Slice::Head { offset, length } => (&head, offset, length),
                    Slice::File { file, offset, length } => {
                        assert_eq!(file, 9);
                        (&self.bytes, offset, length)
                    }
                };
                bytes.extend_from_slice(&source[offset as usize..][..length as usize]);
            }
            bytes
        }
    }

    fn sample(duration: u32, size_bytes: u32, key: bool) -> Sample {
        Sample {
            duration,
            size_bytes,
            key,
            composition_offset: 0,
        }
    }

    /// The body of the first box of `kind`, by search.
    fn table<'a>(movie: &'a [u8], kind: &[u8; 4]) -> &'a [u8] {
        let at = movie.windows(4).position(|window| window == kind).unwrap();
        let size = u32::from_be_bytes(movie[at - 4..at].try_into().unwrap()) as usize;
        &movie[at + 4..at - 4 + size]
    }

    fn numbers(body: &[u8]) -> Vec<u32> {
        body.chunks_exact(4)
            .map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()))
            .collect()
    }

    fn plan(parameters: TrackParameters, fragments: &[FragmentRef]) -> TrackPlan {
        TrackPlan {
            parameters,
            fragments: fragments.to_vec(),
        }
    }

    #[test]
    fn tables_name_the_very_bytes_and_gaps_stay() {
        let mut file = File::default();
        file.add(0, 0, &[sample(3000, 5, true), sample(3000, 2, false)]);
        file.add(0, 90_000, &[sample(3000, 3, false), sample(3000, 4, true)]);
        let movie = Movie::new(vec![plan(video(0), &file.references)], 3000, 93_000).unwrap();
        let bytes = file.movie_bytes(&movie);
        assert_eq!(bytes.len() as u64, movie.size_bytes());
        assert_eq!(
            numbers(table(&bytes, b"stts"))[1..],
            [4, 1, 3000, 1, 87_000, 1, 3000, 1, 3000]
        );
        assert_eq!(numbers(table(&bytes, b"stsz"))[1..], [0, 4, 5, 2, 3, 4]);
        assert_eq!(numbers(table(&bytes, b"stss"))[1..], [2, 1, 4]);
        assert_eq!(numbers(table(&bytes, b"stsc"))[1..], [1, 1, 2, 1]);
        let head = movie.head_bytes() as u32;
        assert_eq!(numbers(table(&bytes, b"co64"))[1..], [2, 0, head, 0, head + 7]);
        assert_eq!(bytes[head as usize..], [0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1]);
        // One edit: 93,000 movie ticks from media time 3,000.
        assert_eq!(numbers(table(&bytes, b"elst"))[1..], [1, 0, 93_000, 0, 3000, 0x1_0000]);
        assert!(!bytes.windows(4).any(|window| window == b"ctts"));
    }

    #[test]
    fn trimming_starts_at_the_key_frame_and_ends_before_the_end() {
        let mut file = File::default();
        let mut samples = [
            sample(3000, 5, false),
            sample(3000, 2, true),
            sample(3000, 3, false),
            sample(3000, 4, false),
        ];
        samples[2].composition_offset = -6000;
        file.add(0, 30_000, &samples);
        let whole = file.references[0];
        let header = file.header(&whole);
        assert_eq!(whole.last_key_until(&header, 33_000), Some(1));
        assert_eq!(whole.last_key_until(&header, 32_999), None);
        assert_eq!(whole.samples_before(&header, 39_000), 3);
        assert_eq!(whole.samples_before(&header, 39_001), 4);
        assert_eq!(whole.samples_before(&header, 30_001), 3, "decoded late, shown early");
        assert_eq!(whole.samples_before(&header, 30_000), 0);
        let trimmed = whole.trim(&header, 1..3).unwrap();
        assert_eq!((trimmed.samples, trimmed.key_samples, trimmed.data_bytes), (2, 1, 5));
        assert_eq!((trimmed.media_time, trimmed.duration), (33_000, 6000));
        let movie = Movie::new(vec![plan(video(1), &[trimmed])], 33_000, 6000).unwrap();
        let bytes = file.movie_bytes(&movie);
        assert_eq!(bytes[movie.head_bytes() as usize..], [1, 1, 2, 2, 2]);
        assert_eq!(
            numbers(table(&bytes, b"ctts")),
            [0x0100_0000, 2, 1, 0, 1, -6000i32 as u32]
        );
        assert!(whole.trim(&header, 2..5).is_err());
    }

    #[test]
    fn a_track_that_starts_later_waits_in_an_empty_edit() {
        let mut file = File::default();
        file.add(0, 0, &[sample(90_000, 5, true), sample(90_000, 5, false)]);
        file.add(1, 4000, &[sample(8000, 6, true), sample(8000, 6, true)]);
        let tracks = vec![
            plan(video(0), &file.references[..1]),
            plan(audio(), &file.references[1..]),
        ];
        let movie = Movie::new(tracks.clone(), 0, 180_000).unwrap();
        let bytes = file.movie_bytes(&movie);
        let audio_part = &bytes[bytes.windows(4).rposition(|window| window == b"trak").unwrap()..];
        let empty = [2, 0, 45_000, u32::MAX, u32::MAX, 0x1_0000];
        assert_eq!(numbers(table(audio_part, b"elst"))[1..7], empty);
        assert_eq!(numbers(table(audio_part, b"elst"))[7..], [0, 135_000, 0, 0, 0x1_0000]);
        assert!(
            !audio_part[..movie.head_bytes() as usize / 3]
                .windows(4)
                .any(|window| window == b"stss")
        );
        // From 1 s on: the sound's first half second is cut, exactly.
        let movie = Movie::new(tracks.clone(), 90_000, 90_000).unwrap();
        let bytes = file.movie_bytes(&movie);
        let audio_part = &bytes[bytes.windows(4).rposition(|window| window == b"trak").unwrap()..];
        assert_eq!(
            numbers(table(audio_part, b"elst"))[1..],
            [1, 0, 90_000, 0, 4000, 0x1_0000]
        );
        // Before the sound begins there is no sound track.
        let movie = Movie::new(tracks, 0, 45_000).unwrap();
        assert_eq!(
            file.movie_bytes(&movie)
                .windows(4)
                .filter(|window| window == b"trak")
                .count(),
            1
        );
    }

    #[test]
    fn the_end_is_the_end_of_what_is_recorded() {
        let mut file = File::default();
        file.add(0, 900_000, &[sample(3000, 5, true), sample(3000, 5, false)]);
        let tracks = vec![plan(video(0), &file.references)];
        let movie = Movie::new(tracks.clone(), 900_000, 90_000).unwrap();
        assert_eq!(movie.duration_90k(), 6000);
        assert_eq!(
            Movie::new(tracks.clone(), 906_000, 90_000).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(Movie::new(tracks, 0, 900_000).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(
            Movie::new(vec![plan(video(0), &[])], 0, 1).unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(Movie::new(vec![], 0, 1).unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn overlapping_fragments_do_not_shift_what_follows() {
        let mut file = File::default();
        for time in [0, 5000, 12_000] {
            file.add(0, time, &[sample(3000, 1, true), sample(3000, 1, true)]);
        }
        let movie = Movie::new(vec![plan(video(0), &file.references)], 0, 90_000).unwrap();
        let durations: Vec<u32> = numbers(table(&file.movie_bytes(&movie), b"stts"))[2..]
            .chunks(2)
            .map(|run| run[1])
            .collect();
        assert_eq!(durations, [3000, 2000, 3000, 4000, 3000, 3000]);
    }

    #[test]
    fn fragments_out_of_order_or_too_far_apart_are_invalid() {
        let mut file = File::default();
        file.add(0, 0, &[sample(3000, 1, true)]);
        let late = FragmentRef {
            media_time: 1 << 32,
            ..file.references[0]
        };
        for fragments in [[file.references[0], late], [late, file.references[0]]] {
            let error = Movie::new(vec![plan(video(0), &fragments)], 0, 1 << 34).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        }
    }

    #[test]
    fn headers_that_differ_from_the_index_are_malformed() {
        let mut file = File::default();
        file.add(0, 0, &[sample(3000, 4, true), sample(3000, 4, false)]);
        let header = file.header(&file.references[0]);
        let movie = Movie::new(vec![plan(video(0), &file.references)], 0, 6000).unwrap();
        let tables = |change: fn(&mut FragmentHeader)| {
            movie.tables(|_| {
                let mut header = header.clone();
                change(&mut header);
                Ok(header)
            })
        };
        assert!(tables(|_| ()).is_ok());
        for change in [
            (|header| header.moof_bytes += 1) as fn(&mut FragmentHeader),
            |header| header.samples.truncate(1),
            |header| header.samples[0].size_bytes = 5,
            |header| header.samples[1].key = true,
        ] {
            assert_eq!(tables(change).unwrap_err().kind(), ErrorKind::Malformed);
        }
        assert!(
            file.references[0]
                .trim(
                    &FragmentHeader {
                        moof_bytes: 1,
                        ..header.clone()
                    },
                    0..1
                )
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn every_byte_is_where_the_tables_say(
            fragments in proptest::collection::vec((0u8..2, 1usize..5, 0i64..4000, 1u32..9), 1..12), depth in 0u8..2,
        ) {
            let mut file = File::default();
            let mut time = 0;
            for (track, count, gap, size) in &fragments {
                let rate = if *track == 0 { 1 } else { 8_000 };
                let samples: Vec<_> = (0..*count).map(|n| sample(300, size + n as u32, n == 0 || *track == 1)).collect();
                // Audio times count 1/8000 s; what matters here is only that each track's own times grow.
                file.add(*track, time / rate, &samples);
                time += gap + 300 * *count as i64 * 8_000;
            }
            let of = |track: u8| -> Vec<FragmentRef> {
                file.references.iter().zip(&fragments).filter(|(_, f)| f.0 == track).map(|(r, _)| *r).collect()
            };
            let movie = Movie::new(vec![plan(video(depth), &of(0)), plan(audio(), &of(1))], 0, 1 << 40);
            prop_assume!(movie.is_ok());
            let movie = movie.unwrap();
            let bytes = file.movie_bytes(&movie);
            prop_assert_eq!(bytes.len() as u64, movie.size_bytes());
            prop_assert!(movie.slice_at(movie.size_bytes()).is_none());
            // Each chunk of the first track begins with its fragment's first sample.
            let offsets: Vec<usize> = numbers(table(&bytes, b"co64"))[2..].chunks(2).map(|pair| pair[1] as usize).collect();
            for (offset, reference) in offsets.iter().zip(of(0)) {
                let length = reference.data_bytes as usize;
                prop_assert_eq!(&bytes[*offset..][..length], &file.bytes[reference.data_offset as usize..][..length]);
            }
        }
    }
}
