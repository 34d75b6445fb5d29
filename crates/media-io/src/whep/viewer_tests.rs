//! What a viewer on its shard does with units, time and feedback, without a network.

#![allow(clippy::unwrap_used)]

#[path = "viewer_tests/connection.rs"]
mod connection;

use super::*;
use crate::clock::SystemClock;
use crate::whep::batch::Carrier;
use crate::whep::negotiation::AgreedStream;
use crate::whep::packets::Cutter;
use crate::whep::send_method::SendMethod;
use media_core::rtp::feedback::{write_nack, write_picture_loss};
use media_core::rtp::rtcp::{RtcpPacket, parse_compound};
use media_core::srtp::SrtpProfile;
use media_core::{AccessUnit, Codec, TrackParameters};
use std::net::SocketAddr;

const SECOND_US: u64 = 1_000_000;
const VIDEO: u32 = 0x1111;
const REPEATS: u32 = 0x2222;
const AUDIO: u32 = 0x3333;

/// A viewer without a shard, and its other end.
struct Lone {
    viewer: Viewer,
    outside: Outside,
    batch: Batch,
    now_us: u64,
    heard_us: Arc<AtomicU64>,
    theirs_in: SrtpReceiver,
    theirs_out: SrtpSender,
}

fn stream(codec: Codec, clock_rate: u32, ssrc: u32, repeats: Option<(u8, u32)>) -> AgreedStream {
    AgreedStream {
        mid: "0".to_owned(),
        payload_type: 96,
        codec,
        clock_rate,
        ssrc,
        repeats,
        mid_id: Some(4),
        playout_delay_id: Some(5),
        send_time_id: None,
        shown_after_ms: (0, 0),
    }
}

fn lone_with(repeats: Option<(u8, u32)>) -> Lone {
    lone_of(stream(Codec::H264, 90_000, VIDEO, repeats))
}

fn lone_of(video: AgreedStream) -> Lone {
    let profile = SrtpProfile::AeadAes128Gcm;
    let ours = (
        SrtpSender::new(profile, &[1; 16], &[2; 12]).unwrap(),
        SrtpReceiver::new(profile, &[3; 16], &[4; 12]).unwrap(),
    );
    let now_us = 100 * SECOND_US;
    let heard_us = Arc::new(AtomicU64::new(now_us));
    let streams = Streams {
        video: Outgoing::new(video, 1000, u16::MAX, 7),
        audio: Some(Outgoing::new(stream(Codec::PcmA, 8000, AUDIO, None), 5000, 0, 0)),
        cname: "camera".to_owned(),
        ladder: None,
        instants: Arc::default(),
    };
    let path = Path {
        carrier: Carrier::Socket(0),
        source: "127.0.0.1".parse().unwrap(),
        destination: "127.0.0.1:9".parse().unwrap(),
    };
    Lone {
        viewer: Viewer::new(1, path, ours, streams, heard_us.clone()),
        outside: Outside::new(Vec::new(), Arc::default(), SystemClock::new()),
        batch: Batch::new(SendMethod::Batched),
        now_us,
        heard_us,
        theirs_in: SrtpReceiver::new(profile, &[1; 16], &[2; 12]).unwrap(),
        theirs_out: SrtpSender::new(profile, &[3; 16], &[4; 12]).unwrap(),
    }
}

fn lone() -> Lone {
    lone_with(Some((97, REPEATS)))
}

fn cut(index: i64, key: bool, size: usize, codec: Codec) -> Arc<CutUnit> {
    let mut data = (size as u32).to_be_bytes().to_vec();
    data.push(if key { 0x65 } else { 0x41 });
    data.resize(4 + size, 0xff);
    let clock_rate = if codec == Codec::PcmA { 8000 } else { 90_000 };
    let parameters = TrackParameters {
        codec,
        clock_rate,
        configuration: vec![1, 0x4d, 0x40, 0x1f, 0xff, 0xe0, 0].into(),
        width: 0,
        height: 0,
        channels: 1,
        reorder_depth: 0,
        fps_milli: 0,
    };
    let unit = AccessUnit {
        track: u8::from(codec == Codec::PcmA),
        pts: index * i64::from(clock_rate / 30),
        dts: index * i64::from(clock_rate / 30),
        utc_us: 0,
        received_us: 0,
        key,
        discontinuity: false,
        lost_packets: 0,
        data: data.into(),
        parameters: Arc::new(parameters),
    };
    Arc::new(Cutter::default().cut(&unit).unwrap())
}

fn picture(index: i64, key: bool, size: usize) -> Arc<CutUnit> {
    cut(index, key, size, Codec::H264)
}

impl Lone {
    fn with<T>(&mut self, act: impl FnOnce(&mut Viewer, &mut Turn<'_>) -> T) -> T {
        let mut turn = Turn {
            outside: &self.outside,
            batch: &mut self.batch,
            now_us: self.now_us,
        };
        act(&mut self.viewer, &mut turn)
    }

    /// Hands over a unit to a viewer that was just heard.
    fn push(&mut self, unit: &Arc<CutUnit>) {
        let now_us = self.now_us;
        self.heard_us.store(now_us, Ordering::Relaxed);
        self.with(|viewer, turn| viewer.push(unit, now_us, turn));
    }

    /// Starts with nothing and goes live with one small key frame.
    fn live(&mut self) {
        self.viewer.start(&[], self.now_us);
        self.push(&picture(0, true, 100));
        self.sent();
    }

    /// What was sent since the last call, out of its protection.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let read = |datagram: &[u8]| {
            let mut plain = Vec::new();
            if (192..=223).contains(&datagram[1]) {
                self.theirs_in.unprotect_rtcp(datagram, &mut plain).unwrap();
            } else {
                self.theirs_in.unprotect_rtp(datagram, &mut plain).unwrap();
            }
            plain
        };
        let sent = self.batch.datagrams().map(read).collect();
        self.batch.clear();
        sent
    }

    /// Hands feedback to the viewer as its datagram.
    fn hears(&mut self, compound: &[u8]) -> Option<Wish> {
        let mut datagram = Vec::new();
        self.theirs_out.protect_rtcp(compound, &mut datagram).unwrap();
        self.hears_datagram(&datagram)
    }

    fn hears_datagram(&mut self, datagram: &[u8]) -> Option<Wish> {
        let source = self.viewer.path.destination;
        self.hears_from(datagram, source)
    }

    fn hears_from(&mut self, datagram: &[u8], source: SocketAddr) -> Option<Wish> {
        self.with(|viewer, turn| {
            viewer.receive(datagram, source, &mut Vec::new(), turn);
            viewer.take_wish()
        })
    }

    fn counted(&self, of: impl Fn(&crate::whep::WhepStats) -> u64) -> u64 {
        of(&self.outside.counters.read(0))
    }

    /// Whether a request for a key frame after `seconds` is granted; the GOP is sent again if so.
    fn asks_after(&mut self, seconds: u64) -> bool {
        self.now_us += seconds * SECOND_US;
        let mut request = Vec::new();
        write_picture_loss(9, VIDEO, &mut request);
        let granted = self.hears(&request) == Some(Wish::Resend);
        if granted {
            self.viewer.start(&[], self.now_us);
            self.viewer.phase = Phase::Live;
        }
        granted
    }
}

fn sequence(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

fn timestamp(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet[4..8].try_into().unwrap())
}

fn ssrc(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet[8..12].try_into().unwrap())
}

#[test]
fn headers_are_as_agreed() {
    let mut lone = lone();
    lone.viewer.start(&[], lone.now_us);
    lone.push(&picture(0, true, 2000));
    let sent = lone.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sequence(&sent[0]), 0x7fff, "far from the rollover");
    assert_eq!(sequence(&sent[1]), 0x8000);
    for (index, packet) in sent.iter().enumerate() {
        assert_eq!(
            packet[..2],
            [0x90, 96 | (index as u8) << 7],
            "the marker ends the picture"
        );
        assert_eq!((timestamp(packet), ssrc(packet)), (1000, VIDEO));
        // One-byte extensions: playout delay 0 to 0, and the section's name, padded.
        let extensions = [0xbe, 0xde, 0, 2, 5 << 4 | 2, 0, 0, 0, 4 << 4, b'0', 0, 0];
        assert_eq!(packet[12..24], extensions);
    }
    // Once the viewer reports on the stream the name is not needed.
    let mut report = Vec::new();
    let block = rtcp::ReportBlock {
        ssrc: VIDEO,
        ..Default::default()
    };
    rtcp::write_receiver_report(9, &[block], &mut report);
    lone.hears(&report);
    lone.push(&picture(1, false, 100));
    let sent = lone.sent();
    assert_eq!(sent[0][12..20], [0xbe, 0xde, 0, 1, 5 << 4 | 2, 0, 0, 0]);
    assert_eq!(lone.counted(|stats| stats.receiver_reports), 1);
}

#[test]
fn packets_say_when_they_were_sent_unless_they_are_repeated_as_they_were() {
    for repeats in [Some((97, REPEATS)), None] {
        let mut lone = lone_of(AgreedStream {
            send_time_id: Some(6),
            ..stream(Codec::H264, 90_000, VIDEO, repeats)
        });
        lone.live();
        lone.push(&picture(1, false, 3000));
        let protected = |lone: &Lone| lone.batch.datagrams().next().unwrap().to_vec();
        let before = protected(&lone);
        let first = lone.sent();
        lone.now_us += SECOND_US / 2;
        lone.hears(&nack(&[sequence(&first[0])]));
        if repeats.is_none() {
            assert_eq!(protected(&lone), before, "bit by bit");
            assert_ne!(first[0][16], 6 << 4 | 2);
            continue;
        }
        let again = lone.sent();
        let send_time = |packet: &[u8]| {
            assert_eq!(packet[16], 6 << 4 | 2);
            u32::from_be_bytes([0, packet[17], packet[18], packet[19]])
        };
        // 100 s on a clock of 64 s with 18 bits after the point.
        assert_eq!(send_time(&first[0]), 36 << 18);
        assert_eq!(send_time(&again[0]), (36 << 18) + (1 << 17));
        // Playout delay follows, as ever, and so does the payload.
        assert_eq!(again[0][20..24], [5 << 4 | 2, 0, 0, 0]);
        assert_eq!(again[0][24..26], first[0][2..4]);
    }
}

#[test]
fn nothing_is_sent_to_a_viewer_that_cannot_start() {
    let mut lone = lone();
    lone.viewer.start(&[], lone.now_us);
    lone.push(&picture(1, false, 100));
    assert!(lone.sent().is_empty(), "no key frame yet");
    lone.push(&picture(2, true, 100));
    lone.push(&picture(3, false, 100));
    assert_eq!(lone.sent().len(), 2);
    assert!(!lone.viewer.is_waiting());
}

#[test]
fn a_key_frame_is_spread_and_what_follows_keeps_its_order() {
    let mut lone = lone();
    lone.viewer.start(&[], lone.now_us);
    lone.push(&picture(0, true, 200_000));
    lone.push(&picture(1, false, 100));
    let mut sent = lone.sent();
    assert!(sent.len() < 60 && lone.viewer.is_waiting(), "{} at once", sent.len());
    let mut ticks = 0;
    while lone.viewer.is_waiting() {
        lone.now_us += 2000;
        ticks += 1;
        lone.with(|viewer, turn| viewer.flush(turn));
        sent.extend(lone.sent());
    }
    assert!((5..20).contains(&ticks), "{ticks} ticks");
    let numbers: Vec<u16> = sent.iter().map(|packet| sequence(packet)).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
    assert_eq!(timestamp(sent.last().unwrap()), 1000 + 3000);
    assert_eq!(lone.viewer.queued_bytes, 0);
}

/// Pushes pictures until the next would overflow the queue; its index.
fn fill(lone: &mut Lone) -> i64 {
    lone.viewer.start(&[], lone.now_us);
    lone.push(&picture(0, true, 1 << 20));
    let mut index = 1;
    while lone.viewer.queued_bytes <= MAX_QUEUED_BYTES {
        lone.push(&picture(index, false, 1 << 20));
        index += 1;
        assert!(lone.viewer.queued_bytes <= MAX_QUEUED_BYTES + (2 << 20));
    }
    assert_eq!(lone.counted(|stats| stats.units_dropped), 0);
    lone.sent();
    index
}

#[test]
fn a_viewer_that_cannot_keep_up_starts_again_at_a_key_frame() {
    let mut lone = lone();
    let next = fill(&mut lone);
    let queued = lone.viewer.queue.len() as u64;
    lone.push(&picture(next, false, 1 << 20));
    assert_eq!(lone.counted(|stats| stats.units_dropped), queued + 1, "all that waited");
    assert!(!lone.viewer.is_waiting());
    assert_eq!(lone.viewer.take_wish(), None, "the GOP was started within a second");
    lone.now_us += SECOND_US;
    lone.push(&picture(next + 1, false, 100));
    assert!(lone.sent().is_empty(), "nothing to refer to");
    lone.push(&picture(next + 2, true, 100));
    assert_eq!(lone.sent().len(), 1);
}

#[test]
fn a_viewer_that_cannot_keep_up_is_given_the_gop_when_the_next_key_frame_is_far() {
    let mut lone = lone();
    let next = fill(&mut lone);
    lone.now_us += SECOND_US;
    lone.push(&picture(next, false, 1 << 20));
    assert_eq!(lone.viewer.take_wish(), Some(Wish::Resend));
    // And while it waits it may ask.
    let mut request = Vec::new();
    write_picture_loss(9, VIDEO, &mut request);
    assert_eq!(lone.hears(&request), Some(Wish::Resend));
}

#[test]
fn the_key_frame_that_finds_a_full_queue_takes_its_place() {
    let mut lone = lone();
    let next = fill(&mut lone);
    let queued = lone.viewer.queue.len() as u64;
    lone.now_us += SECOND_US;
    lone.push(&picture(next, true, 100));
    assert_eq!(lone.counted(|stats| stats.units_dropped), queued);
    let sent = lone.sent();
    assert_eq!(sent.len(), 1);
    lone.push(&picture(next + 1, false, 100));
    assert_eq!(lone.sent().len(), 1);
}

#[test]
fn a_key_frame_overtakes_the_rest_of_a_burst() {
    let mut lone = lone();
    let gop: Vec<_> = (0..3).map(|index| picture(index, index == 0, 60_000)).collect();
    lone.viewer.start(&gop, lone.now_us);
    lone.with(|viewer, turn| viewer.flush(turn));
    assert!(lone.viewer.is_waiting());
    lone.push(&picture(3, false, 100));
    lone.push(&picture(4, true, 1000));
    assert_eq!(lone.counted(|stats| stats.units_dropped), 3);
    assert!(matches!(&lone.viewer.phase, Phase::Bursting(units) if units.len() == 1));
}

#[test]
fn another_codec_ends_the_session() {
    let mut lone = lone();
    lone.live();
    lone.push(&cut(1, true, 100, Codec::H265));
    assert_eq!(lone.viewer.take_wish(), Some(Wish::Leave(Leave::CodecChanged)));
}

#[test]
fn a_viewer_that_no_key_frame_helps_is_sent_fewer_and_fewer() {
    let mut lone = lone();
    lone.live();
    let granted = (0..130).filter(|_| lone.asks_after(1)).count();
    // After 1, 2, 4, 8, 16, 32, 32, 32 seconds.
    assert!((7..=9).contains(&granted), "{granted} of 130");
    assert!(
        lone.asks_after(120),
        "and the pauses are short again for who has been content for long"
    );
    assert!(!lone.asks_after(0) && lone.asks_after(1) && !lone.asks_after(1));
    let mut elsewhere = Vec::new();
    write_picture_loss(9, AUDIO, &mut elsewhere);
    lone.now_us += 100 * SECOND_US;
    assert_eq!(lone.hears(&elsewhere), None, "sound has no key frames");
}

#[test]
fn a_viewer_that_loses_packets_now_and_then_is_helped_each_time() {
    let mut lone = lone();
    lone.live();
    for _ in 0..30 {
        assert!(lone.asks_after(3));
    }
    // Echoes of what is under way change nothing for the next time.
    assert!(!lone.asks_after(0) && !lone.asks_after(0) && lone.asks_after(3));
}

fn nack(sequences: &[u16]) -> Vec<u8> {
    let mut request = Vec::new();
    write_nack(9, VIDEO, sequences, &mut request);
    request
}

#[test]
fn lost_packets_are_repeated_on_the_stream_for_it() {
    let mut lone = lone();
    lone.live();
    lone.push(&picture(1, false, 3000));
    let sent = lone.sent();
    let lost = sequence(&sent[1]);
    lone.now_us += 50_000;
    lone.hears(&nack(&[lost, lost.wrapping_add(1), lost.wrapping_add(1000)]));
    let repeated = lone.sent();
    assert_eq!(repeated.len(), 2);
    for (number, (repeat, original)) in repeated.iter().zip(&sent[1..]).enumerate() {
        assert_eq!((ssrc(repeat), repeat[1] & 0x7f), (REPEATS, 97));
        assert_eq!(
            (timestamp(repeat), repeat[1] >> 7),
            (timestamp(original), original[1] >> 7)
        );
        assert_eq!(sequence(repeat), 7 + number as u16, "numbers of its own");
        // RFC 4588 §4: the original number, then the payload. The repeat has no name in its header.
        assert_eq!(repeat[20..22], original[2..4]);
        assert_eq!(repeat[22..], original[24..]);
    }
    assert_eq!(lone.counted(|stats| stats.nacked_packets), 3);
    assert_eq!(lone.counted(|stats| stats.retransmissions), 2);
    assert_eq!(lone.counted(|stats| stats.retransmissions_refused), 1);
}

#[test]
fn without_a_stream_for_repeats_the_very_same_packet_comes_again() {
    let mut lone = lone_with(None);
    lone.live();
    lone.push(&picture(1, false, 3000));
    let before: Vec<Vec<u8>> = lone.batch.datagrams().map(<[u8]>::to_vec).collect();
    let lost = sequence(&lone.sent()[1]);
    lone.now_us += 50_000;
    // Though packets sent from now on look different.
    lone.viewer.video.acknowledge();
    lone.hears(&nack(&[lost]));
    let again: Vec<Vec<u8>> = lone.batch.datagrams().map(<[u8]>::to_vec).collect();
    assert_eq!(again, [before[1].clone()], "bit by bit: no key stream is used twice");
}

#[test]
fn hostile_requests_do_not_amplify() {
    let mut lone = lone();
    lone.live();
    let (mut next, mut sent_bytes, mut repeated_bytes) = (0x8000u16, 0, 0);
    for index in 0..300 {
        lone.now_us += 33_000;
        lone.push(&picture(index + 1, false, 6000));
        lone.with(|viewer, turn| viewer.flush(turn));
        let sent = lone.sent();
        next = next.wrapping_add(sent.len() as u16);
        sent_bytes += sent.iter().map(Vec::len).sum::<usize>();
        let everything: Vec<u16> = (0..500).map(|behind| next.wrapping_sub(behind)).collect();
        lone.hears(&nack(&everything));
        repeated_bytes += lone.sent().iter().map(Vec::len).sum::<usize>();
    }
    assert!(repeated_bytes > sent_bytes / 4, "{repeated_bytes} of {sent_bytes}");
    assert!(
        repeated_bytes < sent_bytes / 2 + (700 << 10),
        "{repeated_bytes} of {sent_bytes}"
    );
    assert!(lone.counted(|stats| stats.retransmissions_refused) > 100_000);
}

#[test]
fn who_asks_for_too_much_comes_last_for_a_while() {
    let mut lone = lone();
    lone.live();
    assert!(!lone.viewer.comes_last(lone.now_us));
    let mut pictures = 1..;
    let mut waits = |lone: &mut Lone| {
        lone.push(&picture(pictures.next().unwrap(), false, 100));
        let waits = lone.viewer.is_waiting();
        lone.with(|viewer, turn| viewer.flush(turn));
        assert_eq!(lone.sent().len(), 1, "served all the same");
        waits
    };
    assert!(!waits(&mut lone));
    // An ordinary loss, repaired.
    lone.hears(&nack(&[0x8000]));
    assert_eq!(lone.sent().len(), 1);
    assert!(!waits(&mut lone));
    // Numbers without end: looking for them uses up what the viewer may have.
    let many: Vec<u16> = (0..900).collect();
    for _ in 0..10 {
        lone.hears(&nack(&many));
    }
    assert!(lone.sent().is_empty());
    assert!(waits(&mut lone));
    lone.now_us += LAST_FOR_US;
    assert!(!waits(&mut lone));
}

#[test]
fn who_says_nothing_comes_last_and_is_served() {
    let mut lone = lone();
    lone.live();
    for (silent_us, last) in [(SILENT_US, false), (SILENT_US + 1, true)] {
        lone.heard_us.store(lone.now_us, Ordering::Relaxed);
        lone.now_us += silent_us;
        let now_us = lone.now_us;
        lone.with(|viewer, turn| viewer.push(&picture(1, false, 100), now_us, turn));
        assert_eq!(lone.viewer.is_waiting(), last);
        lone.with(|viewer, turn| viewer.flush(turn));
        assert_eq!(lone.sent().len(), 1);
    }
}

#[test]
fn reports_place_sound_and_picture_on_one_clock() {
    let mut lone = lone();
    lone.viewer.start(&[], lone.now_us);
    lone.with(|viewer, turn| viewer.report(SECOND_US, turn));
    assert!(lone.sent().is_empty(), "nothing to report before the first packet");
    // The picture was seen 80 ms ago, the sound 20 ms ago.
    let (picture, sound) = (picture(0, true, 100), cut(0, true, 160, Codec::PcmA));
    let now_us = lone.now_us;
    lone.with(|viewer, turn| {
        viewer.push(&picture, now_us - 80_000, turn);
        viewer.push(&sound, now_us - 20_000, turn);
    });
    assert_eq!(lone.sent().len(), 2);
    lone.now_us += 100_000;
    lone.with(|viewer, turn| viewer.report(SECOND_US, turn));
    assert_eq!(lone.viewer.report_at_us(), lone.now_us + SECOND_US);
    let sent = lone.sent();
    let [compound] = &sent[..] else {
        panic!("{}", sent.len())
    };
    let reports = parse_compound(compound).unwrap();
    let mut stamps = Vec::new();
    for report in &reports {
        match report {
            RtcpPacket::SenderReport(report) => {
                assert_eq!(report.ntp, lone.outside.ntp(lone.now_us));
                assert_eq!(report.packets, 1);
                stamps.push((report.ssrc, report.rtp_timestamp));
            }
            RtcpPacket::SourceDescription { cname, .. } => assert_eq!(cname, "camera"),
            other => panic!("{other:?}"),
        }
    }
    // The instant of the report is 180 ms after the picture and 120 ms after the sound.
    assert_eq!(stamps, [(VIDEO, 1000 + 16_200), (AUDIO, 5000 + 960)]);
}

#[test]
fn goodbye_names_every_stream() {
    for started in [false, true] {
        let mut lone = lone();
        if started {
            lone.live();
        }
        lone.with(|viewer, turn| viewer.goodbye(turn));
        let sent = lone.sent();
        let packets = parse_compound(&sent[0]).unwrap();
        assert!(matches!(
            packets[0],
            RtcpPacket::SenderReport(_) | RtcpPacket::ReceiverReport { .. }
        ));
        let gone: Vec<u32> = packets
            .iter()
            .filter_map(|packet| match packet {
                RtcpPacket::Goodbye { ssrcs } => Some(ssrcs.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        assert_eq!(gone, [VIDEO, REPEATS, AUDIO]);
    }
}

#[test]
fn only_what_the_viewer_protected_counts() {
    let mut lone = lone();
    lone.live();
    let mut report = Vec::new();
    rtcp::write_receiver_report(9, &[], &mut report);
    let mut datagram = Vec::new();
    lone.theirs_out.protect_rtcp(&report, &mut datagram).unwrap();
    lone.now_us += SECOND_US;
    let before_us = lone.heard_us.load(Ordering::Relaxed);
    for length in 0..datagram.len() {
        lone.hears_datagram(&datagram[..length]);
    }
    for at in 0..datagram.len() {
        let mut forged = datagram.clone();
        forged[at] ^= 1;
        lone.hears_datagram(&forged);
    }
    assert_eq!(lone.heard_us.load(Ordering::Relaxed), before_us);
    assert_eq!(
        lone.counted(|stats| stats.datagrams_malformed),
        2 * datagram.len() as u64
    );
    lone.hears_datagram(&datagram);
    assert_eq!(lone.heard_us.load(Ordering::Relaxed), lone.now_us);
    lone.now_us += SECOND_US;
    lone.hears_datagram(&datagram);
    assert_eq!(
        lone.heard_us.load(Ordering::Relaxed),
        lone.now_us - SECOND_US,
        "a replay"
    );
    assert_eq!(lone.counted(|stats| stats.receiver_reports), 1);
}

/// A path to `port` of 127.0.0.1.
fn path_to(port: u16) -> Path {
    Path {
        carrier: Carrier::Socket(0),
        source: "127.0.0.1".parse().unwrap(),
        destination: SocketAddr::from(([127, 0, 0, 1], port)),
    }
}

/// How long a viewer that moves is sent to: it reports once a second, as `reports` says of its second, the place that it
/// has moved to, and the instant of the last sender report.
fn followed_for_us(reports: impl Fn(u64, SocketAddr, u32) -> (SocketAddr, u32), to_and_fro: bool) -> Option<u64> {
    let mut lone = lone();
    lone.live();
    let moved_us = lone.now_us;
    let mut told = 0;
    for second in 0..20 {
        let place = if to_and_fro { 10 + second % 2 } else { 10 };
        let now_us = lone.now_us;
        lone.viewer.follow(path_to(place as u16), now_us);
        let (source, last_sender_report) = reports(second, lone.viewer.path.destination, told);
        let block = rtcp::ReportBlock {
            ssrc: VIDEO,
            last_sender_report,
            ..Default::default()
        };
        let (mut report, mut datagram) = (Vec::new(), Vec::new());
        rtcp::write_receiver_report(9, &[block], &mut report);
        lone.theirs_out.protect_rtcp(&report, &mut datagram).unwrap();
        lone.hears_from(&datagram, source);
        assert_eq!(lone.heard_us.load(Ordering::Relaxed), now_us, "alive all the time");
        lone.with(|viewer, turn| viewer.report(SECOND_US, turn));
        if lone.viewer.take_wish() == Some(Wish::Leave(Leave::Unproven)) {
            return Some(now_us - moved_us);
        }
        told = lone
            .sent()
            .iter()
            .flat_map(|compound| parse_compound(compound).unwrap())
            .find_map(|packet| match packet {
                RtcpPacket::SenderReport(report) => Some((report.ntp >> 16) as u32),
                _ => None,
            })
            .unwrap();
        lone.now_us += SECOND_US;
    }
    None
}

#[test]
fn a_viewer_that_does_not_report_from_where_it_moved_is_given_up() {
    let old = lone().viewer.path.destination;
    let given_up = Some(PROVEN_WITHIN_US);
    assert_eq!(followed_for_us(|_, here, told| (here, told), false), None);
    assert_eq!(
        followed_for_us(|_, _, told| (old, told), false),
        given_up,
        "from where it was"
    );
    // To and fro: the time that is given does not begin anew, and what came to one place proves nothing of the other.
    assert_eq!(followed_for_us(|_, here, told| (here, told), true), given_up);
}

#[test]
fn a_viewer_that_names_a_strangers_address_cannot_prove_to_be_there() {
    let given_up = Some(PROVEN_WITHIN_US);
    // Its own keys and a forged source, without what went to the stranger.
    assert_eq!(followed_for_us(|_, here, _| (here, 0), false), given_up);
    assert_eq!(
        followed_for_us(|_, here, told| (here, told.wrapping_sub(1)), false),
        given_up
    );
}

#[test]
fn a_viewer_that_stays_where_it_is_need_not_report() {
    let mut lone = lone();
    lone.live();
    for _ in 0..20 {
        lone.now_us += SECOND_US;
        lone.with(|viewer, turn| viewer.report(SECOND_US, turn));
        assert_eq!(lone.viewer.take_wish(), None);
    }
}

/// A viewer for a shard without a network.
pub(crate) fn viewer(key: u64) -> Viewer {
    let mut viewer = lone().viewer;
    viewer.key = key;
    // As one that is heard all the time.
    viewer.heard_us.store(u64::MAX, Ordering::Relaxed);
    viewer
}

/// The same, never heard.
pub(crate) fn silent_viewer(key: u64) -> Viewer {
    let viewer = viewer(key);
    viewer.heard_us.store(0, Ordering::Relaxed);
    viewer
}

/// So much to send that no test is ever done with it.
pub(crate) fn endless_gop() -> Vec<Arc<CutUnit>> {
    (0..8).map(|index| picture(index, index == 0, 1 << 20)).collect()
}

impl Viewer {
    /// Whether nothing of a burst was sent yet.
    pub(crate) fn is_untouched(&self) -> bool {
        matches!(&self.phase, Phase::Bursting(units) if units.len() == 8)
    }
}

#[test]
fn a_live_pictures_timestamp_is_known_by_its_server_time() {
    let mut lone = lone();
    let instants = lone.viewer.instants.clone();
    let taken = |index: i64, key: bool, utc_us: i64| {
        let mut unit = picture(index, key, 100);
        Arc::get_mut(&mut unit).unwrap().utc_us = utc_us;
        unit
    };
    let start_us = 1_750_000_000_000_000;
    // What the viewer begins with is stamped as it is sent: that says nothing of when it was taken.
    lone.viewer.start(&[taken(0, true, start_us)], lone.now_us);
    lone.with(|viewer, turn| viewer.flush(turn));
    assert!(!lone.sent().is_empty());
    assert_eq!(instants.offset(), None);
    // Another stream or a jump of the camera's clock moves the offset; it is right for every picture.
    for (index, jump) in [(1, 0), (2, 0), (3, 90_000), (4, 90_000)] {
        lone.now_us += 33_333;
        let utc_us = start_us + index * 33_333;
        lone.push(&taken(index + jump, false, utc_us));
        let sent = lone.sent();
        let expected = ((utc_us * 9 / 100) as u32).wrapping_add(instants.offset().unwrap());
        assert_eq!(timestamp(sent.last().unwrap()), expected, "{index}");
    }
}
