#![allow(clippy::unwrap_used)]
use super::super::clip::SourceUnit;
use super::*;
use bytes::Bytes;
use media_core::rtp::packet::RtpPacket;
use media_core::rtp::rtcp::{RtcpPacket, ntp_to_unix_us, parse_compound};

const AVCC: &[u8] = &[1, 0x64, 0, 0x28, 0xff, 0xe1, 0, 3, 0x67, 1, 2, 1, 0, 2, 0x68, 3];
const START_US: u64 = 5_000_000;

fn video(fps_ticks: i64) -> TrackParameters {
    assert!(fps_ticks > 0);
    TrackParameters {
        codec: Codec::H264,
        clock_rate: 90_000,
        configuration: Bytes::from_static(AVCC),
        width: 0,
        height: 0,
        channels: 0,
        reorder_depth: 0,
        fps_milli: 0,
    }
}

fn audio() -> TrackParameters {
    TrackParameters {
        codec: Codec::PcmU,
        clock_rate: 8000,
        channels: 1,
        configuration: Bytes::new(),
        ..video(1)
    }
}

fn nal(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

/// `frames` pictures of 3 packets, `fps_ticks` apart; the first one with its parameter sets.
fn pictures(frames: i64, fps_ticks: i64) -> Vec<SourceUnit> {
    let picture = |n: i64| {
        let mut data = nal(&[0x09, 0xf0]);
        if n == 0 {
            data.extend(nal(&[0x67, 1, 2]));
            data.extend(nal(&[0x68, 3]));
        }
        data.extend(nal(&vec![if n == 0 { 0x65 } else { 0x41 }; 4000]));
        SourceUnit {
            track: 0,
            pts: 1000 + n * fps_ticks,
            dts: 1000 + n * fps_ticks,
            key: n == 0,
            data: data.into(),
        }
    };
    (0..frames).map(picture).collect()
}

fn setup(track: u8, delivery: Delivery) -> TrackSetup {
    TrackSetup {
        track,
        delivery,
        ssrc: 0xabcd,
        first_sequence: 65_530,
        first_timestamp: 0xffff_f000,
    }
}

const TCP: Delivery = Delivery::Interleaved {
    rtp_channel: 4,
    rtcp_channel: 5,
};
const UDP: Delivery = Delivery::Udp {
    rtp_port: 1,
    rtcp_port: 2,
};

fn player_of(clip: &Arc<Clip>, setups: &[TrackSetup]) -> Player {
    Player::new(
        Arc::clone(clip),
        setups,
        START_US,
        START_US,
        0.0,
        7,
        Random::seeded(&[1]),
    )
}

fn player(delivery: Delivery) -> Player {
    let clip = Arc::new(Clip::new(vec![video(3000)], &pictures(10, 3000)).unwrap());
    player_of(&clip, &[setup(0, delivery)])
}

/// What one frame sends: its instant and its packets' (sequence, timestamp, payload).
fn next(player: &mut Player, fault: &Fault) -> (u64, Vec<(u16, u32, Vec<u8>)>) {
    let due = player.due().unwrap();
    let mut out = Outbox::default();
    player.write_frame(due, fault, None, &mut out);
    let packets = out.packets.iter().map(|packet| {
        let bytes = &out.bytes[packet.range.clone()];
        assert_eq!(
            (bytes[0], bytes.len() - 4),
            (b'$', u16::from_be_bytes([bytes[2], bytes[3]]) as usize)
        );
        let rtp = RtpPacket::parse(&bytes[4..]).unwrap();
        assert_eq!((rtp.header.ssrc, rtp.header.payload_type), (0xabcd, 96));
        (rtp.header.sequence, rtp.header.timestamp, rtp.payload.to_vec())
    });
    (due.at_us, packets.collect())
}

fn sequences(player: &mut Player, fault: &Fault, frames: usize) -> Vec<u16> {
    (0..frames)
        .flat_map(|_| next(player, fault).1)
        .map(|(sequence, ..)| sequence)
        .collect()
}

#[test]
fn frames_are_due_to_the_microsecond_and_numbers_run_on_over_the_loop() {
    let mut player = player(TCP);
    let mut sequence = 65_530u16;
    for frame in 0..25i64 {
        let (at_us, packets) = next(&mut player, &Fault::default());
        assert_eq!(at_us as i64, START_US as i64 + frame * 1_000_000 / 30, "frame {frame}");
        assert_eq!(packets.len(), if frame % 10 == 0 { 6 } else { 4 });
        for (found, timestamp, _) in packets {
            assert_eq!(found, sequence);
            assert_eq!(timestamp, 0xffff_f000u32.wrapping_add(frame as u32 * 3000));
            sequence = sequence.wrapping_add(1);
        }
    }
    assert_eq!(player.next_frame_number(), 7 + 25);
}

#[test]
fn the_clients_channel_is_in_every_packet() {
    let mut player = player(TCP);
    let mut out = Outbox::default();
    player.write_frame(player.due().unwrap(), &Fault::default(), None, &mut out);
    assert!(out.packets.iter().all(|packet| out.bytes[packet.range.start + 1] == 4));
    assert_eq!(out.packets.last().unwrap().range.end, out.bytes.len());
}

#[test]
fn a_clip_with_reordered_pictures_goes_out_in_decoding_order_after_capture() {
    let mut units = pictures(4, 3000);
    for (unit, shown) in units.iter_mut().zip([1, 4, 2, 3]) {
        unit.pts = unit.dts + (shown * 3000 - (unit.dts - 1000));
    }
    let clip = Arc::new(Clip::new(vec![video(3000)], &units).unwrap());
    let mut player = player_of(&clip, &[setup(0, TCP)]);
    let mut found = Vec::new();
    for _ in 0..4 {
        let (at_us, packets) = next(&mut player, &Fault::default());
        let captured = packets[0].1.wrapping_sub(0xffff_f000) as i32;
        let sent = us_to_ticks((at_us - START_US) as i64 + 11, 90_000) as i32;
        assert!(captured <= sent, "sent {sent} before it was captured at {captured}");
        found.push(captured / 3000);
    }
    assert_eq!(found, [-2, 1, -1, 0]);
}

#[test]
fn tracks_keep_their_own_rounds_and_start_together() {
    let mut units = pictures(3, 3000);
    let sound = |n: i64| SourceUnit {
        track: 1,
        pts: 88 + n * 160,
        dts: 88 + n * 160,
        key: true,
        data: vec![n as u8; 160].into(),
    };
    units.extend((0..7).map(sound));
    let clip = Arc::new(Clip::new(vec![video(3000), audio()], &units).unwrap());
    let mut player = player_of(
        &clip,
        &[
            setup(0, TCP),
            TrackSetup {
                track: 1,
                ..setup(1, UDP)
            },
        ],
    );
    let mut expected_audio = None;
    let (mut pictures, mut sounds) = (0, 0);
    let mut last_us = 0;
    for _ in 0..80 {
        let due = player.due().unwrap();
        assert!(due.at_us >= last_us);
        last_us = due.at_us;
        let mut out = Outbox::default();
        let delivery = player.delivery_of(due);
        player.write_frame(due, &Fault::default(), None, &mut out);
        if delivery == TCP {
            pictures += 1;
            continue;
        }
        sounds += 1;
        let rtp = RtpPacket::parse(&out.bytes[4..]).unwrap();
        assert_eq!(
            expected_audio.unwrap_or(rtp.header.timestamp),
            rtp.header.timestamp,
            "sound without a gap"
        );
        expected_audio = Some(rtp.header.timestamp.wrapping_add(160));
    }
    assert_eq!(
        (pictures, sounds),
        (30, 50),
        "30 pictures a second beside 50 of 20 ms sound"
    );
}

#[test]
fn a_dropped_packet_uses_up_its_number() {
    let mut whole = player(TCP);
    let all = sequences(&mut whole, &Fault::default(), 100);
    let fault = Fault {
        drop_ratio: 0.3,
        ..Fault::default()
    };
    let kept = sequences(&mut player(TCP), &fault, 100);
    let mut from = all.iter();
    assert!(
        kept.iter().all(|sequence| from.any(|other| other == sequence)),
        "those kept have their own numbers"
    );
    let share = 1.0 - kept.len() as f64 / all.len() as f64;
    assert!((0.22..0.38).contains(&share), "{share}");
    assert_eq!(
        kept,
        sequences(&mut player(TCP), &fault, 100),
        "the same seed drops the same packets"
    );
}

#[test]
fn packets_change_places_over_udp_only() {
    let fault = Fault {
        reorder_ratio: 0.5,
        ..Fault::default()
    };
    let all = sequences(&mut player(UDP), &Fault::default(), 20);
    assert_eq!(sequences(&mut player(TCP), &fault, 20), all);
    let mut mixed = sequences(&mut player(UDP), &fault, 20);
    assert_ne!(mixed, all);
    mixed.sort_by_key(|sequence| sequence.wrapping_sub(65_530));
    assert_eq!(mixed, all);
}

#[test]
fn duplicates_and_turned_bits() {
    let twice = sequences(
        &mut player(UDP),
        &Fault {
            duplicate_ratio: 1.0,
            ..Fault::default()
        },
        1,
    );
    assert!(twice.len() == 12 && twice.chunks(2).all(|pair| pair[0] == pair[1]));
    let (_, right) = next(&mut player(TCP), &Fault::default());
    let (_, wrong) = next(
        &mut player(TCP),
        &Fault {
            corrupt_ratio: 1.0,
            ..Fault::default()
        },
    );
    for ((.., right), (.., wrong)) in right.iter().zip(&wrong) {
        let turned: u32 = right.iter().zip(wrong).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!(turned, 1);
    }
}

#[test]
fn parameter_sets_are_left_out_without_a_gap_in_the_numbers() {
    let (_, packets) = next(
        &mut player(TCP),
        &Fault {
            omit_parameter_sets: true,
            ..Fault::default()
        },
    );
    assert_eq!(packets.len(), 4);
    assert!(packets.iter().all(|(.., payload)| !matches!(payload[0] & 0x1f, 7 | 8)));
    assert!(packets.windows(2).all(|pair| pair[1].0 == pair[0].0.wrapping_add(1)));
}

#[test]
fn timestamps_jump_and_frames_keep_their_pace() {
    let mut player = player(TCP);
    let (first_us, packets) = next(&mut player, &Fault::default());
    player.jump(-2000);
    let (second_us, after) = next(&mut player, &Fault::default());
    assert_eq!(second_us - first_us, 33_333);
    assert_eq!(after[0].1.wrapping_sub(packets[0].1), 3000u32.wrapping_sub(180_000));
}

#[test]
fn a_fast_clock_brings_frames_sooner_from_now_on_only() {
    let mut player = player(TCP);
    for _ in 0..30 {
        next(&mut player, &Fault::default());
    }
    player.set_drift(1000.0, START_US + 1_000_000);
    for _ in 0..300 {
        next(&mut player, &Fault::default());
    }
    // 10 s of the camera last 10 s / 1.001.
    assert_eq!(player.due().unwrap().at_us, START_US + 1_000_000 + 9_990_009);
    let mut out = Outbox::default();
    player
        .write_report(0, START_US + 1_000_000 + 9_990_009, 77, &mut out)
        .unwrap();
    let RtcpPacket::SenderReport(report) = parse_compound(&out.bytes[4..]).unwrap().remove(0) else {
        panic!()
    };
    let media = report.rtp_timestamp.wrapping_sub(0xffff_f000);
    assert!(
        media.abs_diff(11 * 90_000) <= 1,
        "the report tells the camera's own time, {media}"
    );
}

#[test]
fn reports_come_at_play_and_every_five_seconds() {
    let mut player = player(TCP);
    let mut out = Outbox::default();
    assert_eq!(
        player.write_report(0, START_US, 1_790_000_000_000_000, &mut out),
        Some(TCP)
    );
    assert_eq!((out.bytes[1], out.packets[0].control), (5, true));
    let compound = parse_compound(&out.bytes[4..]).unwrap();
    let RtcpPacket::SenderReport(report) = &compound[0] else {
        panic!("no sender report first")
    };
    assert_eq!((report.ssrc, report.rtp_timestamp), (0xabcd, 0xffff_f000));
    assert_eq!(ntp_to_unix_us(report.ntp), 1_790_000_000_000_000);
    assert!(matches!(compound[1], RtcpPacket::SourceDescription { .. }));
    assert_eq!(player.write_report(0, START_US + 4_999_999, 0, &mut out), None);
    next(&mut player, &Fault::default());
    out.clear();
    assert_eq!(player.write_report(0, START_US + 5_000_000, 0, &mut out), Some(TCP));
    let RtcpPacket::SenderReport(report) = parse_compound(&out.bytes[4..]).unwrap().remove(0) else {
        panic!()
    };
    assert_eq!((report.packets, report.bytes), (6, 2 + 3 + 2 + 3999 + 3 * 2));
}

#[test]
fn another_source_goes_on_where_the_first_one_left() {
    let mut player = player(TCP);
    let (_, before) = next(&mut player, &Fault::default());
    let slower = Arc::new(Clip::new(vec![video(6000)], &pictures(5, 6000)).unwrap());
    assert!(player.switch(&slower));
    let (at_us, first) = next(&mut player, &Fault::default());
    assert_eq!(at_us, START_US + 33_333);
    assert_eq!(first[0].1.wrapping_sub(before[0].1), 3000);
    assert_eq!(first[0].0, before.last().unwrap().0.wrapping_add(1));
    let (_, second) = next(&mut player, &Fault::default());
    assert_eq!(second[0].1.wrapping_sub(first[0].1), 6000);
    let sound = SourceUnit {
        track: 0,
        pts: 0,
        dts: 0,
        key: true,
        data: Bytes::from_static(&[1; 160]),
    };
    assert!(
        !player.switch(&Arc::new(Clip::new(vec![audio()], &[sound]).unwrap())),
        "no picture there"
    );
    let h265 = TrackParameters {
        codec: Codec::H265,
        configuration: Bytes::new(),
        ..video(1)
    };
    assert!(
        !player.switch(&Arc::new(Clip::new(vec![h265], &pictures(2, 3000)).unwrap())),
        "another codec"
    );
}

#[test]
fn a_hanging_camera_loses_frames_but_no_sequence_numbers() {
    let mut player = player(TCP);
    let (_, before) = next(&mut player, &Fault::default());
    player.skip(player.due().unwrap());
    player.skip(player.due().unwrap());
    let (_, after) = next(&mut player, &Fault::default());
    assert_eq!(after[0].0, before.last().unwrap().0.wrapping_add(1));
    assert_eq!(after[0].1.wrapping_sub(before[0].1), 9000);
    assert_eq!(player.next_frame_number(), 7 + 4);
}

#[test]
fn clips_that_cannot_be_played_are_refused() {
    let clip = |tracks: Vec<TrackParameters>, units: &[SourceUnit]| Clip::new(tracks, units).unwrap_err().to_string();
    let units = pictures(3, 3000);
    assert!(clip(vec![], &units).contains("1 to 8 tracks"));
    assert!(clip(vec![video(1), audio()], &units).contains("track 1: no units"));
    assert!(
        clip(
            vec![TrackParameters {
                clock_rate: 0,
                ..video(1)
            }],
            &units
        )
        .contains("clock rate")
    );
    let stray = SourceUnit {
        track: 3,
        ..units[0].clone()
    };
    assert!(clip(vec![video(1)], &[stray]).contains("track 3"));
    let back = [units[1].clone(), units[0].clone()];
    assert!(clip(vec![video(1)], &back).contains("goes back"));
    let torn = SourceUnit {
        data: Bytes::from_static(&[0, 0, 0, 9, 1]),
        ..units[0].clone()
    };
    assert!(clip(vec![video(1)], &[torn]).contains("track 0: unit 0: NAL unit"));
}

#[test]
fn pictures_are_counted_by_the_cameras_clock() {
    let clip = Clip::new(vec![video(3000)], &pictures(10, 3000)).unwrap();
    assert_eq!(clip.frames_until(0), 0);
    assert_eq!(clip.frames_until(1), 1);
    assert_eq!(clip.frames_until(1_000_000), 30);
    assert_eq!(clip.frames_until(86_400_000_001), 86_400 * 30 + 1);
}

#[test]
fn a_stamp_goes_before_the_picture_and_after_what_leads_it() {
    let mut player = player(TCP);
    let mut sequence = 65_530u16;
    for frame in 0..3u64 {
        let mut out = Outbox::default();
        let sent_us = 1_790_000_000_000_000 + frame;
        player.write_frame(player.due().unwrap(), &Fault::default(), Some(sent_us), &mut out);
        let mut unit = Vec::new();
        let mut kinds = Vec::new();
        for packet in &out.packets {
            let rtp = RtpPacket::parse(&out.bytes[packet.range.start + 4..packet.range.end]).unwrap();
            assert_eq!(rtp.header.sequence, sequence);
            assert_eq!(rtp.header.timestamp, 0xffff_f000u32.wrapping_add(frame as u32 * 3000));
            sequence = sequence.wrapping_add(1);
            kinds.push(rtp.payload[0] & 0x1f);
            unit.extend(nal(rtp.payload));
        }
        let leading: &[u8] = if frame == 0 {
            &[9, 7, 8, 6, 28, 28, 28]
        } else {
            &[9, 6, 28, 28, 28]
        };
        assert_eq!(kinds, leading);
        let wanted = Stamp {
            frame: 7 + frame,
            sent_us,
        };
        assert_eq!(media_core::stamp::find_stamp(&unit, Codec::H264), Some(wanted));
    }
}
