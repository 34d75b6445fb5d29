//! The two threads between the recorders and the disk: one writes fragments as they come, one makes them durable once a
//! second for all cameras together.

use super::lane::{Lane, LaneFile, RecordingState};
use super::open_file::{NewFile, OpenFile, Synced};
use crate::clock::Clock;
use media_core::index::{Gap, GapCause};
use media_core::recording::fragmenter::{FileStart, Fragment, GAP_US, rescale};
use media_core::{Error, ErrorKind, Result};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// After a write failed, fragments are dropped for this long before the next is tried, µs.
const RETRY_US: u64 = 1_000_000;

/// How long `flush` waits for the writer.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) enum Job {
    Open(Arc<Lane>, FileStart),
    Fragment(Arc<Lane>, Fragment, usize),
    Close(Arc<Lane>, u64),
    /// Everything queued before has been written.
    Barrier(std::sync::mpsc::SyncSender<()>),
    Exit,
}

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

pub(super) struct Writer {
    clock: Arc<dyn Clock>,
    queue: Mutex<VecDeque<Job>>,
    ready: Condvar,
    queue_max_bytes: usize,
    queued_bytes: AtomicUsize,
    open_files: Mutex<Vec<(Arc<OpenFile>, Arc<Lane>)>>,
    /// Held through a round of syncing.
    sync_turn: Mutex<()>,
    exit: Mutex<bool>,
    exit_called: Condvar,
    sync_period: Duration,
    stopped: AtomicBool,
    bytes_written: AtomicU64,
    fragments_written: AtomicU64,
    syncs: AtomicU64,
    write_errors: AtomicU64,
}

impl Writer {
    pub fn new(clock: Arc<dyn Clock>, sync_ms: u32, queue_max_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            clock,
            queue: Mutex::default(),
            ready: Condvar::new(),
            queue_max_bytes,
            queued_bytes: AtomicUsize::new(0),
            open_files: Mutex::default(),
            sync_turn: Mutex::new(()),
            exit: Mutex::new(false),
            exit_called: Condvar::new(),
            sync_period: Duration::from_millis(u64::from(sync_ms.max(10))),
            stopped: AtomicBool::new(false),
            bytes_written: AtomicU64::new(0),
            fragments_written: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            write_errors: AtomicU64::new(0),
        })
    }

    pub fn counters(&self) -> WriteCounters {
        WriteCounters {
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
            fragments_written: self.fragments_written.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
            write_errors: self.write_errors.load(Ordering::Relaxed),
            queued_bytes: self.queued_bytes.load(Ordering::Relaxed) as u64,
        }
    }

    /// Starts the two threads.
    pub fn start(self: &Arc<Self>) -> Result<Vec<std::thread::JoinHandle<()>>> {
        let spawn = |name: &str, run: fn(&Self)| {
            let writer = self.clone();
            std::thread::Builder::new()
                .name(name.into())
                .spawn(move || run(&writer))
                .map_err(|e| Error::from(e).within(format!("thread {name}")))
        };
        Ok(vec![
            spawn("archive-write", Self::run_writer)?,
            spawn("archive-sync", Self::run_sync)?,
        ])
    }

    pub fn open(&self, lane: &Arc<Lane>, start: FileStart) {
        self.enqueue(Job::Open(lane.clone(), start));
    }

    pub fn close(&self, lane: &Arc<Lane>, file: u64) {
        self.enqueue(Job::Close(lane.clone(), file));
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
            }
            return;
        }
        self.enqueue(Job::Fragment(lane.clone(), fragment, bytes));
    }

    fn enqueue(&self, job: Job) {
        let mut queue = self.queue.lock();
        queue.push_back(job);
        // The writer takes all there is: it needs waking only when it may be asleep.
        let wake = queue.len() == 1;
        drop(queue);
        if wake {
            self.ready.notify_one();
        }
    }

    /// Waits until everything queued so far is written and durable, closed files sealed. Errors are the state of the
    /// lanes concerned.
    pub fn flush(&self) {
        if self.stopped.load(Ordering::Relaxed) {
            return;
        }
        let (done, wait) = std::sync::mpsc::sync_channel(1);
        self.enqueue(Job::Barrier(done));
        if wait.recv_timeout(FLUSH_TIMEOUT).is_err() {
            tracing::warn!("the disk does not answer; what is queued may be lost");
        }
        self.sync_round();
    }

    /// Ends both threads; what is queued is written first.
    pub fn exit(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.enqueue(Job::Exit);
        *self.exit.lock() = true;
        self.exit_called.notify_all();
    }

    fn run_writer(&self) {
        let mut jobs = VecDeque::new();
        loop {
            {
                let mut queue = self.queue.lock();
                while queue.is_empty() {
                    self.ready.wait(&mut queue);
                }
                std::mem::swap(&mut *queue, &mut jobs);
            }
            for job in jobs.drain(..) {
                match job {
                    Job::Open(lane, start) => {
                        lane.files.lock().files.push(LaneFile {
                            start,
                            open: None,
                            untried: true,
                        });
                    }
                    Job::Fragment(lane, fragment, bytes) => {
                        self.write(&lane, &fragment);
                        drop(fragment);
                        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                    }
                    Job::Close(lane, file) => {
                        let mut files = lane.files.lock();
                        if let Some(place) = files.files.iter().position(|f| f.start.file == file)
                            && let Some(open) = files.files.remove(place).open
                        {
                            open.close();
                        }
                    }
                    Job::Barrier(done) => drop(done.send(())),
                    Job::Exit => return,
                }
            }
        }
    }

    fn write(&self, lane: &Arc<Lane>, fragment: &Fragment) {
        let mut files = lane.files.lock();
        let now_us = self.clock.monotonic_us();
        if now_us < files.retry_at_us {
            files.dropped = Some(GapCause::Disk);
            lane.count_dropped();
            return;
        }
        let overloaded = lane
            .overloaded
            .swap(false, Ordering::Relaxed)
            .then_some(GapCause::Overload);
        let lost = files.dropped.or(overloaded);
        let cause = lost.unwrap_or(fragment.cause);
        let last_end_us = files.last_end_us;
        let Some(file) = files.files.iter_mut().find(|f| f.start.file == fragment.file) else {
            return;
        };
        match self.write_to(lane, file, fragment, (cause, lost.is_some()), last_end_us) {
            Ok(None) => lane.count_dropped(),
            Ok(Some(bytes)) => {
                files.dropped = None;
                if fragment.track == 0 {
                    files.last_end_us = Some(fragment.end_us());
                }
                drop(files);
                lane.bytes_written.fetch_add(bytes, Ordering::Relaxed);
                lane.fragments_written.fetch_add(1, Ordering::Relaxed);
                self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
                self.fragments_written.fetch_add(1, Ordering::Relaxed);
                if lane.set_state(RecordingState::Recording) {
                    tracing::info!(stream = %lane.stream.name, "recording");
                }
            }
            Err(e) => {
                files.dropped = Some(GapCause::Disk);
                files.retry_at_us = now_us + RETRY_US;
                drop(files);
                lane.count_dropped();
                self.fail(lane, &e);
            }
        }
    }

    /// The bytes written; None when the fragment cannot be placed (sound without its video).
    fn write_to(
        &self,
        lane: &Arc<Lane>,
        file: &mut LaneFile,
        fragment: &Fragment,
        (cause, after_loss): (GapCause, bool),
        last_end_us: Option<i64>,
    ) -> Result<Option<u64>> {
        if file.open.as_ref().is_some_and(|open| open.is_damaged()) {
            file.open = None;
        }
        let open = match &file.open {
            Some(open) => open.clone(),
            None if !file.untried && fragment.track != 0 => return Ok(None),
            None => {
                let untried = std::mem::take(&mut file.untried);
                let start_us = if untried {
                    file.start.start_us
                } else {
                    fragment.start_us()
                };
                let video_rate = file.start.tracks.first().map_or(90_000, |t| t.clock_rate);
                let gap = last_end_us.filter(|end| start_us.saturating_sub(*end) > GAP_US);
                let new = NewFile {
                    start_us,
                    origin_90k: if untried {
                        file.start.origin_90k
                    } else {
                        rescale(fragment.first_dts(), video_rate, 90_000)
                    },
                    tracks: &file.start.tracks,
                    checksum: lane.checksums,
                    leading_gap: gap.map(|end| {
                        let first = lane.fragments_written.load(Ordering::Relaxed) == 0;
                        let cause = if first && cause != GapCause::Disk {
                            lane.cause_before
                        } else {
                            cause
                        };
                        Gap {
                            start_us: end,
                            end_us: start_us,
                            cause,
                        }
                    }),
                };
                let open = Arc::new(OpenFile::create(&lane.stream, &new)?);
                self.open_files.lock().push((open.clone(), lane.clone()));
                file.open = Some(open.clone());
                open
            }
        };
        match open.append(fragment, cause, after_loss) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == ErrorKind::Invalid => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn fail(&self, lane: &Lane, error: &Error) {
        self.write_errors.fetch_add(1, Ordering::Relaxed);
        if lane.set_state(RecordingState::Failed(error.message().to_owned())) {
            tracing::error!(stream = %lane.stream.name, error = error.message(), "recording failed");
        }
    }

    fn run_sync(&self) {
        let mut next = Instant::now() + self.sync_period;
        loop {
            {
                let mut exit = self.exit.lock();
                while !*exit && Instant::now() < next {
                    self.exit_called.wait_until(&mut exit, next);
                }
                if *exit {
                    return;
                }
            }
            self.sync_round();
            // A slow disk makes the rounds follow each other at once, never pile up.
            next = (next + self.sync_period).max(Instant::now());
        }
    }

    /// One round over every file that has something to be made durable.
    pub fn sync_round(&self) {
        let _turn = self.sync_turn.lock();
        let files = self.open_files.lock().clone();
        let now_us = self.clock.monotonic_us();
        let mut worked = false;
        let mut done: Vec<Arc<OpenFile>> = Vec::new();
        for (file, lane) in &files {
            match file.sync(now_us) {
                Ok(Synced::Idle) => {}
                Ok(Synced::Data) => worked = true,
                Ok(Synced::Done) => {
                    worked = true;
                    done.push(file.clone());
                }
                Err(e) => self.fail(lane, &e),
            }
        }
        if worked {
            self.syncs.fetch_add(1, Ordering::Relaxed);
        }
        if !done.is_empty() {
            self.open_files
                .lock()
                .retain(|(file, _)| !done.iter().any(|d| Arc::ptr_eq(d, file)));
        }
    }

    /// Files that are not sealed yet.
    pub fn open_files(&self) -> usize {
        self.open_files.lock().len()
    }
}
