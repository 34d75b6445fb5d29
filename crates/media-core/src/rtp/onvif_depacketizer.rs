//! ONVIF metadata over RTP (ONVIF Streaming Specification §5.1.2.1.1): XML documents, the marker on the last packet.

use super::depacketizer::{CodedUnit, DepacketizerCounters};
use super::packet::RtpPacket;
use crate::track::{Codec, TrackParameters};
use bytes::Bytes;
use std::sync::Arc;

/// Longest document that is passed on.
const MAX_DOCUMENT_BYTES: usize = 1 << 20;

/// Joins documents out of packets.
#[derive(Debug)]
pub struct OnvifDepacketizer {
    parameters: Arc<TrackParameters>,
    document: Vec<u8>,
    timestamp: Option<u32>,
    damaged: bool,
    lost_packets: u32,
    counters: DepacketizerCounters,
}

impl Default for OnvifDepacketizer {
    fn default() -> Self {
        let parameters = Arc::new(TrackParameters {
            codec: Codec::OnvifMetadata,
            clock_rate: 90_000,
            configuration: Bytes::new(),
            width: 0,
            height: 0,
            channels: 0,
            reorder_depth: 0,
            fps_milli: 0,
        });
        Self {
            parameters,
            document: Vec::new(),
            timestamp: None,
            // The first packet may be the middle of a document.
            damaged: true,
            lost_packets: 0,
            counters: DepacketizerCounters::default(),
        }
    }
}

impl OnvifDepacketizer {
    /// The parameters, which never change.
    pub fn parameters(&self) -> &Arc<TrackParameters> {
        &self.parameters
    }

    /// What could not be used so far.
    pub fn counters(&self) -> DepacketizerCounters {
        self.counters
    }

    /// Takes the next packet, before which `lost_packets` are missing.
    pub fn push(&mut self, packet: &RtpPacket<'_>, lost_packets: u32, out: &mut Vec<CodedUnit>) {
        self.lost_packets = self.lost_packets.saturating_add(lost_packets);
        let timestamp = packet.header.timestamp;
        let starts_document = packet.payload.trim_ascii_start().first() == Some(&b'<');
        if lost_packets > 0 {
            self.damaged = true;
        }
        if self.timestamp.is_some_and(|t| t != timestamp) || self.timestamp.is_none() {
            // A document whose marker was lost or never set ends with its timestamp.
            self.finish(out);
            self.timestamp = Some(timestamp);
            self.damaged = !starts_document;
        }
        if self.document.len() + packet.payload.len() > MAX_DOCUMENT_BYTES {
            self.damaged = true;
            self.counters.malformed_packets += 1;
        }
        if !self.damaged {
            self.document.extend_from_slice(packet.payload);
        }
        if packet.header.marker {
            self.finish(out);
        }
    }

    fn finish(&mut self, out: &mut Vec<CodedUnit>) {
        let Some(rtp_timestamp) = self.timestamp.take() else {
            return;
        };
        if self.damaged || self.document.is_empty() {
            self.counters.discarded_units += u64::from(self.damaged);
            self.document.clear();
            return;
        }
        out.push(CodedUnit {
            rtp_timestamp,
            data: Bytes::from(std::mem::take(&mut self.document).into_boxed_slice()),
            key: true,
            lost_packets: std::mem::take(&mut self.lost_packets),
            parameters: self.parameters.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::packet::RtpHeader;
    use super::*;

    fn send(d: &mut OnvifDepacketizer, timestamp: u32, marker: bool, lost: u32, payload: &str) -> Vec<CodedUnit> {
        let header = RtpHeader {
            marker,
            payload_type: 107,
            sequence: 0,
            timestamp,
            ssrc: 1,
        };
        let mut out = Vec::new();
        d.push(
            &RtpPacket {
                header,
                extension: None,
                payload: payload.as_bytes(),
            },
            lost,
            &mut out,
        );
        out
    }

    #[test]
    fn documents_are_joined_and_torn_ones_left_out() {
        let mut d = OnvifDepacketizer::default();
        assert!(
            send(&mut d, 1, true, 0, "ent></x>").is_empty(),
            "the middle of a document"
        );
        assert!(send(&mut d, 2, false, 0, "<?xml?><a>").is_empty());
        assert_eq!(&send(&mut d, 2, true, 0, "</a>")[0].data[..], b"<?xml?><a></a>");
        send(&mut d, 3, false, 0, "<b>");
        assert!(send(&mut d, 3, true, 1, "</b>").is_empty(), "a packet is missing");
        let whole = send(&mut d, 4, true, 0, "<c/>");
        assert_eq!((&whole[0].data[..], whole[0].lost_packets), (b"<c/>".as_slice(), 1));
        assert_eq!(d.counters().discarded_units, 2);
    }

    #[test]
    fn a_document_without_end_is_bounded() {
        let mut d = OnvifDepacketizer::default();
        let piece = "<".repeat(60_000);
        for _ in 0..40 {
            send(&mut d, 1, false, 0, &piece);
        }
        assert!(d.document.len() <= MAX_DOCUMENT_BYTES);
        assert!(send(&mut d, 1, true, 0, "").is_empty());
    }
}
