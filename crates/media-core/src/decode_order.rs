//! Decoding times from presentation times. RTP carries only presentation times; the container needs both.
//!
//! With at most N pictures decoded before and shown after another, the k-th picture in output order is complete when
//! picture k + N is decoded. So DTS_i = (N+1)-th greatest PTS up to picture i, plus N frame durations, so that the
//! first picture has DTS = PTS; composition offsets are signed. Nothing here knows of fragments or GOPs.

use crate::codec;
use crate::track::{Codec, TrackKind, TrackParameters};

/// Used where the parameter sets state no frame rate. It only shifts DTS against PTS by a constant.
const DEFAULT_FPS_MILLI: u64 = 30_000;
/// Longest frame duration that is believed: one second.
const MIN_FPS_MILLI: u64 = 1_000;

/// The decoding order of one track. Lives as long as the session; `reset` at every discontinuity.
#[derive(Debug, Clone)]
pub struct DecodeOrder {
    /// N in use: what the SPS states, or the most that was seen where it only bounds it.
    depth: usize,
    depth_limit: usize,
    frame_ticks: i64,
    /// The `depth_limit` + 1 greatest PTS so far, ascending.
    greatest: Vec<i64>,
    first_pts: i64,
    last_dts: Option<i64>,
}

impl DecodeOrder {
    /// The order of a track with these parameters.
    ///
    /// An H.264 SPS without bitstream_restriction only bounds the depth (by the DPB of its level), and most such
    /// cameras send no B-frames at all: there N starts at 0 and grows to the most that is seen, so that DTS = PTS for
    /// a stream without B-frames however irregular its clock is.
    pub fn new(parameters: &TrackParameters) -> Self {
        let limit = parameters.reorder_depth as usize;
        let stated = match parameters.codec {
            Codec::H264 => codec::h264::sequence_of(&parameters.configuration).is_none_or(|sps| sps.reorder_stated),
            _ => true,
        };
        let fps_milli = match parameters.fps_milli as u64 {
            0 => DEFAULT_FPS_MILLI,
            fps => fps.max(MIN_FPS_MILLI),
        };
        let frame_ticks = match parameters.codec.kind() {
            TrackKind::Video => (parameters.clock_rate as u64 * 1000 / fps_milli) as i64,
            TrackKind::Audio | TrackKind::Metadata => 0,
        };
        Self {
            depth: if stated { limit } else { 0 },
            depth_limit: limit,
            frame_ticks,
            greatest: Vec::with_capacity(limit + 2),
            first_pts: 0,
            last_dts: None,
        }
    }

    /// The DTS of the next unit in decoding order, in the ticks of `pts`; always greater than the one before.
    ///
    /// `pts` must move on within seconds of the last one: jumps of the camera's clock are for the caller to find, who
    /// then calls `reset`.
    pub fn push(&mut self, pts: i64) -> i64 {
        if self.greatest.is_empty() {
            self.first_pts = pts;
        }
        let place = self.greatest.partition_point(|earlier| *earlier <= pts);
        let shown_later = self.greatest.len() - place;
        self.depth = self.depth.max(shown_later.min(self.depth_limit));
        self.greatest.insert(place, pts);
        let expected = match self.greatest.len().checked_sub(self.depth + 1) {
            Some(place) => self.greatest[place].saturating_add(self.depth as i64 * self.frame_ticks),
            None => self
                .first_pts
                .saturating_add((self.greatest.len() as i64 - 1) * self.frame_ticks),
        };
        if self.greatest.len() > self.depth_limit + 1 {
            self.greatest.remove(0);
        }
        let dts = match self.last_dts {
            Some(last) => expected.max(last.saturating_add(1)),
            None => expected,
        };
        self.last_dts = Some(dts);
        dts
    }

    /// Forgets what was pushed: the next unit follows a discontinuity, and its DTS is its PTS.
    pub fn reset(&mut self) {
        self.greatest.clear();
        self.last_dts = None;
    }

    /// Goes on with other parameters: the next unit starts a new order (DTS = PTS), but not before the last DTS.
    pub fn change(&mut self, parameters: &TrackParameters) {
        let last_dts = self.last_dts;
        *self = Self::new(parameters);
        self.last_dts = last_dts;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: i64 = 3000;

    fn parameters(reorder_depth: u8) -> TrackParameters {
        TrackParameters {
            codec: Codec::H265,
            clock_rate: 90_000,
            configuration: bytes::Bytes::new(),
            width: 640,
            height: 360,
            channels: 0,
            reorder_depth,
            fps_milli: 30_000,
        }
    }

    fn order(depth: u8) -> DecodeOrder {
        DecodeOrder::new(&parameters(depth))
    }

    /// An order whose depth is only bounded, as from an SPS without bitstream_restriction.
    fn bounded(limit: u8) -> DecodeOrder {
        DecodeOrder {
            depth: 0,
            ..order(limit)
        }
    }

    fn dts_of(order: &mut DecodeOrder, frames: &[i64]) -> Vec<i64> {
        frames.iter().map(|frame| order.push(frame * FRAME)).collect()
    }

    /// Display numbers in decoding order with at most `depth` pictures shown after a later decoded one: a mini-GOP of
    /// depth 1 is P B, of depth 2 P B b b.
    fn with_b_frames(count: i64, depth: u8) -> Vec<i64> {
        let pattern: &[i64] = match depth {
            0 => &[1],
            1 => &[3, 1, 2],
            _ => &[4, 2, 1, 3],
        };
        let mut frames = vec![0];
        while (frames.len() as i64) < count {
            let base = frames.len() as i64 - 1;
            frames.extend(pattern.iter().map(|number| base + number));
        }
        frames
    }

    #[test]
    fn b_frames_get_evenly_spaced_times_from_the_first_picture_on() {
        for depth in 0..=2 {
            let frames = with_b_frames(40, depth);
            let expected: Vec<i64> = (0..frames.len() as i64).map(|number| number * FRAME).collect();
            assert_eq!(dts_of(&mut order(depth), &frames), expected, "depth {depth}");
        }
    }

    #[test]
    fn a_bounded_depth_grows_with_what_is_seen() {
        let frames = with_b_frames(40, 2);
        let dts = dts_of(&mut bounded(4), &frames);
        assert!(dts.windows(2).all(|pair| pair[0] < pair[1]));
        // Settled after the first mini-GOPs.
        assert_eq!(dts[20..], dts_of(&mut order(2), &frames)[20..]);
        let irregular = [0, 1, 2, 90, 91, 300];
        assert_eq!(
            dts_of(&mut bounded(4), &irregular),
            irregular.map(|frame| frame * FRAME)
        );
    }

    #[test]
    fn a_repeated_or_late_time_still_moves_on() {
        let mut order = order(0);
        assert_eq!(
            [order.push(9000), order.push(9000), order.push(8000), order.push(12_000)],
            [9000, 9001, 9002, 12_000]
        );
    }

    #[test]
    fn leading_pictures_of_an_open_gop_keep_the_order() {
        // A session that starts at the I picture of an open GOP: pictures 1 and 2 are shown before it.
        let dts = dts_of(&mut order(2), &[3, 1, 2, 6, 4, 5, 9, 7, 8]);
        assert_eq!(dts[0], 3 * FRAME);
        assert!(dts.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn reset_starts_anew_and_change_goes_on() {
        let mut order = order(2);
        dts_of(&mut order, &[100, 102, 101]);
        order.reset();
        assert_eq!(order.push(5), 5);
        let mut order = self::order(0);
        order.push(900_000);
        order.change(&parameters(2));
        assert_eq!(order.push(899_000), 900_001, "never back");
        assert_eq!(
            order.push(1_000_000),
            902_000,
            "then one frame after its own first picture"
        );
    }

    proptest! {
        #[test]
        fn times_increase_and_stay_within_the_reorder_depth(
            depth in 0u8..3, gaps in proptest::collection::vec(1i64..20, 60), start in -1i64 << 40..1 << 40,
        ) {
            // Irregular presentation times: the display number indexes a growing sum.
            let times: Vec<i64> = gaps.iter().scan(start, |time, gap| { *time += gap * 500; Some(*time) }).collect();
            let frames: Vec<i64> = with_b_frames(50, depth).into_iter().map(|frame| times[frame as usize]).collect();
            let mut order = order(depth);
            let mut last = None;
            for pts in &frames {
                let dts = order.push(*pts);
                prop_assert!(last.is_none_or(|last| dts > last));
                // N of the longest frames either way, plus the ticks that keep the order strict.
                let bound = (2 * depth as i64 + 1) * 20 * 500 + 60;
                prop_assert!((pts - dts).abs() <= bound, "pts {} dts {}", pts, dts);
                if depth == 0 {
                    prop_assert_eq!(dts, *pts);
                }
                last = Some(dts);
            }
        }

        #[test]
        fn arbitrary_times_never_panic_and_never_repeat(
            depth in 0u8..17, times in proptest::collection::vec(-1i64 << 60..1 << 60, 0..80),
        ) {
            for mut order in [order(depth), bounded(depth)] {
                let dts: Vec<i64> = times.iter().map(|pts| order.push(*pts)).collect();
                prop_assert!(dts.windows(2).all(|pair| pair[0] < pair[1]));
            }
        }
    }
}
