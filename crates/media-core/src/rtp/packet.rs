//! The RTP packet (RFC 3550 §5.1).

use crate::{Error, Result};

/// Bytes of an RTP header without contributing sources or extension.
pub const RTP_HEADER_BYTES: usize = 12;

/// The fields of an RTP header that a receiver acts on and a sender sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpHeader {
    /// Marker bit; for video: last packet of a picture.
    pub marker: bool,
    /// Payload type, 0–127.
    pub payload_type: u8,
    /// Sequence number, wraps at 65,536.
    pub sequence: u16,
    /// Media timestamp in ticks of the payload's clock, wraps at 2^32.
    pub timestamp: u32,
    /// Synchronization source.
    pub ssrc: u32,
}

/// A parsed packet that borrows its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpPacket<'a> {
    /// The header.
    pub header: RtpHeader,
    /// Header extension: profile-defined id and its words (RFC 3550 §5.3.1).
    pub extension: Option<(u16, &'a [u8])>,
    /// Payload without padding.
    pub payload: &'a [u8],
}

impl RtpHeader {
    /// The header's 12 bytes, version 2, without padding, extension or contributing sources.
    #[inline]
    pub fn to_bytes(&self) -> [u8; RTP_HEADER_BYTES] {
        let mut bytes = [0; RTP_HEADER_BYTES];
        bytes[0] = 0x80;
        bytes[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        bytes[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        bytes
    }

    /// Appends the header's 12 bytes.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }
}

impl<'a> RtpPacket<'a> {
    /// Reads one packet; `Malformed` names the field that does not fit.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let Some((fixed, mut rest)) = bytes.split_first_chunk::<RTP_HEADER_BYTES>() else {
            return Err(Error::malformed(format!(
                "RTP packet of {} bytes, shorter than its header",
                bytes.len()
            )));
        };
        if fixed[0] >> 6 != 2 {
            return Err(Error::malformed(format!("RTP version {}, not 2", fixed[0] >> 6)));
        }
        let header = RtpHeader {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        };
        let contributing_bytes = usize::from(fixed[0] & 0x0f) * 4;
        rest = rest
            .get(contributing_bytes..)
            .ok_or_else(|| cut(&header, "contributing sources"))?;
        let mut extension = None;
        if fixed[0] & 0x10 != 0 {
            let (head, tail) = rest
                .split_first_chunk::<4>()
                .ok_or_else(|| cut(&header, "header extension"))?;
            let extension_bytes = usize::from(u16::from_be_bytes([head[2], head[3]])) * 4;
            let (words, tail) = tail
                .split_at_checked(extension_bytes)
                .ok_or_else(|| cut(&header, "header extension"))?;
            extension = Some((u16::from_be_bytes([head[0], head[1]]), words));
            rest = tail;
        }
        if fixed[0] & 0x20 != 0 {
            let padding_bytes = usize::from(*rest.last().ok_or_else(|| cut(&header, "padding"))?);
            if padding_bytes == 0 || padding_bytes > rest.len() {
                return Err(cut(&header, "padding"));
            }
            rest = &rest[..rest.len() - padding_bytes];
        }
        Ok(Self {
            header,
            extension,
            payload: rest,
        })
    }
}

#[cold]
fn cut(header: &RtpHeader, what: &str) -> Error {
    Error::malformed(format!("RTP packet {}: {what} longer than the packet", header.sequence))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const HEADER: RtpHeader = RtpHeader {
        marker: true,
        payload_type: 96,
        sequence: 65_535,
        timestamp: 0xdead_beef,
        ssrc: 7,
    };

    #[test]
    fn a_header_survives_writing_and_parsing() {
        let mut bytes = Vec::new();
        HEADER.write(&mut bytes);
        bytes.extend_from_slice(b"payload");
        let packet = RtpPacket::parse(&bytes).unwrap();
        assert_eq!(packet.header, HEADER);
        assert_eq!(packet.payload, b"payload");
        assert_eq!(packet.extension, None);
    }

    #[test]
    fn sources_extension_and_padding_are_taken_off() {
        let mut bytes = HEADER.to_bytes().to_vec();
        bytes[0] = 0x80 | 0x20 | 0x10 | 2;
        bytes.extend_from_slice(&[1; 8]);
        bytes.extend_from_slice(&[0xab, 0xac, 0, 1, 9, 9, 9, 9]);
        bytes.extend_from_slice(b"media\0\0\x03");
        let packet = RtpPacket::parse(&bytes).unwrap();
        assert_eq!(packet.payload, b"media");
        assert_eq!(packet.extension, Some((0xabac, [9; 4].as_slice())));
    }

    #[test]
    fn fields_longer_than_the_packet_are_refused() {
        let mut bytes = HEADER.to_bytes().to_vec();
        for first in [0x81, 0x90, 0xa0, 0x40] {
            bytes[0] = first;
            assert!(RtpPacket::parse(&bytes).is_err(), "{first:#x}");
        }
        bytes[0] = 0xa0;
        bytes.extend_from_slice(&[0, 9]);
        assert!(RtpPacket::parse(&bytes).is_err(), "padding longer than the payload");
        assert!(RtpPacket::parse(&bytes[..11]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = RtpPacket::parse(&bytes);
        }
    }
}
