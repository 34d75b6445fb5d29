//! Where a recording goes when volumes refuse it, and what has to last: not round in circles, to the last one that has
//! room, and under names that a power cut does not take.

use super::catalogue::{Catalogue, StreamName};
use super::disk::SYNCED;
use super::open_file::{NewFile, OpenFile};
use super::volumes::{Operation, VolumeState};
use super::volumes_tests::{Camera, Installation, volume};
use media_core::index::GapCause;
use media_core::recording::file_name::FileSlot;
use media_core::recording::fragmenter::{Fragmenter, FragmenterOptions, Step};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn a_stream_that_every_volume_refuses_is_not_handed_round_in_circles() {
    let installation = Installation::new();
    let (archive, _) = installation.open(&installation.two());
    let attempts = Arc::new(AtomicUsize::new(0));
    let refusing = Arc::new(AtomicBool::new(true));
    for name in ["one", "two"] {
        let (attempts, refusing) = (attempts.clone(), refusing.clone());
        // What says nothing of the volume: too many open files, a directory that may not be entered.
        *volume(&archive, name).fault.lock() = Some(Arc::new(move |operation| match operation {
            Operation::Create if refusing.load(Ordering::Relaxed) => {
                attempts.fetch_add(1, Ordering::Relaxed);
                Err(io::Error::from_raw_os_error(libc::EMFILE))
            }
            _ => Ok(()),
        }));
    }
    let mut camera = Camera::new(&archive, "1", 1_000);
    camera.send_for(Duration::from_millis(1_500));
    let made = attempts.load(Ordering::Relaxed);
    assert!((2..20).contains(&made), "{made} attempts in 1.5 s");
    let waiting = archive.write_counters().queued_bytes;
    assert!(
        waiting < 10_000,
        "{waiting} bytes pile up for one stream, in the queue of all"
    );
    refusing.store(false, Ordering::Relaxed);
    camera.send_until("recording again", || !installation.numbers(&["one", "two"]).is_empty());
    archive.close();
}

#[test]
fn a_volume_below_its_reserve_is_recorded_on_while_the_other_fails() {
    let installation = Installation::new();
    let mut volumes = installation.two();
    volumes[1].reserve_bytes = 1 << 60;
    let (archive, _) = installation.open(&volumes);
    let mut camera = Camera::new(&archive, "1", 1_000);
    camera.send_until("the first pictures", || !installation.numbers(&["one"]).is_empty());
    let states = || -> Vec<VolumeState> { archive.volumes().iter().map(|v| v.state).collect() };
    assert_eq!(states(), [VolumeState::Ok, VolumeState::Full]);
    let fault = |_| Err(io::Error::from_raw_os_error(libc::EIO));
    *volume(&archive, "one").fault.lock() = Some(Arc::new(fault));
    camera.send_until("recording on the other", || !installation.numbers(&["two"]).is_empty());
    assert_eq!(states(), [VolumeState::Failing, VolumeState::Full]);
    camera.send_for(Duration::from_millis(800));
    let files = installation.videos("two").len();
    assert_eq!(files, 1, "one file, not one per fragment");
    let sent = camera.sent;
    *volume(&archive, "one").fault.lock() = None;
    archive.close();
    let lost = sent as usize - installation.numbers(&["one", "two"]).len();
    assert!(lost < 25, "{lost} pictures lost");
}

#[test]
fn a_volume_below_its_reserve_is_recorded_on_while_the_other_hangs() {
    let installation = Installation::new();
    let mut volumes = installation.two();
    volumes[1].reserve_bytes = 1 << 60;
    let (archive, _) = installation.open(&volumes);
    let mut camera = Camera::new(&archive, "1", 1_000);
    camera.send_until("the first pictures", || !installation.numbers(&["one"]).is_empty());
    let hanging = Arc::new(AtomicBool::new(true));
    let hung = hanging.clone();
    *volume(&archive, "one").fault.lock() = Some(Arc::new(move |_| {
        while hung.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }));
    let other = installation.path("two").join("cameras/1");
    camera.send_until("recording on the other", || other.exists());
    camera.send_for(Duration::from_millis(500));
    hanging.store(false, Ordering::Relaxed);
    archive.close();
    assert!(!installation.numbers(&["two"]).is_empty());
}

#[test]
fn a_file_that_is_left_for_repair_stays_so_whatever_comes() {
    let installation = Installation::new();
    let (archive, _) = installation.open(&installation.two());
    let volume = volume(&archive, "one");
    let mut fragmenter = Fragmenter::new(FragmenterOptions::default(), |_| true);
    let mut steps = Vec::new();
    let camera = Camera::new(&archive, "1", 1_000);
    for number in 0..50 {
        fragmenter.push(&camera.unit(number), &mut steps);
    }
    let fragment = steps.iter().find_map(|step| match step {
        Step::Fragment(fragment) => Some(fragment),
        _ => None,
    });
    let fragment = fragment.unwrap();
    let new = NewFile {
        start_us: fragment.start_us(),
        origin_90k: fragment.first_dts(),
        tracks: &[fragment.units[0].parameters.clone()],
        leading_gap: None,
        checksum: true,
    };
    let stream = Catalogue::new(0).stream(&StreamName::new("2", "main"));
    let file = OpenFile::create(&stream, volume, &new).unwrap();
    let append = || file.append(fragment, GapCause::Unknown, false, &|| true);
    assert!(append().unwrap().is_some());
    *volume.fault.lock() = Some(Arc::new(|_| Err(io::Error::from_raw_os_error(libc::EIO))));
    // What a sync that fails loses of the file is lost, also when a write that fails can be cut off again.
    file.sync(0, true).unwrap_err();
    assert!(file.is_damaged());
    append().unwrap_err();
    assert!(file.is_damaged());
    assert!(file.append(fragment, GapCause::Unknown, false, &|| false).is_err());
    assert!(file.is_damaged());
}

#[test]
fn the_names_above_a_file_last_whoever_made_the_directories() {
    let installation = Installation::new();
    let (archive, _) = installation.open(&installation.two()[..1]);
    let cameras = installation.path("one").join("cameras");
    let mut camera = Camera::new(&archive, "1", 1_000);
    let slot = FileSlot::of(archive.now_us());
    // As thumbnails and events do, which lie beside the recordings.
    std::fs::create_dir_all(cameras.join("1").join(slot.directory())).unwrap();
    camera.send_until("a file", || !installation.numbers(&["one"]).is_empty());
    archive.close();
    let synced = SYNCED.lock();
    for directory in [installation.path("one"), cameras.clone(), cameras.join("1")] {
        assert!(synced.contains(&directory), "{}", directory.display());
    }
}

#[test]
fn files_that_are_closed_all_at_once_hold_up_no_picture() {
    let installation = Installation::new();
    let (archive, _) = installation.open(&installation.two()[..1]);
    let mut camera = Camera::new(&archive, "1", 1_000);
    let others: Vec<Camera> = (2..10)
        .map(|id| {
            let mut other = Camera::new(&archive, &id.to_string(), 1_000);
            (0..50).for_each(|_| other.send());
            other
        })
        .collect();
    camera.send_for(Duration::from_millis(600));
    *volume(&archive, "one").fault.lock() = Some(Arc::new(|operation| {
        if operation == Operation::Seal {
            std::thread::sleep(Duration::from_millis(300));
        }
        Ok(())
    }));
    others.iter().for_each(|other| assert!(other.recorder.finish()));
    let mut greatest_us = 0;
    for _ in 0..20 {
        camera.send_for(Duration::from_millis(100));
        let newest = archive.catalogue.find("1", "main").and_then(|s| s.newest());
        greatest_us = greatest_us.max(archive.now_us() - newest.unwrap().end_us());
    }
    assert!(greatest_us < 1_300_000, "{greatest_us} us were not durable");
    archive.close();
    let files = archive.file_changes(0).files;
    assert!(
        files.len() == 9 && files.iter().all(|file| file.sealed),
        "an end waits for all"
    );
}
