//! Indexes made anew from their videos.

use crate::feed::*;
use media_core::ErrorKind;
use media_core::index::{HEADER_BYTES, RECORD_BYTES};
use media_io::archive::Archive;
use std::path::Path;

const FIRST: &str = "2026-11-23/video_10.mp4";

/// Four seconds, a gap by the network, four seconds, all with sound; then a file of its own a minute later.
fn recorded(directory: &Path) -> std::sync::Arc<Archive> {
    let (archive, _) = open(directory);
    let recorder = archive.recorder("1", "main").unwrap();
    push_clip(&*recorder, T0_US, 4);
    media_io::hub::Sink::interrupt(&*recorder, media_core::index::GapCause::Network);
    push_clip(&*recorder, T0_US + 10 * SECOND_US, 4);
    recorder.stop();
    archive
}

fn played(archive: &Archive) -> Vec<u8> {
    let playback = archive.playback("1", "main", T0_US, T0_US + 60 * SECOND_US).unwrap();
    crate::playback::read_all(&*playback.source)
}

#[test]
fn a_good_index_stays_and_a_ruined_one_is_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let archive = recorded(directory.path());
    let index_path = index_of(&videos_of(directory.path(), "1")[0]);
    let (index, movie) = (std::fs::read(&index_path).unwrap(), played(&archive));
    let records = (index.len() / RECORD_BYTES - 1) as u64;
    let timeline = archive.timeline("1", 0, i64::MAX).unwrap();
    assert_eq!(timeline.gaps[0].cause, "network");
    let report = archive.rebuild_index("1", FIRST).unwrap();
    assert_eq!((report.records, report.records_rebuilt), (records, 0));
    assert_eq!(std::fs::read(&index_path).unwrap(), index);
    let before = archive.file_changes(0);
    // Bits that flipped on the disk after the start, in a record in the middle.
    let mut ruined = index.clone();
    ruined[HEADER_BYTES + 5 * RECORD_BYTES + 20] ^= 0xff;
    std::fs::write(&index_path, &ruined).unwrap();
    let report = archive.rebuild_index("1", FIRST).unwrap();
    assert_eq!((report.records, report.records_rebuilt), (records, 1));
    assert_eq!(
        std::fs::read(&index_path).unwrap(),
        index,
        "gaps keep their causes, sound its place"
    );
    assert_eq!(
        (played(&archive), archive.timeline("1", 0, i64::MAX).unwrap()),
        (movie.clone(), timeline.clone())
    );
    assert_eq!(archive.file_changes(before.revision).files.len(), 1);
    // Lost altogether: times come from the file's own clock.
    std::fs::remove_file(&index_path).unwrap();
    let report = archive.rebuild_index("1", FIRST).unwrap();
    assert_eq!((report.records, report.records_rebuilt), (records, records));
    assert_eq!(played(&archive), movie);
    assert_eq!(archive.timeline("1", 0, i64::MAX).unwrap().ranges, timeline.ranges);
    let entries: Vec<_> = std::fs::read_dir(index_path.parent().unwrap()).unwrap().collect();
    assert_eq!(entries.len(), 3, "nothing is left beside it");
    drop(archive);
    assert_eq!(open(directory.path()).1.files_repaired, 0);
}

#[test]
fn what_cannot_be_rebuilt_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let archive = recorded(directory.path());
    let video = videos_of(directory.path(), "1").remove(0);
    let (index, bytes) = (std::fs::read(index_of(&video)).unwrap(), std::fs::read(&video).unwrap());
    for (name, kind) in [
        ("2026-11-23/video_11.mp4", ErrorKind::NotFound),
        ("../x", ErrorKind::NotFound),
    ] {
        assert_eq!(archive.rebuild_index("1", name).unwrap_err().kind(), kind);
    }
    std::fs::write(&video, &bytes[..bytes.len() - 100]).unwrap();
    assert_eq!(
        archive.rebuild_index("1", FIRST).unwrap_err().kind(),
        ErrorKind::Malformed
    );
    std::fs::write(&video, &bytes).unwrap();
    assert_eq!(std::fs::read(index_of(&video)).unwrap(), index);
    let recorder = archive.recorder("1", "main").unwrap();
    push_video(&*recorder, &video_parameters(b"a"), T0_US + 60 * SECOND_US, 50, 0);
    archive.flush();
    let open = archive.rebuild_index("1", "2026-11-23/video_10_2.mp4").unwrap_err();
    assert_eq!(open.kind(), ErrorKind::Conflict);
    archive.rebuild_index("1", FIRST).unwrap();
    push_video(&*recorder, &video_parameters(b"a"), T0_US + 62 * SECOND_US, 50, 50);
    archive.close();
    assert_eq!(
        numbers_in(&videos_of(directory.path(), "1")[1]),
        (0..100).collect::<Vec<_>>(),
        "recording goes on meanwhile"
    );
}
