//! Assembly of H.264 and H.265 access units; the two formats differ in headers only (RFC 6184, RFC 7798).
//!
//! A unit ends with the marker bit or when the timestamp changes. Cameras break both rules, so: a marker on a packet
//! that completes no picture ends nothing (parameter sets sent on their own), parameter sets with an older timestamp
//! join the picture after them, and a camera that marks every slice is found out and taken by timestamps alone.

use super::depacketizer::{CodedUnit, DepacketizerCounters, MAX_UNIT_BYTES};
use super::packet::RtpPacket;
use crate::track::TrackParameters;
use crate::{Error, Result};
use bytes::Bytes;
use std::sync::Arc;

/// Bytes of the length before each NAL unit.
const LENGTH_BYTES: usize = 4;

/// What a NAL unit means to the assembly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NalKind {
    /// Coded slice data; `first` when it begins a picture.
    Slice {
        /// First slice of its picture.
        first: bool,
    },
    /// VPS, SPS or PPS.
    ParameterSet,
    /// Delimiter or message before a picture's slices.
    Prefix,
    /// Anything else that may stand in a unit.
    Other,
    /// A type that only RTP or nobody defines.
    Invalid,
}

/// How a payload is made up.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// The payload is one NAL unit.
    Single,
    /// NAL units, each after a 16-bit length.
    Aggregate(&'a [u8]),
    /// A piece of one.
    Fragment {
        /// First piece.
        start: bool,
        /// Last piece.
        end: bool,
        /// The NAL unit's header, in the first `HEADER_BYTES` bytes.
        header: [u8; 2],
        /// The piece.
        data: &'a [u8],
    },
    /// Broken, or of a kind that cameras may not send.
    Invalid,
}

/// The differences between the codecs. Implementors keep the parameter sets.
pub trait NalCodec {
    /// Bytes of a NAL unit header.
    const HEADER_BYTES: usize;
    /// Which parameter sets are needed, for messages.
    const PARAMETER_SETS: &'static str;
    /// Kind of `nal`, of which at least the header and two bytes are given if it has them.
    fn kind(nal: &[u8]) -> NalKind;
    /// Takes a payload apart.
    fn payload(payload: &[u8]) -> Payload<'_>;
    /// Keeps a parameter set; true when it differs from what was kept.
    fn keep(&mut self, nal: &[u8]) -> bool;
    /// Parameters out of what was kept; None while a set is missing.
    fn parameters(&self) -> Option<Result<TrackParameters>>;
    /// Whether a decoder can start at the unit `data` (length-prefixed NAL units).
    fn is_random_access(data: &[u8]) -> bool;
}

/// Assembles access units out of packets.
#[derive(Debug)]
pub struct NalDepacketizer<C> {
    codec: C,
    parameters: Option<Arc<TrackParameters>>,
    parameter_error: Option<Error>,
    parameters_changed: bool,
    unit: Vec<u8>,
    /// Timestamp of the unit being assembled.
    timestamp: Option<u32>,
    /// Timestamp of the last unit that a marker ended.
    marked: Option<u32>,
    /// Where the length of the NAL unit being reassembled stands.
    fragment_at: Option<usize>,
    has_slice: bool,
    damaged: bool,
    /// The next unit may lack its beginning: its first NAL unit must be one that starts a picture.
    start_unsure: bool,
    /// The camera marks slices instead of pictures.
    marker_unreliable: bool,
    lost_packets: u32,
    /// Sizes of the last unit without and with parameter sets in front, as guesses of the next.
    expected_bytes: [usize; 2],
    starts_with_parameters: bool,
    counters: DepacketizerCounters,
}

impl<C: NalCodec> NalDepacketizer<C> {
    /// Starts with the parameter sets that `codec` already has from the session description.
    pub fn new(codec: C) -> Self {
        let mut depacketizer = Self {
            codec,
            parameters: None,
            parameter_error: None,
            parameters_changed: true,
            unit: Vec::new(),
            timestamp: None,
            marked: None,
            fragment_at: None,
            has_slice: false,
            damaged: false,
            start_unsure: true,
            marker_unreliable: false,
            lost_packets: 0,
            expected_bytes: [8 << 10, 64 << 10],
            starts_with_parameters: false,
            counters: DepacketizerCounters::default(),
        };
        depacketizer.refresh_parameters();
        depacketizer
    }

    /// The parameters in force, once known.
    pub fn parameters(&self) -> Option<&Arc<TrackParameters>> {
        self.parameters.as_ref()
    }

    /// Why there are no parameters, or why the newest were not taken.
    pub fn parameter_error(&self) -> Option<&Error> {
        self.parameter_error.as_ref()
    }

    /// What could not be used so far.
    pub fn counters(&self) -> DepacketizerCounters {
        self.counters
    }

    /// Takes the next packet, before which `lost_packets` are missing.
    pub fn push(&mut self, packet: &RtpPacket<'_>, lost_packets: u32, out: &mut Vec<CodedUnit>) {
        let timestamp = packet.header.timestamp;
        if lost_packets > 0 {
            self.lost_packets = self.lost_packets.saturating_add(lost_packets);
            self.start_unsure = true;
            self.damaged |= self.timestamp.is_some();
        }
        if self.timestamp.is_some_and(|t| t != timestamp) {
            if self.has_slice || self.damaged {
                self.finish(out);
            } else {
                // Parameter sets that came ahead of their picture.
                self.timestamp = Some(timestamp);
            }
        }
        if self.timestamp.is_none() {
            self.begin(packet, lost_packets);
        }
        if !self.damaged && !packet.payload.is_empty() {
            self.append(packet.payload);
        }
        if packet.header.marker && !self.marker_unreliable && (self.has_slice || self.damaged) {
            self.finish(out);
            self.marked = Some(timestamp);
        }
    }

    fn begin(&mut self, packet: &RtpPacket<'_>, lost_packets: u32) {
        let timestamp = packet.header.timestamp;
        let kind = first_kind::<C>(packet.payload);
        self.timestamp = Some(timestamp);
        self.damaged = false;
        self.has_slice = false;
        self.fragment_at = None;
        self.unit.clear();
        self.starts_with_parameters = kind == NalKind::ParameterSet;
        let continues = matches!(kind, NalKind::Slice { first: false });
        if self.marked == Some(timestamp) && continues && lost_packets == 0 {
            // The picture goes on after its marker: this camera marks every slice.
            self.marker_unreliable = true;
            self.damaged = true;
        }
        if std::mem::take(&mut self.start_unsure) && (continues || kind == NalKind::Invalid) {
            self.damaged = true;
        }
        self.marked = None;
    }

    fn append(&mut self, payload: &[u8]) {
        if self.unit.len() + payload.len() > MAX_UNIT_BYTES {
            self.break_unit();
            return;
        }
        match C::payload(payload) {
            Payload::Single => {
                self.close_fragment();
                self.add_nal(payload);
            }
            Payload::Aggregate(mut rest) => {
                self.close_fragment();
                while let [high, low, tail @ ..] = rest {
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    let Some((nal, next)) = tail.split_at_checked(length) else {
                        self.break_unit();
                        return;
                    };
                    self.add_nal(nal);
                    rest = next;
                }
            }
            Payload::Fragment {
                start,
                end,
                header,
                data,
            } => {
                if start {
                    // A missing end bit is forgiven when nothing was lost.
                    self.close_fragment();
                    self.reserve(LENGTH_BYTES + C::HEADER_BYTES + data.len());
                    self.fragment_at = Some(self.unit.len());
                    self.unit.extend_from_slice(&[0; LENGTH_BYTES]);
                    self.unit.extend_from_slice(&header[..C::HEADER_BYTES]);
                } else if self.fragment_at.is_none() {
                    self.break_unit();
                    return;
                }
                self.unit.extend_from_slice(data);
                if end {
                    self.close_fragment();
                }
            }
            Payload::Invalid => self.break_unit(),
        }
    }

    /// The packet breaks the format: what it belongs to cannot be delivered.
    fn break_unit(&mut self) {
        self.counters.malformed_packets += 1;
        self.damaged = true;
    }

    fn reserve(&mut self, bytes: usize) {
        if self.unit.capacity() == 0 {
            let expected = self.expected_bytes[usize::from(self.starts_with_parameters)];
            // A quarter more than last time: sizes wander, and what is not used is given back.
            self.unit.reserve_exact((expected + expected / 4).max(bytes));
        }
    }

    fn add_nal(&mut self, nal: &[u8]) {
        if nal.is_empty() {
            return;
        }
        match C::kind(nal) {
            NalKind::Invalid => {
                // Some cameras leave Annex B start codes inside the payload.
                match find_start_code(nal) {
                    Some(_) => split_at_start_codes(nal).for_each(|part| self.add_plain_nal(part)),
                    None => self.counters.malformed_packets += 1,
                }
            }
            NalKind::ParameterSet | NalKind::Prefix if find_start_code(nal).is_some() => {
                split_at_start_codes(nal).for_each(|part| self.add_plain_nal(part));
            }
            _ => self.add_plain_nal(nal),
        }
    }

    /// A NAL unit without start codes inside.
    fn add_plain_nal(&mut self, nal: &[u8]) {
        match C::kind(nal) {
            NalKind::Invalid => {
                self.counters.malformed_packets += 1;
                return;
            }
            NalKind::ParameterSet => self.parameters_changed |= self.codec.keep(nal),
            NalKind::Slice { .. } => self.has_slice = true,
            NalKind::Prefix | NalKind::Other => {}
        }
        self.reserve(LENGTH_BYTES + nal.len());
        self.unit.extend_from_slice(&(nal.len() as u32).to_be_bytes());
        self.unit.extend_from_slice(nal);
    }

    fn close_fragment(&mut self) {
        let Some(at) = self.fragment_at.take() else { return };
        let start = at + LENGTH_BYTES;
        let length = (self.unit.len() - start) as u32;
        match C::kind(&self.unit[start..]) {
            NalKind::Slice { .. } => {
                self.unit[at..start].copy_from_slice(&length.to_be_bytes());
                self.has_slice = true;
            }
            // Rare: parameter sets and messages longer than a packet, or several in one fragment.
            _ => {
                let nal = self.unit.split_off(start);
                self.unit.truncate(at);
                self.add_nal(&nal);
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<CodedUnit>) {
        self.close_fragment();
        let timestamp = self.timestamp.take();
        if self.damaged || !self.has_slice {
            self.counters.discarded_units += u64::from(self.damaged);
            self.unit.clear();
            return;
        }
        if self.parameters_changed {
            self.refresh_parameters();
        }
        let (Some(rtp_timestamp), Some(parameters)) = (timestamp, &self.parameters) else {
            self.counters.units_without_parameters += 1;
            self.unit.clear();
            return;
        };
        self.expected_bytes[usize::from(self.starts_with_parameters)] = self.unit.len();
        // An exact buffer costs no second allocation when it becomes shared.
        let data = Bytes::from(std::mem::take(&mut self.unit).into_boxed_slice());
        out.push(CodedUnit {
            rtp_timestamp,
            key: C::is_random_access(&data),
            data,
            lost_packets: std::mem::take(&mut self.lost_packets),
            parameters: parameters.clone(),
        });
    }

    fn refresh_parameters(&mut self) {
        self.parameters_changed = false;
        match self.codec.parameters() {
            None => {}
            Some(Ok(new)) => {
                self.parameter_error = None;
                if self.parameters.as_deref() != Some(&new) {
                    self.parameters = Some(Arc::new(new));
                }
            }
            // What worked so far stays in force: a corrupt repetition must not stop a good stream.
            Some(Err(error)) => self.parameter_error = Some(error.within(C::PARAMETER_SETS)),
        }
    }
}

/// Kind of the first NAL unit of a payload; a fragment that is not the first piece counts as a later slice.
fn first_kind<C: NalCodec>(payload: &[u8]) -> NalKind {
    match C::payload(payload) {
        Payload::Single => C::kind(payload),
        Payload::Aggregate([_, _, first @ ..]) => C::kind(first),
        Payload::Fragment {
            start: true,
            header,
            data,
            ..
        } => {
            let mut nal = [0; 4];
            nal[..2].copy_from_slice(&header);
            let given = data.len().min(2);
            nal[C::HEADER_BYTES..C::HEADER_BYTES + given].copy_from_slice(&data[..given]);
            C::kind(&nal[..C::HEADER_BYTES + given])
        }
        Payload::Fragment { .. } => NalKind::Slice { first: false },
        Payload::Aggregate(_) | Payload::Invalid => NalKind::Invalid,
    }
}

fn find_start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|window| window == [0, 0, 1])
}

/// The NAL units of an Annex B stretch (H.264 Annex B); emulation prevention makes start codes unmistakable.
pub fn split_at_start_codes(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        while !bytes.is_empty() {
            let (nal, rest) = match find_start_code(bytes) {
                Some(at) => (&bytes[..at], &bytes[at + 3..]),
                None => (bytes, [].as_slice()),
            };
            bytes = rest;
            let end = nal.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
            if end > 0 {
                return Some(&nal[..end]);
            }
        }
        None
    })
}
