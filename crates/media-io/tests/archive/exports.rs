use crate::feed::*;
use crate::playback::{numbers, read_all};
use aws_lc_rs::digest::{SHA256, digest};
use media_core::ErrorKind;
use media_io::archive::{Archive, ExportFormat, ExportProgress, ExportRequest, ExportState};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn request(cameras: &[&str], format: ExportFormat, directory: &Path) -> ExportRequest {
    ExportRequest {
        camera_ids: cameras.iter().map(|c| (*c).into()).collect(),
        start_us: T0_US + SECOND_US,
        end_us: T0_US + 7 * SECOND_US,
        format,
        directory: directory.join("exports"),
    }
}

fn finished(archive: &Archive, id: &str) -> ExportProgress {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let progress = archive.export_progress(id).unwrap();
        if progress.state != ExportState::Running {
            return progress;
        }
        assert!(Instant::now() < end && (0.0..=1.0).contains(&progress.progress));
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes)
        .as_ref()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn files_in(directory: &Path) -> Vec<String> {
    let Ok(read) = std::fs::read_dir(directory.join("exports")) else {
        return Vec::new();
    };
    let mut names: Vec<_> = read.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn one_camera_becomes_one_mp4() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    push_clip(&*archive.recorder("1", "main").unwrap(), T0_US, 10);
    archive.flush();
    archive
        .export_start("e1", request(&["1"], ExportFormat::Mp4, directory.path()))
        .unwrap();
    let done = finished(&archive, "e1");
    assert_eq!(
        (done.state, done.progress, done.error.as_deref()),
        (ExportState::Done, 1.0, None)
    );
    let path = done.path.unwrap();
    assert!(path.ends_with("exports/e1.mp4"));
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(done.sha256.as_deref(), Some(&sha256(&bytes)[..]));
    assert_eq!(
        (done.bytes_written, done.files[0].size_bytes),
        (bytes.len() as u64, bytes.len() as u64)
    );
    let played = archive
        .playback("1", "main", T0_US + SECOND_US, T0_US + 7 * SECOND_US)
        .unwrap();
    assert_eq!(bytes, read_all(&*played.source), "an export is what playback shows");
    assert_eq!(decode(&path), 180);
    assert_eq!(files_in(directory.path()), ["e1.mp4"]);
    let again = archive.export_start("e1", request(&["1"], ExportFormat::Mp4, directory.path()));
    assert_eq!(again.err().unwrap().kind(), ErrorKind::Conflict);
}

#[test]
fn several_cameras_and_parameter_changes_become_a_zip_with_a_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let (main, sub) = (
        archive.recorder("1", "main").unwrap(),
        archive.recorder("2", "sub").unwrap(),
    );
    push_video(&*main, &video_parameters(b"a"), T0_US, 100, 0);
    push_video(&*main, &video_parameters(b"b"), T0_US + 4 * SECOND_US, 100, 100);
    push_video(&*sub, &video_parameters(b"a"), T0_US, 200, 500);
    archive.flush();
    archive
        .export_start("e2", request(&["1", "2", "3"], ExportFormat::Mp4, directory.path()))
        .unwrap();
    let done = finished(&archive, "e2");
    assert_eq!(done.state, ExportState::Done, "{:?}", done.error);
    let path = done.path.unwrap();
    assert_eq!(
        done.sha256.as_deref(),
        Some(&sha256(&std::fs::read(&path).unwrap())[..])
    );
    let unpacked = directory.path().join("unpacked");
    let script =
        "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\nz.extractall(sys.argv[2])";
    assert!(
        Command::new("python3")
            .args(["-c", script])
            .arg(&path)
            .arg(&unpacked)
            .status()
            .unwrap()
            .success()
    );
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(unpacked.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["nothing_recorded"], serde_json::json!(["3"]));
    let expected = [
        ("1/1_main_20261123T100001Z_1.mp4", 25..100),
        ("1/1_main_20261123T100004Z_2.mp4", 100..175),
        ("2/2_sub_20261123T100001Z_1.mp4", 525..675),
    ];
    for (number, (name, pictures)) in expected.into_iter().enumerate() {
        let bytes = std::fs::read(unpacked.join(name)).unwrap();
        let listed = &manifest["files"][number];
        assert_eq!(
            (listed["name"].as_str(), listed["sha256"].as_str()),
            (Some(name), Some(&sha256(&bytes)[..]))
        );
        assert_eq!(done.files[number].sha256, sha256(&bytes));
        assert_eq!(numbers(&bytes), pictures.collect::<Vec<u32>>());
    }
    assert_eq!(manifest["files"][1]["start"], "2026-11-23T10:00:04.000000Z");
    assert_eq!(files_in(directory.path()), ["e2.zip"]);
}

#[test]
fn a_cancelled_export_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    push_clip(&*archive.recorder("1", "main").unwrap(), T0_US, 10);
    archive.flush();
    // Cancelled before it has its turn: the first is still at it, or it is cancelled at its first look.
    for id in ["a", "b", "c"] {
        archive
            .export_start(id, request(&["1"], ExportFormat::Zip, directory.path()))
            .unwrap();
        archive.export_cancel(id).unwrap();
    }
    let states: Vec<_> = ["a", "b", "c"].iter().map(|id| finished(&archive, id).state).collect();
    let done = states.iter().filter(|s| **s == ExportState::Done).count();
    assert_eq!(
        files_in(directory.path()).len(),
        done,
        "only what was done before the cancel is there"
    );
    assert!(states.contains(&ExportState::Cancelled));
}

#[test]
fn an_export_that_cannot_be_written_fails_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    push_clip(&*archive.recorder("1", "main").unwrap(), T0_US, 10);
    archive.flush();
    let mut to_nowhere = request(&["1"], ExportFormat::Mp4, directory.path());
    std::fs::write(directory.path().join("a file"), b"").unwrap();
    to_nowhere.directory = directory.path().join("a file");
    archive.export_start("e", to_nowhere).unwrap();
    let failed = finished(&archive, "e");
    assert_eq!(failed.state, ExportState::Failed);
    assert!(failed.error.unwrap().contains("a file"));
}

#[test]
fn a_full_disk_ends_an_export_and_leaves_no_part_of_it() {
    let disk = crate::disk::SmallDisk::new("100k");
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    push_clip(&*archive.recorder("1", "main").unwrap(), T0_US, 10);
    archive.flush();
    let mut wanted = request(&["1"], ExportFormat::Mp4, directory.path());
    wanted.directory = disk.path().join("exports");
    archive.export_start("e", wanted).unwrap();
    let failed = finished(&archive, "e");
    assert_eq!(failed.state, ExportState::Failed);
    assert!(failed.error.unwrap().contains("disk full"));
    assert!(files_in(disk.path()).is_empty());
}

#[test]
fn exports_that_make_no_sense_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    push_clip(&*archive.recorder("1", "main").unwrap(), T0_US, 2);
    archive.flush();
    let refused = |archive: &Arc<Archive>, id: &str, change: &dyn Fn(&mut ExportRequest)| {
        let mut request = request(&["1"], ExportFormat::Mp4, directory.path());
        change(&mut request);
        archive.export_start(id, request).err().unwrap().kind()
    };
    assert_eq!(
        refused(&archive, "e", &|r| r.camera_ids = vec!["2".into()]),
        ErrorKind::NotFound
    );
    assert_eq!(refused(&archive, "e", &|r| r.camera_ids = vec![]), ErrorKind::Invalid);
    assert_eq!(
        refused(&archive, "e", &|r| r.camera_ids = vec!["../1".into()]),
        ErrorKind::Invalid
    );
    assert_eq!(refused(&archive, "e", &|r| r.end_us = r.start_us), ErrorKind::Invalid);
    assert_eq!(refused(&archive, "../e", &|_| ()), ErrorKind::Invalid);
    assert_eq!(archive.export_progress("e").err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(archive.export_cancel("e").err().unwrap().kind(), ErrorKind::NotFound);
}
