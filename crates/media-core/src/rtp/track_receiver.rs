//! The receiving end of one track: packets in, timed access units out.

use super::clock::{Arrival, TrackClock};
use super::depacketizer::{CodedUnit, Depacketizer};
use super::packet::RtpPacket;
use super::reorder::ReorderBuffer;
use super::rtcp::{RtcpPacket, SenderReport, parse_compound, write_receiver_report, write_source_description};
use super::sequence::{Place, SequenceCounter};
use crate::decode_order::DecodeOrder;
use crate::rtsp::sdp::Media;
use crate::track::{TrackKind, TrackParameters};
use crate::unit::AccessUnit;
use crate::{Error, Result};
use std::sync::Arc;

/// After so many packets of another payload type than described, and none of the right one, the camera's description
/// is taken to be wrong.
const WRONG_TYPE_PACKETS: u32 = 32;

/// What one track has received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrackFigures {
    /// Packets received in their turn.
    pub packets: u64,
    /// Packets that never came.
    pub lost_packets: u64,
    /// Packets ahead of their turn (UDP).
    pub reordered_packets: u64,
    /// Packets that came twice or too late.
    pub duplicate_packets: u64,
    /// Packets that break RTP or their payload format.
    pub malformed_packets: u64,
    /// Units discarded because something of them was missing or broken.
    pub discarded_units: u64,
    /// Whole units held back for want of parameter sets.
    pub units_without_parameters: u64,
}

/// The receiving end of one track.
#[derive(Debug)]
pub struct TrackReceiver {
    track: u8,
    clock_rate: u32,
    payload_type: u8,
    depacketizer: Depacketizer,
    reorder: Option<ReorderBuffer>,
    sequence: SequenceCounter,
    clock: TrackClock,
    order: Option<DecodeOrder>,
    parameters: Option<Arc<TrackParameters>>,
    ssrc: Option<u32>,
    right_type: bool,
    wrong_type_packets: u32,
    malformed_packets: u64,
    duplicate_packets: u64,
    /// Timestamps and first arrivals of the unit being received and of the one before.
    arrivals: [(u32, Arrival); 2],
    last_report: Option<(u64, u64)>,
    /// Came before the first unit, to which it then applies.
    early_report: Option<(SenderReport, Arrival)>,
    units: Vec<CodedUnit>,
}

impl TrackReceiver {
    /// For `media` of a description; `reorder` for datagrams. `Unsupported` or `Malformed` when its format cannot be
    /// followed.
    pub fn new(media: &Media, reorder: bool) -> Result<Self> {
        let (depacketizer, payload_type) = Depacketizer::new(media)?;
        let Some((format, codec)) = media.supported() else {
            return Err(Error::malformed(format!("{} is not described", media.kind)));
        };
        let track = match codec.kind() {
            TrackKind::Video => 0,
            TrackKind::Audio => 1,
            TrackKind::Metadata => 2,
        };
        let never = (
            0,
            Arrival {
                utc_us: 0,
                monotonic_us: 0,
            },
        );
        Ok(Self {
            track,
            clock_rate: format.clock_rate,
            payload_type,
            depacketizer,
            reorder: reorder.then(ReorderBuffer::default),
            sequence: SequenceCounter::default(),
            clock: TrackClock::new(format.clock_rate),
            order: None,
            parameters: None,
            ssrc: None,
            right_type: false,
            wrong_type_packets: 0,
            malformed_packets: 0,
            duplicate_packets: 0,
            arrivals: [never; 2],
            last_report: None,
            early_report: None,
            units: Vec::new(),
        })
    }

    /// Takes an RTP packet and appends the units it completes to `out`. Broken packets are counted.
    #[inline]
    pub fn push(&mut self, bytes: &[u8], arrival: Arrival, out: &mut Vec<AccessUnit>) {
        match self.reorder.take() {
            None => self.in_turn(bytes, arrival, out),
            Some(mut reorder) => {
                match RtpPacket::parse(bytes) {
                    Ok(packet) if self.is_ours(&packet) => {
                        let sequence = packet.header.sequence;
                        reorder.push(sequence, arrival.monotonic_us, bytes, &mut |bytes, at_us| {
                            self.in_turn(bytes, earlier(arrival, at_us), out);
                        });
                    }
                    Ok(_) => {}
                    Err(_) => self.malformed_packets += 1,
                }
                self.reorder = Some(reorder);
            }
        }
    }

    /// Gives up on packets that are missing for too long; call it when time has passed.
    pub fn expire(&mut self, now: Arrival, out: &mut Vec<AccessUnit>) {
        if let Some(mut reorder) = self.reorder.take() {
            reorder.expire(now.monotonic_us, &mut |bytes, at_us| {
                self.in_turn(bytes, earlier(now, at_us), out)
            });
            self.reorder = Some(reorder);
        }
    }

    /// True when `expire` is worth calling soon.
    pub fn is_waiting(&self) -> bool {
        self.reorder.as_ref().is_some_and(ReorderBuffer::is_waiting)
    }

    fn is_ours(&mut self, packet: &RtpPacket<'_>) -> bool {
        if packet.header.payload_type == self.payload_type {
            self.right_type = true;
            return true;
        }
        if self.right_type {
            return false;
        }
        self.wrong_type_packets += 1;
        if self.wrong_type_packets >= WRONG_TYPE_PACKETS {
            self.payload_type = packet.header.payload_type;
        }
        false
    }

    fn in_turn(&mut self, bytes: &[u8], arrival: Arrival, out: &mut Vec<AccessUnit>) {
        let packet = match RtpPacket::parse(bytes) {
            Ok(packet) => packet,
            Err(_) => {
                self.malformed_packets += 1;
                return;
            }
        };
        if !self.is_ours(&packet) {
            return;
        }
        let header = packet.header;
        let mut lost_packets = 0;
        if self.ssrc.is_some_and(|ssrc| ssrc != header.ssrc) {
            // The encoder was restarted: numbers and timestamps begin anew, what was open stays incomplete.
            self.sequence.restart();
            self.clock.forget();
            lost_packets = 1;
        }
        self.ssrc = Some(header.ssrc);
        match self.sequence.place(header.sequence) {
            Place::Next { lost_packets: missing } => lost_packets += missing,
            Place::Restart => lost_packets += 1,
            Place::Old => {
                self.duplicate_packets += 1;
                return;
            }
        }
        if header.timestamp != self.arrivals[0].0 || self.sequence.received() == 1 {
            self.arrivals = [(header.timestamp, arrival), self.arrivals[0]];
            let arrival_ticks = i128::from(arrival.monotonic_us) * i128::from(self.clock_rate) / 1_000_000;
            self.sequence.note_arrival(arrival_ticks as u32, header.timestamp);
        }
        self.depacketizer.push(&packet, lost_packets, &mut self.units);
        if !self.units.is_empty() {
            self.time_units(arrival, out);
        }
    }

    fn time_units(&mut self, arrival: Arrival, out: &mut Vec<AccessUnit>) {
        let mut units = std::mem::take(&mut self.units);
        for unit in units.drain(..) {
            let first_arrival = match &self.arrivals {
                [_, (timestamp, first)] if *timestamp == unit.rtp_timestamp && self.arrivals[0].0 != *timestamp => {
                    *first
                }
                [(_, first), _] => *first,
            };
            let time = self.clock.stamp(unit.rtp_timestamp, first_arrival);
            if let Some((report, at)) = self.early_report.take_if(|(report, _)| self.ssrc == Some(report.ssrc)) {
                self.clock.sender_report(report.ntp, report.rtp_timestamp, at);
            }
            let order = self.order.get_or_insert_with(|| DecodeOrder::new(&unit.parameters));
            if self
                .parameters
                .as_ref()
                .is_some_and(|known| !Arc::ptr_eq(known, &unit.parameters))
            {
                order.change(&unit.parameters);
            }
            if time.discontinuity {
                order.reset();
            }
            let pts = convert_ticks(time.pts, self.clock_rate, unit.parameters.clock_rate);
            let dts = order.push(pts);
            self.parameters = Some(unit.parameters.clone());
            out.push(AccessUnit {
                track: self.track,
                pts,
                dts,
                utc_us: time.utc_us,
                received_us: arrival.monotonic_us,
                key: unit.key,
                discontinuity: time.discontinuity,
                lost_packets: unit.lost_packets,
                data: unit.data,
                parameters: unit.parameters,
            });
        }
        self.units = units;
    }

    /// Takes an RTCP datagram; true when the camera said good-bye on this track.
    pub fn rtcp(&mut self, bytes: &[u8], arrival: Arrival) -> Result<bool> {
        let mut goodbye = false;
        for packet in parse_compound(bytes)? {
            match packet {
                RtcpPacket::SenderReport(report) if self.ssrc.is_none_or(|ssrc| ssrc == report.ssrc) => {
                    self.last_report = Some((report.ntp, arrival.monotonic_us));
                    self.clock.sender_report(report.ntp, report.rtp_timestamp, arrival);
                    if self.parameters.is_none() {
                        self.early_report = Some((report, arrival));
                    }
                }
                RtcpPacket::Goodbye { ssrcs } => goodbye |= self.ssrc.is_some_and(|ssrc| ssrcs.contains(&ssrc)),
                _ => {}
            }
        }
        Ok(goodbye)
    }

    /// Appends a receiver report of `own_ssrc` with a source description; nothing before the first packet.
    pub fn write_receiver_report(&mut self, own_ssrc: u32, cname: &str, now_us: u64, out: &mut Vec<u8>) {
        let Some(ssrc) = self.ssrc else { return };
        let mut block = self.sequence.report(ssrc);
        if let Some((ntp, at_us)) = self.last_report {
            block.last_sender_report = (ntp >> 16) as u32;
            block.delay_since_sender_report = (now_us.saturating_sub(at_us) * 65_536 / 1_000_000) as u32;
        }
        write_receiver_report(own_ssrc, &[block], out);
        write_source_description(own_ssrc, cname, out);
    }

    /// 0 video, 1 audio, 2 metadata.
    pub fn track(&self) -> u8 {
        self.track
    }

    /// The parameters in force, once known.
    pub fn parameters(&self) -> Option<&Arc<TrackParameters>> {
        self.depacketizer.parameters()
    }

    /// Why there are no parameters, or why the newest were not taken.
    pub fn parameter_error(&self) -> Option<&Error> {
        self.depacketizer.parameter_error()
    }

    /// The track's clock.
    pub fn clock(&self) -> &TrackClock {
        &self.clock
    }

    /// Brings this track in step with the one whose clock is `reference`, if the sender reports of both show them
    /// apart by more than `tolerance_us` (and less than what a wrong report would show). True when it moved.
    pub fn align(&mut self, reference: &TrackClock, tolerance_us: i64) -> bool {
        let (Some(wanted), Some(actual)) = (reference.report_alignment_us(), self.clock.report_alignment_us()) else {
            return false;
        };
        let by_us = wanted.saturating_sub(actual);
        if !(tolerance_us..10_000_000).contains(&by_us.saturating_abs()) {
            return false;
        }
        self.clock.shift_us(by_us);
        true
    }

    /// What was received so far.
    pub fn figures(&self) -> TrackFigures {
        let depacketizer = self.depacketizer.counters();
        let (reordered, duplicates) = self
            .reorder
            .as_ref()
            .map_or((0, 0), |r| (r.reordered(), r.duplicates()));
        TrackFigures {
            packets: self.sequence.received(),
            lost_packets: self.sequence.lost(),
            reordered_packets: reordered,
            duplicate_packets: self.duplicate_packets + duplicates,
            malformed_packets: self.malformed_packets + depacketizer.malformed_packets,
            discarded_units: depacketizer.discarded_units,
            units_without_parameters: depacketizer.units_without_parameters,
        }
    }
}

/// Ticks of the RTP clock as ticks of the track's clock; they differ only where a description states an odd rate.
fn convert_ticks(ticks: i64, from_rate: u32, to_rate: u32) -> i64 {
    if from_rate == to_rate {
        return ticks;
    }
    (i128::from(ticks) * i128::from(to_rate) / i128::from(from_rate.max(1))) as i64
}

/// The arrival at the monotonic instant `at_us`, not after `now`.
fn earlier(now: Arrival, at_us: u64) -> Arrival {
    let ago_us = now.monotonic_us.saturating_sub(at_us);
    Arrival {
        utc_us: now.utc_us - ago_us as i64,
        monotonic_us: at_us,
    }
}

#[cfg(test)]
mod tests;
