//! What waits for a worker: the newest AAC units of a stream.

use crate::hub::Sink;
use crate::whep::stats::{Counters, count};
use media_core::{AccessUnit, Codec, TrackParameters};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// The track that carries sound.
const AUDIO: u8 = 1;
/// More than a second of sound.
const CAPACITY_UNITS: usize = 64;
/// An AAC frame has 6144 bits per channel at most (ISO/IEC 14496-3 §4.5.3.2); no camera has more than ten channels.
const LARGEST_UNIT_BYTES: usize = 8 << 10;

/// A queue that drops its oldest unit when it is full. One task takes.
pub(super) struct Intake {
    queue: Mutex<VecDeque<Arc<AccessUnit>>>,
    ready: Notify,
    closed: AtomicBool,
    counters: Arc<Counters>,
}

impl Intake {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self {
            queue: Mutex::default(),
            ready: Notify::new(),
            closed: AtomicBool::new(false),
            counters,
        }
    }

    /// Takes nothing any more; the hub may forget it.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// The parameters of the next unit, once there is one.
    pub(super) async fn parameters(&self) -> Arc<TrackParameters> {
        loop {
            if let Some(unit) = self.queue.lock().front() {
                return unit.parameters.clone();
            }
            self.ready.notified().await;
        }
    }

    /// The next unit, or None when the next has other parameters than `parameters`.
    pub(super) async fn next(&self, parameters: &Arc<TrackParameters>) -> Option<Arc<AccessUnit>> {
        loop {
            {
                let mut queue = self.queue.lock();
                if let Some(unit) = queue.front() {
                    let same = Arc::ptr_eq(&unit.parameters, parameters) || unit.parameters == *parameters;
                    return if same { queue.pop_front() } else { None };
                }
            }
            self.ready.notified().await;
        }
    }

    /// Forgets all but the newest unit: what a worker was not ready for would come late and delay all that follows.
    pub(super) fn keep_newest(&self) {
        let mut queue = self.queue.lock();
        let old = queue.len().saturating_sub(1);
        queue.drain(..old);
    }
}

impl Sink for Intake {
    fn push(&self, unit: &Arc<AccessUnit>) -> bool {
        if self.closed.load(Ordering::Acquire) {
            return false;
        }
        if unit.track != AUDIO || unit.parameters.codec != Codec::Aac {
            return true;
        }
        if unit.data.len() > LARGEST_UNIT_BYTES {
            count(&self.counters.transcoder_units_malformed, 1);
            return true;
        }
        let mut queue = self.queue.lock();
        if queue.len() >= CAPACITY_UNITS {
            queue.pop_front();
            count(&self.counters.transcoder_units_dropped, 1);
        }
        queue.push_back(unit.clone());
        drop(queue);
        self.ready.notify_one();
        true
    }

    fn interrupt(&self, _cause: media_core::index::GapCause) {}
}
