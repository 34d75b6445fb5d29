//! The access unit: one picture, one audio frame or one metadata document, as every part of the system passes it on.

use crate::track::TrackParameters;
use bytes::Bytes;
use std::sync::Arc;

/// One coded picture (or audio frame, or document), shared by reference from the hub to every sink.
///
/// `pts` and `dts` count ticks of `parameters.clock_rate` since the Unix epoch: a session is anchored to server time
/// once and then follows the camera's own clock, so that differences are the camera's and tracks stay in step.
/// `utc_us` follows the server's clock instead (drift removed); the two differ by the drift since the anchor.
#[derive(Debug, Clone)]
pub struct AccessUnit {
    /// Index of the track within its stream: 0 is the video, 1 audio, 2 metadata.
    pub track: u8,
    /// Presentation time in ticks of the track's clock since the Unix epoch.
    pub pts: i64,
    /// Decoding time in the same ticks; never decreases within a track except after `discontinuity`.
    /// With B-frames `pts - dts` may be negative (signed composition offset).
    pub dts: i64,
    /// Server time of `pts`, µs since the Unix epoch.
    pub utc_us: i64,
    /// Monotonic instant (µs, engine clock) at which the last byte was read from the socket; for delay figures only.
    pub received_us: u64,
    /// A decoder can start here (IDR, CRA/BLA, recovery point, after which whole pictures may come some frames later;
    /// every audio frame).
    pub key: bool,
    /// First unit after a connection, a reconnection or a jump of the camera's clock.
    pub discontinuity: bool,
    /// RTP packets known lost immediately before or inside this unit.
    pub lost_packets: u32,
    /// The bytes, in the form that `Codec` documents; exactly what the camera sent.
    pub data: Bytes,
    /// Parameters in force; the same `Arc` until they change.
    pub parameters: Arc<TrackParameters>,
}
