#![allow(clippy::unwrap_used)]

use super::*;
use crate::archive::ArchiveOptions;
use crate::clock::SystemClock;
use crate::whep::Limits;
use bytes::Bytes;
use media_core::{AccessUnit, TrackParameters};
use std::time::{Duration, Instant};

const OFFER: &str = include_str!("whep/offers/chromium_video.sdp");

struct Site {
    cameras: Cameras,
    archive: Arc<Archive>,
    whep: Arc<Whep>,
    _directory: tempfile::TempDir,
}

fn site() -> Site {
    let directory = tempfile::tempdir().unwrap();
    let (clock, runtime) = (SystemClock::new(), Handle::current());
    let options = ArchiveOptions {
        buffered_file_ms: 3_000,
        ..ArchiveOptions::default()
    };
    let (archive, _) = Archive::open(directory.path(), options, clock.clone()).unwrap();
    let limits = Limits { max_viewers: 10 };
    let whep = Whep::start(&runtime, &["127.0.0.1:0".parse().unwrap()], limits, clock.clone()).unwrap();
    Site {
        cameras: Cameras::new(runtime, clock, archive.clone(), Some(whep.clone()), true),
        archive,
        whep,
        _directory: directory,
    }
}

/// A camera at an address where nothing listens, with these streams.
fn silent(streams: &[&str], recording: bool) -> CameraSpec {
    let mode = if recording {
        RecordingMode::Continuous
    } else {
        RecordingMode::Off
    };
    CameraSpec {
        recording: streams.iter().map(|name| ((*name).to_owned(), mode)).collect(),
        ..unrecorded(streams)
    }
}

fn unrecorded(streams: &[&str]) -> CameraSpec {
    let stream = StreamSpec {
        url: "rtsp://127.0.0.1:1/".to_owned(),
        transport: TransportSpec::Tcp,
    };
    CameraSpec {
        streams: streams
            .iter()
            .map(|name| ((*name).to_owned(), stream.clone()))
            .collect(),
        username: None,
        password: None,
        recording: BTreeMap::new(),
    }
}

/// As `silent`, each stream recorded in its own way.
fn recorded(streams: &[(&str, RecordingMode)]) -> CameraSpec {
    let names: Vec<&str> = streams.iter().map(|(name, _)| *name).collect();
    CameraSpec {
        recording: streams.iter().map(|(name, mode)| ((*name).to_owned(), *mode)).collect(),
        ..unrecorded(&names)
    }
}

/// Publishes pictures at 25 per second, a key frame a second, into a stream's hub.
fn publish(site: &Site, stream: &str, pictures: std::ops::Range<u32>) {
    let hub = site.cameras.hub("door", stream).unwrap();
    let parameters = Arc::new(parameters());
    for number in pictures {
        let at_us = 1_795_392_000_000_000 + i64::from(number) * 40_000;
        let dts = media_core::recording::fragmenter::rescale(at_us, 1_000_000, 90_000);
        hub.publish(&Arc::new(AccessUnit {
            track: 0,
            pts: dts,
            dts,
            utc_us: at_us,
            received_us: u64::from(number) * 40_000,
            key: number % 25 == 0,
            discontinuity: false,
            lost_packets: 0,
            data: Bytes::from_static(&[0, 0, 0, 2, 0x65, 0x88]),
            parameters: parameters.clone(),
        }));
    }
}

fn parameters() -> TrackParameters {
    TrackParameters {
        codec: Codec::H264,
        clock_rate: 90_000,
        configuration: Bytes::from_static(&[1, 0x42, 0xc0, 40, 0xff]),
        width: 640,
        height: 360,
        channels: 0,
        reorder_depth: 0,
        fps_milli: 0,
    }
}

/// Names, lengths in ms and pictures' ends of the files of a stream, by the archive's listing.
fn files(site: &Site, stream: &str) -> Vec<(String, i64)> {
    site.archive.flush();
    let listed = site.archive.file_changes(0).files;
    let mut files: Vec<_> = listed.into_iter().filter(|f| f.stream == stream).collect();
    files.sort_by_key(|f| f.start_us);
    files
        .into_iter()
        .map(|f| (f.name, (f.end_us - f.start_us) / 1_000))
        .collect()
}

/// Opens a viewer of a stream that has shown a picture.
fn watch(site: &Site, stream: &str) {
    let hub = site.cameras.hub("door", stream).unwrap();
    hub.publish(&Arc::new(AccessUnit {
        track: 0,
        pts: 0,
        dts: 0,
        utc_us: 0,
        received_us: 0,
        key: true,
        discontinuity: false,
        lost_packets: 0,
        data: Bytes::from_static(&[0, 0, 0, 2, 0x65, 0x88]),
        parameters: Arc::new(parameters()),
    }));
    site.whep.open(hub, OFFER).unwrap();
}

async fn viewers_become(site: &Site, count: usize) {
    let since = Instant::now();
    while site.whep.viewers() != count {
        assert!(
            since.elapsed() < Duration::from_secs(2),
            "{} viewers",
            site.whep.viewers()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_leave_with_the_stream_that_they_watch() {
    let site = site();
    site.cameras.set("door", silent(&["main", "sub"], false)).unwrap();
    watch(&site, "main");
    watch(&site, "sub");
    viewers_become(&site, 2).await;
    site.cameras.set("door", silent(&["main"], false)).unwrap();
    viewers_become(&site, 1).await;
    site.cameras.remove("door").unwrap();
    viewers_become(&site, 0).await;
    assert_eq!(site.cameras.remove("door").unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_cannot_be_made_leaves_everything_as_it_was() {
    let site = site();
    site.cameras.set("door", silent(&["main"], false)).unwrap();
    let elsewhere = site.archive.recorder("door", "main").unwrap();
    let refused = site.cameras.set("door", silent(&["main"], true)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(site.cameras.status("door").unwrap().streams.contains_key("main"));
    assert!(site.cameras.set("door", silent(&[], true)).is_err());
    elsewhere.stop();
    site.cameras.set("door", silent(&["main"], true)).unwrap();
    site.cameras.set("door", silent(&["main"], false)).unwrap();
    site.cameras.set("door", silent(&["main"], true)).unwrap();
    assert_eq!(site.cameras.statuses().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_waits_for_a_change_and_no_camera_is_added_after_it() {
    let site = Arc::new(site());
    site.cameras.set("door", silent(&["main"], false)).unwrap();
    let change_under_way = site.cameras.changes.lock();
    let closing = {
        let (site, runtime) = (site.clone(), Handle::current());
        std::thread::spawn(move || runtime.block_on(site.cameras.close()).len())
    };
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(100) {
        assert_eq!(site.cameras.statuses().len(), 1, "the change may still add to them");
        std::thread::yield_now();
    }
    drop(change_under_way);
    assert_eq!(closing.join().unwrap(), 0);
    let refused = site.cameras.set("door", silent(&["main"], false)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(site.cameras.statuses().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_recorded_each_in_its_own_way_and_a_change_loses_no_picture() {
    use RecordingMode::{Buffered, Continuous, Off};
    let site = site();
    let set = |main, sub| {
        site.cameras
            .set("door", recorded(&[("main", main), ("sub", sub)]))
            .unwrap()
    };
    set(Continuous, Buffered);
    publish(&site, "main", 0..110);
    publish(&site, "sub", 0..110);
    assert_eq!(files(&site, "main").len(), 1);
    let day = |name: &str| format!("2026-11-23/{name}");
    // One picture in the fragment under way is not durable yet.
    let starts: Vec<String> = files(&site, "sub").into_iter().map(|f| f.0).collect();
    assert_eq!(starts, [day("video_00_sub.mp4"), day("video_00_sub_2.mp4")]);
    // The main stream is buffered from the next key frame on; the other's recorder does not notice.
    set(Buffered, Buffered);
    publish(&site, "main", 110..240);
    publish(&site, "sub", 110..140);
    set(Continuous, Off);
    publish(&site, "main", 240..300);
    publish(&site, "sub", 140..200);
    set(Off, Off);
    assert_eq!(
        files(&site, "main"),
        [
            (day("video_00.mp4"), 5_000),
            (day("video_00_2.mp4"), 3_000),
            (day("video_00_3.mp4"), 2_000),
            (day("video_00_4.mp4"), 2_000),
        ],
        "no picture between them is missing"
    );
    assert_eq!(
        files(&site, "sub"),
        [(day("video_00_sub.mp4"), 3_000), (day("video_00_sub_2.mp4"), 2_600)]
    );
    // What is named in neither way is not recorded.
    site.cameras.set("door", unrecorded(&["main", "sub"])).unwrap();
    site.archive.recorder("door", "main").unwrap().stop();
}
