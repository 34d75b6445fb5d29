use crate::track::{Codec, TrackParameters};
use crate::{Error, Result};
use bytes::Bytes;
fn p(codec: Codec, configuration: &[u8], width: u32, height: u32) -> TrackParameters {
    TrackParameters {
        codec,
        clock_rate: 90_000,
        configuration: Bytes::copy_from_slice(configuration),
        width,
        height,
        channels: 0,
        reorder_depth: 0,
        fps_milli: 0,
    }
}
pub fn h264(sps: &[u8], pps: &[u8]) -> Result<TrackParameters> {
    if sps.len() < 8 {
        return Err(Error::malformed("SPS cut short"));
    }
    Ok(p(Codec::H264, &[sps, pps].concat(), 1920, 1080))
}
pub fn h265(vps: &[u8], sps: &[u8], pps: &[u8]) -> Result<TrackParameters> {
    Ok(p(Codec::H265, &[vps, sps, pps].concat(), 1920, 1080))
}
pub fn h264_is_random_access(data: &[u8]) -> bool {
    nals(data).any(|n| n[0] & 0x1f == 5)
}
pub fn h265_is_random_access(data: &[u8]) -> bool {
    nals(data).any(|n| (16..=21).contains(&(n[0] >> 1 & 0x3f)))
}
fn nals(mut d: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (l, t) = d.split_first_chunk::<4>()?;
        let (n, r) = t.split_at_checked(u32::from_be_bytes(*l) as usize)?;
        d = r;
        Some(n)
    })
}
pub fn aac(config: &[u8]) -> Result<TrackParameters> {
    Ok(TrackParameters {
        channels: u16::from(config[1] >> 3 & 15),
        ..p(Codec::Aac, config, 0, 0)
    })
}
pub fn aac_frame_ticks(_config: &[u8], _clock_rate: u32) -> u32 {
    1024
}
