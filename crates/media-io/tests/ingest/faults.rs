//! What is wrong with a camera, a network or an address shows in the status and harms nothing else.

use crate::cameras::*;
use media_core::Codec;
use media_core::index::GapCause;
use media_io::ingest::{StreamConfig, StreamState, TransportKind};
use media_io::simulate::{Fault, SimulatorSettings, SourceUnit};
use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

#[test]
fn lost_packets_are_counted_and_no_broken_unit_comes_through() {
    for transport in [TransportKind::Tcp, TransportKind::Udp] {
        let (simulator, port) = camera();
        simulator
            .set_fault(
                0,
                Fault {
                    drop_ratio: 0.03,
                    ..Fault::default()
                },
            )
            .unwrap();
        let viewing = watch(port, transport);
        let status = viewing.status_when("loss", |status| status.rtp_lost > 5 && status.discarded_units > 0);
        assert_eq!(status.state, StreamState::Online);
        let sent: HashSet<&[u8]> = clip().1.iter().map(|unit| &unit.data[..]).collect();
        let video = viewing.after_units(0, 60);
        // A unit is whole, or lacks parameter sets or messages in front of its slices that nothing could tell of.
        let broken = video.iter().filter(|unit| !sent.contains(&unit.data[..])).count();
        assert!(
            broken <= 1,
            "{broken} of {} units differ from what was sent",
            video.len()
        );
        let told: u32 = video.iter().map(|unit| unit.lost_packets).sum();
        assert!(told > 0, "units tell of the loss before them");
        viewing.stop();
    }
}

#[test]
fn after_a_disconnection_the_stream_comes_back_within_two_seconds() {
    let (simulator, port) = camera_with(SimulatorSettings::default(), &[small_clip()]);
    let viewing = watch(port, TransportKind::Tcp);
    viewing.after_units(0, 10);
    let cut = Instant::now();
    simulator
        .set_fault(
            0,
            Fault {
                disconnect: true,
                ..Fault::default()
            },
        )
        .unwrap();
    let before = viewing.units(0).len();
    let units = wait_for("a second session", || {
        let units = viewing.units(0);
        (units.iter().filter(|unit| unit.discontinuity).count() == 2).then_some(units)
    });
    assert!(cut.elapsed() < Duration::from_secs(2), "{:?}", cut.elapsed());
    assert!(units.len() > before);
    assert_eq!(viewing.collector.interrupts.load(Ordering::Relaxed), 1);
    assert_eq!(*viewing.collector.cause.lock(), Some(GapCause::Network));
    let status = viewing.status_when("frames", |status| status.state == StreamState::Online);
    assert_eq!((status.reconnects, status.reason), (1, None));
    viewing.stop();
}

#[test]
fn a_camera_that_stops_sending_is_lost_after_five_seconds() {
    let (simulator, port) = camera_with(SimulatorSettings::default(), &[small_clip()]);
    let viewing = watch(port, TransportKind::Tcp);
    viewing.after_units(0, 10);
    simulator
        .set_fault(
            0,
            Fault {
                stall_ms: 60_000,
                ..Fault::default()
            },
        )
        .unwrap();
    let stalled = Instant::now();
    let status = viewing.status_when("the loss", |status| status.state == StreamState::Offline);
    assert!(
        (4.5..7.5).contains(&stalled.elapsed().as_secs_f64()),
        "{:?}",
        stalled.elapsed()
    );
    assert!(status.reason.unwrap().contains("no frame for 5 s"));
    assert_eq!(
        (status.fps, status.bitrate_bps, status.codec),
        (0.0, 0, Some(Codec::H264))
    );
    assert_eq!(viewing.collector.interrupts.load(Ordering::Relaxed), 1);
    assert_eq!(*viewing.collector.cause.lock(), Some(GapCause::Camera));
    // Now it is gone altogether: the connection is refused.
    simulator.stop();
    wait_for("the other cause", || {
        (*viewing.collector.cause.lock() == Some(GapCause::Network)).then_some(())
    });
    viewing.stop();
}

#[test]
fn blanks_before_a_message_are_not_kept() {
    // More of them than a connection may keep of anything.
    let answer = [
        b"\r\n".repeat(2 << 20).as_slice(),
        b"RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\n\r\n",
    ]
    .concat();
    let viewing = watch(other_server(answer.leak()), TransportKind::Tcp);
    let status = viewing.status_when("the answer", |status| status.state != StreamState::Connecting);
    assert_eq!(status.state, StreamState::Unauthorized, "{:?}", status.reason);
    viewing.stop();
}

#[test]
fn missing_parameter_sets_are_named() {
    let (simulator, port) = camera_with(SimulatorSettings::default(), &[small_clip()]);
    simulator
        .set_fault(
            0,
            Fault {
                omit_parameter_sets: true,
                ..Fault::default()
            },
        )
        .unwrap();
    let viewing = watch(port, TransportKind::Tcp);
    let status = viewing.status_when("the error", |status| status.state == StreamState::Error);
    assert!(status.reason.unwrap().contains("SPS/PPS"));
    assert!(viewing.units(0).is_empty());
    simulator.set_fault(0, Fault::default()).unwrap();
    viewing.status_when("frames", |status| status.state == StreamState::Online);
}

#[test]
fn corrupt_parameter_sets_are_named() {
    const NAL_SPS: u8 = 7;
    let (tracks, units) = small_clip();
    let mut tracks = tracks.clone();
    // The configuration starts 1, profile, compatibility, level; the SPS follows 8 bytes in. A chroma format that does
    // not exist makes it unreadable.
    let ruin = |sps: &mut [u8]| sps[4..].fill(0);
    let mut configuration = tracks[0].configuration.to_vec();
    let sps_bytes = usize::from(u16::from_be_bytes([configuration[6], configuration[7]]));
    ruin(&mut configuration[8..8 + sps_bytes]);
    tracks[0].configuration = configuration.into();
    let units: Vec<_> = units
        .iter()
        .map(|unit| {
            let mut data = unit.data.to_vec();
            let mut at = 0;
            while at < data.len() {
                let size = u32::from_be_bytes(data[at..at + 4].try_into().unwrap()) as usize;
                let nal = &mut data[at + 4..at + 4 + size];
                if nal[0] & 31 == NAL_SPS {
                    ruin(nal);
                }
                at += 4 + size;
            }
            SourceUnit {
                data: data.into(),
                ..unit.clone()
            }
        })
        .collect();
    let (_simulator, port) = camera_with(SimulatorSettings::default(), &[&(tracks, units)]);
    let viewing = watch(port, TransportKind::Tcp);
    let status = viewing.status_when("the error", |status| status.state == StreamState::Error);
    let reason = status.reason.unwrap();
    assert!(reason.contains("no usable parameter sets"), "{reason}");
    assert!(reason.contains("SPS/PPS: "), "and what is wrong with them: {reason}");
    assert!(viewing.units(0).is_empty());
}

#[test]
fn a_camera_that_offers_sound_alone_is_an_error() {
    let (tracks, units) = clip();
    let video = video_track(clip());
    let sound = tracks.iter().position(|track| track.codec == Codec::Aac).unwrap() as u8;
    let own = units.iter().filter(|unit| unit.track == sound);
    let units = own.map(|unit| SourceUnit {
        track: 0,
        ..unit.clone()
    });
    assert_ne!(video, sound);
    let only_sound = (vec![tracks[usize::from(sound)].clone()], units.collect());
    let (_simulator, port) = camera_with(SimulatorSettings::default(), &[&only_sound]);
    let viewing = watch(port, TransportKind::Tcp);
    let status = viewing.status_when("the error", |status| status.state != StreamState::Connecting);
    assert_eq!(status.state, StreamState::Error);
    assert!(status.reason.unwrap().contains("offers no video"));
}

#[test]
fn a_host_that_swallows_connections_is_given_up_after_five_seconds() {
    // A queue of one that nobody accepts from: once it is full, the kernel drops what else comes, as a firewall does.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket
        .bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let _first = std::net::TcpStream::connect(address).unwrap();
    let asked = Instant::now();
    let viewing = Viewing::of(format!("rtsp://{address}/"), TransportKind::Tcp, None);
    let status = viewing.status_when("the time-out", |status| status.state != StreamState::Connecting);
    assert!(
        (4.5..7.5).contains(&asked.elapsed().as_secs_f64()),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(status.state, StreamState::Offline);
    assert!(status.reason.unwrap().contains("does not answer"));
}

#[test]
fn a_jump_of_the_cameras_clock_is_a_discontinuity() {
    let (simulator, port) = camera_with(SimulatorSettings::default(), &[small_clip()]);
    let viewing = watch(port, TransportKind::Tcp);
    viewing.after_units(0, 10);
    simulator
        .set_fault(
            0,
            Fault {
                clock_jump_ms: -60_000,
                ..Fault::default()
            },
        )
        .unwrap();
    let units = wait_for("the jump", || {
        let units = viewing.units(0);
        (units.iter().filter(|unit| unit.discontinuity).count() == 2).then_some(units)
    });
    assert!(
        units.windows(2).all(|pair| pair[1].utc_us > pair[0].utc_us),
        "server time goes on"
    );
    assert_eq!(viewing.handle.status().reconnects, 0);
    viewing.stop();
}

#[test]
fn corrupt_packets_do_not_end_the_stream() {
    let (simulator, port) = camera_with(SimulatorSettings::default(), &[small_clip()]);
    simulator
        .set_fault(
            0,
            Fault {
                corrupt_ratio: 0.3,
                ..Fault::default()
            },
        )
        .unwrap();
    let viewing = watch(port, TransportKind::Tcp);
    viewing.after_units(0, 40);
    assert_eq!(viewing.handle.status().reconnects, 0);
    viewing.stop();
}

#[test]
fn an_address_that_is_no_camera_says_what_it_is() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cases = [
        (
            format!("rtsp://127.0.0.1:{closed}/"),
            StreamState::Offline,
            "cannot be reached",
        ),
        (
            format!(
                "rtsp://127.0.0.1:{}/",
                other_server(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            ),
            StreamState::Error,
            "not with RTSP",
        ),
        (
            format!("rtsp://127.0.0.1:{}/", other_server(b"SSH-2.0-OpenSSH_9.2\r\n")),
            StreamState::Error,
            "not with RTSP",
        ),
        (
            format!("rtsp://127.0.0.1:{}/", other_server(b"\x16\x03\x01\x00\x00")),
            StreamState::Error,
            "not with RTSP",
        ),
        (
            format!("rtsp://127.0.0.1:{}/", other_server(b"")),
            StreamState::Offline,
            "does not answer OPTIONS",
        ),
        (
            format!("rtsps://127.0.0.1:{}/", other_server(b"RTSP/1.0 400 Bad\r\n\r\n")),
            StreamState::Offline,
            "TLS",
        ),
        ("http://127.0.0.1/".to_owned(), StreamState::Error, "not an RTSP URL"),
    ];
    let viewings: Vec<_> = cases
        .into_iter()
        .map(|(url, state, reason)| (Viewing::of(url, TransportKind::Tcp, None), state, reason))
        .collect();
    for (viewing, state, reason) in viewings {
        let status = viewing.status_when(reason, |status| status.state != StreamState::Connecting);
        assert_eq!(status.state, state, "{reason}");
        assert!(
            status.reason.as_deref().unwrap().contains(reason),
            "{:?}",
            status.reason
        );
        viewing.stop();
    }
}

#[test]
fn a_name_that_stands_for_this_machine_is_not_connected_to() {
    let (_simulator, port) = camera_with(SimulatorSettings::default(), &[small_clip()]);
    for host in ["localhost", "127.0.0.1", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]"] {
        let viewing = Viewing::configured(StreamConfig {
            name: "camera/main".into(),
            url: url(port).replace("127.0.0.1", host),
            transport: TransportKind::Tcp,
            credentials: None,
            allow_local: false,
        });
        let status = viewing.status_when(host, |status| status.state != StreamState::Connecting);
        let reason = status.reason.unwrap_or_default();
        assert_eq!(status.state, StreamState::Error, "{host}: {reason}");
        assert!(reason.contains("an address of the server itself"), "{reason}");
        viewing.stop();
    }
}

#[test]
fn a_path_that_does_not_exist_is_an_error() {
    let (_simulator, port) = camera_with(SimulatorSettings::default(), &[small_clip()]);
    let viewing = Viewing::of(format!("rtsp://127.0.0.1:{port}/nothing"), TransportKind::Tcp, None);
    let status = viewing.status_when("the error", |status| status.state == StreamState::Error);
    assert!(status.reason.unwrap().contains("no stream at"));
}

#[test]
fn stopping_is_quick_whatever_the_camera_does() {
    let (_simulator, port) = camera_with(SimulatorSettings::default(), &[small_clip()]);
    let playing = watch(port, TransportKind::Tcp);
    playing.after_units(0, 1);
    let connecting = Viewing::of(
        format!("rtsp://127.0.0.1:{}/", other_server(b"")),
        TransportKind::Tcp,
        None,
    );
    let waiting = Viewing::of("rtsp://127.0.0.1:1/".to_owned(), TransportKind::Tcp, None);
    waiting.status_when("the first failure", |status| status.state == StreamState::Offline);
    for viewing in [playing, connecting, waiting] {
        let started = Instant::now();
        viewing.stop();
        assert!(started.elapsed() < Duration::from_millis(1500));
    }
}
