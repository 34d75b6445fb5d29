//! HLS media playlists for recordings (RFC 8216; fMP4 segments, so version 7).

use crate::error::{Error, ErrorKind, Result};
use std::fmt::Write;

/// Bytes of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub offset: u64,
    /// Count of bytes.
    pub length: u64,
}

/// An initialization segment: EXT-X-MAP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// URI, relative to the playlist or absolute.
    pub uri: String,
    /// Part of the resource; None for all of it.
    pub range: Option<ByteRange>,
}

/// One media segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// URI, relative to the playlist or absolute.
    pub uri: String,
    /// Part of the resource; None for all of it.
    pub range: Option<ByteRange>,
    /// Initialization segment in force; written where it differs from the one before.
    pub map: Map,
    /// Duration in µs.
    pub duration_us: u64,
    /// Server UTC of the segment's start, µs since the Unix epoch.
    pub start_us: i64,
    /// Timestamps or parameters do not continue those of the segment before: EXT-X-DISCONTINUITY.
    pub discontinuity: bool,
}

/// A complete playlist (VOD) of these segments, each of which must start with a key sample. `Invalid` for a URI that would break a line or a quoted string.
pub fn vod(segments: &[Segment]) -> Result<String> {
    let mut out = String::with_capacity(200 + segments.len() * 160);
    // EXTINF rounded to the nearest second must not exceed the target duration (§4.3.3.1).
    let target = segments
        .iter()
        .map(|segment| (segment.duration_us + 500_000) / 1_000_000)
        .max()
        .unwrap_or(0)
        .max(1);
    out.push_str("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    put(
        &mut out,
        format_args!("#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:0\n"),
    );
    let mut map = None;
    for (number, segment) in segments.iter().enumerate() {
        if segment.discontinuity && number > 0 {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if map != Some(&segment.map) {
            put(
                &mut out,
                format_args!("#EXT-X-MAP:URI=\"{}\"", checked(&segment.map.uri)?),
            );
            if let Some(range) = segment.map.range {
                put(
                    &mut out,
                    format_args!(",BYTERANGE=\"{}@{}\"", range.length, range.offset),
                );
            }
            out.push('\n');
            map = Some(&segment.map);
        }
        if segment.discontinuity || number == 0 {
            put(
                &mut out,
                format_args!("#EXT-X-PROGRAM-DATE-TIME:{}\n", date_time(segment.start_us)),
            );
        }
        let (seconds, micros) = (segment.duration_us / 1_000_000, segment.duration_us % 1_000_000);
        put(&mut out, format_args!("#EXTINF:{seconds}.{micros:06},\n"));
        if let Some(range) = segment.range {
            put(
                &mut out,
                format_args!("#EXT-X-BYTERANGE:{}@{}\n", range.length, range.offset),
            );
        }
        put(&mut out, format_args!("{}\n", checked(&segment.uri)?));
    }
    out.push_str("#EXT-X-ENDLIST\n");
    Ok(out)
}

/// RFC 3339 with µs and `Z` of µs since the Unix epoch (years 0000 to 9999; times beyond are held at those bounds).
pub fn date_time(utc_us: i64) -> String {
    const FIRST_US: i64 = -62_167_219_200_000_000;
    const LAST_US: i64 = 253_402_300_799_999_999;
    let utc_us = utc_us.clamp(FIRST_US, LAST_US);
    let (days, within) = (utc_us.div_euclid(86_400_000_000), utc_us.rem_euclid(86_400_000_000));
    let (year, month, day) = civil_date(days);
    let (seconds, micros) = (within / 1_000_000, within % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// Year, month and day of a day counted from 1970-01-01 in the Gregorian calendar. Years are counted from March here,
/// so that the leap day is a year's last.
fn civil_date(days: i64) -> (i64, i64, i64) {
    const DAYS_IN_400_YEARS: i64 = 146_097;
    // Day 0 of the count from 0000-03-01 is 719,468 days before 1970-01-01.
    let day = days + 719_468;
    let (cycle, day_of_cycle) = (day.div_euclid(DAYS_IN_400_YEARS), day.rem_euclid(DAYS_IN_400_YEARS));
    // Leave out the leap days before this one: one in 4 years, none in 100, one in 400.
    let leap_days = day_of_cycle / 1460 - day_of_cycle / 36_524 + day_of_cycle / 146_096;
    let year_of_cycle = (day_of_cycle - leap_days) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    // From March on, five months have 153 days: 31, 30, 31, 30, 31.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (cycle * 400 + year_of_cycle + i64::from(month <= 2), month, day_of_month)
}

fn checked(uri: &str) -> Result<&str> {
    let broken = uri.is_empty() || uri.starts_with('#') || uri.chars().any(|c| c.is_control() || c == '"' || c == ' ');
    if broken {
        Err(Error::new(
            ErrorKind::Invalid,
            format!("{uri:?} cannot stand in a playlist"),
        ))
    } else {
        Ok(uri)
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn segment(number: u64) -> Segment {
        Segment {
            uri: format!("seg-{number}.m4s"),
            range: None,
            map: Map {
                uri: "init-0.mp4".into(),
                range: None,
            },
            duration_us: 2_000_000,
            start_us: 1_763_892_000_000_000 + number as i64 * 2_000_000,
            discontinuity: false,
        }
    }

    #[test]
    fn a_playlist_lists_every_segment_once() {
        let mut gap = segment(5);
        gap.discontinuity = true;
        gap.duration_us = 2_499_999;
        let mut other = segment(6);
        other.discontinuity = true;
        other.map = Map {
            uri: "video_11.mp4".into(),
            range: Some(ByteRange { offset: 0, length: 800 }),
        };
        other.range = Some(ByteRange {
            offset: 800,
            length: 5000,
        });
        let text = vod(&[segment(0), segment(1), gap, other]).unwrap();
        let expected = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n\
            #EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n\
            #EXT-X-MAP:URI=\"init-0.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2025-11-23T10:00:00.000000Z\n\
            #EXTINF:2.000000,\nseg-0.m4s\n#EXTINF:2.000000,\nseg-1.m4s\n\
            #EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2025-11-23T10:00:10.000000Z\n#EXTINF:2.499999,\nseg-5.m4s\n\
            #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"video_11.mp4\",BYTERANGE=\"800@0\"\n\
            #EXT-X-PROGRAM-DATE-TIME:2025-11-23T10:00:12.000000Z\n#EXTINF:2.000000,\n#EXT-X-BYTERANGE:5000@800\n\
            seg-6.m4s\n#EXT-X-ENDLIST\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn uris_that_would_break_the_playlist_are_invalid() {
        for uri in ["", "#x", "a\nb", "a\"b", "a b"] {
            let broken = Segment {
                uri: uri.into(),
                ..segment(0)
            };
            assert_eq!(vod(&[broken]).unwrap_err().kind(), ErrorKind::Invalid, "{uri:?}");
            let broken = Segment {
                map: Map {
                    uri: uri.into(),
                    range: None,
                },
                ..segment(0)
            };
            assert_eq!(vod(&[broken]).unwrap_err().kind(), ErrorKind::Invalid, "{uri:?}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (us, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (4_107_542_400_000_001, "2100-03-01T00:00:00.000001Z"),
            (i64::MAX, "9999-12-31T23:59:59.999999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(date_time(us), expected);
        }
    }

    proptest! {
        #[test]
        fn each_day_follows_the_one_before(day in -719_528i64..2_932_896) {
            let (year, month, dom) = civil_date(day);
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
            let next = if dom < length { (year, month, dom + 1) } else if month < 12 { (year, month + 1, 1) } else { (year + 1, 1, 1) };
            prop_assert_eq!(civil_date(day + 1), next);
        }
    }
}
