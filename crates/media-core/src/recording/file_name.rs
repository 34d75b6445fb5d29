//! Names of the archive's files and the rules for camera and stream names (DESIGN §4):
//! `{camera_id}/{YYYY-MM-DD}/video_{HH}[_{stream}][_{n}].mp4`, days and hours in UTC.

use crate::{Error, ErrorKind, Result};
use std::fmt::Write as _;

/// µs in an hour.
pub const HOUR_US: i64 = 3_600_000_000;

/// The stream whose name is left out of file names.
pub const MAIN_STREAM: &str = "main";

/// Most bytes of a camera id.
pub const CAMERA_ID_MAX_BYTES: usize = 64;

/// Most bytes of a stream name.
pub const STREAM_NAME_MAX_BYTES: usize = 32;

/// Accepts ids of 1 to 64 characters out of `[A-Za-z0-9_-]`, so that an id is always one harmless path component.
pub fn check_camera_id(camera_id: &str) -> Result<()> {
    let good = !camera_id.is_empty()
        && camera_id.len() <= CAMERA_ID_MAX_BYTES
        && camera_id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if good {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Invalid,
        format!("camera id {camera_id:?} must be 1 to {CAMERA_ID_MAX_BYTES} letters, digits, '-' or '_'"),
    ))
}

/// Accepts stream names of 1 to 32 lower-case letters, digits and '-', beginning with a letter: a name never looks
/// like the number that follows it in a file name.
pub fn check_stream_name(stream: &str) -> Result<()> {
    let good = stream.len() <= STREAM_NAME_MAX_BYTES
        && stream.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && stream
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if good {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Invalid,
        format!("stream name {stream:?} must be lower-case letters, digits or '-', beginning with a letter"),
    ))
}

/// Year, month and day (UTC) of a count of days since 1970-01-01.
pub fn date_of_day(day: i64) -> (i64, u32, u32) {
    // Years are counted from March, so that the leap day is the last of its year, in eras of 400 years = 146,097 days.
    let since_era_zero = day + 719_468;
    let era = since_era_zero.div_euclid(146_097);
    let day_of_era = since_era_zero.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let date = (day_of_year - (153 * march_month + 2) / 5 + 1) as u32;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    } as u32;
    (era * 400 + year_of_era + i64::from(month <= 2), month, date)
}

/// Days since 1970-01-01 of a date (UTC); None when there is no such date.
pub fn day_of_date(year: i64, month: u32, date: u32) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&date) || !(0..=9_999).contains(&year) {
        return None;
    }
    let march_year = year - i64::from(month <= 2);
    let march_month = i64::from((month + 9) % 12);
    let day_of_year = (153 * march_month + 2) / 5 + i64::from(date) - 1;
    let day_of_era = (march_year.rem_euclid(400)) * 365 + march_year.rem_euclid(400) / 4
        - march_year.rem_euclid(400) / 100
        + day_of_year;
    let day = march_year.div_euclid(400) * 146_097 + day_of_era - 719_468;
    (date_of_day(day) == (year, month, date)).then_some(day)
}

/// `YYYY-MM-DD` of a count of days since 1970-01-01.
pub fn day_directory(day: i64) -> String {
    let (year, month, date) = date_of_day(day);
    format!("{year:04}-{month:02}-{date:02}")
}

/// The day that a directory name `YYYY-MM-DD` means.
pub fn parse_day_directory(name: &str) -> Option<i64> {
    let bytes = name.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = name.get(range)?;
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    day_of_date(number(0..4)?, number(5..7)? as u32, number(8..10)? as u32)
}

/// RFC 3339 with µs and `Z`, for messages and manifests.
pub fn rfc3339(utc_us: i64) -> String {
    let day = utc_us.div_euclid(86_400_000_000);
    let us = utc_us.rem_euclid(86_400_000_000);
    let (hours, minutes, seconds) = (us / HOUR_US, us / 60_000_000 % 60, us / 1_000_000 % 60);
    format!(
        "{}T{hours:02}:{minutes:02}:{seconds:02}.{:06}Z",
        day_directory(day),
        us % 1_000_000
    )
}

/// Which file of one stream: its UTC hour and its number within that hour (1 for the first).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileSlot {
    /// Hours since the Unix epoch.
    pub hour: i64,
    /// 1, then 2, 3 … when parameters changed or a file could not be continued; 1 is left out of the name.
    pub number: u32,
}

impl FileSlot {
    /// The first file of the hour that `utc_us` lies in.
    pub fn of(utc_us: i64) -> Self {
        Self {
            hour: utc_us.div_euclid(HOUR_US),
            number: 1,
        }
    }

    /// The directory `YYYY-MM-DD`.
    pub fn directory(self) -> String {
        day_directory(self.hour.div_euclid(24))
    }

    /// `{HH}[_{stream}][_{n}]`, what the names of the video and its index have in common.
    pub fn stem(self, stream: &str) -> String {
        let mut stem = format!("{:02}", self.hour.rem_euclid(24));
        if stream != MAIN_STREAM {
            stem.push('_');
            stem.push_str(stream);
        }
        if self.number > 1 {
            let _ = write!(stem, "_{}", self.number);
        }
        stem
    }

    /// `video_{stem}.mp4`.
    pub fn video_name(self, stream: &str) -> String {
        format!("video_{}.mp4", self.stem(stream))
    }

    /// `index_{stem}.vms-idx`.
    pub fn index_name(self, stream: &str) -> String {
        format!("index_{}.vms-idx", self.stem(stream))
    }

    /// `checksum_{stem}.sha256`.
    pub fn checksum_name(self, stream: &str) -> String {
        format!("checksum_{}.sha256", self.stem(stream))
    }

    /// `{YYYY-MM-DD}/video_{stem}.mp4`: the file's name below its camera's directory.
    pub fn recording_name(self, stream: &str) -> String {
        format!("{}/{}", self.directory(), self.video_name(stream))
    }
}

/// The slot and the stream that `{YYYY-MM-DD}/video_{HH}[_{stream}][_{n}].mp4` means.
pub fn parse_recording_name(name: &str) -> Option<(FileSlot, &str)> {
    let (day, video) = name.split_once('/')?;
    parse_video_name(parse_day_directory(day)?, video)
}

/// The slot and the stream that `video_{HH}[_{stream}][_{n}].mp4` in the directory of `day` means.
pub fn parse_video_name(day: i64, name: &str) -> Option<(FileSlot, &str)> {
    parse_stem(day, name.strip_prefix("video_")?.strip_suffix(".mp4")?)
}

/// The slot and the stream that `checksum_{HH}[_{stream}][_{n}].sha256` in the directory of `day` means.
pub fn parse_checksum_name(day: i64, name: &str) -> Option<(FileSlot, &str)> {
    parse_stem(day, name.strip_prefix("checksum_")?.strip_suffix(".sha256")?)
}

/// The slot and the stream that `index_{HH}[_{stream}][_{n}].vms-idx` in the directory of `day` means.
pub fn parse_index_name(day: i64, name: &str) -> Option<(FileSlot, &str)> {
    parse_stem(day, name.strip_prefix("index_")?.strip_suffix(".vms-idx")?)
}

fn parse_stem(day: i64, stem: &str) -> Option<(FileSlot, &str)> {
    let mut parts = stem.split('_');
    let hour = parts.next()?;
    if hour.len() != 2 || !hour.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let hour: i64 = hour.parse().ok().filter(|h| (0..24).contains(h))?;
    let mut slot = FileSlot {
        hour: day * 24 + hour,
        number: 1,
    };
    let mut stream = MAIN_STREAM;
    let mut part = parts.next();
    if let Some(name) = part.filter(|p| check_stream_name(p).is_ok() && *p != MAIN_STREAM) {
        stream = name;
        part = parts.next();
    }
    if let Some(number) = part {
        // A canonical number only, so that a file has one name.
        slot.number = number
            .parse()
            .ok()
            .filter(|n: &u32| *n >= 2 && number == n.to_string())?;
    }
    parts.next().is_none().then_some((slot, stream))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_follow_the_hour_the_stream_and_the_number() {
        let slot = FileSlot::of(1_795_392_000_000_000 + 13 * HOUR_US + 5);
        assert_eq!(slot.directory(), "2026-11-23");
        assert_eq!(slot.video_name("main"), "video_13.mp4");
        let third = FileSlot { number: 3, ..slot };
        assert_eq!(third.video_name("sub"), "video_13_sub_3.mp4");
        assert_eq!(third.index_name("main"), "index_13_3.vms-idx");
        assert_eq!(
            rfc3339(1_795_392_000_000_000 + 13 * HOUR_US + 5),
            "2026-11-23T13:00:00.000005Z"
        );
    }

    #[test]
    fn paths_cannot_be_smuggled_into_ids() {
        for bad in ["", ".", "..", "a/b", "a\\b", "a\0b", "é", "a b", &"x".repeat(65)] {
            assert_eq!(check_camera_id(bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
        }
        check_camera_id(&"x".repeat(64)).unwrap();
        for bad in ["", "2", "2sub", "a_b", "A", "../x", "main/"] {
            assert_eq!(
                check_stream_name(bad).unwrap_err().kind(),
                ErrorKind::Invalid,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn other_names_are_not_ours() {
        for bad in [
            "video_24.mp4",
            "video_1.mp4",
            "video_01_1.mp4",
            "video_01_02.mp4",
            "video_01_sub_sub.mp4",
            "video_01_.mp4",
            "video_01_main.mp4",
            "video_01.mp4.part",
            "movie_01.mp4",
            "video_01_2_sub.mp4",
        ] {
            assert_eq!(parse_video_name(0, bad), None, "{bad}");
        }
        for bad in [
            "video_01.mp4",
            "2026-11-23/../2026-11-23/video_01.mp4",
            "../2026-11-23/video_01.mp4",
            "/2026-11-23/video_01.mp4",
            "2026-11-23//video_01.mp4",
            "2026-11-23/video_01.mp4/",
            "2026-11-23/index_01.vms-idx",
        ] {
            assert_eq!(parse_recording_name(bad), None, "{bad}");
        }
        for bad in [
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-1-01",
            "+026-01-01",
            "20260101xx",
        ] {
            assert_eq!(parse_day_directory(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_name_reads_back(hour in 0i64..5_000_000, number in 1u32..2_000, sub in any::<bool>()) {
            let stream = if sub { "sub" } else { "main" };
            let slot = FileSlot { hour, number };
            let day = parse_day_directory(&slot.directory()).unwrap();
            let (video, index) = (slot.video_name(stream), slot.index_name(stream));
            prop_assert_eq!(parse_video_name(day, &video), Some((slot, stream)));
            prop_assert_eq!(parse_index_name(day, &index), Some((slot, stream)));
            let (checksum, recording) = (slot.checksum_name(stream), slot.recording_name(stream));
            prop_assert_eq!(parse_checksum_name(day, &checksum), Some((slot, stream)));
            prop_assert_eq!(parse_recording_name(&recording), Some((slot, stream)));
        }

        #[test]
        fn parsing_never_panics(name in "\\PC*") {
            let _ = parse_video_name(0, &name);
            let _ = parse_day_directory(&name);
        }
    }
}
