//! A viewer as the reception knows it: who it is, whether it has connected, and when it was last heard.

use super::SessionId;
use super::batch::Path;
use super::handshake::Handshake;
use super::keys::Dtls;
use super::outside::Outside;
use super::viewer::Streams;
use crate::hub::Hub;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// ICE and DTLS must be done by then.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// Viewers send consent checks and receiver reports every few seconds; silence means they are gone.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(10);
/// RTCP datagrams of one viewer that reach its shard, per second and at once. Chromium sends some twenty a second, and
/// one per lost packet when it loses many.
pub(super) const FEEDBACK_PER_S: u64 = 200;
/// Addresses that one viewer may send from: interfaces of its machine, before ICE has chosen.
const MAX_ADDRESSES: usize = 16;
/// A viewer that asks from elsewhere without nominating that address is followed when its address has been silent for
/// so long: longer than the pause between two checks of Chromium (2.5 s).
const MOVED_AFTER: Duration = Duration::from_secs(3);

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The viewer left, or was asked to.
    Left,
    /// The viewer fell silent or never came.
    TimedOut,
    /// The protocol stack gave up.
    Failed,
    /// The camera sends another codec now: the viewer has to negotiate anew.
    CodecChanged,
}

/// A viewer as the reception knows it.
pub(super) struct Session {
    pub(super) id: SessionId,
    /// The stream watched, or the first of the two.
    pub(super) hub: Arc<Hub>,
    /// The stream that may stand in for it.
    pub(super) sub: Option<Arc<Hub>>,
    /// The local half of the ICE user name, by which first datagrams find their session.
    pub(super) ufrag: String,
    pub(super) password: String,
    pub(super) addresses: VecDeque<SocketAddr>,
    /// When the timer for this session stands, so that there is one at a time.
    pub(super) scheduled: Option<Instant>,
    pub(super) opened: Instant,
    pub(super) state: State,
}

pub(super) enum State {
    /// Boxed: large, and gone after a second.
    Connecting(Box<(Handshake, Streams)>),
    Connected(Connected),
    Over,
}

pub(super) struct Connected {
    pub(super) dtls: Dtls,
    pub(super) shard: usize,
    pub(super) path: Path,
    /// When a signed request last came from where the media goes.
    path_heard: Instant,
    /// How many more RTCP datagrams its shard takes, as of an instant.
    feedback_credit: u64,
    feedback_since: Instant,
    /// When the viewer last proved to be there, in µs since the start; the shard knows of its reports.
    pub(super) heard_us: Arc<AtomicU64>,
}

impl Connected {
    /// A viewer that a shard serves from now on.
    pub(super) fn new(dtls: Dtls, shard: usize, path: Path, now: Instant, heard_us: Arc<AtomicU64>) -> Self {
        Self {
            dtls,
            shard,
            path,
            path_heard: now,
            feedback_credit: FEEDBACK_PER_S,
            feedback_since: now,
            heard_us,
        }
    }

    /// Notes a signed request that came by `path`; whether the viewer's media goes there from now on.
    pub(super) fn moves_to(&mut self, path: Path, nominates: bool, now: Instant) -> bool {
        let deserted = now.saturating_duration_since(self.path_heard) >= MOVED_AFTER;
        let moves = self.path != path && (nominates || deserted);
        if moves || self.path == path {
            self.path = path;
            self.path_heard = now;
        }
        moves
    }

    /// Whether one more RTCP datagram is passed on: a viewer gone mad shall not keep its shard busy.
    pub(super) fn takes_feedback(&mut self, now: Instant) -> bool {
        let passed_ms = now.saturating_duration_since(self.feedback_since).as_millis() as u64;
        let earned = passed_ms.min(1000) * FEEDBACK_PER_S / 1000;
        if earned > 0 {
            self.feedback_credit = (self.feedback_credit + earned).min(FEEDBACK_PER_S);
            self.feedback_since = now;
        }
        let takes = self.feedback_credit > 0;
        self.feedback_credit -= u64::from(takes);
        takes
    }
}

impl Session {
    /// A session as agreed on, not connected yet.
    pub(super) fn new(
        id: SessionId,
        hub: Arc<Hub>,
        sub: Option<Arc<Hub>>,
        mut handshake: Handshake,
        streams: Streams,
        now: Instant,
    ) -> Self {
        let (ufrag, password) = handshake.credentials();
        Self {
            id,
            hub,
            sub,
            ufrag,
            password,
            addresses: VecDeque::new(),
            scheduled: None,
            opened: now,
            state: State::Connecting(Box::new((handshake, streams))),
        }
    }

    /// Remembers an address of the viewer; the one to forget for it, if any.
    pub(super) fn learn(&mut self, address: SocketAddr) -> Option<SocketAddr> {
        self.addresses.push_back(address);
        if self.addresses.len() > MAX_ADDRESSES {
            self.addresses.pop_front()
        } else {
            None
        }
    }

    /// When `Reception::tick` is wanted next.
    pub(super) fn wake_at(&self, outside: &Outside) -> Instant {
        match &self.state {
            State::Connecting(connecting) => connecting.0.timeout().min(self.opened + CONNECT_WITHIN),
            State::Connected(connected) => outside.instant(connected.heard_us.load(Ordering::Relaxed)) + SILENT_AFTER,
            State::Over => self.opened,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::whep::reception::tests::connected;

    const SECOND: Duration = Duration::from_secs(1);

    fn path(port: u16) -> Path {
        Path {
            socket: 0,
            source: "127.0.0.1".parse().unwrap(),
            destination: SocketAddr::from(([127, 0, 0, 1], port)),
        }
    }

    #[test]
    fn media_follows_the_address_nominated_or_the_only_one_alive() {
        let now = Instant::now();
        let mut connected = connected(path(1), now);
        assert!(!connected.moves_to(path(1), true, now), "there already");
        assert!(
            !connected.moves_to(path(2), false, now + SECOND),
            "another interface asks"
        );
        assert!(!connected.moves_to(path(1), false, now + 2 * SECOND));
        assert!(connected.moves_to(path(2), true, now + 2 * SECOND), "nominated");
        assert!(!connected.moves_to(path(1), false, now + 4 * SECOND));
        assert!(
            connected.moves_to(path(1), false, now + 5 * SECOND),
            "the other is silent"
        );
        assert_eq!(connected.path, path(1));
    }

    #[test]
    fn a_flood_of_feedback_ends_here() {
        let now = Instant::now();
        let mut connected = connected(path(1), now);
        let mut taken = |ms: u64, datagrams: usize| {
            let at = now + Duration::from_millis(ms);
            (0..datagrams).filter(|_| connected.takes_feedback(at)).count()
        };
        assert_eq!(taken(0, 1000), 200);
        assert_eq!(taken(100, 1000), 20);
        assert_eq!(taken(60_000, 1000), 200);
        let spread: usize = (0..1000).map(|ms| taken(70_000 + ms, 1)).sum();
        assert!((390..=400).contains(&spread), "{spread} within a second after a pause");
    }
}
