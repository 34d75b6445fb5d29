//! A frame number and a send time inside the stream: an SEI message (user_data_unregistered, ITU-T H.264 §D.1.7,
//! H.265 §D.2.7) that the simulator puts before every picture, so that tests and delay figures rest on what the sender
//! did and not on our own clocks and indexes.

use crate::codec::nal::{length_prefixed, sei_payloads};
use crate::codec::{escape, h264, h265, unescape};
use crate::error::{Error, ErrorKind, Result};
use crate::track::Codec;

/// uuid_iso_iec_11578 of the message.
pub const STAMP_UUID: [u8; 16] = [
    0x5f, 0x1c, 0x8a, 0x3e, 0x9b, 0x27, 0x4d, 0x60, 0xa4, 0xd1, 0x7e, 0x93, 0x0b, 0xc6, 0x52, 0xf8,
];

const SEI_USER_DATA_UNREGISTERED: u32 = 5;
/// UUID, frame number, send time.
const PAYLOAD_BYTES: usize = 32;
/// A NAL unit longer than the payload with every third byte escaped holds other messages first; they are not ours.
const MAX_NAL_BYTES: usize = 64;

/// What a stamp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The sender's number of the picture, from 0, without holes.
    pub frame: u64,
    /// The sender's clock when it sent the picture, µs since the Unix epoch.
    pub sent_us: u64,
}

impl Stamp {
    /// The SEI NAL unit (no start code, no length) to put before a picture of `codec`. `Unsupported` for codecs other
    /// than H.264 and H.265.
    pub fn nal(&self, codec: Codec) -> Result<Vec<u8>> {
        let mut nal = match codec {
            Codec::H264 => vec![h264::NAL_SEI],
            Codec::H265 => vec![h265::NAL_PREFIX_SEI << 1, 1],
            other => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("no stamps in {}", other.as_str()),
                ));
            }
        };
        let mut message = vec![SEI_USER_DATA_UNREGISTERED as u8, PAYLOAD_BYTES as u8];
        message.extend_from_slice(&STAMP_UUID);
        message.extend_from_slice(&self.frame.to_be_bytes());
        message.extend_from_slice(&self.sent_us.to_be_bytes());
        message.push(0x80); // rbsp_trailing_bits
        nal.extend_from_slice(&escape(&message));
        Ok(nal)
    }
}

/// The stamp in an access unit (4-byte length-prefixed), if it has one.
pub fn find_stamp(unit: &[u8], codec: Codec) -> Option<Stamp> {
    let header_bytes = match codec {
        Codec::H264 => 1,
        Codec::H265 => 2,
        _ => return None,
    };
    for nal in length_prefixed(unit) {
        let is_sei = match codec {
            Codec::H264 => h264::nal_type(nal) == h264::NAL_SEI,
            _ => h265::nal_type(nal) == h265::NAL_PREFIX_SEI,
        };
        if is_sei && nal.len() > header_bytes && nal.len() <= MAX_NAL_BYTES {
            let rbsp = unescape(&nal[header_bytes..]);
            if let Some(stamp) = sei_payloads(&rbsp).find_map(read_payload) {
                return Some(stamp);
            }
        }
    }
    None
}

fn read_payload((kind, payload): (u32, &[u8])) -> Option<Stamp> {
    let payload: &[u8; PAYLOAD_BYTES] = payload.try_into().ok()?;
    if kind != SEI_USER_DATA_UNREGISTERED || payload[..16] != STAMP_UUID {
        return None;
    }
    let number = |at: usize| u64::from_be_bytes(std::array::from_fn(|byte| payload[at + byte]));
    Some(Stamp {
        frame: number(16),
        sent_us: number(24),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::codec::nal::push_length_prefixed;
    use proptest::prelude::*;

    fn unit(nals: &[&[u8]]) -> Vec<u8> {
        let mut unit = Vec::new();
        nals.iter().for_each(|nal| push_length_prefixed(&mut unit, nal));
        unit
    }

    #[test]
    fn other_messages_are_no_stamps() {
        let stamp = Stamp {
            frame: 7,
            sent_us: 1_763_892_000_000_000,
        };
        let nal = stamp.nal(Codec::H264).unwrap();
        let mut foreign = nal.clone();
        foreign[5] ^= 1;
        let mut kind = nal.clone();
        kind[1] = 4;
        for other in [&foreign[..], &kind, &nal[..20], &[0x06], &[]] {
            assert_eq!(find_stamp(&unit(&[other, &[0x65, 1]]), Codec::H264), None);
        }
        assert_eq!(
            find_stamp(&unit(&[&[9, 0xf0], &foreign, &nal]), Codec::H264),
            Some(stamp)
        );
        assert_eq!(find_stamp(&unit(&[&nal]), Codec::Mjpeg), None);
        assert_eq!(stamp.nal(Codec::Aac).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    proptest! {
        #[test]
        fn stamps_read_back_and_never_look_like_a_start_code(
            frame in prop_oneof![any::<u64>(), 0u64..1 << 20], sent_us in prop_oneof![any::<u64>(), 0u64..4],
        ) {
            let stamp = Stamp { frame, sent_us };
            for codec in [Codec::H264, Codec::H265] {
                let nal = stamp.nal(codec).unwrap();
                prop_assert!(nal.len() <= MAX_NAL_BYTES);
                prop_assert!(!nal.windows(3).any(|bytes| bytes[..2] == [0, 0] && bytes[2] < 3));
                prop_assert_eq!(find_stamp(&unit(&[&nal, &[0x65, 1, 2]]), codec), Some(stamp));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            for codec in [Codec::H264, Codec::H265] {
                let _ = find_stamp(&bytes, codec);
                let _ = find_stamp(&unit(&[&[&[6u8][..], &bytes].concat(), &[&[78u8][..], &bytes].concat()]), codec);
            }
        }
    }
}
