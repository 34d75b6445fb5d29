//! A viewer as the reception knows it: who it is, whether it has connected, and when it was last heard.

use super::SessionId;
use super::batch::{Carrier, Path};
use super::consent::Transaction;
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
/// STUN requests and DTLS records of a connected viewer that are looked into, per second and at once. Chromium asks some
/// twenty times a second at most while it compares paths; each costs two HMACs and an answer.
pub(super) const REQUESTS_PER_S: u64 = 100;
/// Addresses that one viewer may send from: interfaces of its machine, before ICE has chosen.
const MAX_ADDRESSES: usize = 16;
/// TCP connections that one viewer may have: one per address of this machine that it was told of, before ICE has chosen.
const MAX_CONNECTIONS: usize = 32;
/// Requests remembered per viewer, so that one who repeats them moves nothing: some minutes of consent.
const MAX_TRANSACTIONS: usize = 64;
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
    /// Its TCP connections, the oldest first.
    pub(super) connections: VecDeque<u64>,
    transactions: VecDeque<Transaction>,
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
    feedback: Credit,
    requests: Credit,
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
            feedback: Credit::new(FEEDBACK_PER_S, now),
            requests: Credit::new(REQUESTS_PER_S, now),
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
        self.feedback.take(now)
    }

    /// Whether one more STUN or DTLS datagram is looked into: it is done where everybody's are.
    pub(super) fn takes_request(&mut self, now: Instant) -> bool {
        self.requests.take(now)
    }
}

/// How many more datagrams are taken, as of an instant.
#[derive(Debug)]
struct Credit {
    per_s: u64,
    left: u64,
    since: Instant,
}

impl Credit {
    /// `per_s` per second, and at once.
    fn new(per_s: u64, now: Instant) -> Self {
        Self {
            per_s,
            left: per_s,
            since: now,
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        let passed_ms = now.saturating_duration_since(self.since).as_millis() as u64;
        let earned = passed_ms.min(1000) * self.per_s / 1000;
        if earned > 0 {
            self.left = (self.left + earned).min(self.per_s);
            self.since = now;
        }
        let takes = self.left > 0;
        self.left -= u64::from(takes);
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
            connections: VecDeque::new(),
            transactions: VecDeque::new(),
            scheduled: None,
            opened: now,
            state: State::Connecting(Box::new((handshake, streams))),
        }
    }

    /// Remembers an address of the viewer; the one to forget for it, if any.
    pub(super) fn learn(&mut self, address: SocketAddr) -> Option<SocketAddr> {
        self.addresses.push_back(address);
        if self.addresses.len() <= MAX_ADDRESSES {
            return None;
        }
        let in_use = match &self.state {
            State::Connected(connected) => Some(connected.path.destination),
            _ => None,
        };
        // Never where the media goes: its reports would be a stranger's.
        let oldest = self.addresses.iter().position(|known| Some(*known) != in_use)?;
        self.addresses.remove(oldest)
    }

    /// Remembers a TCP connection of the viewer; the one to close for it, if any.
    pub(super) fn take_connection(&mut self, number: u64) -> Option<u64> {
        self.connections.push_back(number);
        if self.connections.len() <= MAX_CONNECTIONS {
            return None;
        }
        let in_use = match &self.state {
            State::Connected(connected) => Some(connected.path.carrier),
            State::Connecting(_) | State::Over => None,
        };
        let spare = |number: &u64| in_use != Some(Carrier::Connection(*number));
        let at = self.connections.iter().position(spare)?;
        self.connections.remove(at)
    }

    /// Remembers a signed request; false when it was made before: sent twice, or replayed by somebody on its way.
    pub(super) fn is_fresh(&mut self, transaction: Transaction) -> bool {
        if self.transactions.contains(&transaction) {
            return false;
        }
        if self.transactions.len() == MAX_TRANSACTIONS {
            self.transactions.pop_front();
        }
        self.transactions.push_back(transaction);
        true
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
            carrier: Carrier::Socket(0),
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
