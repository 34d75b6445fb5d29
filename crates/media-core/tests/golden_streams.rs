//! What is made of the golden streams, unit by unit: presentation and decoding times, key flags. To accept a change on
//! purpose: `UPDATE_GOLDEN=1 cargo test -p media-core --test golden_streams`, and read the difference.
#![allow(clippy::unwrap_used)]

mod camera_dump;

use camera_dump::*;
use media_core::codec::{h264, h265, nal};
use media_core::rtp::clock::TrackClock;
use media_core::{AccessUnit, Codec};
use std::collections::HashSet;
use std::fmt::Write;

/// One line per unit, times in ticks from the first unit's decoding time.
fn unit_table(units: &[AccessUnit]) -> String {
    let parameters = &units[0].parameters;
    let mut table = format!(
        "# {} {}x{} {} reorder_depth={} fps_milli={} first_utc_us={}\n# unit dts pts cts utc_us bytes flags\n",
        parameters.codec.as_str(),
        parameters.width,
        parameters.height,
        parameters.clock_rate,
        parameters.reorder_depth,
        parameters.fps_milli,
        units[0].utc_us - START_UTC_US,
    );
    for (number, unit) in units.iter().enumerate() {
        let origin = units[0].dts;
        writeln!(
            table,
            "{number} {} {} {} {} {}{}{}",
            unit.dts - origin,
            unit.pts - origin,
            unit.pts - unit.dts,
            unit.utc_us - units[0].utc_us,
            unit.data.len(),
            if unit.key { " key" } else { "" },
            if unit.discontinuity { " discontinuity" } else { "" },
        )
        .unwrap();
    }
    table
}

/// Holds for every stream whatever its table says.
fn assert_ordered(name: &str, units: &[AccessUnit]) {
    assert!(
        units.windows(2).all(|pair| pair[0].dts < pair[1].dts),
        "{name}: DTS rise"
    );
    assert_eq!(units[0].dts, units[0].pts, "{name}: the first unit's DTS is its PTS");
    assert_eq!(
        units.iter().map(|unit| unit.pts).collect::<HashSet<_>>().len(),
        units.len(),
        "{name}: no two pictures at one time"
    );
    assert!(
        units.iter().skip(1).all(|unit| !unit.discontinuity),
        "{name}: nothing is missing"
    );
    assert!(
        units
            .iter()
            .all(|unit| std::sync::Arc::ptr_eq(&unit.parameters, &units[0].parameters)),
        "{name}: parameter sets that come again are no change"
    );
}

#[test]
fn units_of_every_stream_are_the_golden_ones() {
    for name in STREAMS {
        let units = receive(name, 0);
        assert_eq!(
            units.len(),
            text(&format!("{name}.pictures")).lines().count(),
            "{name}: pictures"
        );
        assert_ordered(name, &units);
        compare(&format!("{name}.units"), &unit_table(&units));
    }
}

#[test]
fn presentation_times_are_the_encoders() {
    for name in STREAMS {
        let mut shown: Vec<i64> = receive(name, 0).iter().map(|unit| unit.pts).collect();
        shown.sort_unstable();
        let shown: Vec<i64> = shown.iter().map(|pts| pts - shown[0]).collect();
        let pictures = text(&format!("{name}.pictures"));
        let expected: Vec<i64> = pictures
            .lines()
            .map(|line| line.split(' ').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(shown, expected, "{name}");
    }
}

#[test]
fn a_session_that_joins_in_mid_stream_finds_its_entry_points() {
    for name in ["open_gop_h264", "open_gop_h265", "intra_refresh"] {
        let units = receive(name, 7);
        assert_ordered(name, &units);
        compare(&format!("{name}.joined.units"), &unit_table(&units));
        let entries: Vec<u32> = units
            .iter()
            .filter(|unit| unit.key)
            .filter_map(|unit| match unit.parameters.codec {
                Codec::H264 => h264::recovery_frames(&unit.data),
                _ => h265::recovery_frames(&unit.data),
            })
            .collect();
        let idr = units.iter().skip(1).any(|unit| match unit.parameters.codec {
            Codec::H264 => nal::length_prefixed(&unit.data).any(|nal| h264::nal_type(nal) == h264::NAL_IDR),
            _ => nal::length_prefixed(&unit.data).any(|nal| matches!(h265::nal_type(nal), 19 | 20)),
        });
        assert!(
            !idr,
            "{name} has no IDR picture after its first: these entries are all there are"
        );
        assert_eq!(entries.len(), 4, "{name}");
        // A column of intra blocks a picture: whole pictures come late.
        let late = name == "intra_refresh";
        assert!(
            entries.iter().all(|frames| (*frames > 0) == late),
            "{name}: {entries:?}"
        );
    }
}

#[test]
fn a_drifting_clock_is_followed() {
    let mut clock = TrackClock::new(90_000);
    let mut table = String::from("# second pts utc_us camera_offset_us discontinuity\n");
    let (mut second, mut first) = (0u64, None);
    for line in text("drift.clock").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').collect();
        let at = arrival(fields[1].parse().unwrap());
        if fields[0] == "sr" {
            clock.sender_report(fields[2].parse().unwrap(), fields[3].parse().unwrap(), at);
            continue;
        }
        let time = clock.stamp(fields[2].parse().unwrap(), at);
        let (first_pts, first_utc_us) = *first.get_or_insert((time.pts, time.utc_us));
        assert_eq!(
            time.pts - first_pts,
            second as i64 * 90_000,
            "PTS count the camera's ticks"
        );
        // The camera gains 300 ppm: its picture number n is taken n × 300 µs before n seconds are over.
        let taken_us = START_UTC_US + (second as f64 * 1e6 / (1.0 + 300e-6)) as i64;
        let error_us = time.utc_us - taken_us;
        assert!(
            second < 20 || (0..25_000).contains(&error_us),
            "picture {second}: server time is {error_us} µs off, whatever the delay of its packet"
        );
        if second.is_multiple_of(20) || time.discontinuity {
            writeln!(
                table,
                "{second} {} {} {} {}",
                time.pts - first_pts,
                time.utc_us - first_utc_us,
                clock.camera_offset_us().map_or("-".to_owned(), |us| us.to_string()),
                time.discontinuity,
            )
            .unwrap();
        }
        second += 1;
    }
    assert_eq!((second, clock.jumps()), (1200, 0), "drift is no jump");
    compare("drift.times", &table);
}
