//! A looped clip, cut into packets once for all clients: every packet lies ready with its interleaved and RTP headers,
//! in which only channel, sequence number, timestamp and source remain to be set.

use bytes::Bytes;
use media_core::rtp::packet::{RTP_HEADER_BYTES, RtpHeader};
use media_core::rtp::packetizer::{Content, DEFAULT_MAX_PAYLOAD_BYTES, Packetizer, Payload, Payloads};
use media_core::rtsp::describe::{DescribedTrack, payload_type, session_description};
use media_core::rtsp::message::{INTERLEAVED_HEADER_BYTES, interleaved_header};
use media_core::{Error, ErrorKind, Result, TrackKind, TrackParameters};
use std::ops::Range;

/// Bytes before each payload of a template: `$`, channel, length, RTP header.
pub(super) const HEADROOM_BYTES: usize = INTERLEAVED_HEADER_BYTES + RTP_HEADER_BYTES;

/// One unit of a clip, in the order and the form in which a camera would send it.
#[derive(Debug, Clone)]
pub struct SourceUnit {
    /// Index of the unit's track.
    pub track: u8,
    /// Presentation time in ticks of the track's clock, from any origin common to all tracks.
    pub pts: i64,
    /// Decoding time in the same ticks; must not decrease within a track.
    pub dts: i64,
    /// A decoder can start here.
    pub key: bool,
    /// The bytes in the form that the codec documents.
    pub data: Bytes,
}

/// One unit, cut.
#[derive(Debug)]
pub(super) struct Frame {
    /// When it is sent, in ticks since the clip's start.
    pub due_ticks: i64,
    /// Its RTP timestamp in ticks since the clip's start.
    pub timestamp_ticks: i64,
    /// Its packets within the track's templates.
    pub packets: Range<usize>,
    /// The packet before which a stamp goes: the first that carries the picture.
    pub picture_at: usize,
}

/// One track, cut.
#[derive(Debug)]
pub(super) struct ClipTrack {
    pub parameters: TrackParameters,
    pub payload_type: u8,
    pub frames: Vec<Frame>,
    /// Length of one round in ticks.
    pub period_ticks: i64,
    templates: Payloads,
}

impl ClipTrack {
    pub(super) fn payload(&self, packet: usize) -> &Payload {
        &self.templates.iter().as_slice()[packet]
    }

    /// The packet with its headers.
    pub(super) fn template(&self, packet: usize) -> &[u8] {
        let range = &self.payload(packet).range;
        &self.templates.bytes()[range.start - HEADROOM_BYTES..range.end]
    }
}

/// A clip ready to be sent to any number of clients.
#[derive(Debug)]
pub(super) struct Clip {
    pub tracks: Vec<ClipTrack>,
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

/// `ticks` of a clock of `rate` in µs.
pub(super) fn ticks_to_us(ticks: i64, rate: u32) -> i64 {
    (i128::from(ticks) * 1_000_000).div_euclid(i128::from(rate)) as i64
}

/// µs in ticks of a clock of `rate`, to the nearest, so that ticks survive the way to µs and back.
pub(super) fn us_to_ticks(us: i64, rate: u32) -> i64 {
    (i128::from(us) * i128::from(rate) + 500_000).div_euclid(1_000_000) as i64
}

impl Clip {
    /// Cuts `units`. Invalid without tracks, for a track without units, an unknown track or decoding times that go
    /// back; malformed or unsupported as the packetizer says.
    pub(super) fn new(tracks: Vec<TrackParameters>, units: &[SourceUnit]) -> Result<Self> {
        if tracks.is_empty() || tracks.len() > 8 {
            return Err(invalid(format!("a clip has 1 to 8 tracks, not {}", tracks.len())));
        }
        if let Some(unit) = units.iter().find(|unit| usize::from(unit.track) >= tracks.len()) {
            return Err(invalid(format!(
                "unit of track {}, but the clip has {}",
                unit.track,
                tracks.len()
            )));
        }
        if let Some(index) = tracks.iter().position(|track| track.clock_rate == 0) {
            return Err(invalid(format!("track {index} has a clock rate of 0")));
        }
        let rate_of = |unit: &SourceUnit| tracks[usize::from(unit.track)].clock_rate;
        let start_us = units
            .iter()
            .map(|unit| ticks_to_us(unit.dts, rate_of(unit)))
            .min()
            .unwrap_or(0);
        // A camera sends a picture after it was captured: B-frames move all capture times before the sending times.
        let lead_us = units
            .iter()
            .map(|unit| ticks_to_us(unit.pts - unit.dts, rate_of(unit)))
            .max()
            .unwrap_or(0);
        let cut = tracks.into_iter().enumerate().map(|(index, parameters)| {
            let own: Vec<_> = units.iter().filter(|unit| usize::from(unit.track) == index).collect();
            cut_track(parameters, index as u8, &own, start_us, lead_us).map_err(|e| e.within(format!("track {index}")))
        });
        Ok(Self {
            tracks: cut.collect::<Result<_>>()?,
        })
    }

    /// The index of the first track of `kind`.
    pub(super) fn track_of_kind(&self, kind: TrackKind) -> Option<usize> {
        self.tracks
            .iter()
            .position(|track| track.parameters.codec.kind() == kind)
    }

    /// How many pictures a camera that shows this clip has taken by `now_us` after its start: the number of the next.
    pub(super) fn frames_until(&self, now_us: u64) -> u64 {
        let video = self
            .track_of_kind(TrackKind::Video)
            .and_then(|index| self.tracks.get(index));
        let Some(track) = video else { return 0 };
        let per_second = u128::from(track.parameters.clock_rate) * track.frames.len() as u128;
        let frames = (u128::from(now_us) * per_second).div_ceil(track.period_ticks as u128 * 1_000_000);
        frames as u64
    }

    /// The session description.
    pub(super) fn description(&self, name: &str, session_id: u64, tell_parameter_sets: bool) -> Result<String> {
        let described = self.tracks.iter().map(|track| DescribedTrack {
            parameters: &track.parameters,
            payload_type: track.payload_type,
            tell_parameter_sets,
        });
        let tracks: Vec<_> = described.collect();
        session_description(name, session_id, &tracks)
    }
}

fn cut_track(
    parameters: TrackParameters,
    index: u8,
    units: &[&SourceUnit],
    start_us: i64,
    lead_us: i64,
) -> Result<ClipTrack> {
    let (Some(first), Some(last)) = (units.first(), units.last()) else {
        return Err(invalid("no units"));
    };
    if let Some(pair) = units.windows(2).find(|pair| pair[1].dts < pair[0].dts) {
        return Err(invalid(format!(
            "decoding time goes back from {} to {}",
            pair[0].dts, pair[1].dts
        )));
    }
    let rate = parameters.clock_rate;
    let zero = us_to_ticks(start_us, rate);
    let lead = us_to_ticks(lead_us, rate);
    // The last unit lasts as long as the others did on average.
    let span = last.dts - first.dts;
    let average = if units.len() > 1 {
        span / (units.len() as i64 - 1)
    } else {
        i64::from(rate)
    };
    let period_ticks = (span + average).max(1);

    let packetizer = Packetizer::new(&parameters, DEFAULT_MAX_PAYLOAD_BYTES)?;
    let payload_type = payload_type(&parameters, index);
    let mut templates = Payloads::with_headroom(HEADROOM_BYTES);
    let mut frames = Vec::with_capacity(units.len());
    for (number, unit) in units.iter().enumerate() {
        let begin = templates.len();
        packetizer
            .packetize(&unit.data, &mut templates)
            .map_err(|e| e.within(format!("unit {number}")))?;
        let packets = begin..templates.len();
        let picture = templates
            .iter()
            .skip(begin)
            .position(|payload| payload.content == Content::Picture);
        frames.push(Frame {
            due_ticks: unit.dts - zero,
            timestamp_ticks: unit.pts - zero - lead,
            picture_at: begin + picture.unwrap_or(packets.len()),
            packets,
        });
    }
    for payload in templates.iter().cloned().collect::<Vec<Payload>>() {
        let rtp = RtpHeader {
            marker: payload.marker,
            payload_type,
            sequence: 0,
            timestamp: 0,
            ssrc: 0,
        };
        let interleaved = interleaved_header(0, (RTP_HEADER_BYTES + payload.range.len()) as u16);
        let header = &mut templates.bytes_mut()[payload.range.start - HEADROOM_BYTES..payload.range.start];
        header[..INTERLEAVED_HEADER_BYTES].copy_from_slice(&interleaved);
        header[INTERLEAVED_HEADER_BYTES..].copy_from_slice(&rtp.to_bytes());
    }
    Ok(ClipTrack {
        parameters,
        payload_type,
        frames,
        period_ticks,
        templates,
    })
}
