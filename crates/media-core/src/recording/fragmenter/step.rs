//! What the fragmenter tells the recorder to do.

use super::{ticks_to_us, utc_of_dts_us};
use crate::index::GapCause;
use crate::{AccessUnit, TrackParameters};
use std::sync::Arc;

/// Why a file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileReason {
    /// Recording starts.
    Start,
    /// A new UTC hour.
    Hour,
    /// It is as long as files shall be, or files shall be of another length from now on.
    Length,
    /// The parameters of a track changed.
    Parameters,
    /// A track appeared.
    Track,
    /// The decoding time of a track went back.
    DecodingTime,
    /// The server's clock stepped, or the camera's clock was read anew.
    ClockStep,
}

/// A file to be made, stated with its first fragment.
#[derive(Debug, Clone)]
pub struct FileStart {
    /// Counts the files of this fragmenter from 1.
    pub file: u64,
    /// Server time of the first video sample (at its decoding time), µs.
    pub start_us: i64,
    /// Decoding time of the first video sample, absolute ticks of 1/90,000 s: media time 0.
    pub origin_90k: i64,
    /// Video first, then audio if there is any; all of codecs that the container carries.
    pub tracks: Vec<Arc<TrackParameters>>,
    /// Why the file before it could not go on.
    pub reason: FileReason,
}

/// Units of one track that are written together.
#[derive(Debug, Clone)]
pub struct Fragment {
    /// The file they belong to.
    pub file: u64,
    /// 0 video, 1 audio.
    pub track: u8,
    /// In decoding order, at least one.
    pub units: Vec<Arc<AccessUnit>>,
    /// Duration of the last unit, ticks of its track's clock; the others last until the next one's decoding time.
    pub last_duration: u32,
    /// Time is missing, or may be, before the first unit.
    pub discontinuity: bool,
    /// Why, should there turn out to be a gap before it.
    pub cause: GapCause,
}

impl Fragment {
    /// Decoding time of the first unit, absolute ticks of its track's clock.
    pub fn first_dts(&self) -> i64 {
        self.units.first().map_or(0, |u| u.dts)
    }

    /// Server time of the first unit at its decoding time, µs.
    pub fn start_us(&self) -> i64 {
        self.units.first().map_or(0, |u| utc_of_dts_us(u))
    }

    /// Ticks from the first unit's decoding time to the last one's end.
    pub fn duration(&self) -> u32 {
        let spread = self.units.last().map_or(0, |u| u.dts.saturating_sub(self.first_dts()));
        u32::try_from(spread)
            .unwrap_or(u32::MAX)
            .saturating_add(self.last_duration)
    }

    /// Server time of the end of the last unit, µs.
    pub fn end_us(&self) -> i64 {
        let rate = self.units.first().map_or(1, |u| u.parameters.clock_rate);
        self.start_us()
            .saturating_add(ticks_to_us(i64::from(self.duration()), rate))
    }

    /// Payload bytes.
    pub fn size_bytes(&self) -> usize {
        self.units.iter().map(|u| u.data.len()).sum()
    }

    /// Duration of each unit in ticks.
    pub fn durations(&self) -> impl Iterator<Item = u32> + '_ {
        let gaps = self
            .units
            .windows(2)
            .map(|pair| u32::try_from(pair[1].dts.saturating_sub(pair[0].dts)).unwrap_or(0));
        gaps.chain(std::iter::once(self.last_duration))
    }
}

/// What the recorder has to do next.
#[derive(Debug, Clone)]
pub enum Step {
    /// Make a file; its first fragment follows.
    Open(FileStart),
    /// Append to a file that was opened before.
    Fragment(Fragment),
    /// Nothing more comes for this file.
    Close {
        /// The number it was opened with.
        file: u64,
    },
}
