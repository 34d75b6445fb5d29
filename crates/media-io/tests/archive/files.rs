//! What those who decide about files see of them, and removing and hashing.

use crate::feed::*;
use media_core::ErrorKind;
use media_io::archive::{Archive, ArchiveOptions, FileChanges, RecordedFile};
use media_io::clock::ManualClock;
use std::path::{Path, PathBuf};

/// The name of the file that begins at `T0_US`.
const FIRST: &str = "2026-11-23/video_10.mp4";

fn record(archive: &Archive, from_us: i64, frames: u32) {
    let recorder = archive.recorder("1", "main").unwrap();
    push_video(&*recorder, &video_parameters(b"a"), from_us, frames, 0);
    recorder.stop();
}

fn names(changes: &FileChanges) -> Vec<(&str, bool)> {
    changes.files.iter().map(|f| (f.name.as_str(), f.sealed)).collect()
}

fn path_of(directory: &Path, name: &str) -> PathBuf {
    directory.join("storage/cameras/1").join(name)
}

fn sha256sum(video: &Path) -> String {
    let output = std::process::Command::new("sha256sum").arg(video).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

#[test]
fn a_file_changes_when_it_appears_is_sealed_and_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let empty = archive.file_changes(0);
    assert!(empty.whole && empty.files.is_empty());
    let recorder = archive.recorder("1", "sub").unwrap();
    push_video(&*recorder, &video_parameters(b"a"), T0_US, 50, 0);
    archive.flush();
    let name = "2026-11-23/video_10_sub.mp4";
    let begun = archive.file_changes(empty.revision);
    assert_eq!((begun.whole, names(&begun)), (false, vec![(name, false)]));
    assert!(begun.removed.is_empty());
    push_video(&*recorder, &video_parameters(b"a"), T0_US + 2 * SECOND_US, 50, 50);
    archive.flush();
    let grown = archive.file_changes(begun.revision);
    assert!(
        grown.files.is_empty() && grown.revision == begun.revision,
        "not with every fragment"
    );
    recorder.stop();
    let sealed = archive.file_changes(begun.revision);
    let video = path_of(directory.path(), name);
    assert_eq!(
        sealed.files,
        [RecordedFile {
            camera_id: "1".into(),
            stream: "sub".into(),
            name: name.into(),
            volume: "main".into(),
            start_us: T0_US,
            end_us: T0_US + 4 * SECOND_US,
            size_bytes: std::fs::metadata(&video).unwrap().len(),
            sealed: true,
            sha256: sealed.files[0].sha256.clone(),
            object_key: None,
        }]
    );
    assert_eq!(archive.file_changes(0).files, sealed.files);
    archive.remove_file("1", name).unwrap();
    let gone = archive.file_changes(sealed.revision);
    assert!(!gone.whole && gone.files.is_empty());
    assert_eq!(
        (gone.removed[0].camera_id.as_str(), gone.removed[0].name.as_str()),
        ("1", name)
    );
    let all = archive.file_changes(0);
    assert!(all.whole && all.files.is_empty() && all.removed.is_empty());
    assert_eq!(archive.file_changes(gone.revision).removed, []);
}

#[test]
fn a_removed_file_is_gone_with_all_that_belongs_to_it_and_who_plays_it_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    record(&archive, T0_US, 50);
    record(&archive, T0_US + 24 * 3_600 * SECOND_US, 50);
    let video = path_of(directory.path(), FIRST);
    archive.hash_file("1", FIRST, None).unwrap();
    std::fs::write(video.with_file_name("thumb_10.webp"), b"a companion").unwrap();
    let playback = archive.playback("1", "main", T0_US, T0_US + 2 * SECOND_US).unwrap();
    let on_disk: u64 = ["video_10.mp4", "index_10.vms-idx", "checksum_10.sha256"]
        .iter()
        .map(|n| std::fs::metadata(video.with_file_name(n)).unwrap().len())
        .sum();
    assert_eq!(archive.remove_file("1", FIRST).unwrap(), on_disk);
    let day = video.parent().unwrap();
    let left: Vec<_> = std::fs::read_dir(day)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(
        left,
        ["thumb_10.webp"],
        "what is not the recording stays, and the day with it"
    );
    let played = crate::playback::numbers(&crate::playback::read_all(&*playback.source));
    assert_eq!(played, (0..50).collect::<Vec<_>>());
    drop(playback);
    assert_eq!(
        open_descriptors_of(&video),
        0,
        "nothing keeps the room on the disk taken"
    );
    assert_eq!(
        archive
            .playback("1", "main", T0_US, T0_US + 2 * SECOND_US)
            .err()
            .unwrap()
            .kind(),
        ErrorKind::NotFound
    );
    let timeline = archive.timeline("1", T0_US, T0_US + 48 * 3_600 * SECOND_US).unwrap();
    assert_eq!(timeline.ranges.len(), 1);
    archive.remove_file("1", "2026-11-24/video_10.mp4").unwrap();
    assert!(
        !directory.path().join("storage/cameras/1/2026-11-24").exists(),
        "empty days go"
    );
    assert_eq!(archive.recorded_bytes(), 0);
    drop(archive);
    assert_eq!(open(directory.path()).1.problems, Vec::<String>::new());
}

fn open_descriptors_of(path: &Path) -> usize {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
        .filter(|target| {
            target.starts_with(path.parent().unwrap()) && target.to_string_lossy().contains("video_10.mp4")
        })
        .count()
}

#[test]
fn a_file_that_is_being_recorded_is_not_removed_and_unknown_names_are_not_found() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    push_video(&*recorder, &video_parameters(b"a"), T0_US, 50, 0);
    archive.flush();
    assert_eq!(archive.remove_file("1", FIRST).unwrap_err().kind(), ErrorKind::Conflict);
    push_video(&*recorder, &video_parameters(b"a"), T0_US + 2 * SECOND_US, 50, 50);
    recorder.stop();
    assert_eq!(
        numbers_in(&path_of(directory.path(), FIRST)),
        (0..100).collect::<Vec<_>>()
    );
    for name in [
        "2026-11-23/video_11.mp4",
        "2026-11-23/video_10_sub.mp4",
        "video_10.mp4",
        "../1/2026-11-23/video_10.mp4",
        "2026-11-23/../2026-11-23/video_10.mp4",
        "/etc/passwd",
        "",
    ] {
        assert_eq!(
            archive.remove_file("1", name).unwrap_err().kind(),
            ErrorKind::NotFound,
            "{name}"
        );
        assert_eq!(
            archive.hash_file("1", name, None).unwrap_err().kind(),
            ErrorKind::NotFound,
            "{name}"
        );
    }
    assert_eq!(archive.remove_file("2", FIRST).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        archive.remove_file("../1", FIRST).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    archive.remove_file("1", FIRST).unwrap();
    assert_eq!(archive.remove_file("1", FIRST).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn recording_goes_on_in_a_day_whose_last_file_was_removed_and_its_name_does_not_come_again() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    record(&archive, T0_US, 25);
    archive.remove_file("1", FIRST).unwrap();
    for turn in 2..6 {
        record(&archive, T0_US + turn * 10 * SECOND_US, 25);
        archive
            .remove_file("1", &format!("2026-11-23/video_10_{turn}.mp4"))
            .unwrap();
    }
    record(&archive, T0_US + 100 * SECOND_US, 25);
    assert_eq!(
        numbers_in(&path_of(directory.path(), "2026-11-23/video_10_6.mp4")).len(),
        25
    );
}

#[test]
fn a_disk_that_refuses_keeps_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    record(&archive, T0_US, 50);
    // A directory in place of the index cannot be unlinked, whoever asks.
    let index = path_of(directory.path(), "2026-11-23/index_10.vms-idx");
    let aside = path_of(directory.path(), "2026-11-23/aside");
    std::fs::rename(&index, &aside).unwrap();
    std::fs::create_dir(&index).unwrap();
    archive.remove_file("1", FIRST).unwrap_err();
    std::fs::remove_dir(&index).unwrap();
    std::fs::rename(&aside, &index).unwrap();
    assert_eq!(archive.file_changes(0).files.len(), 1);
    archive.playback("1", "main", T0_US, T0_US + SECOND_US).unwrap();
    archive.remove_file("1", FIRST).unwrap();
}

#[test]
fn a_hash_is_sha256sums_and_is_kept_beside_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    record(&archive, T0_US, 50);
    let video = path_of(directory.path(), FIRST);
    let checksum = video.with_file_name("checksum_10.sha256");
    // As it is of a file that was repaired.
    let _ = std::fs::remove_file(&checksum);
    drop(archive);
    let (archive, _) = open(directory.path());
    let before = archive.file_changes(0);
    assert_eq!(before.files[0].sha256, None);
    let sum = archive.hash_file("1", FIRST, None).unwrap();
    assert_eq!(sum, sha256sum(&video));
    assert_eq!(
        std::fs::read_to_string(&checksum).unwrap(),
        format!("{sum}  video_10.mp4\n")
    );
    let hashed = archive.file_changes(before.revision);
    assert_eq!(hashed.files[0].sha256.as_ref(), Some(&sum));
    drop(archive);
    let (archive, _) = open(directory.path());
    assert_eq!(archive.file_changes(0).files[0].sha256.as_ref(), Some(&sum));
    // A byte that changed on the disk is told by the sum; what was said before stays said.
    let mut bytes = std::fs::read(&video).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&video, bytes).unwrap();
    assert_ne!(archive.hash_file("1", FIRST, None).unwrap(), sum);
    assert_eq!(
        std::fs::read_to_string(&checksum).unwrap(),
        format!("{sum}  video_10.mp4\n")
    );
}

#[test]
fn hashing_keeps_to_its_rate_and_ends_with_the_archive() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    record(&archive, T0_US, 1_000);
    let size = std::fs::metadata(path_of(directory.path(), FIRST)).unwrap().len();
    let began = std::time::Instant::now();
    archive.hash_file("1", FIRST, Some(size * 5)).unwrap();
    let took = began.elapsed().as_secs_f64();
    assert!((0.19..2.0).contains(&took), "took {took} s");
    let slow = {
        let archive = archive.clone();
        std::thread::spawn(move || archive.hash_file("1", FIRST, Some(1)))
    };
    let began = std::time::Instant::now();
    archive.close();
    let answer = slow.join().unwrap();
    assert!(began.elapsed().as_secs() < 5);
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn a_torn_checksum_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    record(&archive, T0_US, 50);
    let sum = archive.hash_file("1", FIRST, None).unwrap();
    drop(archive);
    let checksum = path_of(directory.path(), "2026-11-23/checksum_10.sha256");
    for torn in [
        &b""[..],
        &sum.as_bytes()[..40],
        format!("{sum}  video_11.mp4\n").as_bytes(),
    ] {
        std::fs::write(&checksum, torn).unwrap();
        let (archive, _) = open_with(directory.path(), ArchiveOptions::default(), ManualClock::at(T0_US));
        assert_eq!(archive.file_changes(0).files[0].sha256, None);
        assert_eq!(archive.hash_file("1", FIRST, None).unwrap(), sum);
        drop(archive);
        assert_eq!(
            std::fs::read(&checksum).unwrap(),
            format!("{sum}  video_10.mp4\n").as_bytes()
        );
    }
}

/// Checks every checksum file of a directory as people do.
fn sha256sum_checks(day: &Path) -> bool {
    let checks = std::process::Command::new("sh")
        .args(["-c", "sha256sum --check --strict --quiet checksum_*.sha256"])
        .current_dir(day)
        .status();
    checks.unwrap().success()
}

#[test]
fn a_closed_file_has_the_checksum_of_what_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    push_clip(&*recorder, T0_US, 10);
    archive.flush();
    assert_eq!(archive.file_changes(0).files[0].sha256, None, "not before it is closed");
    recorder.stop();
    let video = path_of(directory.path(), FIRST);
    let sum = sha256sum(&video);
    assert_eq!(archive.file_changes(0).files[0].sha256.as_ref(), Some(&sum));
    assert!(sha256sum_checks(video.parent().unwrap()));
    assert_eq!(archive.hash_file("1", FIRST, None).unwrap(), sum);
    drop((recorder, archive));
    let (archive, _) = open(directory.path());
    assert_eq!(archive.file_changes(0).files[0].sha256.as_ref(), Some(&sum));
}

#[test]
fn what_a_full_disk_refused_is_not_in_the_checksum() {
    let disk = crate::disk::SmallDisk::new("4m");
    let clock = ManualClock::at(T0_US);
    let (archive, _) = open_with(disk.path(), ArchiveOptions::default(), clock.clone());
    let recorder = archive.recorder("1", "main").unwrap();
    let a = video_parameters(b"a");
    push_video(&*recorder, &a, T0_US, 50, 0);
    archive.flush();
    crate::disk::fill(disk.path());
    push_video(&*recorder, &a, T0_US + 2 * SECOND_US, 100, 50);
    archive.flush();
    assert!(
        recorder.counters().fragments_dropped > 0,
        "a part of a fragment was cut off"
    );
    std::fs::remove_file(disk.path().join("filler")).unwrap();
    clock.advance_us(2 * SECOND_US);
    push_video(&*recorder, &a, T0_US + 6 * SECOND_US, 50, 150);
    recorder.stop();
    assert!(sha256sum_checks(path_of(disk.path(), FIRST).parent().unwrap()));
    assert!(archive.file_changes(0).files[0].sha256.is_some());
}

#[test]
fn without_room_for_its_checksum_a_file_is_not_closed_yet() {
    let disk = crate::disk::SmallDisk::new("4m");
    let options = ArchiveOptions {
        sync_ms: 600_000,
        ..ArchiveOptions::default()
    };
    let (archive, _) = open_with(disk.path(), options, ManualClock::at(T0_US));
    let recorder = archive.recorder("1", "main").unwrap();
    push_video(&*recorder, &video_parameters(b"a"), T0_US, 50, 0);
    archive.flush();
    crate::disk::fill(disk.path());
    recorder.stop();
    assert!(!archive.file_changes(0).files[0].sealed);
    std::fs::remove_file(disk.path().join("filler")).unwrap();
    archive.flush();
    let file = archive.file_changes(0).files.remove(0);
    assert!(file.sealed && file.sha256.is_some());
    assert!(sha256sum_checks(path_of(disk.path(), FIRST).parent().unwrap()));
}

#[test]
fn without_checksums_there_are_none_and_a_repaired_file_has_none() {
    let directory = tempfile::tempdir().unwrap();
    let options = ArchiveOptions {
        checksums: false,
        ..ArchiveOptions::default()
    };
    let (archive, _) = open_with(directory.path(), options, ManualClock::at(T0_US));
    record(&archive, T0_US, 50);
    drop(archive);
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    push_video(&*recorder, &video_parameters(b"a"), T0_US + 60 * SECOND_US, 50, 0);
    archive.flush();
    let killed = copy_of(directory.path());
    let (archive, report) = open(killed.path());
    assert_eq!(report.files_repaired, 1);
    let files = archive.file_changes(0).files;
    assert!(files.len() == 2 && files.iter().all(|f| f.sealed && f.sha256.is_none()));
    let name = "2026-11-23/video_10_2.mp4";
    let sum = archive.hash_file("1", name, None).unwrap();
    assert_eq!(sum, sha256sum(&path_of(killed.path(), name)));
    assert!(sha256sum_checks(path_of(killed.path(), name).parent().unwrap()));
}
