//! AAC over RTP (RFC 3640, modes AAC-hbr and AAC-lbr): several frames in a packet or one frame over several packets.

use super::depacketizer::{CodedUnit, DepacketizerCounters, MAX_UNIT_BYTES};
use super::packet::RtpPacket;
use crate::codec::aac;
use crate::rtsp::sdp::Format;
use crate::track::TrackParameters;
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use std::sync::Arc;

/// Takes AAC frames out of packets.
#[derive(Debug)]
pub struct AacDepacketizer {
    parameters: Arc<TrackParameters>,
    size_bits: u32,
    index_bits: u32,
    index_delta_bits: u32,
    /// RTP ticks of one frame.
    frame_ticks: u32,
    /// A frame of which only the first pieces have come, with its timestamp and whole size.
    partial: Option<(u32, usize, Vec<u8>)>,
    lost_packets: u32,
    counters: DepacketizerCounters,
}

impl AacDepacketizer {
    /// By the fmtp parameters. `Malformed` without a readable `config`, `Unsupported` for other modes.
    pub fn from_format(format: &Format) -> Result<Self> {
        let number = |name: &str, default: u32| match format.parameter(name) {
            None => Ok(default),
            Some(text) => text
                .parse::<u32>()
                .ok()
                .filter(|bits| *bits <= 16)
                .ok_or_else(|| Error::malformed(format!("AAC parameter {name}={text} is no count of bits"))),
        };
        let low_rate = format
            .parameter("mode")
            .is_some_and(|mode| mode.eq_ignore_ascii_case("AAC-lbr"));
        for name in [
            "CTSDeltaLength",
            "DTSDeltaLength",
            "auxiliaryDataSizeLength",
            "streamStateIndication",
        ] {
            if number(name, 0)? != 0 {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("AAC with {name} is not supported"),
                ));
            }
        }
        let config = decode_hex(format.parameter("config").unwrap_or_default())
            .ok_or_else(|| Error::malformed("AAC without a readable config in the session description"))?;
        // The RTP clock is what the timestamps count, whatever rate the decoder makes of it (SBR).
        let parameters = aac::parameters(&config, format.clock_rate, format.channels)?;
        let core_rate = aac::AudioSpecificConfig::parse(&config)?.sample_rate;
        let frame_ticks = u64::from(aac::FRAME_SAMPLES) * u64::from(format.clock_rate) / u64::from(core_rate.max(1));
        let (size_bits, index_bits, index_delta_bits) = (
            number("sizeLength", if low_rate { 6 } else { 13 })?,
            number("indexLength", if low_rate { 2 } else { 3 })?,
            number("indexDeltaLength", if low_rate { 2 } else { 3 })?,
        );
        if size_bits == 0 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "AAC with constant sizes is not supported",
            ));
        }
        Ok(Self {
            parameters: Arc::new(parameters),
            size_bits,
            index_bits,
            index_delta_bits,
            frame_ticks: frame_ticks.min(1 << 20) as u32,
            partial: None,
            lost_packets: 0,
            counters: DepacketizerCounters::default(),
        })
    }

    /// The parameters, known from the session description.
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
        if lost_packets > 0 && self.partial.take().is_some() {
            self.counters.discarded_units += 1;
        }
        if self.take(packet, out).is_none() {
            self.counters.malformed_packets += 1;
            self.partial = None;
        }
    }

    fn take(&mut self, packet: &RtpPacket<'_>, out: &mut Vec<CodedUnit>) -> Option<()> {
        if packet.payload.is_empty() {
            return Some(());
        }
        let (headers_bits, rest) = packet.payload.split_first_chunk::<2>()?;
        let headers_bits = usize::from(u16::from_be_bytes(*headers_bits));
        let (headers, mut data) = rest.split_at_checked(headers_bits.div_ceil(8))?;
        let mut bits = Bits {
            bytes: headers,
            at: 0,
            end: headers_bits,
        };
        let mut timestamp = packet.header.timestamp;
        let mut first = true;
        let (size_bits, index_bits, delta_bits) = (self.size_bits, self.index_bits, self.index_delta_bits);
        let header_bits = |first: bool| size_bits + if first { index_bits } else { delta_bits };
        // Bits left over behind the last whole header mean nothing.
        while bits.at + header_bits(first) as usize <= bits.end {
            let size = bits.take(self.size_bits)? as usize;
            let index = bits.take(if first { self.index_bits } else { self.index_delta_bits })?;
            if index != 0 {
                // Interleaving: cameras do not use it, and guessing would play sound out of order.
                return None;
            }
            if data.len() < size {
                return if first && bits.at + header_bits(false) as usize > bits.end {
                    self.piece(timestamp, size, data, out)
                } else {
                    None
                };
            }
            if first && let Some((at, whole, _)) = &self.partial {
                // The rest of a fragmented frame repeats the whole size in its header.
                let continues = *at == timestamp && *whole == size;
                if continues {
                    return self.piece(timestamp, size, data, out);
                }
                self.partial = None;
                self.counters.discarded_units += 1;
            }
            let (frame, next) = data.split_at(size);
            self.emit(timestamp, Bytes::copy_from_slice(frame), out);
            data = next;
            timestamp = timestamp.wrapping_add(self.frame_ticks);
            first = false;
        }
        Some(())
    }

    fn piece(&mut self, timestamp: u32, size: usize, data: &[u8], out: &mut Vec<CodedUnit>) -> Option<()> {
        if size > MAX_UNIT_BYTES {
            return None;
        }
        let mut frame = match self.partial.take() {
            Some((at, whole, frame)) if at == timestamp && whole == size => frame,
            _ => Vec::with_capacity(size),
        };
        if frame.len() + data.len() > size {
            return None;
        }
        frame.extend_from_slice(data);
        if frame.len() == size {
            self.emit(timestamp, Bytes::from(frame), out);
        } else {
            self.partial = Some((timestamp, size, frame));
        }
        Some(())
    }

    fn emit(&mut self, rtp_timestamp: u32, data: Bytes, out: &mut Vec<CodedUnit>) {
        if data.is_empty() {
            return;
        }
        let lost_packets = std::mem::take(&mut self.lost_packets);
        out.push(CodedUnit {
            rtp_timestamp,
            data,
            key: true,
            lost_packets,
            parameters: self.parameters.clone(),
        });
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            if self.at >= self.end {
                return None;
            }
            value = value << 1 | u32::from(self.bytes[self.at / 8] >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.trim().chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    (digits.len() >= 4).then(|| {
        digits
            .chunks_exact(2)
            .map(|pair| (pair[0] << 4 | pair[1]) as u8)
            .collect()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::packet::RtpHeader;
    use super::*;
    use proptest::prelude::*;

    fn format(parameters: &[(&str, &str)]) -> Format {
        Format {
            payload_type: 97,
            encoding: "MPEG4-GENERIC".into(),
            clock_rate: 16_000,
            channels: 1,
            parameters: parameters
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
        }
    }

    fn high_rate() -> AacDepacketizer {
        AacDepacketizer::from_format(&format(&[("mode", "AAC-hbr"), ("config", "1408")])).unwrap()
    }

    fn send(d: &mut AacDepacketizer, timestamp: u32, lost: u32, payload: &[u8]) -> Vec<CodedUnit> {
        let header = RtpHeader {
            marker: true,
            payload_type: 97,
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

    fn packet(sizes: &[u16], data: &[u8]) -> Vec<u8> {
        let mut bytes = (sizes.len() as u16 * 16).to_be_bytes().to_vec();
        bytes.extend(sizes.iter().flat_map(|size| (size << 3).to_be_bytes()));
        bytes.extend_from_slice(data);
        bytes
    }

    #[test]
    fn several_frames_in_a_packet_get_their_own_times() {
        let mut d = high_rate();
        assert_eq!((d.parameters().clock_rate, d.parameters().channels), (16_000, 1));
        let out = send(&mut d, u32::MAX - 10, 2, &packet(&[3, 2], b"abcde"));
        assert_eq!(
            out.iter().map(|u| &u.data[..]).collect::<Vec<_>>(),
            [b"abc".as_slice(), b"de"]
        );
        assert_eq!(
            out.iter().map(|u| u.rtp_timestamp).collect::<Vec<_>>(),
            [u32::MAX - 10, 1013]
        );
        assert_eq!(out.iter().map(|u| u.lost_packets).collect::<Vec<_>>(), [2, 0]);
    }

    #[test]
    fn a_frame_over_several_packets_is_put_together() {
        let mut d = high_rate();
        assert!(send(&mut d, 5, 0, &packet(&[6], b"abc")).is_empty());
        assert_eq!(&send(&mut d, 5, 0, &packet(&[6], b"def"))[0].data[..], b"abcdef");
        assert!(send(&mut d, 6, 0, &packet(&[6], b"abc")).is_empty());
        assert!(send(&mut d, 6, 1, &packet(&[6], b"f")).is_empty(), "a piece is missing");
        assert_eq!(d.counters().discarded_units, 1);
        assert_eq!(send(&mut d, 7, 0, &packet(&[1], b"z"))[0].lost_packets, 1);
    }

    #[test]
    fn the_low_rate_mode_uses_one_byte_headers() {
        let mut d = AacDepacketizer::from_format(&format(&[("mode", "AAC-lbr"), ("config", "1408")])).unwrap();
        let out = send(&mut d, 0, 0, &[0, 16, 2 << 2, 1 << 2, b'a', b'b', b'c']);
        assert_eq!(
            out.iter().map(|u| &u.data[..]).collect::<Vec<_>>(),
            [b"ab".as_slice(), b"c"]
        );
    }

    #[test]
    fn broken_packets_and_interleaving_are_counted() {
        let mut d = high_rate();
        for payload in [&[0][..], &[0, 255, 0], &[0, 16, 0, 9, 1]] {
            assert!(send(&mut d, 0, 0, payload).is_empty(), "{payload:?}");
        }
        assert_eq!(d.counters().malformed_packets, 3);
    }

    #[test]
    fn descriptions_that_cannot_be_followed_are_refused() {
        for parameters in [
            &[("mode", "AAC-hbr")][..],
            &[("config", "14zz")],
            &[("config", "1408"), ("sizeLength", "99")],
            &[("config", "1408"), ("sizeLength", "0")],
            &[("config", "1408"), ("CTSDeltaLength", "8")],
        ] {
            assert!(
                AacDepacketizer::from_format(&format(parameters)).is_err(),
                "{parameters:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_payloads_are_taken(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let mut d = high_rate();
            for payload in payloads {
                send(&mut d, 0, 0, &payload);
            }
        }
    }
}
