//! One camera stream on its way to its viewers: what the hub hands over, the current GOP, who watches.

use super::driver::Command;
use super::picture::DisplayOrder;
use super::stats::{Counters, count};
use crate::hub::{GOP_CACHE_BYTES, Hub, Sink};
use media_core::AccessUnit;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc::UnboundedSender;

/// Video and audio; the hub's metadata is of no use to a browser's media stack.
const TRACKS: u8 = 2;
/// What may wait for the driver: a whole GOP is handed over when the first viewer joins, and as much may follow.
const INLET_BYTES: usize = 2 * GOP_CACHE_BYTES;

/// The sink of a feed: takes units on the ingest task and wakes the driver, which serves many.
pub(super) struct Inlet {
    feed: usize,
    state: Mutex<InletState>,
    closed: AtomicBool,
    wake: UnboundedSender<Command>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct InletState {
    queue: VecDeque<Arc<AccessUnit>>,
    bytes: usize,
    waiting_for_key: bool,
    /// The driver knows and has not come yet: one wake is enough.
    woken: bool,
}

impl Inlet {
    fn take_all(&self) -> VecDeque<Arc<AccessUnit>> {
        let mut state = self.state.lock();
        state.bytes = 0;
        state.woken = false;
        std::mem::take(&mut state.queue)
    }
}

impl Sink for Inlet {
    fn push(&self, unit: &Arc<AccessUnit>) -> bool {
        if self.closed.load(Ordering::Acquire) {
            return false;
        }
        if unit.track >= TRACKS {
            return true;
        }
        let mut state = self.state.lock();
        if state.bytes + unit.data.len() > INLET_BYTES {
            count(&self.counters.units_dropped, state.queue.len() as u64);
            state.queue.clear();
            state.bytes = 0;
            state.waiting_for_key = true;
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
            // The driver is gone when this fails; then the hub may forget this sink.
            return self.wake.send(Command::Ready(self.feed)).is_ok();
        }
        true
    }

    fn interrupt(&self) {}
}

/// The feed of one hub while it has viewers.
pub(super) struct Feed {
    pub(super) hub: Arc<Hub>,
    /// Sessions that get this stream, by their key in the driver.
    pub(super) viewers: Vec<u64>,
    inlet: Arc<Inlet>,
    sink: Arc<dyn Sink>,
    gop: Vec<Arc<AccessUnit>>,
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
    pub(super) fn attach(hub: Arc<Hub>, wake: UnboundedSender<Command>, counters: Arc<Counters>) -> Self {
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
            viewers: Vec::new(),
            inlet,
            sink,
            gop: Vec::new(),
            gop_bytes: 0,
            order: DisplayOrder::default(),
            waiting_for_key: true,
        }
    }

    /// What the hub has handed over since the last call, in decoding order, less the pictures that cannot be shown.
    pub(super) fn take(&mut self, counters: &Counters) -> Vec<Arc<AccessUnit>> {
        let mut units = Vec::from(self.inlet.take_all());
        units.retain(|unit| unit.track != 0 || self.admits(unit, counters));
        units
    }

    fn admits(&mut self, unit: &Arc<AccessUnit>, counters: &Counters) -> bool {
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
        // Past the cap the GOP cannot be given whole any more; who joins then waits for the next key frame.
        self.gop_bytes += unit.data.len();
        if self.gop_bytes > GOP_CACHE_BYTES {
            self.gop.clear();
        } else {
            self.gop.push(unit.clone());
        }
        true
    }

    /// The key frame and what followed it up to the live edge, video only; empty when none is kept.
    pub(super) fn gop(&self) -> &[Arc<AccessUnit>] {
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
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    fn unit(track: u8, pts: i64, key: bool, size: usize, discontinuity: bool) -> Arc<AccessUnit> {
        let codec = [Codec::H264, Codec::PcmA, Codec::OnvifMetadata][usize::from(track)];
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
            data: vec![0u8; size].into(),
            parameters: Arc::new(parameters),
        })
    }

    fn feed(hub: &Arc<Hub>) -> (Feed, UnboundedReceiver<Command>, Arc<Counters>) {
        let (wake, woken) = unbounded_channel();
        let counters = Arc::new(Counters::default());
        (Feed::attach(hub.clone(), wake, counters.clone()), woken, counters)
    }

    fn times(units: &[Arc<AccessUnit>]) -> Vec<i64> {
        units.iter().map(|unit| unit.pts).collect()
    }

    #[test]
    fn starts_with_the_gop_and_wakes_once_until_taken() {
        let hub = Hub::new("a/main", GOP_CACHE_BYTES);
        for (track, pts, key) in [(0, 1, false), (0, 2, true), (1, 3, true), (0, 4, false), (2, 5, true)] {
            hub.publish(&unit(track, pts, key, 10, false));
        }
        let (mut feed, mut woken, counters) = feed(&hub);
        hub.publish(&unit(0, 6, false, 10, false));
        assert!(matches!(woken.try_recv().unwrap(), Command::Ready(id) if id == feed_of(&hub)));
        assert!(woken.try_recv().is_err());
        assert_eq!(times(&feed.take(&counters)), [2, 3, 4, 6]);
        assert_eq!(times(feed.gop()), [2, 4, 6]);
        hub.publish(&unit(0, 5, false, 10, false));
        assert!(woken.try_recv().is_ok(), "woken again");
        assert!(feed.take(&counters).is_empty(), "a B picture");
        assert_eq!(counters.read(0).reordered_units_dropped, 1);
        hub.publish(&unit(0, 7, true, 10, false));
        feed.take(&counters);
        assert_eq!(times(feed.gop()), [7]);
    }

    #[test]
    fn a_discontinuity_waits_for_a_key_frame() {
        let hub = Hub::new("a/main", GOP_CACHE_BYTES);
        let (mut feed, _woken, counters) = feed(&hub);
        for (pts, key, discontinuity) in [
            (1, true, false),
            (9, false, true),
            (10, false, false),
            (11, true, false),
        ] {
            hub.publish(&unit(0, pts, key, 10, discontinuity));
        }
        assert_eq!(times(&feed.take(&counters)), [1, 11]);
        assert_eq!(times(feed.gop()), [11]);
    }

    #[test]
    fn memory_is_bounded_when_nobody_takes_and_when_a_gop_never_ends() {
        let hub = Hub::new("a/main", GOP_CACHE_BYTES);
        let (mut feed, _woken, counters) = feed(&hub);
        hub.publish(&unit(0, 0, true, 1 << 20, false));
        for pts in 1..100 {
            hub.publish(&unit(0, pts, false, 1 << 20, false));
            assert!(feed.inlet.state.lock().bytes <= INLET_BYTES);
        }
        assert!(
            feed.take(&counters).is_empty(),
            "overflown: nothing up to the next key frame"
        );
        assert_eq!(counters.read(0).units_dropped, 100);
        hub.publish(&unit(0, 200, true, 1 << 20, false));
        for pts in 201..300 {
            hub.publish(&unit(0, pts, false, 1 << 20, false));
            assert_eq!(feed.take(&counters).len(), if pts == 201 { 2 } else { 1 });
            assert!(feed.gop().len() <= 16);
        }
        assert!(feed.gop().is_empty(), "a GOP beyond the cap is not given in part");
    }

    #[test]
    fn a_dropped_feed_leaves_the_hub() {
        let hub = Hub::new("a/main", GOP_CACHE_BYTES);
        let (feed, _woken, _counters) = feed(&hub);
        let inlet = Arc::downgrade(&feed.inlet);
        drop(feed);
        assert!(inlet.upgrade().is_none());
    }
}
