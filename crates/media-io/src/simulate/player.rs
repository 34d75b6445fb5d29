//! One client's view of a clip: which frame is due when, and its packets with this client's numbers. No sockets here.

use super::clip::{Clip, ClipTrack, HEADROOM_BYTES, ticks_to_us, us_to_ticks};
use super::fault::Fault;
use super::random::Random;
use media_core::rtp::packet::{RTP_HEADER_BYTES, RtpHeader};
use media_core::rtp::packetizer::Content;
use media_core::rtp::rtcp::{SenderReport, unix_us_to_ntp, write_sender_report, write_source_description};
use media_core::rtsp::message::{INTERLEAVED_HEADER_BYTES, interleaved_header};
use media_core::rtsp::server::{Delivery, TrackSetup};
use media_core::stamp::Stamp;
use media_core::{Codec, TrackKind, TrackParameters};
use std::ops::Range;
use std::sync::Arc;

/// Time between two sender reports of a track.
const REPORT_INTERVAL_US: u64 = 5_000_000;

/// The camera's own clock, which may run fast or slow against ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct MediaClock {
    anchor_us: i64,
    anchor_media_us: i64,
    drift_ppm: f64,
}

impl MediaClock {
    /// A clock that shows media time 0 at `start_us`.
    pub(super) fn starting_at(start_us: i64, drift_ppm: f64) -> Self {
        Self {
            anchor_us: start_us,
            anchor_media_us: 0,
            drift_ppm,
        }
    }

    pub(super) fn media_us(&self, now_us: i64) -> i64 {
        let elapsed = now_us - self.anchor_us;
        self.anchor_media_us + elapsed + (elapsed as f64 * self.drift_ppm / 1e6) as i64
    }

    pub(super) fn due_us(&self, media_us: i64) -> i64 {
        let ahead = media_us - self.anchor_media_us;
        if self.drift_ppm == 0.0 {
            return self.anchor_us + ahead;
        }
        self.anchor_us + (ahead as f64 / (1.0 + self.drift_ppm / 1e6)) as i64
    }

    /// Runs at another rate from `now_us` on, without a jump.
    pub(super) fn set_drift(&mut self, drift_ppm: f64, now_us: i64) {
        let anchor_media_us = self.media_us(now_us);
        *self = Self {
            anchor_us: now_us,
            anchor_media_us,
            drift_ppm,
        };
    }
}

/// One packet in an [`Outbox`], its `$` header included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutPacket {
    pub range: Range<usize>,
    pub control: bool,
}

/// What is sent next, contiguous; reused for every frame of every client.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub bytes: Vec<u8>,
    pub packets: Vec<OutPacket>,
}

impl Outbox {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }
}

/// A track as one client receives it.
#[derive(Debug)]
struct PlayedTrack {
    setup: TrackSetup,
    codec: Codec,
    clock_rate: u32,
    payload_type: u8,
    /// The clip's track that feeds it; none when the clip has none of that kind.
    source: Option<usize>,
    sequence: u16,
    /// RTP timestamp of media time 0.
    timestamp_base: u32,
    /// Media time at which the current round of the clip began, in ticks.
    round_ticks: i64,
    frame: usize,
    packets_sent: u32,
    payload_bytes_sent: u32,
    next_report_us: u64,
}

impl PlayedTrack {
    fn is_video(&self) -> bool {
        self.codec.kind() == TrackKind::Video
    }
}

/// One client that plays.
#[derive(Debug)]
pub(super) struct Player {
    clip: Arc<Clip>,
    clock: MediaClock,
    tracks: Vec<PlayedTrack>,
    random: Random,
    next_frame_number: u64,
}

/// The frame that is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// Engine instant at which it is to be sent.
    pub at_us: u64,
    track: usize,
}

impl Player {
    /// Plays `clip` to a client that set up `setups`: PLAY came at `now_us`, the clip starts at `start_us`.
    /// The first picture gets the number `first_frame_number`.
    pub(super) fn new(
        clip: Arc<Clip>,
        setups: &[TrackSetup],
        now_us: u64,
        start_us: u64,
        drift_ppm: f64,
        first_frame_number: u64,
        random: Random,
    ) -> Self {
        let tracks = setups.iter().filter_map(|setup| {
            let source = clip.tracks.get(usize::from(setup.track))?;
            let lead = us_to_ticks(start_us as i64 - now_us as i64, source.parameters.clock_rate);
            Some(PlayedTrack {
                setup: *setup,
                codec: source.parameters.codec,
                clock_rate: source.parameters.clock_rate,
                payload_type: source.payload_type,
                source: Some(usize::from(setup.track)),
                sequence: setup.first_sequence,
                timestamp_base: setup.first_timestamp.wrapping_add(lead as u32),
                round_ticks: 0,
                frame: 0,
                packets_sent: 0,
                payload_bytes_sent: 0,
                next_report_us: now_us,
            })
        });
        Self {
            tracks: tracks.collect(),
            clock: MediaClock::starting_at(start_us as i64, drift_ppm),
            clip,
            random,
            next_frame_number: first_frame_number,
        }
    }

    /// The number that the next picture would get.
    pub(super) fn next_frame_number(&self) -> u64 {
        self.next_frame_number
    }

    /// The next frame; none when nothing that was set up is being sent.
    pub(super) fn due(&self) -> Option<Due> {
        let dues = self.tracks.iter().enumerate().filter_map(|(track, played)| {
            let media_us = self.media_us_of(played, played.frame)?;
            Some(Due {
                at_us: self.clock.due_us(media_us).max(0) as u64,
                track,
            })
        });
        dues.min_by_key(|due| due.at_us)
    }

    fn source_of(&self, played: &PlayedTrack) -> Option<&ClipTrack> {
        self.clip.tracks.get(played.source?)
    }

    fn media_us_of(&self, played: &PlayedTrack, frame: usize) -> Option<i64> {
        let source = self.source_of(played)?;
        let ticks = played.round_ticks + source.frames.get(frame)?.due_ticks;
        Some(ticks_to_us(ticks, source.parameters.clock_rate))
    }

    /// How the packets of a due frame travel.
    pub(super) fn delivery_of(&self, due: Due) -> Delivery {
        self.tracks[due.track].setup.delivery
    }

    /// Steps over a due frame without sending it, as a camera that hangs does.
    pub(super) fn skip(&mut self, due: Due) {
        let played = &mut self.tracks[due.track];
        if played.is_video() {
            self.next_frame_number += 1;
        }
        advance(&self.clip, played);
    }

    /// Appends the packets of a due frame to `out`. With `stamp_us` (server UTC) the picture's number and that instant
    /// go before the picture in an SEI packet of their own.
    pub(super) fn write_frame(&mut self, due: Due, fault: &Fault, stamp_us: Option<u64>, out: &mut Outbox) {
        let clip = Arc::clone(&self.clip);
        let played = &mut self.tracks[due.track];
        let Some(source) = played.source.and_then(|index| clip.tracks.get(index)) else {
            return;
        };
        let frame = &source.frames[played.frame];
        let media_ticks = played.round_ticks + frame.timestamp_ticks;
        let timestamp = played.timestamp_base.wrapping_add(media_ticks as u32);
        let first_out = out.packets.len();
        let channel = match played.setup.delivery {
            Delivery::Interleaved { rtp_channel, .. } => rtp_channel,
            Delivery::Udp { .. } => 0,
        };
        for packet in frame.packets.clone() {
            if packet == frame.picture_at
                && let Some(sent_us) = stamp_us
            {
                let stamp = Stamp {
                    frame: self.next_frame_number,
                    sent_us,
                };
                // Codecs that know no SEI go without.
                if let Ok(nal) = stamp.nal(played.codec) {
                    write_packet(played, channel, timestamp, &nal, out);
                }
            }
            let payload = source.payload(packet);
            if fault.omit_parameter_sets && payload.content == Content::ParameterSets {
                continue;
            }
            if self.random.chance(fault.drop_ratio) {
                played.sequence = played.sequence.wrapping_add(1);
                continue;
            }
            let begin = out.bytes.len();
            out.bytes.extend_from_slice(source.template(packet));
            let timestamp = timestamp.wrapping_add(payload.timestamp_offset);
            patch(
                &mut out.bytes[begin..begin + HEADROOM_BYTES],
                channel,
                played.sequence,
                timestamp,
                played.setup.ssrc,
            );
            played.sequence = played.sequence.wrapping_add(1);
            played.packets_sent = played.packets_sent.wrapping_add(1);
            played.payload_bytes_sent = played.payload_bytes_sent.wrapping_add(payload.range.len() as u32);
            let range = begin..out.bytes.len();
            if self.random.chance(fault.corrupt_ratio) {
                let bit = self.random.below(payload.range.len() as u64 * 8) as usize;
                out.bytes[begin + HEADROOM_BYTES + bit / 8] ^= 1 << (bit % 8);
            }
            out.packets.push(OutPacket {
                range: range.clone(),
                control: false,
            });
            if self.random.chance(fault.duplicate_ratio) {
                let again = out.bytes.len();
                out.bytes.extend_from_within(range);
                out.packets.push(OutPacket {
                    range: again..out.bytes.len(),
                    control: false,
                });
            }
        }
        if matches!(played.setup.delivery, Delivery::Udp { .. }) {
            let mut at = first_out;
            while at + 1 < out.packets.len() {
                if self.random.chance(fault.reorder_ratio) {
                    out.packets.swap(at, at + 1);
                    at += 1; // a packet moves back by one place, not to the end of the frame
                }
                at += 1;
            }
        }
        if played.is_video() {
            self.next_frame_number += 1;
        }
        advance(&clip, played);
    }

    /// Appends the sender reports that are due, per track; the caller sends each before the next frame.
    pub(super) fn write_report(
        &mut self,
        index: usize,
        now_us: u64,
        utc_us: i64,
        out: &mut Outbox,
    ) -> Option<Delivery> {
        let media_us = self.clock.media_us(now_us as i64);
        let played = self.tracks.get_mut(index)?;
        let source = self.clip.tracks.get(played.source?)?;
        if now_us < played.next_report_us {
            return None;
        }
        played.next_report_us = now_us + REPORT_INTERVAL_US;
        let ticks = us_to_ticks(media_us, source.parameters.clock_rate);
        let report = SenderReport {
            ssrc: played.setup.ssrc,
            ntp: unix_us_to_ntp(utc_us),
            rtp_timestamp: played.timestamp_base.wrapping_add(ticks as u32),
            packets: played.packets_sent,
            bytes: played.payload_bytes_sent,
            blocks: Vec::new(),
        };
        let begin = out.bytes.len();
        out.bytes.extend_from_slice(&[0; INTERLEAVED_HEADER_BYTES]);
        write_sender_report(&report, &mut out.bytes);
        write_source_description(report.ssrc, "simulated camera", &mut out.bytes);
        let size = out.bytes.len() - begin - INTERLEAVED_HEADER_BYTES;
        let channel = match played.setup.delivery {
            Delivery::Interleaved { rtcp_channel, .. } => rtcp_channel,
            Delivery::Udp { .. } => 0,
        };
        out.bytes[begin..begin + INTERLEAVED_HEADER_BYTES].copy_from_slice(&interleaved_header(channel, size as u16));
        out.packets.push(OutPacket {
            range: begin..out.bytes.len(),
            control: true,
        });
        Some(played.setup.delivery)
    }

    /// Number of tracks set up.
    pub(super) fn track_count(&self) -> usize {
        self.tracks.len()
    }

    /// Where each track's packets go.
    pub(super) fn deliveries(&self) -> impl Iterator<Item = Delivery> {
        self.tracks.iter().map(|played| played.setup.delivery)
    }

    /// Moves every later RTP timestamp by `jump_ms`.
    pub(super) fn jump(&mut self, jump_ms: i64) {
        for played in &mut self.tracks {
            let ticks = us_to_ticks(jump_ms * 1000, played.clock_rate);
            played.timestamp_base = played.timestamp_base.wrapping_add(ticks as u32);
        }
    }

    /// Lets the camera's clock run at another rate.
    pub(super) fn set_drift(&mut self, drift_ppm: f64, now_us: u64) {
        self.clock.set_drift(drift_ppm, now_us as i64);
    }

    /// Shows `clip` from the next frame on. False when one of its tracks has another codec or clock than the one that
    /// the client knows, so that the client must ask again.
    pub(super) fn switch(&mut self, clip: &Arc<Clip>) -> bool {
        if Arc::ptr_eq(&self.clip, clip) {
            return true;
        }
        let fits = |played: &PlayedTrack| {
            let new = clip
                .track_of_kind(played.codec.kind())
                .and_then(|index| clip.tracks.get(index));
            new.map_or(!played.is_video(), |new| {
                let TrackParameters { codec, clock_rate, .. } = new.parameters;
                (codec, clock_rate, new.payload_type) == (played.codec, played.clock_rate, played.payload_type)
            })
        };
        if !self.tracks.iter().all(fits) {
            return false;
        }
        // One instant for all tracks: that of the next picture, or of whatever is next.
        let next_of = |played: &PlayedTrack| self.media_us_of(played, played.frame);
        let video = self.tracks.iter().find(|played| played.is_video());
        let start_us = video
            .and_then(next_of)
            .or_else(|| self.tracks.iter().filter_map(next_of).min())
            .unwrap_or(0);
        for played in &mut self.tracks {
            played.source = clip.track_of_kind(played.codec.kind());
            played.round_ticks = us_to_ticks(start_us, played.clock_rate);
            played.frame = 0;
        }
        self.clip = Arc::clone(clip);
        true
    }
}

fn advance(clip: &Clip, played: &mut PlayedTrack) {
    let Some(source) = played.source.and_then(|index| clip.tracks.get(index)) else {
        return;
    };
    played.frame += 1;
    if played.frame >= source.frames.len() {
        played.frame = 0;
        played.round_ticks += source.period_ticks;
    }
}

fn patch(header: &mut [u8], channel: u8, sequence: u16, timestamp: u32, ssrc: u32) {
    header[1] = channel;
    header[6..8].copy_from_slice(&sequence.to_be_bytes());
    header[8..12].copy_from_slice(&timestamp.to_be_bytes());
    header[12..16].copy_from_slice(&ssrc.to_be_bytes());
}

fn write_packet(played: &mut PlayedTrack, channel: u8, timestamp: u32, payload: &[u8], out: &mut Outbox) {
    let begin = out.bytes.len();
    let (sequence, ssrc, payload_type) = (played.sequence, played.setup.ssrc, played.payload_type);
    let header = RtpHeader {
        marker: false,
        payload_type,
        sequence,
        timestamp,
        ssrc,
    };
    out.bytes
        .extend_from_slice(&interleaved_header(channel, (RTP_HEADER_BYTES + payload.len()) as u16));
    header.write(&mut out.bytes);
    out.bytes.extend_from_slice(payload);
    out.packets.push(OutPacket {
        range: begin..out.bytes.len(),
        control: false,
    });
    played.sequence = sequence.wrapping_add(1);
    played.packets_sent = played.packets_sent.wrapping_add(1);
    played.payload_bytes_sent = played.payload_bytes_sent.wrapping_add(payload.len() as u32);
}

#[cfg(test)]
mod tests;
