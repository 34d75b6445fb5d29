//! What sessions reach of the world: sockets, clocks, counters.

use super::datagram::DatagramSocket;
use super::stats::{Counters, count};
use crate::clock::Clock;
use media_core::AccessUnit;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sockets, clocks and counters shared by all sessions of a driver.
pub(super) struct Outside {
    pub(super) sockets: Vec<DatagramSocket>,
    pub(super) counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
    origin: Instant,
}

/// Older than this, a picture's own time says more about a wrong clock than about the picture.
const MAX_AGE: Duration = Duration::from_secs(2);

impl Outside {
    pub(super) fn new(sockets: Vec<DatagramSocket>, counters: Arc<Counters>, clock: Arc<dyn Clock>) -> Self {
        Self {
            sockets,
            counters,
            clock,
            origin: Instant::now(),
        }
    }

    /// µs since the driver's start, for pacing and timestamps.
    pub(super) fn us(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_micros() as u64
    }

    /// Sends one datagram from `source`. What the system refuses is lost, as on any network, and counted.
    pub(super) fn send(&self, bytes: &[u8], source: SocketAddr, destination: SocketAddr) {
        let fits = |socket: &&DatagramSocket| {
            let local = socket.local();
            let same_address = local.ip() == source.ip() || local.ip().is_unspecified();
            local.port() == source.port() && local.is_ipv4() == source.is_ipv4() && same_address
        };
        let sent = match self.sockets.iter().find(fits) {
            Some(socket) => socket.send(bytes, source.ip(), destination),
            None => Err(io::ErrorKind::AddrNotAvailable.into()),
        };
        match sent {
            Ok(()) => {
                count(&self.counters.datagrams_sent, 1);
                count(&self.counters.bytes_sent, bytes.len() as u64);
            }
            Err(_) => count(&self.counters.send_errors, 1),
        }
    }

    /// When `unit` was seen, for sender reports: audio and video of one camera then agree whatever each took to arrive.
    pub(super) fn seen_at(&self, unit: &AccessUnit, now: Instant) -> Instant {
        let age_us = self.clock.utc_us().saturating_sub(unit.utc_us).max(0) as u64;
        now.checked_sub(Duration::from_micros(age_us).min(MAX_AGE))
            .unwrap_or(now)
    }

    /// Records how long a unit received at `received_us` took until now.
    pub(super) fn record_delay(&self, received_us: u64) {
        self.counters
            .delay
            .record(self.clock.monotonic_us().saturating_sub(received_us));
    }
}
