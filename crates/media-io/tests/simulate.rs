//! Simulated cameras as their clients see them, over real sockets.
#![allow(clippy::unwrap_used)]

mod viewer;

use bytes::Bytes;
use media_core::rtp::packet::RtpPacket;
use media_core::rtp::rtcp::{RtcpPacket, parse_compound, write_receiver_report};
use media_core::stamp::{Stamp, find_stamp};
use media_core::{Codec, ErrorKind, TrackParameters};
use media_io::simulate::{Credentials, Fault, Scheme, Simulator, SimulatorSettings, SourceUnit};
use std::io::{Read, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use viewer::Viewer;

/// Sequence number, RTP timestamp and payload length of a received packet.
type Packet = (u16, u32, usize);

const AVCC: &[u8] = &[1, 0x64, 0, 0x28, 0xff, 0xe1, 0, 3, 0x67, 1, 2, 1, 0, 2, 0x68, 3];

fn parameters(codec: Codec) -> TrackParameters {
    TrackParameters {
        codec,
        clock_rate: 90_000,
        configuration: if codec == Codec::H264 {
            Bytes::from_static(AVCC)
        } else {
            Bytes::new()
        },
        width: 0,
        height: 0,
        channels: 0,
        reorder_depth: 0,
        fps_milli: 0,
    }
}

/// 100 pictures a second of `size_bytes` each.
fn pictures(size_bytes: usize) -> Vec<SourceUnit> {
    let picture = |n: i64| {
        let mut data = (size_bytes as u32).to_be_bytes().to_vec();
        data.extend(vec![if n == 0 { 0x65 } else { 0x41 }; size_bytes]);
        SourceUnit {
            track: 0,
            pts: n * 900,
            dts: n * 900,
            key: n == 0,
            data: data.into(),
        }
    };
    (0..50).map(picture).collect()
}

fn simulator(settings: SimulatorSettings, size_bytes: usize) -> (Simulator, u16) {
    let simulator = Simulator::new(SimulatorSettings {
        start_spread_ms: 0,
        ..settings
    });
    simulator
        .add_source(vec![parameters(Codec::H264)], &pictures(size_bytes))
        .unwrap();
    let port = simulator.start().unwrap();
    (simulator, port)
}

fn cameras(count: usize) -> SimulatorSettings {
    SimulatorSettings {
        cameras: count,
        ..SimulatorSettings::default()
    }
}

#[test]
fn frames_come_at_their_pace_after_a_report() {
    for packet_writes in [false, true] {
        let (simulator, port) = simulator(
            SimulatorSettings {
                packet_writes,
                ..cameras(1)
            },
            3000,
        );
        let mut viewer = Viewer::watch(port, "cam/0");
        let (channel, report) = viewer.next_packet().unwrap();
        assert_eq!(channel, 1, "the report comes before the first frame");
        let RtcpPacket::SenderReport(report) = parse_compound(&report).unwrap().remove(0) else {
            panic!()
        };
        let begin = Instant::now();
        let mut first = None;
        let mut frames = 0u32;
        while frames < 100 {
            let (channel, packet) = viewer.next_packet().unwrap();
            let rtp = RtpPacket::parse(&packet).unwrap();
            let (sequence, timestamp) = *first.get_or_insert((rtp.header.sequence, rtp.header.timestamp));
            assert_eq!(
                (channel, rtp.header.timestamp),
                (0, timestamp.wrapping_add(frames * 900))
            );
            assert_eq!(timestamp, report.rtp_timestamp, "report and pictures show one clock");
            if rtp.header.marker {
                frames += 1;
                assert_eq!(rtp.header.sequence.wrapping_sub(sequence) as u32 + 1, frames * 3);
            }
        }
        let elapsed_ms = begin.elapsed().as_millis();
        assert!(
            (980..1500).contains(&elapsed_ms),
            "99 intervals of 10 ms took {elapsed_ms} ms"
        );
        assert_eq!(simulator.stats().clients, 1);
        assert_eq!(viewer.ask("TEARDOWN", "", &[]).status, 200);
        wait_until(|| simulator.stats().clients == 0);
        simulator.stop();
        viewer.read_to_the_end(Duration::from_secs(5));
    }
}

#[test]
fn udp_brings_the_same_frames() {
    let (_simulator, port) = simulator(cameras(1), 3000);
    let mut viewer = Viewer::connect(port, "cam/0");
    let ports = viewer.set_up_udp(0);
    viewer.play();
    let mut datagram = [0; 2048];
    let length = ports.rtcp.recv(&mut datagram).unwrap();
    let reports = parse_compound(&datagram[..length]).unwrap();
    assert!(matches!(reports[0], RtcpPacket::SenderReport(_)));
    let mut expected = None;
    for _ in 0..90 {
        let length = ports.rtp.recv(&mut datagram).unwrap();
        let sequence = RtpPacket::parse(&datagram[..length]).unwrap().header.sequence;
        assert_eq!(*expected.get_or_insert(sequence), sequence);
        expected = Some(sequence.wrapping_add(1));
    }
}

#[test]
fn a_client_that_does_not_read_delays_nobody_and_gets_only_whole_frames() {
    // 100 frames of 400 kB a second fill every buffer on the way within a fraction of a second.
    let (simulator, port) = simulator(cameras(2), 400_000);
    let mut asleep = Viewer::watch(port, "cam/0");
    let mut awake = Viewer::watch(port, "cam/1");
    let mut frames = 0;
    let mut lost = 0;
    let mut last_sequence = None;
    while simulator.stats().frames_dropped < 50 || frames < 100 {
        let (channel, packet) = awake.next_packet().unwrap();
        let rtp = RtpPacket::parse(&packet).unwrap();
        if channel == 0 {
            frames += usize::from(rtp.header.marker);
            let expected = *last_sequence.get_or_insert(rtp.header.sequence);
            lost += usize::from(rtp.header.sequence != expected);
            last_sequence = Some(rtp.header.sequence.wrapping_add(1));
        }
        assert!(frames < 3000, "nothing was dropped for the sleeper");
    }
    assert_eq!(lost, 0, "the reader lost frames because of the sleeper");
    // Every interleaved frame that the sleeper finds is whole, and what is missing is missing in whole frames.
    let mut packets_in_frame = 0;
    let mut gaps = 0;
    let mut last: Option<(u16, bool)> = None;
    while gaps == 0 {
        let (channel, packet) = asleep.next_packet().unwrap();
        if channel != 0 {
            continue;
        }
        let header = RtpPacket::parse(&packet).unwrap().header;
        if let Some((sequence, marker)) = last
            && header.sequence != sequence.wrapping_add(1)
        {
            assert!(marker, "a frame broke off before its last packet");
            gaps += 1;
        }
        last = Some((header.sequence, header.marker));
        packets_in_frame = if header.marker { 0 } else { packets_in_frame + 1 };
        assert!(packets_in_frame < 400_000 / 1398 + 1);
    }
}

#[test]
fn each_client_has_its_own_numbers_and_both_streams_are_there() {
    let (simulator, port) = simulator(cameras(3), 1000);
    simulator
        .add_source(vec![parameters(Codec::H264)], &pictures(500))
        .unwrap();
    simulator.map_sources(2, 0, 1).unwrap();
    let sizes = |path: &str| {
        let mut viewer = Viewer::watch(port, path);
        let packet = loop {
            match viewer.next_packet().unwrap() {
                (0, packet) => break packet,
                _ => continue,
            }
        };
        let rtp = RtpPacket::parse(&packet).unwrap();
        (rtp.payload.len(), rtp.header.ssrc)
    };
    let found = ["cam/2", "cam/2", "cam/2/sub", "cam/1", "cam/0/sub"].map(sizes);
    assert_eq!(found.map(|f| f.0), [1000, 1000, 500, 500, 1000]);
    assert!(
        (1..5).all(|n| found[..n].iter().all(|other| other.1 != found[n].1)),
        "sources repeat"
    );
    for path in ["cam/3", "cam/x", "cam", "", "cam/0/other", "cam/0/sub/more"] {
        assert_eq!(
            Viewer::connect(port, path).ask("DESCRIBE", "", &[]).status,
            404,
            "{path}"
        );
    }
    for (camera, main, sub) in [(3, 0, 0), (0, 2, 0), (0, 0, 2)] {
        assert_eq!(
            simulator.map_sources(camera, main, sub).unwrap_err().kind(),
            ErrorKind::Invalid
        );
    }
}

#[test]
fn passwords_are_asked_for_and_a_camera_can_refuse_them_all() {
    for scheme in [Scheme::Basic, Scheme::DigestMd5, Scheme::DigestSha256] {
        let credentials = Some(Credentials {
            username: "viewer".into(),
            password: "secret".into(),
        });
        let (simulator, port) = simulator(
            SimulatorSettings {
                credentials,
                scheme,
                ..cameras(2)
            },
            1000,
        );
        let mut viewer = Viewer::connect(port, "cam/0");
        assert!(viewer.log_in("viewer", "wrong"));
        assert_eq!(viewer.ask("DESCRIBE", "", &[]).status, 401);
        assert!(viewer.log_in("viewer", "secret"));
        assert_eq!(viewer.ask("DESCRIBE", "", &[]).status, 200);
        simulator
            .set_fault(
                0,
                Fault {
                    unauthorized: true,
                    ..Fault::default()
                },
            )
            .unwrap();
        wait_until(|| viewer.ask("DESCRIBE", "", &[]).status == 401);
        let mut other = Viewer::connect(port, "cam/1");
        assert!(other.log_in("viewer", "secret") && other.ask("DESCRIBE", "", &[]).status == 200);
        simulator.set_fault(0, Fault::default()).unwrap();
        wait_until(|| viewer.ask("DESCRIBE", "", &[]).status == 200);
    }
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(5), "nothing changed");
        std::thread::yield_now();
    }
}

#[test]
fn connections_are_cut_on_demand_and_when_the_codec_changes() {
    let (simulator, port) = simulator(cameras(2), 1000);
    let h265: Vec<SourceUnit> = pictures(1000);
    simulator.add_source(vec![parameters(Codec::H265)], &h265).unwrap();
    for fault in [
        Fault {
            disconnect: true,
            ..Fault::default()
        },
        Fault {
            switch_source: Some(1),
            ..Fault::default()
        },
    ] {
        let mut viewer = Viewer::watch(port, "cam/0");
        let _ = viewer.next_packet().unwrap();
        simulator.set_fault(0, fault).unwrap();
        viewer.read_to_the_end(Duration::from_secs(5));
    }
    let described = Viewer::connect(port, "cam/0").describe();
    assert_eq!(
        described.medias[0].formats[0].encoding.to_ascii_uppercase(),
        "H265",
        "the new source is described"
    );
    let unknown = simulator.set_fault(
        0,
        Fault {
            switch_source: Some(2),
            ..Fault::default()
        },
    );
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        simulator.set_fault(2, Fault::default()).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn a_stalled_camera_is_silent_and_comes_back() {
    let (simulator, port) = simulator(cameras(1), 1000);
    let mut viewer = Viewer::watch(port, "cam/0");
    let mut last: Option<(u16, u32)> = None;
    loop {
        let (channel, packet) = viewer.next_packet().unwrap();
        if channel != 0 {
            continue;
        }
        let header = RtpPacket::parse(&packet).unwrap().header;
        match last {
            None => simulator
                .set_fault(
                    0,
                    Fault {
                        stall_ms: 400,
                        ..Fault::default()
                    },
                )
                .unwrap(),
            Some((sequence, timestamp)) => {
                assert_eq!(header.sequence, sequence.wrapping_add(1), "no packet was lost");
                let step = header.timestamp.wrapping_sub(timestamp);
                if step != 900 {
                    assert!((39 * 900..=43 * 900).contains(&step) && step % 900 == 0, "{step}");
                    break;
                }
            }
        }
        last = Some((header.sequence, header.timestamp));
    }
}

#[test]
fn silent_sessions_are_closed_and_reports_keep_them_open() {
    let settings = SimulatorSettings {
        session_timeout_s: 1,
        ..cameras(1)
    };
    let (_simulator, port) = simulator(settings, 1000);
    let begin = Instant::now();
    let mut silent = Viewer::watch(port, "cam/0");
    let mut tcp = Viewer::watch(port, "cam/0");
    let mut udp = Viewer::connect(port, "cam/0");
    let ports = udp.set_up_udp(0);
    udp.play();
    let (_, server) = ports.rtcp.recv_from(&mut [0; 2048]).unwrap();
    let mut report = vec![b'$', 1, 0, 8];
    write_receiver_report(7, &[], &mut report);
    while begin.elapsed() < Duration::from_millis(2600) {
        tcp.stream.write_all(&report).unwrap();
        ports.rtcp.send_to(&report[4..], server).unwrap();
        (0..20).for_each(|_| assert!(tcp.next_packet().is_some(), "closed in spite of its reports"));
    }
    silent.read_to_the_end(Duration::from_secs(5));
    assert_eq!(
        udp.ask("GET_PARAMETER", "", &[]).status,
        200,
        "closed in spite of its reports"
    );
}

#[test]
fn noise_gets_400_and_the_port_is_free_after_stop() {
    let (simulator, port) = simulator(cameras(1), 1000);
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(b"\x16\x03\x01\x02\x00 hello").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(
        answer.starts_with(b"RTSP/1.0 400 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert_eq!(simulator.start().unwrap_err().kind(), ErrorKind::Conflict);
    let second = Simulator::new(SimulatorSettings { port, ..cameras(1) });
    assert!(second.start().is_err(), "the port is taken");
    simulator.stop();
    assert_eq!(
        simulator.set_fault(0, Fault::default()).unwrap_err().kind(),
        ErrorKind::Conflict
    );
    assert_eq!(second.start().unwrap(), port);
}

/// The stamp of the next whole picture.
fn next_stamp(viewer: &mut Viewer) -> Stamp {
    loop {
        let (channel, packet) = viewer.next_packet().unwrap();
        if channel == 0 {
            let payload = RtpPacket::parse(&packet).unwrap().payload.to_vec();
            let unit = [&(payload.len() as u32).to_be_bytes()[..], &payload].concat();
            if let Some(stamp) = find_stamp(&unit, Codec::H264) {
                return stamp;
            }
        }
    }
}

#[test]
fn stamps_count_on_over_reconnections_and_tell_when_a_picture_was_sent() {
    let (_simulator, port) = simulator(
        SimulatorSettings {
            stamp: true,
            ..cameras(1)
        },
        1000,
    );
    let mut last = None;
    for _ in 0..20 {
        let mut viewer = Viewer::watch(port, "cam/0");
        for number in 0..3 {
            let stamp = next_stamp(&mut viewer);
            let now_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
            assert!(stamp.sent_us <= now_us && now_us - stamp.sent_us < 2_000_000);
            if let Some(last) = last {
                assert!(stamp.frame > last, "{} after {last}", stamp.frame);
                assert!(number == 0 || stamp.frame == last + 1);
            }
            last = Some(stamp.frame);
        }
    }
}

#[test]
fn faults_reach_clients_in_mid_stream_and_go_away() {
    let (simulator, port) = simulator(cameras(1), 1000);
    simulator
        .add_source(vec![parameters(Codec::H264)], &pictures(500))
        .unwrap();
    let mut viewer = Viewer::watch(port, "cam/0");
    let mut next = || loop {
        let (channel, packet) = viewer.next_packet().unwrap();
        if channel == 0 {
            let rtp = RtpPacket::parse(&packet).unwrap();
            return (rtp.header.sequence, rtp.header.timestamp, rtp.payload.len());
        }
    };
    let mut last = next();
    let mut until = |seen: &mut dyn FnMut(Packet, Packet) -> bool| {
        for _ in 0..300 {
            let now = next();
            let found = seen(last, now);
            last = now;
            if found {
                return;
            }
        }
        panic!("the fault does not show");
    };
    simulator
        .set_fault(
            0,
            Fault {
                switch_source: Some(1),
                ..Fault::default()
            },
        )
        .unwrap();
    until(&mut |before, now| {
        assert_eq!(
            (now.0, now.1),
            (before.0.wrapping_add(1), before.1.wrapping_add(900)),
            "the change is seamless"
        );
        now.2 == 500
    });
    simulator.set_fault(0, Fault::default()).unwrap();
    until(&mut |_, now| now.2 == 1000);
    simulator
        .set_fault(
            0,
            Fault {
                clock_jump_ms: 5000,
                ..Fault::default()
            },
        )
        .unwrap();
    until(&mut |before, now| now.1.wrapping_sub(before.1) == 900 + 450_000);
    simulator
        .set_fault(
            0,
            Fault {
                drop_ratio: 0.5,
                ..Fault::default()
            },
        )
        .unwrap();
    until(&mut |before, now| now.0 != before.0.wrapping_add(1));
    simulator
        .set_fault(
            0,
            Fault {
                omit_parameter_sets: true,
                ..Fault::default()
            },
        )
        .unwrap();
    wait_until(|| {
        let described = Viewer::connect(port, "cam/0").describe();
        described.medias[0].formats[0]
            .parameter("sprop-parameter-sets")
            .is_none()
    });
}
