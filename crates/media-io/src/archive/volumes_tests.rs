//! Recording on several volumes while they fill up, fail, hang, go and come back. In the crate, so that a volume's
//! operations can be made to fail.

use super::volumes::{Operation, Volume};
use super::{Archive, ArchiveOptions, Recorder, VolumeOptions, VolumeState, VolumeTier};
use crate::clock::{Clock, SystemClock};
use crate::hub::Sink;
use bytes::Bytes;
use media_core::fmp4::{FragmentRead, read_fragment_header, read_init};
use media_core::recording::fragmenter::rescale;
use media_core::{AccessUnit, Codec, TrackParameters};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const FRAME_US: i64 = 40_000;

/// An archive on volumes below one directory, with the system's clock.
pub(super) struct Installation {
    directory: tempfile::TempDir,
    pub clock: Arc<dyn Clock>,
}

pub(super) fn options() -> ArchiveOptions {
    ArchiveOptions {
        fragment_ms: 200,
        sync_ms: 100,
        volume_retry_ms: 300,
        ..ArchiveOptions::default()
    }
}

impl Installation {
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            clock: SystemClock::new(),
        }
    }

    pub fn path(&self, volume: &str) -> PathBuf {
        self.directory.path().join(volume)
    }

    pub fn volume(&self, name: &str) -> VolumeOptions {
        VolumeOptions {
            name: name.into(),
            path: self.path(name),
            weight: 1,
            tier: VolumeTier::Fast,
            reserve_bytes: 0,
        }
    }

    pub fn open(&self, volumes: &[VolumeOptions]) -> (Arc<Archive>, super::RepairReport) {
        let storage = self.path("storage");
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            // A program that another test starts has copies of the lock for a moment.
            match Archive::open_on(&storage, volumes.to_vec(), options(), self.clock.clone()) {
                Err(e) if e.message().contains("in use") && Instant::now() < end => std::thread::yield_now(),
                Ok((_, report)) if report.problems.iter().any(|p| p.contains("in use")) && Instant::now() < end => {
                    std::thread::yield_now();
                }
                opened => return opened.unwrap(),
            }
        }
    }

    pub fn two(&self) -> Vec<VolumeOptions> {
        vec![self.volume("one"), self.volume("two")]
    }

    /// Every video of camera 1 on a volume.
    pub fn videos(&self, volume: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let days = std::fs::read_dir(self.path(volume).join("cameras/1"));
        for day in days.into_iter().flatten() {
            for file in std::fs::read_dir(day.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                if path.extension().is_some_and(|e| e == "mp4") {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    /// The numbers of all pictures of camera 1, in order.
    pub fn numbers(&self, volumes: &[&str]) -> Vec<u32> {
        let videos = volumes.iter().flat_map(|v| self.videos(v));
        let mut numbers: Vec<u32> = videos.flat_map(|path| numbers_in(&path)).collect();
        numbers.sort_unstable();
        numbers
    }
}

fn numbers_in(path: &Path) -> Vec<u32> {
    let bytes = std::fs::read(path).unwrap();
    // It may be looked at while it is being begun; where it stays torn, its pictures are missed.
    let Ok(init) = read_init(&bytes) else {
        return Vec::new();
    };
    let mut at = init.size_bytes;
    let mut numbers = Vec::new();
    while at < bytes.len() {
        if &bytes[at + 4..at + 8] == b"prft" {
            at += 32;
            continue;
        }
        let FragmentRead::Whole(header) = read_fragment_header(&bytes[at..]).unwrap() else {
            panic!("torn at {at}")
        };
        let mut data = at + header.moof_bytes as usize;
        for sample in &header.samples {
            numbers.push(u32::from_be_bytes(bytes[data + 5..data + 9].try_into().unwrap()));
            data += sample.size_bytes as usize;
        }
        at += header.size_bytes as usize;
    }
    numbers
}

/// A camera that sends 25 pictures a second of true time, each with its number.
pub(super) struct Camera {
    pub recorder: Arc<Recorder>,
    parameters: Arc<TrackParameters>,
    began: Instant,
    began_us: i64,
    pub sent: u32,
    picture_bytes: usize,
}

impl Camera {
    pub fn new(archive: &Archive, camera_id: &str, picture_bytes: usize) -> Self {
        let parameters = Arc::new(TrackParameters {
            codec: Codec::H264,
            clock_rate: 90_000,
            configuration: Bytes::from_static(b"a"),
            width: 640,
            height: 360,
            channels: 0,
            reorder_depth: 0,
            fps_milli: 25_000,
        });
        Self {
            recorder: archive.recorder(camera_id, "main").unwrap(),
            parameters,
            began: Instant::now(),
            began_us: archive.now_us(),
            sent: 0,
            picture_bytes,
        }
    }

    /// Sends what is due until `until` says so.
    pub fn send_until(&mut self, what: &str, until: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !until() {
            assert!(Instant::now() < end, "waited for 20 s: {what}");
            while self.began.elapsed() >= Duration::from_micros(u64::from(self.sent) * FRAME_US as u64) {
                self.send();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn send(&mut self) {
        let unit = self.unit(self.sent);
        self.sent += 1;
        assert!(self.recorder.push(&unit));
    }

    /// The picture of a number.
    pub fn unit(&self, number: u32) -> Arc<AccessUnit> {
        let at_us = self.began_us + i64::from(number) * FRAME_US;
        let dts = rescale(at_us, 1_000_000, 90_000);
        let key = number.is_multiple_of(25);
        let mut data = (self.picture_bytes as u32).to_be_bytes().to_vec();
        data.push(if key { 0x65 } else { 0x41 });
        data.extend_from_slice(&number.to_be_bytes());
        data.resize(self.picture_bytes + 4, 0x55);
        Arc::new(AccessUnit {
            track: 0,
            pts: dts,
            dts,
            utc_us: at_us,
            received_us: 0,
            key,
            discontinuity: false,
            lost_packets: 0,
            data: Bytes::from(data),
            parameters: self.parameters.clone(),
        })
    }

    pub fn send_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        self.send_until("its time", || Instant::now() >= end);
    }
}

/// End of what is durable of camera 1, µs.
fn durable_end_us(archive: &Archive) -> i64 {
    let timeline = archive.timeline("1", 0, i64::MAX).unwrap();
    timeline.ranges.iter().map(|r| r.end_us).max().unwrap_or(0)
}

pub(super) fn volume<'a>(archive: &'a Archive, name: &str) -> &'a Arc<Volume> {
    archive.volumes.iter().find(|v| v.name() == name).unwrap()
}

fn state(archive: &Archive, name: &str) -> VolumeState {
    archive.volumes().into_iter().find(|v| v.name == name).unwrap().state
}

/// The volume that camera 1 is being recorded on, and the other.
fn used_and_other(archive: &Archive) -> (&'static str, &'static str) {
    match archive
        .catalogue
        .find("1", "main")
        .unwrap()
        .newest()
        .unwrap()
        .volume()
        .name()
    {
        "one" => ("one", "two"),
        _ => ("two", "one"),
    }
}

/// Breaks the volume in use, and sends pictures until what came after the break is durable on the other one: how long
/// that took. All that was durable before must still be there.
fn break_and_measure(archive: &Arc<Archive>, camera: &mut Camera, break_it: impl Fn(&'static str)) -> Duration {
    camera.send_until("the first pictures", || durable_end_us(archive) > 0);
    camera.send_for(Duration::from_millis(700));
    let (used, other) = used_and_other(archive);
    let durable_us = durable_end_us(archive);
    break_it(used);
    let began = Instant::now();
    let broken_us = archive.now_us();
    camera.send_until("recording elsewhere", || {
        let newest = archive.catalogue.find("1", "main").and_then(|s| s.newest());
        durable_end_us(archive) > broken_us && newest.is_some_and(|f| f.volume().name() == other)
    });
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "recording went on after {took:?} only");
    let timeline = archive.timeline("1", 0, i64::MAX).unwrap();
    assert!(
        timeline.ranges[0].end_us >= durable_us,
        "what was acknowledged is still there"
    );
    took
}

#[test]
fn a_disk_that_fails_every_write_loses_nothing() {
    let installation = Installation::new();
    let (archive, _) = installation.open(&installation.two());
    let mut camera = Camera::new(&archive, "1", 1_000);
    let took = break_and_measure(&archive, &mut camera, |used| {
        let fault = |operation| match operation {
            Operation::Write | Operation::Trial | Operation::Create => Err(io::Error::from_raw_os_error(libc::EIO)),
            Operation::Sync | Operation::Seal => Ok(()),
        };
        *volume(&archive, used).fault.lock() = Some(Arc::new(fault));
    });
    println!("a failing write: recording on another volume after {took:?}");
    let (other, used) = used_and_other(&archive);
    assert_eq!(state(&archive, used), VolumeState::Failing);
    assert_eq!(state(&archive, other), VolumeState::Ok);
    let status = archive.volumes().into_iter().find(|v| v.name == used).unwrap();
    assert!(status.reason.unwrap().contains("disk failure") && status.write_errors_total > 0);
    let sent = camera.sent;
    archive.close();
    assert_eq!(installation.numbers(&["one", "two"]), (0..sent).collect::<Vec<_>>());
    assert!(archive.timeline("1", 0, i64::MAX).unwrap().gaps.is_empty());
}

#[test]
fn a_disk_that_fails_to_sync_loses_what_the_sync_held_and_the_gap_says_disk() {
    let installation = Installation::new();
    let (archive, _) = installation.open(&installation.two());
    let mut camera = Camera::new(&archive, "1", 1_000);
    let took = break_and_measure(&archive, &mut camera, |used| {
        let fault = |operation| match operation {
            Operation::Sync | Operation::Trial => Err(io::Error::from_raw_os_error(libc::EIO)),
            _ => Ok(()),
        };
        *volume(&archive, used).fault.lock() = Some(Arc::new(fault));
    });
    println!("a failing sync: recording on another volume after {took:?}");
    archive.close();
    let timeline = archive.timeline("1", 0, i64::MAX).unwrap();
    for gap in &timeline.gaps {
        assert_eq!(gap.cause, "disk", "{timeline:?}");
        assert!(gap.end_us - gap.start_us < 1_000_000, "{timeline:?}");
    }
}

#[test]
fn a_disk_that_hangs_holds_up_no_stream_and_no_fragment_is_lost_or_doubled() {
    let installation = Installation::new();
    let (archive, _) = installation.open(&installation.two());
    let mut camera = Camera::new(&archive, "1", 1_000);
    let hanging = Arc::new(AtomicBool::new(true));
    let took = break_and_measure(&archive, &mut camera, |used| {
        let hanging = hanging.clone();
        let fault = move |_| {
            while hanging.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        };
        *volume(&archive, used).fault.lock() = Some(Arc::new(fault));
    });
    println!("a hanging disk: recording on another volume after {took:?}");
    let (_, used) = used_and_other(&archive);
    assert_eq!(state(&archive, used), VolumeState::Failing);
    hanging.store(false, Ordering::Release);
    camera.send_until("the disk's return", || state(&archive, used) == VolumeState::Ok);
    let sent = camera.sent;
    archive.close();
    assert_eq!(installation.numbers(&["one", "two"]), (0..sent).collect::<Vec<_>>());
    let (_, report) = {
        drop((camera, archive));
        installation.open(&installation.two())
    };
    assert_eq!((report.files_repaired, report.problems), (0, vec![]));
}

#[test]
fn an_end_waits_for_a_hanging_disk_only_so_long() {
    let installation = Installation::new();
    let (archive, _) = installation.open(&installation.two());
    let mut camera = Camera::new(&archive, "1", 1_000);
    let hanging = Arc::new(AtomicBool::new(true));
    break_and_measure(&archive, &mut camera, |used| {
        let hanging = hanging.clone();
        let fault = move |_| {
            while hanging.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        };
        *volume(&archive, used).fault.lock() = Some(Arc::new(fault));
    });
    let (other, _) = used_and_other(&archive);
    let began = Instant::now();
    archive.close();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(
        archive
            .catalogue
            .find("1", "main")
            .unwrap()
            .newest()
            .unwrap()
            .state
            .read()
            .sealed
    );
    assert!(!installation.videos(other).is_empty());
    hanging.store(false, Ordering::Release);
}

#[test]
fn a_full_disk_and_one_below_its_reserve_are_left_for_another() {
    for (reserve_bytes, word) in [(0, "disk full"), (1 << 20, "reserve")] {
        let installation = Installation::new();
        std::fs::create_dir(installation.path("one")).unwrap();
        let disk = tmpfs::Mounted::new(&installation.path("one"), "3m");
        let mut volumes = installation.two();
        volumes[0].reserve_bytes = reserve_bytes;
        volumes[1].weight = 0;
        let (archive, _) = installation.open(&volumes);
        let mut camera = Camera::new(&archive, "1", 1_000);
        let took = break_and_measure(&archive, &mut camera, |used| {
            assert_eq!(used, "one", "by weight");
            tmpfs::fill(disk.path(), if reserve_bytes == 0 { usize::MAX } else { 2_500_000 });
        });
        println!("a full disk ({word}): recording on another volume after {took:?}");
        assert_eq!(state(&archive, "one"), VolumeState::Full);
        let reason = archive.volumes()[0].reason.clone().unwrap();
        assert!(reason.contains(word), "{reason}");
        std::fs::remove_file(disk.path().join("filler")).unwrap();
        camera.send_until("room", || state(&archive, "one") == VolumeState::Ok);
        let sent = camera.sent;
        archive.close();
        assert_eq!(installation.numbers(&["one", "two"]), (0..sent).collect::<Vec<_>>());
        drop((camera, archive));
    }
}

#[test]
fn with_no_other_volume_one_below_its_reserve_is_recorded_on() {
    let installation = Installation::new();
    std::fs::create_dir(installation.path("one")).unwrap();
    let _disk = tmpfs::Mounted::new(&installation.path("one"), "3m");
    let volumes = [VolumeOptions {
        reserve_bytes: 1 << 40,
        ..installation.volume("one")
    }];
    let (archive, _) = installation.open(&volumes);
    let mut camera = Camera::new(&archive, "1", 1_000);
    camera.send_until("the first pictures", || durable_end_us(&archive) > 0);
    assert_eq!(state(&archive, "one"), VolumeState::Full);
    archive.close();
}

#[test]
fn a_disk_that_turns_read_only_is_left_for_another() {
    let installation = Installation::new();
    let (archive, _) = installation.open(&installation.two());
    let mut camera = Camera::new(&archive, "1", 1_000);
    // The kernel turns no file system read-only while a file on it is being written; a new file is refused.
    camera.send_until("the first pictures", || durable_end_us(&archive) > 0);
    let (used, _) = used_and_other(&archive);
    let fault = |operation| match operation {
        Operation::Sync => Ok(()),
        _ => Err(io::Error::from_raw_os_error(libc::EROFS)),
    };
    break_and_measure(&archive, &mut camera, |_| {
        *volume(&archive, used).fault.lock() = Some(Arc::new(fault));
    });
    let status = archive.volumes().into_iter().find(|v| v.name == used).unwrap();
    assert_eq!(status.state, VolumeState::Failing);
    assert!(status.reason.unwrap().contains("read-only"));
    *volume(&archive, used).fault.lock() = None;
    camera.send_until("its return", || state(&archive, used) == VolumeState::Ok);
    archive.close();
}

#[test]
fn a_volume_that_is_unmounted_goes_and_comes_back_with_its_recordings() {
    let installation = Installation::new();
    let (one, aside) = (installation.path("one"), installation.path("aside"));
    let mut volumes = installation.two();
    volumes[1].weight = 0;
    let (archive, _) = installation.open(&volumes);
    let mut camera = Camera::new(&archive, "1", 1_000);
    let before = archive.file_changes(0).revision;
    camera.send_until("the first pictures", || durable_end_us(&archive) > 0);
    camera.send_for(Duration::from_millis(500));
    // As a mount point looks when its disk is not mounted.
    std::fs::rename(&one, &aside).unwrap();
    std::fs::create_dir(&one).unwrap();
    let began = Instant::now();
    let went_us = archive.now_us();
    camera.send_until("recording elsewhere", || durable_end_us(&archive) > went_us);
    let took = began.elapsed();
    println!("a missing volume: recording on another after {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(state(&archive, "one"), VolumeState::Missing);
    assert!(archive.volumes()[0].reason.clone().unwrap().contains("mounted"));
    let files = archive.file_changes(0).files;
    assert!(
        !files.is_empty() && files.iter().all(|f| f.volume == "two"),
        "{files:?}"
    );
    assert_eq!(archive.file_changes(before).removed.len(), 1);
    assert_eq!(
        std::fs::read_dir(&one).unwrap().count(),
        0,
        "the mount point is left alone"
    );
    std::fs::remove_dir(&one).unwrap();
    std::fs::rename(&aside, &one).unwrap();
    camera.send_until("its return", || state(&archive, "one") == VolumeState::Ok);
    let files = archive.file_changes(0).files;
    assert_eq!(files.iter().filter(|f| f.volume == "one").count(), 1, "{files:?}");
    let names: std::collections::HashSet<_> = files.iter().map(|f| &f.name).collect();
    assert_eq!(names.len(), files.len(), "no two files share a name");
    archive.close();
    drop((camera, archive));
    let (archive, report) = installation.open(&volumes);
    assert_eq!(report.problems, Vec::<String>::new());
    drop(archive);
}

#[test]
fn a_volume_that_is_missing_at_the_start_is_reported_and_the_rest_works() {
    let installation = Installation::new();
    let volumes = installation.two();
    let (archive, _) = installation.open(&volumes);
    let mut cameras = [Camera::new(&archive, "1", 1_000), Camera::new(&archive, "2", 1_000)];
    cameras.iter_mut().for_each(|c| c.send_for(Duration::from_millis(600)));
    archive.close();
    let files = archive.file_changes(0).files;
    assert_eq!(files.iter().filter(|f| f.volume == "one").count(), 1, "one file each");
    drop((cameras, archive));
    let (one, aside) = (installation.path("one"), installation.path("aside"));
    std::fs::rename(&one, &aside).unwrap();
    std::fs::create_dir(&one).unwrap();
    let (archive, report) = installation.open(&volumes);
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert!(report.problems[0].contains("volume one is missing"), "{report:?}");
    assert_eq!(archive.file_changes(0).files.len(), 1);
    let mut cameras = [Camera::new(&archive, "1", 1_000), Camera::new(&archive, "2", 1_000)];
    cameras.iter_mut().for_each(|c| c.send_for(Duration::from_millis(600)));
    archive.flush();
    assert_eq!(archive.file_changes(0).files.len(), 3);
    std::fs::remove_dir(&one).unwrap();
    std::fs::rename(&aside, &one).unwrap();
    cameras[0].send_until("its return", || state(&archive, "one") == VolumeState::Ok);
    let files = archive.file_changes(0).files;
    assert!(files.len() >= 4, "{files:?}");
    let names: std::collections::HashSet<_> = files.iter().map(|f| (&f.camera_id, &f.name)).collect();
    assert_eq!(names.len(), files.len(), "no two files share a name: {files:?}");
}

#[test]
fn another_installations_disk_is_not_touched() {
    let (ours, theirs) = (Installation::new(), Installation::new());
    drop(ours.open(&ours.two()));
    drop(theirs.open(&theirs.two()));
    std::fs::remove_dir_all(ours.path("one")).unwrap();
    std::fs::rename(theirs.path("one"), ours.path("one")).unwrap();
    let (archive, report) = ours.open(&ours.two());
    assert_eq!(state(&archive, "one"), VolumeState::Missing);
    assert!(report.problems[0].contains("another installation"), "{report:?}");
    drop(archive);
    for marker in [&b""[..], b"{}", b"\xff\xfe", b"{\"installation\":1,\"volume\":2}"] {
        std::fs::write(ours.path("one").join(".vms-volume"), marker).unwrap();
        let (archive, report) = ours.open(&ours.two());
        assert_eq!(state(&archive, "one"), VolumeState::Missing);
        assert!(report.problems[0].contains("not a marker"), "{report:?}");
        drop(archive);
    }
}

#[test]
fn two_processes_do_not_share_a_volume() {
    let installation = Installation::new();
    let (archive, _) = installation.open(&installation.two());
    let other = Installation::new();
    std::fs::create_dir_all(other.path("storage")).unwrap();
    std::fs::copy(
        installation.path("storage/.vms-volumes"),
        other.path("storage/.vms-volumes"),
    )
    .unwrap();
    let volumes = vec![installation.volume("one"), other.volume("three")];
    let opened = Archive::open_on(&other.path("storage"), volumes, options(), other.clock.clone());
    let (second, report) = opened.unwrap();
    assert!(report.problems[0].contains("in use by process"), "{report:?}");
    assert_eq!(state(&second, "one"), VolumeState::Missing);
    drop(archive);
}

#[test]
fn new_files_go_to_fast_volumes_in_proportion_to_their_weights() {
    let installation = Installation::new();
    let mut volumes = vec![
        installation.volume("slow"),
        installation.volume("small"),
        installation.volume("large"),
        installation.volume("never"),
    ];
    volumes[0].tier = VolumeTier::Slow;
    volumes[2].weight = 3;
    volumes[3].weight = 0;
    let (archive, _) = installation.open(&volumes);
    let mut cameras: Vec<_> = (0..16).map(|c| Camera::new(&archive, &c.to_string(), 200)).collect();
    for camera in &mut cameras {
        (0..20).for_each(|_| camera.send());
    }
    archive.close();
    let count = |name: &str| {
        let files = archive.file_changes(0).files;
        files.iter().filter(|f| f.volume == name).count()
    };
    assert_eq!(
        (count("slow"), count("small"), count("large"), count("never")),
        (0, 4, 12, 0)
    );
}

#[test]
fn the_slow_tier_and_then_the_unwanted_take_what_no_fast_volume_does() {
    let installation = Installation::new();
    let mut volumes = vec![
        installation.volume("fast"),
        installation.volume("slow"),
        installation.volume("never"),
    ];
    volumes[1].tier = VolumeTier::Slow;
    volumes[2].weight = 0;
    let (archive, _) = installation.open(&volumes);
    for (number, expected) in ["fast", "slow", "never"].into_iter().enumerate() {
        let mut camera = Camera::new(&archive, &number.to_string(), 200);
        (0..20).for_each(|_| camera.send());
        camera.recorder.stop();
        let files = archive.file_changes(0).files;
        let file = files.iter().find(|f| f.camera_id == number.to_string()).unwrap();
        assert_eq!(file.volume, expected);
        let fault = |_| Err(io::Error::from_raw_os_error(libc::EIO));
        *volume(&archive, expected).fault.lock() = Some(Arc::new(fault));
        volume(&archive, expected).failed(&io::Error::from_raw_os_error(libc::EIO), "a test");
    }
}

#[test]
fn recordings_made_before_volumes_were_named_stay() {
    let installation = Installation::new();
    let (archive, _) = installation.open(&[]);
    let mut camera = Camera::new(&archive, "1", 200);
    (0..20).for_each(|_| camera.send());
    archive.close();
    assert_eq!(archive.volumes()[0].name, "main");
    drop((camera, archive));
    let (archive, _) = installation.open(&installation.two());
    let files = archive.file_changes(0).files;
    assert_eq!((files.len(), files[0].volume.as_str()), (1, "main"));
    let mut camera = Camera::new(&archive, "1", 200);
    camera.began_us += 10_000_000;
    (0..20).for_each(|_| camera.send());
    archive.close();
    let files = archive.file_changes(0).files;
    assert!(files.len() == 2 && files[1].volume != "main", "{files:?}");
}

#[test]
fn volumes_that_contradict_each_other_are_refused() {
    let installation = Installation::new();
    let one = installation.volume("one");
    let with = |change: &dyn Fn(&mut VolumeOptions)| {
        let mut other = installation.volume("two");
        change(&mut other);
        other
    };
    let bad = [
        with(&|v| v.name = "one".into()),
        with(&|v| v.path = one.path.clone()),
        with(&|v| v.path = one.path.join("below")),
        with(&|v| v.path = one.path.parent().unwrap().to_owned()),
        with(&|v| v.path = installation.path("storage/cameras")),
        with(&|v| v.path = "two".into()),
        with(&|v| v.name = "Two".into()),
        with(&|v| v.name = "../two".into()),
        with(&|v| v.name = "x".repeat(33)),
    ];
    for other in bad {
        let volumes = vec![one.clone(), other.clone()];
        let storage = installation.path("storage");
        let refused = Archive::open_on(&storage, volumes, options(), installation.clock.clone()).err();
        assert_eq!(refused.unwrap().kind(), media_core::ErrorKind::Invalid, "{other:?}");
    }
}

pub(super) mod tmpfs {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};

    /// A tmpfs over a directory until it is dropped.
    pub struct Mounted(PathBuf);

    impl Mounted {
        pub fn new(path: &Path, size: &str) -> Self {
            let path_c = CString::new(path.as_os_str().as_bytes()).unwrap();
            let options = CString::new(format!("size={size}")).unwrap();
            // SAFETY: all strings end in a zero byte.
            let answer = unsafe {
                libc::mount(
                    c"tmpfs".as_ptr(),
                    path_c.as_ptr(),
                    c"tmpfs".as_ptr(),
                    0,
                    options.as_ptr().cast(),
                )
            };
            assert_eq!(answer, 0, "mounting a tmpfs needs root");
            Self(path.to_owned())
        }

        pub fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Mounted {
        fn drop(&mut self) {
            let path = CString::new(self.0.as_os_str().as_bytes()).unwrap();
            // SAFETY: the path ends in a zero byte.
            unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
        }
    }

    pub fn fill(path: &Path, most_bytes: usize) {
        use std::io::Write;
        let mut file = std::fs::File::create(path.join("filler")).unwrap();
        let mut written = 0;
        while written < most_bytes && file.write_all(&[0; 4096]).is_ok() {
            written += 4096;
        }
    }
}
