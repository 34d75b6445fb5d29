//! Every cause of a gap, provoked, and read back from the timeline.

use crate::disk::{SmallDisk, fill};
use crate::feed::*;
use media_core::recording::fragmenter::rescale;
use media_core::{AccessUnit, Codec, TrackParameters};
use media_io::archive::{Archive, ArchiveOptions};
use media_io::cameras::{CameraSpec, Cameras};
use media_io::clock::{ManualClock, SystemClock};
use media_io::hub::Sink;
use media_io::simulate::{Fault, Simulator, SimulatorSettings, SourceUnit};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Gaps of the first minute after `T0_US`: whole seconds after it, rounded, and causes.
fn gaps(archive: &Archive) -> Vec<(i64, i64, &'static str)> {
    archive.flush();
    let second = |us: i64| (us - T0_US + SECOND_US / 2).div_euclid(SECOND_US);
    let timeline = archive.timeline("1", T0_US, T0_US + 60 * SECOND_US).unwrap();
    timeline
        .gaps
        .iter()
        .map(|g| (second(g.start_us), second(g.end_us), g.cause))
        .collect()
}

fn push(sink: &dyn Sink, from_s: i64, seconds: u32) {
    push_video(
        sink,
        &video_parameters(b"a"),
        T0_US + from_s * SECOND_US,
        seconds * 25,
        0,
    );
}

#[test]
fn a_disk_that_fills_up_is_a_gap_by_the_disk_also_across_files() {
    let disk = SmallDisk::new("4m");
    let clock = ManualClock::at(T0_US);
    let (archive, _) = open_with(disk.path(), ArchiveOptions::default(), clock.clone());
    let recorder = archive.recorder("1", "main").unwrap();
    push(&*recorder, 0, 2);
    archive.flush();
    fill(disk.path());
    push(&*recorder, 2, 8);
    archive.flush();
    std::fs::remove_file(disk.path().join("filler")).unwrap();
    clock.advance_us(2 * SECOND_US);
    push(&*recorder, 10, 2);
    // Again, and with other parameters afterwards: the gap lies between two files.
    archive.flush();
    fill(disk.path());
    push(&*recorder, 12, 8);
    archive.flush();
    std::fs::remove_file(disk.path().join("filler")).unwrap();
    clock.advance_us(2 * SECOND_US);
    push_video(&*recorder, &video_parameters(b"b"), T0_US + 20 * SECOND_US, 50, 0);
    recorder.stop();
    let found = gaps(&archive);
    assert_eq!(
        found.iter().map(|g| g.2).collect::<Vec<_>>(),
        ["disk", "disk"],
        "{found:?}"
    );
    drop((recorder, archive));
    assert_eq!(
        gaps(&open_with(disk.path(), ArchiveOptions::default(), clock).0),
        found,
        "after the next start too"
    );
}

#[test]
fn a_queue_that_overflows_is_a_gap_by_overload() {
    let directory = tempfile::tempdir().unwrap();
    let options = ArchiveOptions {
        queue_max_bytes: 10_000,
        ..ArchiveOptions::default()
    };
    let (archive, _) = open_with(directory.path(), options, ManualClock::at(T0_US));
    let recorder = archive.recorder("1", "main").unwrap();
    let small = |from_s: i64, seconds: u32| {
        for half in 0..2 * i64::from(seconds) {
            let from_us = T0_US + from_s * SECOND_US + half * SECOND_US / 2;
            for picture in 0..13 {
                recorder.push(&unit(
                    &video_parameters(b"a"),
                    from_us + picture * 39_000,
                    picture == 0,
                    0,
                ));
            }
            archive.flush();
        }
    };
    small(0, 2);
    // Pictures so large that no fragment of them fits into the queue.
    for picture in 0..125 {
        let one = unit(
            &video_parameters(b"a"),
            T0_US + 2 * SECOND_US + picture * 40_000,
            picture == 0,
            0,
        );
        let mut data = one.data.to_vec();
        data.resize(4_004, 0x55);
        data[..4].copy_from_slice(&4_000u32.to_be_bytes());
        recorder.push(&Arc::new(AccessUnit {
            data: data.into(),
            ..(*one).clone()
        }));
    }
    small(7, 3);
    recorder.stop();
    assert!(recorder.counters().fragments_dropped > 0);
    let found = gaps(&archive);
    assert_eq!(found.iter().map(|g| g.2).collect::<Vec<_>>(), ["overload"], "{found:?}");
    assert!(found[0].0 <= 2 && found[0].1 >= 6, "{found:?}");
}

#[test]
fn recording_that_was_stopped_is_a_gap_by_stop_also_across_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(T0_US);
    let (archive, _) = open_with(directory.path(), ArchiveOptions::default(), clock.clone());
    for from_s in [0, 10] {
        let recorder = archive.recorder("1", "main").unwrap();
        push(&*recorder, from_s, 2);
        recorder.stop();
    }
    drop(archive);
    let (archive, _) = open_with(directory.path(), ArchiveOptions::default(), clock);
    let recorder = archive.recorder("1", "main").unwrap();
    push(&*recorder, 20, 2);
    assert_eq!(gaps(&archive), [(2, 10, "stop"), (12, 20, "stop")]);
    // After a kill nobody knows.
    let killed = copy_of(directory.path());
    let (archive, _) = open(killed.path());
    let recorder = archive.recorder("1", "main").unwrap();
    push(&*recorder, 30, 2);
    assert_eq!(gaps(&archive).last().unwrap().2, "unknown");
}

/// A camera of 25 pictures a second, a key frame every ten, on the port (0: a free one).
fn camera(port: u16) -> (Simulator, u16) {
    let settings = SimulatorSettings {
        port,
        start_spread_ms: 0,
        ..SimulatorSettings::default()
    };
    let simulator = Simulator::new(settings);
    let parameters = TrackParameters {
        codec: Codec::H264,
        clock_rate: 90_000,
        configuration: media_core::codec::h264::parameters(&SPS, &PPS).unwrap().configuration,
        width: 320,
        height: 180,
        channels: 0,
        reorder_depth: 0,
        fps_milli: 25_000,
    };
    let units: Vec<SourceUnit> = (0..50i64)
        .map(|picture| {
            let one = unit(
                &Arc::new(parameters.clone()),
                picture * 40_000,
                picture % 10 == 0,
                picture as u32,
            );
            SourceUnit {
                track: 0,
                pts: rescale(picture, 25, 90_000),
                dts: rescale(picture, 25, 90_000),
                key: picture % 10 == 0,
                data: one.data.clone(),
            }
        })
        .collect();
    simulator.add_source(vec![parameters], &units).unwrap();
    let port = simulator.start().unwrap();
    (simulator, port)
}

const SPS: [u8; 26] = [
    0x67, 0x64, 0x00, 0x0d, 0xac, 0xd9, 0x41, 0x51, 0x9e, 0x22, 0x6c, 0x04, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00,
    0x00, 0x0f, 0x03, 0xc5, 0x0a, 0x65, 0x80,
];
const PPS: [u8; 6] = [0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];

/// Records the camera through everything that `trouble` does; the causes of its gaps in order.
fn recorded(port: u16, trouble: impl FnOnce(&Archive, &Cameras)) -> Vec<&'static str> {
    let directory = tempfile::tempdir().unwrap();
    let clock = SystemClock::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (archive, _) = Archive::open(directory.path(), ArchiveOptions::default(), clock.clone()).unwrap();
    let cameras = Cameras::new(runtime.handle().clone(), clock, archive.clone(), None, true);
    let spec = format!(
        r#"{{"streams":{{"main":{{"url":"rtsp://127.0.0.1:{port}/cam/0","transport":"tcp"}}}},"recording":{{"main":"continuous"}}}}"#
    );
    let spec: CameraSpec = serde_json::from_str(&spec).unwrap();
    cameras.set("1", spec).unwrap();
    wait_until(|| archive.write_counters().fragments_written >= 2);
    trouble(&archive, &cameras);
    let before = archive.write_counters().fragments_written;
    wait_until(|| archive.write_counters().fragments_written >= before + 3);
    let recorders = runtime.block_on(cameras.close());
    archive.close();
    drop(recorders);
    let timeline = archive.timeline("1", 0, i64::MAX).unwrap();
    timeline.gaps.iter().map(|gap| gap.cause).collect()
}

fn wait_until(condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "waited for 20 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_online(cameras: &Cameras) -> bool {
    cameras.status("1").unwrap().main.unwrap().state == "online"
}

#[test]
fn a_camera_that_sends_nothing_is_a_gap_by_the_camera() {
    let (simulator, port) = camera(0);
    let stall = |stall_ms| {
        let fault = Fault {
            stall_ms,
            ..Fault::default()
        };
        simulator.set_fault(0, fault).unwrap();
    };
    let causes = recorded(port, |_, cameras| {
        // For a moment; then for so long that the connection is given up.
        stall(1_000);
        std::thread::sleep(Duration::from_millis(2_000));
        stall(6_000);
        wait_until(|| !is_online(cameras));
        stall(0);
        wait_until(|| is_online(cameras));
    });
    assert_eq!(causes, ["camera", "camera"]);
}

#[test]
fn a_connection_that_breaks_or_is_refused_is_a_gap_by_the_network() {
    let (simulator, port) = camera(0);
    let mut simulator = Some(simulator);
    let mut again = None;
    let causes = recorded(port, |archive, cameras| {
        let fault = Fault {
            disconnect: true,
            ..Fault::default()
        };
        simulator.as_ref().unwrap().set_fault(0, fault).unwrap();
        let before = archive.write_counters().fragments_written;
        wait_until(|| archive.write_counters().fragments_written >= before + 3);
        if let Some(simulator) = simulator.take() {
            simulator.stop();
        }
        wait_until(|| !is_online(cameras));
        let reason = || cameras.status("1").unwrap().main.unwrap().reason.unwrap_or_default();
        wait_until(|| reason().contains("cannot be reached"));
        again = Some(camera(port));
        wait_until(|| is_online(cameras));
    });
    assert_eq!(causes, ["network", "network"]);
}
