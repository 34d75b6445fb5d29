//! Which spans of time are recorded: ranges end at the last sample and never bridge more than 200 ms.

use super::fragmenter::GAP_US;
use crate::index::{Gap, GapCause};

/// A recorded span, `start_us..end_us` in server time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First sample, µs.
    pub start_us: i64,
    /// End of the last sample, µs.
    pub end_us: i64,
}

/// What one file covers, growing fragment by fragment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// First sample, µs; None while empty.
    pub start_us: Option<i64>,
    /// End of the last sample, µs.
    pub end_us: i64,
    /// Gaps between `start_us` and `end_us`, in order.
    pub gaps: Vec<Gap>,
}

impl Coverage {
    /// Adds a fragment; `cause` counts if there is a gap before it.
    pub fn add(&mut self, start_us: i64, end_us: i64, cause: GapCause) {
        if self.start_us.is_none() {
            self.start_us = Some(start_us);
            self.end_us = end_us;
        } else if start_us.saturating_sub(self.end_us) > GAP_US {
            self.gaps.push(Gap {
                start_us: self.end_us,
                end_us: start_us,
                cause,
            });
        }
        self.end_us = self.end_us.max(end_us);
    }
}

/// The ranges and gaps of one stream between two instants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans {
    /// Recorded, in order, more than 200 ms apart.
    pub ranges: Vec<Range>,
    /// Between the ranges, and between the ends of the question and a range where the recording goes on beyond them.
    pub gaps: Vec<Gap>,
}

/// Joins files (sorted by start) into the ranges and gaps of `start_us..end_us`.
///
/// A file is given as its first and last instant and its gaps. A gap that lies between two files takes its cause from
/// the file after it, which may list a gap that ends where the file begins.
pub fn spans<'a>(files: impl Iterator<Item = (i64, i64, &'a [Gap])>, start_us: i64, end_us: i64) -> Spans {
    let mut spans = Spans::default();
    let mut covered_to: Option<i64> = None;
    let mut add = |piece_start: i64, piece_end: i64, cause: GapCause| {
        if let Some(covered) = covered_to
            && piece_start.saturating_sub(covered) > GAP_US
        {
            let (from, to) = (covered.max(start_us), piece_start.min(end_us));
            if from < to {
                spans.gaps.push(Gap {
                    start_us: from,
                    end_us: to,
                    cause,
                });
            }
        }
        let joined = covered_to.filter(|covered| piece_start.saturating_sub(*covered) <= GAP_US);
        covered_to = Some(covered_to.map_or(piece_end, |covered| covered.max(piece_end)));
        let (from, to) = (joined.unwrap_or(piece_start).max(start_us), piece_end.min(end_us));
        if from >= to {
            return;
        }
        match spans.ranges.last_mut().filter(|_| joined.is_some()) {
            Some(last) => last.end_us = last.end_us.max(to),
            None => spans.ranges.push(Range {
                start_us: from,
                end_us: to,
            }),
        }
    };
    for (file_start, file_end, gaps) in files {
        let mut from = file_start;
        let mut cause = GapCause::Unknown;
        for gap in gaps {
            if gap.end_us > from && gap.start_us >= from {
                add(from, gap.start_us, cause);
                from = gap.end_us;
            }
            cause = gap.cause;
        }
        add(from, file_end, cause);
    }
    spans
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn range(start_us: i64, end_us: i64) -> Range {
        Range { start_us, end_us }
    }

    #[test]
    fn touching_files_join_and_a_gap_of_more_than_200_ms_does_not() {
        let files = [
            (0, 1_000_000, &[][..]),
            (1_200_000, 2_000_000, &[]),
            (2_200_001, 3_000_000, &[]),
        ];
        let all = spans(files.iter().copied(), 0, 10_000_000);
        assert_eq!(all.ranges, [range(0, 2_000_000), range(2_200_001, 3_000_000)]);
        assert_eq!(
            all.gaps,
            [Gap {
                start_us: 2_000_000,
                end_us: 2_200_001,
                cause: GapCause::Unknown
            }]
        );
        let cut = spans(files.iter().copied(), 500_000, 2_100_000);
        assert_eq!(cut.ranges, [range(500_000, 2_000_000)]);
        assert_eq!(
            cut.gaps,
            [Gap {
                start_us: 2_000_000,
                end_us: 2_100_000,
                cause: GapCause::Unknown
            }]
        );
        let inside = spans(files.iter().copied(), 2_050_000, 2_100_000);
        assert_eq!((inside.ranges.len(), inside.gaps.len()), (0, 1));
    }

    #[test]
    fn a_file_may_say_why_the_time_before_it_is_missing() {
        let leading = [Gap {
            start_us: 1_000_000,
            end_us: 5_000_000,
            cause: GapCause::Stop,
        }];
        let all = spans(
            [(0, 1_000_000, &[][..]), (5_000_000, 6_000_000, &leading[..])].into_iter(),
            0,
            10_000_000,
        );
        assert_eq!(all.ranges, [range(0, 1_000_000), range(5_000_000, 6_000_000)]);
        assert_eq!(all.gaps, leading);
    }

    #[test]
    fn nothing_before_the_first_and_after_the_last_sample_is_a_gap() {
        assert_eq!(spans([(5, 600_000, &[][..])].into_iter(), 0, 10_000_000).gaps, []);
    }

    proptest! {
        #[test]
        fn coverage_and_spans_agree_with_a_plain_bitmap(
            pieces in prop::collection::vec((0i64..2_000, 1i64..1_500), 1..60),
            breaks in prop::collection::vec(any::<bool>(), 60),
            from in 0i64..60_000, length in 1i64..60_000,
        ) {
            // In ms here: pieces are (distance from the one before, length); a break starts a new file.
            let mut files: Vec<Coverage> = Vec::new();
            let mut bitmap = vec![false; 300_000];
            let mut at = 0i64;
            for ((distance, length), new_file) in pieces.iter().zip(&breaks) {
                at += distance;
                if *new_file || files.is_empty() {
                    files.push(Coverage::default());
                }
                files.last_mut().unwrap().add(at * 1_000, (at + length) * 1_000, GapCause::Camera);
                let bridged = *distance <= 200 && at > *distance;
                let first = if bridged { at - distance } else { at };
                bitmap[first as usize..(at + length) as usize].fill(true);
                at += length;
            }
            let until = from + length;
            let found = spans(files.iter().map(|f| (f.start_us.unwrap(), f.end_us, &f.gaps[..])), from * 1_000, until * 1_000);
            let mut seen = vec![false; 300_000];
            for pair in found.ranges.windows(2) {
                prop_assert!(pair[1].start_us - pair[0].end_us > GAP_US);
            }
            for r in &found.ranges {
                prop_assert!(r.start_us >= from * 1_000 && r.end_us <= until * 1_000 && r.start_us < r.end_us);
                seen[(r.start_us / 1_000) as usize..(r.end_us / 1_000) as usize].fill(true);
            }
            for ms in from..until {
                prop_assert_eq!(seen[ms as usize], bitmap[ms as usize], "at {} ms", ms);
            }
        }
    }
}
