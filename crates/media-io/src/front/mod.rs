//! The front: owns the public HTTP port, serves recordings and the web page itself and passes everything else to the
//! application over its Unix socket. It asks the application who may do what and never decides it.
//!
//! A request's way: `listener` (connection, TLS) → `service` (which part answers) → `media`, `files` or `proxy`. What
//! `media` may serve `authorize` says, by a grant in the address or by asking the application. Bytes of recordings and
//! files go through `content` (status, ranges) and `flow` (one blocking thread reads ahead) into the connection.

mod authorize;
mod body;
mod content;
mod counters;
mod expiring;
mod files;
mod flow;
mod grant;
mod instant;
mod listener;
mod media;
mod peer;
mod problem;
mod proxy;
mod ranges;
mod routes;
mod service;
mod stall;
mod tls;
mod upstream;

#[cfg(test)]
mod tests;

pub use counters::{ClassTotals, Counters, ROUTE_CLASSES, RouteClass, Snapshot};
pub use grant::{Claims, GrantKey};
pub use instant::{format_rfc3339_us, parse_rfc3339_us};
pub use routes::{MediaRoutes, Playback};
pub use tls::TlsIdentity;

use crate::clock::Clock;
use listener::{Connections, Lifeline, Phase};
use media_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use service::Service;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// Shorter keys can be guessed.
const GRANT_KEY_BYTES: usize = 16;
/// What a task needs to end once it is told to.
const STOP_TIME: Duration = Duration::from_millis(500);

/// Where the front listens and what it serves.
#[derive(Clone)]
pub struct FrontConfig {
    /// Name or address to listen on; `::` means every address of both families.
    pub host: String,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Unix socket of the application, which speaks HTTP/1.1. It need not exist yet.
    pub upstream_socket: PathBuf,
    /// Folder of the built web page.
    pub static_dir: Option<PathBuf>,
    /// Key of the grants, at least 16 bytes.
    pub grant_key: Vec<u8>,
    /// Speak HTTPS (TLS 1.3) instead of HTTP.
    pub tls: Option<TlsIdentity>,
    /// How many answers with recordings may be under way at once; over that the answer is 503.
    pub media_concurrency: usize,
    /// The time by which grants are judged.
    pub clock: Arc<dyn Clock>,
    /// Bounds against clients that want too much.
    pub limits: FrontLimits,
}

/// Bounds against clients that want too much.
#[derive(Debug, Clone)]
pub struct FrontLimits {
    /// Connections open at once.
    pub connections: usize,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Lines of a request's head.
    pub headers: usize,
    /// Time for a TLS handshake, for a request's head, and for an idle connection.
    pub header_timeout: Duration,
    /// Bytes of a request's body.
    pub request_body_bytes: u64,
    /// Time between two pieces of a request's body.
    pub request_body_stall_timeout: Duration,
    /// Time until the application's answer begins.
    pub upstream_timeout: Duration,
    /// Time that a client may take nothing of its answer.
    pub write_stall_timeout: Duration,
}

impl Default for FrontLimits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            header_bytes: 32 << 10,
            headers: 100,
            header_timeout: Duration::from_secs(10),
            request_body_bytes: 16 << 20,
            request_body_stall_timeout: Duration::from_secs(30),
            upstream_timeout: Duration::from_secs(120),
            write_stall_timeout: Duration::from_secs(120),
        }
    }
}

/// The front; see `start`.
pub struct Front;

/// A running front. Dropping it ends everything at once.
pub struct FrontHandle {
    port: u16,
    phase: watch::Sender<Phase>,
    ended: Mutex<Option<mpsc::Receiver<Infallible>>>,
    service: Arc<Service>,
}

impl Front {
    /// Binds the port and answers requests on `runtime` (which needs its I/O and time drivers).
    ///
    /// Errors: `Invalid` for a host, key or certificate that is none, `Conflict` when the port is taken, `Forbidden`
    /// when it may not be used.
    pub fn start(runtime: &Handle, config: FrontConfig, routes: Arc<dyn MediaRoutes>) -> Result<FrontHandle> {
        Self::start_with(runtime, config, Some(routes))
    }

    /// As `start`, where recordings lie in another process: requests for them are the application's, like the rest.
    pub fn start_without_archive(runtime: &Handle, config: FrontConfig) -> Result<FrontHandle> {
        Self::start_with(runtime, config, None)
    }

    fn start_with(runtime: &Handle, config: FrontConfig, routes: Option<Arc<dyn MediaRoutes>>) -> Result<FrontHandle> {
        if config.grant_key.len() < GRANT_KEY_BYTES {
            let message = format!("the key of the grants has fewer than {GRANT_KEY_BYTES} bytes");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        if config.media_concurrency == 0 {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the front needs room for at least one playback",
            ));
        }
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let listener = listener::bind(&config)?;
        let port = listener.local_addr()?.port();
        let _entered = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let counters = Arc::new(Counters::default());
        let service = Arc::new(Service::new(&config, counters.clone(), routes, runtime));
        let (phase, watched) = watch::channel(Phase::Serving);
        let (alive, ended) = mpsc::channel(1);
        let lifeline = Lifeline {
            phase: watched,
            _alive: alive,
        };
        let connections = Arc::new(Connections {
            service: service.clone(),
            tls,
            limits: config.limits.clone(),
            counters,
        });
        runtime.spawn(connections.accept(listener, lifeline));
        Ok(FrontHandle {
            port,
            phase,
            ended: Mutex::new(Some(ended)),
            service,
        })
    }
}

impl FrontHandle {
    /// The bound port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What was done so far.
    pub fn counters(&self) -> Snapshot {
        self.service.counters.snapshot()
    }

    /// Stops listening, ends idle connections and tunnels, lets answers under way finish within `timeout` and cuts off
    /// those that do not. Returns at most half a second after `timeout`; true when nothing was cut off.
    pub async fn shutdown(&self, timeout: Duration) -> bool {
        self.advance(Phase::Draining);
        let ended = self.ended.lock().take();
        let Some(mut ended) = ended else { return true };
        let finished = tokio::time::timeout(timeout, ended.recv()).await.is_ok();
        self.advance(Phase::Stopped);
        if !finished {
            let _ = tokio::time::timeout(STOP_TIME, ended.recv()).await;
        }
        self.service.upstream.close();
        finished
    }

    fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let forward = *phase < to;
            if forward {
                *phase = to;
            }
            forward
        });
    }
}

impl Drop for FrontHandle {
    fn drop(&mut self) {
        self.advance(Phase::Stopped);
    }
}
