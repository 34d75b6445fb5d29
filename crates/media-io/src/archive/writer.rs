//! The threads between the recorders and the disks: per volume one that writes fragments as they come and one that makes
//! them durable once a second for all cameras together, and one for all that notices when a volume does not answer.

use super::Presence;
use super::lane::{Lane, LaneFile, LaneFiles, LaneJob, RecordingState};
use super::open_file::{NewFile, OpenFile, Synced};
use super::volumes::{Volume, choose, last_resort};
use crate::clock::Clock;
use media_core::index::{Gap, GapCause};
use media_core::recording::fragmenter::{FileStart, Fragment, GAP_US, rescale};
use media_core::{Error, ErrorKind, Result};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// After a write failed and there is no other volume, fragments are dropped for this long before the next is tried, µs.
const RETRY_US: u64 = 1_000_000;

/// How long `flush` waits for a disk.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// A write that takes longer means that the volume does not answer, µs.
const LONGEST_WRITE_US: u64 = 1_000_000;

/// The same for making one file durable, which takes longer on a busy disk, µs.
const LONGEST_SYNC_US: u64 = 2_000_000;

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

/// What becomes of a fragment.
enum Course {
    /// Written here, into this file or into one to be made first.
    Write(Option<Arc<OpenFile>>),
    /// Another volume's thread has to see to it.
    Elsewhere(usize),
    Drop,
}

pub(super) struct Writer {
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
            _ => self.any_volume(None).or(current).unwrap_or(0),
        };
        self.desks[number].push(lane.clone());
    }

    /// The number of the volume for a new file, if any is ready; not the one that refused.
    fn ready_volume(&self, refused: Option<usize>) -> Option<usize> {
        let volumes = self.desks.iter().map(|d| &d.volume);
        choose(volumes.filter(|v| Some(v.number) != refused)).map(|v| v.number)
    }

    /// The same, or the one that may at least be tried.
    fn any_volume(&self, refused: Option<usize>) -> Option<usize> {
        let ready = self.ready_volume(refused).or_else(|| self.ready_volume(None));
        ready.or_else(|| last_resort(self.desks.iter().map(|d| &d.volume)).map(|v| v.number))
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

    fn run_writer(&self, number: usize) {
        let desk = &self.desks[number];
        loop {
            let lane = {
                let mut ready = desk.ready.lock();
                loop {
                    match ready.pop_front() {
                        Some(lane) => break lane,
                        None if self.ending.load(Ordering::Acquire) => return,
                        None => desk.called.wait(&mut ready),
                    }
                }
            };
            self.work(desk, &lane);
        }
    }

    /// Does what is queued for a stream, until nothing is left or another volume has to.
    fn work(&self, here: &Desk, lane: &Arc<Lane>) {
        let mut files = lane.files.lock();
        let turn = files.turn;
        loop {
            match files.jobs.pop_front() {
                None => {
                    files.queued = false;
                    lane.idle.notify_all();
                    return;
                }
                Some(LaneJob::Open(start)) => files.files.push(LaneFile {
                    start,
                    open: None,
                    volume: None,
                    untried: true,
                }),
                Some(LaneJob::Close(file)) => {
                    if let Some(place) = files.files.iter().position(|f| f.start.file == file) {
                        match files.files.remove(place) {
                            LaneFile { open: Some(open), .. } => open.close(),
                            LaneFile { volume, .. } => self.choose_again(volume),
                        }
                    }
                }
                Some(LaneJob::Fragment(fragment, bytes)) => match self.course(here, lane, &mut files, &fragment) {
                    Course::Drop => {
                        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                    }
                    Course::Elsewhere(number) => {
                        files.jobs.push_front(LaneJob::Fragment(fragment, bytes));
                        drop(files);
                        self.desks[number].push(lane.clone());
                        return;
                    }
                    Course::Write(open) => {
                        files.writing = Some((fragment.clone(), bytes));
                        let task = Task::of(&mut files, lane, &fragment, open);
                        drop(files);
                        *here.writing.lock() = Some((lane.clone(), self.clock.monotonic_us()));
                        let result = self.write(here, lane, task, &fragment, turn);
                        *here.writing.lock() = None;
                        files = lane.files.lock();
                        if files.turn != turn {
                            return;
                        }
                        files.writing = None;
                        self.written(here, lane, &mut files, (fragment, bytes), result);
                    }
                },
            }
        }
    }

    /// Where a fragment goes, by what is known of its file and of the volumes.
    fn course(&self, here: &Desk, lane: &Lane, files: &mut LaneFiles, fragment: &Fragment) -> Course {
        let now_us = self.clock.monotonic_us();
        if now_us < files.retry_at_us {
            files.dropped = Some(GapCause::Disk);
            lane.count_dropped();
            return Course::Drop;
        }
        let refused = files
            .refused
            .filter(|(_, until_us)| now_us < *until_us)
            .map(|(number, _)| number);
        let Some(place) = files.files.iter().position(|f| f.start.file == fragment.file) else {
            return Course::Drop;
        };
        let file = &mut files.files[place];
        if let Some(open) = &file.open {
            let volume = &self.desks[open.volume().number].volume;
            let elsewhere = !volume.is_present() || !volume.takes_files() && self.ready_volume(refused).is_some();
            if elsewhere || open.is_damaged() {
                open.close();
                file.open = None;
                file.volume = None;
            }
        }
        if file.open.is_none() && !file.untried && fragment.track != 0 {
            lane.count_dropped();
            return Course::Drop;
        }
        let still_good = |number: &usize| self.desks[*number].volume.takes_files() && Some(*number) != refused;
        let number = match (&file.open, file.volume.filter(still_good)) {
            (Some(open), _) => Some(open.volume().number),
            (None, Some(number)) => Some(number),
            (None, None) => {
                self.choose_again(file.volume);
                let number = self.any_volume(refused);
                if let Some(number) = number {
                    self.desks[number].volume.begun_file();
                }
                number
            }
        };
        file.volume = number;
        match number {
            None => {
                files.dropped = Some(GapCause::Disk);
                lane.count_dropped();
                let missing = "no volume is there".to_owned();
                if lane.set_state(RecordingState::Failed(missing)) {
                    tracing::error!(stream = %lane.stream.name, "recording failed: no volume is there");
                }
                Course::Drop
            }
            Some(number) if number == here.volume.number => Course::Write(file.open.clone()),
            Some(number) => Course::Elsewhere(number),
        }
    }

    /// A file that was to be begun on a volume is not.
    fn choose_again(&self, volume: Option<usize>) {
        if let Some(number) = volume {
            self.desks[number].volume.ended_file();
        }
    }

    /// Writes a fragment, with no lock held: this may take any time. None: it cannot be placed.
    fn write(&self, here: &Desk, lane: &Arc<Lane>, task: Task, fragment: &Fragment, turn: u64) -> Result<Option<u64>> {
        let open = match task.open {
            Some(open) => open,
            None => {
                let made = OpenFile::create(&lane.stream, &here.volume, &task.new_file());
                let open = Arc::new(made.inspect_err(|_| here.volume.ended_file())?);
                here.open_files.lock().push((open.clone(), lane.clone()));
                let mut files = lane.files.lock();
                let own = files.turn == turn;
                match files.files.iter_mut().find(|f| own && f.start.file == fragment.file) {
                    Some(file) => {
                        file.untried = false;
                        file.open = Some(open.clone());
                    }
                    // Too late: it was begun elsewhere.
                    None => {
                        drop(files);
                        open.close();
                        return Ok(None);
                    }
                }
                open
            }
        };
        // Either this thread has written the fragment, or it was taken away: not both.
        let accept = || {
            let mut files = lane.files.lock();
            let own = files.turn == turn;
            if own {
                files.writing = None;
            }
            own
        };
        match open.append(fragment, task.cause, task.after_loss, &accept) {
            Ok(bytes) => Ok(bytes),
            Err(e) if e.kind() == ErrorKind::Invalid => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// What follows from an attempt to write.
    fn written(
        &self,
        here: &Desk,
        lane: &Arc<Lane>,
        files: &mut LaneFiles,
        (fragment, queued_bytes): (Arc<Fragment>, usize),
        result: Result<Option<u64>>,
    ) {
        let now_us = self.clock.monotonic_us();
        match result {
            Ok(None) => lane.count_dropped(),
            Ok(Some(bytes)) => {
                files.dropped = None;
                if fragment.track == 0 {
                    files.last_end_us = Some(fragment.end_us());
                }
                here.volume.wrote(bytes);
                lane.bytes_written.fetch_add(bytes, Ordering::Relaxed);
                lane.fragments_written.fetch_add(1, Ordering::Relaxed);
                self.fragments_written.fetch_add(1, Ordering::Relaxed);
                if lane.set_state(RecordingState::Recording) {
                    tracing::info!(stream = %lane.stream.name, "recording");
                }
            }
            Err(e) if self.ready_volume(Some(here.volume.number)).is_some() => {
                tracing::warn!(stream = %lane.stream.name, error = e.message(), "recording goes on elsewhere");
                files.refused = Some((here.volume.number, now_us + self.refusal_us));
                if let Some(file) = files.files.iter_mut().find(|f| f.start.file == fragment.file) {
                    if let Some(open) = file.open.take() {
                        open.close();
                    }
                    file.volume = None;
                }
                files.jobs.push_front(LaneJob::Fragment(fragment, queued_bytes));
                return;
            }
            Err(e) => {
                files.dropped = Some(GapCause::Disk);
                files.retry_at_us = now_us + RETRY_US;
                if let Some(file) = files.files.iter_mut().find(|f| f.start.file == fragment.file) {
                    // The file begins with what comes next.
                    file.untried = false;
                    file.volume = file.open.as_ref().and(file.volume);
                }
                lane.count_dropped();
                fail(lane, &e);
            }
        }
        self.queued_bytes.fetch_sub(queued_bytes, Ordering::Relaxed);
    }

    fn run_sync(&self, number: usize, presence: &Presence) {
        let desk = &self.desks[number];
        let mut next = Instant::now() + self.sync_period;
        loop {
            let wanted = {
                let mut rounds = desk.rounds.lock();
                loop {
                    if self.ending.load(Ordering::Acquire) {
                        return;
                    }
                    if rounds.wanted > rounds.done || Instant::now() >= next {
                        break rounds.wanted;
                    }
                    desk.round_called.wait_until(&mut rounds, next);
                }
            };
            let now_us = self.clock.monotonic_us();
            desk.syncing_since_us.store(now_us.max(1), Ordering::Release);
            self.look_after(desk, presence);
            desk.syncing_since_us.store(0, Ordering::Release);
            self.sync_round(desk);
            let mut rounds = desk.rounds.lock();
            rounds.done = wanted;
            desk.round_ended.notify_all();
            drop(rounds);
            // A slow disk makes the rounds follow each other at once, never pile up.
            if Instant::now() >= next {
                next = (next + self.sync_period).max(Instant::now());
            }
        }
    }

    fn look_after(&self, desk: &Desk, presence: &Presence) {
        let volume = &desk.volume;
        if volume.is_present() {
            if let Some(error) = volume.is_gone() {
                let lost = std::mem::take(&mut *desk.open_files.lock());
                for (file, lane) in lost {
                    file.abandon();
                    lane.lost_after(file.durable_end_us());
                    volume.ended_file();
                }
                presence.gone(volume, error.message());
            } else {
                volume.look_after();
            }
        } else if volume.is_due() {
            presence.look_for(volume);
        }
    }

    /// One round over every file of a volume that has something to be made durable.
    fn sync_round(&self, desk: &Desk) {
        let files = desk.open_files.lock().clone();
        let mut worked = false;
        let mut done: Vec<Arc<OpenFile>> = Vec::new();
        for (file, lane) in &files {
            let now_us = self.clock.monotonic_us();
            desk.syncing_since_us.store(now_us.max(1), Ordering::Release);
            let synced = file.sync(now_us);
            desk.syncing_since_us.store(0, Ordering::Release);
            match synced {
                Ok(Synced::Idle) => {}
                Ok(Synced::Data) => worked = true,
                Ok(Synced::Done) => {
                    worked = true;
                    done.push(file.clone());
                }
                Err(e) => {
                    if file.is_damaged() {
                        lane.lost_after(file.durable_end_us());
                    }
                    fail(lane, &e);
                }
            }
        }
        if worked {
            self.syncs.fetch_add(1, Ordering::Relaxed);
        }
        if !done.is_empty() {
            done.iter().for_each(|_| desk.volume.ended_file());
            desk.open_files
                .lock()
                .retain(|(file, _)| !done.iter().any(|d| Arc::ptr_eq(d, file)));
        }
    }

    fn hangs(&self, desk: &Desk) -> bool {
        let now_us = self.clock.monotonic_us();
        let since = desk.syncing_since_us.load(Ordering::Acquire);
        let write_since = desk.writing.lock().as_ref().map(|(_, since_us)| *since_us);
        write_since.is_some_and(|since_us| now_us.saturating_sub(since_us) > LONGEST_WRITE_US)
            || since > 0 && now_us.saturating_sub(since) > LONGEST_SYNC_US
    }

    /// Notices volumes that do not answer, and gives their streams to others.
    fn run_watch(&self) {
        loop {
            let mut ended = self.ended.lock();
            if *ended || !self.end_called.wait_for(&mut ended, WATCH_PERIOD).timed_out() {
                return;
            }
            drop(ended);
            for desk in self.desks.iter().filter(|desk| self.hangs(desk)) {
                desk.volume.hangs("the disk does not answer");
                if self.ready_volume(Some(desk.volume.number)).is_some() {
                    self.take_away(desk);
                }
            }
        }
    }

    fn take_away(&self, desk: &Desk) {
        let held = desk.writing.lock().as_ref().map(|(lane, _)| lane.clone());
        if let Some(lane) = held {
            let mut files = lane.files.lock();
            if let Some((fragment, bytes)) = files.writing.take() {
                files.turn += 1;
                for file in files.files.iter_mut().filter(|f| f.volume == Some(desk.volume.number)) {
                    file.volume = None;
                    let open = file.open.take();
                    // What is being written is closed by the thread that hangs, once it is back.
                    if let Some(open) = open.filter(|_| file.start.file != fragment.file) {
                        open.close();
                    }
                }
                files.jobs.push_front(LaneJob::Fragment(fragment, bytes));
                drop(files);
                tracing::warn!(stream = %lane.stream.name, volume = desk.volume.name(), "taken from a volume that hangs");
                self.hand_on(desk, lane);
            }
        }
        let waiting: Vec<_> = desk.ready.lock().drain(..).collect();
        for lane in waiting {
            self.hand_on(desk, lane);
        }
    }

    fn hand_on(&self, from: &Desk, lane: Arc<Lane>) {
        let number = self
            .ready_volume(Some(from.volume.number))
            .unwrap_or(from.volume.number);
        self.desks[number].push(lane);
    }

    /// Files that are not sealed yet.
    pub fn open_files(&self) -> usize {
        self.desks.iter().map(|desk| desk.open_files.lock().len()).sum()
    }
}

/// A fragment's circumstances, noted down before the lock is let go.
struct Task {
    open: Option<Arc<OpenFile>>,
    cause: GapCause,
    after_loss: bool,
    start_us: i64,
    origin_90k: i64,
    tracks: Vec<Arc<media_core::TrackParameters>>,
    checksum: bool,
    leading_gap: Option<Gap>,
}

impl Task {
    fn of(files: &mut LaneFiles, lane: &Lane, fragment: &Fragment, open: Option<Arc<OpenFile>>) -> Self {
        if lane.overloaded.swap(false, Ordering::Relaxed) {
            files.dropped = files.dropped.or(Some(GapCause::Overload));
        }
        let lost = files.dropped;
        let cause = lost.unwrap_or(fragment.cause);
        let mut task = Self {
            open,
            cause,
            after_loss: lost.is_some(),
            start_us: fragment.start_us(),
            origin_90k: 0,
            tracks: Vec::new(),
            checksum: lane.checksums,
            leading_gap: None,
        };
        let file = files.files.iter().find(|f| f.start.file == fragment.file);
        let Some(file) = file.filter(|_| task.open.is_none()) else {
            return task;
        };
        task.tracks = file.start.tracks.clone();
        let video_rate = task.tracks.first().map_or(90_000, |t| t.clock_rate);
        task.origin_90k = rescale(fragment.first_dts(), video_rate, 90_000);
        if file.untried {
            task.start_us = file.start.start_us;
            task.origin_90k = file.start.origin_90k;
        }
        let gap = files
            .last_end_us
            .filter(|end| task.start_us.saturating_sub(*end) > GAP_US);
        task.leading_gap = gap.map(|end| {
            let first = lane.fragments_written.load(Ordering::Relaxed) == 0;
            let cause = if first && cause != GapCause::Disk {
                lane.cause_before
            } else {
                cause
            };
            Gap {
                start_us: end,
                end_us: task.start_us,
                cause,
            }
        });
        task
    }

    fn new_file(&self) -> NewFile<'_> {
        NewFile {
            start_us: self.start_us,
            origin_90k: self.origin_90k,
            tracks: &self.tracks,
            checksum: self.checksum,
            leading_gap: self.leading_gap,
        }
    }
}

fn fail(lane: &Lane, error: &Error) {
    if lane.set_state(RecordingState::Failed(error.message().to_owned())) {
        tracing::error!(stream = %lane.stream.name, error = error.message(), "recording failed");
    }
}
