//! H.264 over RTP (RFC 6184): single NAL units, STAP-A and FU-A; interleaved mode is not used by cameras.

use super::nal_depacketizer::{NalCodec, NalKind, Payload, split_at_start_codes};
use super::parameter_sets::{ParameterSets, decode_sprop, first_exp_golomb};
use crate::Result;
use crate::codec::h264;
use crate::rtsp::sdp::Format;
use crate::track::TrackParameters;

const SLICE: u8 = 1;
const PARTITION_A: u8 = 2;
const IDR: u8 = 5;
const SEI: u8 = 6;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const PREFIX: u8 = 14;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// The parameter sets of an H.264 track.
#[derive(Debug, Default)]
pub struct H264 {
    sps: ParameterSets,
    pps: ParameterSets,
}

impl H264 {
    /// With the sets of `sprop-parameter-sets`, as far as they can be read.
    pub fn from_format(format: &Format) -> Self {
        let mut codec = Self::default();
        for set in decode_sprop(format.parameter("sprop-parameter-sets")) {
            for nal in split_at_start_codes(&set) {
                codec.keep(nal);
            }
        }
        codec
    }
}

impl NalCodec for H264 {
    const HEADER_BYTES: usize = 1;
    const PARAMETER_SETS: &'static str = "SPS/PPS";

    #[inline]
    fn kind(nal: &[u8]) -> NalKind {
        let Some(first) = nal.first() else {
            return NalKind::Invalid;
        };
        match first & 0x1f {
            // first_mb_in_slice is 0 exactly when its Exp-Golomb code is the single bit 1.
            SLICE | PARTITION_A | IDR => NalKind::Slice {
                first: nal.get(1).is_some_and(|b| b & 0x80 != 0),
            },
            3 | 4 => NalKind::Slice { first: false },
            SPS | PPS => NalKind::ParameterSet,
            SEI | DELIMITER | PREFIX => NalKind::Prefix,
            0 | 24..=31 => NalKind::Invalid,
            _ => NalKind::Other,
        }
    }

    #[inline]
    fn payload(payload: &[u8]) -> Payload<'_> {
        let Some(indicator) = payload.first() else {
            return Payload::Invalid;
        };
        match indicator & 0x1f {
            1..=23 => Payload::Single,
            STAP_A => Payload::Aggregate(&payload[1..]),
            FU_A => match payload {
                [_, fu, data @ ..] => Payload::Fragment {
                    start: fu & 0x80 != 0,
                    end: fu & 0x40 != 0,
                    header: [indicator & 0xe0 | fu & 0x1f, 0],
                    data,
                },
                _ => Payload::Invalid,
            },
            // Annex B start codes in front, as some cameras leave them.
            0 if payload.starts_with(&[0, 0, 1]) || payload.starts_with(&[0, 0, 0, 1]) => Payload::Single,
            _ => Payload::Invalid,
        }
    }

    fn keep(&mut self, nal: &[u8]) -> bool {
        match nal.first().map(|b| b & 0x1f) {
            // profile_idc, constraint flags and level_idc stand before the id.
            Some(SPS) => self.sps.keep(nal.get(4..).and_then(first_exp_golomb), nal),
            Some(PPS) => self.pps.keep(nal.get(1..).and_then(first_exp_golomb), nal),
            _ => false,
        }
    }

    fn parameters(&self) -> Option<Result<TrackParameters>> {
        if self.sps.is_empty() || self.pps.is_empty() {
            return None;
        }
        Some(h264::parameters_of_sets(&self.sps.all(), &self.pps.all()))
    }

    fn is_random_access(data: &[u8]) -> bool {
        h264::is_random_access(data)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::depacketizer::CodedUnit;
    use super::super::nal_depacketizer::NalDepacketizer;
    use super::super::packet::{RtpHeader, RtpPacket};
    use super::*;
    use proptest::prelude::*;

    const SPS_A: &[u8] = &[
        0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04,
        0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58,
    ];
    const PPS_A: &[u8] = &[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];
    const IDR_NAL: &[u8] = &[0x65, 0x88, 0x11, 0x12, 0x13, 0x14];
    const P_NAL: &[u8] = &[0x41, 0x9a, 0x21, 0x22, 0x23, 0x24];
    const LATER_SLICE: &[u8] = &[0x41, 0x3a, 0x31, 0x32];

    struct Stream {
        depacketizer: NalDepacketizer<H264>,
        out: Vec<CodedUnit>,
    }

    impl Stream {
        fn new() -> Self {
            Self {
                depacketizer: NalDepacketizer::new(H264::default()),
                out: Vec::new(),
            }
        }

        fn send(&mut self, timestamp: u32, marker: bool, lost_packets: u32, payload: &[u8]) -> &mut Self {
            let header = RtpHeader {
                marker,
                payload_type: 96,
                sequence: 0,
                timestamp,
                ssrc: 1,
            };
            let packet = RtpPacket {
                header,
                extension: None,
                payload,
            };
            self.depacketizer.push(&packet, lost_packets, &mut self.out);
            self
        }

        /// SPS, PPS and IDR as three packets of one unit.
        fn key(&mut self, timestamp: u32) -> &mut Self {
            self.send(timestamp, false, 0, SPS_A)
                .send(timestamp, false, 0, PPS_A)
                .send(timestamp, true, 0, IDR_NAL)
        }

        fn fragments(&mut self, timestamp: u32, nal: &[u8], lost_before: [u32; 3]) -> &mut Self {
            let indicator = nal[0] & 0xe0 | FU_A;
            let kind = nal[0] & 0x1f;
            let third = (nal.len() - 1) / 3;
            let body = &nal[1..];
            let pieces = [&body[..third], &body[third..2 * third], &body[2 * third..]];
            for (n, piece) in pieces.into_iter().enumerate() {
                if lost_before[n] == u32::MAX {
                    continue;
                }
                let fu = kind | if n == 0 { 0x80 } else { 0 } | if n == 2 { 0x40 } else { 0 };
                self.send(timestamp, n == 2, lost_before[n], &[&[indicator, fu], piece].concat());
            }
            self
        }
    }

    fn prefixed(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter()
            .flat_map(|nal| [&(nal.len() as u32).to_be_bytes(), *nal].concat())
            .collect()
    }

    #[test]
    fn single_units_make_one_access_unit() {
        let mut stream = Stream::new();
        stream.key(1000).send(4000, true, 0, P_NAL);
        assert_eq!(stream.out.len(), 2);
        assert_eq!(stream.out[0].data, prefixed(&[SPS_A, PPS_A, IDR_NAL]));
        assert!(stream.out[0].key && !stream.out[1].key);
        assert_eq!(
            (stream.out[0].parameters.width, stream.out[0].parameters.height),
            (1920, 1080)
        );
        assert!(std::sync::Arc::ptr_eq(
            &stream.out[0].parameters,
            &stream.out[1].parameters
        ));
        assert_eq!((stream.out[1].rtp_timestamp, stream.out[1].lost_packets), (4000, 0));
    }

    #[test]
    fn aggregates_and_fragments_are_put_together() {
        let mut stream = Stream::new();
        let mut stap = vec![0x78];
        for nal in [SPS_A, PPS_A] {
            stap.extend_from_slice(&(nal.len() as u16).to_be_bytes());
            stap.extend_from_slice(nal);
        }
        let long: Vec<u8> = [&[0x65, 0x88], vec![7; 3000].as_slice()].concat();
        stream.send(1, false, 0, &stap).fragments(1, &long, [0; 3]);
        assert_eq!(stream.out[0].data, prefixed(&[SPS_A, PPS_A, &long]));
        assert!(stream.out[0].key);
    }

    #[test]
    fn without_markers_the_timestamp_ends_a_unit() {
        let mut stream = Stream::new();
        stream
            .send(1, false, 0, SPS_A)
            .send(1, false, 0, PPS_A)
            .send(1, false, 0, IDR_NAL)
            .send(2, false, 0, P_NAL);
        assert_eq!(stream.out.len(), 1);
        stream.send(3, false, 0, P_NAL);
        assert_eq!(stream.out[1].data, prefixed(&[P_NAL]));
    }

    #[test]
    fn a_unit_with_a_missing_packet_is_discarded_and_the_next_one_tells() {
        let long: Vec<u8> = [&[0x41, 0x9a], vec![7; 3000].as_slice()].concat();
        for lost in [[0, u32::MAX, 1], [u32::MAX, 1, 0]] {
            let mut stream = Stream::new();
            stream.key(1).fragments(2, &long, lost).send(3, true, 0, P_NAL);
            assert_eq!(stream.out.len(), 2, "{lost:?}");
            assert_eq!((stream.out[1].rtp_timestamp, stream.out[1].lost_packets), (3, 1));
            assert_eq!(stream.depacketizer.counters().discarded_units, 1);
        }
        // The end of a unit is missing: the next one starts cleanly and is kept.
        let mut stream = Stream::new();
        stream
            .key(1)
            .fragments(2, &long, [0, 0, u32::MAX])
            .send(3, true, 1, P_NAL);
        assert_eq!(stream.out.len(), 2);
        assert_eq!((stream.out[1].rtp_timestamp, stream.out[1].lost_packets), (3, 1));
    }

    #[test]
    fn after_a_loss_a_unit_that_lacks_its_first_slice_is_discarded() {
        let mut stream = Stream::new();
        stream.key(1).send(2, true, 1, LATER_SLICE).send(3, true, 0, P_NAL);
        assert_eq!(stream.out.iter().map(|u| u.rtp_timestamp).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn nothing_is_delivered_before_parameter_sets() {
        let mut stream = Stream::new();
        stream.send(1, true, 0, P_NAL);
        assert!(stream.out.is_empty());
        assert_eq!(stream.depacketizer.counters().units_without_parameters, 1);
        stream.key(2);
        assert_eq!(stream.out.len(), 1);
    }

    #[test]
    fn corrupt_parameter_sets_are_reported_and_do_not_replace_good_ones() {
        let mut stream = Stream::new();
        stream
            .send(1, false, 0, &[0x67, 0xff])
            .send(1, false, 0, PPS_A)
            .send(1, true, 0, IDR_NAL);
        assert!(stream.out.is_empty());
        assert!(
            stream
                .depacketizer
                .parameter_error()
                .unwrap()
                .message()
                .contains("SPS/PPS")
        );
        stream.key(2);
        assert!(stream.depacketizer.parameter_error().is_none());
        let good = stream.out[0].parameters.clone();
        stream.send(3, false, 0, &SPS_A[..6]).send(3, true, 0, IDR_NAL);
        assert!(stream.depacketizer.parameter_error().is_some());
        assert!(std::sync::Arc::ptr_eq(&stream.out[1].parameters, &good));
    }

    #[test]
    fn parameter_sets_marked_or_stamped_apart_join_their_picture() {
        let mut stream = Stream::new();
        stream
            .send(1, true, 0, SPS_A)
            .send(2, true, 0, PPS_A)
            .send(3, true, 0, IDR_NAL);
        assert_eq!(stream.out.len(), 1);
        assert_eq!(
            (stream.out[0].rtp_timestamp, &stream.out[0].data[..]),
            (3, &prefixed(&[SPS_A, PPS_A, IDR_NAL])[..])
        );
    }

    #[test]
    fn a_camera_that_marks_every_slice_is_found_out() {
        let mut stream = Stream::new();
        stream.key(1);
        for timestamp in 2..6 {
            stream
                .send(timestamp, true, 0, P_NAL)
                .send(timestamp, true, 0, LATER_SLICE);
        }
        let sizes: Vec<usize> = stream.out.iter().skip(2).map(|u| u.data.len()).collect();
        assert_eq!(
            sizes,
            [prefixed(&[P_NAL, LATER_SLICE]).len(); 2],
            "whole pictures from the second on"
        );
    }

    #[test]
    fn start_codes_inside_payloads_are_taken_out() {
        let mut stream = Stream::new();
        let joined = [SPS_A, &[0, 0, 0, 1], PPS_A, &[0, 0, 1], IDR_NAL].concat();
        stream.send(1, true, 0, &joined);
        let leading = [&[0, 0, 0, 1], P_NAL].concat();
        stream.send(2, true, 0, &leading);
        stream.fragments(3, &joined, [0; 3]);
        assert_eq!(stream.out[0].data, prefixed(&[SPS_A, PPS_A, IDR_NAL]));
        assert_eq!(stream.out[1].data, prefixed(&[P_NAL]));
        assert_eq!(stream.out[2].data, prefixed(&[SPS_A, PPS_A, IDR_NAL]));
    }

    #[test]
    fn payloads_of_unknown_make_damage_their_unit_only() {
        let mut stream = Stream::new();
        stream
            .key(1)
            .send(2, true, 0, &[0x7c])
            .send(3, true, 0, &[0x78, 0, 9, 1])
            .send(4, true, 0, &[0x79, 1, 2]);
        stream.send(5, true, 0, P_NAL);
        assert_eq!(stream.out.iter().map(|u| u.rtp_timestamp).collect::<Vec<_>>(), [1, 5]);
        assert_eq!(stream.depacketizer.counters().malformed_packets, 3);
    }

    #[test]
    fn sets_of_the_session_description_are_used_until_others_come() {
        let sprop = "Z2QAKKzZQHgCJ+XARAAAAwAEAAADAPA8YMZY,aOvjyyLA";
        let format = |value: &str| Format {
            parameters: vec![("sprop-parameter-sets".into(), value.into())],
            ..Format::default()
        };
        let depacketizer = NalDepacketizer::new(H264::from_format(&format(sprop)));
        assert_eq!(depacketizer.parameters().unwrap().height, 1080);
        let unpadded_and_annex_b = "AAAAAWdkACis2UB4Aiflw EQAAAMABAAAAwDwPGDGWA,,AAAAAWjr48siwA";
        assert!(
            NalDepacketizer::new(H264::from_format(&format(unpadded_and_annex_b)))
                .parameters()
                .is_some()
        );
        let corrupt = NalDepacketizer::new(H264::from_format(&format("!!!,Z2Q=")));
        assert!(corrupt.parameters().is_none());
    }

    #[test]
    fn a_second_picture_parameter_set_does_not_change_the_parameters() {
        let mut stream = Stream::new();
        let second = [0x68, 0x5b, 0xe3, 0xcb, 0x22, 0xc0];
        for timestamp in 1..4 {
            stream.send(timestamp, false, 0, SPS_A).send(timestamp, false, 0, PPS_A);
            stream
                .send(timestamp, false, 0, &second)
                .send(timestamp, true, 0, IDR_NAL);
        }
        assert!(std::sync::Arc::ptr_eq(
            &stream.out[0].parameters,
            &stream.out[2].parameters
        ));
    }

    proptest! {
        #[test]
        fn any_payloads_are_taken(payloads in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..40), any::<bool>(), 0u32..3, 0u32..4), 0..40)) {
            let mut stream = Stream::new();
            for (payload, marker, lost, step) in payloads {
                stream.send(step, marker, lost, &payload);
            }
            for unit in &stream.out {
                let mut rest = &unit.data[..];
                while let Some((length, tail)) = rest.split_first_chunk::<4>() {
                    let length = u32::from_be_bytes(*length) as usize;
                    prop_assert!(length <= tail.len());
                    rest = &tail[length..];
                }
                prop_assert!(rest.is_empty());
            }
        }
    }
}
