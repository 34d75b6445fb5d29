//! The camera's send time, read from the packets that begin a picture.

use media_core::Codec;
use media_core::stamp::{Stamp, find_stamp};

/// Aggregation packets of RFC 6184 §5.7.1 and RFC 7798 §4.4.2, by their NAL unit type.
const STAP_A: u8 = 24;
const AGGREGATION_PACKET: u8 = 48;

/// The stamp in the payload of an RTP packet, if the packet carries it whole.
pub(super) fn stamp_in(payload: &[u8], codec: Codec) -> Option<Stamp> {
    let first = *payload.first()?;
    let units_at = match codec {
        Codec::H264 if first & 0x1f == STAP_A => Some(1),
        Codec::H265 if first >> 1 & 0x3f == AGGREGATION_PACKET => Some(2),
        _ => None,
    };
    // As an access unit has it: with lengths of four bytes.
    let mut unit = Vec::new();
    match units_at {
        None => push(&mut unit, payload),
        Some(at) => {
            let mut rest = payload.get(at..)?;
            while let Some((length, tail)) = rest.split_first_chunk::<2>() {
                let (nal, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
                push(&mut unit, nal);
                rest = tail;
            }
        }
    }
    find_stamp(&unit, codec)
}

fn push(unit: &mut Vec<u8>, nal: &[u8]) {
    unit.extend_from_slice(&(nal.len() as u32).to_be_bytes());
    unit.extend_from_slice(nal);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_stamp_is_found_alone_and_among_others() {
        let stamp = Stamp {
            frame: 5,
            sent_us: 1_790_000_000_000_000,
        };
        for (codec, aggregation) in [
            (Codec::H264, &[STAP_A][..]),
            (Codec::H265, &[AGGREGATION_PACKET << 1, 1]),
        ] {
            let nal = stamp.nal(codec).unwrap();
            assert_eq!(stamp_in(&nal, codec), Some(stamp));
            let mut packet = aggregation.to_vec();
            for nal in [&[9, 0x10][..], &nal] {
                packet.extend_from_slice(&(nal.len() as u16).to_be_bytes());
                packet.extend_from_slice(nal);
            }
            assert_eq!(stamp_in(&packet, codec), Some(stamp));
            for length in 0..packet.len() {
                assert_eq!(stamp_in(&packet[..length], codec), None, "{length}");
            }
        }
        assert_eq!(stamp_in(&[], Codec::H264), None);
    }
}
