//! RTP timestamps of one outgoing stream.
//!
//! A viewer that joins in the middle of a GOP first gets everything since the key frame. Sent with its own times, that
//! burst would make the receiver believe that the stream runs seconds behind its clock and keep that distance as delay.
//! So pictures of a burst are stamped with the time they are sent, and from the live edge on the stream's own
//! differences hold again. The receiver sees an ordinary stream without jitter whose first second had many pictures.

/// Pictures of a burst stand at least this far apart: two pictures never share a timestamp (they would be one frame).
const MIN_STEP_US: i64 = 1000;
/// A step forward that exceeds the time that passed by more than this is a jump of the camera's clock.
const JUMP_US: i64 = 2_000_000;

/// State of one stream of one viewer. Ticks are of the stream's RTP clock, counted from `base`.
#[derive(Debug)]
pub(super) struct Timeline {
    base: u32,
    clock_rate: u32,
    origin_us: Option<u64>,
    last: Option<Last>,
    /// `ticks = pts + offset` while live.
    offset: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    ticks: i64,
    sent_us: u64,
}

impl Timeline {
    /// A stream whose first timestamp is `base` (random, RFC 3550 §5.1) and whose clock runs at `clock_rate` Hz.
    pub(super) fn new(base: u32, clock_rate: u32) -> Self {
        Self {
            base,
            clock_rate,
            origin_us: None,
            last: None,
            offset: None,
        }
    }

    /// The timestamp of a picture out of the GOP cache that is sent at `now_us` (monotonic).
    pub(super) fn burst(&mut self, now_us: u64) -> u32 {
        self.offset = None;
        let ticks = self.at(now_us);
        self.stamp(ticks, now_us)
    }

    /// The timestamp of a live unit with presentation time `pts` (ticks of the same clock) sent at `now_us`.
    pub(super) fn live(&mut self, pts: i64, discontinuity: bool, now_us: u64) -> u32 {
        let kept = match (self.offset, self.last) {
            (Some(offset), Some(last)) if !discontinuity => {
                let ticks = pts.wrapping_add(offset);
                let advance = ticks.wrapping_sub(last.ticks);
                let longest = self.ticks(now_us.saturating_sub(last.sent_us) as i64 + JUMP_US);
                (advance > 0 && advance <= longest).then_some(ticks)
            }
            _ => None,
        };
        let ticks = kept.unwrap_or_else(|| {
            let ticks = self.at(now_us);
            self.offset = Some(ticks.wrapping_sub(pts));
            ticks
        });
        self.stamp(ticks, now_us)
    }

    /// Where the stream's clock stands at `now_us`, after everything sent.
    fn at(&mut self, now_us: u64) -> i64 {
        let origin_us = *self.origin_us.get_or_insert(now_us);
        let ticks = self.ticks(now_us.saturating_sub(origin_us) as i64);
        match self.last {
            Some(last) => ticks.max(last.ticks + self.ticks(MIN_STEP_US)),
            None => ticks,
        }
    }

    fn ticks(&self, us: i64) -> i64 {
        us * i64::from(self.clock_rate) / 1_000_000
    }

    fn stamp(&mut self, ticks: i64, sent_us: u64) -> u32 {
        self.last = Some(Last { ticks, sent_us });
        self.base.wrapping_add(ticks as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: i64 = 3000;

    #[test]
    fn a_burst_is_stamped_with_its_sending_times_and_live_goes_on_from_its_end() {
        let mut timeline = Timeline::new(u32::MAX - 500, 90_000);
        // Sixty pictures, two seconds of stream, sent within 120 ms.
        let mut previous = timeline.burst(1_000_000);
        assert_eq!(previous, u32::MAX - 500);
        for i in 1..60u64 {
            let stamp = timeline.burst(1_000_000 + i * 2000);
            assert_eq!(stamp.wrapping_sub(previous), 180, "2 ms at 90 kHz");
            previous = stamp;
        }
        let first = timeline.live(77_000_000_000, false, 1_150_000);
        assert_eq!(
            first.wrapping_sub(u32::MAX - 500),
            13_500,
            "150 ms after the start, not two seconds"
        );
        let second = timeline.live(77_000_000_000 + FRAME, false, 1_170_000);
        assert_eq!(
            second.wrapping_sub(first),
            FRAME as u32,
            "the stream's difference, not the sending times'"
        );
    }

    #[test]
    fn pictures_sent_in_the_same_instant_stay_apart() {
        let mut timeline = Timeline::new(0, 90_000);
        assert_eq!([timeline.burst(5), timeline.burst(5), timeline.burst(5)], [0, 90, 180]);
        // The live edge may come before the stamps already given: never back.
        assert_eq!(timeline.live(0, false, 5), 270);
    }

    #[test]
    fn lateness_is_not_a_jump() {
        let mut timeline = Timeline::new(0, 90_000);
        timeline.live(1_000_000, false, 0);
        // The network held three seconds back and delivers them at once: true differences, or the receiver would
        // keep three seconds of delay.
        let mut stamp = 0;
        for i in 1..=90 {
            stamp = timeline.live(1_000_000 + i * FRAME, false, 3_000_000);
        }
        assert_eq!(stamp, 270_000);
        assert_eq!(timeline.live(1_000_000 + 91 * FRAME, false, 3_033_333), 273_000);
    }

    #[test]
    fn jumps_of_the_camera_clock_are_bridged_by_our_own() {
        let mut timeline = Timeline::new(0, 90_000);
        timeline.live(1_000_000, false, 0);
        assert_eq!(timeline.live(500, false, 40_000), 3600, "backwards");
        assert_eq!(timeline.live(500 + 90_000 * 60, false, 80_000), 7200, "a minute ahead");
        assert_eq!(timeline.live(90_000 * 60 + 3500, true, 120_000), 10_800, "flagged");
        assert_eq!(timeline.live(i64::MIN, false, 160_000), 14_400);
        assert_eq!(timeline.live(i64::MAX, false, 200_000), 18_000);
    }

    #[test]
    fn resending_the_gop_never_goes_back() {
        let mut timeline = Timeline::new(0, 90_000);
        timeline.live(0, false, 0);
        let live = timeline.live(90_000, false, 900_000);
        let resent = timeline.burst(950_000);
        assert!(resent > live, "{resent} after {live}");
    }

    #[test]
    fn a_day_without_drift_from_rounding() {
        let mut timeline = Timeline::new(7, 8000);
        timeline.live(0, false, 0);
        for chunk in 1..=1000i64 {
            let stamp = timeline.live(chunk * 160, false, chunk as u64 * 20_000);
            assert_eq!(stamp, 7 + chunk as u32 * 160);
        }
    }
}
