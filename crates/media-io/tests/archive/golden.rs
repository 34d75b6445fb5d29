//! The golden streams as the recorder writes them: the index record by record, and pictures that are the camera's own.
//! To accept a change on purpose: `UPDATE_GOLDEN=1 cargo test -p media-io --test archive golden`.

use crate::camera_dump::{self, STREAMS, compare, compare_seed, receive};
use crate::feed::*;
use media_core::index::{Fragment, HEADER_BYTES, Header, NO_KEY_OFFSET, RECORD_BYTES, Record};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Records what a session receives that joins at picture `from_picture`; the files.
fn recorded(directory: &Path, name: &str, from_picture: usize) -> Vec<PathBuf> {
    let (archive, _) = open(directory);
    let recorder = archive.recorder(name, "main").unwrap();
    for unit in receive(name, from_picture) {
        assert!(media_io::hub::Sink::push(&*recorder, &Arc::new(unit)));
    }
    archive.close();
    videos_of(directory, name)
}

/// The index as text, times from the file's beginning.
fn index_table(video: &Path) -> String {
    let index = std::fs::read(index_of(video)).unwrap();
    let header = Header::decode(&index).unwrap();
    let mut table = format!(
        "# {} tracks={} timescale={:?}\n# track samples key_samples media_time duration start_us bytes key_offset flags\n",
        video.file_name().unwrap().to_str().unwrap(),
        header.tracks,
        header.timescale,
    );
    let mut first_us = None;
    for (number, block) in index[HEADER_BYTES..].chunks(RECORD_BYTES).enumerate() {
        match Record::decode(block, number as u64).unwrap() {
            Record::Fragment(record) => {
                let key_offset = match record.key_offset {
                    NO_KEY_OFFSET => "-".to_owned(),
                    offset => offset.to_string(),
                };
                writeln!(
                    table,
                    "{} {} {} {} {} {} {} {key_offset} {}",
                    record.track,
                    record.samples,
                    record.key_samples,
                    record.media_time,
                    record.duration,
                    record.start_us - *first_us.get_or_insert(record.start_us),
                    record.size_bytes,
                    record.flags,
                )
                .unwrap();
            }
            Record::Gap(gap) => writeln!(table, "gap {} {:?}", gap.end_us - gap.start_us, gap.cause).unwrap(),
            Record::Seal(seal) => writeln!(
                table,
                "seal {} gaps={} samples={} keys={}",
                seal.end_us - seal.start_us,
                seal.gaps,
                seal.video_samples,
                seal.key_samples
            )
            .unwrap(),
        }
    }
    table
}

/// What ffmpeg shows of a file: times in 1/90,000 s from the first shown, and hashes; and what it complained of.
fn shown(path: &Path) -> (String, String) {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path)
        .args("-map 0:v -vsync passthrough -enc_time_base 1:90000 -f framemd5 -".split(' '))
        .output()
        .expect("ffmpeg is needed for this test: install Debian's ffmpeg");
    assert!(output.status.success());
    let mut first = None;
    let mut pictures = String::new();
    for line in String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let columns: Vec<&str> = line.split(',').map(str::trim).collect();
        let pts: i64 = columns[2].parse().unwrap();
        writeln!(pictures, "{} {}", pts - *first.get_or_insert(pts), columns[5]).unwrap();
    }
    (pictures, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn every_stream_is_recorded_as_the_golden_index_says_and_shows_the_cameras_pictures() {
    for name in STREAMS {
        let directory = tempfile::tempdir().unwrap();
        let videos = recorded(directory.path(), name, 0);
        assert_eq!(videos.len(), 1, "{name}");
        compare(&format!("{name}.index"), &index_table(&videos[0]));
        let count = ffprobe(
            &videos[0],
            &["-count_packets", "-show_entries", "stream=nb_read_packets"],
        );
        let expected = camera_dump::text(&format!("{name}.pictures"));
        assert_eq!(count.trim(), expected.lines().count().to_string(), "{name}: samples");
        compare_seeds(name, &videos[0]);
        let (pictures, complaints) = shown(&videos[0]);
        assert_eq!(complaints, "", "{name}");
        assert_eq!(pictures, expected, "{name}");
    }
}

#[test]
fn a_recording_that_joins_in_mid_stream_begins_at_the_entry_and_shows_whole_pictures() {
    for name in ["open_gop_h264", "open_gop_h265", "intra_refresh"] {
        let directory = tempfile::tempdir().unwrap();
        let videos = recorded(directory.path(), name, 7);
        assert_eq!(videos.len(), 1, "{name}");
        compare(&format!("{name}.joined.index"), &index_table(&videos[0]));
        let (pictures, complaints) = shown(&videos[0]);
        // Leading pictures of the H.264 entry refer to what came before the session: FFmpeg says so and leaves them out.
        assert!(complaints.is_empty() || name == "open_gop_h264", "{name}: {complaints}");
        let source = camera_dump::text(&format!("{name}.pictures"));
        let (source, shown) = (hashes(&source), hashes(&pictures));
        // From picture 20 on; six pictures later where the picture is refreshed column by column.
        let expected = if name == "intra_refresh" { 74 } else { 80 };
        assert_eq!(shown.len(), expected, "{name}");
        assert!(
            source.ends_with(&shown),
            "{name}: every picture shown is the camera's own"
        );
    }
}

/// What fuzzing starts from: the index, the file's beginning, and the fragment after the first.
fn compare_seeds(name: &str, video: &Path) {
    let index = std::fs::read(index_of(video)).unwrap();
    compare_seed("index_reader", name, &index);
    let file = std::fs::read(video).unwrap();
    let records: Vec<Fragment> = index[HEADER_BYTES..]
        .chunks(RECORD_BYTES)
        .filter_map(|block| match Record::decode(block, 0) {
            Ok(Record::Fragment(fragment)) => Some(fragment),
            _ => None,
        })
        .collect();
    let second = &records[1];
    let begin = second.offset as usize;
    compare_seed(
        "fmp4_reader",
        &format!("{name}.init"),
        &file[..records[0].offset as usize],
    );
    compare_seed(
        "fmp4_reader",
        &format!("{name}.fragment"),
        &file[begin..begin + second.size_bytes as usize],
    );
}

fn hashes(pictures: &str) -> Vec<&str> {
    pictures.lines().filter_map(|line| line.split(' ').nth(1)).collect()
}
