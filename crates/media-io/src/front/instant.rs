//! RFC 3339 instants to and from µs since the Unix epoch.

use media_core::{Error, ErrorKind, Result};

const US_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// µs since the Unix epoch of an RFC 3339 date-time ("2026-11-23T10:00:00.5+02:00").
///
/// The fraction is optional and cut after six digits; a leap second counts as the second after it. A space where the
/// `+` of the offset belongs is taken for it: that is what an unescaped `+` in a query becomes.
/// Errors: `Invalid`, naming the text.
pub fn parse_rfc3339_us(text: &str) -> Result<i64> {
    parse(text.as_bytes()).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        Error::new(
            ErrorKind::Invalid,
            format!("“{shown}” is not an RFC 3339 time such as 2026-11-23T10:00:00Z"),
        )
    })
}

/// "2026-11-23T10:00:00.500000Z" of µs since the Unix epoch; always six digits and `Z`.
pub fn format_rfc3339_us(at_us: i64) -> String {
    let seconds = at_us.div_euclid(US_PER_SECOND);
    let us = at_us.rem_euclid(US_PER_SECOND);
    let (year, month, day) = civil_of_days(seconds.div_euclid(SECONDS_PER_DAY));
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{us:06}Z")
}

fn parse(text: &[u8]) -> Option<i64> {
    let year = digits(text, 0, 4)?;
    expect(text, 4, b"-")?;
    let month = digits(text, 5, 2)?;
    expect(text, 7, b"-")?;
    let day = digits(text, 8, 2)?;
    expect(text, 10, b"Tt ")?;
    let hour = digits(text, 11, 2)?;
    expect(text, 13, b":")?;
    let minute = digits(text, 14, 2)?;
    expect(text, 16, b":")?;
    let second = digits(text, 17, 2)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut at = 19;
    let mut us = 0;
    if text.get(at) == Some(&b'.') {
        at += 1;
        let start = at;
        let mut weight_us = US_PER_SECOND / 10;
        while let Some(digit) = text.get(at).filter(|b| b.is_ascii_digit()) {
            us += i64::from(digit - b'0') * weight_us;
            weight_us /= 10;
            at += 1;
        }
        if at == start {
            return None;
        }
    }
    let offset_s = match text.get(at)? {
        b'Z' | b'z' if text.len() == at + 1 => 0,
        sign @ (b'+' | b' ' | b'-') if text.len() == at + 6 => {
            let hours = digits(text, at + 1, 2)?;
            expect(text, at + 3, b":")?;
            let minutes = digits(text, at + 4, 2)?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3600 + minutes * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let seconds = days_of_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset_s;
    Some(seconds * US_PER_SECOND + us)
}

fn digits(text: &[u8], at: usize, count: usize) -> Option<i64> {
    let field = text.get(at..at + count)?;
    field.iter().try_fold(0, |value, b| {
        b.is_ascii_digit().then(|| value * 10 + i64::from(b - b'0'))
    })
}

fn expect(text: &[u8], at: usize, any_of: &[u8]) -> Option<()> {
    any_of.contains(text.get(at)?).then_some(())
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar. Years are counted from March, so that the leap
/// day is the last of a year and months have the regular lengths that (153·m + 2) / 5 sums.
fn days_of_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_of_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_instants() {
        for (text, us) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-23T10:00:00Z", 1_795_428_000_000_000),
            ("2026-11-23T10:00:00.123456Z", 1_795_428_000_123_456),
            ("2026-11-23T10:00:00.123456999Z", 1_795_428_000_123_456),
            ("2026-11-23t12:00:00.5+02:00", 1_795_428_000_500_000),
            ("2026-11-23T12:00:00 02:00", 1_795_428_000_000_000),
            ("2026-11-23 07:00:00-03:00", 1_795_428_000_000_000),
            ("2024-02-29T23:59:60Z", 1_709_251_200_000_000),
            ("1969-12-31T23:59:59.999999Z", -1),
        ] {
            assert_eq!(parse_rfc3339_us(text).unwrap(), us, "{text}");
        }
        assert_eq!(format_rfc3339_us(1_795_428_000_123_456), "2026-11-23T10:00:00.123456Z");
        assert_eq!(format_rfc3339_us(-1), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn refuses_what_is_no_instant() {
        for text in [
            "",
            "now",
            "2026-11-23",
            "2026-11-23T10:00:00",
            "2026-11-23T10:00Z",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T10:00:00.Z",
            "2026-11-23T10:00:00+2:00",
            "2026-11-23T10:00:00Zx",
            "2026-11-23T10:00:00+24:00",
            "２026-11-23T10:00:00Z",
        ] {
            assert_eq!(parse_rfc3339_us(text).unwrap_err().kind(), ErrorKind::Invalid, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(us in -62_135_596_800_000_000_i64..253_402_300_799_000_000) {
            prop_assert_eq!(parse_rfc3339_us(&format_rfc3339_us(us)).unwrap(), us);
        }

        #[test]
        fn any_text_is_survived(text in ".{0,40}") {
            let _ = parse_rfc3339_us(&text);
        }
    }
}
