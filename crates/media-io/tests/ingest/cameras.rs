//! Simulated cameras, and the viewing of one of them.

use crate::footage;
use media_core::AccessUnit;
use media_core::index::GapCause;
use media_io::clock::SystemClock;
use media_io::hub::{Hub, Sink};
use media_io::ingest::{Credentials, Ingest, IngestHandle, StreamConfig, StreamStatus, TransportKind};
use media_io::simulate::{Simulator, SimulatorSettings, SourceUnit};
use parking_lot::Mutex;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Keeps what was published.
#[derive(Default)]
pub struct Collector {
    pub units: Mutex<Vec<Arc<AccessUnit>>>,
    pub interrupts: AtomicU64,
    /// Why, the last time.
    pub cause: Mutex<Option<GapCause>>,
}

impl Sink for Collector {
    fn push(&self, unit: &Arc<AccessUnit>) -> bool {
        self.units.lock().push(unit.clone());
        true
    }

    fn interrupt(&self, cause: GapCause) {
        *self.cause.lock() = Some(cause);
        self.interrupts.fetch_add(1, Ordering::Relaxed);
    }
}

pub struct Viewing {
    pub collector: Arc<Collector>,
    pub handle: IngestHandle,
}

/// Polls until `f` gives something; panics after 15 s with what was waited for.
pub fn wait_for<R>(what: &str, mut f: impl FnMut() -> Option<R>) -> R {
    let started = Instant::now();
    loop {
        if let Some(found) = f() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(15), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn runtime() -> &'static tokio::runtime::Runtime {
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
    pub fn of(url: String, transport: TransportKind, password: Option<&str>) -> Self {
        let credentials = password.map(|password| Credentials {
            username: "admin".into(),
            password: password.into(),
        });
        Self::configured(StreamConfig {
            name: "camera/main".into(),
            url,
            transport,
            credentials,
            allow_local: true,
        })
    }

    pub fn configured(config: StreamConfig) -> Self {
        let hub = Hub::new("camera/main", 16 << 20);
        let collector = Arc::new(Collector::default());
        hub.attach_at_key(collector.clone());
        Self {
            collector,
            handle: Ingest::start(runtime().handle(), config, hub, SystemClock::new()),
        }
    }

    pub fn units(&self, track: u8) -> Vec<Arc<AccessUnit>> {
        self.collector
            .units
            .lock()
            .iter()
            .filter(|unit| unit.track == track)
            .cloned()
            .collect()
    }

    /// Waits until so many units of a track are there, and returns them.
    pub fn after_units(&self, track: u8, count: usize) -> Vec<Arc<AccessUnit>> {
        wait_for("units", || Some(self.units(track)).filter(|units| units.len() >= count))
    }

    pub fn status_when(&self, what: &str, is: impl Fn(&StreamStatus) -> bool) -> StreamStatus {
        wait_for(what, || Some(self.handle.status()).filter(|status| is(status)))
    }

    pub fn stop(self) {
        runtime().block_on(self.handle.stop());
    }
}

pub type Clip = (Vec<media_core::TrackParameters>, Vec<SourceUnit>);

pub fn encoded(name: &str, arguments: &str) -> Clip {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = footage::encode(directory.path(), name, arguments);
    footage::read(&path, None)
}

/// Two seconds at 25 frames per second with sound, in three slices per picture.
pub fn clip() -> &'static Clip {
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
pub fn small_clip() -> &'static Clip {
    static CLIP: OnceLock<Clip> = OnceLock::new();
    CLIP.get_or_init(|| {
        encoded(
            "b.mov",
            "-f lavfi -i testsrc=s=160x120:r=25 -t 1 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -bf 0 -g 25 \
             -x264-params repeat-headers=1",
        )
    })
}

pub fn camera_with(settings: SimulatorSettings, clips: &[&Clip]) -> (Simulator, u16) {
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

pub fn camera() -> (Simulator, u16) {
    camera_with(SimulatorSettings::default(), &[clip()])
}

pub fn url(port: u16) -> String {
    format!("rtsp://127.0.0.1:{port}/cam/0")
}

pub fn watch(port: u16, transport: TransportKind) -> Viewing {
    Viewing::of(url(port), transport, None)
}

/// Number of the clip's video track.
pub fn video_track(clip: &Clip) -> u8 {
    clip.0
        .iter()
        .position(|track| track.codec.kind() == media_core::TrackKind::Video)
        .unwrap() as u8
}

/// The video units are those of the clip, from wherever it was, looping, byte by byte and none missing.
pub fn assert_looped(units: &[Arc<AccessUnit>], track: u8, clip: &Clip) {
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

/// Answers the first bytes of every connection with `answer`, and keeps the connection.
pub fn other_server(answer: &'static [u8]) -> u16 {
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
