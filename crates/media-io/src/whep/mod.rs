//! Live video to browsers: WHEP sessions over one UDP port for all viewers, and over TCP where no UDP gets through.
//!
//! ```text
//! hub ──units──▶ feed (GOP, display order, cut once) ──▶ viewer: header + SRTP ──▶ batch ──sendmmsg, GSO──▶ socket
//!                └───────────────────── shard, a thread ─────────────────────────────────┘                 │
//!                          ▲ connected viewers, their RTCP                                                  │
//! reception, a task: ICE, DTLS (str0m) ◀──────────────────────────datagrams─────────────────────────────────┘
//! ```
//!
//! The reception reads the sockets. A first datagram finds its session by the ufrag in its STUN request, later ones by
//! their address. str0m does SDP, ICE (lite) and DTLS until a viewer is connected; its keys are taken from the
//! handshake (`keys`), its state is dropped, and a shard gets the viewer. From then on the reception answers ICE
//! requests (`consent`), which are also what proves a viewer to be alive and where it is.
//!
//! A TCP connection (`listener`) is one more way for the same datagrams: what it brings goes to the reception, and what a
//! shard sends goes into an outbox that the connection's own task writes. A viewer that reads slowly is held back like
//! one whose pace is used up.
//!
//! Shards send. A unit is cut into RTP payloads once per shard; per viewer there is a header, one SRTP protection into
//! a batch (`outgoing`), and, for a whole picture, most often one message to the kernel (`batch`). Retransmissions
//! (`retransmission`), reports and requests for key frames are answered by the shard too. Nothing is locked and nothing
//! is allocated per packet, and no viewer has a timer or a wakeup of its own.
//!
//! Sound that browsers do not take (AAC) reaches the feeds as Opus, by worker processes (`transcoding`).
//!
//! A viewer starts at the last key frame: the GOP so far is sent as a paced burst (see `timeline` for its timestamps),
//! and what happens meanwhile follows behind it.

mod adaptation;
mod addresses;
mod batch;
mod candidates;
mod connections;
mod consent;
mod datagram;
mod demultiplex;
mod departures;
mod doorbell;
mod feed;
mod framing;
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod instants;
pub(crate) mod keys;
mod ladder;
mod listener;
mod load;
mod negotiation;
mod offer;
mod opening;
mod outgoing;
mod outside;
mod pacing;
mod packets;
mod picture;
mod reception;
mod retransmission;
mod send_method;
mod session;
mod shard;
mod stats;
mod timeline;
mod transcoding;
mod viewer;

pub use candidates::{NoPublicAddress, PublicAddress};
pub use send_method::SendMethod;
pub use stats::{DelayStats, WhepStats};

use crate::clock::Clock;
use crate::hub::Hub;
use connections::Connections;
use datagram::DatagramSocket;
use doorbell::Doorbell;
use listener::{Admission, Listener};
use media_core::{Error, ErrorKind, Result};
use negotiation::Identity;
use outside::Outside;
use parking_lot::Mutex;
use reception::{Command, OpenSessions, Reception};
use shard::Shard;
use stats::{Counters, count};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, JoinSet};
use transcoding::Transcoders;

/// The name of a session in its URL: 32 hexadecimal digits (128 random bits). Who knows it may end it.
pub type SessionId = String;

/// Bounds of what viewers may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Sessions at a time, connected or connecting.
    pub max_viewers: usize,
}

/// Where viewers come to. Port 0 takes any.
#[derive(Debug, Clone, Default)]
pub struct Listen {
    /// UDP sockets: `0.0.0.0:8189`, `[::]:8189`.
    pub udp: Vec<SocketAddr>,
    /// TCP ports, for viewers whose network lets no UDP through.
    pub tcp: Vec<SocketAddr>,
    /// Where routers forward to them from.
    pub public: Vec<PublicAddress>,
}

impl Listen {
    /// UDP `port`, and TCP `tcp_port` unless that is 0, on every address of the machine: IPv4, and IPv6 where the machine
    /// has it.
    pub fn everywhere(port: u16, tcp_port: u16) -> Self {
        let mut families = vec![IpAddr::from(Ipv4Addr::UNSPECIFIED)];
        match addresses::try_ipv6() {
            Ok(()) => families.push(Ipv6Addr::UNSPECIFIED.into()),
            Err(error) => tracing::info!(%error, "this machine has no IPv6; live video goes by IPv4 only"),
        }
        let at = |port| families.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        Self {
            udp: at(port),
            tcp: if tcp_port == 0 { Vec::new() } else { at(tcp_port) },
            public: Vec::new(),
        }
    }
}

/// How viewers are served. The default finds out what the machine can do.
#[derive(Debug, Clone, Copy, Default)]
pub struct SendPath {
    /// Threads that serve viewers; None: one per core, four at most.
    pub shards: Option<usize>,
    /// How datagrams are handed to the kernel; None: the best that it does.
    pub method: Option<SendMethod>,
}

/// More shards than this only help machines that serve nothing but viewers.
const MAX_DEFAULT_SHARDS: usize = 4;
/// How long `shutdown` waits for the goodbyes to be sent.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(2);
/// Datagrams that came by TCP and wait for the reception; then their connections wait.
const ARRIVALS: usize = 256;
/// A trickle of candidates is some hundred bytes each.
const MAX_FRAGMENT_BYTES: usize = 16 << 10;

/// The WebRTC output of one process.
pub struct Whep {
    identity: Identity,
    limits: Limits,
    bound: Vec<SocketAddr>,
    bound_tcp: Vec<SocketAddr>,
    connections: Arc<Connections>,
    public: Vec<PublicAddress>,
    open: OpenSessions,
    counters: Arc<Counters>,
    commands: UnboundedSender<Command>,
    transcoders: Arc<Transcoders>,
    running: Mutex<Option<Running>>,
    shards: usize,
    method: SendMethod,
}

/// What `shutdown` waits for.
struct Running {
    reception: JoinHandle<()>,
    /// Closed when every shard has ended.
    shards: Receiver<()>,
    listeners: JoinSet<()>,
}

impl Whep {
    /// Binds the UDP sockets (`0.0.0.0:8189`, `[::]:8189`; port 0 takes any), starts the reception on `runtime` and the
    /// shards on threads of their own.
    pub fn start(runtime: &Handle, bind: &[SocketAddr], limits: Limits, clock: Arc<dyn Clock>) -> Result<Arc<Self>> {
        let listen = Listen {
            udp: bind.to_vec(),
            ..Listen::default()
        };
        Self::start_with(runtime, &listen, limits, clock, SendPath::default())
    }

    /// `start` with everything that can be chosen about how viewers come and are served.
    pub fn start_with(
        runtime: &Handle,
        listen: &Listen,
        limits: Limits,
        clock: Arc<dyn Clock>,
        send_path: SendPath,
    ) -> Result<Arc<Self>> {
        Self::start_as(Identity::new()?, runtime, listen, limits, clock, send_path)
    }

    fn start_as(
        identity: Identity,
        runtime: &Handle,
        listen: &Listen,
        limits: Limits,
        clock: Arc<dyn Clock>,
        send_path: SendPath,
    ) -> Result<Arc<Self>> {
        let _inside = runtime.enter();
        let sockets = listen
            .udp
            .iter()
            .map(|address| DatagramSocket::bind(*address))
            .collect::<Result<Vec<_>>>()?;
        let bound = sockets.iter().map(DatagramSocket::local).collect();
        let listeners = listen.tcp.iter().map(|address| Listener::bind(*address));
        let listeners = listeners.collect::<Result<Vec<_>>>()?;
        let bound_tcp: Vec<SocketAddr> = listeners.iter().map(Listener::local).collect();
        let method = send_path.method.unwrap_or_else(SendMethod::find);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = send_path.shards.unwrap_or(cores.min(MAX_DEFAULT_SHARDS)).max(1);
        tracing::info!(?bound, ?bound_tcp, shards, method = method.as_str(), "WebRTC output");
        let counters = Arc::new(Counters::default());
        let open = OpenSessions::default();
        let (commands, received) = unbounded_channel();
        let transcoders = Transcoders::new(runtime.clone(), counters.clone());
        let outside = Arc::new(Outside::new(sockets, counters.clone(), clock));
        let (ended, all_ended) = tokio::sync::mpsc::channel(1);
        let started = (0..shards)
            .map(|number| {
                Shard::start(
                    number,
                    outside.clone(),
                    transcoders.clone(),
                    method,
                    commands.clone(),
                    ended.clone(),
                )
            })
            .collect::<Result<Vec<_>>>()?;
        let hmac = identity.sha1_hmac();
        let connections = outside.connections.clone();
        let (arrived, arrivals) = tokio::sync::mpsc::channel(ARRIVALS);
        let admission = Admission {
            connections: connections.clone(),
            counters: counters.clone(),
            arrived,
            max: max_connections(limits),
        };
        let mut listening = JoinSet::new();
        for listener in listeners {
            listening.spawn_on(listener.run(admission.clone()), runtime);
        }
        let doorbell = Doorbell::hang(&outside.sockets)?;
        let reception = Reception::new(outside, hmac, received, arrivals, open.clone(), started);
        let running = Running {
            reception: runtime.spawn(reception.run(doorbell)),
            shards: all_ended,
            listeners: listening,
        };
        Ok(Arc::new(Self {
            identity,
            limits,
            bound,
            bound_tcp,
            connections,
            public: listen.public.clone(),
            open,
            counters,
            commands,
            transcoders,
            running: Mutex::new(Some(running)),
            shards,
            method,
        }))
    }

    /// Makes Opus of cameras' AAC by worker processes: `command` is their program and its arguments (see
    /// `transcoding::worker` for what is said to it). Without one, viewers of such cameras hear nothing.
    pub fn transcode_with(&self, command: Vec<String>) {
        self.transcoders.use_command(command);
    }

    /// The addresses bound, with their real ports.
    pub fn bound(&self) -> &[SocketAddr] {
        &self.bound
    }

    /// The TCP addresses listened at, with their real ports.
    pub fn bound_tcp(&self) -> &[SocketAddr] {
        &self.bound_tcp
    }

    /// Agrees with a viewer of `hub` on a session: its id and the SDP answer.
    ///
    /// `Malformed`: the offer is no offer to receive video. `Unsupported`: no common codec (the message names both
    /// sides'). `Exhausted`: too many viewers. `Conflict`: the camera has shown nothing yet. `Unavailable`: shut down.
    pub fn open(&self, hub: Arc<Hub>, offer_sdp: &str) -> Result<(SessionId, String)> {
        self.counted(self.agree(hub, None, offer_sdp))
    }

    /// `open` for whichever of a camera's two streams suits the viewer's path and its tile of `tile_height_px` device
    /// pixels (None: as large as can be), now and later. Where they are of different codecs, for the one that suits at
    /// first and that the viewer takes: a stream of a codec that was not agreed on does not take over.
    pub fn open_adaptive(
        &self,
        main: Arc<Hub>,
        sub: Arc<Hub>,
        tile_height_px: Option<u32>,
        offer_sdp: &str,
    ) -> Result<(SessionId, String)> {
        self.counted(self.agree(main, Some((sub, tile_height_px)), offer_sdp))
    }

    fn counted<T>(&self, opened: Result<T>) -> Result<T> {
        let counter = match opened {
            Ok(_) => &self.counters.opened,
            Err(_) => &self.counters.refused,
        };
        count(counter, 1);
        opened
    }

    /// Takes a viewer's further candidates (`application/trickle-ice-sdpfrag`, RFC 8840). They are checked for form
    /// only: this side never sends first (ICE lite) and learns a viewer's addresses from its requests.
    ///
    /// `Malformed`: no fragment. `Unsupported`: an ICE restart (RFC 9725 §4.3.3), the viewer has to open a new session.
    /// `NotFound`: no such session.
    pub fn patch(&self, session: &str, fragment: &str) -> Result<()> {
        self.known(session)?;
        if fragment.len() > MAX_FRAGMENT_BYTES {
            return Err(Error::malformed(format!("SDP fragment of {} bytes", fragment.len())));
        }
        for (index, line) in fragment
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .enumerate()
        {
            if line.as_bytes().get(1) != Some(&b'=') {
                return Err(Error::malformed(format!(
                    "SDP fragment, line {}: not of the form x=…",
                    index + 1
                )));
            }
        }
        let open = self.open.lock();
        let offered = open.get(session).map(|open| open.ufrags.as_slice()).unwrap_or_default();
        if let Some(other) = ice_ufrags(fragment).find(|ufrag| offered.iter().all(|known| known != ufrag)) {
            let message = format!("ICE restart (ufrag {other:.40}): close this session and open a new one instead");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Ok(())
    }

    /// A viewer's tile is so many device pixels high now. Without effect on a session of one fixed stream. `NotFound`
    /// when there is none of that id.
    pub fn resize(&self, session: &str, tile_height_px: u32) -> Result<()> {
        self.known(session)?;
        // A reception that is gone has ended it.
        let _ = self.commands.send(Command::Resize(session.to_owned(), tile_height_px));
        Ok(())
    }

    /// What makes the RTP timestamp of a live picture in a session of its server time: ⌊µs × 9 / 100⌋ + this, modulo 2³².
    /// It changes where the stream does and where the camera's clock jumps; None before the first live picture.
    /// `NotFound` when there is no session of that id.
    pub fn rtp_offset(&self, session: &str) -> Result<Option<u32>> {
        self.known(session)?;
        Ok(self.open.lock().get(session).and_then(|open| open.instants.offset()))
    }

    /// Ends a session; the viewer is told. `NotFound` when there is none of that id.
    pub fn close(&self, session: &str) -> Result<()> {
        self.known(session)?;
        // A reception that is gone has ended it.
        let _ = self.commands.send(Command::Close(session.to_owned()));
        Ok(())
    }

    /// Ends all sessions that watch `hub` (it was removed); those that have another stream of the camera go on with it.
    pub fn close_hub(&self, hub: &Arc<Hub>) {
        let _ = self.commands.send(Command::CloseHub(hub.clone()));
    }

    fn known(&self, session: &str) -> Result<()> {
        if self.open.lock().contains_key(session) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::NotFound,
            format!("no WebRTC session {session:.40}"),
        ))
    }

    /// Sessions open now, connected or connecting.
    pub fn viewers(&self) -> usize {
        self.open.lock().len()
    }

    /// All counters.
    pub fn stats(&self) -> WhepStats {
        WhepStats {
            shards: self.shards as u64,
            send_method: self.method.as_str(),
            tcp_connections: self.connections.len() as u64,
            ..self.counters.read(self.viewers() as u64)
        }
    }

    /// Ends all sessions, tells their viewers and gives the port back. Later offers are `Unavailable`.
    pub async fn shutdown(&self) {
        let _ = self.commands.send(Command::Shutdown);
        self.transcoders.stop();
        let running = self.running.lock().take();
        let Some(Running {
            mut reception,
            mut shards,
            mut listeners,
        }) = running
        else {
            return;
        };
        let ended = async {
            let _ = (&mut reception).await;
            // Nothing is ever sent: the channel closes with the last shard.
            shards.recv().await;
            self.transcoders.stopped().await;
            listeners.shutdown().await;
            while self.connections.len() > 0 {
                self.connections.emptied.notified().await;
            }
        };
        if tokio::time::timeout(SHUTDOWN_WITHIN, ended).await.is_err() {
            reception.abort();
        }
    }
}

impl Drop for Whep {
    fn drop(&mut self) {
        self.transcoders.stop();
        let _ = self.commands.send(Command::Shutdown);
    }
}

/// TCP connections at a time: what viewers need, and never more than half of what the process may open, which belongs to
/// cameras, recordings and pages too.
fn max_connections(limits: Limits) -> usize {
    let mut files = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: getrlimit writes into the one structure that it is given.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut files) } == 0;
    let half = if known { (files.rlim_cur / 2) as usize } else { 512 };
    (2 * limits.max_viewers + 512).min(half)
}

/// The ICE user names in SDP (RFC 8839 §5.4), each once.
fn ice_ufrags(sdp: &str) -> impl Iterator<Item = &str> {
    let names: BTreeSet<&str> = sdp
        .lines()
        .filter_map(|line| line.trim_end().strip_prefix("a=ice-ufrag:"))
        .collect();
    names.into_iter()
}

#[cfg(test)]
#[path = "whep_tests.rs"]
mod tests;
