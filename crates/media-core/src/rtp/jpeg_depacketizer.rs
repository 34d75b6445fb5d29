//! Motion JPEG over RTP (RFC 2435): rebuilds the headers that the payload format takes off.

use super::depacketizer::{CodedUnit, DepacketizerCounters, MAX_UNIT_BYTES};
use super::jpeg_tables::{CHROMA_QUANTIZERS, HUFFMAN_TABLES, LUMA_QUANTIZERS};
use super::packet::RtpPacket;
use crate::track::{Codec, TrackParameters};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Header extension in which ONVIF cameras repeat JPEG headers (ONVIF Streaming Specification §5.1.3.1).
const ONVIF_JPEG_EXTENSION: u16 = 0xffd8;

/// Quantization tables of one picture.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Quantizers {
    /// Bit n set: table n has 16-bit entries.
    precision: u8,
    tables: Vec<u8>,
}

/// Rebuilds JFIF images.
#[derive(Debug)]
pub struct JpegDepacketizer {
    /// Size from the session description, for pictures too large for the payload header.
    announced_size: (u32, u32),
    parameters: Option<Arc<TrackParameters>>,
    /// In-band tables by quality, which need not be repeated.
    quantizers: BTreeMap<u8, Quantizers>,
    image: Vec<u8>,
    /// Bytes of `image` that are headers.
    header_bytes: usize,
    size: (u32, u32),
    timestamp: Option<u32>,
    damaged: bool,
    expected_bytes: usize,
    lost_packets: u32,
    counters: DepacketizerCounters,
}

/// The fixed and optional payload headers, and what follows them.
struct Fragment<'a> {
    offset: usize,
    kind: u8,
    quality: u8,
    size: (u32, u32),
    restart_interval: u16,
    quantizers: Option<Quantizers>,
    data: &'a [u8],
}

impl JpegDepacketizer {
    /// `announced_size` in pixels from the session description, (0, 0) when none is.
    pub fn new(announced_size: (u32, u32)) -> Self {
        Self {
            announced_size,
            parameters: None,
            quantizers: BTreeMap::new(),
            image: Vec::new(),
            header_bytes: 0,
            size: (0, 0),
            timestamp: None,
            damaged: false,
            expected_bytes: 32 << 10,
            lost_packets: 0,
            counters: DepacketizerCounters::default(),
        }
    }

    /// The parameters, known from the first image on.
    pub fn parameters(&self) -> Option<&Arc<TrackParameters>> {
        self.parameters.as_ref()
    }

    /// What could not be used so far.
    pub fn counters(&self) -> DepacketizerCounters {
        self.counters
    }

    /// Takes the next packet, before which `lost_packets` are missing.
    pub fn push(&mut self, packet: &RtpPacket<'_>, lost_packets: u32, out: &mut Vec<CodedUnit>) {
        let timestamp = packet.header.timestamp;
        self.lost_packets = self.lost_packets.saturating_add(lost_packets);
        self.damaged |= lost_packets > 0;
        if self.timestamp.is_some_and(|t| t != timestamp) {
            self.finish(out);
        }
        if self.timestamp.is_none() {
            // Fragment offsets show whether the beginning is there, so a loss before it does no harm.
            self.timestamp = Some(timestamp);
            self.damaged = false;
            self.image.clear();
            self.header_bytes = 0;
        }
        if !self.damaged && self.append(packet).is_none() {
            self.counters.malformed_packets += 1;
            self.damaged = true;
        }
        if packet.header.marker {
            self.finish(out);
        }
    }

    /// None when the packet breaks the format; a missing beginning only damages.
    fn append(&mut self, packet: &RtpPacket<'_>) -> Option<()> {
        let fragment = Fragment::parse(packet.payload)?;
        if fragment.offset == 0 {
            self.image.clear();
            self.image.reserve_exact(self.expected_bytes + self.expected_bytes / 4);
            self.size = self.picture_size(&fragment, packet)?;
            self.write_headers(
                fragment.kind,
                fragment.quality,
                fragment.restart_interval,
                fragment.quantizers,
            )?;
            self.header_bytes = self.image.len();
        } else if self.image.len() - self.header_bytes != fragment.offset {
            self.damaged = true;
            return Some(());
        }
        if self.image.len() + fragment.data.len() > MAX_UNIT_BYTES {
            return None;
        }
        self.image.extend_from_slice(fragment.data);
        Some(())
    }

    fn picture_size(&self, fragment: &Fragment<'_>, packet: &RtpPacket<'_>) -> Option<(u32, u32)> {
        let from_extension = packet
            .extension
            .filter(|(id, _)| *id == ONVIF_JPEG_EXTENSION)
            .and_then(|(_, words)| frame_header_size(words));
        let (width, height) = fragment.size;
        from_extension
            .or((width > 0 && height > 0).then_some((width, height)))
            .or((self.announced_size.0 > 0 && self.announced_size.1 > 0).then_some(self.announced_size))
            .filter(|(width, height)| *width <= 0xffff && *height <= 0xffff)
    }

    /// RFC 2435 appendix B.
    fn write_headers(&mut self, kind: u8, quality: u8, restart: u16, sent: Option<Quantizers>) -> Option<()> {
        let quantizers = match (quality, sent) {
            (1..=99, _) => Quantizers {
                precision: 0,
                tables: quantizers_of_quality(quality),
            },
            (128.., Some(sent)) if !sent.tables.is_empty() => {
                if quality != 255 {
                    // Quality 255 is the one whose tables may change from picture to picture.
                    self.quantizers.insert(quality, sent.clone());
                }
                sent
            }
            (128..=254, _) => self.quantizers.get(&quality)?.clone(),
            _ => return None,
        };
        let out = &mut self.image;
        out.extend_from_slice(&[0xff, 0xd8]);
        // APP0: JFIF 1.1, square pixels, no thumbnail.
        out.extend_from_slice(b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00");
        let mut rest = quantizers.tables.as_slice();
        let mut table_count = 0u8;
        while !rest.is_empty() && table_count < 4 {
            let wide = quantizers.precision >> table_count & 1;
            let (table, next) = rest.split_at_checked(64 << wide)?;
            out.extend_from_slice(&[0xff, 0xdb]);
            out.extend_from_slice(&(3 + table.len() as u16).to_be_bytes());
            out.push(wide << 4 | table_count);
            out.extend_from_slice(table);
            rest = next;
            table_count += 1;
        }
        if restart > 0 {
            out.extend_from_slice(&[0xff, 0xdd, 0, 4]);
            out.extend_from_slice(&restart.to_be_bytes());
        }
        let chroma_table = u8::from(table_count > 1);
        let sampling = if kind & 1 == 0 { 0x21 } else { 0x22 };
        out.extend_from_slice(&[0xff, 0xc0, 0, 17, 8]);
        out.extend_from_slice(&(self.size.1 as u16).to_be_bytes());
        out.extend_from_slice(&(self.size.0 as u16).to_be_bytes());
        out.extend_from_slice(&[3, 1, sampling, 0, 2, 0x11, chroma_table, 3, 0x11, chroma_table]);
        out.extend_from_slice(&[0xff, 0xc4]);
        out.extend_from_slice(&(2 + HUFFMAN_TABLES.len() as u16).to_be_bytes());
        out.extend_from_slice(&HUFFMAN_TABLES);
        out.extend_from_slice(&[0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0]);
        Some(())
    }

    fn finish(&mut self, out: &mut Vec<CodedUnit>) {
        let Some(rtp_timestamp) = self.timestamp.take() else {
            return;
        };
        if self.damaged || self.image.len() == self.header_bytes {
            self.counters.discarded_units += 1;
            self.image.clear();
            return;
        }
        self.expected_bytes = self.image.len();
        if !self.image.ends_with(&[0xff, 0xd9]) {
            self.image.extend_from_slice(&[0xff, 0xd9]);
        }
        let (width, height) = self.size;
        let parameters = match &self.parameters {
            Some(known) if (known.width, known.height) == self.size => known.clone(),
            _ => Arc::new(TrackParameters {
                codec: Codec::Mjpeg,
                clock_rate: 90_000,
                configuration: Bytes::new(),
                width,
                height,
                channels: 0,
                reorder_depth: 0,
                fps_milli: 0,
            }),
        };
        self.parameters = Some(parameters.clone());
        out.push(CodedUnit {
            rtp_timestamp,
            data: Bytes::from(std::mem::take(&mut self.image).into_boxed_slice()),
            key: true,
            lost_packets: std::mem::take(&mut self.lost_packets),
            parameters,
        });
    }
}

impl<'a> Fragment<'a> {
    fn parse(payload: &'a [u8]) -> Option<Self> {
        let ([_, o1, o2, o3, kind, quality, width, height], mut data) = payload.split_first_chunk::<8>()?;
        let offset = usize::from(*o1) << 16 | usize::from(*o2) << 8 | usize::from(*o3);
        if kind & 0x3f > 1 || *kind >= 128 {
            return None;
        }
        let mut restart_interval = 0;
        if *kind >= 64 {
            let ([high, low, _, _], rest) = data.split_first_chunk::<4>()?;
            restart_interval = u16::from_be_bytes([*high, *low]);
            data = rest;
        }
        let mut quantizers = None;
        if *quality >= 128 && offset == 0 {
            let ([_, precision, high, low], rest) = data.split_first_chunk::<4>()?;
            let (tables, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
            quantizers = Some(Quantizers {
                precision: *precision,
                tables: tables.to_vec(),
            });
            data = rest;
        }
        let size = (u32::from(*width) * 8, u32::from(*height) * 8);
        Some(Self {
            offset,
            kind: *kind,
            quality: *quality,
            size,
            restart_interval,
            quantizers,
            data,
        })
    }
}

/// RFC 2435 appendix A: the two tables of a quality of 1–99.
fn quantizers_of_quality(quality: u8) -> Vec<u8> {
    let quality = u32::from(quality);
    let scale = if quality < 50 {
        5000 / quality
    } else {
        200 - 2 * quality
    };
    LUMA_QUANTIZERS
        .iter()
        .chain(&CHROMA_QUANTIZERS)
        .map(|entry| ((u32::from(*entry) * scale + 50) / 100).clamp(1, 255) as u8)
        .collect()
}

/// Width and height of the SOF0 or SOF1 segment among JPEG header segments.
fn frame_header_size(mut segments: &[u8]) -> Option<(u32, u32)> {
    while let [marker, kind, rest @ ..] = segments {
        if *marker != 0xff {
            return None;
        }
        if matches!(kind, 0xd8 | 0xff | 0x00) {
            segments = &segments[if *kind == 0xd8 { 2 } else { 1 }..];
            continue;
        }
        let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        let body = rest.get(2..length)?;
        if matches!(kind, 0xc0 | 0xc1) {
            let height = u32::from(u16::from_be_bytes([*body.get(1)?, *body.get(2)?]));
            let width = u32::from(u16::from_be_bytes([*body.get(3)?, *body.get(4)?]));
            return (width > 0 && height > 0).then_some((width, height));
        }
        segments = &rest[length..];
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::packet::RtpHeader;
    use super::*;
    use proptest::prelude::*;

    fn send(d: &mut JpegDepacketizer, timestamp: u32, marker: bool, lost: u32, payload: &[u8]) -> Vec<CodedUnit> {
        send_extended(d, timestamp, marker, lost, None, payload)
    }

    fn send_extended(
        d: &mut JpegDepacketizer,
        timestamp: u32,
        marker: bool,
        lost: u32,
        extension: Option<(u16, &[u8])>,
        payload: &[u8],
    ) -> Vec<CodedUnit> {
        let header = RtpHeader {
            marker,
            payload_type: 26,
            sequence: 0,
            timestamp,
            ssrc: 1,
        };
        let mut out = Vec::new();
        d.push(
            &RtpPacket {
                header,
                extension,
                payload,
            },
            lost,
            &mut out,
        );
        out
    }

    fn segments(image: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut found = Vec::new();
        let mut at = 2;
        while image[at + 1] != 0xda {
            let length = usize::from(u16::from_be_bytes([image[at + 2], image[at + 3]]));
            found.push((image[at + 1], image[at + 4..at + 2 + length].to_vec()));
            at += 2 + length;
        }
        found
    }

    #[test]
    fn an_image_of_two_packets_gets_its_headers_back() {
        let mut d = JpegDepacketizer::new((0, 0));
        assert!(send(&mut d, 9, false, 0, &[0, 0, 0, 0, 1, 50, 80, 60, 1, 2, 3]).is_empty());
        let out = send(&mut d, 9, true, 0, &[0, 0, 0, 3, 1, 50, 80, 60, 4, 5]);
        let image = &out[0].data[..];
        assert!(image.starts_with(&[0xff, 0xd8, 0xff, 0xe0]) && image.ends_with(&[1, 2, 3, 4, 5, 0xff, 0xd9]));
        let segments = segments(image);
        assert_eq!(
            segments.iter().map(|(m, _)| *m).collect::<Vec<_>>(),
            [0xe0, 0xdb, 0xdb, 0xc0, 0xc4]
        );
        assert_eq!(segments[1].1[1..], LUMA_QUANTIZERS, "quality 50 is the table itself");
        assert_eq!(segments[3].1[..7], [8, 1, 224, 2, 128, 3, 1]);
        assert_eq!(
            (out[0].parameters.width, out[0].parameters.height, out[0].key),
            (640, 480, true)
        );
    }

    #[test]
    fn tables_sent_in_band_are_kept_by_quality_and_restart_intervals_written() {
        let mut d = JpegDepacketizer::new((0, 0));
        let with_tables = [
            &[0, 0, 0, 0, 65, 200, 2, 2, 0, 9, 0xff, 0xff, 0, 0, 0, 128][..],
            &[7; 128],
            &[1],
        ]
        .concat();
        let first = send(&mut d, 1, true, 0, &with_tables);
        let without = [0, 0, 0, 0, 65, 200, 2, 2, 0, 9, 0xff, 0xff, 0, 0, 0, 0, 1];
        let second = send(&mut d, 2, true, 0, &without);
        assert_eq!(first[0].data, second[0].data);
        assert!(segments(&first[0].data).contains(&(0xdd, vec![0, 9])));
        let unknown = [0, 0, 0, 0, 0, 201, 2, 2, 0, 0, 0, 0, 1];
        assert!(send(&mut d, 3, true, 0, &unknown).is_empty());
    }

    #[test]
    fn images_too_large_for_the_payload_header_take_their_size_elsewhere() {
        let zero = [0, 0, 0, 0, 1, 50, 0, 0, 1];
        assert!(send(&mut JpegDepacketizer::new((0, 0)), 1, true, 0, &zero).is_empty());
        let out = send(&mut JpegDepacketizer::new((3840, 2160)), 1, true, 0, &zero);
        assert_eq!((out[0].parameters.width, out[0].parameters.height), (3840, 2160));
        let sof = [0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0x10, 0, 0x20, 0, 1, 1, 0x11, 0, 0];
        let mut d = JpegDepacketizer::new((0, 0));
        let out = send_extended(&mut d, 1, true, 0, Some((ONVIF_JPEG_EXTENSION, &sof)), &zero);
        assert_eq!((out[0].parameters.width, out[0].parameters.height), (8192, 4096));
    }

    #[test]
    fn an_image_with_a_missing_packet_is_discarded() {
        let mut d = JpegDepacketizer::new((0, 0));
        send(&mut d, 1, false, 0, &[0, 0, 0, 0, 1, 50, 2, 2, 1, 2]);
        assert!(send(&mut d, 1, true, 1, &[0, 0, 0, 4, 1, 50, 2, 2, 1]).is_empty());
        assert!(
            send(&mut d, 2, true, 0, &[0, 0, 0, 4, 1, 50, 2, 2, 1]).is_empty(),
            "the beginning is missing"
        );
        let out = send(&mut d, 3, true, 1, &[0, 0, 0, 0, 1, 50, 2, 2, 1, 0xff, 0xd9]);
        assert_eq!(out[0].lost_packets, 2);
        assert!(out[0].data.ends_with(&[1, 0xff, 0xd9]) && !out[0].data.ends_with(&[0xff, 0xd9, 0xff, 0xd9]));
        assert_eq!(d.counters().discarded_units, 2);
    }

    proptest! {
        #[test]
        fn any_payloads_are_taken(payloads in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..60), any::<bool>()), 0..20), extension in proptest::collection::vec(any::<u8>(), 0..30)) {
            let mut d = JpegDepacketizer::new((0, 0));
            for (payload, marker) in payloads {
                send_extended(&mut d, 0, marker, 0, Some((ONVIF_JPEG_EXTENSION, &extension)), &payload);
            }
        }

        #[test]
        fn any_headers_are_taken(kind in 0u8..2, quality: u8, rest in proptest::collection::vec(any::<u8>(), 0..300)) {
            let payload = [&[0, 0, 0, 0, kind, quality, 2, 2][..], &rest].concat();
            send(&mut JpegDepacketizer::new((0, 0)), 0, true, 0, &payload);
        }
    }
}
