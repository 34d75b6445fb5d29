//! H.265 over RTP (RFC 7798): single NAL units, aggregation packets and fragmentation units, without DONL fields
//! (cameras send in decoding order: sprop-max-don-diff is 0).

use super::nal_depacketizer::{NalCodec, NalKind, Payload, split_at_start_codes};
use super::parameter_sets::{ParameterSets, decode_sprop, first_exp_golomb};
use super::parameters as codec;
use crate::Result;
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
        Some(codec::h265(self.vps.first()?, self.sps.first()?, self.pps.first()?))
    }

    fn is_random_access(data: &[u8]) -> bool {
        codec::h265_is_random_access(data)
    }
}
