use crate::feed::*;
use media_core::index::{HEADER_BYTES, RECORD_BYTES};
use media_io::archive::{Archive, ArchiveOptions, RecordingState};
use media_io::clock::ManualClock;
use media_io::hub::Hub;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A tmpfs of a given size, unmounted at the end.
pub struct SmallDisk {
    path: PathBuf,
    _directory: Option<tempfile::TempDir>,
}

impl SmallDisk {
    pub fn new(size: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut disk = Self::at(directory.path(), size);
        disk._directory = Some(directory);
        disk
    }

    /// Over an existing directory.
    pub fn at(path: &Path, size: &str) -> Self {
        mount(path, Some(&format!("size={size}")), 0);
        Self {
            path: path.to_owned(),
            _directory: None,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path = CString::new(self.path().as_os_str().as_bytes()).unwrap();
        // SAFETY: the path ends in a zero byte.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}

/// Makes a mounted tmpfs read-only, or writable again.
fn remount(path: &Path, flags: libc::c_ulong) -> bool {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
    loop {
        // SAFETY: all strings end in a zero byte.
        let answer = unsafe {
            libc::mount(
                c"tmpfs".as_ptr(),
                path.as_ptr(),
                c"tmpfs".as_ptr(),
                libc::MS_REMOUNT | flags,
                std::ptr::null(),
            )
        };
        // As with the archive's lock: a program being started may have copies of descriptors for a moment.
        let busy = std::io::Error::last_os_error().raw_os_error() == Some(libc::EBUSY);
        if answer == 0 || !busy || std::time::Instant::now() > end {
            return answer == 0;
        }
        std::thread::yield_now();
    }
}

fn mount(path: &Path, options: Option<&str>, flags: libc::c_ulong) {
    let path_c = CString::new(path.as_os_str().as_bytes()).unwrap();
    let options_c = CString::new(options.unwrap_or("")).unwrap();
    // SAFETY: all strings end in a zero byte.
    let answer = unsafe {
        libc::mount(
            c"tmpfs".as_ptr(),
            path_c.as_ptr(),
            c"tmpfs".as_ptr(),
            flags,
            options_c.as_ptr().cast(),
        )
    };
    assert_eq!(
        answer,
        0,
        "mounting a tmpfs needs root: {}",
        std::io::Error::last_os_error()
    );
}

pub fn fill(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path.join("filler")).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
}

fn failed_with(state: RecordingState, words: &str) -> bool {
    matches!(state, RecordingState::Failed(reason) if reason.contains(words))
}

#[test]
fn a_sink_that_can_take_nothing_costs_the_others_nothing() {
    let (small, large) = (SmallDisk::new("1m"), tempfile::tempdir().unwrap());
    let ((full, _), (archive, _)) = (open(small.path()), open(large.path()));
    let (stuck, recorder) = (
        full.recorder("1", "main").unwrap(),
        archive.recorder("1", "main").unwrap(),
    );
    let hub = Hub::new("1/main", 1 << 20);
    hub.attach_at_key(stuck.clone());
    hub.attach_at_key(recorder.clone());
    fill(small.path());
    let a = video_parameters(b"a");
    for number in 0..200 {
        let at_us = T0_US + i64::from(number) * SECOND_US / 25;
        hub.publish(&unit(&a, at_us, number % 25 == 0, number));
    }
    full.flush();
    assert!(stuck.counters().fragments_dropped > 0);
    archive.close();
    assert_eq!(
        numbers_in(&videos_of(large.path(), "1")[0]),
        (0..200).collect::<Vec<_>>()
    );
}

#[test]
fn a_full_disk_is_a_state_and_recording_goes_on_when_there_is_room() {
    let disk = SmallDisk::new("4m");
    let clock = ManualClock::at(T0_US);
    let (archive, _) = open_with(disk.path(), ArchiveOptions::default(), clock.clone());
    let recorder = archive.recorder("1", "main").unwrap();
    let a = video_parameters(b"a");
    push_video(&*recorder, &a, T0_US, 50, 0);
    archive.flush();
    fill(disk.path());
    push_video(&*recorder, &a, T0_US + 2 * SECOND_US, 200, 50);
    archive.flush();
    assert!(failed_with(recorder.state(), "disk full"), "{:?}", recorder.state());
    assert!(recorder.counters().fragments_dropped > 0);
    std::fs::remove_file(disk.path().join("filler")).unwrap();
    clock.advance_us(2 * SECOND_US);
    push_video(&*recorder, &a, T0_US + 10 * SECOND_US, 100, 250);
    archive.flush();
    assert_eq!(recorder.state(), RecordingState::Recording);
    archive.close();
    // Nothing acknowledged is lost, nothing is there twice, and every file is whole.
    let numbers: Vec<u32> = videos_of(disk.path(), "1").iter().flat_map(|p| numbers_in(p)).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
    assert!(
        numbers.starts_with(&(0..38).collect::<Vec<_>>()),
        "what was durable before"
    );
    assert!(
        numbers.ends_with(&(263..350).collect::<Vec<_>>()),
        "what came when there was room"
    );
    drop(archive);
    let (_archive, report) = open_with(disk.path(), ArchiveOptions::default(), clock);
    assert_eq!((report.files_repaired, report.problems), (0, vec![]));
}

#[test]
fn a_fragment_that_a_full_disk_took_in_part_is_cut_off() {
    let disk = SmallDisk::new("4m");
    let (archive, _) = open(disk.path());
    let recorder = archive.recorder("1", "main").unwrap();
    let a = video_parameters(b"a");
    push_video(&*recorder, &a, T0_US, 50, 0);
    archive.flush();
    fill(disk.path());
    push_video(&*recorder, &a, T0_US + 2 * SECOND_US, 25, 50);
    archive.flush();
    assert!(failed_with(recorder.state(), "disk full"), "{:?}", recorder.state());
    // It reads to its end: numbers_in panics at half a fragment.
    let video = videos_of(disk.path(), "1").remove(0);
    assert_eq!(numbers_in(&video), (0..39).collect::<Vec<_>>());
    // Its checksum needs room.
    std::fs::remove_file(disk.path().join("filler")).unwrap();
    archive.close();
    drop((recorder, archive));
    let (_archive, report) = open(disk.path());
    assert_eq!((report.files_repaired, report.problems), (0, vec![]));
}

#[test]
fn records_that_found_no_room_are_written_when_there_is_some() {
    // With the header, the index's first page holds 63 records: the next needs another page.
    const FIRST_PAGE_RECORDS: u32 = 63;
    const UNITS_PER_FRAGMENT: u32 = 13;
    let disk = SmallDisk::new("4m");
    let options = ArchiveOptions {
        sync_ms: 600_000,
        ..ArchiveOptions::default()
    };
    let (archive, _) = open_with(disk.path(), options, ManualClock::at(T0_US));
    let recorder = archive.recorder("1", "main").unwrap();
    let a = video_parameters(b"a");
    let fragments = FIRST_PAGE_RECORDS + 2;
    push_video(&*recorder, &a, T0_US, fragments * UNITS_PER_FRAGMENT + 1, 0);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while archive.write_counters().fragments_written < u64::from(fragments) {
        assert!(std::time::Instant::now() < end, "the fragments were not written");
        std::thread::yield_now();
    }
    fill(disk.path());
    archive.flush();
    assert!(failed_with(recorder.state(), "disk full"), "{:?}", recorder.state());
    std::fs::remove_file(disk.path().join("filler")).unwrap();
    archive.flush();
    let video = videos_of(disk.path(), "1").remove(0);
    let index = std::fs::read(index_of(&video)).unwrap();
    assert_eq!(
        (index.len() - HEADER_BYTES) / RECORD_BYTES,
        fragments as usize,
        "every fragment of the file has its record"
    );
    archive.close();
}

#[test]
fn a_read_only_disk_is_a_state_and_what_was_recorded_stays() {
    let disk = SmallDisk::new("4m");
    let clock = ManualClock::at(T0_US);
    let (archive, _) = open_with(disk.path(), ArchiveOptions::default(), clock.clone());
    let recorder = archive.recorder("1", "main").unwrap();
    let a = video_parameters(b"a");
    push_video(&*recorder, &a, T0_US, 50, 0);
    recorder.stop();
    // Closed files do not keep a file system from becoming read-only; the lock is only read from now on.
    drop(archive);
    assert!(remount(disk.path(), libc::MS_RDONLY));
    let refused = Archive::open(&disk.path().join("storage"), ArchiveOptions::default(), clock.clone())
        .err()
        .unwrap();
    assert_eq!(refused.kind(), media_core::ErrorKind::Forbidden);
    assert!(refused.message().contains("read-only"), "{refused}");
    assert!(remount(disk.path(), 0));
    let (archive, report) = open_with(disk.path(), ArchiveOptions::default(), clock);
    assert_eq!((report.files_checked, report.files_repaired), (1, 0));
    drop(archive);
}

#[test]
fn a_disk_that_turns_read_only_while_recording_is_a_state_and_recording_goes_on_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(T0_US);
    let storage = directory.path().join("storage");
    let (archive, _) = open_with(directory.path(), ArchiveOptions::default(), clock.clone());
    // The disk of one camera: the kernel does not turn one read-only on which a file is being written.
    let camera = storage.join("cameras/1");
    std::fs::create_dir(&camera).unwrap();
    let disk = SmallDisk::at(&camera, "4m");
    assert!(remount(disk.path(), libc::MS_RDONLY));
    let recorder = archive.recorder("1", "main").unwrap();
    let a = video_parameters(b"a");
    push_video(&*recorder, &a, T0_US, 50, 0);
    archive.flush();
    assert!(failed_with(recorder.state(), "read-only"), "{:?}", recorder.state());
    assert!(remount(disk.path(), 0));
    clock.advance_us(2 * SECOND_US);
    push_video(&*recorder, &a, T0_US + 2 * SECOND_US, 100, 50);
    archive.flush();
    assert_eq!(recorder.state(), RecordingState::Recording);
    archive.close();
    let numbers = numbers_in(&videos_of(directory.path(), "1")[0]);
    assert!(
        numbers.ends_with(&(63..150).collect::<Vec<_>>()),
        "what came when the disk could be written"
    );
}

#[test]
fn a_full_disk_at_the_start_leaves_torn_recordings_as_they_are() {
    let disk = SmallDisk::new("4m");
    let clock = ManualClock::at(T0_US);
    let storage = disk.path().join("storage");
    let (archive, _) = open_with(disk.path(), ArchiveOptions::default(), clock.clone());
    let recorder = archive.recorder("1", "main").unwrap();
    push_video(&*recorder, &video_parameters(b"a"), T0_US, 100, 0);
    archive.flush();
    // As a kill leaves it, and without its index: a new one needs room.
    let torn = copy_of(disk.path());
    archive.close();
    drop((recorder, archive));
    std::fs::remove_dir_all(&storage).unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(torn.path().join("storage"))
        .arg(disk.path())
        .status();
    assert!(copied.unwrap().success());
    let video = videos_of(disk.path(), "1").remove(0);
    let bytes = std::fs::read(&video).unwrap();
    std::fs::remove_file(index_of(&video)).unwrap();
    fill(disk.path());
    let (archive, report) = open_with(disk.path(), ArchiveOptions::default(), clock.clone());
    assert!(
        report
            .problems
            .iter()
            .any(|problem| problem.contains("cannot be repaired now") && problem.contains("disk full")),
        "{report:?}"
    );
    drop(archive);
    assert_eq!(std::fs::read(&video).unwrap(), bytes);
    std::fs::remove_file(disk.path().join("filler")).unwrap();
    let (_archive, report) = open_with(disk.path(), ArchiveOptions::default(), clock);
    assert_eq!(
        (report.files_repaired, report.problems.len()),
        (1, 1),
        "its index was lost"
    );
    assert!(numbers_in(&video).starts_with(&(0..85).collect::<Vec<_>>()));
}

#[test]
fn one_camera_that_cannot_be_written_does_not_disturb_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(T0_US);
    let (archive, _) = Archive::open(
        &directory.path().join("storage"),
        ArchiveOptions::default(),
        clock.clone(),
    )
    .unwrap();
    // A file where the camera's directory should be.
    std::fs::write(directory.path().join("storage/cameras/bad"), b"").unwrap();
    let (bad, good) = (
        archive.recorder("bad", "main").unwrap(),
        archive.recorder("good", "main").unwrap(),
    );
    let a = video_parameters(b"a");
    for second in 0..4 {
        push_video(&*bad, &a, T0_US + second * SECOND_US, 25, second as u32 * 25);
        push_video(&*good, &a, T0_US + second * SECOND_US, 25, second as u32 * 25);
    }
    archive.flush();
    assert!(matches!(bad.state(), RecordingState::Failed(_)));
    assert_eq!(good.state(), RecordingState::Recording);
    std::fs::remove_file(directory.path().join("storage/cameras/bad")).unwrap();
    clock.advance_us(2 * SECOND_US);
    push_video(&*bad, &a, T0_US + 4 * SECOND_US, 50, 100);
    archive.close();
    assert_eq!(
        numbers_in(&videos_of(directory.path(), "good")[0]),
        (0..100).collect::<Vec<_>>()
    );
    assert_eq!(
        numbers_in(&videos_of(directory.path(), "bad")[0]),
        (91..150).collect::<Vec<_>>()
    );
}
