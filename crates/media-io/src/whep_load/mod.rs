//! Many viewers of one WHEP resource in one process, to measure a server: the load client of the live bench.
//!
//! Each viewer has a UDP socket, an offer and a DTLS handshake of its own, as browsers have; str0m does ICE and DTLS.
//! What arrives afterwards is counted from the RTP headers, which SRTP leaves in clear, so that a thousand viewers cost
//! less than the server that feeds them. A sample of viewers decrypts the packets that begin a picture and reads the
//! camera's send time there (`media_core::stamp`).
//!
//! ```text
//! signalling thread: offer, POST ──viewer──▶ receiving thread: epoll, ICE, DTLS, counting, reports, repair
//! ```

mod delay;
mod formats;
mod hostile;
mod reception;
mod report;
mod run;
mod server_usage;
mod signalling;
mod socket;
mod viewer;

pub use report::{Distribution, Report};
pub use run::run;

use std::time::Duration;
use url::Url;

/// What to ask of a server.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The WHEP resource, `http` only; a `token` in its query is passed on.
    pub url: Url,
    /// Sent as `Authorization: Bearer`.
    pub bearer: Option<String>,
    /// Viewers that watch as a browser does.
    pub viewers: usize,
    /// Viewers that connect and then neither read nor answer.
    pub stalled: usize,
    /// Viewers that connect and then send garbage, replays and storms of requests.
    pub hostile: usize,
    /// Pace of the offers.
    pub joins_per_second: f64,
    /// Measured after everyone has joined.
    pub window: Duration,
    /// Whether audio is offered too.
    pub audio: bool,
    /// Whether missing packets are asked for again.
    pub nack: bool,
    /// Share of the arriving packets that is thrown away unseen, in percent, as a bad network would.
    pub lose_percent: f64,
    /// Whether sockets take trains of datagrams in one piece (UDP_GRO). No browser does; where server and viewers share
    /// a kernel, trains spare the server the work of taking them apart.
    pub trains: bool,
    /// The server's process, to read its CPU time and memory.
    pub server_pid: Option<u32>,
    /// How long after the last viewer has left its memory is read once more.
    pub afterwards: Duration,
}
