//! ITU-T H.265: parameter sets, hvcC (ISO/IEC 14496-15 §8.3.3.1) and where a decoder can start.

use super::nal::{length_prefixed, sei_payloads};
use super::{BitReader, fps_milli, unescape};
use crate::error::{Error, ErrorKind, Result};
use crate::track::{Codec, TrackParameters};

/// First and last type of pictures at which a decoder can start (BLA, IDR, CRA).
pub const NAL_IRAP: std::ops::RangeInclusive<u8> = 16..=21;
/// Video parameter set.
pub const NAL_VPS: u8 = 32;
/// Sequence parameter set.
pub const NAL_SPS: u8 = 33;
/// Picture parameter set.
pub const NAL_PPS: u8 = 34;
/// Access unit delimiter.
pub const NAL_AUD: u8 = 35;
/// Supplemental enhancement information before the slices.
pub const NAL_PREFIX_SEI: u8 = 39;

const SEI_RECOVERY_POINT: u32 = 6;
/// Types below this carry slices.
const NAL_FIRST_NON_VCL: u8 = 32;
/// Profile, tier, constraints and level of profile_tier_level: bytes 1 to 12 of hvcC.
const GENERAL_PROFILE_BYTES: usize = 12;

/// nal_unit_type of a NAL unit (63, unspecified, when it is empty).
pub fn nal_type(nal: &[u8]) -> u8 {
    nal.first().map_or(63, |byte| byte >> 1 & 0x3f)
}

/// What a sequence parameter set says (§7.3.2.2, Annex E).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceParameters {
    /// general_profile_space … general_level_idc, as they stand in the SPS and in hvcC.
    pub general_profile: [u8; GENERAL_PROFILE_BYTES],
    /// sps_max_sub_layers_minus1 + 1.
    pub temporal_layers: u8,
    /// sps_temporal_id_nesting_flag.
    pub temporal_id_nested: bool,
    /// 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format_idc: u8,
    /// Bits per luma sample, 8 to 16.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample, 8 to 16.
    pub bit_depth_chroma: u8,
    /// Width in pixels inside the conformance window.
    pub width: u32,
    /// Height in pixels inside the conformance window.
    pub height: u32,
    /// Thousandths of a frame per second from the VUI; 0 when not given.
    pub fps_milli: u32,
    /// sps_max_num_reorder_pics of the highest temporal layer.
    pub reorder_depth: u8,
}

impl SequenceParameters {
    /// Reads a sequence parameter set NAL unit (with its two header bytes).
    pub fn parse(nal: &[u8]) -> Result<Self> {
        if nal_type(nal) != NAL_SPS || nal.len() < 2 {
            return Err(Error::malformed(format!("H.265 SPS: nal_unit_type {}", nal_type(nal))));
        }
        let rbsp = unescape(&nal[2..]);
        let mut bits = BitReader::new(&rbsp, "H.265 SPS");
        bits.skip(4)?;
        let sub_layers = bits.bits(3)?;
        if sub_layers > 6 {
            return Err(bits.malformed("sps_max_sub_layers_minus1 7 is more than 6"));
        }
        let temporal_id_nested = bits.bit()?;
        let mut general_profile = [0; GENERAL_PROFILE_BYTES];
        for byte in &mut general_profile {
            *byte = bits.bits(8)? as u8;
        }
        skip_sub_layer_profiles(&mut bits, sub_layers)?;
        bits.ue_to(15, "sps_seq_parameter_set_id")?;
        let chroma_format_idc = bits.ue_to(3, "chroma_format_idc")? as u8;
        let separate_planes = chroma_format_idc == 3 && bits.bit()?;
        let coded_width = bits.ue_to(0xffff, "pic_width_in_luma_samples")? as u64;
        let coded_height = bits.ue_to(0xffff, "pic_height_in_luma_samples")? as u64;
        let (mut crop_x, mut crop_y) = (0, 0);
        if bits.bit()? {
            let unit_x = if !separate_planes && matches!(chroma_format_idc, 1 | 2) {
                2
            } else {
                1
            };
            let unit_y = if !separate_planes && chroma_format_idc == 1 {
                2
            } else {
                1
            };
            crop_x = (bits.ue()? as u64 + bits.ue()? as u64) * unit_x;
            crop_y = (bits.ue()? as u64 + bits.ue()? as u64) * unit_y;
        }
        if crop_x >= coded_width || crop_y >= coded_height {
            return Err(bits.malformed(&format!("crops {crop_x}x{crop_y} of {coded_width}x{coded_height}")));
        }
        let bit_depth_luma = 8 + bits.ue_to(8, "bit_depth_luma_minus8")? as u8;
        let bit_depth_chroma = 8 + bits.ue_to(8, "bit_depth_chroma_minus8")? as u8;
        let poc_lsb_bits = 4 + bits.ue_to(12, "log2_max_pic_order_cnt_lsb_minus4")?;
        let every_layer = bits.bit()?;
        let mut reorder_depth = 0;
        for _ in if every_layer { 0 } else { sub_layers }..=sub_layers {
            bits.ue_to(15, "sps_max_dec_pic_buffering_minus1")?;
            reorder_depth = bits.ue_to(15, "sps_max_num_reorder_pics")? as u8;
            bits.ue()?;
        }
        let mut sequence = Self {
            general_profile,
            temporal_layers: sub_layers as u8 + 1,
            temporal_id_nested,
            chroma_format_idc,
            bit_depth_luma,
            bit_depth_chroma,
            width: (coded_width - crop_x) as u32,
            height: (coded_height - crop_y) as u32,
            fps_milli: 0,
            reorder_depth,
        };
        // Only the frame rate comes after this point; a stream whose SPS goes wrong here still plays.
        let _ = sequence.read_timing(&mut bits, poc_lsb_bits);
        Ok(sequence)
    }

    fn read_timing(&mut self, bits: &mut BitReader<'_>, poc_lsb_bits: u32) -> Result<()> {
        for _ in 0..6 {
            bits.ue()?; // block sizes and transform depths
        }
        if bits.bit()? && bits.bit()? {
            skip_scaling_lists(bits)?;
        }
        bits.skip(2)?;
        if bits.bit()? {
            bits.skip(8)?; // PCM bit depths
            bits.ue()?;
            bits.ue()?;
            bits.skip(1)?;
        }
        skip_reference_sets(bits)?;
        if bits.bit()? {
            let pictures = bits.ue_to(32, "num_long_term_ref_pics_sps")?;
            bits.skip((pictures * (poc_lsb_bits + 1)) as usize)?;
        }
        bits.skip(2)?;
        if !bits.bit()? {
            return Ok(());
        }
        if bits.bit()? && bits.bits(8)? == 255 {
            bits.skip(32)?; // sar_width, sar_height
        }
        if bits.bit()? {
            bits.skip(1)?; // overscan
        }
        if bits.bit()? {
            bits.skip(4)?;
            if bits.bit()? {
                bits.skip(24)?; // colour description
            }
        }
        if bits.bit()? {
            bits.ue()?;
            bits.ue()?; // chroma location
        }
        bits.skip(3)?;
        if bits.bit()? {
            for _ in 0..4 {
                bits.ue()?; // default display window
            }
        }
        if bits.bit()? {
            let units = bits.bits(32)?;
            let scale = bits.bits(32)?;
            self.fps_milli = fps_milli(scale, units as u64);
        }
        Ok(())
    }
}

/// The sub-layer part of profile_tier_level (§7.3.3).
fn skip_sub_layer_profiles(bits: &mut BitReader<'_>, sub_layers: u32) -> Result<()> {
    let mut present = [(false, false); 6];
    for layer in present.iter_mut().take(sub_layers as usize) {
        *layer = (bits.bit()?, bits.bit()?);
    }
    if sub_layers > 0 {
        bits.skip(2 * (8 - sub_layers as usize))?;
    }
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
    }
    Ok(())
}

/// scaling_list_data (§7.3.4).
fn skip_scaling_lists(bits: &mut BitReader<'_>) -> Result<()> {
    for size in 0..4 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.bit()? {
                bits.ue()?;
                continue;
            }
            if size > 1 {
                bits.se()?;
            }
            for _ in 0..64.min(1 << (4 + 2 * size)) {
                bits.se()?;
            }
        }
    }
    Ok(())
}

/// Every st_ref_pic_set (§7.3.7). Only the number of pictures in each is followed: a predicted set has at most one
/// more than the set before it.
fn skip_reference_sets(bits: &mut BitReader<'_>) -> Result<()> {
    let sets = bits.ue_to(64, "num_short_term_ref_pic_sets")?;
    let mut pictures = 0;
    for set in 0..sets {
        if set > 0 && bits.bit()? {
            bits.skip(1)?;
            bits.ue()?;
            let mut kept = 0;
            for _ in 0..=pictures {
                let used = bits.bit()?;
                if used || bits.bit()? {
                    kept += 1;
                }
            }
            pictures = kept;
        } else {
            pictures = bits.ue_to(16, "num_negative_pics")? + bits.ue_to(16, "num_positive_pics")?;
            for _ in 0..pictures {
                bits.ue()?;
                bits.skip(1)?;
            }
        }
    }
    Ok(())
}

/// Parameters of a track from one VPS, SPS and PPS (NAL units with their two header bytes).
pub fn parameters(vps: &[u8], sps: &[u8], pps: &[u8]) -> Result<TrackParameters> {
    parameters_of_sets(&[vps], &[sps], &[pps])
}

/// Parameters of a track from all of its parameter sets; size and timing are those of the first SPS.
/// `Malformed` when the first SPS cannot be read or a set is missing or of the wrong type.
pub fn parameters_of_sets(vps: &[&[u8]], sps: &[&[u8]], pps: &[&[u8]]) -> Result<TrackParameters> {
    let arrays = [("VPS", NAL_VPS, vps), ("SPS", NAL_SPS, sps), ("PPS", NAL_PPS, pps)];
    for (name, kind, sets) in arrays {
        if sets.is_empty() {
            return Err(Error::malformed(format!("H.265: no {name}")));
        }
        if let Some(nal) = sets.iter().find(|nal| nal_type(nal) != kind || nal.len() < 3) {
            let message = format!("H.265 {name}: nal_unit_type {}, {} bytes", nal_type(nal), nal.len());
            return Err(Error::malformed(message));
        }
        if sets.len() > 255 || sets.iter().any(|nal| nal.len() > 0xffff) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "H.265: parameter sets do not fit into hvcC",
            ));
        }
    }
    let sequence = SequenceParameters::parse(sps[0])?;
    let mut hvcc = vec![1];
    hvcc.extend_from_slice(&sequence.general_profile);
    hvcc.extend_from_slice(&[0xf0, 0, 0xfc]); // spatial segmentation and parallelism: not known
    hvcc.push(0xfc | sequence.chroma_format_idc);
    hvcc.push(0xf8 | (sequence.bit_depth_luma - 8));
    hvcc.push(0xf8 | (sequence.bit_depth_chroma - 8));
    hvcc.extend_from_slice(&[0, 0]); // average frame rate: not known
    hvcc.push(sequence.temporal_layers << 3 | (sequence.temporal_id_nested as u8) << 2 | 3);
    hvcc.push(arrays.len() as u8);
    for (_, kind, sets) in arrays {
        hvcc.push(0x80 | kind); // array_completeness
        hvcc.extend_from_slice(&(sets.len() as u16).to_be_bytes());
        for nal in sets {
            hvcc.extend_from_slice(&(nal.len() as u16).to_be_bytes());
            hvcc.extend_from_slice(nal);
        }
    }
    Ok(TrackParameters {
        codec: Codec::H265,
        clock_rate: 90_000,
        configuration: hvcc.into(),
        width: sequence.width,
        height: sequence.height,
        channels: 0,
        reorder_depth: sequence.reorder_depth,
        fps_milli: sequence.fps_milli,
    })
}

/// The parameter sets in an hvcC, in its order (VPS, SPS, PPS in what `parameters` builds).
pub fn parameter_sets(hvcc: &[u8]) -> Result<Vec<&[u8]>> {
    let torn = || Error::malformed(format!("hvcC: torn, {} bytes", hvcc.len()));
    let number = |at: usize| match hvcc.get(at..at + 2) {
        Some(bytes) => Ok(u16::from_be_bytes([bytes[0], bytes[1]]) as usize),
        None => Err(torn()),
    };
    let mut sets = Vec::new();
    let mut at = 23;
    for _ in 0..*hvcc.get(22).ok_or_else(torn)? {
        let count = number(at + 1)?;
        at += 3;
        for _ in 0..count {
            let length = number(at)?;
            sets.push(hvcc.get(at + 2..at + 2 + length).ok_or_else(torn)?);
            at += 2 + length;
        }
    }
    Ok(sets)
}

/// The first SPS of an hvcC, read; None where there is none to read.
pub(crate) fn sequence_of(hvcc: &[u8]) -> Option<SequenceParameters> {
    let sets = parameter_sets(hvcc).ok()?;
    SequenceParameters::parse(sets.iter().find(|nal| nal_type(nal) == NAL_SPS)?).ok()
}

/// ISO/IEC 14496-15 Annex E.3.
pub(super) fn codec_string(hvcc: &[u8]) -> Option<String> {
    let profile = hvcc.get(1..1 + GENERAL_PROFILE_BYTES)?;
    let space = ["", "A", "B", "C"][(profile[0] >> 6) as usize];
    let compatibility = u32::from_be_bytes([profile[1], profile[2], profile[3], profile[4]]).reverse_bits();
    let tier = if profile[0] & 0x20 == 0 { 'L' } else { 'H' };
    let mut string = format!(
        "hvc1.{space}{}.{compatibility:X}.{tier}{}",
        profile[0] & 0x1f,
        profile[11]
    );
    let constraints = &profile[5..11];
    let used = constraints
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        string.push_str(&format!(".{byte:X}"));
    }
    Some(string)
}

/// Whether a decoder can start at this access unit (4-byte length-prefixed): `recovery_frames` knows a number.
pub fn is_random_access(unit: &[u8]) -> bool {
    recovery_frames(unit).is_some()
}

/// How many pictures after this access unit a decoder that starts here shows whole pictures; None where it cannot
/// start. 0 for an IRAP picture, recovery_poc_cnt of a recovery point SEI (§D.3.8; as for H.264, an intra-refresh
/// stream has no other entry).
pub fn recovery_frames(unit: &[u8]) -> Option<u32> {
    for nal in length_prefixed(unit) {
        match nal_type(nal) {
            kind if NAL_IRAP.contains(&kind) => return Some(0),
            kind if kind < NAL_FIRST_NON_VCL => return None,
            NAL_PREFIX_SEI if nal.len() > 2 => {
                if let Some(pictures) = recovery_point(nal) {
                    return Some(pictures);
                }
            }
            _ => {}
        }
    }
    None
}

/// recovery_poc_cnt of the recovery point in an SEI NAL unit; 0 where it cannot be read or is negative.
fn recovery_point(sei: &[u8]) -> Option<u32> {
    let rbsp = unescape(&sei[2..]);
    let (_, payload) = sei_payloads(&rbsp).find(|(kind, _)| *kind == SEI_RECOVERY_POINT)?;
    let pictures = BitReader::new(payload, "recovery point").se().unwrap_or(0);
    Some(u32::try_from(pictures).unwrap_or(0))
}

/// Whether no other picture refers to this access unit: every slice is of a sub-layer non-reference type (even types
/// below 16) of the highest temporal layer in use, given as `temporal_layers` of the SPS.
pub fn is_disposable(unit: &[u8], temporal_layers: u8) -> bool {
    let mut slices = 0;
    for nal in length_prefixed(unit) {
        let kind = nal_type(nal);
        if kind < NAL_FIRST_NON_VCL {
            let temporal_id_plus1 = nal.get(1).map_or(0, |byte| byte & 7);
            if kind >= 16 || kind % 2 == 1 || temporal_id_plus1 != temporal_layers {
                return false;
            }
            slices += 1;
        }
    }
    slices > 0
}

#[cfg(test)]
#[path = "h265_tests.rs"]
mod tests;
