//! The one place where units become RTP payloads: once per unit for all viewers of a feed.

use super::picture::sent_unit;
use media_core::rtp::packetizer::{Packetizer, Payloads};
use media_core::{AccessUnit, Codec, Result, TrackKind};
use std::borrow::Cow;

/// Largest payload: with RTP header and extensions (24 bytes), retransmission header (2) and SRTP tag (16) a datagram
/// stays within 1200 bytes, which passes every tunnel. The first packets, which also name their section, are longer by
/// that name (18 bytes at most) and still pass every IPv6 link.
const MAX_PAYLOAD_BYTES: usize = 1156;

/// One video or audio unit cut into RTP payloads: what viewers, their queues and their retransmission histories share.
#[derive(Debug)]
pub(super) struct CutUnit {
    /// Ticks of the track's clock since the epoch.
    pub(super) pts: i64,
    /// A decoder can start here.
    pub(super) key: bool,
    /// What came before is not its past.
    pub(super) discontinuity: bool,
    pub(super) codec: Codec,
    /// Ticks per second.
    pub(super) clock_rate: u32,
    /// Server UTC of the unit, µs.
    pub(super) utc_us: i64,
    /// Monotonic µs of its last byte from the camera.
    pub(super) received_us: u64,
    bytes: Box<[u8]>,
    spans: Box<[Span]>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
    timestamp_offset: u32,
    marker: bool,
}

/// One RTP payload of a [`CutUnit`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Payload<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) marker: bool,
    /// Ticks after the timestamp of the unit.
    pub(super) timestamp_offset: u32,
}

impl CutUnit {
    /// Number of payloads, never 0.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// All payloads together.
    pub(super) fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Payload `index`, None past the last.
    pub(super) fn payload(&self, index: usize) -> Option<Payload<'_>> {
        let span = self.spans.get(index)?;
        Some(Payload {
            bytes: self.bytes.get(span.start as usize..span.end as usize)?,
            marker: span.marker,
            timestamp_offset: span.timestamp_offset,
        })
    }
}

/// Cuts units; keeps its memory between them.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    payloads: Payloads,
}

impl Cutter {
    /// The payloads of one video or audio unit.
    pub(super) fn cut(&mut self, unit: &AccessUnit) -> Result<CutUnit> {
        let data = match unit.parameters.codec.kind() {
            TrackKind::Video => sent_unit(unit),
            TrackKind::Audio | TrackKind::Metadata => Cow::Borrowed(&unit.data[..]),
        };
        self.payloads.clear();
        let packetizer = Packetizer::new(&unit.parameters, MAX_PAYLOAD_BYTES)?.aggregating(true);
        packetizer.packetize(&data, &mut self.payloads)?;
        let spans = self.payloads.iter().map(|payload| Span {
            start: payload.range.start as u32,
            end: payload.range.end as u32,
            timestamp_offset: payload.timestamp_offset,
            marker: payload.marker,
        });
        Ok(CutUnit {
            pts: unit.pts,
            key: unit.key,
            discontinuity: unit.discontinuity,
            codec: unit.parameters.codec,
            clock_rate: unit.parameters.clock_rate,
            utc_us: unit.utc_us,
            received_us: unit.received_us,
            spans: spans.collect(),
            bytes: self.payloads.bytes().into(),
        })
    }
}

/// A picture of `size` bytes (tests).
#[cfg(test)]
pub(super) fn cut_of(size: usize) -> std::sync::Arc<CutUnit> {
    use media_core::TrackParameters;
    let mut data = (size as u32).to_be_bytes().to_vec();
    data.push(0x41);
    data.resize(4 + size, 0xff);
    let parameters = TrackParameters {
        codec: Codec::H264,
        clock_rate: 90_000,
        configuration: bytes::Bytes::new(),
        width: 0,
        height: 0,
        channels: 0,
        reorder_depth: 0,
        fps_milli: 0,
    };
    let unit = AccessUnit {
        track: 0,
        pts: 0,
        dts: 0,
        utc_us: 0,
        received_us: 0,
        key: false,
        discontinuity: false,
        lost_packets: 0,
        data: data.into(),
        parameters: std::sync::Arc::new(parameters),
    };
    #[allow(clippy::unwrap_used)]
    std::sync::Arc::new(Cutter::default().cut(&unit).unwrap())
}
