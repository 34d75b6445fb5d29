//! What lies in the archive's directories and should not, or not so: reported, and never touched.

use crate::feed::*;
use crate::playback::{numbers, read_all};
use media_core::index::{HEADER_BYTES, RECORD_BYTES, Record};
use media_io::archive::{Archive, RepairReport};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const DAY: &str = "storage/cameras/1/2026-11-23";
const FIRST: &str = "2026-11-23/video_10.mp4";

/// An archive that was closed, with a file of each of these spans (seconds after `T0_US`); pictures are numbered by
/// their place in time, 25 a second.
fn closed(spans: &[(i64, u32)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    for (from_s, seconds) in spans {
        record(&archive, *from_s, *seconds);
    }
    directory
}

fn record(archive: &Archive, from_s: i64, seconds: u32) {
    let recorder = archive.recorder("1", "main").unwrap();
    let from = (from_s * 25) as u32;
    push_video(
        &*recorder,
        &video_parameters(b"a"),
        T0_US + from_s * SECOND_US,
        seconds * 25,
        from,
    );
    recorder.stop();
}

fn played(archive: &Archive, from_s: i64, to_s: i64) -> Vec<u32> {
    let playback = archive
        .playback("1", "main", T0_US + from_s * SECOND_US, T0_US + to_s * SECOND_US)
        .unwrap();
    numbers(&read_all(&*playback.source))
}

/// Ranges of the timeline in seconds after `T0_US`.
fn ranges(archive: &Archive, from_s: i64, to_s: i64) -> Vec<(i64, i64)> {
    let timeline = archive
        .timeline("1", T0_US + from_s * SECOND_US, T0_US + to_s * SECOND_US)
        .unwrap();
    let second = |us: i64| (us - T0_US) / SECOND_US;
    timeline
        .ranges
        .iter()
        .map(|r| (second(r.start_us), second(r.end_us)))
        .collect()
}

fn told(report: &RepairReport, path: &Path, what: &str) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    report
        .problems
        .iter()
        .any(|p| p.contains(&format!("{name}: ")) && p.contains(what))
}

#[test]
fn symbolic_links_are_not_followed() {
    let directory = closed(&[(0, 2), (10, 2), (20, 2)]);
    let elsewhere = closed(&[(0, 2)]);
    let day = directory.path().join(DAY);
    let outside = elsewhere.path().join("secret");
    std::fs::write(&outside, b"somebody else's").unwrap();
    std::fs::rename(day.join("index_10_3.vms-idx"), elsewhere.path().join("index")).unwrap();
    let links = [
        (
            elsewhere.path().join("storage/cameras/1"),
            directory.path().join("storage/cameras/2"),
        ),
        (
            elsewhere.path().join(DAY),
            directory.path().join("storage/cameras/1/2026-11-24"),
        ),
        (elsewhere.path().join(FIRST), day.join("video_12.mp4")),
        (outside.clone(), day.join("video_13.mp4")),
        (PathBuf::from("/nowhere"), day.join("video_14.mp4")),
        (outside.clone(), day.join("index_14.vms-idx")),
        (elsewhere.path().join("index"), day.join("index_10_3.vms-idx")),
        (outside.clone(), day.join("index_10.vms-idx.new")),
    ];
    for (target, link) in &links {
        symlink(target, link).unwrap();
    }
    // Closed files with a link in place of a checksum: nothing is written where it leads.
    let checksum = day.join("checksum_10_2.sha256");
    std::fs::remove_file(&checksum).unwrap();
    symlink(&outside, &checksum).unwrap();
    let (archive, report) = open(directory.path());
    for (_, link) in &links {
        assert!(told(&report, link, "symbolic link"), "{}: {report:?}", link.display());
        assert!(link.is_symlink());
    }
    assert!(told(&report, &checksum, "symbolic link"));
    let names: Vec<_> = archive.file_changes(0).files.into_iter().map(|f| f.name).collect();
    assert_eq!(names, [FIRST, "2026-11-23/video_10_2.mp4"]);
    archive.hash_file("1", "2026-11-23/video_10_2.mp4", None).unwrap();
    assert_eq!(std::fs::read(&outside).unwrap(), b"somebody else's");
    // A link that takes a recording's place while we run is not followed either.
    let video = day.join("video_10.mp4");
    std::fs::rename(&video, day.join("aside")).unwrap();
    symlink(day.join("aside"), &video).unwrap();
    assert!(archive.playback("1", "main", T0_US, T0_US + SECOND_US).is_err());
    assert!(archive.hash_file("1", FIRST, None).is_err());
    assert!(archive.rebuild_index("1", FIRST).is_err());
    // Removing the recording removes the link, not what it leads to.
    archive.remove_file("1", FIRST).unwrap();
    assert!(!video.is_symlink() && day.join("aside").exists());
}

#[test]
fn what_is_no_file_blocks_nothing() {
    let directory = closed(&[(0, 2)]);
    let day = directory.path().join(DAY);
    for name in ["video_12.mp4", "index_13.vms-idx", "checksum_14.sha256"] {
        let path = CString::new(day.join(name).as_os_str().as_bytes()).unwrap();
        // SAFETY: the path ends in a zero byte.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    }
    std::fs::create_dir(day.join("video_15.mp4")).unwrap();
    let (archive, report) = open(directory.path());
    assert_eq!(report.problems.len(), 4, "{report:?}");
    assert!(told(&report, &day.join("video_12.mp4"), "is no file"));
    assert!(told(&report, &day.join("video_15.mp4"), "is a directory"));
    assert_eq!(played(&archive, 0, 2).len(), 50);
    // In place of an index that is there now.
    let index = day.join("index_10.vms-idx");
    drop(archive);
    std::fs::remove_file(&index).unwrap();
    std::fs::remove_file(day.join("index_13.vms-idx")).unwrap();
    let path = CString::new(index.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path ends in a zero byte.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    let (archive, report) = open(directory.path());
    assert!(told(&report, &index, "is no file"), "{report:?}");
    assert!(archive.file_changes(0).files.is_empty() && day.join("video_10.mp4").exists());
}

#[test]
fn what_has_the_name_of_a_checksum_keeps_no_file_from_being_closed() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let checksum = directory.path().join(DAY).join("checksum_10.sha256");
    std::fs::create_dir_all(&checksum).unwrap();
    record(&archive, 0, 2);
    let file = archive.file_changes(0).files.remove(0);
    assert!(file.sealed && file.sha256.is_some() && checksum.is_dir());
}

#[test]
fn names_that_play_tricks_are_reported_in_one_line() {
    let directory = closed(&[(0, 2)]);
    let cameras = directory.path().join("storage/cameras");
    let day = directory.path().join(DAY);
    let tricks = [
        day.join("video_11.mp4\n2026-11-23T10:00:00Z WARN forged"),
        day.join("video_11\u{1b}[2K.mp4"),
        day.join(OsStr::from_bytes(b"video_\xff1.mp4")),
        day.join("..video_11.mp4"),
        day.join("video_11.mp4 "),
        day.join("VIDEO_11.MP4"),
        day.join("video_11_main.mp4"),
        day.join("video_011.mp4"),
        day.join("video_11_10000000000.mp4"),
        cameras.join("1\n2"),
        cameras.join("...."),
        cameras.join("1/2026-11-23 "),
        cameras.join("1/2026-02-30"),
    ];
    for path in &tricks {
        match path.starts_with(&day) {
            true => std::fs::write(path, b"x").unwrap(),
            false => std::fs::create_dir(path).unwrap(),
        }
    }
    let (archive, report) = open(directory.path());
    assert_eq!(report.problems.len(), tricks.len(), "{:#?}", report.problems);
    assert!(
        report.problems.iter().all(|p| !p.chars().any(char::is_control)),
        "{:#?}",
        report.problems
    );
    assert!(tricks.iter().all(|path| path.exists()));
    assert_eq!(archive.file_changes(0).files.len(), 1);
}

#[test]
fn an_archive_of_a_newer_format_is_left_exactly_as_it_is() {
    let directory = closed(&[(0, 2)]);
    let day = directory.path().join(DAY);
    let (video, index) = (day.join("video_10.mp4"), day.join("index_10.vms-idx"));
    let (video_bytes, ours) = (std::fs::read(&video).unwrap(), std::fs::read(&index).unwrap());
    let mut newer = ours.clone();
    newer[8] = 2;
    // Its checksum may be ours, or be somewhere else altogether.
    let checksum = crc32c(&newer[..60]);
    let mut same_place = newer.clone();
    same_place[60..64].copy_from_slice(&checksum);
    let mut larger = newer.clone();
    larger[10] = 128;
    let mut unsealed = same_place.clone();
    unsealed.truncate(ours.len() - RECORD_BYTES);
    let mut empty = same_place.clone();
    empty.truncate(HEADER_BYTES);
    for (bytes, length) in [
        (&same_place, 0),
        (&larger, 0),
        (&unsealed, 0),
        (&same_place, 500),
        (&empty, 2_000_000),
    ] {
        std::fs::write(&index, bytes).unwrap();
        let short = &video_bytes[..video_bytes.len().saturating_sub(length).max(100)];
        std::fs::write(&video, short).unwrap();
        let (archive, report) = open(directory.path());
        assert_eq!((report.problems.len(), report.files_repaired), (1, 0), "{report:?}");
        assert!(report.problems[0].contains("video_10.mp4") && report.problems[0].contains("version 2"));
        assert_eq!(
            (std::fs::read(&index).unwrap(), std::fs::read(&video).unwrap()),
            (bytes.clone(), short.to_vec())
        );
        assert!(archive.file_changes(0).files.is_empty());
        record(&archive, 60, 1);
        let name = archive.file_changes(0).files[0].name.clone();
        assert_eq!(name, "2026-11-23/video_10_2.mp4");
        archive.remove_file("1", &name).unwrap();
    }
    // A flipped bit is no newer format.
    std::fs::write(&video, &video_bytes).unwrap();
    newer[8] = 9;
    std::fs::write(&index, &newer).unwrap();
    let (archive, report) = open(directory.path());
    assert_eq!((report.problems.len(), report.files_repaired), (0, 1), "{report:?}");
    assert_eq!(played(&archive, 0, 2).len(), 50);
}

/// The checksum of index blocks, little-endian: that of a header that only differs in its version.
fn crc32c(bytes: &[u8]) -> [u8; 4] {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    (!crc).to_le_bytes()
}

#[test]
fn what_belongs_to_no_video_is_reported() {
    let directory = closed(&[(0, 2)]);
    let day = directory.path().join(DAY);
    for name in ["index_12.vms-idx", "checksum_13.sha256", "index_10.vms-idx.new"] {
        std::fs::write(day.join(name), b"x").unwrap();
    }
    let (_archive, report) = open(directory.path());
    assert_eq!(report.problems.len(), 3, "{report:?}");
    assert!(told(
        &report,
        &day.join("index_12.vms-idx"),
        "is an index without video_12.mp4"
    ));
    assert!(told(
        &report,
        &day.join("checksum_13.sha256"),
        "is a checksum without video_13.mp4"
    ));
    assert!(told(&report, &day.join("index_10.vms-idx.new"), "was not finished"));
    assert!(!day.join("index_10.vms-idx.new").exists());
}

#[test]
fn two_files_of_the_same_time_both_stay_and_play_once() {
    let directory = closed(&[(0, 20), (60, 5)]);
    let day = directory.path().join(DAY);
    for (from, to) in [
        ("video_10.mp4", "video_10_7.mp4"),
        ("index_10.vms-idx", "index_10_7.vms-idx"),
    ] {
        std::fs::copy(day.join(from), day.join(to)).unwrap();
    }
    let (archive, report) = open(directory.path());
    assert_eq!(report.problems.len(), 1, "{report:?}");
    let problem = &report.problems[0];
    assert!(problem.contains("camera 1") && problem.contains("video_10.mp4") && problem.contains("video_10_7.mp4"));
    assert!(
        problem.contains("2026-11-23T10:00:00.000000Z to 2026-11-23T10:00:20.000000Z"),
        "{problem}"
    );
    assert_eq!(archive.file_changes(0).files.len(), 3);
    let whole: Vec<u32> = (0..500).chain(1_500..1_625).collect();
    assert_eq!(
        (played(&archive, 0, 100), ranges(&archive, 0, 100)),
        (whole.clone(), vec![(0, 20), (60, 65)])
    );
    archive.remove_file("1", FIRST).unwrap();
    assert_eq!(
        (played(&archive, 0, 100), ranges(&archive, 0, 100)),
        (whole, vec![(0, 20), (60, 65)])
    );
    archive.remove_file("1", "2026-11-23/video_10_7.mp4").unwrap();
    assert_eq!(ranges(&archive, 0, 100), [(60, 65)]);
}

#[test]
fn a_clock_that_was_set_back_records_beside_what_is_there() {
    // An hour later the clock goes back an hour: two short files lie within the time of a long one.
    let directory = closed(&[(0, 300), (60, 20), (100, 20), (400, 10)]);
    for turn in 0..2 {
        let (archive, report) = open(directory.path());
        assert_eq!((report.problems.len(), report.files_repaired), (2, 0), "{report:?}");
        assert_eq!(ranges(&archive, 0, 500), [(0, 300), (400, 410)], "turn {turn}");
        // Beyond the short files the long one is still there.
        assert_eq!(ranges(&archive, 200, 210), [(200, 210)]);
        assert_eq!(played(&archive, 200, 210), (5_000..5_250).collect::<Vec<_>>());
        assert_eq!(played(&archive, 70, 75), (1_750..1_875).collect::<Vec<_>>());
        let all: Vec<u32> = (0..7_500).chain(10_000..10_250).collect();
        assert_eq!(played(&archive, 0, 500), all, "every instant once");
        let picture = archive.picture("1", "main", T0_US + 250 * SECOND_US).unwrap();
        assert_eq!(picture.captured_us, T0_US + 250 * SECOND_US);
        let playlist = archive
            .hls_playlist("1", "main", T0_US + 200 * SECOND_US, T0_US + 220 * SECOND_US)
            .unwrap();
        assert!(playlist.contains("#EXTINF"));
    }
    let (archive, _) = open(directory.path());
    // Without the long one the short ones show.
    archive.remove_file("1", FIRST).unwrap();
    assert_eq!(ranges(&archive, 0, 500), [(60, 80), (100, 120), (400, 410)]);
    assert_eq!(played(&archive, 70, 75), (1_750..1_875).collect::<Vec<_>>());
    archive.remove_file("1", "2026-11-23/video_10_2.mp4").unwrap();
    assert_eq!(ranges(&archive, 0, 500), [(100, 120), (400, 410)]);
}

#[test]
fn a_record_that_is_there_twice_or_overlaps_shows_its_pictures_once() {
    let directory = closed(&[(0, 20)]);
    let index_path = directory.path().join(DAY).join("index_10.vms-idx");
    let good = std::fs::read(&index_path).unwrap();
    let block = |n: usize| &good[HEADER_BYTES + n * RECORD_BYTES..HEADER_BYTES + (n + 1) * RECORD_BYTES];
    let records = good.len() / RECORD_BYTES - 1;
    let with = |extra: &[(usize, Vec<u8>)]| {
        let mut index = good[..HEADER_BYTES].to_vec();
        for n in 0..records {
            index.extend_from_slice(block(n));
            for (_, bytes) in extra.iter().filter(|(after, _)| *after == n) {
                index.extend_from_slice(bytes);
            }
        }
        index
    };
    let Ok(Record::Fragment(third)) = Record::decode(block(3), 3) else {
        panic!()
    };
    let overlapping = |offset: i64, media_time: i64| {
        let moved = media_core::index::Fragment {
            offset: third.offset.wrapping_add_signed(offset),
            media_time: third.media_time + media_time,
            ..third
        };
        Record::Fragment(moved).encode().to_vec()
    };
    let indexes = [
        with(&[(3, block(3).to_vec())]),
        with(&[
            (3, block(3).to_vec()),
            (10, block(2).to_vec()),
            (20, block(20).to_vec()),
        ]),
        with(&[(3, overlapping(1_000, 0))]),
        with(&[(3, overlapping(0, 20_000))]),
        with(&[(30, overlapping(0, 0))]),
    ];
    for (turn, index) in indexes.iter().enumerate() {
        std::fs::write(&index_path, index).unwrap();
        let (archive, report) = open(directory.path());
        assert_eq!(
            (report.files_repaired, report.problems.len()),
            (0, 0),
            "turn {turn}: {report:?}"
        );
        assert_eq!(ranges(&archive, 0, 60), [(0, 20)]);
        assert_eq!(played(&archive, 0, 20), (0..500).collect::<Vec<_>>(), "turn {turn}");
        assert_eq!(played(&archive, 5, 6), (125..150).collect::<Vec<_>>());
        archive
            .hls_playlist("1", "main", T0_US, T0_US + 20 * SECOND_US)
            .unwrap();
        assert!(archive.rebuild_index("1", FIRST).is_ok());
        assert_eq!(std::fs::read(&index_path).unwrap(), good);
        assert_eq!(played(&archive, 0, 20).len(), 500);
    }
    // Not closed: repair takes what follows in order, and reads the rest from the video.
    for (turn, index) in indexes.iter().enumerate() {
        std::fs::write(&index_path, &index[..index.len() - RECORD_BYTES]).unwrap();
        let (archive, report) = open(directory.path());
        assert_eq!(
            (report.files_repaired, report.bytes_cut),
            (1, 0),
            "turn {turn}: {report:?}"
        );
        assert_eq!(played(&archive, 0, 20).len(), 500, "turn {turn}");
    }
    let (archive, _) = open(directory.path());
    archive.remove_file("1", FIRST).unwrap();
}
