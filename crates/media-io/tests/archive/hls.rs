use crate::feed::*;
use crate::playback::read_all;
use media_core::ErrorKind;
use media_io::archive::Archive;
use media_io::hub::Sink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HOUR_US: i64 = 3_600 * SECOND_US;
const UNBOUNDED_US: (i64, i64) = (i64::MIN, i64::MAX);

/// Puts a playlist and everything it names into a directory, as a player would load them; the playlist's path.
fn loaded(archive: &Archive, directory: &Path, start_us: i64, end_us: i64) -> PathBuf {
    let text = archive.hls_playlist("1", "main", start_us, end_us).unwrap();
    for line in text.lines() {
        if let Some(uri) = line.strip_prefix("#EXT-X-MAP:URI=\"").and_then(|l| l.strip_suffix('"')) {
            let name = uri.strip_prefix("init-").unwrap().strip_suffix(".mp4").unwrap();
            let source = archive.hls_init("1", "main", name).unwrap();
            std::fs::write(directory.join(uri), read_all(&*source)).unwrap();
        } else if !line.starts_with('#') {
            let name = line.strip_prefix("segment-").unwrap().strip_suffix(".m4s").unwrap();
            assert!(name.len() <= 128);
            let segment = archive.hls_segment("1", "main", name, (start_us, end_us)).unwrap();
            std::fs::write(directory.join(line), read_all(&*segment)).unwrap();
            let again = archive.hls_segment("1", "main", name, UNBOUNDED_US).unwrap();
            assert_eq!(again.etag(), segment.etag());
        }
    }
    let path = directory.join("index.m3u8");
    std::fs::write(&path, text).unwrap();
    path
}

fn recorded(from_us: i64, seconds: i64) -> (tempfile::TempDir, Arc<Archive>) {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    push_clip(&*recorder, from_us, seconds);
    archive.close();
    (directory, archive)
}

/// Durations of the segments, and how many discontinuities there are.
fn shape(playlist: &Path) -> (Vec<f64>, usize) {
    let text = std::fs::read_to_string(playlist).unwrap();
    let durations = text
        .lines()
        .filter_map(|l| l.strip_prefix("#EXTINF:")?.strip_suffix(',')?.parse().ok())
        .collect();
    (durations, text.matches("#EXT-X-DISCONTINUITY\n").count())
}

#[test]
fn segments_begin_with_key_frames_and_lose_nothing() {
    let (directory, archive) = recorded(T0_US, 20);
    let playlist = loaded(&archive, directory.path(), T0_US, T0_US + 20 * SECOND_US);
    let (durations, discontinuities) = shape(&playlist);
    // A GOP lasts 2 s, and 4 s are enough for a segment.
    assert_eq!(durations.len(), 5, "{durations:?}");
    assert!(durations.iter().all(|d| (3.9..4.1).contains(d)), "{durations:?}");
    assert_eq!(discontinuities, 0);
    assert_eq!(decode(&playlist), 600);
    for line in std::fs::read_to_string(&playlist)
        .unwrap()
        .lines()
        .filter(|l| l.starts_with("segment"))
    {
        let init = std::fs::read_dir(directory.path()).unwrap().find_map(|e| {
            let path = e.unwrap().path();
            path.file_name()?.to_str()?.starts_with("init").then_some(path)
        });
        // As Media Source Extensions get it: the initialization segment and any one segment.
        let mut bytes = std::fs::read(init.unwrap()).unwrap();
        bytes.extend_from_slice(&std::fs::read(directory.path().join(line)).unwrap());
        let path = directory.path().join("alone.mp4");
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(decode(&path), 120);
        let audio = ffprobe(&path, &["-select_streams", "a", "-show_entries", "packet=pts_time"]);
        assert!(
            (160..=215).contains(&audio.lines().count()),
            "{}",
            audio.lines().count()
        );
    }
}

#[test]
fn a_playlist_begins_with_the_key_frame_before_and_says_where_to_go_in() {
    let (directory, archive) = recorded(T0_US, 20);
    let playlist = loaded(&archive, directory.path(), T0_US + 5_000_000, T0_US + 11 * SECOND_US);
    let text = std::fs::read_to_string(&playlist).unwrap();
    let offset = text
        .lines()
        .find_map(|l| l.strip_prefix("#EXT-X-START:TIME-OFFSET="))
        .unwrap();
    let offset: f64 = offset.strip_suffix(",PRECISE=YES").unwrap().parse().unwrap();
    assert!((offset - 1.0).abs() < 0.05, "from the key frame at 4 s: {offset}");
    assert!(text.contains("#EXT-X-PROGRAM-DATE-TIME:2026-11-23T10:00:0"));
    let shown = decode(&playlist);
    assert!(
        (210..=226).contains(&shown),
        "7 s from 4 s on, to the end of the fragment at 11 s: {shown}"
    );
}

#[test]
fn an_hour_turns_within_a_segment() {
    let (directory, archive) = recorded(T0_US + HOUR_US - 7 * SECOND_US, 20);
    assert_eq!(videos_of(directory.path(), "1").len(), 2);
    let playlist = loaded(&archive, directory.path(), T0_US, T0_US + 2 * HOUR_US);
    let (durations, discontinuities) = shape(&playlist);
    assert_eq!(discontinuities, 0);
    assert!(durations.iter().all(|d| (3.9..4.1).contains(d)), "{durations:?}");
    let text = std::fs::read_to_string(&playlist).unwrap();
    assert_eq!(text.matches("#EXT-X-MAP").count(), 1);
    assert!(
        text.lines().any(|l| l.starts_with("segment") && l.contains('_')),
        "one reaches over both files"
    );
    assert_eq!(decode(&playlist), 600);
    let packets = ffprobe(&playlist, &["-select_streams", "v", "-show_entries", "packet=dts_time"]);
    let times: Vec<f64> = packets
        .lines()
        .filter_map(|l| l.split(',').next()?.parse().ok())
        .collect();
    assert!(
        times.windows(2).all(|w| (w[1] - w[0] - 1.0 / 30.0).abs() < 0.001),
        "decoding times run on"
    );
}

#[test]
fn gaps_and_other_parameters_are_discontinuities() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    push_clip(&*recorder, T0_US, 6);
    recorder.interrupt(media_core::index::GapCause::Network);
    push_clip(&*recorder, T0_US + 20 * SECOND_US, 6);
    push_video(&*recorder, &video_parameters(b"other"), T0_US + 26 * SECOND_US, 50, 0);
    archive.close();
    let text = archive
        .hls_playlist("1", "main", T0_US, T0_US + 60 * SECOND_US)
        .unwrap();
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 2);
    assert_eq!(text.matches("#EXT-X-MAP").count(), 2);
    let times: Vec<&str> = text
        .lines()
        .filter_map(|l| l.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:2026-11-23T10:00:"))
        .collect();
    assert_eq!(times.iter().map(|t| &t[..2]).collect::<Vec<_>>(), ["00", "20", "26"]);
    let gapless = directory.path().join("gapless");
    std::fs::create_dir(&gapless).unwrap();
    assert_eq!(
        decode(&loaded(&archive, &gapless, T0_US, T0_US + 26 * SECOND_US - 1)),
        360
    );
}

#[test]
fn names_that_mean_nothing_are_not_found() {
    let (_directory, archive) = recorded(T0_US, 4);
    let text = archive.hls_playlist("1", "main", T0_US, T0_US + 4 * SECOND_US).unwrap();
    let name = text
        .lines()
        .find_map(|l| l.strip_prefix("segment-"))
        .unwrap()
        .strip_suffix(".m4s")
        .unwrap();
    let hour = name.split('-').next().unwrap();
    let missing = [
        "x",
        "",
        "1-1",
        "1-1-1s-2s-0",
        &format!("{hour}-2-1s-2s-0"),
        &format!("{hour}-1-900s-901s-0"),
        &format!("{hour}-1-2s-3s-0"),
        &format!("{name}_{hour}-9-1s-2s-0"),
    ];
    for name in missing {
        let found = archive
            .hls_segment("1", "main", name, UNBOUNDED_US)
            .err()
            .map(|e| e.kind());
        assert!(
            found == Some(ErrorKind::NotFound) || name.ends_with("-1-2s-3s-0"),
            "{name}: {found:?}"
        );
        assert_eq!(
            archive.hls_init("1", "main", name).err().map(|e| e.kind()),
            Some(ErrorKind::NotFound),
            "{name}"
        );
    }
    archive.hls_init("1", "main", &format!("{hour}-1")).unwrap();
    let empty = archive
        .hls_playlist("1", "main", T0_US + HOUR_US, T0_US + 2 * HOUR_US)
        .err()
        .unwrap();
    assert_eq!(empty.kind(), ErrorKind::NotFound);
    assert_eq!(
        archive.hls_playlist("1", "main", 5, 5).err().unwrap().kind(),
        ErrorKind::Invalid
    );
}

/// Names of the segments that a playlist lists.
fn segments(archive: &Archive, stream: &str, start_us: i64, end_us: i64) -> Vec<String> {
    let text = archive.hls_playlist("1", stream, start_us, end_us).unwrap();
    let names = text
        .lines()
        .filter_map(|l| Some(l.strip_prefix("segment-")?.strip_suffix(".m4s")?.to_owned()));
    names.collect()
}

/// The first name's hour, number and beginning with the last name's end.
fn joined(first: &str, last: &str) -> String {
    let (first, last): (Vec<&str>, Vec<&str>) = (first.split('-').collect(), last.split('-').collect());
    format!("{}-{}-{}-{}-0", first[0], first[1], first[2], last[3])
}

#[test]
fn forged_names_open_nothing_beyond_the_granted_time() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let (before_us, within_us, after_us) = (T0_US, T0_US + HOUR_US, T0_US + 2 * HOUR_US);
    for (stream, from_us, seconds) in [
        ("main", before_us, 4),
        ("main", within_us, 20),
        ("main", after_us, 4),
        ("sub", within_us + 8 * SECOND_US, 4),
    ] {
        let recorder = archive.recorder("1", stream).unwrap();
        push_clip(&*recorder, from_us, seconds);
        recorder.stop();
    }
    archive.close();
    let end_us = |start_us: i64| start_us + 20 * SECOND_US;
    let before = &segments(&archive, "main", before_us, end_us(before_us))[0];
    let after = &segments(&archive, "main", after_us, end_us(after_us))[0];
    let whole = segments(&archive, "main", within_us, end_us(within_us));
    let granted_us = (within_us + 9 * SECOND_US, within_us + 10 * SECOND_US);
    let honest = segments(&archive, "main", granted_us.0, granted_us.1);
    let (listed, first, last) = (&honest[0], &whole[0], &whole[whole.len() - 1]);
    assert_eq!(honest.len(), 1);
    let opens = |stream: &str, name: &str| match archive.hls_segment("1", stream, name, granted_us) {
        Ok(_) => None,
        Err(error) => Some(error.kind()),
    };
    assert_eq!(opens("main", listed), None);
    let end = format!("{}-4294967295s-0", listed.rsplitn(3, '-').last().unwrap());
    for (what, forged) in [
        ("the whole file", joined(first, last)),
        ("from the file's beginning", joined(first, listed)),
        ("to the file's end", joined(listed, last)),
        ("to the file's end, whatever that is", end),
        ("another segment of the file", first.clone()),
        ("the files around", format!("{before}_{after}")),
        ("the file before too", format!("{before}_{listed}")),
        ("the file after too", format!("{listed}_{after}")),
        (
            "the granted time twice, with the file's end",
            format!("{listed}_{last}"),
        ),
    ] {
        assert_eq!(opens("main", &forged), Some(ErrorKind::Forbidden), "{what}: {forged}");
    }
    // Names say nothing of the stream: it is the request's, and the grant is held against that.
    let sub = &segments(&archive, "sub", granted_us.0, granted_us.1)[0];
    assert_eq!(opens("sub", sub), None);
    assert_eq!(opens("sub", first), Some(ErrorKind::Forbidden));
    assert_eq!(opens("sub", before), Some(ErrorKind::NotFound));
}

#[test]
fn a_grant_opens_every_playlist_within_it() {
    let from_us = T0_US + HOUR_US - 7 * SECOND_US;
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    push_clip(&*archive.recorder("1", "main").unwrap(), from_us, 20);
    // Key frames within fragments.
    let sub = archive.recorder("1", "sub").unwrap();
    let parameters = video_parameters(b"a");
    for number in 0..500 {
        let at_us = from_us + i64::from(number) * SECOND_US / 25;
        assert!(sub.push(&unit(&parameters, at_us, number % 37 == 0, number)));
    }
    archive.close();
    let granted_us = (from_us + 2_700_000, from_us + 17_300_000);
    for stream in ["main", "sub"] {
        let mut opened = 0;
        for start in 0..14 {
            for end in start + 1..=14 {
                let (start_us, end_us) = (granted_us.0 + start * SECOND_US, granted_us.0 + end * SECOND_US);
                for name in segments(&archive, stream, start_us, end_us) {
                    archive.hls_segment("1", stream, &name, granted_us).unwrap();
                    opened += 1;
                }
            }
        }
        assert!(opened > 100, "{stream}: {opened}");
    }
    let names = segments(&archive, "sub", granted_us.0, granted_us.1);
    assert!(names[0].contains("k-"), "{names:?}");
}
