use crate::feed::*;
use media_core::ErrorKind;
use media_core::index::GapCause;
use media_io::archive::RecordingState;
use media_io::hub::{Hub, Sink};
use std::sync::Arc;

#[test]
fn every_picture_is_in_the_file_and_the_file_plays() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, report) = open(directory.path());
    assert_eq!(report.files_checked, 0);
    let recorder = archive.recorder("cam-1", "main").unwrap();
    assert_eq!(recorder.state(), RecordingState::Waiting);
    push_clip(&*recorder, T0_US, 10);
    archive.flush();
    assert_eq!(recorder.state(), RecordingState::Recording);
    let video = videos_of(directory.path(), "cam-1").remove(0);
    assert!(video.ends_with("storage/cameras/cam-1/2026-11-23/video_10.mp4"));
    // Still growing: all but the fragment in flight is there.
    assert!(decode(&video) >= 280);
    recorder.stop();
    assert_eq!(decode(&video), 300);
    let streams = ffprobe(&video, &["-show_entries", "stream=codec_name,codec_tag_string"]);
    assert_eq!(
        streams.split_whitespace().collect::<Vec<_>>(),
        ["h264,avc1", "aac,mp4a"]
    );
    let packets = ffprobe(
        &video,
        &["-select_streams", "v", "-show_entries", "packet=dts,pts,flags"],
    );
    assert_eq!(packets.lines().count(), 300);
    let first: Vec<&str> = packets.lines().next().unwrap().split(',').collect();
    // Reordered pictures come with a presentation time after their decoding time, which starts at 0.
    assert_eq!((first[0].parse::<i64>().unwrap() > 0, first[1]), (true, "0"));
    assert!(
        !recorder.push(&unit(&video_parameters(b"a"), T0_US, true, 0)),
        "a stopped sink wants no more"
    );
    assert!(index_of(&video).exists());
    assert!(archive.recorded_bytes() == std::fs::metadata(&video).unwrap().len());
}

#[test]
fn hours_parameters_and_clock_steps_begin_files() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "sub").unwrap();
    let (a, b) = (video_parameters(b"a"), video_parameters(b"b"));
    let hub = Hub::new("1/sub", 1 << 20);
    hub.attach_at_key(recorder.clone());
    push_video(&*recorder, &a, T0_US, 100, 0);
    push_video(&*recorder, &b, T0_US + 4 * SECOND_US, 100, 100);
    // Across midnight, in the middle of a GOP.
    push_video(&*recorder, &b, T0_US + 14 * 3_600 * SECOND_US - 1_500_000, 75, 200);
    // The server's clock is set back to the first hour.
    push_video(&*recorder, &b, T0_US + 30 * SECOND_US, 50, 300);
    hub.interrupt(GapCause::Network);
    push_video(&*recorder, &b, T0_US + 40 * SECOND_US, 50, 350);
    archive.close();
    let names: Vec<_> = videos_of(directory.path(), "1")
        .iter()
        .map(|p| {
            let day = p.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
            format!("{day}/{}", p.file_name().unwrap().to_str().unwrap())
        })
        .collect();
    assert_eq!(
        names,
        [
            "2026-11-23/video_10_sub.mp4",
            "2026-11-23/video_10_sub_2.mp4",
            "2026-11-23/video_10_sub_3.mp4",
            "2026-11-23/video_23_sub.mp4",
            "2026-11-24/video_00_sub.mp4",
        ]
    );
    let numbers: Vec<Vec<u32>> = videos_of(directory.path(), "1").iter().map(|p| numbers_in(p)).collect();
    let whole = |from: u32, to: u32| (from..to).collect::<Vec<_>>();
    // 1.5 s before midnight are pictures 200 to 237 (one every 40 ms).
    assert_eq!(
        numbers,
        [
            whole(0, 100),
            whole(100, 200),
            whole(300, 400),
            whole(200, 238),
            whole(238, 275)
        ]
    );
}

#[test]
fn a_stream_has_one_recorder_and_names_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let first = archive.recorder("1", "main").unwrap();
    assert_eq!(archive.recorder("1", "main").err().unwrap().kind(), ErrorKind::Conflict);
    archive.recorder("1", "sub").unwrap();
    first.stop();
    archive.recorder("1", "main").unwrap();
    for bad in ["../1", "", "a/b", ".", "a.b"] {
        assert_eq!(archive.recorder(bad, "main").err().unwrap().kind(), ErrorKind::Invalid);
        assert_eq!(archive.recorder("1", bad).err().unwrap().kind(), ErrorKind::Invalid);
    }
    assert!(
        videos_of_or_none(directory.path()).is_empty(),
        "nothing was pushed, so there are no files"
    );
}

fn videos_of_or_none(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    if directory.join("storage/cameras/1").exists() {
        videos_of(directory, "1")
    } else {
        Vec::new()
    }
}

#[test]
fn a_flood_is_dropped_by_whole_fragments_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let options = media_io::archive::ArchiveOptions {
        queue_max_bytes: 1_000,
        ..Default::default()
    };
    let clock = media_io::clock::ManualClock::at(T0_US);
    let (archive, _) = media_io::archive::Archive::open(directory.path(), options, clock).unwrap();
    let recorder = archive.recorder("1", "main").unwrap();
    push_video(&*recorder, &video_parameters(b"a"), T0_US, 100, 0);
    recorder.stop();
    let counters = recorder.counters();
    assert_eq!(
        (counters.fragments_written, counters.fragments_dropped),
        (0, 8),
        "2.6 KB never fit into 1 KB"
    );
    drop(archive);
}

#[test]
fn gap_causes_reach_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    let a = video_parameters(b"a");
    push_video(&*recorder, &a, T0_US, 50, 0);
    recorder.interrupt(GapCause::Network);
    push_video(&*recorder, &a, T0_US + 5 * SECOND_US, 50, 50);
    push_video(&*recorder, &a, T0_US + 10 * SECOND_US, 50, 100);
    recorder.stop();
    let again = archive.recorder("1", "main").unwrap();
    push_video(&*again, &a, T0_US + 20 * SECOND_US, 50, 150);
    archive.close();
    let gaps: Vec<_> = videos_of(directory.path(), "1")
        .iter()
        .map(|p| gaps_in(&index_of(p)))
        .collect();
    assert_eq!(gaps[0], [(2, 5, GapCause::Network), (7, 10, GapCause::Camera)]);
    assert_eq!(gaps[1], [(12, 20, GapCause::Stop)]);
}

/// Gap records of an index: start and end in whole seconds after `T0_US`, and the cause.
fn gaps_in(index: &std::path::Path) -> Vec<(i64, i64, GapCause)> {
    use media_core::index::Record;
    let bytes = std::fs::read(index).unwrap();
    let second = |us: i64| (us - T0_US + 500_000).div_euclid(SECOND_US);
    let records = bytes[64..].chunks(64).map(|block| Record::decode(block, 0).unwrap());
    records
        .filter_map(|r| match r {
            Record::Gap(gap) => Some((second(gap.start_us), second(gap.end_us), gap.cause)),
            _ => None,
        })
        .collect()
}

#[test]
fn closing_twice_and_pushing_after_closing_do_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder: Arc<dyn Sink> = archive.recorder("1", "main").unwrap();
    archive.close();
    archive.close();
    archive.flush();
    assert!(!recorder.push(&unit(&video_parameters(b"a"), T0_US, true, 0)));
}

#[test]
fn switching_recording_off_and_on_neither_repeats_nor_loses_what_the_hub_still_has() {
    let directory = tempfile::tempdir().unwrap();
    let clock = media_io::clock::ManualClock::at(T0_US);
    let (archive, _) =
        media_io::archive::Archive::open(&directory.path().join("storage"), Default::default(), clock.clone()).unwrap();
    let hub = Hub::new("1/main", 1 << 20);
    let a = video_parameters(b"a");
    let publish = |pictures: std::ops::Range<u32>| {
        for i in pictures {
            let unit = unit(&a, T0_US + i64::from(i) * 40_000, i % 25 == 0, i);
            hub.publish(&Arc::new(media_core::AccessUnit {
                received_us: u64::from(i) * 40_000,
                ..(*unit).clone()
            }));
        }
    };
    let first = archive.recorder("1", "main").unwrap();
    hub.attach_at_key(first.clone());
    publish(0..40);
    hub.detach(&(first.clone() as Arc<dyn Sink>));
    first.stop();
    // Pictures 40 to 44 pass while nothing records, but the hub keeps the GOP.
    publish(40..45);
    clock.advance_us(45 * 40_000);
    let second = archive.recorder("1", "main").unwrap();
    hub.attach_at_key(second.clone());
    publish(45..60);
    archive.close();
    let numbers: Vec<Vec<u32>> = videos_of(directory.path(), "1").iter().map(|p| numbers_in(p)).collect();
    assert_eq!(numbers, [(0..40).collect::<Vec<_>>(), (40..60).collect()]);
    let playback = archive.playback("1", "main", T0_US, T0_US + 10 * SECOND_US).unwrap();
    let played = crate::playback::numbers(&crate::playback::read_all(&*playback.source));
    assert_eq!(played, (0..60).collect::<Vec<_>>());
}
