#![allow(clippy::unwrap_used)]
use super::super::packet::RtpHeader;
use super::super::rtcp::{SenderReport, unix_us_to_ntp, write_goodbye, write_sender_report};
use super::*;
use crate::rtsp::sdp::SessionDescription;
use proptest::prelude::*;

const START_UTC_US: i64 = 1_790_000_000_000_000;
const SDP: &str = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n\
    a=fmtp:96 sprop-parameter-sets=Z2QAKKzZQHgCJ+XARAAAAwAEAAADAPA8YMZY,aOvjyyLA\n\
    m=audio 0 RTP/AVP 8\n";
const P_NAL: &[u8] = &[0x41, 0x9a, 0x21, 0x22];

fn receiver(media: usize, reorder: bool) -> TrackReceiver {
    TrackReceiver::new(
        &SessionDescription::parse(SDP.as_bytes()).unwrap().medias[media],
        reorder,
    )
    .unwrap()
}

fn packet(payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let header = RtpHeader {
        marker: true,
        payload_type,
        sequence,
        timestamp,
        ssrc,
    };
    [&header.to_bytes(), payload].concat()
}

fn at(us: i64) -> Arrival {
    Arrival {
        utc_us: START_UTC_US + us,
        monotonic_us: us as u64,
    }
}

/// One picture per packet, 30 per second, sent in the order of `sequences`.
fn send(receiver: &mut TrackReceiver, sequences: &[u16]) -> Vec<AccessUnit> {
    let mut out = Vec::new();
    for (n, sequence) in sequences.iter().enumerate() {
        let bytes = packet(96, *sequence, u32::from(*sequence) * 3000, 1, P_NAL);
        receiver.push(&bytes, at(n as i64 * 33_333), &mut out);
    }
    out
}

#[test]
fn units_come_with_their_times() {
    let units = send(&mut receiver(0, false), &[0, 1, 2]);
    assert_eq!(units.len(), 3);
    assert!(units[0].discontinuity && !units[1].discontinuity);
    assert_eq!(units[2].pts - units[0].pts, 6000);
    assert_eq!(units[2].dts, units[2].pts);
    assert_eq!(
        (units[0].utc_us, units[2].received_us, units[0].track),
        (START_UTC_US, 66_666, 0)
    );
}

#[test]
fn datagrams_are_reordered_and_a_missing_one_is_counted() {
    let mut tcp = receiver(0, false);
    assert_eq!(send(&mut tcp, &[0, 2, 1, 3]).len(), 3);
    assert_eq!((tcp.figures().duplicate_packets, tcp.figures().lost_packets), (1, 1));
    let mut udp = receiver(0, true);
    let units = send(&mut udp, &[0, 2, 1, 3]);
    assert!(units.windows(2).all(|pair| pair[1].pts - pair[0].pts == 3000));
    assert_eq!(
        (units.len(), udp.figures().lost_packets, udp.figures().reordered_packets),
        (4, 0, 1)
    );
    let units = send(&mut udp, &[4, 6, 7]);
    assert_eq!((units.len(), udp.is_waiting()), (1, true));
    let mut out = Vec::new();
    udp.expire(at(1_000_000), &mut out);
    assert_eq!((out.len(), out[0].lost_packets, udp.figures().lost_packets), (2, 1, 1));
}

#[test]
fn another_source_starts_anew() {
    for reorder in [false, true] {
        let mut receiver = receiver(0, reorder);
        let mut out = send(&mut receiver, &[0, 1]);
        receiver.push(&packet(96, 50_000, 90_000, 2, P_NAL), at(100_000), &mut out);
        assert!(out.last().unwrap().discontinuity);
        assert_eq!(receiver.figures().lost_packets, 0);
    }
}

#[test]
fn other_payload_types_are_left_out_unless_the_description_was_wrong() {
    let mut described = receiver(0, false);
    let mut out = send(&mut described, &[0]);
    for sequence in 1..100 {
        described.push(&packet(13, sequence, 0, 1, P_NAL), at(0), &mut out);
    }
    assert_eq!(out.len(), 1);
    let mut wrong = receiver(0, false);
    let mut out = Vec::new();
    for sequence in 0..40 {
        wrong.push(
            &packet(97, sequence, u32::from(sequence) * 3000, 1, P_NAL),
            at(0),
            &mut out,
        );
    }
    assert_eq!(out.len(), 8);
}

#[test]
fn sender_reports_give_the_cameras_clock_and_receiver_reports_answer_them() {
    let mut receiver = receiver(0, false);
    let mut rtcp = Vec::new();
    receiver.write_receiver_report(9, "vms", 0, &mut rtcp);
    assert!(rtcp.is_empty());
    send(&mut receiver, &[0, 2]);
    let ntp = unix_us_to_ntp(START_UTC_US + 2_000_000);
    let report = SenderReport {
        ssrc: 1,
        ntp,
        rtp_timestamp: 0,
        packets: 0,
        bytes: 0,
        blocks: vec![],
    };
    write_sender_report(&report, &mut rtcp);
    assert!(!receiver.rtcp(&rtcp, at(50_000)).unwrap());
    assert!((receiver.clock().camera_offset_us().unwrap() - 2_000_000).abs() < 40_000);
    rtcp.clear();
    receiver.write_receiver_report(9, "vms", 550_000, &mut rtcp);
    let RtcpPacket::ReceiverReport { ssrc: 9, blocks } = &parse_compound(&rtcp).unwrap()[0] else {
        panic!()
    };
    assert_eq!((blocks[0].ssrc, blocks[0].cumulative_lost), (1, 1));
    assert_eq!(
        (blocks[0].last_sender_report, blocks[0].delay_since_sender_report),
        ((ntp >> 16) as u32, 32_768)
    );
    rtcp.clear();
    write_goodbye(1, &mut rtcp);
    assert!(receiver.rtcp(&rtcp, at(0)).unwrap());
    assert!(receiver.rtcp(&[1, 2, 3], at(0)).is_err());
}

#[test]
fn sound_is_brought_in_step_by_sender_reports() {
    let (mut video, mut audio) = (receiver(0, false), receiver(1, false));
    let mut out = Vec::new();
    video.push(&packet(96, 0, 0, 1, P_NAL), at(0), &mut out);
    audio.push(&packet(8, 0, 800, 2, &[0; 160]), at(300_000), &mut out);
    let send_report = |receiver: &mut TrackReceiver, ssrc, rtp_timestamp| {
        let ntp = unix_us_to_ntp(START_UTC_US);
        let report = SenderReport {
            ssrc,
            ntp,
            rtp_timestamp,
            packets: 0,
            bytes: 0,
            blocks: vec![],
        };
        let mut rtcp = Vec::new();
        write_sender_report(&report, &mut rtcp);
        receiver.rtcp(&rtcp, at(300_000)).unwrap();
    };
    assert!(!audio.align(video.clock(), 40_000), "no reports yet");
    send_report(&mut video, 1, 0);
    send_report(&mut audio, 2, 800);
    assert!(audio.align(video.clock(), 40_000));
    assert!(!audio.align(video.clock(), 40_000), "done");
    audio.push(&packet(8, 1, 960, 2, &[0; 160]), at(320_000), &mut out);
    let (video_us, audio_us) = (out[0].pts * 100 / 9, out[2].pts * 125);
    assert!((audio_us - video_us - 20_000).abs() < 200, "{} µs", audio_us - video_us);
    assert!(out[2].discontinuity, "its time moved");
}

#[test]
fn a_report_before_the_first_packet_counts_from_the_first_unit_on() {
    for reported_ssrc in [1, 7] {
        let mut receiver = receiver(0, false);
        let report = SenderReport {
            ssrc: reported_ssrc,
            ntp: unix_us_to_ntp(START_UTC_US + 2_000_000),
            rtp_timestamp: 3000,
            packets: 0,
            bytes: 0,
            blocks: vec![],
        };
        let mut rtcp = Vec::new();
        write_sender_report(&report, &mut rtcp);
        receiver.rtcp(&rtcp, at(0)).unwrap();
        assert_eq!(receiver.clock().report_alignment_us(), None);
        send(&mut receiver, &[1]);
        // Of another source it says nothing about this one.
        let expected = (reported_ssrc == 1).then_some(-2_000_000);
        assert_eq!(receiver.clock().report_alignment_us(), expected);
    }
}

proptest! {
    #[test]
    fn any_datagrams_are_taken(packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..60), reorder: bool) {
        let mut receiver = receiver(0, reorder);
        let mut out = Vec::new();
        for (n, bytes) in packets.into_iter().enumerate() {
            let _ = receiver.rtcp(&bytes, at(n as i64));
            receiver.push(&bytes, at(n as i64 * 10_000), &mut out);
            let framed = packet(96, u16::from(*bytes.first().unwrap_or(&0)), n as u32, 1, &bytes);
            receiver.push(&framed, at(n as i64 * 10_000), &mut out);
        }
    }
}
