//! How fast a long archive answers: makes one of sparse video, opens it, then seeks, lists and exports.
//! `cargo run --release -p media-io --example archive_seek [cameras] [days] [dir]`

use media_io::archive::{Archive, ArchiveOptions, ExportFormat, ExportRequest, ExportState, make_sparse};
use media_io::clock::SystemClock;
use std::error::Error;
use std::time::{Duration, Instant};

const HOUR_US: i64 = 3_600_000_000;
/// 2026-11-23T00:00:00Z.
const END_US: i64 = 1_795_392_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let cameras: usize = arguments.next().map_or(Ok(1), |a| a.parse())?;
    let days: i64 = arguments.next().map_or(Ok(30), |a| a.parse())?;
    let directory = arguments
        .next()
        .map_or_else(|| std::env::temp_dir().join("archive-seek"), std::path::PathBuf::from);
    let storage = directory.join("storage");
    let start_us = END_US - days * 24 * HOUR_US;
    let began = Instant::now();
    let mut files = 0;
    for camera in 0..cameras {
        files += make_sparse(&storage, &format!("camera-{camera}"), start_us, END_US)?;
    }
    println!("made {files} hours in {:?}", began.elapsed());
    let began = Instant::now();
    let (archive, report) = Archive::open(&storage, ArchiveOptions::default(), SystemClock::new())?;
    println!("opened {} files in {:?}", report.files_checked, began.elapsed());
    let camera = |turn: i64| format!("camera-{}", turn % cameras as i64);
    measure("timeline of all of it", 20, |turn| {
        let timeline = archive.timeline(&camera(turn), start_us, END_US)?;
        Ok(timeline.ranges.len())
    })?;
    // Instants spread over everything, in no order; a multiplier without common factors visits all hours.
    let instant =
        |turn: i64| start_us + (turn * 7_919_717_171 % (days * 24 * 3_600 - 7_300)) * 1_000_000 + turn * 1_237;
    for (what, length_us) in [("10 s", 10_000_000), ("10 min", 600_000_000), ("2 h", 2 * HOUR_US)] {
        measure(&format!("first byte of {what} anywhere"), 400, |turn| {
            let at_us = instant(turn);
            let playback = archive.playback(&camera(turn), "main", at_us, at_us + length_us)?;
            Ok(playback.source.read_at(0, 64 << 10)?.len())
        })?;
    }
    measure("picture anywhere", 200, |turn| {
        Ok(archive.picture(&camera(turn), "main", instant(turn))?.units.len())
    })?;
    measure("HLS playlist of an hour", 50, |turn| {
        let at_us = instant(turn);
        Ok(archive
            .hls_playlist(&camera(turn), "main", at_us, at_us + HOUR_US)?
            .len())
    })?;
    let request = ExportRequest {
        camera_ids: vec![camera(0)],
        start_us: END_US - 2 * HOUR_US + 1_000_000,
        end_us: END_US - HOUR_US,
        format: ExportFormat::Mp4,
        directory: directory.join("exports"),
    };
    for turn in 0..2 {
        let (id, began) = (format!("hour-{turn}"), Instant::now());
        archive.export_start(&id, request.clone())?;
        let progress = loop {
            let progress = archive.export_progress(&id)?;
            if progress.state != ExportState::Running {
                break progress;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let took = began.elapsed();
        println!(
            "export of an hour: {:?}, {} bytes in {took:?}, {:.0} times real time",
            progress.state,
            progress.bytes_written,
            3_599.0 / took.as_secs_f64()
        );
    }
    archive.close();
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

/// Prints median, P95 and worst of many turns.
fn measure(what: &str, turns: i64, run: impl Fn(i64) -> media_core::Result<usize>) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::new();
    for turn in 0..turns {
        let began = Instant::now();
        let found = run(turn)?;
        times.push(began.elapsed());
        if found == 0 {
            return Err(format!("{what}: nothing at turn {turn}").into());
        }
    }
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{what}: median {:?}, P95 {:?}, worst {:?}", at(0.5), at(0.95), at(1.0));
    Ok(())
}
