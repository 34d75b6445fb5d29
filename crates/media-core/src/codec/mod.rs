//! What the media core must know about payloads: picture size, decoder configuration, where a decoder can start.

pub mod aac;
pub mod av1;
mod bits;
pub mod h264;
pub mod h265;
pub mod mjpeg;
pub mod nal;

pub(crate) use bits::{BitReader, escape, unescape};

use crate::track::{Codec, TrackParameters};

/// The codec string of RFC 6381 ("avc1.640028", "hvc1.1.6.L120.90", "av01.0.08M.08", "mp4a.40.2"); None where there is
/// none to give (ONVIF metadata, or a configuration that cannot be read).
pub fn codec_string(parameters: &TrackParameters) -> Option<String> {
    let configuration = &parameters.configuration;
    match parameters.codec {
        Codec::H264 => h264::codec_string(configuration),
        Codec::H265 => h265::codec_string(configuration),
        Codec::Av1 => av1::codec_string(configuration),
        Codec::Mjpeg => Some("mp4v.6C".to_owned()),
        Codec::Aac => {
            let config = aac::AudioSpecificConfig::parse(configuration).ok()?;
            Some(format!("mp4a.40.{}", config.object_type))
        }
        Codec::PcmA => Some("alaw".to_owned()),
        Codec::PcmU => Some("ulaw".to_owned()),
        Codec::Opus => Some("opus".to_owned()),
        Codec::OnvifMetadata => None,
    }
}

/// Reorder depth and frame rate (thousandths) that a decoder configuration states; zeros where it states none.
pub(crate) fn timing_of(codec: Codec, configuration: &[u8]) -> (u8, u32) {
    let sequence = match codec {
        Codec::H264 => h264::sequence_of(configuration).map(|sps| (sps.reorder_depth, sps.fps_milli)),
        Codec::H265 => h265::sequence_of(configuration).map(|sps| (sps.reorder_depth, sps.fps_milli)),
        _ => return (0, 0),
    };
    sequence.unwrap_or((0, 0))
}

/// Frames per second in thousandths from `ticks` per second and `frame_ticks` per frame; 0 when absurd (above 1,000
/// frames per second, or nothing given).
fn fps_milli(ticks: u32, frame_ticks: u64) -> u32 {
    if frame_ticks == 0 {
        return 0;
    }
    let fps = (ticks as u64 * 1000 + frame_ticks / 2) / frame_ticks;
    if fps > 1_000_000 { 0 } else { fps as u32 }
}
