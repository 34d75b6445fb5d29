//! From RTP timestamps to media time and to server time.
//!
//! `pts` follows the camera's clock: it is anchored to the server's time once and then counts the camera's ticks, so
//! that differences between units are the camera's own. `utc_us` follows the server's clock: what the camera's clock
//! gains or loses against arrivals is taken out slowly, at a bounded rate, by the least delay seen in the last seconds
//! (a late packet says nothing about a clock, an early one does). Sender reports tell how far the camera's own wall
//! clock is off, and whether lateness is the network's or the camera's.

use super::rtcp::ntp_to_unix_us;

/// A disagreement of more than this between timestamps and arrivals is a jump of the camera's clock.
const JUMP_US: i64 = 1_000_000;
/// How fast `utc_us` may gain or lose against the camera's clock, in parts per million.
const SLEW_PPM: i64 = 1_000;
/// The same for the first seconds, when the anchor is a guess made of one packet. Losing is faster: cameras that send
/// their last GOP at once make the anchor seconds too late, never too early.
const START_GAIN_PPM: i64 = 50_000;
const START_LOSE_PPM: i64 = 500_000;
/// How long the start lasts, and how much backlog of a camera is believed meanwhile.
const START_US: u64 = 20_000_000;
const MAX_BACKLOG_US: i64 = 9_000_000;
/// Length of the windows over which the least delay is taken; two of them count.
const WINDOW_US: u64 = 5_000_000;
/// Sender reports older than this say nothing about the present.
const REPORT_MAX_AGE_US: u64 = 30_000_000;
/// Wall clocks before 2015 are cameras that never learnt the time.
const MIN_PLAUSIBLE_UTC_US: i64 = 1_420_070_400_000_000;

/// An instant as the server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Server time, µs since the Unix epoch; may be stepped by an administrator.
    pub utc_us: i64,
    /// Monotonic µs.
    pub monotonic_us: u64,
}

/// The times of one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaTime {
    /// Ticks of the track's clock since the Unix epoch.
    pub pts: i64,
    /// Server time, µs since the Unix epoch.
    pub utc_us: i64,
    /// First unit, or the first after a jump of a clock.
    pub discontinuity: bool,
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    /// Unwrapped timestamp and pts of the anchoring unit.
    ticks: i64,
    pts: i64,
    /// utc of media time 0; slewed.
    offset_us: i64,
    /// Fraction of `offset_us` not yet applied, µs·ppm.
    slew_rest: i64,
    started_us: u64,
    last_arrival: Arrival,
    last_ticks: i64,
    /// Least (arrival − media time) of the last whole window and of the current one.
    last_window_us: Option<i64>,
    window_us: i64,
    window_started_us: u64,
}

#[derive(Debug, Clone, Copy)]
struct Report {
    ntp_us: i64,
    ticks: i64,
    arrival_us: u64,
    /// It agreed with the report before it: the camera's clock did not jump in between.
    consistent: bool,
}

/// The clock of one track.
#[derive(Debug)]
pub struct TrackClock {
    clock_rate: i64,
    last_timestamp: Option<(u32, i64)>,
    anchor: Option<Anchor>,
    report: Option<Report>,
    camera_offset_us: Option<i64>,
    /// Media time was moved: the next unit does not follow the one before.
    shifted: bool,
    jumps: u64,
}

impl TrackClock {
    /// A clock of `clock_rate` ticks per second.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: i64::from(clock_rate.max(1)),
            last_timestamp: None,
            anchor: None,
            report: None,
            camera_offset_us: None,
            shifted: false,
            jumps: 0,
        }
    }

    /// The next unit is anchored anew: another source, with timestamps of its own.
    pub fn forget(&mut self) {
        self.last_timestamp = None;
        self.anchor = None;
        self.report = None;
    }

    /// Times of the unit stamped `rtp_timestamp` whose first packet came at `arrival`.
    pub fn stamp(&mut self, rtp_timestamp: u32, arrival: Arrival) -> MediaTime {
        let ticks = self.unwrap(rtp_timestamp);
        let clock_rate = self.clock_rate;
        let jumped = self
            .anchor
            .is_some_and(|anchor| self.has_jumped(&anchor, ticks, arrival));
        self.jumps += u64::from(jumped);
        let anchor = match &mut self.anchor {
            Some(anchor) if !jumped => anchor,
            _ => {
                self.report = None;
                let anchor = self.anchor.insert(Anchor::new(ticks, arrival, clock_rate));
                return MediaTime {
                    pts: anchor.pts,
                    utc_us: arrival.utc_us,
                    discontinuity: true,
                };
            }
        };
        let media_us = ticks_to_us(ticks - anchor.ticks, clock_rate);
        anchor.follow(arrival.utc_us - media_us, arrival);
        anchor.last_ticks = ticks;
        MediaTime {
            pts: anchor.pts + (ticks - anchor.ticks),
            utc_us: anchor.offset_us + media_us,
            discontinuity: std::mem::take(&mut self.shifted),
        }
    }

    fn unwrap(&mut self, rtp_timestamp: u32) -> i64 {
        let ticks = match self.last_timestamp {
            None => i64::from(rtp_timestamp),
            Some((last, ticks)) => ticks + i64::from(rtp_timestamp.wrapping_sub(last) as i32),
        };
        self.last_timestamp = Some((rtp_timestamp, ticks));
        ticks
    }

    fn has_jumped(&self, anchor: &Anchor, ticks: i64, arrival: Arrival) -> bool {
        let elapsed_us = arrival.monotonic_us.saturating_sub(anchor.last_arrival.monotonic_us) as i64;
        let server_step_us = arrival.utc_us - anchor.last_arrival.utc_us - elapsed_us;
        if server_step_us.abs() > JUMP_US {
            // Not the camera but the server's clock was set.
            return true;
        }
        if ticks_to_us(ticks - anchor.last_ticks, self.clock_rate) < -JUMP_US {
            return true;
        }
        let delay_us = arrival.utc_us - ticks_to_us(ticks - anchor.ticks, self.clock_rate) - anchor.offset_us;
        let age_us = arrival.monotonic_us.saturating_sub(anchor.started_us);
        // Nothing arrives before it was taken, but a camera may begin with what it kept.
        let earliest_us = if age_us < START_US { -MAX_BACKLOG_US } else { -JUMP_US };
        if delay_us < earliest_us {
            return true;
        }
        // Lateness is the network's as long as it is over within two windows, or sender reports vouch for the clock.
        let standing_us = anchor
            .last_window_us
            .map_or(0, |last| last.min(anchor.window_us) - anchor.offset_us);
        let vouched = self.report.is_some_and(|report| {
            report.consistent && arrival.monotonic_us.saturating_sub(report.arrival_us) < REPORT_MAX_AGE_US
        });
        standing_us > JUMP_US && delay_us > JUMP_US && !vouched
    }

    /// Takes a sender report: `ntp` and `rtp_timestamp` name the same instant.
    pub fn sender_report(&mut self, ntp: u64, rtp_timestamp: u32, arrival: Arrival) {
        let (Some((last, last_ticks)), Some(anchor)) = (self.last_timestamp, &self.anchor) else {
            return;
        };
        let ticks = last_ticks + i64::from(rtp_timestamp.wrapping_sub(last) as i32);
        let ntp_us = ntp_to_unix_us(ntp);
        // A report may describe what is still to be sent, but not another stream's timestamps.
        if ticks_to_us((ticks - last_ticks).abs(), self.clock_rate) > 60_000_000 {
            return;
        }
        let consistent = self.report.is_some_and(|report| {
            let drift_us = ntp_us - report.ntp_us - ticks_to_us(ticks - report.ticks, self.clock_rate);
            drift_us.abs() < JUMP_US / 2
        });
        let utc_us = anchor.offset_us + ticks_to_us(ticks - anchor.ticks, self.clock_rate);
        self.camera_offset_us = (ntp_us > MIN_PLAUSIBLE_UTC_US).then(|| ntp_us - utc_us);
        self.report = Some(Report {
            ntp_us,
            ticks,
            arrival_us: arrival.monotonic_us,
            consistent,
        });
    }

    /// How far the camera's wall clock is ahead of the server's, µs; None without plausible sender reports.
    pub fn camera_offset_us(&self) -> Option<i64> {
        self.camera_offset_us
    }

    /// Re-anchorings after the first.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }

    /// Difference between this track's media time and the camera's wall clock, µs: equal for tracks in step. None
    /// until a sender report came.
    pub fn report_alignment_us(&self) -> Option<i64> {
        let (report, anchor) = (self.report?, self.anchor?);
        let pts = anchor.pts + (report.ticks - anchor.ticks);
        Some(ticks_to_us(pts, self.clock_rate) - report.ntp_us)
    }

    /// Moves media time by `by_us` from the next unit on, to bring tracks in step.
    pub fn shift_us(&mut self, by_us: i64) {
        if let Some(anchor) = &mut self.anchor {
            anchor.pts += us_to_ticks(by_us, self.clock_rate);
            anchor.offset_us += by_us;
            self.shifted = true;
            anchor.window_us = anchor.window_us.max(anchor.offset_us);
            anchor.last_window_us = anchor.last_window_us.map(|last| last.max(anchor.offset_us));
        }
    }
}

impl Anchor {
    fn new(ticks: i64, arrival: Arrival, clock_rate: i64) -> Self {
        Self {
            ticks,
            pts: us_to_ticks(arrival.utc_us, clock_rate),
            offset_us: arrival.utc_us,
            slew_rest: 0,
            started_us: arrival.monotonic_us,
            last_arrival: arrival,
            last_ticks: ticks,
            last_window_us: None,
            window_us: arrival.utc_us,
            window_started_us: arrival.monotonic_us,
        }
    }

    /// `offset_us`: what this arrival alone would say.
    fn follow(&mut self, offset_us: i64, arrival: Arrival) {
        if arrival.monotonic_us.saturating_sub(self.window_started_us) >= WINDOW_US {
            self.last_window_us = Some(self.window_us);
            self.window_us = offset_us;
            self.window_started_us = arrival.monotonic_us;
        }
        self.window_us = self.window_us.min(offset_us);
        let target_us = self
            .last_window_us
            .map_or(self.window_us, |last| last.min(self.window_us));
        let elapsed_us = arrival
            .monotonic_us
            .saturating_sub(self.last_arrival.monotonic_us)
            .min(WINDOW_US) as i64;
        let starting = arrival.monotonic_us.saturating_sub(self.started_us) < START_US;
        let error_us = target_us - self.offset_us;
        let rate_ppm = match (starting, error_us > 0) {
            (true, true) => START_GAIN_PPM,
            (true, false) => START_LOSE_PPM,
            (false, _) => SLEW_PPM,
        };
        let allowance = elapsed_us * rate_ppm + self.slew_rest;
        let step_us = error_us.abs().min(allowance / 1_000_000);
        // Parts of a microsecond are kept, so that 20 ms steps at 1,000 ppm are not lost to rounding.
        self.slew_rest = if step_us < error_us.abs() {
            allowance % 1_000_000
        } else {
            0
        };
        self.offset_us += step_us * error_us.signum();
        self.last_arrival = arrival;
    }
}

fn ticks_to_us(ticks: i64, clock_rate: i64) -> i64 {
    (i128::from(ticks) * 1_000_000 / i128::from(clock_rate)) as i64
}

fn us_to_ticks(us: i64, clock_rate: i64) -> i64 {
    (i128::from(us) * i128::from(clock_rate) / 1_000_000) as i64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::rtcp::unix_us_to_ntp;
    use super::*;
    use proptest::prelude::*;

    const START_UTC_US: i64 = 1_790_000_000_000_000;
    const FRAME: u32 = 3_000;
    const FRAME_US: i64 = 33_333;

    fn at(us: i64) -> Arrival {
        Arrival {
            utc_us: START_UTC_US + us,
            monotonic_us: us as u64,
        }
    }

    /// 30 frames per second from `from_s` to `to_s`, each arriving `delay_us(frame)` after it was taken.
    fn feed(clock: &mut TrackClock, from_s: i64, to_s: i64, delay_us: impl Fn(i64) -> i64) -> Vec<MediaTime> {
        (from_s * 30..to_s * 30)
            .map(|frame| {
                clock.stamp(
                    (frame as u32).wrapping_mul(FRAME),
                    at(frame * FRAME_US + delay_us(frame)),
                )
            })
            .collect()
    }

    #[test]
    fn the_first_unit_is_anchored_to_the_servers_time() {
        let mut clock = TrackClock::new(90_000);
        let first = clock.stamp(7, at(0));
        assert_eq!(
            first,
            MediaTime {
                pts: START_UTC_US / 100 * 9,
                utc_us: START_UTC_US,
                discontinuity: true
            }
        );
        let second = clock.stamp(7 + FRAME, at(FRAME_US));
        assert_eq!((second.pts - first.pts, second.discontinuity), (3000, false));
    }

    #[test]
    fn timestamps_wrap_without_a_jump() {
        let mut clock = TrackClock::new(90_000);
        let first = clock.stamp(u32::MAX - 2999, at(0));
        let second = clock.stamp(0, at(FRAME_US));
        assert_eq!((second.pts - first.pts, second.discontinuity), (3000, false));
        let reordered = clock.stamp(u32::MAX - 1499, at(2 * FRAME_US));
        assert_eq!((reordered.pts - first.pts, reordered.discontinuity), (1500, false));
    }

    #[test]
    fn a_stall_of_the_network_is_no_jump() {
        let mut clock = TrackClock::new(90_000);
        let times = feed(&mut clock, 0, 60, |frame| {
            if (900..990).contains(&frame) {
                (990 - frame) * FRAME_US
            } else {
                0
            }
        });
        assert_eq!(times.iter().filter(|t| t.discontinuity).count(), 1);
        let last = times.last().unwrap();
        assert!((last.utc_us - START_UTC_US - 1799 * FRAME_US).abs() < 5_000, "{last:?}");
    }

    #[test]
    fn jumps_of_the_cameras_clock_are_anchored_anew() {
        for jump in [2 * 90_000, -2 * 90_000, i64::from(i32::MAX) - 10_000_000] {
            let mut clock = TrackClock::new(90_000);
            feed(&mut clock, 0, 30, |_| 0);
            let frame = 900;
            let jumped = clock.stamp((frame * i64::from(FRAME) + jump) as u32, at(frame * FRAME_US));
            assert!(jumped.discontinuity, "{jump}");
            assert_eq!(jumped.utc_us, START_UTC_US + frame * FRAME_US);
            let next = clock.stamp(
                ((frame + 1) * i64::from(FRAME) + jump) as u32,
                at((frame + 1) * FRAME_US),
            );
            assert!(!next.discontinuity);
            assert_eq!(clock.jumps(), 1);
        }
    }

    #[test]
    fn a_camera_that_loses_time_is_anchored_anew_unless_its_reports_vouch() {
        for (reports, jumps) in [(false, 1), (true, 0)] {
            let mut clock = TrackClock::new(90_000);
            let mut found = 0;
            for frame in 0..60 * 30 {
                // From 30 s on everything is 3 s late.
                let delay_us = if frame > 900 { 3_000_000 } else { 0 };
                let arrival = at(frame * FRAME_US + delay_us);
                if reports && frame % 150 == 0 {
                    let ntp = unix_us_to_ntp(START_UTC_US + frame * FRAME_US);
                    clock.sender_report(ntp, frame as u32 * FRAME, arrival);
                }
                found += u64::from(clock.stamp(frame as u32 * FRAME, arrival).discontinuity);
            }
            assert_eq!((found - 1, clock.jumps()), (jumps, jumps), "reports: {reports}");
        }
    }

    #[test]
    fn a_step_of_the_servers_clock_is_anchored_anew_and_a_small_one_is_slewed() {
        for (step_us, discontinuity) in [(3_600_000_000, true), (-5_000_000, true), (200_000, false)] {
            let mut clock = TrackClock::new(90_000);
            feed(&mut clock, 0, 30, |_| 0);
            let mut arrival = at(900 * FRAME_US);
            arrival.utc_us += step_us;
            let time = clock.stamp(900 * FRAME, arrival);
            assert_eq!(time.discontinuity, discontinuity, "{step_us}");
        }
    }

    #[test]
    fn a_camera_that_begins_with_its_last_gop_finds_its_time_within_seconds() {
        let mut clock = TrackClock::new(90_000);
        // The first 4 s arrive at once.
        let times = feed(&mut clock, 0, 40, |frame| {
            if frame < 120 { (120 - frame) * FRAME_US } else { 0 }
        });
        assert_eq!(times.iter().filter(|t| t.discontinuity).count(), 1);
        assert!(times.windows(2).all(|pair| pair[1].utc_us > pair[0].utc_us));
        let last = times.last().unwrap();
        assert!((last.utc_us - START_UTC_US - 1199 * FRAME_US).abs() < 5_000);
    }

    #[test]
    fn the_cameras_wall_clock_is_reported() {
        let mut clock = TrackClock::new(90_000);
        clock.sender_report(1, 1, at(0));
        feed(&mut clock, 0, 1, |_| 0);
        assert_eq!(clock.camera_offset_us(), None);
        clock.sender_report(unix_us_to_ntp(START_UTC_US + 7_000_000), 0, at(0));
        assert!((clock.camera_offset_us().unwrap() - 7_000_000).abs() < 20);
        clock.sender_report(unix_us_to_ntp(3_600_000_000), 0, at(0));
        assert_eq!(clock.camera_offset_us(), None, "1970 is no time");
    }

    #[test]
    fn sender_reports_bring_tracks_in_step() {
        let (mut video, mut audio) = (TrackClock::new(90_000), TrackClock::new(8_000));
        video.stamp(0, at(0));
        audio.stamp(500, at(300_000));
        // Both were taken at the same instant; sound was 300 ms longer on its way.
        let ntp = unix_us_to_ntp(START_UTC_US - 50_000);
        video.sender_report(ntp, 0, at(300_000));
        audio.sender_report(ntp, 500, at(300_000));
        let behind_us = video.report_alignment_us().unwrap() - audio.report_alignment_us().unwrap();
        assert_eq!(behind_us, -300_000);
        audio.shift_us(behind_us);
        assert_eq!(video.report_alignment_us(), audio.report_alignment_us());
        assert_eq!(audio.stamp(660, at(320_000)).pts, (START_UTC_US + 20_000) * 8 / 1000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// Hours of drift with jitter: pts is the camera's clock to the tick, utc_us stays near the truth and never
        /// steps.
        #[test]
        fn drift_is_followed_within_a_bound(drift_ppm in -500i64..=500, seed: u64, start: u32, jitter_us in 0i64..40_000) {
            let mut clock = TrackClock::new(90_000);
            let mut random = seed | 1;
            let mut first = None;
            let mut last: Option<MediaTime> = None;
            for frame in 0..3 * 3600 * 10i64 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let delay_us = (random >> 33) as i64 % (jitter_us + 1);
                let true_us = frame * 100_000;
                let camera_ticks = frame * 9_000 + frame * 9_000 * drift_ppm / 1_000_000;
                let time = clock.stamp(start.wrapping_add(camera_ticks as u32), at(true_us + delay_us));
                let first = first.get_or_insert(time);
                prop_assert_eq!(time.pts - first.pts, camera_ticks);
                prop_assert_eq!(time.discontinuity, frame == 0);
                if frame > 200 {
                    let error_us = time.utc_us - START_UTC_US - true_us;
                    prop_assert!((-8_000..=jitter_us + 8_000).contains(&error_us), "{} µs at {} s", error_us, frame / 10);
                }
                if let Some(last) = last {
                    let step_us = time.utc_us - last.utc_us;
                    prop_assert!((60_000..=110_000).contains(&step_us), "{} µs", step_us);
                    if frame > 200 {
                        prop_assert!((99_000..=101_000).contains(&step_us), "{} µs", step_us);
                    }
                }
                last = Some(time);
            }
        }

        #[test]
        fn any_timestamps_are_taken(stamps in proptest::collection::vec((any::<u32>(), any::<u32>(), any::<u64>(), any::<i32>()), 0..100), rate: u32) {
            let mut clock = TrackClock::new(rate);
            for (timestamp, monotonic_us, ntp, utc) in stamps {
                let arrival = Arrival { utc_us: START_UTC_US + i64::from(utc) * 1000, monotonic_us: u64::from(monotonic_us) };
                clock.stamp(timestamp, arrival);
                clock.sender_report(ntp, timestamp, arrival);
            }
        }
    }
}
