#![allow(clippy::unwrap_used)]

use super::super::rtcp::{ReportBlock, SenderReport, write_goodbye, write_receiver_report, write_sender_report};
use super::*;
use proptest::prelude::*;

fn part(packet_type: u8, format: u8, body: &[u8]) -> Vec<u8> {
    let words = (body.len() / 4) as u16;
    [&[0x80 | format, packet_type][..], &words.to_be_bytes(), body].concat()
}

#[test]
fn a_compound_says_everything_in_order() {
    let block = ReportBlock {
        ssrc: 9,
        fraction_lost: 3,
        cumulative_lost: -2,
        highest_sequence: 0x1_0005,
        jitter: 4,
        last_sender_report: 5,
        delay_since_sender_report: 6,
    };
    let report = SenderReport {
        ssrc: 7,
        ntp: 1,
        rtp_timestamp: 2,
        packets: 3,
        bytes: 4,
        blocks: vec![block],
    };
    let mut compound = Vec::new();
    write_receiver_report(1, &[block], &mut compound);
    write_sender_report(&report, &mut compound);
    compound.extend_from_slice(&part(202, 0, &[]));
    write_nack(1, 2, &[10], &mut compound);
    write_picture_loss(1, 3, &mut compound);
    write_goodbye(8, &mut compound);
    let blocks = vec![block];
    assert_eq!(
        parse_feedback(&compound).unwrap(),
        [
            Feedback::ReceiverReport {
                ssrc: 1,
                blocks: blocks.clone()
            },
            Feedback::ReceiverReport { ssrc: 7, blocks },
            Feedback::Nack {
                media_ssrc: 2,
                sequences: vec![10]
            },
            Feedback::PictureLoss { media_ssrc: 3 },
            Feedback::Bye { ssrc: 8 },
        ]
    );
}

#[test]
fn requests_for_pictures_name_their_stream_and_number() {
    let body = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 77, 0, 0, 0, 0, 0, 0, 6, 78, 0, 0, 0];
    assert_eq!(
        parse_feedback(&part(206, 4, &body)).unwrap(),
        [
            Feedback::FullIntraRequest {
                media_ssrc: 5,
                number: 77
            },
            Feedback::FullIntraRequest {
                media_ssrc: 6,
                number: 78
            },
        ]
    );
}

#[test]
fn bandwidth_is_mantissa_and_exponent() {
    let remb = |rate: [u8; 4]| {
        let body = [&[0; 8][..], b"REMB", &rate, &[0, 0, 0, 9, 0, 0, 0, 10]].concat();
        parse_feedback(&part(206, 15, &body)).unwrap()
    };
    // 0x2f0ab << 3.
    assert_eq!(
        remb([2, 3 << 2 | 2, 0xf0, 0xab]),
        [Feedback::Remb {
            bitrate_bps: 0x2_f0ab << 3,
            ssrcs: vec![9, 10]
        }]
    );
    assert_eq!(
        remb([200, 0xff, 0xff, 0xff]),
        [Feedback::Remb {
            bitrate_bps: u64::MAX,
            ssrcs: vec![9, 10]
        }]
    );
    let other = [&[0; 8][..], b"ABCD", &[0; 4]].concat();
    assert_eq!(parse_feedback(&part(206, 15, &other)).unwrap(), []);
}

#[test]
fn arrivals_follow_runs_and_vectors() {
    let head = [
        0, 0, 0, 1, 0, 0, 0, 2, // SSRCs
        0xff, 0xfe, 0, 13, // base, packets
        0xff, 0xff, 0xff, 7, // reference −64 ms, number
    ];
    let chunks = [
        0x20,
        0x02, // two small deltas
        0x00,
        0x03, // three lost
        0b1100_0110,
        0b1111_0001, // two bits each: lost, small, large, reserved, reserved, lost, small
        0xa0,
        0x00, // one bit each; one packet is left: small
    ];
    let deltas = [4, 8, 1, 0xff, 0xfc, 2, 3, 0];
    let body = [&head[..], &chunks, &deltas].concat();
    let Feedback::TransportFeedback(feedback) = parse_feedback(&part(205, 15, &body)).unwrap().remove(0) else {
        panic!("no transport feedback");
    };
    assert_eq!(
        (feedback.media_ssrc, feedback.number, feedback.base_sequence),
        (2, 7, 0xfffe)
    );
    let us = |value: i64| Some(-64_000 + value * 250);
    let expected = [
        us(4),
        us(12),
        None,
        None,
        None,
        None,
        us(13),
        us(9),
        None,
        None,
        None,
        us(11),
        us(14),
    ];
    assert_eq!(feedback.arrivals_us, expected);
}

#[test]
fn feedback_that_lacks_its_deltas_or_chunks_is_refused() {
    let feedback = |count: [u8; 2], rest: &[u8]| {
        let body = [&[0; 10][..], &count, &[0; 4], rest].concat();
        parse_feedback(&part(205, 15, &body))
    };
    assert!(feedback([0, 3], &[0x20, 3, 1, 1]).is_err(), "a delta is missing");
    assert!(feedback([0, 4], &[0x20, 3, 0x20, 0, 0x20, 1, 1, 1, 1, 1, 0, 0]).is_err(), "an empty run");
    assert!(feedback([0, 2], &[]).is_err(), "no chunk");
    assert!(feedback([0, 2], &[0x40, 2, 1, 1]).is_err(), "half a large delta");
    let none = feedback([0x20, 0], &[0x1f, 0xff, 0, 1]).unwrap_err();
    assert!(none.message().contains("8192 packets"), "{none}");
    assert!(feedback([0x10, 0], &[0x1f, 0xff, 0, 0]).is_ok(), "4096 lost packets");
}

#[test]
fn requests_beyond_a_bound_are_refused() {
    let entries: Vec<u8> = [0, 1, 0xff, 0xff].repeat(59);
    let body = [&[0; 8][..], &entries].concat();
    let error = parse_feedback(&part(205, 1, &body)).unwrap_err();
    assert!(error.message().contains("more than 1000"), "{error}");
    let half = part(205, 1, &body[..8 + 4 * 30]);
    assert!(parse_feedback(&half).is_ok());
    assert!(
        parse_feedback(&[half.clone(), half].concat()).is_err(),
        "all of a datagram counts"
    );
}

#[test]
fn packets_cut_short_are_refused() {
    for (packet_type, format) in [(200, 0), (201, 0), (205, 1), (205, 15), (206, 1)] {
        assert!(
            parse_feedback(&part(packet_type, format, &[])).is_err(),
            "{packet_type}"
        );
    }
    assert!(parse_feedback(&part(206, 15, &[&[0; 8][..], b"REMB"].concat())).is_err());
    assert!(parse_feedback(&[0x81, 205, 0, 9, 0, 0]).is_err());
    assert!(parse_feedback(&[]).is_err());
}

proptest! {
    #[test]
    fn requests_survive_writing(mut sequences in proptest::collection::btree_set(any::<u16>(), 0..60), near in 0u16..200) {
        sequences.extend((0..20).map(|step| near + step * 3));
        let sequences: Vec<u16> = sequences.into_iter().collect();
        let mut bytes = Vec::new();
        write_nack(1, 2, &sequences, &mut bytes);
        prop_assert_eq!(parse_feedback(&bytes).unwrap(), [Feedback::Nack { media_ssrc: 2, sequences }]);
    }

    #[test]
    fn any_feedback_body_is_read_or_refused(
        kind in 200u8..208,
        format in 0u8..32,
        body in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let words = body.len() / 4;
        if let Ok(found) = parse_feedback(&part(kind, format, &body[..words * 4])) {
            for feedback in found {
                if let Feedback::TransportFeedback(feedback) = feedback {
                    prop_assert!(feedback.arrivals_us.len() <= MAX_TRANSPORT_PACKETS);
                }
            }
        }
    }
}
