use crate::feed::*;
use media_core::ErrorKind;
use media_io::archive::{Archive, Playback};
use media_io::hub::Sink;
use media_io::source::ByteSource;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HOUR_US: i64 = 3_600 * SECOND_US;

/// All bytes of a source, read in pieces of odd sizes.
pub fn read_all(source: &dyn ByteSource) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut turn = 0;
    loop {
        turn += 1;
        let piece = source
            .read_at(bytes.len() as u64, 1 + (turn * 7_919) % 100_000)
            .unwrap();
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(bytes.len() as u64, source.size_bytes());
    bytes
}

fn saved(directory: &Path, playback: &Playback) -> PathBuf {
    let path = directory.join("playback.mp4");
    std::fs::write(&path, read_all(&*playback.source)).unwrap();
    path
}

fn recorded_clip(from_us: i64, seconds: i64) -> (tempfile::TempDir, Arc<Archive>) {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    push_clip(&*recorder, from_us, seconds);
    archive.close();
    (directory, archive)
}

/// Presentation times (s) of the video packets that an edit list lets through.
fn shown(path: &Path) -> Vec<f64> {
    let packets = ffprobe(
        path,
        &["-select_streams", "v", "-show_entries", "packet=pts_time,flags"],
    );
    let mut times: Vec<f64> = packets
        .lines()
        .filter_map(|line| {
            let (time, flags) = line.split_once(',').unwrap();
            (!flags.contains('D')).then(|| time.parse().unwrap())
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

#[test]
fn exactly_the_interval_is_presented_from_the_key_frame_before() {
    let (directory, archive) = recorded_clip(T0_US, 10);
    // In the middle of the second GOP to the middle of the fourth.
    let (start_us, end_us) = (T0_US + 3_500_000, T0_US + 7_250_000);
    let playback = archive.playback("1", "main", start_us, end_us).unwrap();
    assert_eq!(
        (playback.start_us, playback.end_us, playback.next_start_us),
        (start_us, end_us, None)
    );
    let path = saved(directory.path(), &playback);
    let times = shown(&path);
    // Pictures at (k + 2) / 30 s after T0.
    assert_eq!(
        times.len(),
        (3_500..7_250)
            .filter(|ms| (ms * 30 + 999) / 1_000 * 1_000 / 30 == *ms)
            .count()
    );
    assert!(
        times[0].abs() < 0.034 && times[times.len() - 1] < 3.75 && times[times.len() - 1] > 3.71,
        "{times:?}"
    );
    assert_eq!(
        decode(&path),
        times.len(),
        "the decoder begins at a key frame and complains about nothing"
    );
    let streams = ffprobe(&path, &["-show_entries", "stream=codec_name,duration"]);
    let streams: Vec<&str> = streams.split_whitespace().collect();
    assert!(
        streams[0].starts_with("h264,3.75") && streams[1].starts_with("aac,3.7"),
        "{streams:?}"
    );
}

#[test]
fn any_range_of_bytes_is_the_same_whenever_it_is_read() {
    let (_directory, archive) = recorded_clip(T0_US, 10);
    let (start_us, end_us) = (T0_US + 1_234_567, T0_US + 8_765_432);
    let first = archive.playback("1", "main", start_us, end_us).unwrap().source;
    let whole = read_all(&*first);
    let second = archive.playback("1", "main", start_us, end_us).unwrap().source;
    assert_eq!((first.etag(), first.size_bytes()), (second.etag(), second.size_bytes()));
    for (offset, length) in [
        (0, 10),
        (whole.len() - 5, 100),
        (700, 5_000),
        (whole.len() / 2, 70_000),
        (whole.len(), 9),
    ] {
        let read = second.read_at(offset as u64, length).unwrap();
        assert_eq!(read, whole[offset..(offset + length).min(whole.len())]);
    }
    let other = archive
        .playback("1", "main", start_us, end_us - 500_000)
        .unwrap()
        .source;
    assert_ne!(first.etag(), other.etag());
}

#[test]
fn hours_follow_each_other_without_a_seam() {
    let (directory, archive) = recorded_clip(T0_US + HOUR_US - 5 * SECOND_US, 10);
    assert_eq!(videos_of(directory.path(), "1").len(), 2);
    let start_us = T0_US + HOUR_US - 2 * SECOND_US;
    let playback = archive
        .playback("1", "main", start_us, start_us + 4 * SECOND_US)
        .unwrap();
    let path = saved(directory.path(), &playback);
    let times = shown(&path);
    assert!(
        times.windows(2).all(|w| (w[1] - w[0] - 1.0 / 30.0).abs() < 0.001),
        "{times:?}"
    );
    assert_eq!(decode(&path), 120);
    let audio = ffprobe(&path, &["-select_streams", "a", "-show_entries", "packet=pts_time"]);
    let audio: Vec<f64> = audio
        .lines()
        .filter_map(|l| l.split(',').next().unwrap().parse().ok())
        .collect();
    assert!(
        audio.windows(2).all(|w| (w[1] - w[0]) < 0.023),
        "no hole in the sound: {audio:?}"
    );
    // The second file begins within a GOP: its key frame lies in the first one.
    let playback = archive
        .playback("1", "main", T0_US + HOUR_US + 300_000, T0_US + HOUR_US + SECOND_US)
        .unwrap();
    assert_eq!(decode(&saved(directory.path(), &playback)), 21);
}

#[test]
fn gaps_stay_gaps_and_are_not_started_in() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    push_clip(&*recorder, T0_US, 5);
    recorder.interrupt(media_core::index::GapCause::Network);
    push_clip(&*recorder, T0_US + 20 * SECOND_US, 5);
    archive.flush();
    let playback = archive
        .playback("1", "main", T0_US + 2 * SECOND_US, T0_US + 22 * SECOND_US)
        .unwrap();
    let times = shown(&saved(directory.path(), &playback));
    let jump = times.windows(2).map(|w| w[1] - w[0]).fold(0.0, f64::max);
    assert!((jump - 15.0).abs() < 0.1, "{jump}");
    let playback = archive
        .playback("1", "main", T0_US + 10 * SECOND_US, T0_US + 22 * SECOND_US)
        .unwrap();
    assert_eq!(playback.start_us, T0_US + 20 * SECOND_US);
    let times = shown(&saved(directory.path(), &playback));
    assert!(times[0] < 0.07 && times.len() >= 58, "{times:?}");
    for (from, to) in [(6, 19), (30, 40), (-10, 0)] {
        let missing = archive
            .playback("1", "main", T0_US + from * SECOND_US, T0_US + to * SECOND_US)
            .err()
            .unwrap();
        assert_eq!(missing.kind(), ErrorKind::NotFound, "{from} to {to}");
    }
    let timeline = archive.timeline("1", T0_US, T0_US + 60 * SECOND_US).unwrap();
    assert_eq!(
        (timeline.ranges.len(), timeline.gaps.len(), timeline.gaps[0].cause),
        (2, 1, "network")
    );
    assert!((timeline.ranges[0].end_us - (T0_US + 5 * SECOND_US)).abs() < 1_000);
}

#[test]
fn an_end_in_the_future_is_the_newest_durable_picture() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    push_clip(&*recorder, T0_US, 4);
    archive.flush();
    let open_end = |archive: &Archive| archive.playback("1", "main", T0_US, T0_US + 1_000 * SECOND_US).unwrap();
    let early = open_end(&archive);
    let durable = archive.timeline("1", T0_US, T0_US + HOUR_US).unwrap().ranges[0].end_us;
    assert!(
        (3_400_000..=3_600_000).contains(&(durable - T0_US)),
        "all but the fragment in flight"
    );
    assert!((early.end_us - durable).abs() < 100_000);
    let path = saved(directory.path(), &early);
    assert!(decode(&path) >= 104);
    push_clip(&*recorder, T0_US + 4 * SECOND_US, 4);
    archive.flush();
    let late = open_end(&archive);
    assert!(late.end_us > early.end_us + 3 * SECOND_US && late.source.etag() != early.source.etag());
    assert_eq!(
        read_all(&*early.source),
        std::fs::read(path).unwrap(),
        "what was handed out does not change"
    );
}

#[test]
fn playback_ends_where_the_parameters_change_and_says_where_it_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    push_video(&*recorder, &video_parameters(b"a"), T0_US, 100, 0);
    push_video(&*recorder, &video_parameters(b"b"), T0_US + 4 * SECOND_US, 100, 100);
    archive.close();
    let playback = archive
        .playback("1", "main", T0_US + SECOND_US, T0_US + 6 * SECOND_US)
        .unwrap();
    assert_eq!(playback.next_start_us, Some(T0_US + 4 * SECOND_US));
    assert_eq!(playback.end_us, T0_US + 4 * SECOND_US);
    let rest = archive
        .playback("1", "main", T0_US + 4 * SECOND_US, T0_US + 6 * SECOND_US)
        .unwrap();
    assert_eq!((rest.start_us, rest.next_start_us), (T0_US + 4 * SECOND_US, None));
    // Both sides of the change: no picture is missing or there twice.
    assert_eq!(numbers(&read_all(&*playback.source)), (25..100).collect::<Vec<_>>());
    assert_eq!(numbers(&read_all(&*rest.source)), (100..150).collect::<Vec<_>>());
}

#[test]
fn a_clock_that_was_set_back_neither_loses_nor_repeats_time() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    let a = video_parameters(b"a");
    push_video(&*recorder, &a, T0_US, 250, 0);
    // Five seconds back: pictures 250 to 374 are of a time that is recorded already.
    push_video(&*recorder, &a, T0_US + 5 * SECOND_US, 250, 250);
    archive.close();
    let playback = archive.playback("1", "main", T0_US, T0_US + 20 * SECOND_US).unwrap();
    let expected: Vec<u32> = (0..250).chain(375..500).collect();
    assert_eq!(numbers(&read_all(&*playback.source)), expected);
    let timeline = archive.timeline("1", T0_US, T0_US + HOUR_US).unwrap();
    assert_eq!(
        timeline
            .ranges
            .iter()
            .map(|r| (r.start_us, r.end_us))
            .collect::<Vec<_>>(),
        [(T0_US, T0_US + 15 * SECOND_US)]
    );
}

#[test]
fn a_stream_without_key_frames_plays_from_where_it_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    let a = video_parameters(b"a");
    for i in 0..500 {
        recorder.push(&unit(&a, T0_US + i * 40_000, false, i as u32));
    }
    archive.close();
    let playback = archive
        .playback("1", "main", T0_US + 5 * SECOND_US, T0_US + 6 * SECOND_US)
        .unwrap();
    let numbers = numbers(&read_all(&*playback.source));
    assert!(
        (113..=125).contains(&numbers[0]) && numbers.last() == Some(&149),
        "{numbers:?}"
    );
}

#[test]
fn questions_that_make_no_sense_are_refused() {
    let (_directory, archive) = recorded_clip(T0_US, 2);
    let kind = |camera: &str, stream: &str, from: i64, to: i64| {
        archive.playback(camera, stream, from, to).err().unwrap().kind()
    };
    assert_eq!(kind("1", "main", T0_US + 5, T0_US + 5), ErrorKind::Invalid);
    assert_eq!(kind("1", "main", T0_US + 5, T0_US), ErrorKind::Invalid);
    assert_eq!(kind("2", "main", T0_US, T0_US + 5), ErrorKind::NotFound);
    assert_eq!(kind("1", "sub", T0_US, T0_US + 5), ErrorKind::NotFound);
    assert_eq!(kind("../1", "main", T0_US, T0_US + 5), ErrorKind::Invalid);
    assert_eq!(kind("1", "main", i64::MIN, i64::MIN + 1), ErrorKind::NotFound);
    assert_eq!(archive.timeline("1", 5, 5).err().unwrap().kind(), ErrorKind::Invalid);
    assert_eq!(archive.timeline("nobody", 5, 6).unwrap(), Default::default());
    archive.playback("1", "main", i64::MIN, i64::MAX).unwrap();
    archive.timeline("1", i64::MIN, i64::MAX).unwrap();
}

/// The numbers of the pictures in a progressive MP4 of one track, from its tables.
pub fn numbers(mp4: &[u8]) -> Vec<u32> {
    let u32_at = |at: usize| u32::from_be_bytes(mp4[at..at + 4].try_into().unwrap());
    let find = |kind: &[u8; 4]| mp4.windows(4).position(|w| w == kind).unwrap() + 4;
    let (stsz, stsc, co64) = (find(b"stsz"), find(b"stsc"), find(b"co64"));
    let mut sizes = (0..u32_at(stsz + 8) as usize).map(|i| u32_at(stsz + 12 + 4 * i) as usize);
    let runs: Vec<(u32, u32)> = (0..u32_at(stsc + 4) as usize)
        .map(|i| (u32_at(stsc + 8 + 12 * i), u32_at(stsc + 12 + 12 * i)))
        .collect();
    let mut found = Vec::new();
    for chunk in 1..=u32_at(co64 + 4) {
        let mut at = u32_at(co64 + 8 + 8 * (chunk as usize - 1) + 4) as usize;
        let samples = runs.iter().rfind(|(first, _)| *first <= chunk).unwrap().1;
        for _ in 0..samples {
            found.push(u32_at(at + 5));
            at += sizes.next().unwrap();
        }
    }
    assert_eq!(sizes.next(), None);
    found
}

#[test]
fn a_stream_that_refreshes_bit_by_bit_is_decoded_from_where_its_picture_becomes_whole() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    let a = video_parameters(b"a");
    for i in 0..200u32 {
        let mut picture = (*unit(&a, T0_US + i64::from(i) * 40_000, i % 50 == 0, i)).clone();
        if i % 50 == 0 && i > 0 {
            // The number stays where the tests look for it; then a recovery point of 49 frames (ue 49 = 0b00000110010),
            // and a slice that is no IDR.
            let mut data = vec![0, 0, 0, 5, 0x09];
            data.extend_from_slice(&i.to_be_bytes());
            data.extend_from_slice(&[0, 0, 0, 6, 0x06, 0x06, 0x02, 0x06, 0x40, 0x80]);
            data.extend_from_slice(&[0, 0, 0, 3, 0x41, 1, 2]);
            picture.data = data.into();
        } else if i > 0 {
            let mut data = picture.data.to_vec();
            data[4] = 0x41;
            picture.data = data.into();
        }
        recorder.push(&Arc::new(picture));
    }
    archive.close();
    let first_at = |ms: i64| {
        let playback = archive
            .playback("1", "main", T0_US + ms * 1_000, T0_US + ms * 1_000 + 400_000)
            .unwrap();
        let bytes = read_all(&*playback.source);
        (
            numbers(&bytes)[0],
            archive.picture("1", "main", T0_US + ms * 1_000).unwrap().units.len(),
        )
    };
    // Picture 110 is 10 after the recovery point 100, which is whole only with 149: begin at 50, whole with 99.
    assert_eq!(first_at(4_400), (50, 61));
    assert_eq!(first_at(5_960), (100, 50));
    // Before the first refresh is over there is the IDR picture.
    assert_eq!(first_at(2_400), (0, 61));
}
