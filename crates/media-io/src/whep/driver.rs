//! The task that owns the sockets and all sessions: datagrams in, units in, timers, datagrams out.

use super::SessionId;
use super::demultiplex::stun_ufrag;
use super::feed::{Feed, feed_of};
use super::outside::Outside;
use super::packets::{Cutter, Payload};
use super::session::{End, Session, Wish};
use super::stats::count;
use crate::hub::Hub;
use media_core::AccessUnit;
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// Datagrams taken from a socket, and commands, before everything else gets its turn.
const BATCH: usize = 256;
/// Larger than any datagram that a viewer sends (DTLS flights stay below 1500).
const RECEIVE_BYTES: usize = 2048;

/// What the driver is told. Ordered: a session is known before its viewer can have its answer.
pub(super) enum Command {
    /// A session was agreed on.
    Open(Box<Session>),
    /// A session is to end.
    Close(SessionId),
    /// All sessions of a hub are to end.
    CloseHub(Arc<Hub>),
    /// Units wait in a feed's inlet.
    Ready(usize),
    /// Everything is to end.
    Shutdown,
}

/// Ids of the sessions that exist, shared with those who open and close them.
pub(super) type OpenSessions = Arc<Mutex<HashSet<SessionId>>>;

pub(super) struct Driver {
    outside: Outside,
    commands: UnboundedReceiver<Command>,
    wake: UnboundedSender<Command>,
    open: OpenSessions,
    sessions: HashMap<u64, Session>,
    next_key: u64,
    by_id: HashMap<SessionId, u64>,
    by_ufrag: HashMap<String, u64>,
    by_address: HashMap<SocketAddr, u64>,
    feeds: HashMap<usize, Feed>,
    timers: BinaryHeap<Reverse<(Instant, u64)>>,
    cutter: Cutter,
    stopping: bool,
}

impl Driver {
    pub(super) fn new(
        outside: Outside,
        commands: UnboundedReceiver<Command>,
        wake: UnboundedSender<Command>,
        open: OpenSessions,
    ) -> Self {
        Self {
            outside,
            commands,
            wake,
            open,
            sessions: HashMap::new(),
            next_key: 0,
            by_id: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            feeds: HashMap::new(),
            timers: BinaryHeap::new(),
            cutter: Cutter::default(),
            stopping: false,
        }
    }

    /// Runs until told to stop.
    pub(super) async fn run(mut self) {
        while !self.stopping {
            // Commands first: a viewer's first datagram may follow its answer within a millisecond.
            for _ in 0..BATCH {
                let Ok(command) = self.commands.try_recv() else {
                    break;
                };
                self.obey(command);
            }
            self.receive();
            self.run_timers();
            self.wait().await;
        }
        let keys: Vec<u64> = self.sessions.keys().copied().collect();
        for key in keys {
            self.remove(key, End::Left);
        }
    }

    /// Returns when there is something to do.
    async fn wait(&mut self) {
        let next = self.timers.peek().map(|Reverse((at, _))| *at);
        let next = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        let sockets = &self.outside.sockets;
        let readable = poll_fn(|context| {
            let ready = sockets.iter().any(|socket| socket.poll_readable(context).is_ready());
            if ready { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            command = self.commands.recv() => match command {
                Some(command) => self.obey(command),
                None => self.stopping = true,
            },
            () = readable => {}
            () = tokio::time::sleep_until(next.into()) => {}
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open(session) => self.open(*session),
            Command::Close(id) => {
                if let Some(key) = self.by_id.get(&id).copied() {
                    self.remove(key, End::Left);
                }
            }
            Command::CloseHub(hub) => {
                let of_hub = self
                    .sessions
                    .iter()
                    .filter(|(_, session)| Arc::ptr_eq(&session.hub, &hub));
                let keys: Vec<u64> = of_hub.map(|(key, _)| *key).collect();
                for key in keys {
                    self.remove(key, End::Left);
                }
            }
            Command::Ready(feed) => self.deliver(feed),
            Command::Shutdown => self.stopping = true,
        }
    }

    fn open(&mut self, session: Session) {
        let key = self.next_key;
        self.next_key += 1;
        self.by_id.insert(session.id.clone(), key);
        self.by_ufrag.insert(session.ufrag.clone(), key);
        self.sessions.insert(key, session);
        self.with(key, |session, outside, cutter, now| session.tick(outside, cutter, now));
    }

    fn receive(&mut self) {
        let mut buffer = [0; RECEIVE_BYTES];
        for socket in 0..self.outside.sockets.len() {
            for _ in 0..BATCH {
                let Ok((length, source, destination)) = self.outside.sockets[socket].receive(&mut buffer) else {
                    // Also errors of earlier sends (ICMP unreachable), which this call clears.
                    break;
                };
                count(&self.outside.counters.datagrams_received, 1);
                self.dispatch(&buffer[..length], source, destination);
            }
        }
    }

    fn dispatch(&mut self, datagram: &[u8], source: SocketAddr, destination: SocketAddr) {
        let Some(key) = self.session_of(datagram, source, destination) else {
            return count(&self.outside.counters.datagrams_unknown, 1);
        };
        self.with(key, |session, outside, _, now| {
            session.receive(outside, datagram, source, destination, now)
        });
    }

    fn session_of(&mut self, datagram: &[u8], source: SocketAddr, destination: SocketAddr) -> Option<u64> {
        let known = self.by_address.get(&source).copied();
        let Some(ufrag) = stun_ufrag(datagram) else {
            return known;
        };
        let named = *self.by_ufrag.get(ufrag)?;
        if known == Some(named) {
            return known;
        }
        // A new address, or one that another session of the same machine had: only its password proves whose it is.
        let session = self.sessions.get_mut(&named)?;
        if !session.accepts(datagram, source, destination, Instant::now()) {
            return None;
        }
        if let Some(forgotten) = session.learn(source) {
            self.by_address.remove(&forgotten);
        }
        self.by_address.insert(source, named);
        Some(named)
    }

    fn run_timers(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, key))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            // A session has one timer that counts; those left over from before stand for nothing.
            if self
                .sessions
                .get(&key)
                .is_some_and(|session| session.scheduled == Some(at))
            {
                self.with(key, |session, outside, cutter, now| {
                    session.scheduled = None;
                    session.tick(outside, cutter, now);
                });
            }
        }
    }

    /// Hands what a hub has published to everyone who watches it.
    fn deliver(&mut self, id: usize) {
        let Some(feed) = self.feeds.get_mut(&id) else {
            return;
        };
        let units = feed.take(&self.outside.counters);
        let viewers = feed.viewers.clone();
        let now = Instant::now();
        for unit in &units {
            let mut cut: Option<Option<Arc<[Payload]>>> = None;
            let cutter = &mut self.cutter;
            let counters = &self.outside.counters;
            let mut payloads = || cut.get_or_insert_with(|| cut_counted(cutter, unit, counters)).clone();
            for key in &viewers {
                let Some(session) = self.sessions.get_mut(key) else {
                    continue;
                };
                match unit.track {
                    0 => session.push_video(unit, &mut payloads, &self.outside, now),
                    _ => session.push_audio(unit, &mut payloads, &self.outside, now),
                }
            }
        }
        for key in viewers {
            self.with(key, |session, outside, cutter, now| session.flush(outside, cutter, now));
        }
    }

    /// Does something with a session, then what follows from it: joining, its end, its next timer.
    fn with(&mut self, key: u64, act: impl FnOnce(&mut Session, &Outside, &mut Cutter, Instant)) {
        let now = Instant::now();
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        act(session, &self.outside, &mut self.cutter, now);
        if session.ended().is_none()
            && let Some(wish) = session.take_wish()
        {
            self.grant(key, wish, now);
        }
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        if let Some(end) = session.ended() {
            return self.remove(key, end);
        }
        let wake_at = session.wake_at(now);
        if session.scheduled.is_none_or(|at| wake_at < at) {
            session.scheduled = Some(wake_at);
            self.timers.push(Reverse((wake_at, key)));
        }
    }

    fn grant(&mut self, key: u64, wish: Wish, now: Instant) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let hub = session.hub.clone();
        let id = feed_of(&hub);
        if wish == Wish::Join {
            let (wake, counters) = (&self.wake, &self.outside.counters);
            let feed = self
                .feeds
                .entry(id)
                .or_insert_with(|| Feed::attach(hub, wake.clone(), counters.clone()));
            // What the feed holds already goes to those who watch; the newcomer starts at the GOP that results.
            if feed.viewers.is_empty() {
                feed.take(&self.outside.counters);
            } else {
                self.deliver(id);
            }
        }
        let (Some(feed), Some(session)) = (self.feeds.get_mut(&id), self.sessions.get_mut(&key)) else {
            return;
        };
        match wish {
            Wish::Join => feed.viewers.push(key),
            // Nothing to start again from: better what comes than nothing.
            Wish::Resend if feed.gop().is_empty() => return,
            Wish::Resend => count(&self.outside.counters.key_resends, 1),
        }
        session.start(feed.gop(), &self.outside, now);
        session.flush(&self.outside, &mut self.cutter, now);
    }

    fn remove(&mut self, key: u64, end: End) {
        let Some(mut session) = self.sessions.remove(&key) else {
            return;
        };
        let counters = &self.outside.counters;
        match end {
            End::Left | End::CodecChanged => {}
            End::TimedOut => count(&counters.timed_out, 1),
            End::Failed => count(&counters.failed, 1),
        }
        session.close(&self.outside, Instant::now());
        if session.connected {
            counters.connected.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        }
        tracing::debug!(
            camera = session.hub.name(),
            session = session.id,
            ?end,
            "WebRTC viewer gone"
        );
        self.by_id.remove(&session.id);
        self.by_ufrag.remove(&session.ufrag);
        for address in &session.addresses {
            if self.by_address.get(address) == Some(&key) {
                self.by_address.remove(address);
            }
        }
        let id = feed_of(&session.hub);
        if let Some(feed) = self.feeds.get_mut(&id) {
            feed.viewers.retain(|viewer| *viewer != key);
            if feed.viewers.is_empty() {
                self.feeds.remove(&id);
            }
        }
        self.open.lock().remove(&session.id);
    }
}

fn cut_counted(cutter: &mut Cutter, unit: &AccessUnit, counters: &super::stats::Counters) -> Option<Arc<[Payload]>> {
    match cutter.cut(unit) {
        Ok(payloads) => Some(payloads.into()),
        Err(_) => {
            count(&counters.units_malformed, 1);
            None
        }
    }
}
