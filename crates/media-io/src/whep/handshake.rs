//! A session from its answer to its keys: str0m with ICE and DTLS, until there is a connected viewer.

use super::batch::{Carrier, Path};
use super::keys::Dtls;
use super::outside::Outside;
use super::stats::count;
use media_core::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;
use str0m::net::{Protocol, Receive, Transmit};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// Where a datagram came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    /// The address of this machine that it came to.
    pub(super) local: SocketAddr,
    pub(super) viewer: SocketAddr,
    pub(super) carrier: Carrier,
}

impl Origin {
    /// The way back.
    pub(super) fn path(&self) -> Path {
        Path {
            carrier: self.carrier,
            source: self.local.ip(),
            destination: self.viewer,
        }
    }
}

/// A session whose viewer has not finished connecting.
pub(super) struct Handshake {
    rtc: Rtc,
    dtls: Dtls,
    timeout: Instant,
    /// Where the last DTLS datagram went: the way that ICE chose.
    chosen: Option<Path>,
    /// TCP connections by which datagrams have come: local address, viewer's address, number.
    connections: Vec<(SocketAddr, SocketAddr, u64)>,
    connected: bool,
}

impl Handshake {
    /// A session as agreed on.
    pub(super) fn new(rtc: Rtc, dtls: Dtls, now: Instant) -> Self {
        Self {
            rtc,
            dtls,
            timeout: now,
            chosen: None,
            connections: Vec::new(),
            connected: false,
        }
    }

    /// When `advance` is wanted next.
    pub(super) fn timeout(&self) -> Instant {
        self.timeout
    }

    /// The session's ICE user name and password.
    pub(super) fn credentials(&mut self) -> (String, String) {
        let credentials = self.rtc.direct_api().local_ice_credentials();
        (credentials.ufrag, credentials.pass)
    }

    /// Takes one datagram. An error ends the session.
    pub(super) fn receive(&mut self, outside: &Outside, datagram: &[u8], origin: &Origin, now: Instant) -> Result<()> {
        let Origin { local, viewer, carrier } = *origin;
        let protocol = match carrier {
            Carrier::Socket(_) => Protocol::Udp,
            Carrier::Connection(number) => {
                self.connect(local, viewer, number);
                Protocol::Tcp
            }
        };
        let rtc = &mut self.rtc;
        let taken = catch_unwind(AssertUnwindSafe(|| {
            match Receive::new(protocol, viewer, local, datagram) {
                Ok(receive) => rtc.handle_input(Input::Receive(now, receive)).is_ok(),
                Err(_) => false,
            }
        }));
        match taken {
            Ok(true) => {}
            // Anyone can forge such a datagram: it must not end a session.
            Ok(false) => count(&outside.counters.datagrams_malformed, 1),
            Err(_) => return Err(broken()),
        }
        self.drain(outside)
    }

    /// Notes a TCP connection. str0m takes requests at its own candidates only: the address gets one. The answer is
    /// written by then, which tells of it in its own words.
    fn connect(&mut self, local: SocketAddr, viewer: SocketAddr, number: u64) {
        if self.connections.iter().any(|(_, _, known)| *known == number) {
            return;
        }
        if !self.connections.iter().any(|(known, _, _)| *known == local)
            && let Ok(candidate) = Candidate::host(local, "tcp")
        {
            self.rtc.add_local_candidate(candidate);
        }
        // A port may be used again after its connection has gone.
        self.connections.retain(|(_, known, _)| *known != viewer);
        self.connections.push((local, viewer, number));
    }

    fn path(&self, outside: &Outside, transmit: &Transmit) -> Option<Path> {
        let (local, viewer) = (transmit.source, transmit.destination);
        if transmit.proto == Protocol::Udp {
            return outside.path(local, viewer);
        }
        let mut known = self.connections.iter();
        let (_, _, number) = known.find(|(to, from, _)| (*to, *from) == (local, viewer))?;
        Some(Path {
            carrier: Carrier::Connection(*number),
            source: local.ip(),
            destination: viewer,
        })
    }

    /// Drives str0m's clock to `now`.
    pub(super) fn advance(&mut self, outside: &Outside, now: Instant) -> Result<()> {
        let rtc = &mut self.rtc;
        match catch_unwind(AssertUnwindSafe(|| rtc.handle_input(Input::Timeout(now)).is_ok())) {
            Ok(true) => self.drain(outside),
            Ok(false) | Err(_) => Err(broken()),
        }
    }

    /// The DTLS instance, once it has keys, with the way that it used; str0m is done.
    pub(super) fn finish(self) -> Result<(Dtls, Path)> {
        let chosen = self.chosen.ok_or_else(broken)?;
        Ok((self.dtls, chosen))
    }

    /// Whether ICE and DTLS are done.
    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Polls str0m until it has nothing more to say, as its contract demands after every change.
    fn drain(&mut self, outside: &Outside) -> Result<()> {
        loop {
            let rtc = &mut self.rtc;
            let polled = catch_unwind(AssertUnwindSafe(|| rtc.poll_output()));
            match polled {
                Ok(Ok(Output::Timeout(at))) => {
                    self.timeout = at;
                    break;
                }
                Ok(Ok(Output::Transmit(transmit))) => {
                    let path = self.path(outside, &transmit);
                    match transmit.contents.first() {
                        // Its reports (RFC 7983 §7): keys must not protect two packets with one index, and ours count
                        // from the first.
                        Some(128..=191) => continue,
                        Some(20..=63) => self.chosen = path.or(self.chosen),
                        _ => {}
                    }
                    outside.send(&transmit.contents, path);
                }
                Ok(Ok(Output::Event(Event::Connected))) => self.connected = true,
                Ok(Ok(Output::Event(_))) => {}
                Ok(Err(_)) | Err(_) => return Err(broken()),
            }
        }
        if self.rtc.is_alive() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unavailable, "the viewer left while connecting"))
    }
}

fn broken() -> Error {
    Error::new(ErrorKind::Internal, "the WebRTC handshake failed")
}

#[cfg(test)]
impl Handshake {
    /// The DTLS instance, whatever its state.
    pub(super) fn into_dtls(self) -> Dtls {
        self.dtls
    }
}
