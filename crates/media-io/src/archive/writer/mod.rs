//! The threads between the recorders and the disks: per volume one that writes fragments as they come and one that makes
//! them durable once a second for all cameras together, and one for all that notices when a volume does not answer.

mod syncing;
mod task;
mod watch;
mod writing;

use super::Presence;
use super::lane::{Lane, LaneJob};
use super::open_file::OpenFile;
use super::volumes::{Volume, choose, last_resort, most_room};
use crate::clock::Clock;
use media_core::recording::fragmenter::{FileStart, Fragment};
use media_core::{Error, Result};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long `flush` waits for a disk.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is looked whether all volumes answer.
const WATCH_PERIOD: Duration = Duration::from_millis(100);

/// Counters of the archive's writing side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteCounters {
    /// Bytes appended to `.mp4` files.
    pub bytes_written: u64,
    /// Fragments appended.
    pub fragments_written: u64,
    /// Rounds of syncing that made something durable.
    pub syncs: u64,
    /// Writes and syncs that failed.
    pub write_errors: u64,
    /// Bytes waiting for the writer.
    pub queued_bytes: u64,
}

/// What a volume's two threads share.
struct Desk {
    volume: Arc<Volume>,
    ready: Mutex<VecDeque<Arc<Lane>>>,
    called: Condvar,
    /// The stream whose fragment is being written, and since when (µs).
    writing: Mutex<Option<(Arc<Lane>, u64)>>,
    /// Since when a file is being made durable (µs, 0: none is).
    syncing_since_us: AtomicU64,
    open_files: Mutex<Vec<(Arc<OpenFile>, Arc<Lane>)>>,
    rounds: Mutex<Rounds>,
    round_called: Condvar,
    round_ended: Condvar,
}

#[derive(Default)]
struct Rounds {
    wanted: u64,
    done: u64,
}

impl Desk {
    fn new(volume: Arc<Volume>) -> Self {
        Self {
            volume,
            ready: Mutex::default(),
            called: Condvar::new(),
            writing: Mutex::default(),
            syncing_since_us: AtomicU64::new(0),
            open_files: Mutex::default(),
            rounds: Mutex::default(),
            round_called: Condvar::new(),
            round_ended: Condvar::new(),
        }
    }

    fn push(&self, lane: Arc<Lane>) {
        let mut ready = self.ready.lock();
        ready.push_back(lane);
        // The thread takes one after the other: it needs waking only when it may be asleep.
        let wake = ready.len() == 1;
        drop(ready);
        if wake {
            self.called.notify_one();
        }
    }
}

pub(crate) struct Writer {
    clock: Arc<dyn Clock>,
    desks: Vec<Desk>,
    lanes: Mutex<Vec<Weak<Lane>>>,
    queue_max_bytes: usize,
    queued_bytes: AtomicUsize,
    sync_period: Duration,
    refusal_us: u64,
    stopped: AtomicBool,
    ending: AtomicBool,
    ended: Mutex<bool>,
    end_called: Condvar,
    fragments_written: AtomicU64,
    syncs: AtomicU64,
}

impl Writer {
    pub fn new(
        clock: Arc<dyn Clock>,
        volumes: &[Arc<Volume>],
        sync_ms: u32,
        queue_max_bytes: usize,
        refusal_us: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            clock,
            desks: volumes.iter().cloned().map(Desk::new).collect(),
            lanes: Mutex::default(),
            queue_max_bytes,
            queued_bytes: AtomicUsize::new(0),
            sync_period: Duration::from_millis(u64::from(sync_ms.max(10))),
            refusal_us,
            stopped: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            ended: Mutex::new(false),
            end_called: Condvar::new(),
            fragments_written: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
        })
    }

    pub fn counters(&self) -> WriteCounters {
        WriteCounters {
            bytes_written: self.desks.iter().map(|d| d.volume.bytes_written()).sum(),
            fragments_written: self.fragments_written.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
            write_errors: self.desks.iter().map(|d| d.volume.write_errors()).sum(),
            queued_bytes: self.queued_bytes.load(Ordering::Relaxed) as u64,
        }
    }

    /// Starts the threads; `presence` is told of volumes that go, and looks for them.
    pub fn start(self: &Arc<Self>, presence: &Arc<Presence>) -> Result<Vec<JoinHandle<()>>> {
        let mut threads = Vec::new();
        let spawn = |name: String, run: Box<dyn FnOnce(&Self) + Send>| {
            let writer = self.clone();
            let named = std::thread::Builder::new().name(name.clone());
            named
                .spawn(move || run(&writer))
                .map_err(|e| Error::from(e).within(format!("thread {name}")))
        };
        for number in 0..self.desks.len() {
            threads.push(spawn(
                format!("archive-write{number}"),
                Box::new(move |w| w.run_writer(number)),
            )?);
            let presence = presence.clone();
            let run_sync = move |w: &Self| w.run_sync(number, &presence);
            threads.push(spawn(format!("archive-sync{number}"), Box::new(run_sync))?);
        }
        threads.push(spawn("archive-watch".into(), Box::new(Self::run_watch))?);
        Ok(threads)
    }

    /// Makes a stream known to `flush`.
    pub fn know(&self, lane: &Arc<Lane>) {
        let mut lanes = self.lanes.lock();
        lanes.retain(|l| l.strong_count() > 0);
        lanes.push(Arc::downgrade(lane));
    }

    pub fn open(&self, lane: &Arc<Lane>, start: FileStart) {
        self.enqueue(lane, LaneJob::Open(start));
    }

    pub fn close(&self, lane: &Arc<Lane>, file: u64) {
        self.enqueue(lane, LaneJob::Close(file));
    }

    /// Queues a fragment, or drops it where the queue has no room for its bytes.
    pub fn append(&self, lane: &Arc<Lane>, fragment: Fragment) {
        let bytes = fragment.size_bytes();
        let queued = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if queued > self.queue_max_bytes || self.stopped.load(Ordering::Relaxed) {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            lane.count_dropped();
            if !lane.overloaded.swap(true, Ordering::Relaxed) {
                tracing::warn!(stream = %lane.stream.name, queued, "the disk is too slow: fragments are dropped");
                self.enqueue(lane, LaneJob::Overload);
            }
            return;
        }
        self.enqueue(lane, LaneJob::Fragment(Arc::new(fragment), bytes));
    }

    fn enqueue(&self, lane: &Arc<Lane>, job: LaneJob) {
        let mut files = lane.files.lock();
        files.jobs.push_back(job);
        if files.queued {
            return;
        }
        files.queued = true;
        let current = files.files.last().and_then(|f| f.volume);
        drop(files);
        let number = match current {
            Some(number) if self.desks[number].volume.takes_files() => number,
            _ => self.any_volume(&[]).or(current).unwrap_or(0),
        };
        self.desks[number].push(lane.clone());
    }

    /// The number of the volume for a new file, if any is ready; none of those that refused.
    fn ready_volume(&self, refused: &[usize]) -> Option<usize> {
        let volumes = self.desks.iter().map(|d| &d.volume);
        choose(volumes.filter(|v| !refused.contains(&v.number))).map(|v| v.number)
    }

    /// The same, or where none is ready one that works and has room, although less than its reserve.
    fn spare_volume(&self, refused: &[usize]) -> Option<usize> {
        self.ready_volume(refused).or_else(|| {
            let volumes = self.desks.iter().map(|d| &d.volume);
            most_room(volumes.filter(|v| !refused.contains(&v.number))).map(|v| v.number)
        })
    }

    /// The same, or the one that may at least be tried.
    fn any_volume(&self, refused: &[usize]) -> Option<usize> {
        let spare = self.spare_volume(refused).or_else(|| self.spare_volume(&[]));
        spare.or_else(|| last_resort(self.desks.iter().map(|d| &d.volume)).map(|v| v.number))
    }

    /// Waits until everything queued so far is written and durable, closed files sealed. Errors are the state of the
    /// lanes concerned.
    pub fn flush(&self) {
        let lanes: Vec<_> = self.lanes.lock().iter().filter_map(Weak::upgrade).collect();
        self.flush_lanes(&lanes);
    }

    /// The same for one stream.
    pub fn flush_lane(&self, lane: &Arc<Lane>) {
        self.flush_lanes(std::slice::from_ref(lane));
    }

    fn flush_lanes(&self, lanes: &[Arc<Lane>]) {
        if self.stopped.load(Ordering::Relaxed) {
            return;
        }
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        let mut in_time = true;
        for lane in lanes {
            let mut files = lane.files.lock();
            while files.queued && in_time {
                in_time = !lane.idle.wait_until(&mut files, deadline).timed_out();
            }
        }
        let wanted: Vec<u64> = self.desks.iter().map(Self::call_round).collect();
        for (desk, wanted) in self.desks.iter().zip(wanted) {
            in_time &= self.wait_for_round(desk, wanted, deadline);
        }
        if !in_time {
            tracing::warn!("the disk does not answer; what is queued may be lost");
        }
    }

    fn call_round(desk: &Desk) -> u64 {
        let mut rounds = desk.rounds.lock();
        rounds.wanted += 1;
        desk.round_called.notify_all();
        rounds.wanted
    }

    /// False when the volume did not get that far. A volume that is known not to answer is not waited for.
    fn wait_for_round(&self, desk: &Desk, wanted: u64, deadline: Instant) -> bool {
        let mut rounds = desk.rounds.lock();
        while rounds.done < wanted {
            if Instant::now() >= deadline || self.hangs(desk) {
                return false;
            }
            let step = deadline.min(Instant::now() + WATCH_PERIOD);
            desk.round_ended.wait_until(&mut rounds, step);
        }
        true
    }

    /// Ends the threads; what is queued is written first.
    pub fn exit(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.ending.store(true, Ordering::Release);
        *self.ended.lock() = true;
        self.end_called.notify_all();
        for desk in &self.desks {
            // With the locks held nobody is between looking and waiting.
            drop(desk.ready.lock());
            desk.called.notify_all();
            drop(desk.rounds.lock());
            desk.round_called.notify_all();
        }
    }

    /// Whether a volume keeps a thread from ending.
    pub fn any_hangs(&self) -> bool {
        self.desks.iter().any(|desk| self.hangs(desk))
    }

    /// Files that are not sealed yet.
    pub fn open_files(&self) -> usize {
        self.desks.iter().map(|desk| desk.open_files.lock().len()).sum()
    }
}
