//! A volume's first thread: writes fragments as they come, for one stream after the other.

use super::task::Task;
use super::{Desk, Writer};
use crate::archive::lane::{Lane, LaneFile, LaneFiles, LaneJob, RecordingState};
use crate::archive::open_file::OpenFile;
use crate::archive::volumes::Volume;
use media_core::index::GapCause;
use media_core::recording::fragmenter::Fragment;
use media_core::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// After a write failed and there is no other volume, fragments are dropped for this long before the next is tried, µs.
const RETRY_US: u64 = 1_000_000;

/// What becomes of a fragment.
enum Course {
    /// Written here, into this file or into one to be made first.
    Write(Option<Arc<OpenFile>>),
    /// Another volume's thread has to see to it.
    Elsewhere(usize),
    Drop,
}

impl Writer {
    pub(super) fn run_writer(&self, number: usize) {
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
                Some(LaneJob::Overload) => {
                    lane.overloaded.store(false, Ordering::Relaxed);
                    files.dropped = files.dropped.or(Some(GapCause::Overload));
                }
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
                        let task = Task::of(&files, lane, &fragment, open);
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
        let refused = files.refused_at(now_us);
        let Some(place) = files.files.iter().position(|f| f.start.file == fragment.file) else {
            return Course::Drop;
        };
        let file = &mut files.files[place];
        if let Some(open) = &file.open {
            let volume = &self.desks[open.volume().number].volume;
            let elsewhere = !volume.is_present() || !volume.takes_files() && self.is_left(volume, &refused);
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
        let still_good = |number: &usize| self.desks[*number].volume.takes_files() && !refused.contains(number);
        let number = match (&file.open, file.volume.filter(still_good)) {
            (Some(open), _) => Some(open.volume().number),
            (None, Some(number)) => Some(number),
            (None, None) => {
                self.choose_again(file.volume);
                let number = self.any_volume(&refused);
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

    /// Whether a file goes on elsewhere, as its volume is not ready: where another is, or where that one does not work
    /// and another does.
    fn is_left(&self, volume: &Volume, refused: &[usize]) -> bool {
        let others = || [refused, &[volume.number]].concat();
        self.ready_volume(refused).is_some() || !volume.has_room() && self.spare_volume(&others()).is_some()
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

    /// Whether a volume is left that has not refused the stream: those that did are not asked in turns.
    fn is_there_another(&self, here: &Desk, files: &LaneFiles, now_us: u64) -> bool {
        let mut refused = files.refused_at(now_us);
        refused.push(here.volume.number);
        self.spare_volume(&refused).is_some()
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
            Err(e) if self.is_there_another(here, files, now_us) => {
                tracing::warn!(stream = %lane.stream.name, error = e.message(), "recording goes on elsewhere");
                files
                    .refused
                    .retain(|(number, until_us)| *number != here.volume.number && now_us < *until_us);
                files.refused.push((here.volume.number, now_us + self.refusal_us));
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
}

/// Shows a stream's failure.
pub(super) fn fail(lane: &Lane, error: &Error) {
    if lane.set_state(RecordingState::Failed(error.message().to_owned())) {
        tracing::error!(stream = %lane.stream.name, error = error.message(), "recording failed");
    }
}
