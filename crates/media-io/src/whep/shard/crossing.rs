//! Viewers on their way from one of a camera's streams to the other.

use super::Shard;
use crate::whep::adaptation::Decision;
use crate::whep::ladder::Ladder;
use crate::whep::stats::count;
use std::sync::atomic::Ordering;

/// A change of stream out of the GOP cache costs at most this, a second of 4 Mbit/s; else it waits for a key frame.
const MAX_CHANGE_BYTES: usize = 512 << 10;

impl Shard {
    /// Tells a viewer's ladder something, and does what follows from it.
    pub(super) fn reconsider(&mut self, key: u64, tell: impl FnOnce(&mut Ladder)) {
        let now_us = self.now_us();
        let Some(viewer) = self.viewer(key) else {
            return;
        };
        if let Some(ladder) = &mut viewer.ladder {
            tell(ladder);
        }
        viewer.reconsider(now_us);
        if let Some(wish) = viewer.take_wish() {
            self.grant(key, wish);
        }
    }

    /// Begins a viewer's change to the other stream. The one that runs goes on until the other can take over.
    pub(super) fn change(&mut self, key: u64, decision: Decision) {
        self.stop_crossing(key);
        let Some(ladder) = self.viewer(key).and_then(|viewer| viewer.ladder.as_mut()) else {
            return;
        };
        ladder.head_for(decision.show);
        if ladder.running() == decision.show {
            return;
        }
        let Some(hub) = ladder.hub(decision.show).cloned() else {
            return;
        };
        let id = self.attach(hub);
        let Some(audience) = self.audiences.get_mut(&id) else {
            return;
        };
        let gop_bytes: usize = audience.feed.gop().iter().map(|unit| unit.size_bytes()).sum();
        if decision.soon && (1..=MAX_CHANGE_BYTES).contains(&gop_bytes) {
            self.bring_over(key, id, true);
        } else {
            audience.expected.push(key);
            self.crossing.insert(key, id);
        }
    }

    /// A viewer does not wait for another stream any more.
    pub(super) fn stop_crossing(&mut self, key: u64) {
        let Some(id) = self.crossing.remove(&key) else {
            return;
        };
        if let Some(audience) = self.audiences.get_mut(&id) {
            audience.expected.retain(|expected| *expected != key);
            if audience.is_empty() {
                self.audiences.remove(&id);
            }
        }
    }

    /// Hands a viewer over to feed `id`, to begin with its GOP or with the key frame that is delivered next.
    pub(super) fn bring_over(&mut self, key: u64, id: usize, with_gop: bool) {
        self.crossing.remove(&key);
        let now_us = self.now_us();
        if self.places.get(&key).is_none_or(|(from, _)| *from == id) {
            return;
        }
        let Some(mut viewer) = self.unseat(key) else {
            return;
        };
        let Some(audience) = self.audiences.get_mut(&id) else {
            return;
        };
        if let Some(ladder) = &mut viewer.ladder {
            ladder.runs(now_us);
        }
        let counters = &self.outside.counters;
        if viewer.runs_sub() {
            count(&counters.switches_down, 1);
            count(&counters.viewers_on_sub, 1);
        } else {
            count(&counters.switches_up, 1);
            counters.viewers_on_sub.fetch_sub(1, Ordering::Relaxed);
        }
        if with_gop {
            viewer.start(audience.feed.gop(), now_us);
        } else {
            viewer.await_key();
        }
        self.seat(id, viewer);
    }

    /// Brings over the viewers who have waited for the key frame that is delivered next.
    pub(super) fn welcome(&mut self, id: usize) {
        let Some(audience) = self.audiences.get_mut(&id) else {
            return;
        };
        for key in std::mem::take(&mut audience.expected) {
            self.bring_over(key, id, false);
        }
    }
}
