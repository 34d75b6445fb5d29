//! Ingest against simulated cameras, healthy and faulty, over loopback sockets. Needs ffmpeg for the footage.
#![allow(clippy::unwrap_used)]

mod footage;

use media_core::{AccessUnit, Codec};
use media_io::clock::SystemClock;
use media_io::hub::{Hub, Sink};
use media_io::ingest::{Credentials, Ingest, IngestHandle, StreamConfig, StreamState, StreamStatus, TransportKind};
use media_io::simulate::{Fault, Scheme, Simulator, SimulatorSettings, SourceUnit};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Keeps what was published.
#[derive(Default)]
struct Collector {
    units: Mutex<Vec<Arc<AccessUnit>>>,
    interrupts: AtomicU64,
}

impl Sink for Collector {
    fn push(&self, unit: &Arc<AccessUnit>) -> bool {
        self.units.lock().push(unit.clone());
        true
    }

    fn interrupt(&self) {
        self.interrupts.fetch_add(1, Ordering::Relaxed);
    }
}

struct Viewing {
    collector: Arc<Collector>,
    handle: IngestHandle,
}

/// Polls until `f` gives something; panics after 15 s with what was waited for.
fn wait_for<R>(what: &str, mut f: impl FnMut() -> Option<R>) -> R {
    let started = Instant::now();
    loop {
        if let Some(found) = f() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(15), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    })
}

impl Viewing {
    fn of(url: String, transport: TransportKind, password: Option<&str>) -> Self {
        let hub = Hub::new("camera/main", 16 << 20);
        let collector = Arc::new(Collector::default());
        hub.attach(collector.clone());
        let credentials = password.map(|password| Credentials {
            username: "admin".into(),
            password: password.into(),
        });
        let config = StreamConfig {
            name: "camera/main".into(),
            url,
            transport,
            credentials,
        };
        Self {
            collector,
            handle: Ingest::start(runtime().handle(), config, hub, SystemClock::new()),
        }
    }

    fn units(&self, track: u8) -> Vec<Arc<AccessUnit>> {
        self.collector
            .units
            .lock()
            .iter()
            .filter(|unit| unit.track == track)
            .cloned()
            .collect()
    }

    /// Waits until so many units of a track are there, and returns them.
    fn after_units(&self, track: u8, count: usize) -> Vec<Arc<AccessUnit>> {
        wait_for("units", || Some(self.units(track)).filter(|units| units.len() >= count))
    }

    fn status_when(&self, what: &str, is: impl Fn(&StreamStatus) -> bool) -> StreamStatus {
        wait_for(what, || Some(self.handle.status()).filter(|status| is(status)))
    }

    fn stop(self) {
        runtime().block_on(self.handle.stop());
    }
}

type Clip = (Vec<media_core::TrackParameters>, Vec<SourceUnit>);

fn encoded(name: &str, arguments: &str) -> Clip {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = footage::encode(directory.path(), name, arguments);
    footage::read(&path, None)
}

/// Two seconds at 25 frames per second with sound, in three slices per picture.
fn clip() -> &'static Clip {
    static CLIP: OnceLock<Clip> = OnceLock::new();
    CLIP.get_or_init(|| {
        encoded(
            "a.mov",
            "-f lavfi -i testsrc=s=320x180:r=25 -f lavfi -i sine=r=16000 -t 2 -pix_fmt yuv420p -c:v libx264 \
             -preset ultrafast -bf 0 -g 25 -b:v 2M -x264-params slices=3:repeat-headers=1 -c:a aac -b:a 32k",
        )
    })
}

/// As `clip`, smaller and without sound.
fn small_clip() -> &'static Clip {
    static CLIP: OnceLock<Clip> = OnceLock::new();
    CLIP.get_or_init(|| {
        encoded(
            "b.mov",
            "-f lavfi -i testsrc=s=160x120:r=25 -t 1 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -bf 0 -g 25 \
             -x264-params repeat-headers=1",
        )
    })
}

fn camera_with(settings: SimulatorSettings, clips: &[&Clip]) -> (Simulator, u16) {
    let simulator = Simulator::new(SimulatorSettings {
        start_spread_ms: 0,
        ..settings
    });
    for (tracks, units) in clips {
        simulator.add_source(tracks.clone(), units).unwrap();
    }
    let port = simulator.start().unwrap();
    (simulator, port)
}

fn camera() -> (Simulator, u16) {
    camera_with(SimulatorSettings::default(), &[clip()])
}

fn url(port: u16) -> String {
    format!("rtsp://127.0.0.1:{port}/cam/0")
}

fn watch(port: u16, transport: TransportKind) -> Viewing {
    Viewing::of(url(port), transport, None)
}

/// The video units are those of the clip, from wherever it was, looping, byte by byte and none missing.
fn assert_looped(units: &[Arc<AccessUnit>], track: u8, clip: &Clip) {
    let source: Vec<&SourceUnit> = clip.1.iter().filter(|unit| unit.track == track).collect();
    let start = source
        .iter()
        .position(|unit| unit.data == units[0].data)
        .expect("the first unit is none of the clip");
    for (n, unit) in units.iter().enumerate() {
        let expected = source[(start + n) % source.len()];
        assert!(
            unit.data == expected.data,
            "unit {n} of track {track} differs from unit {} sent",
            start + n
        );
        assert_eq!(unit.key, expected.key || track != 0, "unit {n}");
    }
}

#[test]
fn over_tcp_every_unit_arrives_as_it_was_sent() {
    let (simulator, port) = camera();
    let viewing = watch(port, TransportKind::Tcp);
    let video = viewing.after_units(0, 60);
    let audio = viewing.after_units(1, 30);
    assert_looped(&video, 0, clip());
    assert_looped(&audio, 1, clip());
    assert_eq!(video.iter().filter(|unit| unit.discontinuity).count(), 1);
    assert!(
        video
            .windows(2)
            .all(|pair| pair[1].pts - pair[0].pts == 3600 && pair[1].dts - pair[0].dts == 3600)
    );
    assert!(
        audio
            .windows(2)
            .filter(|pair| !pair[1].discontinuity)
            .all(|pair| pair[1].pts - pair[0].pts == 1024)
    );
    assert_eq!((video[0].parameters.width, video[0].parameters.height), (320, 180));
    assert_eq!(
        (audio[0].parameters.codec, audio[0].parameters.clock_rate),
        (Codec::Aac, 16_000)
    );
    let status = viewing.status_when("rates", |status| status.bitrate_bps > 0);
    assert_eq!((status.state, status.reason.as_deref()), (StreamState::Online, None));
    assert_eq!(
        (status.codec, status.width, status.height),
        (Some(Codec::H264), 320, 180)
    );
    assert_eq!((status.rtp_lost, status.reconnects, status.discarded_units), (0, 0, 0));
    assert!((20.0..30.0).contains(&status.fps), "{}", status.fps);
    assert!(status.last_frame_us.is_some() && status.units >= 90);
    viewing.stop();
    wait_for("the camera to see the good-bye", || {
        (simulator.stats().clients == 0).then_some(())
    });
}

#[test]
fn over_udp_reordered_and_doubled_packets_do_no_harm() {
    let (simulator, port) = camera();
    simulator
        .set_fault(
            0,
            Fault {
                reorder_ratio: 0.2,
                duplicate_ratio: 0.1,
                ..Fault::default()
            },
        )
        .unwrap();
    let viewing = watch(port, TransportKind::Udp);
    let video = viewing.after_units(0, 60);
    assert_looped(&video, 0, clip());
    assert_looped(&viewing.after_units(1, 20), 1, clip());
    let status = viewing.status_when("reordering", |status| status.rtp_reordered > 0);
    assert_eq!((status.rtp_lost, status.discarded_units), (0, 0));
    viewing.stop();
    wait_for("the camera to see the good-bye", || {
        (simulator.stats().clients == 0).then_some(())
    });
}

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
fn passwords_are_proved_in_every_way_cameras_ask() {
    for scheme in [Scheme::Basic, Scheme::DigestMd5, Scheme::DigestSha256] {
        let credentials = Some(Credentials {
            username: "admin".into(),
            password: "p:\"w".into(),
        });
        let settings = SimulatorSettings {
            credentials,
            scheme,
            ..SimulatorSettings::default()
        };
        let (_simulator, port) = camera_with(settings, &[small_clip()]);
        let right = Viewing::of(url(port), TransportKind::Tcp, Some("p:\"w"));
        right.after_units(0, 5);
        right.stop();
        let wrong = Viewing::of(url(port), TransportKind::Tcp, Some("nonsense"));
        let status = wrong.status_when("refusal", |status| status.state == StreamState::Unauthorized);
        assert!(status.reason.unwrap().contains("refuses the user name or password"));
        let none = Viewing::of(url(port), TransportKind::Tcp, None);
        let status = none.status_when("refusal", |status| status.state == StreamState::Unauthorized);
        assert!(status.reason.unwrap().contains("none is set"));
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
}

#[test]
fn a_change_of_parameters_in_mid_stream_is_followed() {
    let (simulator, port) = camera_with(SimulatorSettings::default(), &[small_clip(), clip()]);
    let viewing = watch(port, TransportKind::Tcp);
    let units = viewing.after_units(0, 10);
    assert!(
        units
            .iter()
            .all(|unit| Arc::ptr_eq(&unit.parameters, &units[0].parameters))
    );
    simulator
        .set_fault(
            0,
            Fault {
                switch_source: Some(1),
                ..Fault::default()
            },
        )
        .unwrap();
    let status = viewing.status_when("the new size", |status| status.width == 320);
    assert_eq!((status.height, status.reconnects), (180, 0));
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

/// Answers the first bytes of every connection with `answer`, and keeps the connection.
fn other_server(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
            open.push(stream);
        }
    });
    port
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
fn a_path_that_does_not_exist_is_an_error() {
    let (_simulator, port) = camera_with(SimulatorSettings::default(), &[small_clip()]);
    let viewing = Viewing::of(format!("rtsp://127.0.0.1:{port}/nothing"), TransportKind::Tcp, None);
    let status = viewing.status_when("the error", |status| status.state == StreamState::Error);
    assert!(status.reason.unwrap().contains("no stream at"));
}

#[test]
fn cameras_with_tls_and_a_certificate_of_their_own_are_received() {
    let certified = rcgen::generate_simple_self_signed(vec!["camera".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let (_simulator, port) = camera_with(SimulatorSettings::default(), &[clip()]);
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = runtime()
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let tls_port = listener.local_addr().unwrap().port();
    runtime().spawn(async move {
        while let Ok((outside, _)) = listener.accept().await {
            let mut outside = acceptor.accept(outside).await.unwrap();
            let mut inside = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    let viewing = Viewing::of(format!("rtsps://127.0.0.1:{tls_port}/cam/0"), TransportKind::Tcp, None);
    assert_looped(&viewing.after_units(0, 30), 0, clip());
    assert_eq!(viewing.handle.status().certificate_sha256.unwrap().len(), 64);
    viewing.stop();
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
