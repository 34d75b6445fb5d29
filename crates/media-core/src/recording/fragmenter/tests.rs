#![allow(clippy::unwrap_used)]
use super::*;
use crate::Codec;
use bytes::Bytes;
use proptest::prelude::*;

const T0_US: i64 = 1_795_392_000_000_000;

fn video(configuration: &'static [u8]) -> Arc<TrackParameters> {
    Arc::new(TrackParameters {
        codec: Codec::H264,
        clock_rate: 90_000,
        configuration: Bytes::from_static(configuration),
        width: 1920,
        height: 1080,
        channels: 0,
        reorder_depth: 0,
        fps_milli: 30_000,
    })
}

fn aac() -> Arc<TrackParameters> {
    Arc::new(TrackParameters {
        codec: Codec::Aac,
        clock_rate: 48_000,
        configuration: Bytes::from_static(&[0x11, 0x88]),
        width: 0,
        height: 0,
        channels: 1,
        reorder_depth: 0,
        fps_milli: 0,
    })
}

fn unit(parameters: &Arc<TrackParameters>, at_us: i64, key: bool) -> Arc<AccessUnit> {
    let dts = rescale(at_us, 1_000_000, parameters.clock_rate);
    Arc::new(AccessUnit {
        track: u8::from(parameters.codec.kind() == TrackKind::Audio),
        pts: dts,
        dts,
        utc_us: at_us,
        received_us: 0,
        key,
        discontinuity: false,
        lost_packets: 0,
        data: Bytes::from_static(&[0, 0, 0, 1, 0x65]),
        parameters: parameters.clone(),
    })
}

fn fragmenter() -> Fragmenter {
    Fragmenter::new(FragmenterOptions::default(), |p| p.codec != Codec::PcmA)
}

fn fragments(steps: &[Step]) -> Vec<&Fragment> {
    steps
        .iter()
        .filter_map(|s| if let Step::Fragment(f) = s { Some(f) } else { None })
        .collect()
}

fn opens(steps: &[Step]) -> Vec<&FileStart> {
    steps
        .iter()
        .filter_map(|s| if let Step::Open(f) = s { Some(f) } else { None })
        .collect()
}

fn run(units: &[Arc<AccessUnit>]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut fragmenter = fragmenter();
    for unit in units {
        fragmenter.push(unit, &mut steps);
    }
    fragmenter.finish(&mut steps);
    steps
}

fn at_30_fps(parameters: &Arc<TrackParameters>, from_us: i64, frames: i64, gop: i64) -> Vec<Arc<AccessUnit>> {
    (0..frames)
        .map(|i| unit(parameters, from_us + i * 1_000_000 / 30, i % gop == 0))
        .collect()
}

#[test]
fn fragments_last_half_a_second_whatever_the_gop() {
    let steps = run(&at_30_fps(&video(b"a"), T0_US, 60, 25));
    let fragments = fragments(&steps);
    assert_eq!(
        fragments.iter().map(|f| f.units.len()).collect::<Vec<_>>(),
        [15, 15, 15, 15]
    );
    assert!(fragments.iter().all(|f| (44_998..=45_002).contains(&f.duration())));
    assert_eq!(opens(&steps).len(), 1);
    assert!(matches!(steps.first(), Some(Step::Open(_))) && matches!(steps.last(), Some(Step::Close { file: 1 })));
    assert!(fragments[0].discontinuity && !fragments[1].discontinuity);
}

#[test]
fn recording_starts_at_a_key_frame() {
    let p = video(b"a");
    let mut units = vec![unit(&p, T0_US, false), unit(&p, T0_US + 40_000, false)];
    units.extend(at_30_fps(&p, T0_US + 80_000, 30, 30));
    let steps = run(&units);
    assert_eq!(opens(&steps)[0].start_us, T0_US + 80_000);
    assert_eq!(fragments(&steps).iter().map(|f| f.units.len()).sum::<usize>(), 30);
}

#[test]
fn a_stream_without_key_frames_loses_nothing() {
    let p = video(b"a");
    let units: Vec<_> = (0..450).map(|i| unit(&p, T0_US + i * 40_000, false)).collect();
    let steps = run(&units);
    assert_eq!(fragments(&steps).iter().map(|f| f.units.len()).sum::<usize>(), 450);
    // Too short for the wait to end by itself.
    let steps = run(&units[..100]);
    assert_eq!(fragments(&steps).iter().map(|f| f.units.len()).sum::<usize>(), 100);
}

#[test]
fn after_the_camera_was_lost_recording_resumes_at_a_key_frame_in_the_same_file() {
    let p = video(b"a");
    let mut fragmenter = fragmenter();
    let mut steps = Vec::new();
    at_30_fps(&p, T0_US, 20, 30)
        .iter()
        .for_each(|u| fragmenter.push(u, &mut steps));
    fragmenter.interrupt(GapCause::Network, &mut steps);
    assert_eq!(fragments(&steps).len(), 2, "what was pending is cut");
    fragmenter.push(&unit(&p, T0_US + 5_000_000, false), &mut steps);
    assert!(fragmenter.waits_for_key());
    at_30_fps(&p, T0_US + 5_040_000, 20, 30)
        .iter()
        .for_each(|u| fragmenter.push(u, &mut steps));
    fragmenter.finish(&mut steps);
    let fragments = fragments(&steps);
    assert_eq!(opens(&steps).len(), 1);
    assert_eq!(fragments[2].start_us(), T0_US + 5_040_000);
    assert!(fragments[2].discontinuity);
    assert_eq!(fragments[2].cause, GapCause::Network);
    assert!(
        (fragments[1].end_us() - (T0_US + 666_666)).abs() < 40,
        "the last picture lasts a frame"
    );
}

#[test]
fn the_hour_turns_in_the_middle_of_a_gop() {
    let p = video(b"a");
    let steps = run(&at_30_fps(&p, T0_US + HOUR_US - 1_000_000, 90, 90));
    let opens = opens(&steps);
    assert_eq!(opens.len(), 2);
    assert_eq!(
        (opens[1].reason, opens[1].start_us),
        (FileReason::Hour, T0_US + HOUR_US)
    );
    let fragments = fragments(&steps);
    assert_eq!(fragments.iter().map(|f| f.units.len()).sum::<usize>(), 90);
    let second = fragments.iter().find(|f| f.file == 2).unwrap();
    assert!(!second.units[0].key && !second.discontinuity);
    let last_of_first = fragments.iter().rfind(|f| f.file == 1).unwrap();
    assert_eq!(
        last_of_first.first_dts() + i64::from(last_of_first.duration()),
        second.first_dts()
    );
}

/// First instants of the files (ms after `T0_US`), whether each begins with a key frame, and all units in order.
fn files_of(steps: &[Step]) -> (Vec<i64>, Vec<bool>, Vec<i64>) {
    let first = |number: u64| {
        fragments(steps)
            .into_iter()
            .find(|f| f.file == number && f.track == 0)
            .unwrap()
    };
    (
        opens(steps).iter().map(|f| (f.start_us - T0_US) / 1_000).collect(),
        opens(steps).iter().map(|f| first(f.file).units[0].key).collect(),
        fragments(steps)
            .iter()
            .flat_map(|f| f.units.iter().map(|u| u.dts))
            .collect(),
    )
}

#[test]
fn short_files_begin_at_the_first_key_frame_after_their_length() {
    let p = video(b"a");
    // A key frame every 4 s, across a full hour in the middle of a GOP.
    let units = at_30_fps(&p, T0_US - 30_000_000, 60 * 30, 120);
    let mut fragmenter = Fragmenter::new(
        FragmenterOptions {
            file_us: Some(10_000_000),
            ..FragmenterOptions::default()
        },
        |_| true,
    );
    let mut steps = Vec::new();
    units.iter().for_each(|unit| fragmenter.push(unit, &mut steps));
    fragmenter.finish(&mut steps);
    let (starts, keys, recorded) = files_of(&steps);
    assert_eq!(
        starts,
        [-30_000, -18_000, -6_000, 6_000, 18_000],
        "the hour alone begins none"
    );
    assert!(keys.iter().all(|key| *key));
    assert_eq!(recorded, units.iter().map(|u| u.dts).collect::<Vec<_>>());
}

#[test]
fn without_key_frames_the_hour_ends_a_short_file() {
    let p = video(b"a");
    let units = at_30_fps(&p, T0_US - 30_000_000, 60 * 30, 100_000);
    let options = FragmenterOptions {
        file_us: Some(10_000_000),
        ..FragmenterOptions::default()
    };
    let mut fragmenter = Fragmenter::new(options, |_| true);
    let mut steps = Vec::new();
    units.iter().for_each(|unit| fragmenter.push(unit, &mut steps));
    fragmenter.finish(&mut steps);
    assert_eq!(files_of(&steps).0, [-30_000, 0]);
}

#[test]
fn another_length_counts_from_the_next_key_frame_and_loses_nothing() {
    let p = video(b"a");
    let units = at_30_fps(&p, T0_US, 60 * 30, 60);
    let mut fragmenter = fragmenter();
    let mut steps = Vec::new();
    for (number, unit) in units.iter().enumerate() {
        match number {
            // In the middle of GOPs: 9 s, and 31 s into it; the same again changes nothing.
            270 | 300 => fragmenter.set_file_us(Some(10_000_000)),
            930 => fragmenter.set_file_us(None),
            _ => {}
        }
        fragmenter.push(unit, &mut steps);
    }
    fragmenter.finish(&mut steps);
    let (starts, keys, recorded) = files_of(&steps);
    assert_eq!(starts, [0, 10_000, 20_000, 30_000, 32_000]);
    assert!(keys.iter().all(|key| *key));
    assert_eq!(recorded, units.iter().map(|u| u.dts).collect::<Vec<_>>());
}

#[test]
fn other_parameters_begin_a_file_and_a_new_frame_rate_estimate_does_not() {
    let (a, b) = (video(b"a"), video(b"b"));
    let estimate = Arc::new(TrackParameters {
        fps_milli: 29_970,
        ..(*a).clone()
    });
    let mut units = at_30_fps(&a, T0_US, 10, 10);
    units.extend(at_30_fps(&estimate, T0_US + 333_333, 10, 10));
    units.extend(at_30_fps(&b, T0_US + 666_666, 10, 10));
    let steps = run(&units);
    let opens = opens(&steps);
    assert_eq!(opens.len(), 2);
    assert_eq!(
        (opens[1].reason, opens[1].start_us),
        (FileReason::Parameters, T0_US + 666_666)
    );
    assert_eq!(opens[1].tracks[0].configuration, b.configuration);
}

#[test]
fn time_going_back_or_a_stepped_clock_begins_a_file() {
    let p = video(b"a");
    let mut units = at_30_fps(&p, T0_US, 20, 30);
    units.extend(at_30_fps(&p, T0_US + 100_000, 20, 30));
    let steps = run(&units);
    assert_eq!(
        opens(&steps).iter().map(|o| o.reason).collect::<Vec<_>>(),
        [FileReason::Start, FileReason::DecodingTime]
    );
    // The camera's clock runs on, the server's is set back by ten minutes.
    let mut units = at_30_fps(&p, T0_US + HOUR_US, 20, 30);
    units.extend(at_30_fps(&p, T0_US + HOUR_US + 666_666, 20, 30).iter().map(|u| {
        Arc::new(AccessUnit {
            utc_us: u.utc_us - 600_000_000,
            ..(**u).clone()
        })
    }));
    let steps = run(&units);
    assert_eq!(opens(&steps)[1].reason, FileReason::ClockStep);
    assert_eq!(opens(&steps)[1].start_us, T0_US + HOUR_US + 666_666 - 600_000_000);
}

#[test]
fn a_stall_is_a_gap_and_a_slow_camera_is_not() {
    let p = video(b"a");
    let mut units = at_30_fps(&p, T0_US, 10, 30);
    units.extend(at_30_fps(&p, T0_US + 2_000_000, 10, 30));
    let steps = run(&units);
    let fragments_ = fragments(&steps);
    assert_eq!(fragments_.len(), 2);
    assert!(fragments_[0].end_us() - (T0_US + 333_333) < 40 && fragments_[1].discontinuity);
    // One picture a second: the first interval is a surprise (the parameters say 30), the others are usual.
    let slow: Vec<_> = (0..10).map(|i| unit(&p, T0_US + i * 1_000_000, true)).collect();
    let steps = run(&slow);
    assert!(
        fragments(&steps)[3..]
            .iter()
            .all(|f| !f.discontinuity && f.duration() == 90_000)
    );
}

#[test]
fn audio_has_its_own_fragments_and_crosses_the_hour_without_loss() {
    let (p, a) = (video(b"a"), aac());
    let from = T0_US + HOUR_US - 1_500_000;
    let mut units = at_30_fps(&p, from, 120, 30);
    // Sound arrives 150 ms after the picture of the same time.
    units.extend((0..187).map(|i| unit(&a, from + i * 1_024_000_000 / 48_000, true)));
    let delay = |u: &AccessUnit| u.utc_us + if u.track == 1 { 150_000 } else { 0 };
    units.sort_by_key(|u| delay(u));
    let steps = run(&units);
    let opens = opens(&steps);
    assert_eq!(opens.len(), 2);
    assert!(opens.iter().all(|o| o.tracks.len() == 2));
    let sound: Vec<_> = fragments(&steps).into_iter().filter(|f| f.track == 1).collect();
    assert_eq!(sound.iter().map(|f| f.units.len()).sum::<usize>(), 187);
    for fragment in &sound {
        let hour = fragment
            .units
            .iter()
            .all(|u| (u.dts >= rescale(opens[1].origin_90k, 90_000, 48_000)) == (fragment.file == 2));
        assert!(hour, "sound lies in the file of its time");
    }
    let close = steps.iter().position(|s| matches!(s, Step::Close { file: 1 })).unwrap();
    assert!(
        steps[close..]
            .iter()
            .all(|s| !matches!(s, Step::Fragment(f) if f.file == 1))
    );
}

#[test]
fn audio_that_appears_later_begins_a_file_and_unknown_audio_does_not() {
    let (p, a) = (video(b"a"), aac());
    let mut units = at_30_fps(&p, T0_US, 90, 30);
    units.extend((0..60).map(|i| unit(&a, T0_US + 1_500_000 + i * 21_333, true)));
    units.sort_by_key(|u| u.utc_us);
    let steps = run(&units);
    assert_eq!(opens(&steps).iter().map(|o| o.tracks.len()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(opens(&steps)[1].reason, FileReason::Track);
    let pcm = Arc::new(TrackParameters {
        codec: Codec::PcmA,
        clock_rate: 8_000,
        ..(*a).clone()
    });
    let mut units = at_30_fps(&p, T0_US, 90, 30);
    units.extend((0..60).map(|i| unit(&pcm, T0_US + i * 20_000, true)));
    units.sort_by_key(|u| u.utc_us);
    let steps = run(&units);
    assert!(opens(&steps).len() == 1 && fragments(&steps).iter().all(|f| f.track == 0));
}

#[test]
fn metadata_and_empty_units_are_left_out() {
    let p = video(b"a");
    let mut units = at_30_fps(&p, T0_US, 20, 30);
    let document = Arc::new(TrackParameters {
        codec: Codec::OnvifMetadata,
        ..(*p).clone()
    });
    units.insert(
        3,
        Arc::new(AccessUnit {
            track: 2,
            ..(*unit(&document, T0_US + 5, true)).clone()
        }),
    );
    units.insert(
        4,
        Arc::new(AccessUnit {
            data: Bytes::new(),
            ..(*units[5]).clone()
        }),
    );
    assert_eq!(fragments(&run(&units)).iter().map(|f| f.units.len()).sum::<usize>(), 20);
}

#[derive(Debug, Clone)]
enum Event {
    Frame { interval_ms: i64, key: bool, offset: i64 },
    Jump { back_ms: i64 },
    ClockStep { ms: i64 },
    Parameters,
    Interrupt,
    Discontinuity,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        40 => (20i64..60, prop::bool::weighted(0.1), -3_000i64..3_000)
            .prop_map(|(interval_ms, key, offset)| Event::Frame { interval_ms, key, offset }),
        1 => (200i64..5_000).prop_map(|interval_ms| Event::Frame { interval_ms, key: false, offset: 0 }),
        1 => (0i64..5_000).prop_map(|back_ms| Event::Jump { back_ms }),
        1 => (-5_000i64..5_000).prop_map(|ms| Event::ClockStep { ms }),
        1 => Just(Event::Parameters),
        1 => Just(Event::Interrupt),
        1 => Just(Event::Discontinuity),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_every_unit_is_in_one_file_in_order(events in prop::collection::vec(event(), 1..400), start_s in 0i64..7_200) {
        let mut fragmenter = fragmenter();
        let mut steps = Vec::new();
        let mut at_us = T0_US + start_s * 1_000_000;
        let (mut step_us, mut configuration, mut number, mut discontinuity) = (0i64, 0usize, 0u32, false);
        let sets = [video(b"a"), video(b"b")];
        let mut pushed = Vec::new();
        let mut waiting = true;
        for event in &events {
            match event {
                Event::Frame { interval_ms, key, offset } => {
                    at_us += interval_ms * 1_000;
                    let mut frame = (*unit(&sets[configuration], at_us, *key)).clone();
                    number += 1;
                    frame.data = Bytes::copy_from_slice(&number.to_be_bytes());
                    frame.pts += offset;
                    frame.utc_us += ticks_to_us(*offset, 90_000) + step_us;
                    frame.discontinuity = std::mem::take(&mut discontinuity);
                    waiting &= !key;
                    if !waiting {
                        pushed.push(number);
                    }
                    fragmenter.push(&Arc::new(frame), &mut steps);
                }
                Event::Jump { back_ms } => at_us -= back_ms * 1_000,
                Event::ClockStep { ms } => step_us += ms * 1_000,
                Event::Parameters => configuration = 1 - configuration,
                Event::Discontinuity => discontinuity = true,
                Event::Interrupt => {
                    fragmenter.interrupt(GapCause::Network, &mut steps);
                    waiting = true;
                }
            }
        }
        fragmenter.finish(&mut steps);
        let all = fragments(&steps);
        let numbers: Vec<u32> = all.iter().flat_map(|f| &f.units)
            .map(|u| u32::from_be_bytes(u.data[..].try_into().unwrap())).collect();
        prop_assert!(numbers.is_sorted_by(|a, b| a < b), "in order, once");
        // Nothing that a decoder could use is missing: exactly what came after a key frame, or a wait that ended.
        for n in &pushed {
            prop_assert!(numbers.binary_search(n).is_ok(), "unit {n} is missing");
        }
        let mut open = std::collections::HashMap::new();
        for step in &steps {
            match step {
                Step::Open(start) => { open.insert(start.file, (start.clone(), None::<(i64, i64)>)); }
                Step::Close { file } => { prop_assert!(open.remove(file).is_some()); }
                Step::Fragment(f) => {
                    let (start, end) = open.get_mut(&f.file).unwrap();
                    prop_assert_eq!(&*start.tracks[0], &*f.units[0].parameters);
                    prop_assert!(f.units.windows(2).all(|w| w[0].dts < w[1].dts));
                    prop_assert_eq!(f.start_us().div_euclid(HOUR_US), start.start_us.div_euclid(HOUR_US));
                    prop_assert_eq!(f.durations().map(i64::from).sum::<i64>(), i64::from(f.duration()));
                    let media = ticks_to_us(f.first_dts() - start.origin_90k, 90_000);
                    prop_assert!((f.start_us() - start.start_us - media).abs() <= 20 * CLOCK_STEP_US);
                    if let Some((media_end, utc_end)) = *end {
                        prop_assert!(f.first_dts() >= media_end, "fragments do not overlap");
                        prop_assert!(f.start_us() >= utc_end - CLOCK_STEP_US - 40);
                    } else {
                        prop_assert_eq!(f.first_dts(), start.origin_90k);
                    }
                    *end = Some((f.first_dts() + i64::from(f.duration()), f.end_us()));
                    for pair in f.units.windows(2) {
                        prop_assert!(pair[1].dts - pair[0].dts <= (GAP_US + 5_000_000) * 9 / 100);
                    }
                }
            }
        }
        prop_assert!(open.is_empty(), "every file is closed");
    }

    #[test]
    fn no_times_make_it_panic(times in prop::collection::vec((any::<i64>(), any::<i64>(), any::<i64>(), any::<bool>(), any::<bool>(), 0u32..3), 0..40)) {
        let mut fragmenter = fragmenter();
        let mut steps = Vec::new();
        for (pts, dts, utc_us, key, audio, rate) in times {
            let base = if audio { aac() } else { video(b"a") };
            let parameters = Arc::new(TrackParameters { clock_rate: [0, 1, 90_000][rate as usize], ..(*base).clone() });
            let frame = AccessUnit { pts, dts, utc_us, ..(*unit(&base, 0, key)).clone() };
            fragmenter.push(&Arc::new(AccessUnit { parameters, ..frame }), &mut steps);
        }
        fragmenter.finish(&mut steps);
        for f in fragments(&steps) {
            let _ = (f.end_us(), f.durations().count());
        }
    }
}
