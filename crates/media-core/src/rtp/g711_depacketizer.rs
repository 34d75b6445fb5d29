//! G.711 A-law and µ-law over RTP (RFC 3551 §4.5.14): the payload is the samples.

use super::depacketizer::{CodedUnit, DepacketizerCounters};
use super::packet::RtpPacket;
use crate::rtsp::sdp::Format;
use crate::track::{Codec, TrackParameters};
use bytes::Bytes;
use std::sync::Arc;

/// Takes the samples out of packets; each packet is a unit.
#[derive(Debug)]
pub struct G711Depacketizer {
    parameters: Arc<TrackParameters>,
    lost_packets: u32,
}

impl G711Depacketizer {
    /// For `codec`, one of the two laws.
    pub fn new(codec: Codec, format: &Format) -> Self {
        let parameters = Arc::new(TrackParameters {
            codec,
            clock_rate: format.clock_rate,
            configuration: Bytes::new(),
            width: 0,
            height: 0,
            channels: format.channels.max(1),
            reorder_depth: 0,
            fps_milli: 0,
        });
        Self {
            parameters,
            lost_packets: 0,
        }
    }

    /// The parameters, known from the session description.
    pub fn parameters(&self) -> &Arc<TrackParameters> {
        &self.parameters
    }

    /// Nothing can be wrong with samples.
    pub fn counters(&self) -> DepacketizerCounters {
        DepacketizerCounters::default()
    }

    /// Takes the next packet, before which `lost_packets` are missing.
    pub fn push(&mut self, packet: &RtpPacket<'_>, lost_packets: u32, out: &mut Vec<CodedUnit>) {
        self.lost_packets = self.lost_packets.saturating_add(lost_packets);
        if packet.payload.is_empty() {
            return;
        }
        out.push(CodedUnit {
            rtp_timestamp: packet.header.timestamp,
            data: Bytes::copy_from_slice(packet.payload),
            key: true,
            lost_packets: std::mem::take(&mut self.lost_packets),
            parameters: self.parameters.clone(),
        });
    }
}
