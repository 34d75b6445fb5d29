//! What is recorded of a camera between two instants, from the catalogue alone.

use super::Archive;
use super::catalogue::FileState;
use media_core::index::{Gap, GapCause};
use media_core::recording::file_name::{MAIN_STREAM, check_camera_id};
use media_core::recording::ranges::spans;
use media_core::{Error, ErrorKind, Result};
use serde::Serialize;

/// A recorded span of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimelineRange {
    /// First sample, µs since the Unix epoch by the server's clock.
    pub start_us: i64,
    /// End of the last durable sample.
    pub end_us: i64,
    /// `main`, `sub` …
    pub stream: String,
}

/// A span in which the camera's main stream was not recorded although it was before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimelineGap {
    /// End of the sample before, µs since the Unix epoch.
    pub start_us: i64,
    /// The sample after.
    pub end_us: i64,
    /// `unknown`, `camera`, `network`, `disk`, `stop` or `overload`.
    pub cause: &'static str,
}

/// Ranges and gaps between two instants; both cut to them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Timeline {
    /// Per stream in order; ranges of one stream are more than 200 ms apart.
    pub ranges: Vec<TimelineRange>,
    /// Longer than 200 ms each; of the main stream, or of the first there is.
    pub gaps: Vec<TimelineGap>,
}

impl Archive {
    /// What is recorded of a camera in `start_us..end_us`. A camera without recordings has an empty timeline.
    /// `Invalid` when the start is not before the end.
    pub fn timeline(&self, camera_id: &str, start_us: i64, end_us: i64) -> Result<Timeline> {
        check_camera_id(camera_id)?;
        check_interval(start_us, end_us)?;
        let mut timeline = Timeline::default();
        let streams = self.catalogue.streams_of(camera_id);
        // Main sorts before sub; a camera without main shows the gaps of what it has.
        let with_gaps = streams
            .iter()
            .find(|s| s.name.stream == MAIN_STREAM)
            .or(streams.first())
            .cloned();
        for stream in streams {
            let files = stream.around(start_us, end_us);
            let states: Vec<(i64, FileState)> = files.iter().map(|f| (f.start_us, f.state.read().clone())).collect();
            let mut before: Option<&FileState> = None;
            let pieces: Vec<(i64, i64, Vec<Gap>)> = states
                .iter()
                .filter(|(start, state)| state.end_us > *start)
                .map(|(start, state)| {
                    let mut gaps = state.gaps.clone();
                    if let Some(before) = before
                        && gaps.first().is_none_or(|g| g.end_us > *start)
                        && *start > before.end_us
                    {
                        // The file itself does not say why there is nothing before it.
                        let cause = if before.sealed && !before.repaired {
                            GapCause::Stop
                        } else {
                            GapCause::Unknown
                        };
                        gaps.insert(
                            0,
                            Gap {
                                start_us: before.end_us,
                                end_us: *start,
                                cause,
                            },
                        );
                    }
                    before = Some(state);
                    (*start, state.end_us, gaps)
                })
                .collect();
            let found = spans(
                pieces.iter().map(|(start, end, gaps)| (*start, *end, &gaps[..])),
                start_us,
                end_us,
            );
            let name = &stream.name.stream;
            timeline.ranges.extend(found.ranges.iter().map(|r| TimelineRange {
                start_us: r.start_us,
                end_us: r.end_us,
                stream: name.clone(),
            }));
            if with_gaps.as_ref().is_some_and(|s| s.name == stream.name) {
                timeline.gaps = found
                    .gaps
                    .iter()
                    .map(|g| TimelineGap {
                        start_us: g.start_us,
                        end_us: g.end_us,
                        cause: g.cause.as_str(),
                    })
                    .collect();
            }
        }
        Ok(timeline)
    }
}

/// Refuses an interval that is empty or runs backwards.
pub(super) fn check_interval(start_us: i64, end_us: i64) -> Result<()> {
    if start_us < end_us {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, "the start must lie before the end"))
}
