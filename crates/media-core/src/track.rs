//! What a track is: its codec and the parameters a decoder and a container need.

use bytes::Bytes;

/// Codecs that the media core carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// ITU-T H.264; units are 4-byte length-prefixed NAL units.
    H264,
    /// ITU-T H.265; units are 4-byte length-prefixed NAL units.
    H265,
    /// AV1; units are temporal units of low-overhead OBUs without temporal delimiters.
    Av1,
    /// Motion JPEG; units are whole JFIF images.
    Mjpeg,
    /// MPEG-4 AAC; units are raw AAC frames without ADTS.
    Aac,
    /// G.711 A-law, 8-bit samples.
    PcmA,
    /// G.711 µ-law, 8-bit samples.
    PcmU,
    /// Opus; units are packets.
    Opus,
    /// ONVIF metadata (`application/vnd.onvif.metadata`); units are XML documents.
    OnvifMetadata,
}

/// The three kinds of track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Documents about the scene.
    Metadata,
}

impl Codec {
    /// Lower-case name used by the API (`h264`, `h265`, `av1`, `mjpeg`, `aac`, `pcma`, `pcmu`, `opus`, `onvif`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Av1 => "av1",
            Self::Mjpeg => "mjpeg",
            Self::Aac => "aac",
            Self::PcmA => "pcma",
            Self::PcmU => "pcmu",
            Self::Opus => "opus",
            Self::OnvifMetadata => "onvif",
        }
    }

    /// The kind of track this codec makes.
    pub fn kind(self) -> TrackKind {
        match self {
            Self::H264 | Self::H265 | Self::Av1 | Self::Mjpeg => TrackKind::Video,
            Self::Aac | Self::PcmA | Self::PcmU | Self::Opus => TrackKind::Audio,
            Self::OnvifMetadata => TrackKind::Metadata,
        }
    }
}

/// Everything a decoder or a sample entry needs, compared by value to notice a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackParameters {
    /// Codec of every unit under these parameters.
    pub codec: Codec,
    /// Ticks per second of `pts` and `dts`: 90,000 for video and metadata, the sample rate for audio.
    pub clock_rate: u32,
    /// Decoder configuration: avcC (H.264), hvcC (H.265), av1C, AudioSpecificConfig (AAC), dOps (Opus), else empty.
    pub configuration: Bytes,
    /// Width in pixels after cropping; 0 for audio and metadata.
    pub width: u32,
    /// Height in pixels after cropping; 0 for audio and metadata.
    pub height: u32,
    /// Audio channels; 0 for video and metadata.
    pub channels: u16,
    /// How many pictures may precede a picture in decoding order and follow it in output order (video; 0 without B-frames).
    pub reorder_depth: u8,
    /// Frame rate from the parameter sets in thousandths of a frame per second, 0 when unknown.
    pub fps_milli: u32,
}
