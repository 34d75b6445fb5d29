//! The one place where units become RTP payloads: once per unit for all viewers at the live edge.

use super::picture::sent_unit;
use media_core::rtp::packetizer::{Packetizer, Payloads};
use media_core::{AccessUnit, Result, TrackKind};
use std::borrow::Cow;
use std::sync::Arc;

/// Largest payload: with RTP header and extensions (20 bytes), retransmission header (2) and SRTP tag (16) a datagram
/// stays within 1200 bytes, which passes every tunnel.
const MAX_PAYLOAD_BYTES: usize = 1160;

/// One RTP payload, shared by all viewers and their retransmission caches.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    pub(super) bytes: Arc<[u8]>,
    pub(super) marker: bool,
    /// Ticks after the timestamp of the unit.
    pub(super) timestamp_offset: u32,
}

/// Cuts units; keeps its memory between them.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    payloads: Payloads,
}

impl Cutter {
    /// The payloads of one video or audio unit, never none.
    pub(super) fn cut(&mut self, unit: &AccessUnit) -> Result<Vec<Payload>> {
        let data = match unit.parameters.codec.kind() {
            TrackKind::Video => sent_unit(unit),
            TrackKind::Audio | TrackKind::Metadata => Cow::Borrowed(&unit.data[..]),
        };
        self.payloads.clear();
        let packetizer = Packetizer::new(&unit.parameters, MAX_PAYLOAD_BYTES)?.aggregating(true);
        packetizer.packetize(&data, &mut self.payloads)?;
        let bytes = self.payloads.bytes();
        let cut = self.payloads.iter().map(|payload| Payload {
            bytes: Arc::from(&bytes[payload.range.clone()]),
            marker: payload.marker,
            timestamp_offset: payload.timestamp_offset,
        });
        Ok(cut.collect())
    }
}
