//! A process that records in real time and is killed: what its sender counted is compared with what the files hold.

use crate::feed::*;
use media_io::archive::{Archive, ArchiveOptions};
use media_io::clock::{Clock, SystemClock};
use media_io::hub::Sink;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CAMERAS: usize = 4;
const DIRECTORY: &str = "VMS_TEST_KILLED_DIRECTORY";

/// Not a test: what the test below starts and kills. Says each picture's number when it has been pushed.
#[test]
#[ignore = "runs only as the other test's child"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let clock = SystemClock::new();
    let storage = Path::new(&directory).join("storage");
    let (archive, _) = Archive::open(&storage, ArchiveOptions::default(), clock.clone()).unwrap();
    let recorders: Vec<_> = (0..CAMERAS)
        .map(|c| archive.recorder(&c.to_string(), "main").unwrap())
        .collect();
    let parameters = video_parameters(b"a");
    let (began, utc_us) = (Instant::now(), clock.utc_us());
    for number in 0..u32::MAX {
        let at_us = i64::from(number) * 1_000_000 / 30;
        if let Some(wait) = Duration::from_micros(at_us as u64).checked_sub(began.elapsed()) {
            std::thread::sleep(wait);
        }
        for recorder in &recorders {
            recorder.push(&unit(&parameters, utc_us + at_us, number % 60 == 0, number));
        }
        // Straight to the pipe: the test harness would hold it back.
        std::io::stderr()
            .write_all(format!("pushed {number}\n").as_bytes())
            .unwrap();
    }
}

#[test]
fn a_kill_loses_at_most_the_fragment_in_flight() {
    let mut lost = Vec::new();
    for turn in 0..4 {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "killed::child", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let kill_at = 45 + turn * 11;
        let mut last = 0;
        while last < kill_at {
            let line = lines.next().expect("the child ended by itself").unwrap();
            last = line
                .strip_prefix("pushed ")
                .and_then(|n| n.parse().ok())
                .unwrap_or(last);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            last = line
                .strip_prefix("pushed ")
                .and_then(|n| n.parse().ok())
                .unwrap_or(last);
        }
        let (archive, report) = open(directory.path());
        assert_eq!(
            (report.files_checked, report.problems.len()),
            (CAMERAS as u64, 0),
            "{report:?}"
        );
        drop(archive);
        for camera in 0..CAMERAS {
            let numbers: Vec<u32> = videos_of(directory.path(), &camera.to_string())
                .iter()
                .flat_map(|p| numbers_in(p))
                .collect();
            assert!(
                numbers.iter().copied().eq(0..numbers.len() as u32),
                "no hole before the end"
            );
            lost.push(f64::from(last + 1 - numbers.len() as u32) / 30.0);
        }
    }
    lost.sort_by(f64::total_cmp);
    println!(
        "lost after a kill: median {:.2} s, worst {:.2} s",
        lost[lost.len() / 2],
        lost[lost.len() - 1]
    );
    // 16 pictures are in flight at most: the fragment's 15 and the one that ends it. On a machine at its limit the
    // writer may be a moment behind.
    assert!(lost[lost.len() - 1] <= 0.6, "{lost:?}");
}
