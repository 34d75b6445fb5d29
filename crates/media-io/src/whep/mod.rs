//! Live video to browsers: WHEP sessions over one UDP port for all viewers.
//!
//! ```text
//! hub ──units──▶ feed (one per watched stream: GOP, display order) ──cut once──▶ session (one per viewer) ──▶ socket
//! ```
//!
//! One driver task owns the sockets, all sessions and all feeds, so nothing here is locked per packet. A first
//! datagram finds its session by the ufrag in its STUN request, later ones by their address. str0m does ICE (lite),
//! DTLS, SRTP, retransmission and reports; packets, sequence numbers and timestamps are made here.
//!
//! A viewer starts at the last key frame: the GOP so far is sent as a paced burst (see `timeline` for its timestamps),
//! and what happens meanwhile follows behind it.

mod addresses;
mod datagram;
mod demultiplex;
mod driver;
mod feed;
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod keys;
mod negotiation;
mod offer;
mod outside;
mod pacing;
mod packets;
mod picture;
mod session;
mod stats;
mod timeline;

pub use stats::{DelayStats, WhepStats};

use crate::clock::Clock;
use crate::hub::Hub;
use datagram::DatagramSocket;
use driver::{Command, Driver, OpenSessions};
use media_core::{Error, ErrorKind, Result};
use negotiation::Identity;
use outside::Outside;
use parking_lot::Mutex;
use session::{Origins, Session};
use stats::{Counters, count};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// The name of a session in its URL: 32 hexadecimal digits (128 random bits). Who knows it may end it.
pub type SessionId = String;

/// Bounds of what viewers may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Sessions at a time, connected or connecting.
    pub max_viewers: usize,
}

/// How long `shutdown` waits for the goodbyes to be sent.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(2);
/// A trickle of candidates is some hundred bytes each.
const MAX_FRAGMENT_BYTES: usize = 16 << 10;

/// The WebRTC output of one process.
pub struct Whep {
    identity: Identity,
    limits: Limits,
    bound: Vec<SocketAddr>,
    open: OpenSessions,
    counters: Arc<Counters>,
    commands: UnboundedSender<Command>,
    driver: Mutex<Option<JoinHandle<()>>>,
}

impl Whep {
    /// Binds the UDP sockets (`0.0.0.0:8189`, `[::]:8189`; port 0 takes any) and starts the driver on `runtime`.
    pub fn start(runtime: &Handle, bind: &[SocketAddr], limits: Limits, clock: Arc<dyn Clock>) -> Result<Arc<Self>> {
        let _inside = runtime.enter();
        let sockets = bind
            .iter()
            .map(|address| DatagramSocket::bind(*address))
            .collect::<Result<Vec<_>>>()?;
        let bound = sockets.iter().map(DatagramSocket::local).collect();
        let counters = Arc::new(Counters::default());
        let open = OpenSessions::default();
        let (commands, received) = unbounded_channel();
        let outside = Outside::new(sockets, counters.clone(), clock);
        let driver = Driver::new(outside, received, commands.clone(), open.clone());
        let driver = Mutex::new(Some(runtime.spawn(driver.run())));
        Ok(Arc::new(Self {
            identity: Identity::new()?,
            limits,
            bound,
            open,
            counters,
            commands,
            driver,
        }))
    }

    /// The addresses bound, with their real ports.
    pub fn bound(&self) -> &[SocketAddr] {
        &self.bound
    }

    /// Agrees with a viewer of `hub` on a session: its id and the SDP answer.
    ///
    /// `Malformed`: the offer is no offer to receive video. `Unsupported`: no common codec (the message names both
    /// sides'). `Exhausted`: too many viewers. `Conflict`: the camera has shown nothing yet. `Unavailable`: shut down.
    pub fn open(&self, hub: Arc<Hub>, offer_sdp: &str) -> Result<(SessionId, String)> {
        let opened = self.agree(hub, offer_sdp);
        count(
            if opened.is_ok() {
                &self.counters.opened
            } else {
                &self.counters.refused
            },
            1,
        );
        opened
    }

    fn agree(&self, hub: Arc<Hub>, offer_sdp: &str) -> Result<(SessionId, String)> {
        let Some(video) = hub.parameters(0) else {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("{} has shown nothing yet", hub.name()),
            ));
        };
        let audio = hub.parameters(1);
        let (id, origins) = random_start()?;
        self.reserve(&id)?;
        let now = Instant::now();
        let candidates = addresses::reachable(&self.bound);
        let agreed = self
            .identity
            .agree(hub.name(), offer_sdp, &video, audio.as_deref(), &candidates, now);
        let sent = agreed.and_then(|mut agreed| {
            let answer = std::mem::take(&mut agreed.answer);
            let session = Session::new(id.clone(), hub, agreed, origins, now);
            let gone = |_| Error::new(ErrorKind::Unavailable, "the WebRTC output is shut down");
            self.commands.send(Command::Open(Box::new(session))).map_err(gone)?;
            Ok(answer)
        });
        match sent {
            Ok(answer) => Ok((id, answer)),
            Err(error) => {
                self.open.lock().remove(&id);
                Err(error)
            }
        }
    }

    fn reserve(&self, id: &SessionId) -> Result<()> {
        let mut open = self.open.lock();
        if open.len() >= self.limits.max_viewers {
            let message = format!("{} viewers are connected, the limit", open.len());
            return Err(Error::new(ErrorKind::Exhausted, message));
        }
        open.insert(id.clone());
        Ok(())
    }

    /// Takes a viewer's further candidates (`application/trickle-ice-sdpfrag`, RFC 8840). They are checked for form
    /// only: this side never sends first (ICE lite) and learns a viewer's addresses from its requests.
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
        Ok(())
    }

    /// Ends a session; the viewer is told. `NotFound` when there is none of that id.
    pub fn close(&self, session: &str) -> Result<()> {
        self.known(session)?;
        // A driver that is gone has ended it.
        let _ = self.commands.send(Command::Close(session.to_owned()));
        Ok(())
    }

    /// Ends all sessions that watch `hub` (the camera was removed).
    pub fn close_hub(&self, hub: &Arc<Hub>) {
        let _ = self.commands.send(Command::CloseHub(hub.clone()));
    }

    fn known(&self, session: &str) -> Result<()> {
        if self.open.lock().contains(session) {
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
        self.counters.read(self.viewers() as u64)
    }

    /// Ends all sessions, tells their viewers and gives the port back. Later offers are `Unavailable`.
    pub async fn shutdown(&self) {
        let _ = self.commands.send(Command::Shutdown);
        let driver = self.driver.lock().take();
        if let Some(mut driver) = driver
            && tokio::time::timeout(SHUTDOWN_WITHIN, &mut driver).await.is_err()
        {
            driver.abort();
        }
    }
}

impl Drop for Whep {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Shutdown);
    }
}

/// A new session's name and where its streams begin.
fn random_start() -> Result<(SessionId, Origins)> {
    let mut random = [0u8; 28];
    let failed = |_| Error::new(ErrorKind::Internal, "no random numbers from the system");
    aws_lc_rs::rand::fill(&mut random).map_err(failed)?;
    let (name, rest) = random.split_at(16);
    let id = name.iter().map(|byte| format!("{byte:02x}")).collect();
    let word = |at: usize| u32::from_be_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
    let half = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
    Ok((
        id,
        Origins {
            timestamps: [word(0), word(4)],
            sequences: [half(8), half(10)],
        },
    ))
}

#[cfg(test)]
#[path = "whep_tests.rs"]
mod tests;
