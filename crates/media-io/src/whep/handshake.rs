//! A session from its answer to its keys: str0m with ICE and DTLS, until there is a connected viewer.

use super::keys::Dtls;
use super::outside::Outside;
use super::stats::count;
use media_core::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;
use str0m::net::{Protocol, Receive};
use str0m::{Event, Input, Output, Rtc};

/// A session whose viewer has not finished connecting.
pub(super) struct Handshake {
    rtc: Rtc,
    dtls: Dtls,
    timeout: Instant,
    /// Where the last DTLS datagram went: the pair of addresses that ICE chose (local, viewer's).
    pair: Option<(SocketAddr, SocketAddr)>,
    connected: bool,
}

impl Handshake {
    /// A session as agreed on.
    pub(super) fn new(rtc: Rtc, dtls: Dtls, now: Instant) -> Self {
        Self {
            rtc,
            dtls,
            timeout: now,
            pair: None,
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

    /// Takes one datagram from `pair` (local, viewer's). An error ends the session.
    pub(super) fn receive(
        &mut self,
        outside: &Outside,
        datagram: &[u8],
        (local, viewer): (SocketAddr, SocketAddr),
        now: Instant,
    ) -> Result<()> {
        let rtc = &mut self.rtc;
        let taken = catch_unwind(AssertUnwindSafe(|| {
            match Receive::new(Protocol::Udp, viewer, local, datagram) {
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

    /// Drives str0m's clock to `now`.
    pub(super) fn advance(&mut self, outside: &Outside, now: Instant) -> Result<()> {
        let rtc = &mut self.rtc;
        match catch_unwind(AssertUnwindSafe(|| rtc.handle_input(Input::Timeout(now)).is_ok())) {
            Ok(true) => self.drain(outside),
            Ok(false) | Err(_) => Err(broken()),
        }
    }

    /// The DTLS instance, once it has keys, with the pair of addresses (local, viewer's) that it used; str0m is done.
    pub(super) fn finish(self) -> Result<(Dtls, (SocketAddr, SocketAddr))> {
        let pair = self.pair.ok_or_else(broken)?;
        Ok((self.dtls, pair))
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
                    match transmit.contents.first() {
                        // Its reports (RFC 7983 §7): keys must not protect two packets with one index, and ours count
                        // from the first.
                        Some(128..=191) => continue,
                        Some(20..=63) => self.pair = Some((transmit.source, transmit.destination)),
                        _ => {}
                    }
                    let path = outside.path(transmit.source, transmit.destination);
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
