//! From RTP packets to access units: what all payload formats share.
//!
//! A depacketizer takes the packets of one track in sequence order, with the number of packets missing before each.
//! It never lets out a unit of which a packet is missing: the damaged unit is discarded and counted, and the next one
//! carries the number of lost packets.

use super::aac_depacketizer::AacDepacketizer;
use super::av1_depacketizer::Av1Depacketizer;
use super::g711_depacketizer::G711Depacketizer;
use super::h264_depacketizer::H264;
use super::h265_depacketizer::H265;
use super::jpeg_depacketizer::JpegDepacketizer;
use super::nal_depacketizer::NalDepacketizer;
use super::onvif_depacketizer::OnvifDepacketizer;
use super::packet::RtpPacket;
use crate::rtsp::sdp::Media;
use crate::track::{Codec, TrackParameters};
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use std::sync::Arc;

/// A unit longer than this is no picture but a camera gone wrong, and is discarded.
pub const MAX_UNIT_BYTES: usize = 16 << 20;

/// An access unit that has its RTP timestamp but no server time yet.
#[derive(Debug, Clone)]
pub struct CodedUnit {
    /// RTP timestamp, wrapping.
    pub rtp_timestamp: u32,
    /// The bytes, in the form that `Codec` documents.
    pub data: Bytes,
    /// A decoder can start here.
    pub key: bool,
    /// Packets lost since the unit before, or inside units discarded since then.
    pub lost_packets: u32,
    /// Parameters in force; the same `Arc` until they change.
    pub parameters: Arc<TrackParameters>,
}

/// What a depacketizer could not use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DepacketizerCounters {
    /// Units discarded because a packet of theirs was missing or broke its format.
    pub discarded_units: u64,
    /// Packets that broke the payload format.
    pub malformed_packets: u64,
    /// Whole units held back because no parameter sets had been seen.
    pub units_without_parameters: u64,
}

/// The payload formats, one of which a track has.
#[derive(Debug)]
pub enum Depacketizer {
    /// RFC 6184.
    H264(NalDepacketizer<H264>),
    /// RFC 7798.
    H265(NalDepacketizer<H265>),
    /// RTP Payload Format For AV1.
    Av1(Av1Depacketizer),
    /// RFC 2435.
    Mjpeg(JpegDepacketizer),
    /// RFC 3640.
    Aac(AacDepacketizer),
    /// RFC 3551 §4.5.14.
    G711(G711Depacketizer),
    /// ONVIF Streaming Specification §5.1.2.
    OnvifMetadata(OnvifDepacketizer),
}

impl Depacketizer {
    /// The depacketizer for `media` of a session description, and the payload type it expects.
    pub fn new(media: &Media) -> Result<(Self, u8)> {
        let Some((format, codec)) = media.supported() else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("{} in {} is not supported", media.kind, media.encodings()),
            ));
        };
        let depacketizer = match codec {
            Codec::H264 => Self::H264(NalDepacketizer::new(H264::from_format(format))),
            Codec::H265 => Self::H265(NalDepacketizer::new(H265::from_format(format))),
            Codec::Av1 => Self::Av1(Av1Depacketizer::default()),
            Codec::Mjpeg => Self::Mjpeg(JpegDepacketizer::new(media.size)),
            Codec::Aac => Self::Aac(AacDepacketizer::from_format(format)?),
            Codec::PcmA | Codec::PcmU => Self::G711(G711Depacketizer::new(codec, format)),
            Codec::OnvifMetadata => Self::OnvifMetadata(OnvifDepacketizer::default()),
            Codec::Opus => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "Opus from a camera is not supported",
                ));
            }
        };
        Ok((depacketizer, format.payload_type))
    }

    /// Takes the next packet, before which `lost_packets` are missing, and appends finished units to `out`.
    #[inline]
    pub fn push(&mut self, packet: &RtpPacket<'_>, lost_packets: u32, out: &mut Vec<CodedUnit>) {
        match self {
            Self::H264(d) => d.push(packet, lost_packets, out),
            Self::H265(d) => d.push(packet, lost_packets, out),
            Self::Av1(d) => d.push(packet, lost_packets, out),
            Self::Mjpeg(d) => d.push(packet, lost_packets, out),
            Self::Aac(d) => d.push(packet, lost_packets, out),
            Self::G711(d) => d.push(packet, lost_packets, out),
            Self::OnvifMetadata(d) => d.push(packet, lost_packets, out),
        }
    }

    /// The parameters in force, once known.
    pub fn parameters(&self) -> Option<&Arc<TrackParameters>> {
        match self {
            Self::H264(d) => d.parameters(),
            Self::H265(d) => d.parameters(),
            Self::Av1(d) => d.parameters(),
            Self::Mjpeg(d) => d.parameters(),
            Self::Aac(d) => Some(d.parameters()),
            Self::G711(d) => Some(d.parameters()),
            Self::OnvifMetadata(d) => Some(d.parameters()),
        }
    }

    /// Why there are no parameters, or why the newest were not taken.
    pub fn parameter_error(&self) -> Option<&Error> {
        match self {
            Self::H264(d) => d.parameter_error(),
            Self::H265(d) => d.parameter_error(),
            Self::Av1(d) => d.parameter_error(),
            _ => None,
        }
    }

    /// What could not be used so far.
    pub fn counters(&self) -> DepacketizerCounters {
        match self {
            Self::H264(d) => d.counters(),
            Self::H265(d) => d.counters(),
            Self::Av1(d) => d.counters(),
            Self::Mjpeg(d) => d.counters(),
            Self::Aac(d) => d.counters(),
            Self::G711(d) => d.counters(),
            Self::OnvifMetadata(d) => d.counters(),
        }
    }
}
