//! Cuts a stream of access units into fragments and files.
//!
//! A fragment holds the units of one track and ends before the unit that makes it `fragment_us` long, so that every
//! sample's duration is known; it is not aligned to key frames. A file ends with its UTC hour, when parameters change,
//! when a track appears, when the decoding time goes back or when the server's clock steps.

use crate::recording::file_name::HOUR_US;
use crate::{AccessUnit, TrackKind, TrackParameters};
use std::collections::VecDeque;
use std::sync::Arc;

/// Longest time without a sample that still counts as recorded, µs.
pub const GAP_US: i64 = 200_000;

/// A change of the distance between server time and media time that makes a new file, µs: within a file both agree to
/// this much, so a timeline in server time and a presentation in media time show the same.
pub const CLOCK_STEP_US: i64 = 500_000;

/// Units of one fragment at most: the index counts them in 16 bits.
const FRAGMENT_MAX_UNITS: usize = 16_384;

/// An audio track not heard for this long is left out of the next file, µs.
const AUDIO_SILENT_US: i64 = 10_000_000;

/// Audio behind the last recorded by more than this is a clock that jumped back; less is a repeat and is dropped, µs.
const AUDIO_REPEAT_US: i64 = 1_000_000;

/// A closed file waits at most this long for audio that belongs before its end, µs.
const AUDIO_LINGER_US: i64 = 2_000_000;

/// Sizes of what the fragmenter makes.
#[derive(Debug, Clone, Copy)]
pub struct FragmenterOptions {
    /// A fragment is cut before the unit that makes it at least this long, µs.
    pub fragment_us: i64,
    /// A fragment is cut when its units reach this size.
    pub fragment_max_bytes: usize,
    /// At the start, and after the camera was lost, units are held back until a key frame, for this long at most: a
    /// stream without key frames (intra refresh) is then recorded from the first unit held.
    pub key_wait_us: i64,
    /// Units held back while waiting for a key frame, at most.
    pub key_wait_max_bytes: usize,
}

impl Default for FragmenterOptions {
    fn default() -> Self {
        Self {
            fragment_us: 500_000,
            fragment_max_bytes: 8 << 20,
            key_wait_us: 12_000_000,
            key_wait_max_bytes: 16 << 20,
        }
    }
}

/// Why nothing was recorded for a while; the numbers of the index's gap records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapCause {
    /// Not known: an older process was killed.
    Unknown,
    /// The camera sent nothing.
    Camera,
    /// The connection was lost, or packets on the way.
    Network,
    /// The disk was full, read-only or failing.
    Disk,
    /// Recording was switched off, or the server stopped.
    Stop,
    /// The server could not keep up.
    Overload,
}

impl GapCause {
    /// The number in the index.
    pub fn code(self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::Camera => 1,
            Self::Network => 2,
            Self::Disk => 3,
            Self::Stop => 4,
            Self::Overload => 5,
        }
    }

    /// The cause of a number in the index; numbers of later versions are unknown causes.
    pub fn from_code(code: u32) -> Self {
        match code {
            1 => Self::Camera,
            2 => Self::Network,
            3 => Self::Disk,
            4 => Self::Stop,
            5 => Self::Overload,
            _ => Self::Unknown,
        }
    }

    /// Lower-case name used by the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Camera => "camera",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Stop => "stop",
            Self::Overload => "overload",
        }
    }
}

/// Why a file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileReason {
    /// Recording starts.
    Start,
    /// A new UTC hour.
    Hour,
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

/// µs of `ticks` at `clock_rate` per second, without overflow at absolute times.
pub fn ticks_to_us(ticks: i64, clock_rate: u32) -> i64 {
    (i128::from(ticks) * 1_000_000).div_euclid(i128::from(clock_rate.max(1))) as i64
}

/// `ticks` at `from` per second as ticks at `to` per second, rounded down.
pub fn rescale(ticks: i64, from: u32, to: u32) -> i64 {
    (i128::from(ticks) * i128::from(to)).div_euclid(i128::from(from.max(1))) as i64
}

/// Server time of a unit's decoding time, µs.
pub fn utc_of_dts_us(unit: &AccessUnit) -> i64 {
    unit.utc_us.saturating_sub(ticks_to_us(
        unit.pts.saturating_sub(unit.dts),
        unit.parameters.clock_rate,
    ))
}

/// Server time minus media time of a unit, µs.
fn skew_us(unit: &AccessUnit) -> i64 {
    unit.utc_us
        .saturating_sub(ticks_to_us(unit.pts, unit.parameters.clock_rate))
}

/// The usual distance between two units of a track: the median of the last few.
#[derive(Default)]
struct Cadence {
    intervals: VecDeque<u32>,
}

const CADENCE_INTERVALS: usize = 8;

impl Cadence {
    fn note(&mut self, interval: u32) {
        if self.intervals.len() == CADENCE_INTERVALS {
            self.intervals.pop_front();
        }
        self.intervals.push_back(interval);
    }

    /// Ticks; from the parameters, or 40 ms, as long as nothing was seen.
    fn usual(&self, parameters: &TrackParameters) -> u32 {
        let count = self.intervals.len();
        if count > 0 {
            let mut sorted = [u32::MAX; CADENCE_INTERVALS];
            for (slot, interval) in sorted.iter_mut().zip(&self.intervals) {
                *slot = *interval;
            }
            sorted.sort_unstable();
            return sorted[(count - 1) / 2];
        }
        match parameters.fps_milli {
            fps @ 1_000..=240_000 => (u64::from(parameters.clock_rate) * 1_000 / u64::from(fps)) as u32,
            _ => parameters.clock_rate / 25,
        }
    }
}

/// Units of one track that wait for their fragment's end.
#[derive(Default)]
struct Pending {
    units: Vec<Arc<AccessUnit>>,
    bytes: usize,
    discontinuity: bool,
    cause: Option<GapCause>,
    capacity: usize,
}

impl Pending {
    fn add(&mut self, unit: &Arc<AccessUnit>) {
        if self.units.is_empty() {
            self.units.reserve_exact(self.capacity);
        }
        self.bytes += unit.data.len();
        self.units.push(unit.clone());
    }

    fn take(&mut self, file: u64, track: u8, last_duration: u32) -> Fragment {
        // One more than last time: the next fragment's vector then rarely grows.
        self.capacity = (self.units.len() + 1).min(FRAGMENT_MAX_UNITS);
        self.bytes = 0;
        Fragment {
            file,
            track,
            units: std::mem::take(&mut self.units),
            last_duration,
            discontinuity: std::mem::take(&mut self.discontinuity),
            cause: self.cause.take().unwrap_or(GapCause::Camera),
        }
    }
}

struct OpenFile {
    number: u64,
    hour: i64,
    reason: FileReason,
    start_us: i64,
    origin_90k: i64,
    /// True when `Step::Open` was given: the tracks are fixed.
    opened: bool,
    video: Arc<TrackParameters>,
    audio: Option<Arc<TrackParameters>>,
    video_pending: Pending,
    audio_pending: Pending,
    audio_last_dts: Option<i64>,
    /// End of the last video and audio fragment, in their ticks: nothing earlier can be appended.
    video_written_to: i64,
    audio_written_to: i64,
}

impl OpenFile {
    fn open(&mut self, steps: &mut Vec<Step>) {
        if self.opened {
            return;
        }
        self.opened = true;
        let mut tracks = vec![self.video.clone()];
        tracks.extend(self.audio.clone());
        steps.push(Step::Open(FileStart {
            file: self.number,
            start_us: self.start_us,
            origin_90k: self.origin_90k,
            tracks,
            reason: self.reason,
        }));
    }

    fn cut_video(&mut self, last_duration: u32, steps: &mut Vec<Step>) {
        if !self.video_pending.units.is_empty() {
            self.open(steps);
            let fragment = self.video_pending.take(self.number, 0, last_duration);
            self.video_written_to = fragment.first_dts().saturating_add(i64::from(fragment.duration()));
            steps.push(Step::Fragment(fragment));
        }
    }

    fn cut_audio(&mut self, last_duration: u32, steps: &mut Vec<Step>) {
        if !self.audio_pending.units.is_empty() {
            self.open(steps);
            let fragment = self.audio_pending.take(self.number, 1, last_duration);
            self.audio_written_to = fragment.first_dts().saturating_add(i64::from(fragment.duration()));
            steps.push(Step::Fragment(fragment));
        }
    }
}

/// One stream's fragmenter: units in, steps out.
pub struct Fragmenter {
    options: FragmenterOptions,
    files: u64,
    current: Option<OpenFile>,
    /// The file before `current` and the media time (audio ticks) up to which its audio may still come.
    closing: Option<(OpenFile, i64)>,
    /// Held back until a key frame.
    waiting: Option<Vec<Arc<AccessUnit>>>,
    waiting_bytes: usize,
    /// The stream has shown a key frame: it is worth waiting for the next one.
    key_seen: bool,
    last_video: Option<Arc<AccessUnit>>,
    video_cadence: Cadence,
    audio_cadence: Cadence,
    audio: Option<(Arc<TrackParameters>, bool)>,
    audio_heard_us: i64,
    /// A new file has to begin with the next video unit, and why.
    renew: Option<FileReason>,
    /// The camera was lost since the last unit.
    interrupted: bool,
    /// Why nothing came before the next unit.
    cause: Option<GapCause>,
    audio_dropped: u64,
    recordable: fn(&TrackParameters) -> bool,
}

impl Fragmenter {
    /// A fragmenter that has seen nothing; `recordable` says whether the container carries a track.
    pub fn new(options: FragmenterOptions, recordable: fn(&TrackParameters) -> bool) -> Self {
        Self {
            options,
            files: 0,
            current: None,
            closing: None,
            waiting: Some(Vec::new()),
            waiting_bytes: 0,
            key_seen: false,
            last_video: None,
            video_cadence: Cadence::default(),
            audio_cadence: Cadence::default(),
            audio: None,
            audio_heard_us: i64::MIN,
            renew: None,
            interrupted: false,
            cause: None,
            audio_dropped: 0,
            recordable,
        }
    }

    /// Audio units left out: before the video began, repeated, or between two files.
    pub fn audio_dropped(&self) -> u64 {
        self.audio_dropped
    }

    /// True as long as units are held back for a key frame.
    pub fn waits_for_key(&self) -> bool {
        self.waiting.is_some()
    }

    /// Takes the next unit and appends to `steps` what it makes due. Metadata (track 2) is not recorded yet.
    pub fn push(&mut self, unit: &Arc<AccessUnit>, steps: &mut Vec<Step>) {
        if unit.data.is_empty() {
            return;
        }
        match unit.parameters.codec.kind() {
            TrackKind::Video if unit.track == 0 => {
                if self.waiting.is_some() {
                    self.wait_for_key(unit, steps);
                } else {
                    self.push_video(unit, steps);
                }
            }
            TrackKind::Audio => self.push_audio(unit, steps),
            _ => {}
        }
    }

    /// Cuts what is pending: the camera is lost. Units may follow; the first of them starts with a key frame.
    pub fn interrupt(&mut self, cause: GapCause, steps: &mut Vec<Step>) {
        self.release_closing(steps);
        let held = self.waiting.take().unwrap_or_default();
        self.waiting_bytes = 0;
        if !self.key_seen {
            // As far as we know this stream has no key frames. Else what was held back cannot be decoded: let it go.
            for unit in held {
                self.push_video(&unit, steps);
            }
        }
        self.cut_pending(steps);
        self.interrupted = true;
        self.cause = Some(cause);
        self.waiting = (self.key_seen || self.last_video.is_none()).then(Vec::new);
    }

    /// Cuts what is pending and closes the file: recording stops.
    pub fn finish(&mut self, steps: &mut Vec<Step>) {
        self.interrupt(GapCause::Stop, steps);
        if let Some(file) = self.current.take().filter(|f| f.opened) {
            steps.push(Step::Close { file: file.number });
        }
        self.last_video = None;
    }

    fn wait_for_key(&mut self, unit: &Arc<AccessUnit>, steps: &mut Vec<Step>) {
        let Some(held) = &mut self.waiting else { return };
        if unit.key {
            self.waiting = None;
            self.waiting_bytes = 0;
            self.push_video(unit, steps);
            return;
        }
        self.waiting_bytes += unit.data.len();
        held.push(unit.clone());
        let waited_us = unit
            .utc_us
            .saturating_sub(held.first().map_or(unit.utc_us, |u| u.utc_us));
        // A clock that stepped back must not make the wait endless: the bytes bound it too.
        if waited_us >= self.options.key_wait_us || self.waiting_bytes >= self.options.key_wait_max_bytes {
            self.waiting_bytes = 0;
            for unit in self.waiting.take().unwrap_or_default() {
                self.push_video(&unit, steps);
            }
        }
    }

    fn push_video(&mut self, unit: &Arc<AccessUnit>, steps: &mut Vec<Step>) {
        self.key_seen |= unit.key;
        let broken = std::mem::take(&mut self.interrupted) | unit.discontinuity;
        let reason = self.reason_for_new_file(unit);
        if let Some(reason) = reason {
            let last_duration = self.last_duration(unit, broken || !continues(reason)).0;
            self.end_file(unit, last_duration, reason, steps);
            self.begin_file(unit, reason, broken);
        }
        let (last_duration, gap) = self.last_duration(unit, broken);
        let options = self.options;
        let Some(file) = &mut self.current else { return };
        let pending = &mut file.video_pending;
        if let Some(first) = pending.units.first() {
            let spread_us = ticks_to_us(unit.dts.saturating_sub(first.dts), unit.parameters.clock_rate);
            let full = spread_us >= options.fragment_us
                || pending.bytes >= options.fragment_max_bytes
                || pending.units.len() >= FRAGMENT_MAX_UNITS;
            if gap || full {
                file.cut_video(last_duration, steps);
            }
        }
        let pending = &mut file.video_pending;
        if pending.units.is_empty() {
            pending.discontinuity |= gap || broken;
            let lossy = if unit.lost_packets > 0 {
                GapCause::Network
            } else {
                GapCause::Camera
            };
            pending.cause = Some(self.cause.take().unwrap_or(lossy));
        }
        pending.add(unit);
        if let Some(last) = &self.last_video
            && !broken
            && let Ok(interval) = u32::try_from(unit.dts.saturating_sub(last.dts))
            && interval > 0
        {
            self.video_cadence.note(interval);
        }
        self.last_video = Some(unit.clone());
        if let Some((_, boundary)) = &self.closing
            && let Some((audio, _)) = &self.audio
            && rescale(unit.dts, unit.parameters.clock_rate, audio.clock_rate).saturating_sub(*boundary)
                > rescale(AUDIO_LINGER_US, 1_000_000, audio.clock_rate)
        {
            self.release_closing(steps);
        }
    }

    /// Duration in ticks of the video unit before `unit`, and whether there is a gap between them.
    fn last_duration(&self, unit: &AccessUnit, broken: bool) -> (u32, bool) {
        let Some(last) = &self.last_video else {
            return (0, broken);
        };
        let interval = u32::try_from(unit.dts.saturating_sub(last.dts)).unwrap_or(0);
        let gap_ticks = gap_ticks(&last.parameters);
        if !broken && interval > 0 && i64::from(interval) <= gap_ticks {
            return (interval, false);
        }
        let usual = self.video_cadence.usual(&last.parameters);
        if broken || interval == 0 || i64::from(interval) - i64::from(usual) > gap_ticks {
            // The last picture lasts as long as usual, but never into what follows.
            return (if interval == 0 { usual } else { usual.min(interval) }, true);
        }
        (interval, false)
    }

    fn reason_for_new_file(&self, unit: &AccessUnit) -> Option<FileReason> {
        let Some(file) = &self.current else {
            return Some(FileReason::Start);
        };
        if let Some(reason) = self.renew {
            return Some(reason);
        }
        if !Arc::ptr_eq(&file.video, &unit.parameters) && !same_track(&file.video, &unit.parameters) {
            return Some(FileReason::Parameters);
        }
        if let Some(last) = &self.last_video {
            if unit.dts <= last.dts || unit.dts < file.video_written_to {
                return Some(FileReason::DecodingTime);
            }
            if (skew_us(unit).saturating_sub(skew_us(last))).saturating_abs() > CLOCK_STEP_US {
                return Some(FileReason::ClockStep);
            }
        }
        (utc_of_dts_us(unit).div_euclid(HOUR_US) != file.hour).then_some(FileReason::Hour)
    }

    /// Cuts the video of the current file before `unit`, and closes it unless audio may still belong to it.
    fn end_file(&mut self, unit: &AccessUnit, last_duration: u32, reason: FileReason, steps: &mut Vec<Step>) {
        self.release_closing(steps);
        let Some(mut file) = self.current.take() else { return };
        file.cut_video(last_duration, steps);
        match &file.audio {
            Some(audio) if continues(reason) => {
                let boundary = rescale(unit.dts, unit.parameters.clock_rate, audio.clock_rate);
                self.closing = Some((file, boundary));
            }
            _ => {
                self.closing = Some((file, i64::MIN));
                self.release_closing(steps);
            }
        }
    }

    fn begin_file(&mut self, unit: &Arc<AccessUnit>, reason: FileReason, broken: bool) {
        self.files += 1;
        self.renew = None;
        if broken || !continues(reason) {
            self.last_video = None;
        }
        let start_us = utc_of_dts_us(unit);
        // A track that has fallen silent would only leave an empty track in the file.
        let heard = start_us.saturating_sub(self.audio_heard_us).saturating_abs() <= AUDIO_SILENT_US;
        self.current = Some(OpenFile {
            number: self.files,
            hour: start_us.div_euclid(HOUR_US),
            reason,
            start_us,
            origin_90k: rescale(unit.dts, unit.parameters.clock_rate, 90_000),
            opened: false,
            video: unit.parameters.clone(),
            audio: self
                .audio
                .as_ref()
                .filter(|(_, recordable)| *recordable && heard)
                .map(|(p, _)| p.clone()),
            video_pending: Pending {
                discontinuity: broken || !continues(reason),
                ..Pending::default()
            },
            audio_pending: Pending::default(),
            audio_last_dts: None,
            video_written_to: i64::MIN,
            audio_written_to: i64::MIN,
        });
    }

    fn push_audio(&mut self, unit: &Arc<AccessUnit>, steps: &mut Vec<Step>) {
        let known = self
            .audio
            .as_ref()
            .is_some_and(|(p, _)| Arc::ptr_eq(p, &unit.parameters) || **p == *unit.parameters);
        if !known {
            self.audio = Some((unit.parameters.clone(), (self.recordable)(&unit.parameters)));
            self.audio_cadence = Cadence::default();
        }
        if !matches!(self.audio, Some((_, true))) {
            return;
        }
        self.audio_heard_us = unit.utc_us;
        if let Some((file, boundary)) = &mut self.closing {
            let belongs = file.audio.as_deref() == Some(&*unit.parameters) && unit.dts < *boundary;
            if belongs {
                let mut file = self.closing.take();
                if let Some((file, _)) = &mut file
                    && !self.append_audio(file, unit, steps)
                {
                    self.audio_dropped += 1;
                }
                self.closing = file;
                return;
            }
            self.release_closing(steps);
        }
        let Some(mut file) = self.current.take() else {
            self.audio_dropped += 1;
            return;
        };
        if !file.opened && file.audio.is_none() {
            file.audio = Some(unit.parameters.clone());
        }
        let origin = rescale(file.origin_90k, 90_000, unit.parameters.clock_rate);
        if file.audio.as_deref() != Some(&*unit.parameters) {
            // The file's tracks are fixed: the next video unit begins a file with this one.
            self.renew = Some(if file.audio.is_none() {
                FileReason::Track
            } else {
                FileReason::Parameters
            });
            self.audio_dropped += 1;
        } else if unit.dts < origin || !self.append_audio(&mut file, unit, steps) {
            let behind = file.audio_last_dts.map_or(0, |last| last.saturating_sub(unit.dts));
            if ticks_to_us(behind, unit.parameters.clock_rate) > AUDIO_REPEAT_US {
                self.renew = Some(FileReason::DecodingTime);
            }
            self.audio_dropped += 1;
        }
        self.current = Some(file);
    }

    /// False when the unit does not come after the last one.
    fn append_audio(&mut self, file: &mut OpenFile, unit: &Arc<AccessUnit>, steps: &mut Vec<Step>) -> bool {
        if file.audio_last_dts.is_some_and(|last| unit.dts <= last) || unit.dts < file.audio_written_to {
            return false;
        }
        let usual = self.audio_cadence.usual(&unit.parameters);
        let interval = file
            .audio_last_dts
            .map(|last| u32::try_from(unit.dts.saturating_sub(last)).unwrap_or(u32::MAX));
        let gap_ticks = gap_ticks(&unit.parameters);
        let gap = unit.discontinuity || interval.is_some_and(|i| i64::from(i) - i64::from(usual) > gap_ticks);
        if let Some(first) = file.audio_pending.units.first() {
            let spread_us = ticks_to_us(unit.dts.saturating_sub(first.dts), unit.parameters.clock_rate);
            let full = spread_us >= self.options.fragment_us
                || file.audio_pending.bytes >= self.options.fragment_max_bytes
                || file.audio_pending.units.len() >= FRAGMENT_MAX_UNITS;
            if gap || full {
                let interval = interval.unwrap_or(usual);
                file.cut_audio(if gap { usual.min(interval) } else { interval }, steps);
            }
        }
        if file.audio_pending.units.is_empty() {
            file.audio_pending.discontinuity |= gap;
        }
        if let Some(interval) = interval.filter(|_| !unit.discontinuity) {
            self.audio_cadence.note(interval);
        }
        file.audio_last_dts = Some(unit.dts);
        file.audio_pending.add(unit);
        true
    }

    fn release_closing(&mut self, steps: &mut Vec<Step>) {
        let Some((mut file, _)) = self.closing.take() else {
            return;
        };
        if let Some(audio) = file.audio.clone() {
            file.cut_audio(self.audio_cadence.usual(&audio), steps);
        }
        if file.opened {
            steps.push(Step::Close { file: file.number });
        }
    }

    fn cut_pending(&mut self, steps: &mut Vec<Step>) {
        let Some(file) = &mut self.current else { return };
        file.cut_video(self.video_cadence.usual(&file.video), steps);
        if let Some(audio) = file.audio.clone() {
            file.cut_audio(self.audio_cadence.usual(&audio), steps);
        }
    }
}

/// Whether media time runs on from one file into the next.
fn continues(reason: FileReason) -> bool {
    matches!(reason, FileReason::Hour | FileReason::Parameters | FileReason::Track)
}

/// `GAP_US` in ticks of a track.
fn gap_ticks(parameters: &TrackParameters) -> i64 {
    GAP_US * i64::from(parameters.clock_rate) / 1_000_000
}

/// Equal as far as a file is concerned: a different frame-rate estimate alone does not end one.
fn same_track(a: &TrackParameters, b: &TrackParameters) -> bool {
    a.codec == b.codec
        && a.clock_rate == b.clock_rate
        && a.configuration == b.configuration
        && a.width == b.width
        && a.height == b.height
        && a.channels == b.channels
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Codec;
    use bytes::Bytes;
    use proptest::prelude::*;

    const T0_US: i64 = 1_795_392_000_000_000;

    fn video(configuration: &'static [u8]) -> Arc<TrackParameters> {
        Arc::new(TrackParameters {
            codec: Codec::H264,
            clock_rate: 90_000,
            configuration: Bytes::from_static(configuration),
            width: 1920,
            height: 1080,
            channels: 0,
            reorder_depth: 0,
            fps_milli: 30_000,
        })
    }

    fn aac() -> Arc<TrackParameters> {
        Arc::new(TrackParameters {
            codec: Codec::Aac,
            clock_rate: 48_000,
            configuration: Bytes::from_static(&[0x11, 0x88]),
            width: 0,
            height: 0,
            channels: 1,
            reorder_depth: 0,
            fps_milli: 0,
        })
    }

    fn unit(parameters: &Arc<TrackParameters>, at_us: i64, key: bool) -> Arc<AccessUnit> {
        let dts = rescale(at_us, 1_000_000, parameters.clock_rate);
        Arc::new(AccessUnit {
            track: u8::from(parameters.codec.kind() == TrackKind::Audio),
            pts: dts,
            dts,
            utc_us: at_us,
            received_us: 0,
            key,
            discontinuity: false,
            lost_packets: 0,
            data: Bytes::from_static(&[0, 0, 0, 1, 0x65]),
            parameters: parameters.clone(),
        })
    }

    fn fragmenter() -> Fragmenter {
        Fragmenter::new(FragmenterOptions::default(), |p| p.codec != Codec::PcmA)
    }

    fn fragments(steps: &[Step]) -> Vec<&Fragment> {
        steps
            .iter()
            .filter_map(|s| if let Step::Fragment(f) = s { Some(f) } else { None })
            .collect()
    }

    fn opens(steps: &[Step]) -> Vec<&FileStart> {
        steps
            .iter()
            .filter_map(|s| if let Step::Open(f) = s { Some(f) } else { None })
            .collect()
    }

    fn run(units: &[Arc<AccessUnit>]) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut fragmenter = fragmenter();
        for unit in units {
            fragmenter.push(unit, &mut steps);
        }
        fragmenter.finish(&mut steps);
        steps
    }

    fn at_30_fps(parameters: &Arc<TrackParameters>, from_us: i64, frames: i64, gop: i64) -> Vec<Arc<AccessUnit>> {
        (0..frames)
            .map(|i| unit(parameters, from_us + i * 1_000_000 / 30, i % gop == 0))
            .collect()
    }

    #[test]
    fn fragments_last_half_a_second_whatever_the_gop() {
        let steps = run(&at_30_fps(&video(b"a"), T0_US, 60, 25));
        let fragments = fragments(&steps);
        assert_eq!(
            fragments.iter().map(|f| f.units.len()).collect::<Vec<_>>(),
            [15, 15, 15, 15]
        );
        assert!(fragments.iter().all(|f| (44_998..=45_002).contains(&f.duration())));
        assert_eq!(opens(&steps).len(), 1);
        assert!(matches!(steps.first(), Some(Step::Open(_))) && matches!(steps.last(), Some(Step::Close { file: 1 })));
        assert!(fragments[0].discontinuity && !fragments[1].discontinuity);
    }

    #[test]
    fn recording_starts_at_a_key_frame() {
        let p = video(b"a");
        let mut units = vec![unit(&p, T0_US, false), unit(&p, T0_US + 40_000, false)];
        units.extend(at_30_fps(&p, T0_US + 80_000, 30, 30));
        let steps = run(&units);
        assert_eq!(opens(&steps)[0].start_us, T0_US + 80_000);
        assert_eq!(fragments(&steps).iter().map(|f| f.units.len()).sum::<usize>(), 30);
    }

    #[test]
    fn a_stream_without_key_frames_loses_nothing() {
        let p = video(b"a");
        let units: Vec<_> = (0..450).map(|i| unit(&p, T0_US + i * 40_000, false)).collect();
        let steps = run(&units);
        assert_eq!(fragments(&steps).iter().map(|f| f.units.len()).sum::<usize>(), 450);
        // Too short for the wait to end by itself.
        let steps = run(&units[..100]);
        assert_eq!(fragments(&steps).iter().map(|f| f.units.len()).sum::<usize>(), 100);
    }

    #[test]
    fn after_the_camera_was_lost_recording_resumes_at_a_key_frame_in_the_same_file() {
        let p = video(b"a");
        let mut fragmenter = fragmenter();
        let mut steps = Vec::new();
        at_30_fps(&p, T0_US, 20, 30)
            .iter()
            .for_each(|u| fragmenter.push(u, &mut steps));
        fragmenter.interrupt(GapCause::Network, &mut steps);
        assert_eq!(fragments(&steps).len(), 2, "what was pending is cut");
        fragmenter.push(&unit(&p, T0_US + 5_000_000, false), &mut steps);
        assert!(fragmenter.waits_for_key());
        at_30_fps(&p, T0_US + 5_040_000, 20, 30)
            .iter()
            .for_each(|u| fragmenter.push(u, &mut steps));
        fragmenter.finish(&mut steps);
        let fragments = fragments(&steps);
        assert_eq!(opens(&steps).len(), 1);
        assert_eq!(fragments[2].start_us(), T0_US + 5_040_000);
        assert!(fragments[2].discontinuity);
        assert_eq!(fragments[2].cause, GapCause::Network);
        assert!(
            (fragments[1].end_us() - (T0_US + 666_666)).abs() < 40,
            "the last picture lasts a frame"
        );
    }

    #[test]
    fn the_hour_turns_in_the_middle_of_a_gop() {
        let p = video(b"a");
        let steps = run(&at_30_fps(&p, T0_US + HOUR_US - 1_000_000, 90, 90));
        let opens = opens(&steps);
        assert_eq!(opens.len(), 2);
        assert_eq!(
            (opens[1].reason, opens[1].start_us),
            (FileReason::Hour, T0_US + HOUR_US)
        );
        let fragments = fragments(&steps);
        assert_eq!(fragments.iter().map(|f| f.units.len()).sum::<usize>(), 90);
        let second = fragments.iter().find(|f| f.file == 2).unwrap();
        assert!(!second.units[0].key && !second.discontinuity);
        let last_of_first = fragments.iter().rfind(|f| f.file == 1).unwrap();
        assert_eq!(
            last_of_first.first_dts() + i64::from(last_of_first.duration()),
            second.first_dts()
        );
    }

    #[test]
    fn other_parameters_begin_a_file_and_a_new_frame_rate_estimate_does_not() {
        let (a, b) = (video(b"a"), video(b"b"));
        let estimate = Arc::new(TrackParameters {
            fps_milli: 29_970,
            ..(*a).clone()
        });
        let mut units = at_30_fps(&a, T0_US, 10, 10);
        units.extend(at_30_fps(&estimate, T0_US + 333_333, 10, 10));
        units.extend(at_30_fps(&b, T0_US + 666_666, 10, 10));
        let steps = run(&units);
        let opens = opens(&steps);
        assert_eq!(opens.len(), 2);
        assert_eq!(
            (opens[1].reason, opens[1].start_us),
            (FileReason::Parameters, T0_US + 666_666)
        );
        assert_eq!(opens[1].tracks[0].configuration, b.configuration);
    }

    #[test]
    fn time_going_back_or_a_stepped_clock_begins_a_file() {
        let p = video(b"a");
        let mut units = at_30_fps(&p, T0_US, 20, 30);
        units.extend(at_30_fps(&p, T0_US + 100_000, 20, 30));
        let steps = run(&units);
        assert_eq!(
            opens(&steps).iter().map(|o| o.reason).collect::<Vec<_>>(),
            [FileReason::Start, FileReason::DecodingTime]
        );
        // The camera's clock runs on, the server's is set back by ten minutes.
        let mut units = at_30_fps(&p, T0_US + HOUR_US, 20, 30);
        units.extend(at_30_fps(&p, T0_US + HOUR_US + 666_666, 20, 30).iter().map(|u| {
            Arc::new(AccessUnit {
                utc_us: u.utc_us - 600_000_000,
                ..(**u).clone()
            })
        }));
        let steps = run(&units);
        assert_eq!(opens(&steps)[1].reason, FileReason::ClockStep);
        assert_eq!(opens(&steps)[1].start_us, T0_US + HOUR_US + 666_666 - 600_000_000);
    }

    #[test]
    fn a_stall_is_a_gap_and_a_slow_camera_is_not() {
        let p = video(b"a");
        let mut units = at_30_fps(&p, T0_US, 10, 30);
        units.extend(at_30_fps(&p, T0_US + 2_000_000, 10, 30));
        let steps = run(&units);
        let fragments_ = fragments(&steps);
        assert_eq!(fragments_.len(), 2);
        assert!(fragments_[0].end_us() - (T0_US + 333_333) < 40 && fragments_[1].discontinuity);
        // One picture a second: the first interval is a surprise (the parameters say 30), the others are usual.
        let slow: Vec<_> = (0..10).map(|i| unit(&p, T0_US + i * 1_000_000, true)).collect();
        let steps = run(&slow);
        assert!(
            fragments(&steps)[3..]
                .iter()
                .all(|f| !f.discontinuity && f.duration() == 90_000)
        );
    }

    #[test]
    fn audio_has_its_own_fragments_and_crosses_the_hour_without_loss() {
        let (p, a) = (video(b"a"), aac());
        let from = T0_US + HOUR_US - 1_500_000;
        let mut units = at_30_fps(&p, from, 120, 30);
        // Sound arrives 150 ms after the picture of the same time.
        units.extend((0..187).map(|i| unit(&a, from + i * 1_024_000_000 / 48_000, true)));
        let delay = |u: &AccessUnit| u.utc_us + if u.track == 1 { 150_000 } else { 0 };
        units.sort_by_key(|u| delay(u));
        let steps = run(&units);
        let opens = opens(&steps);
        assert_eq!(opens.len(), 2);
        assert!(opens.iter().all(|o| o.tracks.len() == 2));
        let sound: Vec<_> = fragments(&steps).into_iter().filter(|f| f.track == 1).collect();
        assert_eq!(sound.iter().map(|f| f.units.len()).sum::<usize>(), 187);
        for fragment in &sound {
            let hour = fragment
                .units
                .iter()
                .all(|u| (u.dts >= rescale(opens[1].origin_90k, 90_000, 48_000)) == (fragment.file == 2));
            assert!(hour, "sound lies in the file of its time");
        }
        let close = steps.iter().position(|s| matches!(s, Step::Close { file: 1 })).unwrap();
        assert!(
            steps[close..]
                .iter()
                .all(|s| !matches!(s, Step::Fragment(f) if f.file == 1))
        );
    }

    #[test]
    fn audio_that_appears_later_begins_a_file_and_unknown_audio_does_not() {
        let (p, a) = (video(b"a"), aac());
        let mut units = at_30_fps(&p, T0_US, 90, 30);
        units.extend((0..60).map(|i| unit(&a, T0_US + 1_500_000 + i * 21_333, true)));
        units.sort_by_key(|u| u.utc_us);
        let steps = run(&units);
        assert_eq!(opens(&steps).iter().map(|o| o.tracks.len()).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(opens(&steps)[1].reason, FileReason::Track);
        let pcm = Arc::new(TrackParameters {
            codec: Codec::PcmA,
            clock_rate: 8_000,
            ..(*a).clone()
        });
        let mut units = at_30_fps(&p, T0_US, 90, 30);
        units.extend((0..60).map(|i| unit(&pcm, T0_US + i * 20_000, true)));
        units.sort_by_key(|u| u.utc_us);
        let steps = run(&units);
        assert!(opens(&steps).len() == 1 && fragments(&steps).iter().all(|f| f.track == 0));
    }

    #[test]
    fn metadata_and_empty_units_are_left_out() {
        let p = video(b"a");
        let mut units = at_30_fps(&p, T0_US, 20, 30);
        let document = Arc::new(TrackParameters {
            codec: Codec::OnvifMetadata,
            ..(*p).clone()
        });
        units.insert(
            3,
            Arc::new(AccessUnit {
                track: 2,
                ..(*unit(&document, T0_US + 5, true)).clone()
            }),
        );
        units.insert(
            4,
            Arc::new(AccessUnit {
                data: Bytes::new(),
                ..(*units[5]).clone()
            }),
        );
        assert_eq!(fragments(&run(&units)).iter().map(|f| f.units.len()).sum::<usize>(), 20);
    }

    #[derive(Debug, Clone)]
    enum Event {
        Frame { interval_ms: i64, key: bool, offset: i64 },
        Jump { back_ms: i64 },
        ClockStep { ms: i64 },
        Parameters,
        Interrupt,
        Discontinuity,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            40 => (20i64..60, prop::bool::weighted(0.1), -3_000i64..3_000)
                .prop_map(|(interval_ms, key, offset)| Event::Frame { interval_ms, key, offset }),
            1 => (200i64..5_000).prop_map(|interval_ms| Event::Frame { interval_ms, key: false, offset: 0 }),
            1 => (0i64..5_000).prop_map(|back_ms| Event::Jump { back_ms }),
            1 => (-5_000i64..5_000).prop_map(|ms| Event::ClockStep { ms }),
            1 => Just(Event::Parameters),
            1 => Just(Event::Interrupt),
            1 => Just(Event::Discontinuity),
        ]
    }

    proptest! {
        #[test]
        fn whatever_comes_every_unit_is_in_one_file_in_order(events in prop::collection::vec(event(), 1..400), start_s in 0i64..7_200) {
            let mut fragmenter = fragmenter();
            let mut steps = Vec::new();
            let mut at_us = T0_US + start_s * 1_000_000;
            let (mut step_us, mut configuration, mut number, mut discontinuity) = (0i64, 0usize, 0u32, false);
            let sets = [video(b"a"), video(b"b")];
            let mut pushed = Vec::new();
            let mut waiting = true;
            for event in &events {
                match event {
                    Event::Frame { interval_ms, key, offset } => {
                        at_us += interval_ms * 1_000;
                        let mut frame = (*unit(&sets[configuration], at_us, *key)).clone();
                        number += 1;
                        frame.data = Bytes::copy_from_slice(&number.to_be_bytes());
                        frame.pts += offset;
                        frame.utc_us += ticks_to_us(*offset, 90_000) + step_us;
                        frame.discontinuity = std::mem::take(&mut discontinuity);
                        waiting &= !key;
                        if !waiting {
                            pushed.push(number);
                        }
                        fragmenter.push(&Arc::new(frame), &mut steps);
                    }
                    Event::Jump { back_ms } => at_us -= back_ms * 1_000,
                    Event::ClockStep { ms } => step_us += ms * 1_000,
                    Event::Parameters => configuration = 1 - configuration,
                    Event::Discontinuity => discontinuity = true,
                    Event::Interrupt => {
                        fragmenter.interrupt(GapCause::Network, &mut steps);
                        waiting = true;
                    }
                }
            }
            fragmenter.finish(&mut steps);
            let all = fragments(&steps);
            let numbers: Vec<u32> = all.iter().flat_map(|f| &f.units)
                .map(|u| u32::from_be_bytes(u.data[..].try_into().unwrap())).collect();
            prop_assert!(numbers.is_sorted_by(|a, b| a < b), "in order, once");
            // Nothing that a decoder could use is missing: exactly what came after a key frame, or a wait that ended.
            for n in &pushed {
                prop_assert!(numbers.binary_search(n).is_ok(), "unit {n} is missing");
            }
            let mut open = std::collections::HashMap::new();
            for step in &steps {
                match step {
                    Step::Open(start) => { open.insert(start.file, (start.clone(), None::<(i64, i64)>)); }
                    Step::Close { file } => { prop_assert!(open.remove(file).is_some()); }
                    Step::Fragment(f) => {
                        let (start, end) = open.get_mut(&f.file).unwrap();
                        prop_assert_eq!(&*start.tracks[0], &*f.units[0].parameters);
                        prop_assert!(f.units.windows(2).all(|w| w[0].dts < w[1].dts));
                        prop_assert_eq!(f.start_us().div_euclid(HOUR_US), start.start_us.div_euclid(HOUR_US));
                        prop_assert_eq!(f.durations().map(i64::from).sum::<i64>(), i64::from(f.duration()));
                        let media = ticks_to_us(f.first_dts() - start.origin_90k, 90_000);
                        prop_assert!((f.start_us() - start.start_us - media).abs() <= 20 * CLOCK_STEP_US);
                        if let Some((media_end, utc_end)) = *end {
                            prop_assert!(f.first_dts() >= media_end, "fragments do not overlap");
                            prop_assert!(f.start_us() >= utc_end - CLOCK_STEP_US - 40);
                        } else {
                            prop_assert_eq!(f.first_dts(), start.origin_90k);
                        }
                        *end = Some((f.first_dts() + i64::from(f.duration()), f.end_us()));
                        for pair in f.units.windows(2) {
                            prop_assert!(pair[1].dts - pair[0].dts <= (GAP_US + 5_000_000) * 9 / 100);
                        }
                    }
                }
            }
            prop_assert!(open.is_empty(), "every file is closed");
        }

        #[test]
        fn no_times_make_it_panic(times in prop::collection::vec((any::<i64>(), any::<i64>(), any::<i64>(), any::<bool>(), any::<bool>(), 0u32..3), 0..40)) {
            let mut fragmenter = fragmenter();
            let mut steps = Vec::new();
            for (pts, dts, utc_us, key, audio, rate) in times {
                let base = if audio { aac() } else { video(b"a") };
                let parameters = Arc::new(TrackParameters { clock_rate: [0, 1, 90_000][rate as usize], ..(*base).clone() });
                let frame = AccessUnit { pts, dts, utc_us, ..(*unit(&base, 0, key)).clone() };
                fragmenter.push(&Arc::new(AccessUnit { parameters, ..frame }), &mut steps);
            }
            fragmenter.finish(&mut steps);
            for f in fragments(&steps) {
                let _ = (f.end_us(), f.durations().count());
            }
        }
    }
}
