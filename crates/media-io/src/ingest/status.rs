//! What a stream does, as others may ask at any time.

use media_core::{AccessUnit, Codec, Error, ErrorKind, TrackParameters};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Seconds over which frame rate and bit rate are taken.
const WINDOW_SECONDS: usize = 4;

/// State of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamState {
    /// No frame yet, no trouble yet.
    Connecting,
    /// Frames come.
    Online,
    /// The camera cannot be reached, or stopped sending.
    Offline,
    /// The camera refuses the user name or password.
    Unauthorized,
    /// The camera answers, but with nothing that can be used.
    Error,
}

impl StreamState {
    /// Lower-case name used by the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Unauthorized => "unauthorized",
            Self::Error => "error",
        }
    }
}

/// A snapshot of a stream's state.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamStatus {
    /// State.
    pub state: StreamState,
    /// Why it is not online.
    pub reason: Option<String>,
    /// Codec of the video, once known; as the rest of the parameters it outlasts the connection.
    pub codec: Option<Codec>,
    /// Width of the video in pixels, 0 when unknown.
    pub width: u32,
    /// Height of the video in pixels, 0 when unknown.
    pub height: u32,
    /// Video frames per second over the last seconds.
    pub fps: f64,
    /// Bits per second of all tracks over the last seconds.
    pub bitrate_bps: u64,
    /// Server time at which the newest video frame arrived, µs since the Unix epoch.
    pub last_frame_us: Option<i64>,
    /// Connections tried after the first.
    pub reconnects: u64,
    /// RTP packets lost, over all connections.
    pub rtp_lost: u64,
    /// RTP packets that came ahead of their turn and were put back in order, over all connections.
    pub rtp_reordered: u64,
    /// Access units discarded because something of them was missing or broken, over all connections.
    pub discarded_units: u64,
    /// How far the camera's wall clock is ahead of the server's, µs.
    pub clock_offset_us: Option<i64>,
    /// Access units published, over all connections and tracks.
    pub units: u64,
    /// SHA-256 of the certificate that an rtsps camera showed, in hex. It is not verified.
    pub certificate_sha256: Option<String>,
}

struct Slow {
    state: StreamState,
    reason: Option<String>,
    parameters: Option<Arc<TrackParameters>>,
    clock_offset_us: Option<i64>,
    certificate_sha256: Option<String>,
    /// Video frames and bytes of all tracks, at each of the last seconds: (monotonic µs, frames, bytes).
    seconds: VecDeque<(u64, u64, u64)>,
}

/// The status shared between the ingest task, which writes, and whoever asks.
pub(super) struct SharedStatus {
    slow: Mutex<Slow>,
    last_frame_us: AtomicI64,
    reconnects: AtomicU64,
    rtp_lost: AtomicU64,
    rtp_reordered: AtomicU64,
    discarded_units: AtomicU64,
    units: AtomicU64,
    frames: AtomicU64,
    bytes: AtomicU64,
}

impl SharedStatus {
    pub(super) fn new() -> Self {
        Self {
            slow: Mutex::new(Slow {
                state: StreamState::Connecting,
                reason: None,
                parameters: None,
                clock_offset_us: None,
                certificate_sha256: None,
                seconds: VecDeque::with_capacity(WINDOW_SECONDS + 1),
            }),
            last_frame_us: AtomicI64::new(0),
            reconnects: AtomicU64::new(0),
            rtp_lost: AtomicU64::new(0),
            rtp_reordered: AtomicU64::new(0),
            discarded_units: AtomicU64::new(0),
            units: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    pub(super) fn snapshot(&self) -> StreamStatus {
        let slow = self.slow.lock();
        let parameters = slow.parameters.as_deref();
        let online = slow.state == StreamState::Online;
        let (fps, bitrate_bps) = if online { rates(&slow.seconds) } else { (0.0, 0) };
        let last_frame_us = self.last_frame_us.load(Ordering::Relaxed);
        StreamStatus {
            state: slow.state,
            reason: slow.reason.clone(),
            codec: parameters.map(|p| p.codec),
            width: parameters.map_or(0, |p| p.width),
            height: parameters.map_or(0, |p| p.height),
            // Until seconds have passed, what the camera says of itself serves.
            fps: if online && fps == 0.0 {
                parameters.map_or(0.0, |p| f64::from(p.fps_milli) / 1000.0)
            } else {
                fps
            },
            bitrate_bps,
            last_frame_us: (last_frame_us != 0).then_some(last_frame_us),
            reconnects: self.reconnects.load(Ordering::Relaxed),
            rtp_lost: self.rtp_lost.load(Ordering::Relaxed),
            rtp_reordered: self.rtp_reordered.load(Ordering::Relaxed),
            discarded_units: self.discarded_units.load(Ordering::Relaxed),
            clock_offset_us: slow.clock_offset_us,
            units: self.units.load(Ordering::Relaxed),
            certificate_sha256: slow.certificate_sha256.clone(),
        }
    }

    /// Counts a published unit; cheap, as it happens for each.
    pub(super) fn note_unit(&self, unit: &AccessUnit, utc_us: i64) {
        self.units.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(unit.data.len() as u64, Ordering::Relaxed);
        if unit.track == 0 {
            self.frames.fetch_add(1, Ordering::Relaxed);
            self.last_frame_us.store(utc_us, Ordering::Relaxed);
        }
    }

    /// Frames come, under these parameters.
    pub(super) fn online(&self, parameters: &Arc<TrackParameters>) {
        let mut slow = self.slow.lock();
        slow.state = StreamState::Online;
        slow.reason = None;
        slow.parameters = Some(parameters.clone());
    }

    /// The stream is in trouble.
    pub(super) fn failed(&self, error: &Error) {
        let mut slow = self.slow.lock();
        slow.state = match error.kind() {
            ErrorKind::Unauthorized | ErrorKind::Forbidden => StreamState::Unauthorized,
            ErrorKind::Unavailable | ErrorKind::Exhausted | ErrorKind::Internal | ErrorKind::Conflict => {
                StreamState::Offline
            }
            ErrorKind::Invalid | ErrorKind::Malformed | ErrorKind::Unsupported | ErrorKind::NotFound => {
                StreamState::Error
            }
        };
        slow.reason = Some(error.message().to_owned());
        slow.seconds.clear();
    }

    /// A second has passed: rates and the camera's clock are brought up to date.
    pub(super) fn second(&self, monotonic_us: u64, clock_offset_us: Option<i64>) {
        let now = (
            monotonic_us,
            self.frames.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        );
        let mut slow = self.slow.lock();
        slow.seconds.push_back(now);
        if slow.seconds.len() > WINDOW_SECONDS + 1 {
            slow.seconds.pop_front();
        }
        slow.clock_offset_us = clock_offset_us.or(slow.clock_offset_us);
    }

    pub(super) fn certificate(&self, sha256: String) {
        self.slow.lock().certificate_sha256 = Some(sha256);
    }

    pub(super) fn count_reconnect(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_rtp(&self, lost: u64, reordered: u64, discarded_units: u64) {
        self.rtp_lost.fetch_add(lost, Ordering::Relaxed);
        self.rtp_reordered.fetch_add(reordered, Ordering::Relaxed);
        self.discarded_units.fetch_add(discarded_units, Ordering::Relaxed);
    }
}

fn rates(seconds: &VecDeque<(u64, u64, u64)>) -> (f64, u64) {
    let (Some(first), Some(last)) = (seconds.front(), seconds.back()) else {
        return (0.0, 0);
    };
    let elapsed_us = last.0.saturating_sub(first.0);
    if elapsed_us == 0 {
        return (0.0, 0);
    }
    let elapsed_s = elapsed_us as f64 / 1e6;
    (
        (last.1 - first.1) as f64 / elapsed_s,
        ((last.2 - first.2) as f64 * 8.0 / elapsed_s) as u64,
    )
}
