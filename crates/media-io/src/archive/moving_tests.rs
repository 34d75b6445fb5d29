//! Moving recordings between volumes, and into the object storage; also when a kill comes in between.

use super::moving::Step;
use super::volumes::{MAIN_VOLUME, Operation};
use super::volumes_tests::{Camera, Installation, options, tmpfs, volume};
use super::{Archive, ExportFormat, ExportRequest, ExportState, RecordedFile};
use crate::source::ByteSource;
use media_core::ErrorKind;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const KEY: &str = "camera-1/video";

/// An archive on two volumes with one closed file on the first.
fn recorded(installation: &Installation, picture_bytes: usize) -> (Arc<Archive>, RecordedFile) {
    let (archive, _) = installation.open(&installation.two());
    let mut camera = Camera::new(&archive, "1", picture_bytes);
    (0..100).for_each(|_| camera.send());
    camera.recorder.stop();
    let file = archive.file_changes(0).files.remove(0);
    assert_eq!(file.volume, "one");
    (archive, file)
}

/// Every file below a volume's directory but its own.
fn files_of(installation: &Installation, volume: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![installation.path(volume).join("cameras")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read_all(source: &dyn ByteSource) -> Vec<u8> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < source.size_bytes() {
        let part = source.read_at(bytes.len() as u64, 1 << 20).unwrap();
        assert!(!part.is_empty());
        bytes.extend_from_slice(&part);
    }
    bytes
}

fn played(archive: &Archive) -> Vec<u8> {
    read_all(&*archive.playback("1", "main", 0, i64::MAX).unwrap().source)
}

#[test]
fn a_moved_file_is_whole_on_the_other_volume_and_whoever_plays_it_goes_on() {
    let installation = Installation::new();
    let (archive, file) = recorded(&installation, 20_000);
    let before = played(&archive);
    let playback = archive.playback("1", "main", 0, i64::MAX).unwrap();
    let first = playback.source.read_at(0, 1_000).unwrap();
    let revision = archive.file_changes(0).revision;
    archive.move_file("1", &file.name, "two", None).unwrap();
    let changes = archive.file_changes(revision);
    assert_eq!((changes.files.len(), changes.removed.len()), (1, 0));
    let moved = RecordedFile {
        volume: "two".into(),
        ..file.clone()
    };
    assert_eq!(changes.files[0], moved);
    assert_eq!(files_of(&installation, "one"), Vec::<PathBuf>::new());
    assert_eq!(files_of(&installation, "two").len(), 3, "video, index, checksum");
    assert_eq!(first, playback.source.read_at(0, 1_000).unwrap());
    assert_eq!(read_all(&*playback.source), before, "what was open is read on");
    assert_eq!(played(&archive), before);
    assert_eq!(
        archive.hash_file("1", &file.name, None).unwrap(),
        file.sha256.clone().unwrap()
    );
    let recorded: Vec<u64> = archive.volumes().iter().map(|v| v.recorded_bytes).collect();
    assert_eq!(recorded, [0, file.size_bytes]);
    archive.move_file("1", &file.name, "two", None).unwrap();
    drop((playback, archive));
    let (archive, report) = installation.open(&installation.two());
    assert_eq!((report.files_repaired, report.problems), (0, vec![]));
    assert_eq!(archive.file_changes(0).files, [moved]);
    assert_eq!(played(&archive), before);
    archive.move_file("1", &file.name, "one", None).unwrap();
    assert_eq!(played(&archive), before);
    archive.remove_file("1", &file.name).unwrap();
    assert!(files_of(&installation, "one").is_empty() && files_of(&installation, "two").is_empty());
}

#[test]
fn a_kill_in_a_move_leaves_one_whole_copy() {
    for step in [
        Step::Begun,
        Step::HalfCopied,
        Step::Copied,
        Step::ChecksumRenamed,
        Step::IndexRenamed,
        Step::VideoRenamed,
        Step::OriginalVideoRemoved,
        Step::OriginalIndexRemoved,
    ] {
        let installation = Installation::new();
        let (archive, file) = recorded(&installation, 20_000);
        let before = played(&archive);
        *archive.moves.stop_after.lock() = Some(step);
        let stopped = archive.move_file("1", &file.name, "two", None).unwrap_err();
        assert!(stopped.message().contains("killed"), "{step:?}: {stopped}");
        drop(archive);
        let (archive, report) = installation.open(&installation.two());
        assert_eq!((report.files_repaired, report.problems), (0, vec![]), "{step:?}");
        let files = archive.file_changes(0).files;
        assert_eq!(files.len(), 1, "{step:?}");
        let left = [files_of(&installation, "one"), files_of(&installation, "two")];
        let there = usize::from(files[0].volume == "two");
        assert_eq!((left[there].len(), left[1 - there].len()), (3, 0), "{step:?}: {left:?}");
        assert_eq!(archive.hash_file("1", &file.name, None).unwrap(), file.sha256.unwrap());
        assert_eq!(played(&archive), before, "{step:?}");
    }
}

#[test]
fn two_files_of_a_name_that_differ_are_reported_and_both_stay() {
    let installation = Installation::new();
    let (archive, file) = recorded(&installation, 20_000);
    *archive.moves.stop_after.lock() = Some(Step::VideoRenamed);
    archive.move_file("1", &file.name, "two", None).unwrap_err();
    drop(archive);
    let copy = installation.path("two/cameras/1").join(&file.name);
    let mut bytes = std::fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&copy, &bytes).unwrap();
    let (archive, report) = installation.open(&installation.two());
    assert_eq!(report.problems.len(), 1);
    assert!(report.problems[0].contains("is on volume one too"), "{report:?}");
    assert_eq!(archive.file_changes(0).files, [file]);
    assert_eq!(std::fs::read(&copy).unwrap(), bytes);
}

#[test]
fn moves_that_cannot_be_leave_everything_as_it_was() {
    let installation = Installation::new();
    std::fs::create_dir(installation.path("two")).unwrap();
    let disk = tmpfs::Mounted::new(&installation.path("two"), "8m");
    let (archive, file) = recorded(&installation, 20_000);
    let before = files_of(&installation, "one");
    let kind = |name: &str, volume: &str| archive.move_file("1", name, volume, None).unwrap_err().kind();
    assert_eq!(kind(&file.name, "three"), ErrorKind::NotFound);
    assert_eq!(kind("2026-11-23/video_23_9.mp4", "two"), ErrorKind::NotFound);
    assert_eq!(kind("../one/x.mp4", "two"), ErrorKind::NotFound);
    // Not enough room, as seen before and as found out.
    tmpfs::fill(disk.path(), 7_000_000);
    volume(&archive, "two").look_after();
    assert_eq!(kind(&file.name, "two"), ErrorKind::Exhausted);
    std::fs::remove_file(disk.path().join("filler")).unwrap();
    volume(&archive, "two").look_after();
    tmpfs::fill(disk.path(), 7_000_000);
    let refused = archive.move_file("1", &file.name, "two", None).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Exhausted, "{refused}");
    std::fs::remove_file(disk.path().join("filler")).unwrap();
    assert_eq!(
        files_of(&installation, "two"),
        Vec::<PathBuf>::new(),
        "no half copy stays"
    );
    let end = Instant::now() + Duration::from_secs(10);
    while !volume(&archive, "two").takes_files() {
        assert!(Instant::now() < end, "the volume has room again");
        std::thread::sleep(Duration::from_millis(10));
    }
    let fault = |operation| match operation {
        Operation::Write => Err(io::Error::from_raw_os_error(libc::EIO)),
        _ => Ok(()),
    };
    *volume(&archive, "two").fault.lock() = Some(Arc::new(fault));
    assert_eq!(kind(&file.name, "two"), ErrorKind::Internal);
    assert_eq!(kind(&file.name, "two"), ErrorKind::Unavailable, "it is failing");
    *volume(&archive, "two").fault.lock() = None;
    assert_eq!(files_of(&installation, "one"), before);
    let mut camera = Camera::new(&archive, "2", 200);
    (0..50).for_each(|_| camera.send());
    archive.flush();
    let open = archive
        .file_changes(0)
        .files
        .into_iter()
        .find(|f| f.camera_id == "2")
        .unwrap();
    let target = if open.volume == "one" { "two" } else { "one" };
    let refused = archive.move_file("2", &open.name, target, None).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
}

#[test]
fn a_file_that_is_not_what_its_checksum_says_is_not_moved() {
    let installation = Installation::new();
    let (archive, file) = recorded(&installation, 20_000);
    let video = installation.path("one/cameras/1").join(&file.name);
    let mut bytes = std::fs::read(&video).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&video, &bytes).unwrap();
    let refused = archive.move_file("1", &file.name, "two", None).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Malformed);
    assert!(refused.message().contains("SHA-256"), "{refused}");
    assert_eq!(std::fs::read(&video).unwrap(), bytes);
    assert!(files_of(&installation, "two").is_empty());
}

#[test]
fn a_move_keeps_to_its_rate_and_ends_with_the_archive() {
    let installation = Installation::new();
    let (archive, file) = recorded(&installation, 20_000);
    let mover = {
        let (archive, name) = (archive.clone(), file.name.clone());
        std::thread::spawn(move || archive.move_file("1", &name, "two", Some(1_000)))
    };
    while !files_of(&installation, "two")
        .iter()
        .any(|p| p.extension().is_some_and(|e| e == "moving"))
    {
        std::thread::yield_now();
    }
    let again = archive.move_file("1", &file.name, "two", None).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict, "it is being moved");
    let began = Instant::now();
    archive.close();
    let ended = mover.join().unwrap().unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(files_of(&installation, "two").is_empty());
}

/// An object storage of one object, which can be made to fail.
struct Storage {
    object: Vec<u8>,
    broken: AtomicBool,
    short: AtomicBool,
    bytes_read: AtomicU64,
}

impl Storage {
    /// With a copy of the video as the object.
    fn of(archive: &Archive, video: &std::path::Path) -> Arc<Self> {
        let storage = Arc::new(Self {
            object: std::fs::read(video).unwrap(),
            broken: AtomicBool::new(false),
            short: AtomicBool::new(false),
            bytes_read: AtomicU64::new(0),
        });
        storage.serve(archive);
        storage
    }

    fn serve(self: &Arc<Self>, archive: &Archive) {
        let storage = self.clone();
        archive.read_objects_with(Arc::new(move |key, offset, length| {
            if key != KEY || storage.broken.load(Ordering::Relaxed) {
                return Err("connection refused".into());
            }
            storage.bytes_read.fetch_add(length as u64, Ordering::Relaxed);
            let short = usize::from(storage.short.load(Ordering::Relaxed));
            let from = offset as usize;
            Ok(storage.object[from..from + length - short].to_vec())
        }));
    }
}

#[test]
fn a_video_in_the_object_storage_is_played_like_any_other() {
    let installation = Installation::new();
    // Larger than a block.
    let (archive, file) = recorded(&installation, 60_000);
    let video = installation.path("one/cameras/1").join(&file.name);
    let refused = archive.use_object("1", &file.name, KEY).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "nothing reads objects: {refused}");
    let storage = Storage::of(&archive, &video);
    let before = played(&archive);
    let (start_us, end_us) = (file.start_us, file.end_us);
    let picture = archive.picture("1", "main", start_us + 2_000_000).unwrap();
    let playlist = archive.hls_playlist("1", "main", start_us, end_us).unwrap();
    let segments = |archive: &Archive| -> Vec<Vec<u8>> {
        let names = playlist.lines().filter_map(|line| line.strip_prefix("segment-"));
        let names = names.map(|line| line.trim_end_matches(".m4s"));
        names
            .map(|name| read_all(&*archive.hls_segment("1", "main", name, (i64::MIN, i64::MAX)).unwrap()))
            .collect()
    };
    let segments_before = segments(&archive);
    assert!(!segments_before.is_empty());
    let open = archive.playback("1", "main", 0, i64::MAX).unwrap();
    let revision = archive.file_changes(0).revision;
    assert_eq!(
        archive.use_object("1", &file.name, KEY).unwrap(),
        storage.object.len() as u64
    );
    assert_eq!(archive.use_object("1", &file.name, KEY).unwrap(), 0, "once is enough");
    let changes = archive.file_changes(revision);
    assert_eq!(changes.files[0].object_key.as_deref(), Some(KEY));
    assert!(!video.exists());
    assert_eq!(files_of(&installation, "one").len(), 3, "object, index, checksum");
    assert_eq!(read_all(&*open.source), before, "what was open is read on");
    let again = |archive: &Archive| {
        assert_eq!(played(archive), before);
        assert_eq!(archive.picture("1", "main", start_us + 2_000_000).unwrap(), picture);
        assert_eq!(archive.hls_playlist("1", "main", start_us, end_us).unwrap(), playlist);
        assert_eq!(segments(archive), segments_before);
        assert_eq!(
            archive.hash_file("1", &file.name, None).unwrap(),
            file.sha256.clone().unwrap()
        );
    };
    again(&archive);
    assert!(
        storage.bytes_read.load(Ordering::Relaxed) < 2 * storage.object.len() as u64,
        "blocks are kept at hand"
    );
    assert_eq!(
        archive.move_file("1", &file.name, "two", None).unwrap_err().kind(),
        ErrorKind::Conflict
    );
    drop((open, archive));
    let (archive, report) = installation.open(&installation.two());
    assert_eq!((report.files_checked, report.problems), (1, vec![]));
    assert_eq!(archive.file_changes(0).files[0].object_key.as_deref(), Some(KEY));
    assert_eq!(
        archive.timeline("1", 0, i64::MAX).unwrap().ranges.len(),
        1,
        "from the index"
    );
    let unread = archive.playback("1", "main", 0, i64::MAX);
    assert_eq!(
        unread.err().unwrap().kind(),
        ErrorKind::Unavailable,
        "before there is a reader"
    );
    storage.serve(&archive);
    again(&archive);
    let directory = installation.path("exports");
    let request = ExportRequest {
        camera_ids: vec!["1".into()],
        start_us,
        end_us,
        format: ExportFormat::Mp4,
        directory,
    };
    archive.export_start("x", request).unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    while archive.export_progress("x").unwrap().state == ExportState::Running && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(archive.export_progress("x").unwrap().state, ExportState::Done);
    archive.remove_file("1", &file.name).unwrap();
    assert!(files_of(&installation, "one").is_empty());
}

#[test]
fn an_object_storage_that_fails_is_unavailable_and_named() {
    let installation = Installation::new();
    let (archive, file) = recorded(&installation, 20_000);
    let video = installation.path("one/cameras/1").join(&file.name);
    let storage = Storage::of(&archive, &video);
    for impossible in ["", &"k".repeat(2_000)] {
        let refused = archive.use_object("1", &file.name, impossible).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
    }
    let refused = archive.use_object("1", &file.name, "another").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(video.exists());
    archive.use_object("1", &file.name, KEY).unwrap();
    for fault in [&storage.broken, &storage.short] {
        fault.store(true, Ordering::Relaxed);
        let failed = archive.picture("1", "main", file.start_us).unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Unavailable);
        assert!(
            failed.message().contains("video_") && failed.message().contains("object storage"),
            "{failed}"
        );
        fault.store(false, Ordering::Relaxed);
    }
    archive.picture("1", "main", file.start_us).unwrap();
}

#[test]
fn an_object_that_is_not_the_video_is_refused() {
    let installation = Installation::new();
    let (archive, file) = recorded(&installation, 20_000);
    let video = installation.path("one/cameras/1").join(&file.name);
    let good = std::fs::read(&video).unwrap();
    for place in [0, good.len() - 1] {
        let mut other = good.clone();
        other[place] ^= 1;
        std::fs::write(&video, other).unwrap();
        Storage::of(&archive, &video);
        std::fs::write(&video, &good).unwrap();
        let refused = archive.use_object("1", &file.name, KEY).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Malformed);
        assert_eq!(std::fs::read(&video).unwrap(), good);
    }
}

#[test]
fn a_kill_while_a_video_becomes_an_object_is_made_up_for() {
    let installation = Installation::new();
    let (archive, file) = recorded(&installation, 20_000);
    let video = installation.path("one/cameras/1").join(&file.name);
    let storage = Storage::of(&archive, &video);
    archive.use_object("1", &file.name, KEY).unwrap();
    drop(archive);
    // The kill came before the video was removed.
    std::fs::write(&video, &storage.object).unwrap();
    let (archive, report) = installation.open(&installation.two());
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(!video.exists());
    assert_eq!(archive.file_changes(0).files[0].object_key.as_deref(), Some(KEY));
    drop(archive);
    let document = video.with_extension("mp4.object");
    let whole = std::fs::read(&document).unwrap();
    for bad in [
        &b""[..],
        b"{}",
        b"[1]",
        b"\xff",
        &whole[..whole.len() - 1],
        b"{\"key\":\"\",\"size_bytes\":1,\"sha256\":null}",
        b"{\"key\":\"k\",\"size_bytes\":18446744073709551615,\"sha256\":null}",
        b"{\"key\":\"k\",\"size_bytes\":-1,\"sha256\":null}",
        b"{\"key\":\"k\",\"size_bytes\":7,\"sha256\":null}",
    ] {
        std::fs::write(&document, bad).unwrap();
        let (archive, report) = installation.open(&installation.two());
        assert!(archive.file_changes(0).files.is_empty());
        assert_eq!(report.problems.len(), 1, "{report:?}");
        assert!(report.problems[0].contains("video_"), "{report:?}");
        assert_eq!(std::fs::read(&document).unwrap(), bad, "left alone");
    }
    let opened = Archive::open_on(
        &installation.path("storage"),
        Vec::new(),
        options(),
        installation.clock.clone(),
    );
    assert_eq!(opened.unwrap().0.volumes()[0].name, MAIN_VOLUME);
}

#[test]
fn a_file_that_was_not_sealed_stays_where_repair_finds_it() {
    let installation = Installation::new();
    let (archive, file) = recorded(&installation, 20_000);
    let video = installation.path("one/cameras/1").join(&file.name);
    let _storage = Storage::of(&archive, &video);
    // As after a sync that failed: nobody writes it, and its index has no seal.
    let entry = archive.catalogue.find("1", "main").unwrap().newest().unwrap();
    entry.state.write().sealed = false;
    let refused = archive.use_object("1", &file.name, KEY).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(
        archive.move_file("1", &file.name, "two", None).unwrap_err().kind(),
        ErrorKind::Conflict
    );
    assert!(video.exists() && files_of(&installation, "two").is_empty());
}

#[test]
fn a_file_that_waits_for_its_disk_holds_up_no_other() {
    let installation = Installation::new();
    let (archive, file) = recorded(&installation, 20_000);
    let mut other = Camera::new(&archive, "2", 1_000);
    (0..50).for_each(|_| other.send());
    other.recorder.stop();
    let files = archive.file_changes(0).files;
    let of_other = files.iter().find(|f| f.camera_id == "2").unwrap().name.clone();
    let hanging = archive.catalogue.find("1", "main").unwrap().newest().unwrap();
    let held = hanging.changing.lock();
    let (done, ended) = std::sync::mpsc::channel();
    let remover = archive.clone();
    std::thread::spawn(move || done.send(remover.remove_file("2", &of_other).map(drop)));
    ended.recv_timeout(Duration::from_secs(5)).unwrap().unwrap();
    drop(held);
    archive.remove_file("1", &file.name).unwrap();
    assert_eq!(
        archive.remove_file("1", &file.name).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}
