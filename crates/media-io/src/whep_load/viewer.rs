//! One viewer: its ICE and DTLS by str0m, its packets counted here.

use super::delay::stamp_in;
use super::formats::Formats;
use super::hostile::Hostility;
use super::reception::{Reception, Totals};
use super::signalling::unix_us;
use crate::whep::keys::Dtls;
use media_core::rtp::feedback::write_nack;
use media_core::rtp::rtcp::{
    RtcpPacket, parse_compound, write_goodbye, write_receiver_report, write_source_description,
};
use media_core::srtp::{SrtpReceiver, SrtpSender};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use str0m::net::{Protocol, Receive};
use str0m::{Event, Input, Output, Rtc};
use url::Url;

const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Packets of a picture that are searched for the camera's stamp: delimiter, parameter sets and stamp come first.
const STAMP_WITHIN: u8 = 4;

/// How a viewer behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Watching,
    Stalled,
    Hostile,
}

/// What all viewers share while they are served in turn.
pub(super) struct Surroundings {
    pub(super) nack: bool,
    /// Of 2³² arriving packets, so many are thrown away.
    pub(super) lose: u32,
    pub(super) tallies: Tallies,
    /// Whether pictures sent by the camera now are of the window.
    pub(super) window_from_us: u64,
    random: u64,
    clear: Vec<u8>,
    out: Vec<u8>,
    wanted: Vec<u16>,
}

/// Sums over all viewers.
#[derive(Debug, Clone, Default)]
pub(super) struct Tallies {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) retransmitted: u64,
    pub(super) thrown_away: u64,
    pub(super) hostile_datagrams: u64,
    pub(super) delays_us: Vec<u32>,
    pub(super) joining_delays_us: Vec<u32>,
}

impl Surroundings {
    pub(super) fn new(nack: bool, lose_percent: f64) -> Self {
        Self {
            nack,
            lose: (lose_percent / 100.0 * f64::from(u32::MAX)) as u32,
            tallies: Tallies::default(),
            window_from_us: u64::MAX,
            random: unix_us() | 1,
            clear: Vec::with_capacity(2048),
            out: Vec::with_capacity(2048),
            wanted: Vec::new(),
        }
    }

    /// The next of a sequence that looks random (xorshift).
    pub(super) fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn loses(&mut self) -> bool {
        self.lose > 0 && (self.random() >> 32) as u32 <= self.lose
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting,
    Connected,
    Gone,
}

/// A viewer that has its answer.
pub(super) struct Viewer {
    pub(super) role: Role,
    pub(super) session: Url,
    pub(super) socket: UdpSocket,
    /// From the offer's POST to the first video packet.
    pub(super) time_to_first_packet_us: Option<u32>,
    /// Whether it reads the camera's stamps.
    pub(super) sampled: bool,
    pub(super) profile: Option<&'static str>,
    state: State,
    local: SocketAddr,
    /// None for a stalled viewer, once connected.
    rtc: Option<Rtc>,
    dtls: Dtls,
    formats: Formats,
    posted_us: u64,
    connected_us: u64,
    peer: Option<SocketAddr>,
    srtp: Option<(SrtpSender, SrtpReceiver)>,
    ssrc: u32,
    video_ssrc: u32,
    video: Reception,
    audio: Reception,
    picture_packets: u8,
    /// Middle of the NTP time of the last sender report, and when it came.
    sender_report: Option<(u32, Instant)>,
    rtc_wake: Instant,
    report_at: Instant,
    hostility: Hostility,
}

impl Viewer {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        number: usize,
        role: Role,
        session: Url,
        socket: UdpSocket,
        local: SocketAddr,
        (rtc, dtls): (Rtc, Dtls),
        formats: Formats,
        posted_us: u64,
    ) -> Self {
        let now = Instant::now();
        Self {
            role,
            session,
            socket,
            time_to_first_packet_us: None,
            sampled: false,
            profile: None,
            state: State::Connecting,
            local,
            rtc: Some(rtc),
            dtls,
            formats,
            posted_us,
            connected_us: 0,
            peer: None,
            srtp: None,
            ssrc: 0x4c4f_0000 + number as u32,
            video_ssrc: 0,
            video: Reception::default(),
            audio: Reception::default(),
            picture_packets: 0,
            sender_report: None,
            rtc_wake: now,
            report_at: now + REPORT_EVERY,
            hostility: Hostility::default(),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    pub(super) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// Totals of both streams.
    pub(super) fn totals(&self) -> Totals {
        let (video, audio) = (self.video.totals(), self.audio.totals());
        Totals {
            expected: video.expected + audio.expected,
            received: video.received + audio.received,
            repaired: video.repaired + audio.repaired,
            duplicates: video.duplicates + audio.duplicates,
        }
    }

    /// From now on `owed` is about the packets sent so far.
    pub(super) fn mark(&mut self) {
        self.video.mark();
        self.audio.mark();
    }

    /// Of the packets sent before the mark, those that have not come until now.
    pub(super) fn owed(&self) -> u64 {
        self.video.owed() + self.audio.owed()
    }

    /// When `tick` is wanted next; None for never.
    pub(super) fn wake_at(&self, nack: bool) -> Option<Instant> {
        if self.is_gone() || self.rtc.is_none() {
            return None;
        }
        let mut at = self.rtc_wake;
        match self.role {
            Role::Watching if self.srtp.is_some() => {
                at = at.min(self.report_at);
                if let Some(request_at) = self
                    .video
                    .next_request()
                    .filter(|_| nack && self.formats.repair.is_some())
                {
                    at = at.min(request_at);
                }
            }
            Role::Hostile if self.srtp.is_some() => at = at.min(self.hostility.next_at()),
            _ => {}
        }
        Some(at)
    }

    /// Takes one datagram. `arrived_us`: µs since the Unix epoch.
    pub(super) fn receive(
        &mut self,
        datagram: &[u8],
        source: Option<SocketAddr>,
        arrived_us: u64,
        now: Instant,
        around: &mut Surroundings,
    ) {
        match datagram {
            [128..=191, second, ..] if (192..=223).contains(second) => self.rtcp(datagram, now, around),
            [128..=191, ..] if datagram.len() >= 12 => match self.role {
                Role::Watching if around.loses() => around.tallies.thrown_away += 1,
                Role::Watching => self.rtp(datagram, arrived_us, now, around),
                Role::Hostile if datagram[1] & 0x7f == self.formats.video => self.hostility.see(datagram),
                Role::Hostile | Role::Stalled => {}
            },
            _ => self.handshake(datagram, source, now),
        }
    }

    fn handshake(&mut self, datagram: &[u8], source: Option<SocketAddr>, now: Instant) {
        let (Some(rtc), Some(source)) = (self.rtc.as_mut(), source) else {
            return;
        };
        if let Ok(receive) = Receive::new(Protocol::Udp, source, self.local, datagram) {
            let _ = rtc.handle_input(Input::Receive(now, receive));
        }
        self.drain(now);
    }

    fn rtp(&mut self, packet: &[u8], arrived_us: u64, now: Instant, around: &mut Surroundings) {
        let (marker, payload_type) = (packet[1] & 0x80 != 0, packet[1] & 0x7f);
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        if payload_type == self.formats.video {
            around.tallies.packets += 1;
            around.tallies.bytes += packet.len() as u64;
            if self.time_to_first_packet_us.is_none() {
                self.time_to_first_packet_us = Some(arrived_us.saturating_sub(self.posted_us) as u32);
                self.video_ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
            }
            self.video.packet(sequence, now);
            let timestamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
            if self.picture_packets == 0 {
                self.video.arrival(timestamp, (arrived_us * 9 / 100) as i64);
            }
            if self.sampled && self.picture_packets < STAMP_WITHIN {
                self.look_for_stamp(packet, arrived_us, around);
            }
            self.picture_packets = if marker {
                0
            } else {
                self.picture_packets.saturating_add(1)
            };
        } else if Some(payload_type) == self.formats.repair {
            around.tallies.retransmitted += 1;
            around.tallies.bytes += packet.len() as u64;
            around.clear.clear();
            if let Some((_, receiver)) = &mut self.srtp
                && receiver.unprotect_rtp(packet, &mut around.clear).is_ok()
                && let Some(payload) = payload_of(&around.clear)
                && let Some(original) = payload.first_chunk::<2>()
            {
                self.video.repair(u16::from_be_bytes(*original));
            }
        } else if Some(payload_type) == self.formats.audio {
            around.tallies.packets += 1;
            around.tallies.bytes += packet.len() as u64;
            self.audio.packet(sequence, now);
        }
    }

    fn look_for_stamp(&mut self, packet: &[u8], arrived_us: u64, around: &mut Surroundings) {
        let Some((_, receiver)) = &mut self.srtp else {
            return;
        };
        around.clear.clear();
        if receiver.unprotect_rtp(packet, &mut around.clear).is_err() {
            return;
        }
        let Some(stamp) = payload_of(&around.clear).and_then(|payload| stamp_in(payload, self.formats.codec)) else {
            return;
        };
        self.picture_packets = STAMP_WITHIN;
        let delay_us = arrived_us.saturating_sub(stamp.sent_us).min(u64::from(u32::MAX)) as u32;
        if stamp.sent_us >= around.window_from_us {
            around.tallies.delays_us.push(delay_us);
        } else if stamp.sent_us >= self.connected_us {
            // Pictures from before the connection are the past on purpose: a start at the last key frame.
            around.tallies.joining_delays_us.push(delay_us);
        }
    }

    fn rtcp(&mut self, datagram: &[u8], now: Instant, around: &mut Surroundings) {
        let Some((_, receiver)) = &mut self.srtp else {
            return;
        };
        around.clear.clear();
        if receiver.unprotect_rtcp(datagram, &mut around.clear).is_err() {
            return;
        }
        for packet in parse_compound(&around.clear).unwrap_or_default() {
            match packet {
                RtcpPacket::SenderReport(report) if report.ssrc == self.video_ssrc => {
                    self.sender_report = Some(((report.ntp >> 16) as u32, now));
                }
                RtcpPacket::Goodbye { .. } => self.state = State::Gone,
                _ => {}
            }
        }
    }

    /// Does what is due: ICE, reports, requests for packets, hostilities.
    pub(super) fn tick(&mut self, now: Instant, around: &mut Surroundings) {
        if let Some(rtc) = self.rtc.as_mut()
            && self.rtc_wake <= now
        {
            if rtc.handle_input(Input::Timeout(now)).is_err() {
                self.state = State::Gone;
            }
            self.drain(now);
        }
        if self.state != State::Connected {
            return;
        }
        if self.role == Role::Hostile {
            if let (Some((sender, _)), Some(peer)) = (&mut self.srtp, self.peer) {
                let sent = self.hostility.act(now, sender, self.ssrc, &self.socket, peer, around);
                around.tallies.hostile_datagrams += sent;
            }
            return;
        }
        self.ask_again(now, around);
        if self.report_at <= now {
            self.report_at = now + REPORT_EVERY;
            self.report(now, around);
        }
    }

    /// Asks for missing packets.
    pub(super) fn ask_again(&mut self, now: Instant, around: &mut Surroundings) {
        if !around.nack || self.formats.repair.is_none() {
            return;
        }
        let mut wanted = std::mem::take(&mut around.wanted);
        wanted.clear();
        self.video.requests(now, &mut wanted);
        if !wanted.is_empty() {
            around.clear.clear();
            write_receiver_report(self.ssrc, &[], &mut around.clear);
            write_nack(self.ssrc, self.video_ssrc, &wanted, &mut around.clear);
            self.send_rtcp(around);
        }
        around.wanted = wanted;
    }

    fn report(&mut self, now: Instant, around: &mut Surroundings) {
        let mut block = self.video.block(self.video_ssrc);
        if let Some((middle, at)) = self.sender_report {
            block.last_sender_report = middle;
            block.delay_since_sender_report = (now.duration_since(at).as_secs_f64() * 65_536.0) as u32;
        }
        around.clear.clear();
        write_receiver_report(self.ssrc, &[block], &mut around.clear);
        write_source_description(self.ssrc, "load", &mut around.clear);
        self.send_rtcp(around);
    }

    /// Protects and sends what is in `around.clear`.
    fn send_rtcp(&mut self, around: &mut Surroundings) {
        if let (Some((sender, _)), Some(peer)) = (&mut self.srtp, self.peer) {
            around.out.clear();
            if sender.protect_rtcp(&around.clear, &mut around.out).is_ok() {
                let _ = self.socket.send_to(&around.out, peer);
            }
        }
    }

    /// Says goodbye as far as UDP goes.
    pub(super) fn leave(&mut self, around: &mut Surroundings) {
        around.clear.clear();
        write_receiver_report(self.ssrc, &[], &mut around.clear);
        write_goodbye(self.ssrc, &mut around.clear);
        self.send_rtcp(around);
    }

    /// Polls str0m until it has nothing more to say, as its contract demands after every change.
    fn drain(&mut self, now: Instant) {
        let Some(rtc) = self.rtc.as_mut() else {
            return;
        };
        let mut connected = false;
        loop {
            match rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.rtc_wake = at.max(now + Duration::from_millis(1));
                    break;
                }
                Ok(Output::Transmit(transmit)) => {
                    match transmit.contents.first() {
                        // Its reports: ours use the same keys and count from the first.
                        Some(128..=191) => continue,
                        Some(20..=63) => self.peer = Some(transmit.destination),
                        _ => {}
                    }
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination);
                }
                Ok(Output::Event(Event::Connected)) => connected = true,
                Ok(Output::Event(Event::Closed)) | Err(_) => {
                    self.state = State::Gone;
                    return;
                }
                Ok(Output::Event(_)) => {}
            }
        }
        if !rtc.is_alive() {
            self.state = State::Gone;
        } else if connected && self.state == State::Connecting {
            match self.dtls.srtp() {
                Ok(srtp) => {
                    self.profile = Some(srtp.1.profile().as_str());
                    self.srtp = Some(srtp);
                    self.state = State::Connected;
                    self.connected_us = unix_us();
                    self.report_at = now + REPORT_EVERY;
                    self.hostility = Hostility::starting(now);
                    if self.role == Role::Stalled {
                        self.rtc = None;
                    }
                }
                Err(_) => self.state = State::Gone,
            }
        }
    }
}

/// The payload of a packet in clear, without contributing sources, extension and padding.
fn payload_of(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let mut at = 12 + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let words = packet.get(at + 2..at + 4)?;
        at += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    let padding = if first & 0x20 != 0 {
        usize::from(*packet.last()?)
    } else {
        0
    };
    packet.get(at..packet.len().checked_sub(padding)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn payloads_lie_between_extension_and_padding() {
        let mut packet = vec![0x80; 12];
        packet.extend_from_slice(b"abc");
        assert_eq!(payload_of(&packet), Some(&b"abc"[..]));
        let mut long = vec![0x80; 12];
        long[0] = 0xb1;
        long.extend_from_slice(&[0, 0, 0, 7, 0xbe, 0xde, 0, 1, 0, 0, 0, 0]);
        long.extend_from_slice(b"abc\x00\x02");
        assert_eq!(payload_of(&long), Some(&b"abc"[..]));
        for length in 0..20 {
            assert_eq!(payload_of(&long[..length]), None, "{length}");
        }
    }
}
