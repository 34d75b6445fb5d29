use crate::feed::*;
use media_core::ErrorKind;
use media_core::index::{HEADER_BYTES, RECORD_BYTES};
use media_core::recording::fragmenter::rescale;
use media_io::archive::{Archive, ArchiveOptions};
use media_io::clock::{ManualClock, SystemClock};
use std::path::Path;

/// An archive of one camera that was killed: 4 s of video with sound, the last of it not yet in the index.
fn killed() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    push_clip(&*recorder, T0_US, 2);
    archive.flush();
    push_clip_from(&*recorder, 2, 4);
    wait_until(|| archive.write_counters().queued_bytes == 0);
    let copy = copy_of(directory.path());
    drop(archive);
    copy
}

fn push_clip_from(sink: &dyn media_io::hub::Sink, from_s: i64, to_s: i64) {
    struct Late<'a>(&'a dyn media_io::hub::Sink, i64);
    impl media_io::hub::Sink for Late<'_> {
        fn push(&self, unit: &std::sync::Arc<media_core::AccessUnit>) -> bool {
            let dts_us = rescale(unit.dts, unit.parameters.clock_rate, 1_000_000);
            dts_us - T0_US < self.1 * SECOND_US || self.0.push(unit)
        }
        fn interrupt(&self, _: media_core::index::GapCause) {}
    }
    push_clip(&Late(sink, from_s), T0_US, to_s);
}

fn wait_until(condition: impl Fn() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !condition() {
        assert!(std::time::Instant::now() < end, "waited for 10 s");
        std::thread::yield_now();
    }
}

fn sealed(directory: &Path) -> bool {
    videos_of(directory, "1").iter().all(|video| {
        let bytes = std::fs::read(index_of(video)).unwrap();
        bytes[bytes.len() - RECORD_BYTES] == 3
    })
}

#[test]
fn a_killed_recording_is_whole_but_for_the_fragment_in_flight() {
    let directory = killed();
    let video = videos_of(directory.path(), "1").remove(0);
    assert!(!sealed(directory.path()));
    assert!(decode(&video) >= 105, "it plays before repair too");
    let (archive, report) = open(directory.path());
    assert_eq!(
        (report.files_checked, report.files_repaired, report.bytes_cut),
        (1, 1, 0)
    );
    assert!(report.records_rebuilt >= 3 && report.problems.is_empty(), "{report:?}");
    assert!(sealed(directory.path()));
    drop(archive);
    assert_eq!(open(directory.path()).1.files_repaired, 0, "once is enough");
    let again = copy_of(directory.path());
    let (archive, _) = open(again.path());
    let recorder = archive.recorder("1", "main").unwrap();
    push_clip(&*recorder, T0_US + 60 * SECOND_US, 2);
    archive.close();
    assert_eq!(
        videos_of(again.path(), "1").len(),
        2,
        "a repaired file is not continued"
    );
}

#[test]
fn whatever_byte_the_kill_came_at_the_file_is_sealed_and_plays() {
    let directory = killed();
    let video = videos_of(directory.path(), "1").remove(0);
    let whole = std::fs::metadata(&video).unwrap().len();
    let index_size = std::fs::metadata(index_of(&video)).unwrap().len();
    // A step that does not divide anything, down into what the index names, and the index torn as well.
    for (turn, cut) in (0..40_000).step_by(2_477).enumerate() {
        let copy = copy_of(directory.path());
        let video = videos_of(copy.path(), "1").remove(0);
        std::fs::File::options()
            .write(true)
            .open(&video)
            .unwrap()
            .set_len(whole - cut)
            .unwrap();
        let index = std::fs::File::options().write(true).open(index_of(&video)).unwrap();
        index.set_len(index_size - (turn as u64 * 37) % index_size).unwrap();
        let (_archive, report) = open(copy.path());
        assert_eq!(
            (report.files_repaired, report.problems.len()),
            (1, 0),
            "cut {cut}: {report:?}"
        );
        assert!(sealed(copy.path()));
        assert!(
            std::fs::metadata(&video).unwrap().len() <= whole - cut,
            "cut {cut}: nothing is made up for what is missing"
        );
        assert!(decode(&video) >= 60, "cut {cut}");
    }
}

#[test]
fn what_an_index_names_beyond_the_files_end_is_not_there() {
    let directory = killed();
    let video = videos_of(directory.path(), "1").remove(0);
    let (archive, _) = open(directory.path());
    drop(archive);
    assert!(sealed(directory.path()));
    for cut in [1, 3_000, 20_000] {
        let short = std::fs::metadata(&video).unwrap().len() - cut;
        std::fs::File::options()
            .write(true)
            .open(&video)
            .unwrap()
            .set_len(short)
            .unwrap();
        let (_archive, report) = open(directory.path());
        assert_eq!((report.files_repaired, report.problems.len()), (1, 0), "{report:?}");
        assert!(sealed(directory.path()));
        assert!(
            std::fs::metadata(&video).unwrap().len() <= short,
            "nothing is made up for what is missing"
        );
        assert!(decode(&video) >= 60, "cut {cut}");
    }
}

#[test]
fn a_lost_or_ruined_index_is_made_anew() {
    let directory = killed();
    let video = videos_of(directory.path(), "1").remove(0);
    let (first, _) = open(directory.path());
    drop(first);
    let good = std::fs::read(index_of(&video)).unwrap();
    let ruin: [&dyn Fn(&Path); 4] = [
        &|index| std::fs::remove_file(index).unwrap(),
        &|index| std::fs::write(index, b"").unwrap(),
        &|index| std::fs::write(index, vec![0x5a; 10_000]).unwrap(),
        &|index| std::fs::write(index, &good[..good.len() - 30]).unwrap(),
    ];
    for ruin in ruin {
        let copy = copy_of(directory.path());
        let video = videos_of(copy.path(), "1").remove(0);
        ruin(&index_of(&video));
        let lost = !index_of(&video).exists();
        let (_archive, report) = open(copy.path());
        assert_eq!(report.files_repaired, 1);
        let told = report
            .problems
            .iter()
            .any(|p| p.contains("video_10.mp4") && p.contains("had no index"));
        assert_eq!((report.problems.len(), told), (usize::from(lost), lost), "{report:?}");
        let made = std::fs::read(index_of(&video)).unwrap();
        assert_eq!(made.len(), good.len());
        assert_eq!(made[..HEADER_BYTES], good[..HEADER_BYTES]);
    }
}

#[test]
fn what_is_not_ours_is_left_alone_and_reported() {
    let directory = killed();
    let day = videos_of(directory.path(), "1").remove(0).parent().unwrap().to_owned();
    let foreign = [
        (day.join("video_11.mp4"), &b"this is no film"[..]),
        (day.join("notes.txt"), b"hello"),
        (day.join("index_12.vms-idx"), b"lonely"),
        (directory.path().join("storage/cameras/stray"), b"x"),
        (directory.path().join("storage/cameras/1/lost+found"), b"y"),
    ];
    for (path, content) in &foreign {
        std::fs::write(path, content).unwrap();
    }
    std::fs::write(day.join("thumb_10.webp"), b"a companion").unwrap();
    let (archive, report) = open(directory.path());
    assert_eq!(report.problems.len(), foreign.len(), "{:?}", report.problems);
    for (path, content) in &foreign {
        assert_eq!(std::fs::read(path).unwrap(), *content);
        assert!(
            report
                .problems
                .iter()
                .any(|p| p.contains(path.file_name().unwrap().to_str().unwrap()))
        );
    }
    // Recording into that hour takes the next free name.
    let recorder = archive.recorder("1", "main").unwrap();
    push_video(&*recorder, &video_parameters(b"a"), T0_US + 3_600 * SECOND_US, 50, 0);
    push_video(&*recorder, &video_parameters(b"a"), T0_US + 7_200 * SECOND_US, 50, 50);
    archive.close();
    assert_eq!(numbers_in(&day.join("video_11_2.mp4")).len(), 50);
    assert_eq!(
        numbers_in(&day.join("video_12_2.mp4")).len(),
        50,
        "the name of the lonely index is taken"
    );
    assert_eq!(std::fs::read(day.join("video_11.mp4")).unwrap(), b"this is no film");
}

#[test]
fn a_file_torn_at_its_birth_goes() {
    let directory = killed();
    let video = videos_of(directory.path(), "1").remove(0);
    let whole = std::fs::read(&video).unwrap();
    for length in [0, 1, 40, 400, 700] {
        std::fs::write(&video, &whole[..length]).unwrap();
        let index = std::fs::read(index_of(&video)).unwrap();
        std::fs::write(index_of(&video), &index[..HEADER_BYTES]).unwrap();
        let (_archive, report) = open(directory.path());
        assert_eq!(
            (report.files_repaired, report.problems.len()),
            (1, 0),
            "{length}: {report:?}"
        );
        assert!(!video.exists() && !index_of(&video).exists());
        std::fs::write(index_of(&video), &index).unwrap();
    }
    // The names came to the disk before anything else did.
    std::fs::write(&video, b"").unwrap();
    std::fs::write(index_of(&video), b"").unwrap();
    let (_archive, report) = open(directory.path());
    assert_eq!((report.files_repaired, report.problems.len()), (1, 0), "{report:?}");
    assert!(!video.exists() && !index_of(&video).exists());
}

#[test]
fn two_processes_do_not_share_an_archive() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let storage = directory.path().join("storage");
    let second = Archive::open(&storage, ArchiveOptions::default(), ManualClock::at(T0_US))
        .err()
        .unwrap();
    assert_eq!(second.kind(), ErrorKind::Conflict);
    assert!(second.message().contains(storage.to_str().unwrap()) && second.message().contains("process "));
    drop(archive);
    open(directory.path());
}

#[test]
fn fifty_killed_cameras_start_in_two_seconds() {
    let one = killed();
    let cameras = one.path().join("storage/cameras");
    for camera in 2..=50 {
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .args([cameras.join("1"), cameras.join(camera.to_string())])
            .status()
            .unwrap();
        assert!(copied.success());
    }
    let storage = one.path().join("storage");
    let began = std::time::Instant::now();
    let (_archive, report) = Archive::open(&storage, ArchiveOptions::default(), SystemClock::new()).unwrap();
    let took = began.elapsed();
    assert_eq!(report.files_repaired, 50);
    assert!(took.as_secs_f64() < 2.0, "took {took:?}");
    println!("repaired 50 files in {took:?}");
}

#[test]
fn a_long_video_whose_index_is_lost_is_not_taken_for_empty_because_its_first_fragment_is_damaged() {
    let directory = killed();
    let video = videos_of(directory.path(), "1").remove(0);
    std::fs::remove_file(index_of(&video)).unwrap();
    let mut bytes = std::fs::read(&video).unwrap();
    let first = bytes.windows(4).position(|w| w == b"moof").unwrap();
    bytes[first] ^= 1;
    bytes.resize(20 << 20, 0x55);
    std::fs::write(&video, &bytes).unwrap();
    let (archive, report) = open(directory.path());
    assert!(archive.file_changes(0).files.is_empty());
    assert!(report.problems.iter().any(|p| p.contains("left alone")), "{report:?}");
    assert_eq!(std::fs::read(&video).unwrap(), bytes);
}
