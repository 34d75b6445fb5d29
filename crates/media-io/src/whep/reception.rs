//! The task that reads what viewers send: whose datagram is it, connecting viewers, liveness.
//!
//! A first datagram finds its session by the ufrag in its STUN request, later ones by their address. Handshakes are done
//! here, away from the threads that send pictures; a connected viewer is handed to a shard, and from then on this task
//! only answers its ICE requests, keeps its DTLS for the goodbye, and passes its RTCP on.

mod addresses;
mod handover;

use super::SessionId;
use super::batch::Carrier;
use super::demultiplex::stun_ufrag;
use super::departures::{Departures, give_memory_back};
use super::doorbell::{Doorbell, Moderation};
use super::feed::feed_of;
use super::framing::MAX_FRAME_BYTES;
use super::handshake::Origin;
use super::instants::Instants;
use super::listener::Arrived;
use super::load::{LOST, note, unnote};
use super::outside::Outside;
use super::session::{CONNECT_WITHIN, End, Session, State};
use super::shard::{self, ShardHandle};
use super::stats::count;
use crate::hub::Hub;
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use str0m::crypto::Sha1HmacProvider;
use tokio::sync::mpsc::{self, UnboundedReceiver};

/// Datagrams taken from a socket, and commands, before everything else gets its turn.
const BATCH: usize = 256;

/// What the reception is told. Ordered: a session is known before its viewer can have its answer.
pub(super) enum Command {
    /// A session was agreed on.
    Open(Box<Session>),
    /// A session is to end.
    Close(SessionId),
    /// A viewer's tile is so many device pixels high now.
    Resize(SessionId, u32),
    /// All sessions of a hub are to end, or to go on with the camera's other stream.
    CloseHub(Arc<Hub>),
    /// A shard gives a viewer up.
    Ended(u64, End),
    /// A shard's thread has died.
    ShardLost(usize),
    /// Everything is to end.
    Shutdown,
}

/// The sessions that exist, shared with those who open and close them.
pub(super) type OpenSessions = Arc<Mutex<HashMap<SessionId, OpenSession>>>;

/// What is known of a session from outside.
#[derive(Debug, Default)]
pub(super) struct OpenSession {
    /// The ICE user names that its viewer offered.
    pub(super) ufrags: Vec<String>,
    pub(super) instants: Arc<Instants>,
}

pub(super) struct Reception {
    outside: Arc<Outside>,
    hmac: &'static dyn Sha1HmacProvider,
    commands: UnboundedReceiver<Command>,
    /// What comes by TCP.
    arrived: mpsc::Receiver<Arrived>,
    open: OpenSessions,
    shards: Vec<ShardHandle>,
    /// Viewers of each shard; `LOST` when it has died.
    loads: Vec<usize>,
    /// Which shards show a hub, with how many viewers each.
    shows: HashMap<usize, Vec<usize>>,
    /// RTCP for each shard, passed on together.
    feedback: Vec<Vec<shard::Feedback>>,
    sessions: HashMap<u64, Session>,
    next_key: u64,
    by_id: HashMap<SessionId, u64>,
    by_ufrag: HashMap<String, u64>,
    by_address: HashMap<SocketAddr, u64>,
    /// Whose TCP connections are.
    by_connection: HashMap<u64, u64>,
    timers: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Room for one datagram.
    buffer: Box<[u8]>,
    moderation: Moderation,
    /// Until then nobody looks at the sockets.
    pause_until: Option<Instant>,
    departures: Departures,
    stopping: bool,
}

impl Reception {
    pub(super) fn new(
        outside: Arc<Outside>,
        hmac: &'static dyn Sha1HmacProvider,
        commands: UnboundedReceiver<Command>,
        arrived: mpsc::Receiver<Arrived>,
        open: OpenSessions,
        shards: Vec<ShardHandle>,
    ) -> Self {
        Self {
            outside,
            hmac,
            commands,
            arrived,
            open,
            loads: vec![0; shards.len()],
            shows: HashMap::new(),
            feedback: vec![Vec::new(); shards.len()],
            shards,
            sessions: HashMap::new(),
            next_key: 0,
            by_id: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            by_connection: HashMap::new(),
            timers: BinaryHeap::new(),
            buffer: vec![0; MAX_FRAME_BYTES].into(),
            moderation: Moderation::new(Instant::now()),
            pause_until: None,
            departures: Departures::default(),
            stopping: false,
        }
    }

    /// Runs until told to stop, then ends all sessions and shards. `doorbell` is that of the sockets.
    pub(super) async fn run(mut self, mut doorbell: Doorbell) {
        while !self.stopping {
            // Commands first: a viewer's first datagram may follow its answer within a millisecond.
            for _ in 0..BATCH {
                let Ok(command) = self.commands.try_recv() else {
                    break;
                };
                self.obey(command);
            }
            // Told within the loop above: nothing need ever arrive that would end the wait.
            if self.stopping {
                break;
            }
            if self.pause_until.is_none_or(|until| until <= Instant::now()) {
                self.receive();
                doorbell.arm();
            }
            self.take_arrived();
            self.pass_feedback_on();
            self.run_timers();
            self.wait(&mut doorbell).await;
        }
        let keys: Vec<u64> = self.sessions.keys().copied().collect();
        for key in keys {
            self.remove(key, End::Left);
        }
    }

    /// Returns when there is something to do.
    async fn wait(&mut self, doorbell: &mut Doorbell) {
        let next = self.timers.peek().map(|Reverse((at, _))| *at);
        let next = next
            .into_iter()
            .chain(self.pause_until)
            .chain(self.departures.due())
            .min();
        let next = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            // In this order: who has just been agreed with may be the one whose datagram has come.
            biased;
            command = self.commands.recv() => match command {
                Some(command) => self.obey(command),
                None => self.stopping = true,
            },
            () = doorbell.ring(), if self.pause_until.is_none() => {}
            // Without a TCP port nobody sends.
            Some(arrived) = self.arrived.recv() => self.take(arrived),
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
                let watches = |session: &Session| {
                    let mut hubs = std::iter::once(&session.hub).chain(&session.sub);
                    hubs.any(|watched| Arc::ptr_eq(watched, &hub))
                };
                let of_hub = self.sessions.iter().filter(|(_, session)| watches(session));
                let keys: Vec<u64> = of_hub.map(|(key, _)| *key).collect();
                for key in keys {
                    self.forsake(key, &hub);
                }
            }
            Command::Resize(id, tile_height_px) => self.resize(&id, tile_height_px),
            Command::Ended(key, end) => self.remove(key, end),
            Command::ShardLost(shard) => self.lose(shard),
            Command::Shutdown => self.stopping = true,
        }
    }

    fn resize(&mut self, id: &SessionId, tile_height_px: u32) {
        let Some(key) = self.by_id.get(id).copied() else {
            return;
        };
        match self.sessions.get_mut(&key).map(|session| &mut session.state) {
            Some(State::Connecting(connecting)) => {
                if let Some(ladder) = &mut connecting.1.ladder {
                    ladder.resize(tile_height_px);
                }
            }
            Some(State::Connected(connected)) => {
                let _ = self.shards[connected.shard].send(shard::Command::Resize(key, tile_height_px));
            }
            Some(State::Over) | None => {}
        }
    }

    /// Ends a session whose stream was removed, unless the camera's other stream is left for it.
    fn forsake(&mut self, key: u64, hub: &Arc<Hub>) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let Some(sub) = session.sub.take() else {
            return self.remove(key, End::Left);
        };
        let left = if Arc::ptr_eq(&sub, hub) { None } else { Some(sub) };
        match &mut session.state {
            State::Connecting(connecting) => {
                if let Some(ladder) = &mut connecting.1.ladder {
                    ladder.close(hub);
                }
            }
            State::Connected(connected) => {
                let shard = connected.shard;
                let _ = self.shards[shard].send(shard::Command::Forsake(key, hub.clone()));
                if let Some(left) = &left {
                    unnote(&mut self.shows, feed_of(hub), shard);
                    note(&mut self.shows, feed_of(left), shard, self.shards.len());
                }
            }
            State::Over => {}
        }
        if let Some(left) = left {
            session.hub = left;
        }
    }

    /// Ends the sessions of a shard that has died, so that their viewers come again, and gives it no more.
    fn lose(&mut self, shard: usize) {
        let served = |session: &Session| matches!(&session.state, State::Connected(by) if by.shard == shard);
        let of_shard = self.sessions.iter().filter(|(_, session)| served(session));
        let keys: Vec<u64> = of_shard.map(|(key, _)| *key).collect();
        for key in keys {
            self.remove(key, End::Failed);
        }
        self.loads[shard] = LOST;
    }

    fn open(&mut self, session: Session) {
        let key = self.next_key;
        self.next_key += 1;
        self.by_id.insert(session.id.clone(), key);
        self.by_ufrag.insert(session.ufrag.clone(), key);
        self.sessions.insert(key, session);
        self.tick(key, Instant::now());
    }

    /// Reads the sockets.
    fn receive(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut datagrams = 0;
        for socket in 0..self.outside.sockets.len() {
            for _ in 0..BATCH {
                let Ok((length, source, destination)) = self.outside.sockets[socket].receive(&mut buffer) else {
                    // Also errors of earlier sends (ICMP unreachable), which this call clears.
                    break;
                };
                datagrams += 1;
                let origin = Origin {
                    local: destination,
                    viewer: source,
                    carrier: Carrier::Socket(socket),
                };
                if !self.dispatch(&buffer[..length], &origin) {
                    count(&self.outside.counters.datagrams_unknown, 1);
                }
            }
        }
        self.buffer = buffer;
        count(&self.outside.counters.datagrams_received, datagrams);
        self.pause_until = self.moderation.pause_after(datagrams, Instant::now());
    }

    /// Takes what came by TCP.
    fn take_arrived(&mut self) {
        for _ in 0..BATCH {
            let Ok(arrived) = self.arrived.try_recv() else { break };
            self.take(arrived);
        }
    }

    /// Hands their viewers' RTCP to the shards.
    fn pass_feedback_on(&mut self) {
        for (shard, datagrams) in self.shards.iter().zip(&mut self.feedback) {
            if !datagrams.is_empty() {
                let _ = shard.send(shard::Command::Feedback(std::mem::take(datagrams)));
            }
        }
    }

    /// What a TCP connection has to tell.
    fn take(&mut self, arrived: Arrived) {
        let (connection, datagram) = match arrived {
            Arrived::Datagram(connection, datagram) => (connection, datagram),
            Arrived::Gone(number) => {
                let key = self.by_connection.remove(&number);
                if let Some(session) = key.and_then(|key| self.sessions.get_mut(&key)) {
                    session.connections.retain(|known| *known != number);
                }
                return;
            }
        };
        let origin = connection.origin();
        count(&self.outside.counters.datagrams_received, 1);
        if !self.dispatch(&datagram, &origin) {
            count(&self.outside.counters.datagrams_unknown, 1);
            // Whoever connects knows a session, and one only. One whose session has ended hears the last words.
            let ending = connection.is_proven() && self.known(&origin).is_none();
            if !ending {
                self.outside.connections.refuse(connection.number);
            }
        }
    }

    /// Hands a datagram to its session; false when there is none.
    fn dispatch(&mut self, datagram: &[u8], origin: &Origin) -> bool {
        let now = Instant::now();
        if let Some(ufrag) = stun_ufrag(datagram) {
            let Some(key) = self.by_ufrag.get(ufrag).copied() else {
                return false;
            };
            return self.stun(key, datagram, origin, now);
        }
        let Some(key) = self.known(origin) else {
            return false;
        };
        let Some(session) = self.sessions.get_mut(&key) else {
            return false;
        };
        match &mut session.state {
            State::Connecting(connecting) => {
                let taken = connecting.0.receive(&self.outside, datagram, origin, now);
                self.after_handshake(key, taken.is_ok());
            }
            State::Connected(connected) => match datagram {
                // RFC 7983 §7 and RFC 5761 §4.
                [128..=191, 192..=223, ..] => {
                    if connected.takes_feedback(now) {
                        self.feedback[connected.shard].push((key, origin.viewer, datagram.into()));
                    } else {
                        count(&self.outside.counters.feedback_refused, 1);
                    }
                }
                [20..=63, ..] => {
                    if !connected.takes_request(now) {
                        count(&self.outside.counters.feedback_refused, 1);
                        return true;
                    }
                    let send = |reply: &[u8]| self.outside.send(reply, Some(origin.path()));
                    match connected.dtls.receive(datagram, send) {
                        Ok(false) => {}
                        Ok(true) => self.remove(key, End::Left),
                        Err(_) => self.remove(key, End::Failed),
                    }
                }
                _ => count(&self.outside.counters.datagrams_malformed, 1),
            },
            State::Over => {}
        }
        true
    }

    fn run_timers(&mut self) {
        let now = Instant::now();
        if self.departures.is_due(now) {
            tokio::task::spawn_blocking(give_memory_back);
        }
        while let Some(Reverse((at, key))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            // A session has one timer that counts; those left over from before stand for nothing.
            if let Some(session) = self.sessions.get_mut(&key)
                && session.scheduled == Some(at)
            {
                session.scheduled = None;
                self.tick(key, now);
            }
        }
    }

    /// Whatever is due for a session: str0m's timers, silence.
    fn tick(&mut self, key: u64, now: Instant) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        match &mut session.state {
            State::Connecting(connecting) => {
                if now.saturating_duration_since(session.opened) >= CONNECT_WITHIN {
                    return self.remove(key, End::TimedOut);
                }
                let advanced = connecting.0.timeout() > now || connecting.0.advance(&self.outside, now).is_ok();
                self.after_handshake(key, advanced);
            }
            State::Connected(_) => {
                if session.wake_at(&self.outside) <= now {
                    return self.remove(key, End::TimedOut);
                }
                self.schedule(key);
            }
            State::Over => {}
        }
    }

    fn schedule(&mut self, key: u64) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let wake_at = session.wake_at(&self.outside);
        if session.scheduled.is_none_or(|at| wake_at < at) {
            session.scheduled = Some(wake_at);
            self.timers.push(Reverse((wake_at, key)));
        }
    }

    fn remove(&mut self, key: u64, end: End) {
        let Some(session) = self.sessions.remove(&key) else {
            return;
        };
        self.departures.count(Instant::now());
        let counters = &self.outside.counters;
        match end {
            End::Left | End::CodecChanged => {}
            End::TimedOut => count(&counters.timed_out, 1),
            End::Failed => count(&counters.failed, 1),
        }
        if let State::Connected(connected) = &session.state {
            // The shard says goodbye in RTCP, DTLS does here: whichever the viewer understands first.
            let _ = self.shards[connected.shard].send(shard::Command::Leave(key));
            let closed = connected
                .dtls
                .close(|goodbye| self.outside.send(goodbye, Some(connected.path)));
            if closed.is_err() && end != End::Failed {
                count(&counters.failed, 1);
            }
            counters.connected.fetch_sub(1, Ordering::Relaxed);
            self.loads[connected.shard] -= 1;
            unnote(&mut self.shows, feed_of(&session.hub), connected.shard);
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
        for number in &session.connections {
            self.by_connection.remove(number);
            self.outside.connections.end(*number);
        }
        self.open.lock().remove(&session.id);
    }
}

impl Drop for Reception {
    /// However it ends, also by a panic or cut off: no session is left that would take a viewer's place for ever, no
    /// connection that nobody reads. The shards' handles go now, and with them the shards, which tell their viewers.
    fn drop(&mut self) {
        self.open.lock().clear();
        let connected = self.loads.iter().filter(|load| **load < LOST / 2).sum::<usize>();
        let counters = &self.outside.counters;
        counters.connected.fetch_sub(connected as u64, Ordering::Relaxed);
        self.outside.connections.stop();
    }
}

#[cfg(test)]
#[path = "reception_tests.rs"]
pub(super) mod tests;
