//! AV1: sequence header, av1C ("AV1 Codec ISO Media File Format Binding" §2.3) and where a decoder can start.
//! Sections are those of the AV1 bitstream specification.

use super::{BitReader, fps_milli};
use crate::error::{Error, Result};
use crate::track::{Codec, TrackParameters};

const OBU_SEQUENCE_HEADER: u8 = 1;
const OBU_FRAME_HEADER: u8 = 3;
const OBU_FRAME: u8 = 6;

/// What a sequence header says (§5.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceHeader {
    /// seq_profile: 0 main, 1 high, 2 professional.
    pub profile: u8,
    /// seq_level_idx of operating point 0.
    pub level_idx: u8,
    /// seq_tier of operating point 0.
    pub high_tier: bool,
    /// Bits per sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// No chroma.
    pub monochrome: bool,
    /// Chroma at half the width.
    pub subsampled_x: bool,
    /// Chroma at half the height.
    pub subsampled_y: bool,
    /// chroma_sample_position.
    pub chroma_position: u8,
    /// max_frame_width.
    pub width: u32,
    /// max_frame_height.
    pub height: u32,
    /// Thousandths of a frame per second from timing_info with equal intervals; 0 when not given.
    pub fps_milli: u32,
}

impl SequenceHeader {
    /// Reads the payload of a sequence header OBU.
    pub fn parse(payload: &[u8]) -> Result<Self> {
        let mut bits = BitReader::new(payload, "AV1 sequence header");
        let profile = bits.bits(3)? as u8;
        bits.skip(1)?;
        let reduced = bits.bit()?;
        let (mut level_idx, mut high_tier, mut fps) = (0, false, 0);
        if reduced {
            level_idx = bits.bits(5)? as u8;
        } else {
            let mut delay_bits = None;
            if bits.bit()? {
                let units = bits.bits(32)?;
                let scale = bits.bits(32)?;
                if bits.bit()? {
                    let ticks = bits.ue()? as u64 + 1;
                    fps = fps_milli(scale, units as u64 * ticks);
                }
                if bits.bit()? {
                    delay_bits = Some(bits.bits(5)? as usize + 1);
                    bits.skip(42)?;
                }
            }
            let display_delay = bits.bit()?;
            for point in 0..=bits.bits(5)? {
                bits.skip(12)?;
                let level = bits.bits(5)? as u8;
                let tier = level > 7 && bits.bit()?;
                if point == 0 {
                    (level_idx, high_tier) = (level, tier);
                }
                if let Some(delay_bits) = delay_bits
                    && bits.bit()?
                {
                    bits.skip(2 * delay_bits + 1)?;
                }
                if display_delay && bits.bit()? {
                    bits.skip(4)?;
                }
            }
        }
        let width_bits = bits.bits(4)? + 1;
        let height_bits = bits.bits(4)? + 1;
        let width = bits.bits(width_bits)? + 1;
        let height = bits.bits(height_bits)? + 1;
        if !reduced && bits.bit()? {
            bits.skip(7)?; // frame id lengths
        }
        bits.skip(3)?;
        if !reduced {
            skip_tools(&mut bits)?;
        }
        bits.skip(3)?;
        let mut sequence = Self {
            profile,
            level_idx,
            high_tier,
            bit_depth: 8,
            monochrome: false,
            subsampled_x: true,
            subsampled_y: true,
            chroma_position: 0,
            width,
            height,
            fps_milli: fps,
        };
        sequence.read_color(&mut bits)?;
        Ok(sequence)
    }

    /// color_config (§5.5.2).
    fn read_color(&mut self, bits: &mut BitReader<'_>) -> Result<()> {
        if bits.bit()? {
            self.bit_depth = if self.profile == 2 && bits.bit()? { 12 } else { 10 };
        }
        self.monochrome = self.profile != 1 && bits.bit()?;
        let description = if bits.bit()? { bits.bits(24)? } else { 0x02_0202 };
        if self.monochrome {
            return bits.skip(1);
        }
        // BT.709 primaries, sRGB transfer, identity matrix: RGB, never subsampled.
        if description == 0x01_0d00 {
            (self.subsampled_x, self.subsampled_y) = (false, false);
            return Ok(());
        }
        bits.skip(1)?;
        (self.subsampled_x, self.subsampled_y) = match self.profile {
            0 => (true, true),
            1 => (false, false),
            _ if self.bit_depth == 12 => {
                let x = bits.bit()?;
                (x, x && bits.bit()?)
            }
            _ => (true, false),
        };
        if self.subsampled_x && self.subsampled_y {
            self.chroma_position = bits.bits(2)? as u8;
        }
        Ok(())
    }
}

/// The coding tools of a sequence header that is not reduced, up to order_hint_bits (§5.5.1).
fn skip_tools(bits: &mut BitReader<'_>) -> Result<()> {
    bits.skip(4)?;
    let order_hint = bits.bit()?;
    if order_hint {
        bits.skip(2)?;
    }
    let screen_content = bits.bit()? || bits.bit()?;
    if screen_content && !bits.bit()? {
        bits.skip(1)?;
    }
    bits.skip(if order_hint { 3 } else { 0 })
}

/// The OBUs of a temporal unit as type and payload. An OBU without a size field reaches to the end.
fn obus(unit: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = unit;
    std::iter::from_fn(move || {
        let header = *rest.first()?;
        let mut at = 1 + (header >> 2 & 1) as usize;
        let mut length = rest.len().checked_sub(at)?;
        if header & 2 != 0 {
            length = 0;
            for group in 0..8 {
                let byte = *rest.get(at)?;
                at += 1;
                length |= ((byte & 0x7f) as usize) << (7 * group);
                if byte & 0x80 == 0 {
                    break;
                }
            }
        }
        let payload = rest.get(at..)?.get(..length)?;
        rest = &rest[at + length..];
        Some((header >> 3 & 0xf, payload))
    })
}

/// Parameters of a track from a temporal unit that holds a sequence header.
pub fn parameters(unit: &[u8]) -> Result<TrackParameters> {
    let (_, payload) = obus(unit)
        .find(|(kind, _)| *kind == OBU_SEQUENCE_HEADER)
        .ok_or_else(|| Error::malformed("AV1: no sequence header"))?;
    let sequence = SequenceHeader::parse(payload)?;
    let flag = |set: bool, bit: u32| (set as u8) << bit;
    let mut av1c = vec![
        0x81,
        sequence.profile << 5 | sequence.level_idx,
        flag(sequence.high_tier, 7)
            | flag(sequence.bit_depth > 8, 6)
            | flag(sequence.bit_depth == 12, 5)
            | flag(sequence.monochrome, 4)
            | flag(sequence.subsampled_x, 3)
            | flag(sequence.subsampled_y, 2)
            | sequence.chroma_position,
        0, // no initial presentation delay given
        OBU_SEQUENCE_HEADER << 3 | 2,
    ];
    let mut length = payload.len();
    while length > 0x7f {
        av1c.push(length as u8 | 0x80);
        length >>= 7;
    }
    av1c.push(length as u8);
    av1c.extend_from_slice(payload);
    Ok(TrackParameters {
        codec: Codec::Av1,
        clock_rate: 90_000,
        configuration: av1c.into(),
        width: sequence.width,
        height: sequence.height,
        channels: 0,
        reorder_depth: 0,
        fps_milli: sequence.fps_milli,
    })
}

/// Whether a decoder can start at this temporal unit: it brings a sequence header and its first frame is a new key
/// frame (§7.21: show_existing_frame 0, frame_type 0).
pub fn is_random_access(unit: &[u8]) -> bool {
    let mut has_sequence = false;
    for (kind, payload) in obus(unit) {
        match kind {
            OBU_SEQUENCE_HEADER => has_sequence = true,
            OBU_FRAME | OBU_FRAME_HEADER => {
                return has_sequence && payload.first().is_some_and(|byte| byte & 0xe0 == 0);
            }
            _ => {}
        }
    }
    false
}

pub(super) fn codec_string(av1c: &[u8]) -> Option<String> {
    let fields = av1c.get(1..3)?;
    let tier = if fields[1] & 0x80 == 0 { 'M' } else { 'H' };
    let depth = 8 + 2 * (fields[1] >> 6 & 1) + 2 * (fields[1] >> 5 & 1);
    Some(format!(
        "av01.{}.{:02}{tier}.{depth:02}",
        fields[0] >> 5,
        fields[0] & 0x1f
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::codec::codec_string;
    use proptest::prelude::*;

    /// The start of a temporal unit by libaom, 320x180: temporal delimiter, sequence header, frame.
    const UNIT: [u8; 18] = [
        0x12, 0x00, 0x0a, 0x0b, 0x00, 0x00, 0x00, 0x04, 0x3c, 0xfe, 0xcc, 0xda, 0xf9, 0x00, 0x40, 0x32, 0x01, 0x0e,
    ];

    #[test]
    fn a_real_sequence_header_reads_as_encoded() {
        let track = parameters(&UNIT).unwrap();
        assert_eq!((track.width, track.height), (320, 180));
        assert_eq!(track.configuration[..6], [0x81, 0x00, 0x0c, 0x00, 0x0a, 0x0b]);
        assert_eq!(track.configuration[6..], UNIT[4..15]);
        assert_eq!(codec_string(&track).unwrap(), "av01.0.00M.08");
        assert!(parameters(&UNIT[..14]).is_err());
        assert!(
            parameters(&UNIT[..2])
                .unwrap_err()
                .message()
                .contains("no sequence header")
        );
    }

    #[test]
    fn a_decoder_starts_at_a_sequence_header_with_a_key_frame() {
        assert!(is_random_access(&UNIT));
        assert!(!is_random_access(&UNIT[15..]));
        let mut shown_again = UNIT;
        shown_again[17] = 0x8e;
        assert!(!is_random_access(&shown_again));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = SequenceHeader::parse(&bytes);
            let _ = parameters(&[&[0x0a, bytes.len() as u8], &bytes[..]].concat());
            let _ = parameters(&bytes);
            let _ = is_random_access(&bytes);
        }
    }
}
