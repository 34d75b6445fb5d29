//! AV1 over RTP (RTP Payload Format For AV1, §4): OBU elements back into a temporal unit in low-overhead form.

use super::depacketizer::{CodedUnit, DepacketizerCounters, MAX_UNIT_BYTES};
use super::packet::RtpPacket;
use crate::Error;
use crate::codec::av1;
use crate::track::TrackParameters;
use bytes::Bytes;
use std::sync::Arc;

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;

/// Room kept for the size field of an OBU whose end has not come yet.
const SIZE_BYTES: usize = 4;

/// Assembles temporal units.
#[derive(Debug, Default)]
pub struct Av1Depacketizer {
    parameters: Option<Arc<TrackParameters>>,
    parameter_error: Option<Error>,
    sequence_header: Vec<u8>,
    unit: Vec<u8>,
    timestamp: Option<u32>,
    /// Where the OBU being reassembled starts; its header is there, then room for the size.
    open_at: Option<usize>,
    damaged: bool,
    expected_bytes: usize,
    lost_packets: u32,
    counters: DepacketizerCounters,
}

impl Av1Depacketizer {
    /// The parameters in force, once a sequence header has come.
    pub fn parameters(&self) -> Option<&Arc<TrackParameters>> {
        self.parameters.as_ref()
    }

    /// Why the newest sequence header was not taken.
    pub fn parameter_error(&self) -> Option<&Error> {
        self.parameter_error.as_ref()
    }

    /// What could not be used so far.
    pub fn counters(&self) -> DepacketizerCounters {
        self.counters
    }

    /// Takes the next packet, before which `lost_packets` are missing.
    pub fn push(&mut self, packet: &RtpPacket<'_>, lost_packets: u32, out: &mut Vec<CodedUnit>) {
        let timestamp = packet.header.timestamp;
        self.lost_packets = self.lost_packets.saturating_add(lost_packets);
        self.damaged |= lost_packets > 0 && self.timestamp.is_some();
        if self.timestamp.is_some_and(|t| t != timestamp) {
            self.finish(out);
        }
        if self.timestamp.is_none() {
            self.timestamp = Some(timestamp);
            // Nothing marks the first OBU of a temporal unit, so a loss before it condemns it, unless the packet
            // says that it starts a coded video sequence (N bit).
            self.damaged = lost_packets > 0 && packet.payload.first().is_none_or(|b| b & 0x08 == 0);
            self.unit.clear();
            self.open_at = None;
        }
        if !self.damaged && self.append(packet.payload).is_none() {
            self.counters.malformed_packets += 1;
            self.damaged = true;
        }
        if packet.header.marker {
            self.finish(out);
        }
    }

    fn append(&mut self, payload: &[u8]) -> Option<()> {
        let (aggregation, mut rest) = payload.split_first()?;
        if self.unit.len() + rest.len() > MAX_UNIT_BYTES {
            return None;
        }
        let continues = aggregation & 0x80 != 0;
        let goes_on = aggregation & 0x40 != 0;
        let count = usize::from(aggregation >> 4 & 3);
        let mut index = 0;
        if continues != self.open_at.is_some() {
            return None;
        }
        while !rest.is_empty() {
            index += 1;
            let element;
            if count != 0 && index == count {
                (element, rest) = (rest, [].as_slice());
            } else {
                let (length, after) = leb128(rest)?;
                (element, rest) = after.split_at_checked(length)?;
            }
            if self.open_at.is_some() {
                self.unit.extend_from_slice(element);
            } else {
                self.open(element)?;
            }
            if !(rest.is_empty() && goes_on) {
                self.close();
            }
        }
        Some(())
    }

    fn open(&mut self, element: &[u8]) -> Option<()> {
        if self.unit.capacity() == 0 {
            self.unit
                .reserve_exact((self.expected_bytes + self.expected_bytes / 4).max(8 << 10));
        }
        let header_bytes = if element.first()? & 0x04 != 0 { 2 } else { 1 };
        let (header, body) = element.split_at_checked(header_bytes)?;
        self.open_at = Some(self.unit.len());
        self.unit.extend_from_slice(header);
        if header[0] & 0x02 == 0 {
            self.unit.extend_from_slice(&[0; SIZE_BYTES]);
        }
        self.unit.extend_from_slice(body);
        Some(())
    }

    /// The OBU is complete: its size goes before its payload.
    fn close(&mut self) {
        let Some(at) = self.open_at.take() else { return };
        let header = self.unit[at];
        let header_bytes = if header & 0x04 != 0 { 2 } else { 1 };
        let size_at = at + header_bytes;
        if header & 0x02 == 0 {
            let payload_bytes = self.unit.len() - size_at - SIZE_BYTES;
            let mut size = [0; SIZE_BYTES];
            let size_bytes = write_leb128(payload_bytes, &mut size);
            let payload_at = size_at + size_bytes;
            self.unit.copy_within(size_at + SIZE_BYTES.., payload_at);
            self.unit.truncate(payload_at + payload_bytes);
            self.unit[size_at..payload_at].copy_from_slice(&size[..size_bytes]);
            self.unit[at] |= 0x02;
        }
        match header >> 3 & 0x0f {
            TEMPORAL_DELIMITER | TILE_LIST => self.unit.truncate(at),
            SEQUENCE_HEADER => self.keep_sequence_header(at),
            _ => {}
        }
    }

    fn keep_sequence_header(&mut self, at: usize) {
        let obu = &self.unit[at..];
        if self.sequence_header == obu {
            return;
        }
        self.sequence_header = obu.to_vec();
        match av1::parameters(obu) {
            Ok(new) => {
                self.parameter_error = None;
                self.parameters = Some(Arc::new(new));
            }
            Err(error) => self.parameter_error = Some(error),
        }
    }

    fn finish(&mut self, out: &mut Vec<CodedUnit>) {
        let Some(rtp_timestamp) = self.timestamp.take() else {
            return;
        };
        if self.open_at.is_some() || self.damaged {
            self.counters.discarded_units += 1;
            self.open_at = None;
            self.unit.clear();
            return;
        }
        let Some(parameters) = self.parameters.clone().filter(|_| !self.unit.is_empty()) else {
            self.counters.units_without_parameters += u64::from(!self.unit.is_empty());
            self.unit.clear();
            return;
        };
        self.expected_bytes = self.unit.len();
        out.push(CodedUnit {
            rtp_timestamp,
            key: av1::is_random_access(&self.unit),
            data: Bytes::from(std::mem::take(&mut self.unit).into_boxed_slice()),
            lost_packets: std::mem::take(&mut self.lost_packets),
            parameters,
        });
    }
}

/// The number at the start of `bytes` (AV1 specification §4.10.5), up to 4 bytes long, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(SIZE_BYTES).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

fn write_leb128(mut value: usize, out: &mut [u8; SIZE_BYTES]) -> usize {
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return at + 1;
        }
        *byte |= 0x80;
    }
    SIZE_BYTES
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::packet::RtpHeader;
    use super::*;
    use proptest::prelude::*;

    /// A sequence header of 1280×720 without its size field, as RTP carries it.
    const SEQUENCE: &[u8] = &[
        0x08, 0x20, 0x00, 0x00, 0x2d, 0x4c, 0xff, 0xb3, 0xcc, 0xaf, 0x92, 0x02, 0x1a, 0x00, 0x40,
    ];
    const KEY_FRAME: &[u8] = &[0x30, 0x10, 1, 2, 3];
    const DELTA_FRAME: &[u8] = &[0x30, 0x30, 4, 5];

    fn send(d: &mut Av1Depacketizer, timestamp: u32, marker: bool, lost: u32, payload: &[u8]) -> Vec<CodedUnit> {
        let header = RtpHeader {
            marker,
            payload_type: 98,
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
            lost,
            &mut out,
        );
        out
    }

    /// W = 2: the sequence header with its length, then the frame.
    fn key_packet() -> Vec<u8> {
        [&[0x28, SEQUENCE.len() as u8], SEQUENCE, KEY_FRAME].concat()
    }

    fn sized(obu: &[u8]) -> Vec<u8> {
        [&[obu[0] | 2, obu.len() as u8 - 1], &obu[1..]].concat()
    }

    #[test]
    fn elements_become_obus_with_sizes() {
        let mut d = Av1Depacketizer::default();
        let out = send(&mut d, 1, true, 0, &key_packet());
        assert_eq!(out[0].data, [sized(SEQUENCE), sized(KEY_FRAME)].concat());
        assert!(out[0].key);
        assert_eq!(out[0].parameters.width, 1280);
        let delimiter_first = [&[0x20, 1, 0x10], DELTA_FRAME].concat();
        let out = send(&mut d, 2, true, 0, &delimiter_first);
        assert_eq!((&out[0].data[..], out[0].key), (&sized(DELTA_FRAME)[..], false));
    }

    #[test]
    fn an_obu_over_several_packets_is_joined() {
        let mut d = Av1Depacketizer::default();
        send(&mut d, 1, true, 0, &key_packet());
        let long: Vec<u8> = [&[0x30, 0x30], [9; 300].as_slice()].concat();
        assert!(send(&mut d, 2, false, 0, &[&[0x50], &long[..100]].concat()).is_empty());
        assert!(send(&mut d, 2, false, 0, &[&[0xd0], &long[100..200]].concat()).is_empty());
        let out = send(&mut d, 2, true, 0, &[&[0x90], &long[200..]].concat());
        assert_eq!(out[0].data, [&[0x32, 0xad, 0x02], &long[1..]].concat());
    }

    #[test]
    fn obus_that_bring_their_size_and_packets_without_a_count_are_taken() {
        let mut d = Av1Depacketizer::default();
        let (sequence, frame) = (sized(SEQUENCE), sized(KEY_FRAME));
        let payload = [
            &[0x08, sequence.len() as u8],
            &sequence[..],
            &[frame.len() as u8],
            &frame,
        ]
        .concat();
        let out = send(&mut d, 1, true, 0, &payload);
        assert_eq!(out[0].data, [sequence, frame].concat());
        assert!(out[0].key);
    }

    #[test]
    fn a_loss_discards_the_unit_it_touches() {
        let mut d = Av1Depacketizer::default();
        send(&mut d, 1, true, 0, &key_packet());
        send(&mut d, 2, false, 0, &[&[0x50], DELTA_FRAME].concat());
        assert!(send(&mut d, 2, true, 1, &[0x90, 1]).is_empty());
        assert!(
            send(&mut d, 3, true, 1, &[&[0x10], DELTA_FRAME].concat()).is_empty(),
            "its beginning is unsure"
        );
        assert!(
            send(&mut d, 4, true, 0, &[0x90, 1]).is_empty(),
            "a continuation of nothing"
        );
        let out = send(&mut d, 5, true, 0, &[&[0x10], DELTA_FRAME].concat());
        assert_eq!(out[0].lost_packets, 2);
        assert_eq!(
            send(&mut d, 6, true, 7, &key_packet())[0].lost_packets,
            7,
            "a new sequence needs nothing before"
        );
        assert_eq!(d.counters().discarded_units, 3);
    }

    #[test]
    fn nothing_is_delivered_before_a_sequence_header() {
        let mut d = Av1Depacketizer::default();
        assert!(send(&mut d, 1, true, 0, &[&[0x10], DELTA_FRAME].concat()).is_empty());
        assert_eq!(d.counters().units_without_parameters, 1);
        send(&mut d, 2, true, 0, &[0x18, 0x08, 0x20]);
        assert!(d.parameter_error().is_some());
    }

    proptest! {
        #[test]
        fn any_payloads_are_taken(payloads in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..40), any::<bool>(), 0u32..2), 0..30)) {
            let mut d = Av1Depacketizer::default();
            for (payload, marker, lost) in payloads {
                send(&mut d, lost, marker, lost, &payload);
            }
        }
    }
}
