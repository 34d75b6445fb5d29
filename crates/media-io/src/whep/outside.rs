//! What sessions reach of the world: sockets, clocks, counters.

use super::batch::{Carrier, Path};
use super::connections::Connections;
use super::datagram::DatagramSocket;
use super::packets::CutUnit;
use super::stats::{Counters, count};
use crate::clock::Clock;
use media_core::rtp::rtcp::unix_us_to_ntp;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sockets, clocks and counters shared by the reception and all shards.
pub(super) struct Outside {
    pub(super) sockets: Vec<DatagramSocket>,
    pub(super) connections: Arc<Connections>,
    pub(super) counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
    origin: Instant,
    origin_utc_us: i64,
}

/// Older than this, a picture's own time says more about a wrong clock than about the picture.
const MAX_AGE_US: u64 = 2_000_000;

impl Outside {
    pub(super) fn new(sockets: Vec<DatagramSocket>, counters: Arc<Counters>, clock: Arc<dyn Clock>) -> Self {
        Self {
            sockets,
            connections: Arc::default(),
            counters,
            origin: Instant::now(),
            origin_utc_us: clock.utc_us(),
            clock,
        }
    }

    /// µs since the start, for pacing and timestamps.
    pub(super) fn us(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_micros() as u64
    }

    /// The instant `us` µs after the start.
    pub(super) fn instant(&self, us: u64) -> Instant {
        self.origin + Duration::from_micros(us)
    }

    /// The path of datagrams from the local address `source`, None when no socket has it.
    pub(super) fn path(&self, source: SocketAddr, destination: SocketAddr) -> Option<Path> {
        let fits = |socket: &DatagramSocket| {
            let local = socket.local();
            let same_address = local.ip() == source.ip() || local.ip().is_unspecified();
            local.port() == source.port() && local.is_ipv4() == source.is_ipv4() && same_address
        };
        let socket = self.sockets.iter().position(fits)?;
        Some(Path {
            carrier: Carrier::Socket(socket),
            source: source.ip(),
            destination,
        })
    }

    /// Sends one datagram. What the system refuses is lost, as on any network, and counted.
    pub(super) fn send(&self, bytes: &[u8], path: Option<Path>) {
        let sent = path.is_some_and(|path| match path.carrier {
            Carrier::Socket(socket) => {
                let socket = self.sockets.get(socket);
                socket.is_some_and(|socket| socket.send_now(bytes, path.source, path.destination).is_ok())
            }
            Carrier::Connection(number) => self.connections.push(number, bytes, bytes.len()),
        });
        if sent {
            count(&self.counters.datagrams_sent, 1);
            count(&self.counters.bytes_sent, bytes.len() as u64);
        } else {
            count(&self.counters.send_errors, 1);
        }
    }

    /// How many bytes may be added to what waits on the way of `path`. Without end for UDP, where nothing waits.
    pub(super) fn room(&self, path: &Path) -> usize {
        match path.carrier {
            Carrier::Socket(_) => usize::MAX,
            Carrier::Connection(number) => self.connections.room(number),
        }
    }

    /// The server's UTC, as NTP (RFC 3550 §4), `us` µs after the start. Steps of the server's clock do not show: a
    /// viewer would take them for steps of the picture.
    pub(super) fn ntp(&self, us: u64) -> u64 {
        unix_us_to_ntp(self.origin_utc_us.saturating_add_unsigned(us))
    }

    /// When `unit` was seen, in µs since the start, for sender reports: audio and video of one camera then agree
    /// whatever each took to arrive.
    pub(super) fn seen_us(&self, unit: &CutUnit, now_us: u64) -> u64 {
        let age_us = self.clock.utc_us().saturating_sub(unit.utc_us).max(0) as u64;
        now_us.saturating_sub(age_us.min(MAX_AGE_US))
    }

    /// Records how long units received at `received_us` took until now.
    pub(super) fn record_delays(&self, received_us: &[u64]) {
        let now_us = self.clock.monotonic_us();
        for received_us in received_us {
            self.counters.delay.record(now_us.saturating_sub(*received_us));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::whep::packets::cut_of;
    use media_core::rtp::rtcp::ntp_to_unix_us;

    const UTC_US: i64 = 1_750_000_000_000_000;

    #[test]
    fn steps_of_the_servers_clock_do_not_show_in_reports() {
        let clock = ManualClock::at(UTC_US);
        let outside = Outside::new(Vec::new(), Arc::default(), clock.clone());
        let before = ntp_to_unix_us(outside.ntp(1_000_000));
        clock.step_utc_us(3_600_000_000);
        assert_eq!(ntp_to_unix_us(outside.ntp(2_000_000)) - before, 1_000_000);
        assert!((before - UTC_US - 1_000_000).abs() <= 1);
    }

    #[test]
    fn a_units_age_is_believed_within_two_seconds() {
        let clock = ManualClock::at(UTC_US);
        let outside = Outside::new(Vec::new(), Arc::default(), clock.clone());
        let now_us = 10_000_000;
        for (utc_us, seen_us) in [
            (UTC_US - 80_000, now_us - 80_000),
            (UTC_US, now_us),
            // The server's clock went back, or far ahead: the unit is of now, or as old as can be.
            (UTC_US + 3_600_000_000, now_us),
            (0, now_us - MAX_AGE_US),
            (i64::MIN, now_us - MAX_AGE_US),
        ] {
            let Some(mut unit) = Arc::into_inner(cut_of(100)) else {
                panic!("shared");
            };
            unit.utc_us = utc_us;
            assert_eq!(outside.seen_us(&unit, now_us), seen_us, "{utc_us}");
        }
    }
}
