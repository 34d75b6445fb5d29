//! One stream to one viewer: headers, sequence numbers, protection, retransmissions, and what its reports say.

use super::batch::{Batch, Path};
use super::negotiation::AgreedStream;
use super::packets::{CutUnit, Payload};
use super::retransmission::History;
use super::timeline::Timeline;
use media_core::rtp::rtcp::{self, SenderReport};
use media_core::srtp::SrtpSender;
use media_core::{Result, TrackKind};
use std::sync::Arc;

/// Packets that name their section (MID, RFC 8843 §9): until the viewer reports on the stream it may not know whose the
/// stream is, though the answer says so too.
const NAMED_PACKETS: u64 = 100;
/// Fixed header, extension header, send time, playout delay, and a name of 16 bytes, padded.
const MAX_HEADER_BYTES: usize = 12 + 4 + 4 + 4 + 20;
/// Where the send time of a packet stands, if it has one: first among the extensions.
const SEND_TIME: std::ops::Range<usize> = 17..20;

/// The extension that says how long after their arrival pictures are shown: two numbers of 12 bits, in units of 10 ms.
fn playout_delay((least_ms, most_ms): (u16, u16)) -> [u8; 3] {
    let (least, most) = (least_ms / 10, most_ms / 10);
    let [_, bytes @ ..] = (u32::from(least & 0xfff) << 12 | u32::from(most & 0xfff)).to_be_bytes();
    bytes
}

/// Everything of a packet's header that stays the same.
#[derive(Debug, Clone, Copy)]
struct Header {
    bytes: [u8; MAX_HEADER_BYTES],
    length: usize,
    /// Every packet says when it was sent.
    timed: bool,
}

impl Header {
    /// A header with extensions (id, value) in the one-byte form (RFC 8285 §4.2). Those with an id or a length beyond
    /// that form are left out. `send_time_id` is that of the send time.
    fn new(payload_type: u8, ssrc: u32, send_time_id: Option<u8>, extensions: &[(Option<u8>, &[u8])]) -> Self {
        let mut bytes = [0; MAX_HEADER_BYTES];
        bytes[0] = 0x80;
        bytes[1] = payload_type & 0x7f;
        bytes[8..12].copy_from_slice(&ssrc.to_be_bytes());
        let mut length = 16;
        let send_time: (Option<u8>, &[u8]) = (send_time_id, &[0; SEND_TIME.end - SEND_TIME.start]);
        let timed = send_time_id.is_some_and(|id| (1..=14).contains(&id));
        for (id, value) in std::iter::once(&send_time).chain(extensions) {
            let Some(id) = id.filter(|id| (1..=14).contains(id)) else {
                continue;
            };
            if value.is_empty() || value.len() > 16 || length + 1 + value.len() > MAX_HEADER_BYTES {
                continue;
            }
            bytes[length] = id << 4 | (value.len() - 1) as u8;
            bytes[length + 1..=length + value.len()].copy_from_slice(value);
            length += 1 + value.len();
        }
        if length == 16 {
            return Self {
                bytes,
                length: 12,
                timed,
            };
        }
        length = length.next_multiple_of(4);
        bytes[0] |= 0x10;
        bytes[12..14].copy_from_slice(&[0xbe, 0xde]);
        bytes[14..16].copy_from_slice(&((length - 16) as u16 / 4).to_be_bytes());
        Self { bytes, length, timed }
    }

    /// The header of one packet, sent at `now_us`.
    fn of(mut self, marker: bool, sequence: u64, timestamp: u32, now_us: u64) -> Self {
        if self.timed {
            // Seconds in 6.18 bits of fixed point, on any clock (abs-send-time of webrtc.org).
            let send_time = ((u128::from(now_us) << 18) / 1_000_000) as u32;
            self.bytes[SEND_TIME].copy_from_slice(&send_time.to_be_bytes()[1..]);
        }
        self.bytes[1] |= u8::from(marker) << 7;
        self.bytes[2..4].copy_from_slice(&(sequence as u16).to_be_bytes());
        self.bytes[4..8].copy_from_slice(&timestamp.to_be_bytes());
        self
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The stream that repeats packets (RFC 4588).
#[derive(Debug)]
struct Repeats {
    header: Header,
    sequence: u64,
    ssrc: u32,
}

/// One stream to one viewer.
pub(super) struct Outgoing {
    pub(super) agreed: AgreedStream,
    pub(super) timeline: Timeline,
    named: Header,
    plain: Header,
    repeats: Option<Repeats>,
    /// Extended sequence number of the next packet.
    sequence: u64,
    first_sequence: u64,
    history: History,
    packets: u32,
    payload_bytes: u32,
    /// RTP timestamp of the newest unit and when it was seen.
    newest: Option<(u32, u64)>,
    /// The viewer has reported on the stream.
    acknowledged: bool,
}

/// A unit whose packets are under way.
pub(super) struct Underway {
    pub(super) cut: Arc<CutUnit>,
    timestamp: u32,
    /// When the unit was seen, for reports.
    seen_us: u64,
    /// The payload that is sent next.
    pub(super) next: usize,
    /// When the camera's unit was received, for units at the live edge.
    pub(super) live_since_us: Option<u64>,
    named: bool,
    /// Since when it waits behind others, in µs since the start.
    pub(super) waits_since_us: u64,
}

impl Underway {
    /// A unit none of whose packets was sent yet.
    pub(super) fn new(cut: &Arc<CutUnit>, timestamp: u32, seen_us: u64, live: bool) -> Self {
        Self {
            cut: cut.clone(),
            timestamp,
            seen_us,
            next: 0,
            live_since_us: live.then_some(cut.received_us),
            named: false,
            waits_since_us: u64::MAX,
        }
    }
}

impl Outgoing {
    /// A stream whose first packets have these (random, RFC 3550 §5.1) numbers.
    pub(super) fn new(agreed: AgreedStream, timestamp: u32, sequence: u16, repeats_sequence: u16) -> Self {
        let delay = playout_delay(agreed.shown_after_ms);
        let delay: (Option<u8>, &[u8]) = match agreed.codec.kind() {
            TrackKind::Video => (agreed.playout_delay_id, &delay),
            _ => (None, &[]),
        };
        let name = (agreed.mid_id, agreed.mid.as_bytes());
        // A packet that is repeated as it was must say what it said: without a stream for repeats nothing says when.
        let send_time_id = match agreed.codec.kind() {
            TrackKind::Video => agreed.send_time_id.filter(|_| agreed.repeats.is_some()),
            _ => None,
        };
        // The lower half of the range: a receiver assumes that a stream's first packets are before the first
        // rollover (RFC 3711 §3.3.1), and early losses must not hide one.
        let early = |number: u16| u64::from(number & 0x7fff);
        let repeats = agreed.repeats.map(|(payload_type, ssrc)| Repeats {
            header: Header::new(payload_type, ssrc, send_time_id, &[delay]),
            sequence: early(repeats_sequence),
            ssrc,
        });
        Self {
            timeline: Timeline::new(timestamp, agreed.clock_rate),
            named: Header::new(agreed.payload_type, agreed.ssrc, send_time_id, &[delay, name]),
            plain: Header::new(agreed.payload_type, agreed.ssrc, send_time_id, &[delay]),
            repeats,
            sequence: early(sequence),
            first_sequence: early(sequence),
            history: History::new(),
            packets: 0,
            payload_bytes: 0,
            newest: None,
            acknowledged: false,
            agreed,
        }
    }

    /// Adds the next packet of `underway` to `batch`.
    pub(super) fn send(
        &mut self,
        underway: &mut Underway,
        srtp: &mut SrtpSender,
        batch: &mut Batch,
        path: &Path,
        now_us: u64,
    ) -> Result<()> {
        if underway.next == 0 {
            underway.named = !self.acknowledged && self.sequence - self.first_sequence < NAMED_PACKETS;
            self.history
                .note(self.sequence, &underway.cut, underway.timestamp, underway.named, now_us);
            self.newest = Some((underway.timestamp, underway.seen_us));
        }
        let Some(payload) = underway.cut.payload(underway.next) else {
            return Ok(());
        };
        let sequence = self.sequence;
        let header = self.header(underway.named, &payload, sequence, underway.timestamp, now_us);
        batch.push(path, |out| {
            srtp.protect_rtp(header.bytes(), payload.bytes, sequence, out)
        })?;
        underway.next += 1;
        self.sequence += 1;
        self.packets = self.packets.wrapping_add(1);
        self.payload_bytes = self.payload_bytes.wrapping_add(payload.bytes.len() as u32);
        Ok(())
    }

    fn header(&self, named: bool, payload: &Payload<'_>, sequence: u64, timestamp: u32, now_us: u64) -> Header {
        let header = if named { self.named } else { self.plain };
        header.of(
            payload.marker,
            sequence,
            timestamp.wrapping_add(payload.timestamp_offset),
            now_us,
        )
    }

    /// Whether nothing can be repeated until more was sent.
    pub(super) fn is_spent(&self) -> bool {
        self.history.is_spent()
    }

    /// Adds the packet numbered `sequence` to `batch` once more, when it is known and allowed; whether it was.
    pub(super) fn repeat(
        &mut self,
        sequence: u16,
        srtp: &mut SrtpSender,
        batch: &mut Batch,
        path: &Path,
        now_us: u64,
    ) -> Result<bool> {
        let Some(sent) = self.history.grant(sequence, self.sequence, now_us) else {
            return Ok(false);
        };
        let Some(payload) = sent.cut.payload(sent.index) else {
            return Ok(false);
        };
        let Some(repeats) = &mut self.repeats else {
            // The same packet bit by bit: the same key stream must not protect anything else.
            let header = self.header(sent.named, &payload, sent.sequence, sent.timestamp, now_us);
            batch.push(path, |out| {
                srtp.protect_rtp(header.bytes(), payload.bytes, sent.sequence, out)
            })?;
            return Ok(true);
        };
        let number = repeats.sequence;
        repeats.sequence += 1;
        let timestamp = sent.timestamp.wrapping_add(payload.timestamp_offset);
        let header = repeats.header.of(payload.marker, number, timestamp, now_us);
        let mut original = Vec::with_capacity(2 + payload.bytes.len());
        original.extend_from_slice(&(sent.sequence as u16).to_be_bytes());
        original.extend_from_slice(payload.bytes);
        batch.push(path, |out| srtp.protect_rtp(header.bytes(), &original, number, out))?;
        Ok(true)
    }

    /// The viewer has reported on the stream: it knows whose it is.
    pub(super) fn acknowledge(&mut self) {
        self.acknowledged = true;
    }

    /// Appends a sender report for the instant `now_us`, which is `ntp`; nothing before the first packet.
    pub(super) fn report(&self, ntp: u64, now_us: u64, out: &mut Vec<u8>) {
        let Some((timestamp, seen_us)) = self.newest else {
            return;
        };
        let since = now_us
            .saturating_sub(seen_us)
            .saturating_mul(u64::from(self.agreed.clock_rate))
            / 1_000_000;
        let report = SenderReport {
            ssrc: self.agreed.ssrc,
            ntp,
            rtp_timestamp: timestamp.wrapping_add(since as u32),
            packets: self.packets,
            bytes: self.payload_bytes,
            blocks: Vec::new(),
        };
        rtcp::write_sender_report(&report, out);
    }

    /// Appends the end of the stream and of its repeats.
    pub(super) fn goodbye(&self, out: &mut Vec<u8>) {
        rtcp::write_goodbye(self.agreed.ssrc, out);
        if let Some(repeats) = &self.repeats {
            rtcp::write_goodbye(repeats.ssrc, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn playout_delays_are_two_numbers_of_twelve_bits() {
        assert_eq!(playout_delay((0, 0)), [0, 0, 0]);
        assert_eq!(playout_delay((119, 500)), [0x00, 0xb0, 0x32]);
        assert_eq!(playout_delay((40_950, 40_959)), [0xff, 0xff, 0xff]);
    }
}
