//! Cuts a stream of access units into fragments and files.
//!
//! A fragment holds the units of one track and ends before the unit that makes it `fragment_us` long, so that every
//! sample's duration is known; it is not aligned to key frames. A file ends with its UTC hour, when parameters change,
//! when a track appears, when the decoding time goes back or when the server's clock steps; short files, made where
//! most of what is recorded goes again, end at the first key frame after their length.

use crate::index::GapCause;
use crate::recording::file_name::HOUR_US;
use crate::{AccessUnit, TrackKind, TrackParameters};
use cadence::Cadence;
use file::{OpenFile, Pending};
use std::sync::Arc;

mod cadence;
mod file;
mod step;
#[cfg(test)]
mod tests;

pub use step::{FileReason, FileStart, Fragment, Step};

/// Longest time without a sample that still counts as recorded, µs.
pub const GAP_US: i64 = 200_000;

/// A change of the distance between server time and media time that makes a new file, µs: within a file both agree to
/// this much, so a timeline in server time and a presentation in media time show the same.
pub const CLOCK_STEP_US: i64 = 500_000;

/// A fragment may be this much short: times that are rounded or shake a little must not add a picture to it, µs.
const CUT_TOLERANCE_US: i64 = 5_000;

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
    /// A file ends at the first key frame after this time, µs; None: with its hour.
    pub file_us: Option<i64>,
}

impl Default for FragmenterOptions {
    fn default() -> Self {
        Self {
            fragment_us: 500_000,
            fragment_max_bytes: 8 << 20,
            key_wait_us: 12_000_000,
            key_wait_max_bytes: 16 << 20,
            file_us: None,
        }
    }
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
    /// The length of files is another now: one of the new length begins at the next key frame.
    length_changed: bool,
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
            length_changed: false,
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

    /// Records from the next unit on, key frame or not: what comes before it is recorded already.
    pub fn resume(&mut self) {
        self.waiting = None;
        self.waiting_bytes = 0;
    }

    /// From the next key frame on, files are so long (see `FragmenterOptions::file_us`). Nothing is lost in between.
    pub fn set_file_us(&mut self, file_us: Option<i64>) {
        self.length_changed |= self.options.file_us != file_us;
        self.options.file_us = file_us;
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
            let full = spread_us.saturating_add(CUT_TOLERANCE_US) >= options.fragment_us
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
        let at_us = utc_of_dts_us(unit);
        let age_us = at_us.saturating_sub(file.start_us);
        let long_enough = self.options.file_us.is_some_and(|file_us| age_us >= file_us);
        if unit.key && (long_enough || self.length_changed) {
            return Some(FileReason::Length);
        }
        // Where the file before may go, one that does not begin with a key frame shows nothing at first: the hour then
        // waits for one, but not for ever.
        let hour_counts = self
            .options
            .file_us
            .is_none_or(|file_us| age_us >= file_us.saturating_mul(2));
        (hour_counts && at_us.div_euclid(HOUR_US) != file.hour).then_some(FileReason::Hour)
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
        self.length_changed = false;
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
            let full = spread_us.saturating_add(CUT_TOLERANCE_US) >= self.options.fragment_us
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
    matches!(
        reason,
        FileReason::Hour | FileReason::Length | FileReason::Parameters | FileReason::Track
    )
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
