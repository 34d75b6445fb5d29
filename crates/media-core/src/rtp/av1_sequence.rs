//! The AV1 sequence header (AV1 specification §5.5) and the av1C record made of it (AV1 in ISOBMFF §2.3).

use crate::track::{Codec, TrackParameters};
use crate::{Error, Result};
use bytes::Bytes;

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)? == 1)
    }

    /// uvlc() of §4.10.3; only stepped over here.
    fn skip_uvlc(&mut self) -> Option<()> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 32 {
                return None;
            }
        }
        self.take(zeros).map(|_| ())
    }
}

struct Sequence {
    profile: u32,
    level: u32,
    tier: bool,
    width: u32,
    height: u32,
    fps_milli: u32,
    /// high_bitdepth … chroma_sample_position, as av1C packs them.
    color: u8,
    reduced_still_picture_header: bool,
}

/// Parameters of the sequence header OBU `obu`, given with its header and size field, as av1C stores it.
pub fn parameters(obu: &[u8]) -> Result<TrackParameters> {
    let cut = || Error::malformed("AV1 sequence header is cut short");
    let payload = payload(obu).ok_or_else(cut)?;
    let sequence = parse(payload).ok_or_else(cut)?;
    let mut configuration = vec![
        0x81,
        (sequence.profile << 5 | sequence.level) as u8,
        u8::from(sequence.tier) << 7 | sequence.color,
        0,
    ];
    configuration.extend_from_slice(obu);
    Ok(TrackParameters {
        codec: Codec::Av1,
        clock_rate: 90_000,
        configuration: Bytes::from(configuration),
        width: sequence.width,
        height: sequence.height,
        channels: 0,
        // Pictures shown later are hidden inside their temporal unit: output order is decoding order.
        reorder_depth: 0,
        fps_milli: sequence.fps_milli,
    })
}

/// Whether frame headers of this sequence leave out their type because every picture is a key frame.
pub fn is_still_picture(obu: &[u8]) -> bool {
    payload(obu)
        .and_then(parse)
        .is_some_and(|sequence| sequence.reduced_still_picture_header)
}

fn payload(obu: &[u8]) -> Option<&[u8]> {
    let header = obu.first()?;
    let mut at = if header & 0x04 != 0 { 2 } else { 1 };
    if header & 0x02 != 0 {
        while obu.get(at)? & 0x80 != 0 {
            at += 1;
        }
        at += 1;
    }
    obu.get(at..)
}

fn parse(bytes: &[u8]) -> Option<Sequence> {
    let mut bits = Bits { bytes, at: 0 };
    let profile = bits.take(3)?;
    bits.flag()?;
    let reduced = bits.flag()?;
    let (mut level, mut tier, mut fps_milli) = (0, false, 0);
    if reduced {
        level = bits.take(5)?;
    } else {
        let mut decoder_model_bits = None;
        if bits.flag()? {
            let tick = bits.take(32)?;
            let scale = bits.take(32)?;
            let equal_interval = bits.flag()?;
            if equal_interval {
                bits.skip_uvlc()?;
                fps_milli = (u64::from(scale) * 1000).checked_div(u64::from(tick)).unwrap_or(0).min(1_000_000) as u32;
            }
            if bits.flag()? {
                decoder_model_bits = Some(bits.take(5)? + 1);
                bits.take(32)?;
                bits.take(10)?;
            }
        }
        let display_delay = bits.flag()?;
        let points = bits.take(5)? + 1;
        for point in 0..points {
            bits.take(12)?;
            let point_level = bits.take(5)?;
            let point_tier = point_level > 7 && bits.flag()?;
            if point == 0 {
                (level, tier) = (point_level, point_tier);
            }
            if let Some(count) = decoder_model_bits
                && bits.flag()?
            {
                bits.take(count)?;
                bits.take(count)?;
                bits.flag()?;
            }
            if display_delay && bits.flag()? {
                bits.take(4)?;
            }
        }
    }
    let width_bits = bits.take(4)? + 1;
    let height_bits = bits.take(4)? + 1;
    let width = bits.take(width_bits)? + 1;
    let height = bits.take(height_bits)? + 1;
    if !reduced && bits.flag()? {
        bits.take(7)?;
    }
    bits.take(3)?;
    if !reduced {
        bits.take(4)?;
        let order_hint = bits.flag()?;
        if order_hint {
            bits.take(2)?;
        }
        // SELECT_SCREEN_CONTENT_TOOLS counts as in use.
        let screen_content = bits.flag()? || bits.flag()?;
        if screen_content && !bits.flag()? {
            bits.flag()?;
        }
        if order_hint {
            bits.take(3)?;
        }
    }
    bits.take(3)?;
    let color = color(&mut bits, profile)?;
    Some(Sequence {
        profile,
        level,
        tier,
        width,
        height,
        fps_milli,
        color,
        reduced_still_picture_header: reduced,
    })
}

/// color_config() of §5.5.2, packed as in the third byte of av1C.
fn color(bits: &mut Bits<'_>, profile: u32) -> Option<u8> {
    let high = bits.flag()?;
    let twelve = profile == 2 && high && bits.flag()?;
    let monochrome = profile != 1 && bits.flag()?;
    let description = if bits.flag()? {
        (bits.take(8)?, bits.take(8)?, bits.take(8)?)
    } else {
        (2, 2, 2)
    };
    let mut position = 0;
    let (half_x, half_y);
    if monochrome {
        bits.flag()?;
        (half_x, half_y) = (true, true);
    } else if description == (1, 13, 0) {
        (half_x, half_y) = (false, false);
    } else {
        bits.flag()?;
        (half_x, half_y) = match profile {
            0 => (true, true),
            1 => (false, false),
            _ if twelve => {
                let half_x = bits.flag()?;
                (half_x, half_x && bits.flag()?)
            }
            _ => (true, false),
        };
        if half_x && half_y {
            position = bits.take(2)? as u8;
        }
    }
    let flags = [high, twelve, monochrome, half_x, half_y];
    let packed = flags.iter().fold(0u8, |packed, flag| packed << 1 | u8::from(*flag));
    Some(packed << 2 | position)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Made by libaom: 1280×720, 4:4:4, 25 frames per second.
    const HEADER: &[u8] = &[
        0x0a, 0x0e, 0x20, 0x00, 0x00, 0x2d, 0x4c, 0xff, 0xb3, 0xcc, 0xaf, 0x92, 0x02, 0x1a, 0x00, 0x40,
    ];

    #[test]
    fn a_sequence_header_gives_size_and_configuration() {
        let p = parameters(HEADER).unwrap();
        assert_eq!((p.width, p.height), (1280, 720));
        assert_eq!(p.configuration[..4], [0x81, 0x25, 0x00, 0x00]);
        assert_eq!(&p.configuration[4..], HEADER);
        assert!(!is_still_picture(HEADER));
    }

    #[test]
    fn every_cut_is_refused() {
        for end in 0..13 {
            assert!(parameters(&HEADER[..end]).is_err(), "{end}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parameters(&bytes);
            let _ = is_still_picture(&bytes);
        }
    }
}
