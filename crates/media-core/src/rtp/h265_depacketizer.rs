//! H.265 over RTP (RFC 7798): single NAL units, aggregation packets and fragmentation units, without DONL fields
//! (cameras send in decoding order: sprop-max-don-diff is 0).

use super::nal_depacketizer::{NalCodec, NalKind, Payload, split_at_start_codes};
use super::parameter_sets::{ParameterSets, decode_sprop, first_exp_golomb};
use crate::Result;
use crate::codec::h265;
use crate::rtsp::sdp::Format;
use crate::track::TrackParameters;

const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;
const DELIMITER: u8 = 35;
const PREFIX_SEI: u8 = 39;
const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;

/// The parameter sets of an H.265 track.
#[derive(Debug, Default)]
pub struct H265 {
    vps: ParameterSets,
    sps: ParameterSets,
    pps: ParameterSets,
}

impl H265 {
    /// With the sets of `sprop-vps`, `sprop-sps` and `sprop-pps`, as far as they can be read.
    pub fn from_format(format: &Format) -> Self {
        let mut codec = Self::default();
        for name in ["sprop-vps", "sprop-sps", "sprop-pps", "sprop-parameter-sets"] {
            for set in decode_sprop(format.parameter(name)) {
                for nal in split_at_start_codes(&set) {
                    codec.keep(nal);
                }
            }
        }
        codec
    }
}

impl NalCodec for H265 {
    const HEADER_BYTES: usize = 2;
    const PARAMETER_SETS: &'static str = "VPS/SPS/PPS";

    #[inline]
    fn kind(nal: &[u8]) -> NalKind {
        let Some(first) = nal.first() else {
            return NalKind::Invalid;
        };
        match first >> 1 & 0x3f {
            // first_slice_segment_in_pic_flag is the first bit after the header.
            0..=9 | 16..=21 => NalKind::Slice {
                first: nal.get(2).is_some_and(|b| b & 0x80 != 0),
            },
            VPS | SPS | PPS => NalKind::ParameterSet,
            DELIMITER | PREFIX_SEI => NalKind::Prefix,
            48.. => NalKind::Invalid,
            _ => NalKind::Other,
        }
    }

    #[inline]
    fn payload(payload: &[u8]) -> Payload<'_> {
        let [first, second, rest @ ..] = payload else {
            return Payload::Invalid;
        };
        match first >> 1 & 0x3f {
            // Annex B start codes in front, as some cameras leave them.
            0 if payload.starts_with(&[0, 0, 1]) || payload.starts_with(&[0, 0, 0, 1]) => Payload::Single,
            0..=47 => Payload::Single,
            AGGREGATION => Payload::Aggregate(rest),
            FRAGMENTATION => match rest {
                [fu, data @ ..] => Payload::Fragment {
                    start: fu & 0x80 != 0,
                    end: fu & 0x40 != 0,
                    header: [first & 0x81 | (fu & 0x3f) << 1, *second],
                    data,
                },
                [] => Payload::Invalid,
            },
            _ => Payload::Invalid,
        }
    }

    fn keep(&mut self, nal: &[u8]) -> bool {
        match nal.first().map(|b| b >> 1 & 0x3f) {
            Some(VPS) => self.vps.keep(nal.get(2).map(|b| u32::from(b >> 4)), nal),
            // The id stands behind the profile; streams with several sequence parameter sets are not met.
            Some(SPS) => self.sps.keep(None, nal),
            Some(PPS) => self.pps.keep(nal.get(2..).and_then(first_exp_golomb), nal),
            _ => false,
        }
    }

    fn parameters(&self) -> Option<Result<TrackParameters>> {
        if self.vps.is_empty() || self.sps.is_empty() || self.pps.is_empty() {
            return None;
        }
        Some(h265::parameters_of_sets(
            &self.vps.all(),
            &self.sps.all(),
            &self.pps.all(),
        ))
    }

    fn is_random_access(data: &[u8]) -> bool {
        h265::is_random_access(data)
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

    /// Made by x265: 1920×1080, 30 frames per second.
    const VPS_NAL: &[u8] = &[
        0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x04, 0x08, 0x00, 0x00, 0x03, 0x00, 0x9e, 0x08, 0x00, 0x00, 0x03, 0x00,
        0x00, 0x78, 0x95, 0x98, 0x09,
    ];
    const SPS_NAL: &[u8] = &[
        0x42, 0x01, 0x01, 0x04, 0x08, 0x00, 0x00, 0x03, 0x00, 0x9e, 0x08, 0x00, 0x00, 0x03, 0x00, 0x00, 0x78, 0x90,
        0x00, 0x78, 0x10, 0x02, 0x1c, 0xb2, 0xca, 0xcd, 0x24, 0x99, 0x5e, 0x02, 0xdc, 0x08, 0x08, 0x00, 0x10, 0x00,
        0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x01, 0xe0, 0x80,
    ];
    const PPS_NAL: &[u8] = &[0x44, 0x01, 0xc1, 0x72, 0x86, 0x0c, 0x46, 0x24];
    const IDR_NAL: &[u8] = &[0x26, 0x01, 0xaf, 0x11, 0x12, 0x13, 0x14, 0x15];
    const P_NAL: &[u8] = &[0x02, 0x01, 0xd0, 0x21, 0x22, 0x23];
    const LATER_SLICE: &[u8] = &[0x02, 0x01, 0x20, 0x31];

    fn send(
        d: &mut NalDepacketizer<H265>,
        timestamp: u32,
        marker: bool,
        lost_packets: u32,
        payload: &[u8],
    ) -> Vec<CodedUnit> {
        let header = RtpHeader {
            marker,
            payload_type: 96,
            sequence: 0,
            timestamp,
            ssrc: 1,
        };
        let mut out = Vec::new();
        d.push(
            &RtpPacket {
                header,
                extension: None,
                payload,
            },
            lost_packets,
            &mut out,
        );
        out
    }

    fn prefixed(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter()
            .flat_map(|nal| [&(nal.len() as u32).to_be_bytes(), *nal].concat())
            .collect()
    }

    fn aggregate(nals: &[&[u8]]) -> Vec<u8> {
        let mut payload = vec![AGGREGATION << 1, 1];
        for nal in nals {
            payload.extend_from_slice(&(nal.len() as u16).to_be_bytes());
            payload.extend_from_slice(nal);
        }
        payload
    }

    #[test]
    fn aggregates_fragments_and_single_units_are_put_together() {
        let mut d = NalDepacketizer::new(H265::default());
        assert!(send(&mut d, 1, false, 0, &aggregate(&[VPS_NAL, SPS_NAL, PPS_NAL])).is_empty());
        let (head, body) = IDR_NAL.split_at(2);
        assert!(
            send(
                &mut d,
                1,
                false,
                0,
                &[&[FRAGMENTATION << 1, head[1], 0x80 | 19], &body[..3]].concat()
            )
            .is_empty()
        );
        let out = send(
            &mut d,
            1,
            true,
            0,
            &[&[FRAGMENTATION << 1, head[1], 0x40 | 19], &body[3..]].concat(),
        );
        assert_eq!(out[0].data, prefixed(&[VPS_NAL, SPS_NAL, PPS_NAL, IDR_NAL]));
        assert!(out[0].key);
        assert_eq!((out[0].parameters.width, out[0].parameters.height), (1920, 1080));
        let out = send(&mut d, 2, true, 0, P_NAL);
        assert_eq!((&out[0].data[..], out[0].key), (&prefixed(&[P_NAL])[..], false));
    }

    #[test]
    fn a_unit_that_lost_its_beginning_or_end_is_discarded() {
        let mut d = NalDepacketizer::new(H265::default());
        send(&mut d, 1, false, 0, &aggregate(&[VPS_NAL, SPS_NAL, PPS_NAL]));
        send(&mut d, 1, true, 0, IDR_NAL);
        assert!(send(&mut d, 2, true, 1, LATER_SLICE).is_empty());
        assert!(send(&mut d, 3, false, 0, &[FRAGMENTATION << 1, 1, 0x80 | 1, 0xd0]).is_empty());
        let out = send(&mut d, 4, true, 2, P_NAL);
        assert_eq!((out.len(), out[0].lost_packets), (1, 3));
        assert_eq!(d.counters().discarded_units, 2);
    }

    #[test]
    fn sets_of_the_session_description_are_used() {
        use base64::Engine as _;
        let sprop = |name: &str, nal: &[u8]| (name.to_owned(), base64::engine::general_purpose::STANDARD.encode(nal));
        let parameters = vec![
            sprop("sprop-vps", VPS_NAL),
            sprop("sprop-sps", SPS_NAL),
            sprop("sprop-pps", PPS_NAL),
        ];
        let d = NalDepacketizer::new(H265::from_format(&Format {
            parameters,
            ..Format::default()
        }));
        assert_eq!(d.parameters().unwrap().height, 1080);
    }

    proptest! {
        #[test]
        fn any_payloads_are_taken(payloads in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..40), any::<bool>(), 0u32..3), 0..40)) {
            let mut d = NalDepacketizer::new(H265::default());
            for (payload, marker, lost) in payloads {
                send(&mut d, lost, marker, lost, &payload);
            }
        }
    }
}
