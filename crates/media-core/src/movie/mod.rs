//! A virtual progressive MP4 over fragments of recordings: what `playback.mp4` and an export serve.
//!
//! Its head (ftyp, moov, mdat header) is made on demand; its mdat is the samples' data where they lie in the recorded
//! files. The length and every offset follow from index records alone, because the tables have one entry per sample
//! (stts, stsz, ctts), key sample (stss) or fragment (co64): no moof is read before the head itself is wanted.
//!
//! Each track has one sample entry; where parameters change the movie ends (the caller starts another).

mod fragment_ref;
mod tables;

use tables::Tables;

pub use fragment_ref::{FragmentRef, list_first_key_only, select};

use crate::error::{Error, ErrorKind, Result};
use crate::fmp4::boxes::{put_u32, put_u64, write_box};
use crate::fmp4::{self, FragmentHeader, MOVIE_TIMESCALE, TrackBox, sample_entry, write_movie_header, write_track};
use crate::track::TrackParameters;

/// ftyp, the first bytes of every movie's head: they can be sent before any table is made.
pub const FTYP: &[u8; 28] = b"\0\0\0\x1cftypisom\0\0\0\0isomiso4mp41";
/// Length of the mdat header: always the 64-bit form, so that it does not depend on what follows.
const MDAT_HEADER_BYTES: u64 = 16;
/// Most bytes of tables in one movie; 4 GiB is the limit of the moov's size field.
const MAX_TABLE_BYTES: u64 = 1 << 31;

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
        movie.write_head(&mut frame, &[]);
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
        self.write_head(&mut head, &tables);
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

    /// Appends the head; without `tables`, what of its length does not depend on them.
    fn write_head(&self, out: &mut Vec<u8>, tables: &[Tables]) {
        out.extend_from_slice(FTYP);
        write_box(out, b"moov", |out| {
            write_movie_header(out, self.duration_90k(), self.tracks.len() as u32 + 1);
            for (number, track) in self.tracks.iter().enumerate() {
                let tables = tables.get(number);
                let shift = tables.map_or(0, |tables| tables.composition_shift);
                let edit = fmp4::Edit {
                    media_time: track.edit.media_time + shift,
                    ..track.edit
                };
                let track_box = TrackBox {
                    track_id: number as u32 + 1,
                    parameters: &track.plan.parameters,
                    movie_duration: track.edit.empty + track.edit.duration,
                    media_duration: track.media_duration(),
                    edit: Some(edit),
                };
                write_track(out, &track_box, |out| {
                    out.extend_from_slice(tables.map_or(&[], |tables| &tables.bytes))
                });
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
mod tests;
