//! One camera stream on its way to the viewers of one shard: what the hub hands over, cut once, and the current GOP.

use super::packets::{CutUnit, Cutter};
use super::picture::DisplayOrder;
use super::shard::Command;
use super::stats::{Counters, count};
use super::transcoding::{Listening, Transcoders};
use crate::hub::{GOP_CACHE_BYTES, Hub, Sink};
use media_core::{AccessUnit, Codec};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

/// Video and audio; the hub's metadata is of no use to a browser's media stack.
const TRACKS: u8 = 2;
/// What may wait for the shard: a whole GOP is handed over when the first viewer joins, and as much may follow.
const INLET_BYTES: usize = 2 * GOP_CACHE_BYTES;

/// The sink of a feed: takes units on the ingest task and wakes the shard, which serves many.
pub(super) struct Inlet {
    feed: usize,
    state: Mutex<InletState>,
    closed: AtomicBool,
    wake: Sender<Command>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct InletState {
    queue: VecDeque<Arc<AccessUnit>>,
    bytes: usize,
    waiting_for_key: bool,
    /// Units were dropped since the shard came last.
    overflown: bool,
    /// The shard knows and has not come yet: one wake is enough.
    woken: bool,
}

impl Inlet {
    /// What waits, and whether units before it were dropped.
    fn take_all(&self) -> (VecDeque<Arc<AccessUnit>>, bool) {
        let mut state = self.state.lock();
        state.bytes = 0;
        state.woken = false;
        let overflown = std::mem::take(&mut state.overflown);
        (std::mem::take(&mut state.queue), overflown)
    }
}

impl Sink for Inlet {
    fn push(&self, unit: &Arc<AccessUnit>) -> bool {
        if self.closed.load(Ordering::Acquire) {
            return false;
        }
        // AAC comes as Opus, from the transcoders.
        if unit.track >= TRACKS || unit.parameters.codec == Codec::Aac {
            return true;
        }
        let mut state = self.state.lock();
        if state.bytes + unit.data.len() > INLET_BYTES {
            count(&self.counters.units_dropped, state.queue.len() as u64);
            state.queue.clear();
            state.bytes = 0;
            state.waiting_for_key = true;
            state.overflown = true;
        }
        if state.waiting_for_key {
            if unit.track != 0 || !unit.key {
                count(&self.counters.units_dropped, 1);
                return true;
            }
            state.waiting_for_key = false;
        }
        state.bytes += unit.data.len();
        state.queue.push_back(unit.clone());
        if !std::mem::replace(&mut state.woken, true) {
            // The shard is gone when this fails; then the hub may forget this sink.
            return self.wake.send(Command::Ready(self.feed)).is_ok();
        }
        true
    }

    fn interrupt(&self, _cause: media_core::index::GapCause) {}
}

/// The feed of one hub while it has viewers.
pub(super) struct Feed {
    hub: Arc<Hub>,
    inlet: Arc<Inlet>,
    sink: Arc<dyn Sink>,
    /// Some viewer takes Opus: what the camera sends as AAC is transcoded.
    listening: Option<Listening>,
    gop: Vec<Arc<CutUnit>>,
    gop_bytes: usize,
    order: DisplayOrder,
    /// After a discontinuity that is no key frame there is nothing to refer to.
    waiting_for_key: bool,
}

/// The name of a hub's feed: the hub's place in memory, which the feed keeps alive.
pub(super) fn feed_of(hub: &Arc<Hub>) -> usize {
    Arc::as_ptr(hub) as usize
}

impl Feed {
    /// Attaches to `hub`, whose current GOP is handed over at once.
    pub(super) fn attach(hub: Arc<Hub>, wake: Sender<Command>, counters: Arc<Counters>) -> Self {
        let inlet = Arc::new(Inlet {
            feed: feed_of(&hub),
            state: Mutex::default(),
            closed: AtomicBool::new(false),
            wake,
            counters,
        });
        let sink: Arc<dyn Sink> = inlet.clone();
        hub.attach_at_key(sink.clone());
        Self {
            hub,
            inlet,
            sink,
            listening: None,
            gop: Vec::new(),
            gop_bytes: 0,
            order: DisplayOrder::default(),
            waiting_for_key: true,
        }
    }

    /// Takes Opus made of the camera's AAC too, or no longer.
    pub(super) fn listen(&mut self, listens: bool, transcoders: &Arc<Transcoders>) {
        if !listens {
            self.listening = None;
        } else if self.listening.is_none() {
            self.listening = transcoders.listen(&self.hub, &self.sink);
        }
    }

    /// What the hub has handed over since the last call, cut, in decoding order, less the pictures that cannot be
    /// shown.
    pub(super) fn take(&mut self, cutter: &mut Cutter, counters: &Counters) -> Vec<Arc<CutUnit>> {
        let (units, overflown) = self.inlet.take_all();
        if overflown {
            // What is kept ends in a hole: who joins would freeze there.
            self.gop.clear();
            self.gop_bytes = 0;
            self.waiting_for_key = true;
        }
        let mut taken = Vec::with_capacity(units.len());
        for unit in units {
            if unit.track == 0 && !self.admits(&unit, counters) {
                continue;
            }
            let Ok(cut) = cutter.cut(&unit) else {
                count(&counters.units_malformed, 1);
                continue;
            };
            let cut = Arc::new(cut);
            if unit.track == 0 {
                self.keep(&cut);
            }
            taken.push(cut);
        }
        taken
    }

    fn admits(&mut self, unit: &AccessUnit, counters: &Counters) -> bool {
        if unit.discontinuity || unit.key {
            self.gop.clear();
            self.gop_bytes = 0;
            self.waiting_for_key = !unit.key;
        }
        if self.waiting_for_key {
            return false;
        }
        if !self.order.admits(unit) {
            count(&counters.reordered_units_dropped, 1);
            return false;
        }
        true
    }

    /// Adds a unit to the GOP. Past the cap the GOP cannot be given whole any more; who joins then waits for the next
    /// key frame.
    fn keep(&mut self, cut: &Arc<CutUnit>) {
        self.gop_bytes += cut.size_bytes();
        if self.gop_bytes > GOP_CACHE_BYTES {
            self.gop.clear();
        } else {
            self.gop.push(cut.clone());
        }
    }

    /// The key frame and what followed it up to the live edge, video only; empty when none is kept.
    pub(super) fn gop(&self) -> &[Arc<CutUnit>] {
        &self.gop
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.inlet.closed.store(true, Ordering::Release);
        self.hub.detach(&self.sink);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;
    use media_core::{Codec, TrackParameters};
    use std::sync::mpsc::{Receiver, channel};

    fn unit(track: u8, pts: i64, key: bool, size: usize, discontinuity: bool) -> Arc<AccessUnit> {
        let codec = [Codec::H264, Codec::PcmA, Codec::OnvifMetadata][usize::from(track)];
        let mut data = vec![0x41u8; size];
        if track == 0 {
            data[..4].copy_from_slice(&(size as u32 - 4).to_be_bytes());
        }
        let parameters = TrackParameters {
            codec,
            clock_rate: 90_000,
            configuration: Bytes::new(),
            width: 0,
            height: 0,
            channels: 0,
            reorder_depth: 1,
            fps_milli: 0,
        };
        Arc::new(AccessUnit {
            track,
            pts,
            dts: pts,
            utc_us: 0,
            received_us: 0,
            key,
            discontinuity,
            lost_packets: 0,
            data: data.into(),
            parameters: Arc::new(parameters),
        })
    }

    struct Bench {
        feed: Feed,
        woken: Receiver<Command>,
        counters: Arc<Counters>,
        cutter: Cutter,
    }

    impl Bench {
        fn new(hub: &Arc<Hub>) -> Self {
            let (wake, woken) = channel();
            let counters = Arc::new(Counters::default());
            Self {
                feed: Feed::attach(hub.clone(), wake, counters.clone()),
                woken,
                counters,
                cutter: Cutter::default(),
            }
        }

        fn take(&mut self) -> Vec<i64> {
            times(&self.feed.take(&mut self.cutter, &self.counters))
        }

        fn gop(&self) -> Vec<i64> {
            times(self.feed.gop())
        }
    }

    fn times(units: &[Arc<CutUnit>]) -> Vec<i64> {
        units.iter().map(|unit| unit.pts).collect()
    }

    #[test]
    fn starts_with_the_gop_and_wakes_once_until_taken() {
        let hub = Hub::new("a/main", GOP_CACHE_BYTES);
        for (track, pts, key) in [(0, 1, false), (0, 2, true), (1, 3, true), (0, 4, false), (2, 5, true)] {
            hub.publish(&unit(track, pts, key, 10, false));
        }
        let mut bench = Bench::new(&hub);
        hub.publish(&unit(0, 6, false, 10, false));
        assert!(matches!(bench.woken.try_recv().unwrap(), Command::Ready(id) if id == feed_of(&hub)));
        assert!(bench.woken.try_recv().is_err());
        assert_eq!(bench.take(), [2, 3, 4, 6]);
        assert_eq!(bench.gop(), [2, 4, 6]);
        hub.publish(&unit(0, 5, false, 10, false));
        assert!(bench.woken.try_recv().is_ok(), "woken again");
        assert!(bench.take().is_empty(), "a B picture");
        assert_eq!(bench.counters.read(0).reordered_units_dropped, 1);
        hub.publish(&unit(0, 7, true, 10, false));
        bench.take();
        assert_eq!(bench.gop(), [7]);
    }

    #[test]
    fn a_discontinuity_waits_for_a_key_frame() {
        let hub = Hub::new("a/main", GOP_CACHE_BYTES);
        let mut bench = Bench::new(&hub);
        for (pts, key, discontinuity) in [
            (1, true, false),
            (9, false, true),
            (10, false, false),
            (11, true, false),
        ] {
            hub.publish(&unit(0, pts, key, 10, discontinuity));
        }
        assert_eq!(bench.take(), [1, 11]);
        assert_eq!(bench.gop(), [11]);
    }

    #[test]
    fn units_that_break_their_form_are_skipped() {
        let hub = Hub::new("a/main", GOP_CACHE_BYTES);
        let mut bench = Bench::new(&hub);
        hub.publish(&unit(0, 1, true, 100, false));
        let mut torn = AccessUnit::clone(&unit(0, 2, false, 100, false));
        torn.data = torn.data.slice(..50);
        hub.publish(&Arc::new(torn));
        hub.publish(&unit(0, 3, false, 100, false));
        assert_eq!(bench.take(), [1, 3]);
        assert_eq!(bench.gop(), [1, 3]);
        assert_eq!(bench.counters.read(0).units_malformed, 1);
    }

    #[test]
    fn memory_is_bounded_when_nobody_takes_and_when_a_gop_never_ends() {
        let hub = Hub::new("a/main", GOP_CACHE_BYTES);
        let mut bench = Bench::new(&hub);
        hub.publish(&unit(0, 0, true, 1 << 20, false));
        for pts in 1..100 {
            hub.publish(&unit(0, pts, false, 1 << 20, false));
            assert!(bench.feed.inlet.state.lock().bytes <= INLET_BYTES);
        }
        assert!(bench.take().is_empty(), "overflown: nothing up to the next key frame");
        assert_eq!(bench.counters.read(0).units_dropped, 100);
        hub.publish(&unit(0, 200, true, 1 << 20, false));
        for pts in 201..300 {
            hub.publish(&unit(0, pts, false, 1 << 20, false));
            assert_eq!(bench.take().len(), if pts == 201 { 2 } else { 1 });
            assert!(bench.gop().len() <= 16);
        }
        assert!(bench.gop().is_empty(), "a GOP beyond the cap is not given in part");
    }

    #[test]
    fn a_gop_with_a_hole_is_given_to_nobody() {
        let hub = Hub::new("a/main", GOP_CACHE_BYTES);
        let mut bench = Bench::new(&hub);
        hub.publish(&unit(0, 0, true, 100, false));
        bench.take();
        assert_eq!(bench.gop(), [0]);
        for pts in 1..100 {
            hub.publish(&unit(0, pts, false, 1 << 20, false));
        }
        assert!(bench.take().is_empty() && bench.gop().is_empty());
        hub.publish(&unit(0, 100, false, 100, false));
        hub.publish(&unit(0, 101, true, 100, false));
        bench.take();
        assert_eq!(bench.gop(), [101]);
    }

    #[test]
    fn a_dropped_feed_leaves_the_hub() {
        let hub = Hub::new("a/main", GOP_CACHE_BYTES);
        let bench = Bench::new(&hub);
        let inlet = Arc::downgrade(&bench.feed.inlet);
        drop(bench.feed);
        assert!(inlet.upgrade().is_none());
    }
}
