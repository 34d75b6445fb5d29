//! A thread that serves a share of the viewers: units in, protected packets out.
//!
//! Nothing here waits for anything but its own channel and, when a socket's buffer is full, the kernel. When a unit
//! arrives, one pass over the viewers of its feed protects it for each of them into a batch. Packets that the pace holds
//! back, and reports, are looked after by ticks of the whole shard: no viewer has a timer of its own.

mod crossing;
mod ticks;

use super::batch::{Batch, Path};
use super::feed::{Feed, feed_of};
use super::outside::Outside;
use super::packets::Cutter;
use super::reception;
use super::send_method::SendMethod;
use super::session::End;
use super::stats::count;
use super::transcoding::Transcoders;
use super::viewer::{Leave, Turn, Viewer, Wish};
use crate::hub::Hub;
use media_core::{Codec, Error, Result, TrackKind};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SendError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// Commands taken before everything else gets its turn.
const COMMANDS: usize = 256;
/// What the pace held back is sent in portions of this size (a millisecond's work): a unit that arrives meanwhile leaves
/// before the next.
const PORTION_BYTES: u64 = 512 << 10;
/// How often a viewer is sent a report.
const REPORT_US: u64 = 1_000_000;

/// Datagrams of feedback that are looked into before everything else gets its turn.
const FEEDBACK: usize = 64;
/// Datagrams of feedback that wait for that; more are thrown away, as those are that a socket has no room for.
const MAX_FEEDBACK: usize = 4096;

/// An SRTCP datagram: whose, where it came from, its bytes.
pub(super) type Feedback = (u64, SocketAddr, Box<[u8]>);

/// What a shard is told. Ordered: a viewer is known before its feedback can arrive.
pub(super) enum Command {
    /// A viewer of a hub has connected.
    Join(Arc<Hub>, Box<Viewer>),
    /// A viewer's datagrams go elsewhere now.
    Move(u64, Path),
    /// A viewer's tile is so many device pixels high now.
    Resize(u64, u32),
    /// A stream that a viewer might be sent was removed; there is another.
    Forsake(u64, Arc<Hub>),
    /// SRTCP datagrams of viewers, in the order of their arrival.
    Feedback(Vec<Feedback>),
    /// A viewer is gone or to be sent away; it is told.
    Leave(u64),
    /// Units wait in a feed's inlet.
    Ready(usize),
    /// Everything is to end.
    Stop,
}

/// What the reception holds of a shard: the shard ends with it, however that comes about.
pub(super) struct ShardHandle(Sender<Command>);

impl ShardHandle {
    pub(super) fn new(commands: Sender<Command>) -> Self {
        Self(commands)
    }

    /// Tells the shard something; an error when its thread has died.
    pub(super) fn send(&self, command: Command) -> std::result::Result<(), SendError<Command>> {
        self.0.send(command)
    }
}

impl Drop for ShardHandle {
    fn drop(&mut self) {
        // The shard and its feeds hold senders too: without a word it would wait for ever.
        let _ = self.0.send(Command::Stop);
    }
}

/// The viewers of one hub on one shard.
struct Audience {
    feed: Feed,
    viewers: Vec<Viewer>,
    /// Viewers of the camera's other stream who come over at the next key frame.
    expected: Vec<u64>,
    /// Some viewers have packets that wait for their turn.
    waiting: bool,
    /// Whose turn it is, where the last portion was cut short: of the others, and of those who come last.
    turn_of: [usize; 2],
}

pub(super) struct Shard {
    outside: Arc<Outside>,
    transcoders: Arc<Transcoders>,
    commands: Receiver<Command>,
    wake: Sender<Command>,
    reception: UnboundedSender<reception::Command>,
    audiences: HashMap<usize, Audience>,
    /// Which feed each viewer watches, and where among its viewers it is.
    places: HashMap<u64, (usize, usize)>,
    /// The feed whose next key frame brings a viewer over.
    crossing: HashMap<u64, usize>,
    cutter: Cutter,
    batch: Batch,
    /// Feedback that was not looked into yet.
    feedback: VecDeque<Feedback>,
    plain: Vec<u8>,
    /// When the pace goes on; as `turn_of`.
    pace_at_us: [u64; 2],
    /// The feed whose audience the pace stopped at, where the last portion was cut short; as `turn_of`.
    pace_from: [usize; 2],
    reports_at_us: u64,
    stopping: bool,
}

impl Shard {
    /// Starts a shard on a thread of its own. It ends on `Stop` or with its handle; `ended` is dropped then, after the
    /// sockets. A panic ends its viewers' sessions: the reception is told.
    pub(super) fn start(
        number: usize,
        outside: Arc<Outside>,
        transcoders: Arc<Transcoders>,
        method: SendMethod,
        reception: UnboundedSender<reception::Command>,
        ended: tokio::sync::mpsc::Sender<()>,
    ) -> Result<ShardHandle> {
        let (wake, commands) = channel();
        let handle = ShardHandle::new(wake.clone());
        let supervisor = reception.clone();
        let shard = move || {
            let shard = Self {
                outside,
                transcoders,
                commands,
                wake,
                reception,
                audiences: HashMap::new(),
                places: HashMap::new(),
                crossing: HashMap::new(),
                cutter: Cutter::default(),
                batch: Batch::new(method),
                feedback: VecDeque::new(),
                plain: Vec::new(),
                pace_at_us: [0; 2],
                pace_from: [0; 2],
                reports_at_us: 0,
                stopping: false,
            };
            if catch_unwind(AssertUnwindSafe(|| shard.run())).is_err() {
                tracing::error!(
                    shard = number,
                    "a thread that serves WebRTC viewers has died; its viewers are sent away"
                );
                let _ = supervisor.send(reception::Command::ShardLost(number));
            }
            drop(ended);
        };
        let named = std::thread::Builder::new().name(format!("vms-webrtc-{number}"));
        named.spawn(shard).map_err(|e| Error::from(e).within("WebRTC shard"))?;
        Ok(handle)
    }

    fn run(mut self) {
        while !self.stopping {
            match self.commands.recv_timeout(self.until_tick()) {
                Ok(command) => {
                    self.obey(command);
                    for _ in 0..COMMANDS {
                        let Ok(command) = self.commands.try_recv() else { break };
                        self.obey(command);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.heed();
            self.tick();
            self.batch.flush(&self.outside);
        }
        let everyone: Vec<u64> = self.places.keys().copied().collect();
        for key in everyone {
            self.leave(key);
        }
        self.batch.flush(&self.outside);
    }

    fn now_us(&self) -> u64 {
        self.outside.us(Instant::now())
    }

    /// How long until the shard has something to do of its own accord.
    fn until_tick(&self) -> Duration {
        if self.places.is_empty() {
            return Duration::from_secs(3600);
        }
        if !self.feedback.is_empty() {
            return Duration::ZERO;
        }
        let paces = self.audiences.values().any(|audience| audience.waiting);
        let next = if paces {
            self.pace_at_us[0].min(self.pace_at_us[1]).min(self.reports_at_us)
        } else {
            self.reports_at_us
        };
        Duration::from_micros(next.saturating_sub(self.now_us()))
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Join(hub, viewer) => self.join(hub, *viewer),
            Command::Move(key, path) => {
                let now_us = self.now_us();
                if let Some(viewer) = self.viewer(key) {
                    viewer.follow(path, now_us);
                }
            }
            Command::Resize(key, tile_height_px) => self.reconsider(key, |ladder| ladder.resize(tile_height_px)),
            Command::Forsake(key, hub) => self.reconsider(key, |ladder| ladder.close(&hub)),
            Command::Feedback(datagrams) => {
                let room = MAX_FEEDBACK.saturating_sub(self.feedback.len());
                let refused = datagrams.len().saturating_sub(room);
                count(&self.outside.counters.feedback_refused, refused as u64);
                self.feedback.extend(datagrams.into_iter().take(room));
            }
            Command::Leave(key) => self.leave(key),
            Command::Ready(feed) => self.deliver(feed),
            Command::Stop => self.stopping = true,
        }
    }

    fn viewer(&mut self, key: u64) -> Option<&mut Viewer> {
        let (id, at) = self.places.get(&key)?;
        self.audiences.get_mut(id)?.viewers.get_mut(*at)
    }

    fn join(&mut self, hub: Arc<Hub>, mut viewer: Viewer) {
        let id = self.attach(hub);
        let now_us = self.now_us();
        let Some(audience) = self.audiences.get_mut(&id) else {
            return;
        };
        viewer.start(audience.feed.gop(), now_us);
        if viewer.runs_sub() {
            count(&self.outside.counters.viewers_on_sub, 1);
        }
        self.seat(id, viewer);
    }

    /// Makes sure that there is a feed of `hub` and that everything it holds is delivered; its name.
    fn attach(&mut self, hub: Arc<Hub>) -> usize {
        let id = feed_of(&hub);
        let (wake, counters) = (&self.wake, &self.outside.counters);
        let audience = self.audiences.entry(id).or_insert_with(|| Audience {
            feed: Feed::attach(hub, wake.clone(), counters.clone()),
            viewers: Vec::new(),
            expected: Vec::new(),
            waiting: false,
            turn_of: [0; 2],
        });
        // What the feed holds already goes to those who watch; the newcomer starts at the GOP that results.
        if audience.is_empty() {
            audience.feed.take(&mut self.cutter, &self.outside.counters);
        } else {
            self.deliver(id);
        }
        id
    }

    /// Puts a viewer among those of a feed and sends what it has to begin with.
    fn seat(&mut self, id: usize, mut viewer: Viewer) {
        let now_us = self.now_us();
        let Some(audience) = self.audiences.get_mut(&id) else {
            return;
        };
        let mut turn = Turn {
            outside: &self.outside,
            batch: &mut self.batch,
            now_us,
        };
        viewer.flush(&mut turn);
        viewer.report(REPORT_US, &mut turn);
        if viewer.hears(Codec::Opus) {
            audience.feed.listen(true, &self.transcoders);
        }
        audience.waiting |= viewer.is_waiting();
        self.places.insert(viewer.key, (id, audience.viewers.len()));
        audience.viewers.push(viewer);
        self.batch.flush_when_full(&self.outside);
    }

    /// Takes a viewer out of those of its feed, which goes with the last.
    fn unseat(&mut self, key: u64) -> Option<Viewer> {
        let (id, at) = self.places.remove(&key)?;
        let audience = self.audiences.get_mut(&id)?;
        let viewer = audience.viewers.swap_remove(at);
        if let Some(moved) = audience.viewers.get(at) {
            self.places.insert(moved.key, (id, at));
        }
        if viewer.hears(Codec::Opus) && !audience.viewers.iter().any(|viewer| viewer.hears(Codec::Opus)) {
            audience.feed.listen(false, &self.transcoders);
        }
        if audience.is_empty() {
            self.audiences.remove(&id);
        } else if audience.viewers.len() < audience.viewers.capacity() / 4 {
            audience.viewers.shrink_to_fit();
        }
        Some(viewer)
    }

    /// Hands what a hub has published to everyone who watches it.
    fn deliver(&mut self, id: usize) {
        let Some(audience) = self.audiences.get_mut(&id) else {
            return;
        };
        let units = audience.feed.take(&mut self.cutter, &self.outside.counters);
        let mut wishes = Vec::new();
        for unit in &units {
            let now_us = self.outside.us(Instant::now());
            let seen_us = self.outside.seen_us(unit, now_us);
            if unit.key && unit.codec.kind() == TrackKind::Video {
                self.welcome(id);
            }
            let Some(audience) = self.audiences.get_mut(&id) else {
                break;
            };
            for viewer in &mut audience.viewers {
                let mut turn = Turn {
                    outside: &self.outside,
                    batch: &mut self.batch,
                    now_us,
                };
                viewer.push(unit, seen_us, &mut turn);
                audience.waiting |= viewer.is_waiting();
                if viewer.comes_last(now_us) {
                    // As soon as all others have theirs.
                    self.pace_at_us[1] = now_us;
                }
                wishes.extend(viewer.take_wish().map(|wish| (viewer.key, wish)));
                self.batch.flush_when_full(&self.outside);
            }
        }
        self.batch.flush(&self.outside);
        for (key, wish) in wishes {
            self.grant(key, wish);
        }
    }

    /// Looks into a portion of the feedback that waits. A request for many packets is answered at once, and there may be
    /// many of them: a unit that arrives meanwhile leaves before the rest.
    fn heed(&mut self) {
        let end_bytes = self.batch.pushed_bytes() + PORTION_BYTES;
        for _ in 0..FEEDBACK {
            if self.batch.pushed_bytes() >= end_bytes {
                return;
            }
            let Some((key, source, datagram)) = self.feedback.pop_front() else {
                return;
            };
            self.feedback(key, source, &datagram);
        }
    }

    fn feedback(&mut self, key: u64, source: SocketAddr, datagram: &[u8]) {
        let now_us = self.now_us();
        let Some((id, at)) = self.places.get(&key) else {
            return;
        };
        let audience = self.audiences.get_mut(id);
        let Some(viewer) = audience.and_then(|audience| audience.viewers.get_mut(*at)) else {
            return;
        };
        let mut turn = Turn {
            outside: &self.outside,
            batch: &mut self.batch,
            now_us,
        };
        viewer.receive(datagram, source, &mut self.plain, &mut turn);
        let wish = viewer.take_wish();
        self.batch.flush_when_full(&self.outside);
        if let Some(wish) = wish {
            self.grant(key, wish);
        }
    }

    fn grant(&mut self, key: u64, wish: Wish) {
        match wish {
            Wish::Leave(leave) => {
                let why = match leave {
                    Leave::CodecChanged => End::CodecChanged,
                    Leave::Failed => End::Failed,
                    Leave::Unproven => End::TimedOut,
                };
                // The reception sends the viewer away; a reception that is gone has sent everyone away.
                let _ = self.reception.send(reception::Command::Ended(key, why));
            }
            Wish::Change(decision) => self.change(key, decision),
            Wish::Resend => {
                let now_us = self.now_us();
                let Some((id, at)) = self.places.get(&key) else {
                    return;
                };
                let Some(audience) = self.audiences.get_mut(id) else {
                    return;
                };
                let Some(viewer) = audience.viewers.get_mut(*at) else {
                    return;
                };
                // Nothing to start again from: better what comes than nothing.
                if audience.feed.gop().is_empty() {
                    return;
                }
                count(&self.outside.counters.key_resends, 1);
                viewer.start(audience.feed.gop(), now_us);
                let mut turn = Turn {
                    outside: &self.outside,
                    batch: &mut self.batch,
                    now_us,
                };
                viewer.flush(&mut turn);
                audience.waiting |= viewer.is_waiting();
                self.batch.flush_when_full(&self.outside);
            }
        }
    }

    fn leave(&mut self, key: u64) {
        self.stop_crossing(key);
        let Some(mut viewer) = self.unseat(key) else {
            return;
        };
        if viewer.runs_sub() {
            self.outside.counters.viewers_on_sub.fetch_sub(1, Ordering::Relaxed);
        }
        let mut turn = Turn {
            outside: &self.outside,
            batch: &mut self.batch,
            now_us: self.outside.us(Instant::now()),
        };
        viewer.goodbye(&mut turn);
        if self.places.is_empty() {
            self.places.shrink_to_fit();
        }
    }
}

impl Audience {
    /// Whether nobody watches or is about to.
    fn is_empty(&self) -> bool {
        self.viewers.is_empty() && self.expected.is_empty()
    }
}

#[cfg(test)]
#[path = "shard_tests.rs"]
mod tests;
