//! Taps: access units of a hub, written into a pipe or socket that a worker process reads.
//!
//! # Format
//! Records follow each other; numbers are little-endian. Each has 32 bytes, and after them as many as it says:
//!
//! | at | type | |
//! |---|---|---|
//! | 0 | 4 bytes | `TAP1` |
//! | 4 | u8 | 1 parameters, 2 unit, 3 interruption (the camera is lost; units may follow) |
//! | 5 | u8 | track: 0 video, 1 audio, 2 metadata |
//! | 6 | u16 | of a unit: 1 key, 2 the first after a connection or a jump of the camera's clock |
//! | 8 | i64 | of a unit: presentation time in ticks of the track's clock |
//! | 16 | i64 | of a unit: server time of that, µs since the Unix epoch |
//! | 24 | u32 | of a unit: how many of the track before it were dropped because the reader was slow |
//! | 28 | u32 | bytes that follow, at most 64 MiB |
//!
//! Behind parameters: JSON `{"codec","clock_rate","configuration" (hexadecimal digits),"width","height","channels"}`,
//! before the first unit of a track and whenever they change. Behind a unit: its bytes as `media_core::Codec` says.
//!
//! Ingest never waits for a reader: what a full pipe does not take waits in a queue, and what that has no room for is
//! dropped, video up to the next key frame. The end of the stream is the end of the tap: untapped, or the camera removed.

use crate::hub::{Hub, Sink};
use bytes::Bytes;
use media_core::index::GapCause;
use media_core::{AccessUnit, Error, ErrorKind, Result, TrackParameters};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::sync::Notify;

const MAGIC: &[u8; 4] = b"TAP1";
const PARAMETERS: u8 = 1;
const UNIT: u8 = 2;
const INTERRUPTION: u8 = 3;
const KEY: u16 = 1;
const DISCONTINUITY: u16 = 2;
/// Bytes of a record before those that it announces.
pub const HEADER_BYTES: usize = 32;
/// What waits for a slow reader; a key frame larger than this passes where nothing else waits.
pub const QUEUE_BYTES: usize = 4 << 20;
/// The most that a record announces.
pub const LARGEST_UNIT_BYTES: usize = 64 << 20;
const TRACKS: usize = 3;
/// At most so many taps at once.
const MAX_TAPS: usize = 10_000;

/// What a tap carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TapOptions {
    /// Sound and metadata too.
    pub all_tracks: bool,
    /// Of the video the key frames alone.
    pub key_frames_only: bool,
}

/// What all taps did since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct TapCounters {
    /// Taps now.
    pub open: u64,
    /// Units written or waiting to be.
    pub units: u64,
    /// Units that a slow reader had no room for.
    pub units_dropped: u64,
}

#[derive(Default)]
struct Totals {
    units: AtomicU64,
    units_dropped: AtomicU64,
}

/// The header of a record.
struct Record {
    kind: u8,
    track: u8,
    flags: u16,
    pts: i64,
    utc_us: i64,
    dropped: u32,
    bytes: u32,
}

impl Record {
    fn new(kind: u8, track: u8) -> Self {
        Self {
            kind,
            track,
            flags: 0,
            pts: 0,
            utc_us: 0,
            dropped: 0,
            bytes: 0,
        }
    }

    fn write(&self) -> Bytes {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[self.kind, self.track]);
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(&self.pts.to_le_bytes());
        out.extend_from_slice(&self.utc_us.to_le_bytes());
        out.extend_from_slice(&self.dropped.to_le_bytes());
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.into()
    }
}

fn parameters_json(parameters: &TrackParameters) -> String {
    let configuration: String = parameters
        .configuration
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!(
        r#"{{"codec":"{}","clock_rate":{},"configuration":"{configuration}","width":{},"height":{},"channels":{}}}"#,
        parameters.codec.as_str(),
        parameters.clock_rate,
        parameters.width,
        parameters.height,
        parameters.channels,
    )
}

#[derive(Default)]
struct TrackState {
    parameters: Option<Arc<TrackParameters>>,
    /// Units dropped since the last that was not.
    dropped: u32,
    /// Units make no sense before the next key frame.
    wants_key: bool,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    tracks: [TrackState; TRACKS],
}

/// What the sink and the task that writes share.
struct Inner {
    state: Mutex<State>,
    ready: Notify,
    closed: AtomicBool,
}

impl Inner {
    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.ready.notify_one();
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// The sink. When the hub forgets it, the tap ends.
struct Tap {
    options: TapOptions,
    inner: Arc<Inner>,
    totals: Arc<Totals>,
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.inner.close();
    }
}

impl Tap {
    fn enqueue(&self, unit: &AccessUnit) -> bool {
        let mut state = self.inner.state.lock();
        let state = &mut *state;
        let Some(track) = state.tracks.get_mut(usize::from(unit.track)) else {
            return false;
        };
        let video = unit.track == 0;
        let wanted = !(video && track.wants_key && !unit.key);
        // A key frame larger than the queue passes where nothing else waits.
        let room = state.queue.is_empty() || state.queued_bytes + unit.data.len() <= QUEUE_BYTES;
        if !wanted || !room || unit.data.len() > LARGEST_UNIT_BYTES {
            track.dropped = track.dropped.saturating_add(1);
            track.wants_key = video;
            self.totals.units_dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        track.wants_key = false;
        let changed = !track
            .parameters
            .as_ref()
            .is_some_and(|p| Arc::ptr_eq(p, &unit.parameters) || **p == *unit.parameters);
        let mut add = |part: Bytes| {
            state.queued_bytes += part.len();
            state.queue.push_back(part);
        };
        if changed {
            track.parameters = Some(unit.parameters.clone());
            let json = parameters_json(&unit.parameters);
            let record = Record {
                bytes: json.len() as u32,
                ..Record::new(PARAMETERS, unit.track)
            };
            add(record.write());
            add(json.into());
        }
        let record = Record {
            flags: if unit.key { KEY } else { 0 } | if unit.discontinuity { DISCONTINUITY } else { 0 },
            pts: unit.pts,
            utc_us: unit.utc_us,
            dropped: std::mem::take(&mut track.dropped),
            bytes: unit.data.len() as u32,
            ..Record::new(UNIT, unit.track)
        };
        add(record.write());
        add(unit.data.clone());
        self.totals.units.fetch_add(1, Ordering::Relaxed);
        true
    }
}

impl Sink for Tap {
    fn push(&self, unit: &Arc<AccessUnit>) -> bool {
        if self.inner.is_closed() {
            return false;
        }
        let skipped = match unit.track {
            0 => self.options.key_frames_only && !unit.key,
            _ => !self.options.all_tracks,
        };
        if !skipped && self.enqueue(unit) {
            self.inner.ready.notify_one();
        }
        true
    }

    fn interrupt(&self, _: GapCause) {
        let mut state = self.inner.state.lock();
        let record = Record::new(INTERRUPTION, 0).write();
        // Reconnections that nobody reads of must not pile up.
        if state.queued_bytes < QUEUE_BYTES {
            state.queued_bytes += record.len();
            state.queue.push_back(record);
            drop(state);
            self.inner.ready.notify_one();
        }
    }
}

struct Registered {
    hub: Weak<Hub>,
    tap: Weak<Tap>,
}

/// All taps of the process.
pub struct Taps {
    runtime: Handle,
    totals: Arc<Totals>,
    state: Mutex<(u64, BTreeMap<u64, Registered>)>,
}

impl Taps {
    /// None yet; they are written on `runtime`.
    pub fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            totals: Arc::default(),
            state: Mutex::default(),
        }
    }

    /// Writes the units of `hub` into `fd` (a pipe or a stream socket, made non-blocking here), from the key frame that
    /// the hub keeps; the tap's number. It ends with `close`, with the hub, and when the reader goes away.
    ///
    /// `Invalid` for a file that cannot be waited for, `Exhausted` where there are too many.
    pub fn open(&self, hub: &Arc<Hub>, fd: OwnedFd, options: TapOptions) -> Result<u64> {
        let unusable = |error: io::Error| {
            Error::new(
                ErrorKind::Invalid,
                format!("{}: the tap needs a pipe or a socket: {error}", hub.name()),
            )
        };
        set_non_blocking(&fd).map_err(unusable)?;
        let inner = Arc::new(Inner {
            state: Mutex::default(),
            ready: Notify::new(),
            closed: AtomicBool::new(false),
        });
        let tap = Arc::new(Tap {
            options,
            inner: inner.clone(),
            totals: self.totals.clone(),
        });
        let number = {
            let mut state = self.state.lock();
            state.1.retain(|_, known| known.tap.strong_count() > 0);
            if state.1.len() >= MAX_TAPS {
                return Err(Error::new(ErrorKind::Exhausted, format!("{MAX_TAPS} taps are open")));
            }
            let _in_runtime = self.runtime.enter();
            // SAFETY: an `OwnedFd` that nothing else closes stays the same open descriptor until it is dropped.
            let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::WRITABLE) };
            let fd = fd.map_err(|error| unusable(error.into()))?;
            self.runtime.spawn(write_all(fd, inner));
            state.0 += 1;
            let number = state.0;
            let registered = Registered {
                hub: Arc::downgrade(hub),
                tap: Arc::downgrade(&tap),
            };
            state.1.insert(number, registered);
            number
        };
        hub.attach_at_key(tap as Arc<dyn Sink>);
        Ok(number)
    }

    /// Ends a tap; its reader gets what waits and then the end. Does nothing when it has ended.
    pub fn close(&self, number: u64) {
        let registered = self.state.lock().1.remove(&number);
        let Some(Registered { hub, tap }) = registered else {
            return;
        };
        let (Some(hub), Some(tap)) = (hub.upgrade(), tap.upgrade()) else {
            return;
        };
        hub.detach(&(tap.clone() as Arc<dyn Sink>));
        tap.inner.close();
    }

    /// What they did.
    pub fn counters(&self) -> TapCounters {
        let open = |known: &Registered| known.tap.upgrade().is_some_and(|tap| !tap.inner.is_closed());
        TapCounters {
            open: self.state.lock().1.values().filter(|known| open(known)).count() as u64,
            units: self.totals.units.load(Ordering::Relaxed),
            units_dropped: self.totals.units_dropped.load(Ordering::Relaxed),
        }
    }
}

fn set_non_blocking(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is open, and both calls take and give integers.
    let status = unsafe {
        let flags = libc::fcntl(fd.as_raw_fd(), libc::F_GETFL);
        libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK)
    };
    if status < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Writes what the queue holds until the tap is closed and the queue empty, or the reader gone.
async fn write_all(fd: AsyncFd<OwnedFd>, inner: Arc<Inner>) {
    let mut begun = Bytes::new();
    loop {
        if begun.is_empty() {
            let next = {
                let mut state = inner.state.lock();
                let next = state.queue.pop_front();
                state.queued_bytes -= next.as_ref().map_or(0, Bytes::len);
                next
            };
            match next {
                Some(next) => begun = next,
                None if inner.is_closed() => return,
                None => inner.ready.notified().await,
            }
            continue;
        }
        // Whoever does not read any more must not keep a tap that is closed.
        let closing = async {
            while !inner.is_closed() {
                inner.ready.notified().await;
            }
            tokio::time::sleep(LINGER).await;
        };
        let mut ready = tokio::select! {
            ready = fd.writable() => match ready {
                Ok(ready) => ready,
                Err(_) => break,
            },
            () = closing => break,
        };
        match ready.try_io(|fd| write_some(fd.get_ref(), &begun)) {
            Ok(Ok(written)) => begun = begun.slice(written..),
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            // The reader is gone.
            Ok(Err(_)) => break,
            Err(_not_now) => {}
        }
    }
    inner.close();
}

/// How long the last records wait for a reader after the end.
const LINGER: std::time::Duration = std::time::Duration::from_secs(2);

fn write_some(fd: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the descriptor is open and the slice valid for its length. SIGPIPE is ignored (by Rust's runtime and by
    // Python), so that a reader that is gone is an error.
    let written = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
#[path = "tap_tests.rs"]
mod tests;
