use crate::feed::*;
use crate::playback::read_all;
use media_io::archive::{Archive, ArchiveOptions, SparseArchive, make_sparse, make_sparse_archive};
use media_io::clock::SystemClock;
use std::time::Instant;

fn sparse(cameras: &[&str], hours: i64) -> SparseArchive {
    SparseArchive {
        camera_ids: cameras.iter().map(|c| (*c).into()).collect(),
        start_us: T0_US - hours * 3_600 * SECOND_US,
        end_us: T0_US,
        parameters: (*video_parameters(b"a")).clone(),
        fps: 30,
        gop_pictures: 60,
        bitrate_bps: 4_000_000,
        fragment_ms: 500,
        gap_every_hours: 0,
    }
}

#[test]
fn a_made_up_archive_is_a_true_one() {
    let directory = tempfile::tempdir().unwrap();
    let storage = directory.path().join("storage");
    let wanted = SparseArchive {
        gap_every_hours: 5,
        ..sparse(&["1", "2"], 6)
    };
    assert_eq!(make_sparse_archive(&storage, &wanted).unwrap(), 10);
    assert_eq!(
        make_sparse_archive(&storage, &wanted).unwrap(),
        0,
        "what is there stays"
    );
    let (archive, report) = Archive::open(&storage, ArchiveOptions::default(), SystemClock::new()).unwrap();
    assert_eq!(
        (report.files_checked, report.files_repaired, report.problems),
        (10, 0, vec![])
    );
    let hour_us = 3_600 * SECOND_US;
    let timeline = archive.timeline("2", T0_US - 24 * hour_us, T0_US + hour_us).unwrap();
    let ranges: Vec<_> = timeline
        .ranges
        .iter()
        .map(|r| ((r.start_us - T0_US) / hour_us, (r.end_us - T0_US) / hour_us))
        .collect();
    assert_eq!((ranges, timeline.gaps.len()), (vec![(-6, -2), (-1, 0)], 1));
    let second_us = |s: i64| T0_US - 3 * hour_us + s * SECOND_US;
    let playback = archive.playback("1", "main", second_us(-3), second_us(4)).unwrap();
    assert_eq!((playback.start_us, playback.end_us), (second_us(-3), second_us(4)));
    let bytes = read_all(&*playback.source).len() as f64;
    assert!(
        (0.9..1.2).contains(&(bytes / (8.0 * 4e6 / 8.0))),
        "8 s of 4 Mbit/s from the key frame on: {bytes}"
    );
    assert!(make_sparse_archive(&storage, &wanted).is_err(), "not while it is open");
    for bad in [
        SparseArchive {
            fps: 0,
            ..wanted.clone()
        },
        SparseArchive {
            end_us: wanted.start_us,
            ..wanted.clone()
        },
        SparseArchive {
            camera_ids: vec!["..".into()],
            ..wanted.clone()
        },
        SparseArchive {
            gop_pictures: 0,
            ..wanted
        },
    ] {
        assert!(make_sparse_archive(directory.path(), &bad).is_err());
    }
}

#[test]
fn a_day_is_sought_and_listed_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let storage = directory.path().join("storage");
    assert_eq!(
        make_sparse(&storage, "1", T0_US - 24 * 3_600 * SECOND_US, T0_US).unwrap(),
        24
    );
    let (archive, _) = Archive::open(&storage, ArchiveOptions::default(), SystemClock::new()).unwrap();
    let mut seeks: Vec<u128> = (0..60)
        .map(|turn: i64| {
            let at_us = T0_US - (turn * 7_919 % 1_435 + 2) * 60 * SECOND_US - turn * 123_457;
            let began = Instant::now();
            let playback = archive.playback("1", "main", at_us, at_us + 10 * SECOND_US).unwrap();
            assert!(!playback.source.read_at(0, 16 << 10).unwrap().is_empty());
            began.elapsed().as_micros()
        })
        .collect();
    seeks.sort_unstable();
    println!("seek of 10 s in a day: median {} µs, worst {} µs", seeks[30], seeks[59]);
    // Generous: unoptimized code on a shared machine. The benchmark has the real bound.
    assert!(seeks[30] < 100_000);
}
