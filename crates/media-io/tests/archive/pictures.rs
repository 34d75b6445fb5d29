use crate::feed::*;
use media_core::recording::fragmenter::rescale;
use media_core::{Codec, ErrorKind};
use media_io::archive::Archive;
use media_io::hub::Sink;
use std::sync::Arc;

const HOUR_US: i64 = 3_600 * SECOND_US;

fn recorded(from_us: i64, seconds: i64) -> (tempfile::TempDir, Arc<Archive>) {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    push_clip(&*recorder, from_us, seconds);
    archive.close();
    (directory, archive)
}

#[test]
fn a_picture_comes_with_all_that_its_decoder_needs_and_nothing_more() {
    let (_directory, archive) = recorded(T0_US, 10);
    // Picture k is presented (k + 2) / 30 s after T0; the GOP has 60.
    for (at_ms, picture_number) in [(2_067, 60), (3_500, 103), (3_499, 102), (5_000, 148), (9_999, 297)] {
        let at_us = T0_US + at_ms * 1_000;
        let picture = archive.picture("1", "main", at_us).unwrap();
        assert_eq!((picture.codec, picture.width, picture.height), (Codec::H264, 320, 180));
        let wanted = rescale(T0_US, 1_000_000, 90_000) + (picture_number + 2) * 3_000;
        assert_eq!(picture.wanted_pts_90k, wanted, "at {at_ms} ms");
        assert!((picture.captured_us - (T0_US + (picture_number + 2) * 1_000_000 / 30)).abs() <= 40);
        let clip: Vec<_> = clip().units.iter().filter(|u| u.track == 0).collect();
        let key = (picture_number / 60 * 60) as usize;
        assert_eq!(picture.units[0], clip[key].data, "begins with the key frame");
        assert!(picture.units.iter().zip(&clip[key..]).all(|(a, b)| *a == b.data));
        let last = picture.pts_90k[picture.pts_90k.len() - 1];
        assert_eq!(last, wanted, "ends with the picture itself");
        assert_eq!(picture.units.len(), picture.pts_90k.len());
        assert_eq!(picture.configuration, clip[0].parameters.configuration);
    }
}

#[test]
fn the_key_frame_may_be_in_the_file_before() {
    let (directory, archive) = recorded(T0_US + HOUR_US - SECOND_US, 5);
    assert_eq!(videos_of(directory.path(), "1").len(), 2);
    let picture = archive.picture("1", "main", T0_US + HOUR_US + 500_000).unwrap();
    assert!(picture.units.len() >= 40);
    assert!(picture.pts_90k.iter().all(|p| *p <= picture.wanted_pts_90k + 3 * 3_000));
}

#[test]
fn there_is_no_picture_where_nothing_is_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    push_video(&*recorder, &video_parameters(b"a"), T0_US, 50, 0);
    recorder.interrupt(media_core::index::GapCause::Network);
    push_video(&*recorder, &video_parameters(b"a"), T0_US + 10 * SECOND_US, 50, 50);
    archive.close();
    let kind = |at_us: i64| archive.picture("1", "main", at_us).err().map(|e| e.kind());
    assert_eq!(kind(T0_US - 1), Some(ErrorKind::NotFound));
    assert_eq!(kind(T0_US), None);
    assert_eq!(kind(T0_US + 5 * SECOND_US), Some(ErrorKind::NotFound));
    assert_eq!(
        kind(T0_US + 2 * SECOND_US),
        None,
        "the very end still shows the last picture"
    );
    assert_eq!(kind(T0_US + 13 * SECOND_US), Some(ErrorKind::NotFound));
    assert_eq!(
        archive.picture("2", "main", T0_US).err().unwrap().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        archive.picture("..", "main", T0_US).err().unwrap().kind(),
        ErrorKind::Invalid
    );
    let last = archive.picture("1", "main", T0_US + 2 * SECOND_US).unwrap();
    assert_eq!(last.units.len(), 25);
    assert_eq!(last.units[24][5..9], 49u32.to_be_bytes());
}

#[test]
fn a_key_picture_is_the_newest_key_frame_that_was_shown_alone() {
    let (_directory, archive) = recorded(T0_US, 10);
    // Picture k is presented (k + 2) / 30 s after T0; the GOP has 60.
    for (at_ms, picture_number) in [(2_067, 60), (4_066, 60), (4_067, 120), (9_999, 240)] {
        let picture = archive.key_picture("1", "main", T0_US + at_ms * 1_000).unwrap();
        let clip: Vec<_> = clip().units.iter().filter(|u| u.track == 0).collect();
        assert_eq!(
            picture.units,
            [clip[picture_number as usize].data.clone()],
            "at {at_ms} ms"
        );
        let shown = rescale(T0_US, 1_000_000, 90_000) + (picture_number + 2) * 3_000;
        assert_eq!((picture.wanted_pts_90k, &picture.pts_90k[..]), (shown, &[shown][..]));
        assert!((picture.captured_us - (T0_US + (picture_number + 2) * 1_000_000 / 30)).abs() <= 40);
        assert_eq!(picture.configuration, clip[0].parameters.configuration);
    }
    let kind = |at_us: i64| archive.key_picture("1", "main", at_us).err().map(|e| e.kind());
    assert_eq!(kind(T0_US - SECOND_US), Some(ErrorKind::NotFound));
    assert_eq!(kind(T0_US + 13 * SECOND_US), Some(ErrorKind::NotFound));
    assert_eq!(kind(T0_US), Some(ErrorKind::NotFound), "before the first key frame");
}

#[test]
fn the_newest_key_frame_may_lie_long_before() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, _) = open(directory.path());
    let recorder = archive.recorder("1", "main").unwrap();
    let parameters = video_parameters(b"a");
    for number in 0..500 {
        let at_us = T0_US + i64::from(number) * 40_000;
        assert!(recorder.push(&unit(&parameters, at_us, number == 0, number)));
    }
    archive.close();
    let picture = archive.key_picture("1", "main", T0_US + 19 * SECOND_US).unwrap();
    assert_eq!((picture.units.len(), picture.captured_us), (1, T0_US));
}
