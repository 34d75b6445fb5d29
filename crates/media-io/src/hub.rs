//! One hub per camera stream: takes access units from ingest, shares each by reference with every sink and keeps the
//! current GOP so that a sink can start at a key frame at once.
//!
//! `publish` runs on the ingest task and calls every sink in turn; a sink therefore never blocks: it queues, and when
//! its queue is full it drops up to the next key frame and counts.

use crate::bitrate::{Bitrate, BitrateMeter};
use media_core::index::GapCause;
use media_core::{AccessUnit, TrackParameters};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Receives access units. Called on the ingest task: must not block, must not wait for a lock held across I/O.
pub trait Sink: Send + Sync {
    /// One unit, in decoding order per track. False: the sink is gone and shall be forgotten.
    fn push(&self, unit: &Arc<AccessUnit>) -> bool;
    /// The camera is lost or removed: what was held back waiting for a next unit can be let go. Units may follow later.
    /// Said again when it turns out that nothing comes for another cause.
    fn interrupt(&self, cause: GapCause);
}

/// Default cap of the GOP cache of one stream.
pub const GOP_CACHE_BYTES: usize = 16 << 20;

struct State {
    sinks: Vec<Arc<dyn Sink>>,
    gop: VecDeque<Arc<AccessUnit>>,
    gop_bytes: usize,
    /// False when the cap cut the current GOP short: what is kept does not start with a key frame any more.
    gop_whole: bool,
    /// What each track (video, audio, metadata) was at its newest unit.
    parameters: [Option<Arc<TrackParameters>>; 3],
    /// Of the video.
    bitrate: BitrateMeter,
}

/// The meeting point of one stream's producer and its sinks.
pub struct Hub {
    name: String,
    gop_cap_bytes: usize,
    state: Mutex<State>,
    units: AtomicU64,
}

impl Hub {
    /// A hub called `name` (`camera/stream`, for messages) that keeps at most `gop_cap_bytes` of the current GOP.
    pub fn new(name: impl Into<String>, gop_cap_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            gop_cap_bytes,
            state: Mutex::new(State {
                sinks: Vec::new(),
                gop: VecDeque::new(),
                gop_bytes: 0,
                gop_whole: false,
                parameters: [None, None, None],
                bitrate: BitrateMeter::default(),
            }),
            units: AtomicU64::new(0),
        })
    }

    /// `camera/stream`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Units published so far.
    pub fn units(&self) -> u64 {
        self.units.load(Ordering::Relaxed)
    }

    /// What `track` was at its newest unit; None before its first.
    pub fn parameters(&self, track: u8) -> Option<Arc<TrackParameters>> {
        self.state.lock().parameters.get(usize::from(track)).cloned().flatten()
    }

    /// The video's bit rate over the last seconds.
    pub fn bitrate(&self) -> Bitrate {
        self.state.lock().bitrate.read()
    }

    /// Shares `unit` with every sink and adds it to the GOP cache.
    pub fn publish(&self, unit: &Arc<AccessUnit>) {
        self.units.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock();
        if let Some(known) = state.parameters.get_mut(usize::from(unit.track))
            && !known.as_ref().is_some_and(|p| Arc::ptr_eq(p, &unit.parameters))
        {
            *known = Some(unit.parameters.clone());
        }
        if unit.track == 0 {
            state.bitrate.add(unit.data.len(), unit.received_us);
        }
        if unit.track == 0 && (unit.key || unit.discontinuity) {
            state.gop.clear();
            state.gop_bytes = 0;
            state.gop_whole = unit.key;
        }
        if state.gop_whole {
            if state.gop_bytes + unit.data.len() > self.gop_cap_bytes {
                state.gop.clear();
                state.gop_bytes = 0;
                state.gop_whole = false;
            } else {
                state.gop_bytes += unit.data.len();
                state.gop.push_back(unit.clone());
            }
        }
        state.sinks.retain(|sink| sink.push(unit));
    }

    /// Tells every sink that the camera is lost, and why nothing comes.
    pub fn interrupt(&self, cause: GapCause) {
        let state = self.state.lock();
        for sink in &state.sinks {
            sink.interrupt(cause);
        }
    }

    /// Adds a sink that starts with the next unit.
    pub fn attach(&self, sink: Arc<dyn Sink>) {
        self.state.lock().sinks.push(sink);
    }

    /// Adds a sink that first gets the current GOP (if one is kept), without a gap or a repeat before what follows.
    pub fn attach_at_key(&self, sink: Arc<dyn Sink>) {
        let mut state = self.state.lock();
        for unit in &state.gop {
            if !sink.push(unit) {
                return;
            }
        }
        state.sinks.push(sink);
    }

    /// Removes a sink.
    pub fn detach(&self, sink: &Arc<dyn Sink>) {
        self.state.lock().sinks.retain(|s| !Arc::ptr_eq(s, sink));
    }

    /// The current GOP: a key frame and what followed it, or nothing.
    pub fn gop(&self) -> Vec<Arc<AccessUnit>> {
        self.state.lock().gop.iter().cloned().collect()
    }
}
