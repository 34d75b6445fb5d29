//! Simulated cameras: an RTSP server that shows looped clips with true frame timing, for tests, demos and load.
//!
//! One thread serves everything. Clips are cut into packets once; a frame for a client is a copy of its packets with
//! that client's numbers set, sent with one write. Paths: `/cam/N` (and `/cam/N/sub`).

mod clip;
mod connection;
mod fault;
mod player;
mod random;
mod server;
mod udp;

pub use clip::SourceUnit;
pub use fault::Fault;
pub use media_core::rtsp::digest::Credentials;
pub use media_core::rtsp::server::Scheme;

use crate::clock::{Clock, SystemClock};
use clip::Clip;
use media_core::{Error, ErrorKind, Result, TrackParameters};
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::UnboundedSender;

/// How the cameras behave.
#[derive(Debug, Clone)]
pub struct SimulatorSettings {
    /// Address or name to listen on.
    pub host: String,
    /// RTSP port; 0 for any.
    pub port: u16,
    /// Number of cameras.
    pub cameras: usize,
    /// Who may look; none: everybody.
    pub credentials: Option<Credentials>,
    /// How clients prove it.
    pub scheme: Scheme,
    /// Put an SEI with the frame's number and send time before every picture.
    pub stamp: bool,
    /// Write packet by packet instead of once per frame (TCP), as some cameras do.
    pub packet_writes: bool,
    /// Phases and faults come again with the same seed.
    pub seed: u64,
    /// A client's clip starts up to so long after PLAY, so that key frames of many cameras do not coincide.
    pub start_spread_ms: u64,
    /// Sessions silent for so long are closed.
    pub session_timeout_s: u32,
}

impl Default for SimulatorSettings {
    /// One open camera on a free port of 127.0.0.1.
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 0,
            cameras: 1,
            credentials: None,
            scheme: Scheme::DigestMd5,
            stamp: false,
            packet_writes: false,
            seed: 1,
            start_spread_ms: 500,
            session_timeout_s: 60,
        }
    }
}

/// Counters since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SimulatorStats {
    /// Clients that play now.
    pub clients: u64,
    /// Frames handed to sockets.
    pub frames_sent: u64,
    /// Bytes handed to sockets.
    pub bytes_sent: u64,
    /// Frames sent more than 10 ms after they were due.
    pub frames_late: u64,
    /// Frames dropped because a client did not read.
    pub frames_dropped: u64,
}

#[derive(Debug, Default)]
struct Counters {
    clients: AtomicU64,
    frames_sent: AtomicU64,
    bytes_sent: AtomicU64,
    frames_late: AtomicU64,
    frames_dropped: AtomicU64,
}

/// Which sources a camera shows.
#[derive(Debug, Clone, Copy)]
struct CameraSources {
    main: usize,
    sub: usize,
}

#[derive(Default)]
struct Sources {
    clips: Vec<Arc<Clip>>,
    mapped: Vec<Option<CameraSources>>,
}

impl Sources {
    /// What camera `camera` shows: as mapped, else source `camera` modulo the number of sources.
    fn of_camera(&self, camera: usize, sub: bool) -> Option<Arc<Clip>> {
        let own = camera.checked_rem(self.clips.len())?;
        let sources = self
            .mapped
            .get(camera)
            .copied()
            .flatten()
            .unwrap_or(CameraSources { main: own, sub: own });
        self.clips.get(if sub { sources.sub } else { sources.main }).cloned()
    }
}

enum Command {
    SetFault(usize, Fault),
    Stop,
}

struct Running {
    thread: std::thread::JoinHandle<()>,
    commands: UnboundedSender<Command>,
}

/// An RTSP server of simulated cameras. Path `/cam/N` shows source N modulo the number of sources.
pub struct Simulator {
    settings: SimulatorSettings,
    sources: Arc<RwLock<Sources>>,
    counters: Arc<Counters>,
    running: Mutex<Option<Running>>,
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

impl Simulator {
    /// Cameras that are not listening yet.
    pub fn new(settings: SimulatorSettings) -> Self {
        let mapped = vec![None; settings.cameras];
        Self {
            settings,
            sources: Arc::new(RwLock::new(Sources {
                clips: Vec::new(),
                mapped,
            })),
            counters: Arc::default(),
            running: Mutex::new(None),
        }
    }

    /// Adds a looped clip: its tracks and its units in sending order. Returns its number. May be called while running.
    /// Invalid or malformed when the units do not fit their tracks or codecs.
    pub fn add_source(&self, tracks: Vec<TrackParameters>, units: &[SourceUnit]) -> Result<usize> {
        let clip = Clip::new(tracks, units)?;
        clip.description("check", 0, true)?;
        let mut sources = self.sources.write();
        sources.clips.push(Arc::new(clip));
        Ok(sources.clips.len() - 1)
    }

    /// Lets `camera` show source `main` on `/cam/N` and source `sub` on `/cam/N/sub` from the next client on.
    pub fn map_sources(&self, camera: usize, main: usize, sub: usize) -> Result<()> {
        let mut sources = self.sources.write();
        let known = sources.clips.len();
        let Some(mapped) = sources.mapped.get_mut(camera) else {
            return Err(invalid(format!("camera {camera} does not exist")));
        };
        if main >= known || sub >= known {
            return Err(invalid(format!(
                "camera {camera}: sources {main} and {sub}, but there are {known}"
            )));
        }
        *mapped = Some(CameraSources { main, sub });
        Ok(())
    }

    /// Starts listening and returns the bound port. Unavailable or forbidden when the port cannot be had.
    pub fn start(&self) -> Result<u16> {
        let mut running = self.running.lock();
        if running.is_some() {
            return Err(Error::new(ErrorKind::Conflict, "the simulator is running already"));
        }
        let SimulatorSettings { host, port, .. } = &self.settings;
        let within = |e: std::io::Error| Error::from(e).within(format!("simulator on {host}:{port}"));
        let addresses: Vec<SocketAddr> = (host.as_str(), *port).to_socket_addrs().map_err(within)?.collect();
        let listener = TcpListener::bind(&addresses[..]).map_err(within)?;
        listener.set_nonblocking(true).map_err(within)?;
        let address = listener.local_addr().map_err(within)?;
        let udp = udp::bind_pair(address.ip())?;
        let (commands, received) = tokio::sync::mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(within)?;
        let clock: Arc<dyn Clock> = SystemClock::new();
        let (settings, sources) = (self.settings.clone(), Arc::clone(&self.sources));
        let counters = Arc::clone(&self.counters);
        let serve = move || {
            let local = tokio::task::LocalSet::new();
            let served = local.block_on(&runtime, async {
                let server = server::Server::new(settings, sources, counters, clock, udp);
                server.run(listener, received).await
            });
            if let Err(error) = served {
                tracing::error!(%error, "simulated cameras stopped");
            }
        };
        let thread = std::thread::Builder::new()
            .name("simulator".into())
            .spawn(serve)
            .map_err(within)?;
        *running = Some(Running { thread, commands });
        Ok(address.port())
    }

    /// Replaces the faults of a camera. Not found for an unknown camera or source; conflict when not running.
    pub fn set_fault(&self, camera: usize, fault: Fault) -> Result<()> {
        if camera >= self.settings.cameras {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("camera {camera} does not exist"),
            ));
        }
        if let Some(source) = fault.switch_source
            && source >= self.sources.read().clips.len()
        {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("source {source} does not exist"),
            ));
        }
        let running = self.running.lock();
        let sent = running
            .as_ref()
            .is_some_and(|r| r.commands.send(Command::SetFault(camera, fault)).is_ok());
        if sent {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::Conflict, "the simulator is not running"))
        }
    }

    /// Counters since the start.
    pub fn stats(&self) -> SimulatorStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters {
            clients,
            frames_sent,
            bytes_sent,
            frames_late,
            frames_dropped,
        } = &*self.counters;
        SimulatorStats {
            clients: of(clients),
            frames_sent: of(frames_sent),
            bytes_sent: of(bytes_sent),
            frames_late: of(frames_late),
            frames_dropped: of(frames_dropped),
        }
    }

    /// Closes every connection and the port. Nothing happens when not running.
    pub fn stop(&self) {
        if let Some(Running { thread, commands }) = self.running.lock().take() {
            let _ = commands.send(Command::Stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop();
    }
}
