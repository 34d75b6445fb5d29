//! ITU-T H.264: parameter sets, avcC (ISO/IEC 14496-15 §5.3.3.1) and where a decoder can start.

use super::nal::{length_prefixed, sei_payloads};
use super::{BitReader, fps_milli, unescape};
use crate::error::{Error, ErrorKind, Result};
use crate::track::{Codec, TrackParameters};

/// Slice of a non-IDR picture.
pub const NAL_SLICE: u8 = 1;
/// Slice of an IDR picture.
pub const NAL_IDR: u8 = 5;
/// Supplemental enhancement information.
pub const NAL_SEI: u8 = 6;
/// Sequence parameter set.
pub const NAL_SPS: u8 = 7;
/// Picture parameter set.
pub const NAL_PPS: u8 = 8;
/// Access unit delimiter.
pub const NAL_AUD: u8 = 9;

const SEI_RECOVERY_POINT: u32 = 6;
/// Most reorder or DPB frames that the standard allows (§A.3.1).
const MAX_DPB_FRAMES: u32 = 16;

/// nal_unit_type of a NAL unit (0 when it is empty).
pub fn nal_type(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |byte| byte & 0x1f)
}

/// What a sequence parameter set says (§7.3.2.1.1, Annex E).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceParameters {
    /// profile_idc.
    pub profile_idc: u8,
    /// constraint_set flags, flag 0 in the most significant bit.
    pub constraints: u8,
    /// level_idc.
    pub level_idc: u8,
    /// 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format_idc: u8,
    /// Bits per luma sample, 8 to 14.
    pub bit_depth_luma: u8,
    /// Bits per chroma sample, 8 to 14.
    pub bit_depth_chroma: u8,
    /// pic_order_cnt_type; with 2 the output order is the decoding order.
    pub poc_type: u8,
    /// Width in pixels after cropping.
    pub width: u32,
    /// Height in pixels after cropping.
    pub height: u32,
    /// Thousandths of a frame per second from the VUI; 0 when not given.
    pub fps_milli: u32,
    /// Most pictures that precede one in decoding and follow it in output order: max_num_reorder_frames where the
    /// VUI gives it, 0 where profile or poc_type exclude reordering, else the DPB size of the level.
    pub reorder_depth: u8,
    /// `reorder_depth` is exact, not just the DPB size of the level.
    pub reorder_stated: bool,
}

impl SequenceParameters {
    /// Reads a sequence parameter set NAL unit (with its header byte).
    pub fn parse(nal: &[u8]) -> Result<Self> {
        if nal_type(nal) != NAL_SPS {
            return Err(Error::malformed(format!("H.264 SPS: nal_unit_type {}", nal_type(nal))));
        }
        let rbsp = unescape(&nal[1..]);
        let mut bits = BitReader::new(&rbsp, "H.264 SPS");
        let profile_idc = bits.bits(8)? as u8;
        let constraints = bits.bits(8)? as u8;
        let level_idc = bits.bits(8)? as u8;
        bits.ue_to(31, "seq_parameter_set_id")?;
        let (mut chroma_format_idc, mut bit_depth_luma, mut bit_depth_chroma) = (1, 8, 8);
        let mut separate_planes = false;
        if matches!(
            profile_idc,
            100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
        ) {
            chroma_format_idc = bits.ue_to(3, "chroma_format_idc")? as u8;
            if chroma_format_idc == 3 {
                separate_planes = bits.bit()?;
            }
            bit_depth_luma = 8 + bits.ue_to(6, "bit_depth_luma_minus8")? as u8;
            bit_depth_chroma = 8 + bits.ue_to(6, "bit_depth_chroma_minus8")? as u8;
            bits.skip(1)?;
            if bits.bit()? {
                skip_scaling_lists(&mut bits, if chroma_format_idc == 3 { 12 } else { 8 })?;
            }
        }
        bits.ue_to(12, "log2_max_frame_num_minus4")?;
        let poc_type = bits.ue_to(2, "pic_order_cnt_type")? as u8;
        match poc_type {
            0 => {
                bits.ue_to(12, "log2_max_pic_order_cnt_lsb_minus4")?;
            }
            1 => {
                bits.skip(1)?;
                bits.se()?;
                bits.se()?;
                for _ in 0..bits.ue_to(255, "num_ref_frames_in_pic_order_cnt_cycle")? {
                    bits.se()?;
                }
            }
            _ => {}
        }
        bits.ue_to(MAX_DPB_FRAMES, "max_num_ref_frames")?;
        bits.skip(1)?;
        let width_mbs = bits.ue_to(4095, "pic_width_in_mbs_minus1")? + 1;
        let height_units = bits.ue_to(4095, "pic_height_in_map_units_minus1")? + 1;
        let frame_mbs_only = bits.bit()?;
        if !frame_mbs_only {
            bits.skip(1)?;
        }
        bits.skip(1)?;
        let fields = if frame_mbs_only { 1 } else { 2 };
        let height_mbs = height_units * fields;
        let (mut width, mut height) = (width_mbs as u64 * 16, height_mbs as u64 * 16);
        if bits.bit()? {
            let sampled = !separate_planes;
            let unit_x = if sampled && matches!(chroma_format_idc, 1 | 2) {
                2
            } else {
                1
            };
            let unit_y = fields as u64 * if sampled && chroma_format_idc == 1 { 2 } else { 1 };
            let crop_x = (bits.ue()? as u64 + bits.ue()? as u64) * unit_x;
            let crop_y = (bits.ue()? as u64 + bits.ue()? as u64) * unit_y;
            if crop_x >= width || crop_y >= height {
                return Err(bits.malformed(&format!("crops {crop_x}x{crop_y} of {width}x{height}")));
            }
            width -= crop_x;
            height -= crop_y;
        }
        let mut sequence = Self {
            profile_idc,
            constraints,
            level_idc,
            chroma_format_idc,
            bit_depth_luma,
            bit_depth_chroma,
            poc_type,
            width: width as u32,
            height: height as u32,
            fps_milli: 0,
            reorder_depth: 0,
            reorder_stated: true,
        };
        if sequence.may_reorder() {
            sequence.reorder_stated = false;
            sequence.reorder_depth = sequence.dpb_frames(width_mbs * height_mbs);
        }
        if bits.bit()? {
            // A damaged VUI does not make the pictures undecodable; what was read of it before the damage counts.
            let _ = sequence.read_vui(&mut bits);
        }
        Ok(sequence)
    }

    fn constraint(&self, number: u8) -> bool {
        self.constraints & (0x80 >> number) != 0
    }

    /// False where profile or pic_order_cnt_type exclude reordering (§A.2, §E.2.1 on max_num_reorder_frames).
    fn may_reorder(&self) -> bool {
        let without_b_slices = self.profile_idc == 66 || self.constraint(0) && self.profile_idc == 77;
        let intra_only = self.constraint(3) && matches!(self.profile_idc, 44 | 86 | 100 | 110 | 122 | 244);
        !without_b_slices && !intra_only && self.poc_type != 2
    }

    /// MaxDpbFrames (§A.3.1) for pictures of `frame_mbs` macroblocks.
    fn dpb_frames(&self, frame_mbs: u32) -> u8 {
        (max_dpb_mbs(self.level_idc, self.constraint(3)) / frame_mbs).clamp(1, MAX_DPB_FRAMES) as u8
    }

    fn read_vui(&mut self, bits: &mut BitReader<'_>) -> Result<()> {
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
        if bits.bit()? {
            let units = bits.bits(32)?;
            let scale = bits.bits(32)?;
            bits.skip(1)?;
            // A tick is a field's duration (§E.2.1, time_scale).
            self.fps_milli = fps_milli(scale, units as u64 * 2);
        }
        let nal_hrd = bits.bit()?;
        if nal_hrd {
            skip_hrd(bits)?;
        }
        let vcl_hrd = bits.bit()?;
        if vcl_hrd {
            skip_hrd(bits)?;
        }
        if nal_hrd || vcl_hrd {
            bits.skip(1)?;
        }
        bits.skip(1)?;
        if bits.bit()? {
            bits.skip(1)?;
            for _ in 0..4 {
                bits.ue()?;
            }
            let reorder = bits.ue_to(MAX_DPB_FRAMES, "max_num_reorder_frames")?;
            bits.ue_to(MAX_DPB_FRAMES, "max_dec_frame_buffering")?;
            self.reorder_depth = reorder as u8;
            self.reorder_stated = true;
        }
        Ok(())
    }
}

/// MaxDpbMbs of Table A-1. Unknown levels count as the highest.
fn max_dpb_mbs(level_idc: u8, constraint_set3: bool) -> u32 {
    match level_idc {
        11 if constraint_set3 => 396, // level 1b
        9 | 10 => 396,
        11 => 900,
        12 | 13 | 20 => 2376,
        21 => 4752,
        22 | 30 => 8100,
        31 => 18_000,
        32 => 20_480,
        40 | 41 => 32_768,
        42 => 34_816,
        50 => 110_400,
        51 | 52 => 184_320,
        _ => 696_320,
    }
}

fn skip_scaling_lists(bits: &mut BitReader<'_>, lists: usize) -> Result<()> {
    for list in 0..lists {
        if !bits.bit()? {
            continue;
        }
        let (mut last, mut next) = (8i64, 8i64);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = (last + bits.se()?).rem_euclid(256);
            }
            if next != 0 {
                last = next;
            }
        }
    }
    Ok(())
}

fn skip_hrd(bits: &mut BitReader<'_>) -> Result<()> {
    let cpbs = bits.ue_to(31, "cpb_cnt_minus1")? + 1;
    bits.skip(8)?;
    for _ in 0..cpbs {
        bits.ue()?;
        bits.ue()?;
        bits.skip(1)?;
    }
    bits.skip(20)
}

/// Parameters of a track from one SPS and one PPS (NAL units with their header byte).
pub fn parameters(sps: &[u8], pps: &[u8]) -> Result<TrackParameters> {
    parameters_of_sets(&[sps], &[pps])
}

/// Parameters of a track from all of its parameter sets; size and timing are those of the first SPS.
/// `Malformed` when the first SPS cannot be read or a set is missing or of the wrong type.
pub fn parameters_of_sets(sps: &[&[u8]], pps: &[&[u8]]) -> Result<TrackParameters> {
    let first = sps.first().ok_or_else(|| Error::malformed("H.264: no SPS"))?;
    let sequence = SequenceParameters::parse(first)?;
    if pps.is_empty() {
        return Err(Error::malformed("H.264: no PPS"));
    }
    if let Some(nal) = pps.iter().find(|nal| nal_type(nal) != NAL_PPS || nal.len() < 2) {
        return Err(Error::malformed(format!(
            "H.264 PPS: nal_unit_type {}, {} bytes",
            nal_type(nal),
            nal.len()
        )));
    }
    if sps.len() > 31 || pps.len() > 255 || sps.iter().chain(pps).any(|nal| nal.len() > 0xffff) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "H.264: parameter sets do not fit into avcC",
        ));
    }
    let mut avcc = vec![1, sequence.profile_idc, sequence.constraints, sequence.level_idc, 0xff];
    avcc.push(0xe0 | sps.len() as u8);
    put_sets(&mut avcc, sps);
    avcc.push(pps.len() as u8);
    put_sets(&mut avcc, pps);
    if !matches!(sequence.profile_idc, 66 | 77 | 88) {
        avcc.push(0xfc | sequence.chroma_format_idc);
        avcc.push(0xf8 | (sequence.bit_depth_luma - 8));
        avcc.push(0xf8 | (sequence.bit_depth_chroma - 8));
        avcc.push(0); // no SPS extensions
    }
    Ok(TrackParameters {
        codec: Codec::H264,
        clock_rate: 90_000,
        configuration: avcc.into(),
        width: sequence.width,
        height: sequence.height,
        channels: 0,
        reorder_depth: sequence.reorder_depth,
        fps_milli: sequence.fps_milli,
    })
}

fn put_sets(out: &mut Vec<u8>, sets: &[&[u8]]) {
    for nal in sets {
        out.extend_from_slice(&(nal.len() as u16).to_be_bytes());
        out.extend_from_slice(nal);
    }
}

/// The parameter sets in an avcC: every SPS, then every PPS.
pub fn parameter_sets(avcc: &[u8]) -> Result<Vec<&[u8]>> {
    let torn = || Error::malformed(format!("avcC: torn, {} bytes", avcc.len()));
    let mut sets = Vec::new();
    let mut at = 5;
    for mask in [0x1f, 0xff] {
        let count = avcc.get(at).ok_or_else(torn)? & mask;
        at += 1;
        for _ in 0..count {
            let length = avcc.get(at..at + 2).ok_or_else(torn)?;
            let length = u16::from_be_bytes([length[0], length[1]]) as usize;
            sets.push(avcc.get(at + 2..at + 2 + length).ok_or_else(torn)?);
            at += 2 + length;
        }
    }
    Ok(sets)
}

/// The first SPS of an avcC, read; None where there is none to read.
pub(crate) fn sequence_of(avcc: &[u8]) -> Option<SequenceParameters> {
    SequenceParameters::parse(parameter_sets(avcc).ok()?.first()?).ok()
}

pub(super) fn codec_string(avcc: &[u8]) -> Option<String> {
    let profile = avcc.get(1..4)?;
    Some(format!("avc1.{:02x}{:02x}{:02x}", profile[0], profile[1], profile[2]))
}

/// Whether a decoder can start at this access unit (4-byte length-prefixed): `recovery_frames` knows a number.
pub fn is_random_access(unit: &[u8]) -> bool {
    recovery_frames(unit).is_some()
}

/// How many frames after this access unit a decoder that starts here shows whole pictures; None where it cannot start.
///
/// 0 for an IDR picture and for a picture of I slices only that comes with an SPS (for cameras that mark their key
/// frames in no other way); recovery_frame_cnt of a recovery point SEI (§D.2.8). Intra-refresh streams have only
/// recovery points with a count above 0: they are entries too, else such a stream would never start.
pub fn recovery_frames(unit: &[u8]) -> Option<u32> {
    let (mut has_sps, mut slices, mut intra_slices) = (false, 0, 0);
    for nal in length_prefixed(unit) {
        match nal_type(nal) {
            NAL_IDR => return Some(0),
            NAL_SEI => {
                if let Some(frames) = recovery_point(nal) {
                    return Some(frames);
                }
            }
            NAL_SPS => has_sps = true,
            NAL_SLICE => {
                slices += 1;
                // Without an SPS further slices cannot change the answer, and most units are of this kind.
                if !has_sps {
                    return None;
                }
                intra_slices += is_intra_slice(nal) as usize;
            }
            _ => {}
        }
    }
    (has_sps && slices > 0 && slices == intra_slices).then_some(0)
}

/// recovery_frame_cnt of the recovery point in an SEI NAL unit; 0 where it cannot be read.
fn recovery_point(sei: &[u8]) -> Option<u32> {
    let rbsp = unescape(&sei[1..]);
    let (_, payload) = sei_payloads(&rbsp).find(|(kind, _)| *kind == SEI_RECOVERY_POINT)?;
    Some(BitReader::new(payload, "recovery point").ue().unwrap_or(0))
}

/// slice_type I or SI (§7.4.3, Table 7-6).
fn is_intra_slice(nal: &[u8]) -> bool {
    let rbsp = unescape(&nal[1..nal.len().min(24)]);
    let mut bits = BitReader::new(&rbsp, "H.264 slice header");
    let _first_mb = bits.ue();
    matches!(bits.ue(), Ok(2 | 4 | 7 | 9))
}

/// Whether no other picture refers to this access unit (nal_ref_idc 0 in every slice): it can be left out.
pub fn is_disposable(unit: &[u8]) -> bool {
    let mut slices = 0;
    for nal in length_prefixed(unit) {
        if (NAL_SLICE..=NAL_IDR).contains(&nal_type(nal)) {
            if nal[0] & 0x60 != 0 {
                return false;
            }
            slices += 1;
        }
    }
    slices > 0
}

#[cfg(test)]
#[path = "h264_tests.rs"]
mod tests;
