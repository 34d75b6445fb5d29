//! A thread that serves a share of the viewers: units in, protected packets out.
//!
//! Nothing here waits for anything but its own channel and, when a socket's buffer is full, the kernel. When a unit
//! arrives, one pass over the viewers of its feed protects it for each of them into a batch. Packets that the pace holds
//! back, and reports, are looked after by ticks of the whole shard: no viewer has a timer of its own.

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
use media_core::{Codec, Error, Result};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SendError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// Commands taken before everything else gets its turn.
const COMMANDS: usize = 256;
/// How often packets that the pace holds back get their turn: at 50 Mbit/s some ten packets, one message.
const PACE_US: u64 = 2000;
/// What the pace held back is sent in portions of this size (a millisecond's work): a unit that arrives meanwhile leaves
/// before the next.
const PORTION_BYTES: u64 = 512 << 10;
/// How often a viewer is sent a report.
const REPORT_US: u64 = 1_000_000;
/// How often the shard looks whose report is due.
const REPORTS_US: u64 = 20_000;

/// An SRTCP datagram: whose, where it came from, its bytes.
pub(super) type Feedback = (u64, SocketAddr, Box<[u8]>);

/// What a shard is told. Ordered: a viewer is known before its feedback can arrive.
pub(super) enum Command {
    /// A viewer of a hub has connected.
    Join(Arc<Hub>, Box<Viewer>),
    /// A viewer's datagrams go elsewhere now.
    Move(u64, Path),
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
    /// Some viewers have packets that wait for their turn.
    waiting: bool,
    /// Whose turn it is, where the last portion was cut short.
    turn_of: usize,
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
    cutter: Cutter,
    batch: Batch,
    plain: Vec<u8>,
    pace_at_us: u64,
    /// The feed whose audience the pace stopped at, where the last portion was cut short.
    pace_from: usize,
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
                cutter: Cutter::default(),
                batch: Batch::new(method),
                plain: Vec::new(),
                pace_at_us: 0,
                pace_from: 0,
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
        let paces = self.audiences.values().any(|audience| audience.waiting);
        let next = if paces {
            self.pace_at_us.min(self.reports_at_us)
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
            Command::Feedback(datagrams) => {
                for (key, source, datagram) in datagrams {
                    self.feedback(key, source, &datagram);
                }
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
        let id = feed_of(&hub);
        let (wake, counters) = (&self.wake, &self.outside.counters);
        let audience = self.audiences.entry(id).or_insert_with(|| Audience {
            feed: Feed::attach(hub, wake.clone(), counters.clone()),
            viewers: Vec::new(),
            waiting: false,
            turn_of: 0,
        });
        // What the feed holds already goes to those who watch; the newcomer starts at the GOP that results.
        if audience.viewers.is_empty() {
            audience.feed.take(&mut self.cutter, &self.outside.counters);
        } else {
            self.deliver(id);
        }
        let now_us = self.now_us();
        let Some(audience) = self.audiences.get_mut(&id) else {
            return;
        };
        if viewer.hears(Codec::Opus) {
            audience.feed.listen(true, &self.transcoders);
        }
        viewer.start(audience.feed.gop(), now_us);
        let mut turn = Turn {
            outside: &self.outside,
            batch: &mut self.batch,
            now_us,
        };
        viewer.flush(&mut turn);
        viewer.report(REPORT_US, &mut turn);
        audience.waiting |= viewer.is_waiting();
        self.places.insert(viewer.key, (id, audience.viewers.len()));
        audience.viewers.push(viewer);
        self.batch.flush_when_full(&self.outside);
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
            for viewer in &mut audience.viewers {
                let mut turn = Turn {
                    outside: &self.outside,
                    batch: &mut self.batch,
                    now_us,
                };
                viewer.push(unit, seen_us, &mut turn);
                audience.waiting |= viewer.is_waiting();
                wishes.extend(viewer.take_wish().map(|wish| (viewer.key, wish)));
                self.batch.flush_when_full(&self.outside);
            }
        }
        self.batch.flush(&self.outside);
        for (key, wish) in wishes {
            self.grant(key, wish);
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

    /// Sends what the pace held back, and reports that are due.
    fn tick(&mut self) {
        let now_us = self.now_us();
        let mut wishes = Vec::new();
        if now_us >= self.pace_at_us {
            // Cut short: on with it as soon as what has arrived meanwhile is on its way.
            let pause_us = if self.pace(now_us, &mut wishes) { PACE_US } else { 0 };
            self.pace_at_us = now_us + pause_us;
        }
        if now_us >= self.reports_at_us {
            self.reports_at_us = now_us + REPORTS_US;
            self.report(now_us, &mut wishes);
        }
        for (key, wish) in wishes {
            self.grant(key, wish);
        }
    }

    /// Sends a portion of what the pace held back; false when there is more to send now.
    fn pace(&mut self, now_us: u64, wishes: &mut Vec<(u64, Wish)>) -> bool {
        let end_bytes = self.batch.pushed_bytes() + PORTION_BYTES;
        let waiting = self.audiences.iter().filter(|(_, audience)| audience.waiting);
        let mut feeds: Vec<usize> = waiting.map(|(id, _)| *id).collect();
        // Where it was cut short: audiences that are looked at first must not starve the others.
        let first = feeds.iter().position(|id| *id == self.pace_from).unwrap_or(0);
        feeds.rotate_left(first);
        for id in feeds {
            let Some(audience) = self.audiences.get_mut(&id) else {
                continue;
            };
            let first = std::mem::take(&mut audience.turn_of);
            for (at, viewer) in audience.viewers.iter_mut().enumerate().skip(first) {
                if !viewer.is_waiting() {
                    continue;
                }
                if self.batch.pushed_bytes() >= end_bytes {
                    audience.turn_of = at;
                    self.pace_from = id;
                    return false;
                }
                let mut turn = Turn {
                    outside: &self.outside,
                    batch: &mut self.batch,
                    now_us,
                };
                viewer.flush(&mut turn);
                wishes.extend(viewer.take_wish().map(|wish| (viewer.key, wish)));
                self.batch.flush_when_full(&self.outside);
            }
            audience.waiting = audience.viewers.iter().any(Viewer::is_waiting);
        }
        true
    }

    fn report(&mut self, now_us: u64, wishes: &mut Vec<(u64, Wish)>) {
        for viewer in self.audiences.values_mut().flat_map(|audience| &mut audience.viewers) {
            if now_us < viewer.report_at_us() {
                continue;
            }
            let mut turn = Turn {
                outside: &self.outside,
                batch: &mut self.batch,
                now_us,
            };
            viewer.report(REPORT_US, &mut turn);
            wishes.extend(viewer.take_wish().map(|wish| (viewer.key, wish)));
            self.batch.flush_when_full(&self.outside);
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
        let Some((id, at)) = self.places.remove(&key) else {
            return;
        };
        let now_us = self.now_us();
        let Some(audience) = self.audiences.get_mut(&id) else {
            return;
        };
        let mut viewer = audience.viewers.swap_remove(at);
        if let Some(moved) = audience.viewers.get(at) {
            self.places.insert(moved.key, (id, at));
        }
        let mut turn = Turn {
            outside: &self.outside,
            batch: &mut self.batch,
            now_us,
        };
        viewer.goodbye(&mut turn);
        if viewer.hears(Codec::Opus) && !audience.viewers.iter().any(|viewer| viewer.hears(Codec::Opus)) {
            audience.feed.listen(false, &self.transcoders);
        }
        if audience.viewers.is_empty() {
            self.audiences.remove(&id);
        } else if audience.viewers.len() < audience.viewers.capacity() / 4 {
            audience.viewers.shrink_to_fit();
        }
        if self.places.is_empty() {
            self.places.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::SystemClock;
    use crate::hub::GOP_CACHE_BYTES;
    use crate::whep::viewer::tests::{endless_gop, viewer};

    fn shard() -> Shard {
        let (wake, commands) = channel();
        let (reception, _) = tokio::sync::mpsc::unbounded_channel();
        // Transcodes nothing: the runtime may go.
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let outside = Arc::new(Outside::new(Vec::new(), Arc::default(), SystemClock::new()));
        Shard {
            transcoders: Transcoders::new(runtime.handle().clone(), outside.counters.clone()),
            outside,
            commands,
            wake,
            reception,
            audiences: HashMap::new(),
            places: HashMap::new(),
            cutter: Cutter::default(),
            batch: Batch::new(SendMethod::Batched),
            plain: Vec::new(),
            pace_at_us: 0,
            pace_from: 0,
            reports_at_us: 0,
            stopping: false,
        }
    }

    #[test]
    fn bursts_of_several_cameras_get_their_turn_in_time() {
        let mut shard = shard();
        // Each camera's viewers alone are worth three portions at a time.
        let hubs: Vec<_> = (0..3).map(|n| Hub::new(format!("{n}/main"), GOP_CACHE_BYTES)).collect();
        for key in 0..90 {
            shard.join(hubs[key as usize % 3].clone(), viewer(key));
        }
        let gop = endless_gop();
        for key in 0..90 {
            shard.viewer(key).unwrap().start(&gop, 0);
        }
        shard
            .audiences
            .values_mut()
            .for_each(|audience| audience.waiting = true);
        // Time enough between portions for everyone's bucket to fill: there is always more than can be sent.
        for turn in 1..=12 {
            shard.pace(turn * 1_000_000, &mut Vec::new());
            shard.batch.clear();
        }
        let mut began = [0; 3];
        for key in 0..90 {
            began[key as usize % 3] += usize::from(!shard.viewer(key).unwrap().is_untouched());
        }
        assert_eq!(began, [30; 3], "of 30 each");
    }
}
