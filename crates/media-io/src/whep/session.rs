//! One viewer: its WebRTC state, what is on its way to it, and the time it has to say something.

use super::SessionId;
use super::negotiation::{Agreed, AgreedStream};
use super::outside::Outside;
use super::pacing::Pacer;
use super::packets::{Cutter, Payload};
use super::stats::count;
use super::timeline::Timeline;
use crate::hub::Hub;
use media_core::{AccessUnit, TrackKind};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use str0m::media::MediaTime;
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpWrite};
use str0m::{Event, IceConnectionState, Input, Output, Rtc, RtcError};

/// ICE and DTLS must be done by then.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// Viewers send consent checks and receiver reports every few seconds; silence means they are gone.
const SILENT_AFTER: Duration = Duration::from_secs(10);
/// Requests for a key frame are answered at most this often; the pause doubles with every answer that did not help.
const RESEND_PAUSE: Duration = Duration::from_secs(1);
const MAX_RESEND_PAUSE: Duration = Duration::from_secs(32);
/// A viewer whose queue holds more than this starts again at the next key frame.
const MAX_QUEUED_BYTES: usize = 8 << 20;
/// Addresses that one viewer may send from: interfaces of its machine, before ICE has chosen.
const MAX_ADDRESSES: usize = 16;

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The viewer left, or was asked to.
    Left,
    /// The viewer fell silent or never came.
    TimedOut,
    /// The protocol stack gave up.
    Failed,
    /// The camera sends another codec now: the viewer has to negotiate anew.
    CodecChanged,
}

/// What a session wants of its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Connected: to be joined to the stream.
    Join,
    /// The GOP once more.
    Resend,
}

enum Phase {
    Connecting,
    WaitingForKey,
    /// Units up to the live edge that are still to be sent.
    Bursting(VecDeque<Arc<AccessUnit>>),
    Live,
}

struct Outgoing {
    agreed: AgreedStream,
    /// Extended sequence number of the next packet.
    sequence: u64,
    timeline: Timeline,
    queue: VecDeque<Packet>,
}

struct Packet {
    bytes: Arc<[u8]>,
    marker: bool,
    timestamp: u32,
    seen_at: Instant,
    /// Of the last packet of a live unit: when that unit was received.
    ends_unit_received_us: Option<u64>,
}

/// Random numbers that a session starts with (RFC 3550 §5.1).
#[derive(Debug, Clone, Copy)]
pub(super) struct Origins {
    /// First timestamps of video and audio.
    pub(super) timestamps: [u32; 2],
    /// First sequence numbers of video and audio.
    pub(super) sequences: [u16; 2],
}

/// A viewer of one hub.
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) hub: Arc<Hub>,
    /// The local half of the ICE user name, by which first datagrams find their session.
    pub(super) ufrag: String,
    pub(super) addresses: VecDeque<SocketAddr>,
    /// When the driver's timer for this session stands, so that there is one at a time.
    pub(super) scheduled: Option<Instant>,
    pub(super) connected: bool,
    rtc: Rtc,
    rtc_timeout: Instant,
    phase: Phase,
    wish: Option<Wish>,
    end: Option<End>,
    video: Outgoing,
    audio: Option<Outgoing>,
    queued_bytes: usize,
    pacer: Pacer,
    resend_after: Instant,
    resend_pause: Duration,
    opened: Instant,
    heard: Instant,
}

impl Session {
    /// A session as agreed on, not connected yet.
    pub(super) fn new(id: SessionId, hub: Arc<Hub>, agreed: Agreed, origins: Origins, now: Instant) -> Self {
        let Agreed {
            mut rtc, video, audio, ..
        } = agreed;
        let outgoing = |agreed: AgreedStream, index: usize| Outgoing {
            // The lower half of the range: a receiver assumes that a stream's first packets are before the first
            // rollover (RFC 3711 §3.3.1), and early losses must not hide one.
            sequence: u64::from(origins.sequences[index] & 0x7fff),
            timeline: Timeline::new(origins.timestamps[index], agreed.clock_rate),
            queue: VecDeque::new(),
            agreed,
        };
        Self {
            id,
            hub,
            ufrag: rtc.direct_api().local_ice_credentials().ufrag,
            addresses: VecDeque::new(),
            scheduled: None,
            connected: false,
            rtc,
            rtc_timeout: now,
            phase: Phase::Connecting,
            wish: None,
            end: None,
            video: outgoing(video, 0),
            audio: audio.map(|audio| outgoing(audio, 1)),
            queued_bytes: 0,
            pacer: Pacer::new(0),
            resend_after: now,
            resend_pause: RESEND_PAUSE / 2,
            opened: now,
            heard: now,
        }
    }

    /// Whether a STUN request shows that it comes from this session's viewer (ufrag and integrity).
    pub(super) fn accepts(&self, bytes: &[u8], source: SocketAddr, destination: SocketAddr, now: Instant) -> bool {
        let accepts = || match Receive::new(Protocol::Udp, source, destination, bytes) {
            Ok(receive) => self.rtc.accepts(&Input::Receive(now, receive)),
            Err(_) => false,
        };
        catch_unwind(AssertUnwindSafe(accepts)).unwrap_or(false)
    }

    /// Remembers an address that `accepts` has shown to be the viewer's; the one to forget for it, if any.
    pub(super) fn learn(&mut self, address: SocketAddr) -> Option<SocketAddr> {
        self.addresses.push_back(address);
        (self.addresses.len() > MAX_ADDRESSES)
            .then(|| self.addresses.pop_front())
            .flatten()
    }

    /// One datagram of this viewer.
    pub(super) fn receive(
        &mut self,
        outside: &Outside,
        bytes: &[u8],
        source: SocketAddr,
        destination: SocketAddr,
        now: Instant,
    ) {
        let rtc = &mut self.rtc;
        let taken = catch_unwind(AssertUnwindSafe(|| {
            match Receive::new(Protocol::Udp, source, destination, bytes) {
                Ok(receive) => rtc.handle_input(Input::Receive(now, receive)).is_ok(),
                Err(_) => false,
            }
        }));
        match taken {
            Ok(true) => self.heard = now,
            // Anyone can forge such a datagram: it must not end a session.
            Ok(false) => count(&outside.counters.datagrams_malformed, 1),
            Err(_) => self.finish(End::Failed),
        }
        self.drain(outside, now);
    }

    /// Whatever is due at `now`: str0m's timers, packets whose turn has come, silence.
    pub(super) fn tick(&mut self, outside: &Outside, cutter: &mut Cutter, now: Instant) {
        if !self.connected && now.saturating_duration_since(self.opened) >= CONNECT_WITHIN {
            return self.finish(End::TimedOut);
        }
        if self.connected && now.saturating_duration_since(self.heard) >= SILENT_AFTER {
            return self.finish(End::TimedOut);
        }
        if self.rtc_timeout <= now {
            self.advance(outside, now);
        }
        self.flush(outside, cutter, now);
    }

    /// When `tick` is wanted next.
    pub(super) fn wake_at(&self, now: Instant) -> Instant {
        let deadline = if self.connected {
            self.heard + SILENT_AFTER
        } else {
            self.opened + CONNECT_WITHIN
        };
        let mut wake_at = self.rtc_timeout.min(deadline);
        if !self.video.queue.is_empty() || matches!(&self.phase, Phase::Bursting(units) if !units.is_empty()) {
            wake_at = wake_at.min(now + Duration::from_micros(self.pacer.wait_us()));
        }
        wake_at
    }

    /// What the session wants, once.
    pub(super) fn take_wish(&mut self) -> Option<Wish> {
        self.wish.take()
    }

    /// Why the session is over, if it is.
    pub(super) fn ended(&self) -> Option<End> {
        self.end
    }

    /// Starts at the key frame of `gop`, or waits for one when there is none.
    pub(super) fn start(&mut self, gop: &[Arc<AccessUnit>], outside: &Outside, now: Instant) {
        let bytes: usize = gop.iter().map(|unit| unit.data.len()).sum();
        if let (Some(first), Some(last)) = (gop.first(), gop.last()) {
            let clock_rate = i64::from(first.parameters.clock_rate.max(1));
            let duration_us = last.pts.saturating_sub(first.pts).max(0).saturating_mul(1_000_000) / clock_rate;
            self.pacer = Pacer::new(outside.us(now));
            self.pacer.follow(bytes as u64, duration_us as u64);
        }
        // A viewer that asks again right after the pause cannot use what it gets.
        let helped = now.saturating_duration_since(self.resend_after) > 2 * self.resend_pause;
        self.resend_pause = if helped {
            RESEND_PAUSE
        } else {
            (2 * self.resend_pause).min(MAX_RESEND_PAUSE)
        };
        self.resend_after = now + self.resend_pause;
        self.phase = match gop {
            [] => Phase::WaitingForKey,
            _ => Phase::Bursting(gop.iter().cloned().collect()),
        };
    }

    /// Hands over the next video unit. `payloads` are cut by the first live viewer of the unit.
    pub(super) fn push_video(
        &mut self,
        unit: &Arc<AccessUnit>,
        payloads: &mut dyn FnMut() -> Option<Arc<[Payload]>>,
        outside: &Outside,
        now: Instant,
    ) {
        if unit.parameters.codec != self.video.agreed.codec {
            return self.finish(End::CodecChanged);
        }
        let mut restarts = false;
        match &mut self.phase {
            Phase::Connecting => return,
            Phase::WaitingForKey if !unit.key => return,
            Phase::WaitingForKey => restarts = true,
            Phase::Bursting(units) => {
                if unit.key {
                    // What is older is of no use any more.
                    count(&outside.counters.units_dropped, units.len() as u64);
                    units.clear();
                }
                units.push_back(unit.clone());
                return;
            }
            Phase::Live => {}
        }
        if self.queued_bytes > MAX_QUEUED_BYTES {
            count(&outside.counters.units_dropped, 1);
            self.video.queue.clear();
            self.queued_bytes = 0;
            self.phase = Phase::WaitingForKey;
            return;
        }
        let Some(payloads) = payloads() else {
            return;
        };
        self.phase = Phase::Live;
        let timestamp = self
            .video
            .timeline
            .live(unit.pts, unit.discontinuity || restarts, outside.us(now));
        let bytes = self
            .video
            .push(&payloads, timestamp, outside.seen_at(unit, now), Some(unit.received_us));
        self.queued_bytes += bytes;
        count(&outside.counters.live_units, 1);
    }

    /// Hands over the next audio unit, for viewers that agreed on its codec.
    pub(super) fn push_audio(
        &mut self,
        unit: &Arc<AccessUnit>,
        payloads: &mut dyn FnMut() -> Option<Arc<[Payload]>>,
        outside: &Outside,
        now: Instant,
    ) {
        let Some(audio) = self
            .audio
            .as_mut()
            .filter(|audio| audio.agreed.codec == unit.parameters.codec)
        else {
            return;
        };
        if matches!(self.phase, Phase::Connecting) {
            return;
        }
        let Some(payloads) = payloads() else {
            return;
        };
        let timestamp = audio.timeline.live(unit.pts, unit.discontinuity, outside.us(now));
        audio.push(&payloads, timestamp, outside.seen_at(unit, now), None);
    }

    /// Sends what the pace allows.
    pub(super) fn flush(&mut self, outside: &Outside, cutter: &mut Cutter, now: Instant) {
        if !self.connected || self.end.is_some() {
            return;
        }
        let mut wrote = false;
        let mut ended_units = Vec::new();
        while let Some(packet) = self.audio.as_mut().and_then(|audio| audio.queue.pop_front()) {
            if let Some(audio) = &mut self.audio {
                audio.write(&mut self.rtc, packet);
                wrote = true;
            }
        }
        let now_us = outside.us(now);
        loop {
            if self.video.queue.is_empty() && !self.refill(outside, cutter, now) {
                break;
            }
            let Some(size) = self.video.queue.front().map(|packet| packet.bytes.len()) else {
                continue;
            };
            if !self.pacer.take(size, now_us) {
                break;
            }
            if let Some(packet) = self.video.queue.pop_front() {
                self.queued_bytes = self.queued_bytes.saturating_sub(size);
                ended_units.extend(packet.ends_unit_received_us);
                self.video.write(&mut self.rtc, packet);
                wrote = true;
            }
        }
        if wrote {
            self.advance(outside, now);
            for received_us in ended_units {
                outside.record_delay(received_us);
            }
        }
    }

    /// Takes the next unit of a burst into the queue; false when there is none.
    fn refill(&mut self, outside: &Outside, cutter: &mut Cutter, now: Instant) -> bool {
        let Phase::Bursting(units) = &mut self.phase else {
            return false;
        };
        let Some(unit) = units.pop_front() else {
            self.phase = Phase::Live;
            return false;
        };
        match cutter.cut(&unit) {
            Ok(payloads) => {
                let timestamp = self.video.timeline.burst(outside.us(now));
                self.queued_bytes += self.video.push(&payloads, timestamp, now, None);
                count(&outside.counters.burst_units, 1);
            }
            Err(_) => count(&outside.counters.units_malformed, 1),
        }
        true
    }

    /// Says goodbye (RTCP BYE, DTLS close_notify) so that the viewer notices at once.
    pub(super) fn close(&mut self, outside: &Outside, now: Instant) {
        let rtc = &mut self.rtc;
        let closing = catch_unwind(AssertUnwindSafe(|| rtc.close().is_ok())).unwrap_or(false);
        if closing {
            self.drain(outside, now);
        }
    }

    /// Drives str0m's clock to `now` and sends what it has.
    fn advance(&mut self, outside: &Outside, now: Instant) {
        let rtc = &mut self.rtc;
        match catch_unwind(AssertUnwindSafe(|| rtc.handle_input(Input::Timeout(now)).is_ok())) {
            Ok(true) => self.drain(outside, now),
            Ok(false) | Err(_) => self.finish(End::Failed),
        }
    }

    /// Polls str0m until it has nothing more to say, as its contract demands after every change.
    fn drain(&mut self, outside: &Outside, now: Instant) {
        loop {
            let rtc = &mut self.rtc;
            let polled: Result<Result<Output, RtcError>, _> = catch_unwind(AssertUnwindSafe(|| rtc.poll_output()));
            match polled {
                Ok(Ok(Output::Timeout(at))) => {
                    self.rtc_timeout = at;
                    break;
                }
                Ok(Ok(Output::Transmit(transmit))) => {
                    outside.send(&transmit.contents, transmit.source, transmit.destination);
                }
                Ok(Ok(Output::Event(event))) => self.handle(event, outside, now),
                Ok(Err(_)) | Err(_) => return self.finish(End::Failed),
            }
        }
        if !self.rtc.is_alive() {
            self.finish(End::Left);
        }
    }

    fn handle(&mut self, event: Event, outside: &Outside, now: Instant) {
        match event {
            Event::Connected => {
                self.connected = true;
                self.heard = now;
                self.wish = Some(Wish::Join);
                count(&outside.counters.connected, 1);
            }
            Event::KeyframeRequest(_) => {
                count(&outside.counters.key_requests, 1);
                if matches!(self.phase, Phase::Live) && now >= self.resend_after {
                    self.wish = Some(Wish::Resend);
                }
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => self.finish(End::TimedOut),
            Event::Closed => self.finish(End::Left),
            _ => {}
        }
    }

    fn finish(&mut self, end: End) {
        self.end.get_or_insert(end);
    }
}

impl Outgoing {
    /// Queues one unit; its size in bytes.
    fn push(&mut self, payloads: &[Payload], timestamp: u32, seen_at: Instant, received_us: Option<u64>) -> usize {
        let last = payloads.len().saturating_sub(1);
        for (index, payload) in payloads.iter().enumerate() {
            self.queue.push_back(Packet {
                bytes: payload.bytes.clone(),
                marker: payload.marker,
                timestamp: timestamp.wrapping_add(payload.timestamp_offset),
                seen_at,
                ends_unit_received_us: received_us.filter(|_| index == last),
            });
        }
        payloads.iter().map(|payload| payload.bytes.len()).sum()
    }

    /// Pictures are shown as soon as decoded: what a guard watches is now, and no smoothness is worth being late.
    fn extensions(&self) -> ExtensionValues {
        let at_once = (self.agreed.codec.kind() == TrackKind::Video).then_some(MediaTime::ZERO);
        ExtensionValues {
            play_delay_min: at_once,
            play_delay_max: at_once,
            ..ExtensionValues::default()
        }
    }

    fn write(&mut self, rtc: &mut Rtc, packet: Packet) {
        let sequence = self.sequence;
        self.sequence += 1;
        let mut api = rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(self.agreed.mid, None) else {
            return;
        };
        let payload_type = self.agreed.payload_type;
        let write = RtpWrite::new(
            payload_type,
            sequence.into(),
            packet.timestamp,
            packet.seen_at,
            packet.bytes,
        );
        stream.write_rtp(write.marker(packet.marker).nackable(true).ext_vals(self.extensions()));
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
