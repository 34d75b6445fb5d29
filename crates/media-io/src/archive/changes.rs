//! What became of the files, by revision: each change gets the next number, so that whoever follows the archive asks for
//! what is new and nobody has to look at every file.

use super::catalogue::{FileEntry, StreamFiles};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Removed files that are remembered; who asks from before the oldest is told everything.
const MAX_REMOVED: usize = 20_000;

/// The last thing that happened to a file.
#[derive(Debug, Clone)]
enum Change {
    Current(Arc<StreamFiles>, Arc<FileEntry>),
    Removed(RemovedFile),
}

/// A file that is no longer part of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemovedFile {
    /// The camera.
    pub camera_id: String,
    /// Below the camera's directory: `2026-11-23/video_10_sub_2.mp4`.
    pub name: String,
}

/// A file and the stream that it belongs to.
pub(crate) type Recorded = (Arc<StreamFiles>, Arc<FileEntry>);

/// What changed after some revision.
pub(crate) struct Since {
    pub revision: u64,
    /// `files` is all there is.
    pub whole: bool,
    pub files: Vec<Recorded>,
    pub removed: Vec<RemovedFile>,
}

#[derive(Debug, Default)]
struct Log {
    revision: u64,
    /// Removals up to here are forgotten.
    forgotten: u64,
    by_revision: BTreeMap<u64, Change>,
    /// The revision of each file, by the address of its entry (which `by_revision` keeps alive).
    revision_of: HashMap<usize, u64>,
    removed: usize,
}

#[derive(Debug)]
pub(crate) struct Changes {
    log: Mutex<Log>,
}

impl Changes {
    /// Numbers begin at the server's time in µs: those of an earlier process are smaller, and are answered in whole.
    pub fn since(now_us: i64) -> Self {
        let first = u64::try_from(now_us).unwrap_or(0).max(1);
        Self {
            log: Mutex::new(Log {
                revision: first,
                forgotten: first,
                ..Log::default()
            }),
        }
    }

    /// A file appeared, or is another now.
    pub fn note(&self, stream: &Arc<StreamFiles>, entry: &Arc<FileEntry>) {
        let mut log = self.log.lock();
        // A change that was under way while the file was removed must not bring it back.
        if !entry.state.read().removed {
            let revision = log.next(entry);
            log.revision_of.insert(address(entry), revision);
            log.by_revision
                .insert(revision, Change::Current(stream.clone(), entry.clone()));
        }
    }

    /// A file is known by another entry now.
    pub fn note_replaced(&self, stream: &Arc<StreamFiles>, before: &Arc<FileEntry>, entry: &Arc<FileEntry>) {
        let mut log = self.log.lock();
        let revision = log.next(before);
        log.revision_of.insert(address(entry), revision);
        log.by_revision
            .insert(revision, Change::Current(stream.clone(), entry.clone()));
    }

    /// A file is gone.
    pub fn note_removed(&self, stream: &StreamFiles, entry: &Arc<FileEntry>) {
        let mut log = self.log.lock();
        let revision = log.next(entry);
        let removed = RemovedFile {
            camera_id: stream.name.camera_id.clone(),
            name: entry.slot.recording_name(&stream.name.stream),
        };
        log.by_revision.insert(revision, Change::Removed(removed));
        log.removed += 1;
        if log.removed > MAX_REMOVED {
            log.forget_removed();
        }
    }

    /// What changed after `revision`; everything for 0, for a revision that is too old, and for one of another process.
    pub fn after(&self, revision: u64) -> Since {
        let log = self.log.lock();
        let whole = revision < log.forgotten || revision > log.revision;
        let mut since = Since {
            revision: log.revision,
            whole,
            files: Vec::new(),
            removed: Vec::new(),
        };
        let from = if whole { 0 } else { revision + 1 };
        for change in log.by_revision.range(from..).map(|(_, change)| change) {
            match change {
                Change::Current(stream, entry) => since.files.push((stream.clone(), entry.clone())),
                Change::Removed(removed) if !whole => since.removed.push(removed.clone()),
                Change::Removed(_) => {}
            }
        }
        since
    }
}

impl Log {
    /// The next revision, in place of the one that the file had.
    fn next(&mut self, entry: &Arc<FileEntry>) -> u64 {
        if let Some(before) = self.revision_of.remove(&address(entry)) {
            self.by_revision.remove(&before);
        }
        self.revision += 1;
        self.revision
    }

    /// Forgets the older half of the removals.
    fn forget_removed(&mut self) {
        let removals = self.by_revision.iter().filter(|(_, c)| matches!(c, Change::Removed(_)));
        let oldest: Vec<u64> = removals.map(|(r, _)| *r).take(self.removed.div_ceil(2)).collect();
        self.forgotten = oldest.last().copied().unwrap_or(self.forgotten);
        self.removed -= oldest.len();
        for revision in oldest {
            self.by_revision.remove(&revision);
        }
    }
}

fn address(entry: &Arc<FileEntry>) -> usize {
    Arc::as_ptr(entry).addr()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::catalogue::{Catalogue, FileState, StreamName};
    use super::*;
    use media_core::recording::file_name::FileSlot;

    fn entry(hour: i64) -> Arc<FileEntry> {
        let volume = super::super::volumes::Volume::nowhere();
        let slot = FileSlot { hour, number: 1 };
        Arc::new(FileEntry::new(&volume, slot, hour, FileState::default()))
    }

    #[test]
    fn only_so_many_removals_are_remembered_and_who_asks_from_before_is_told_everything() {
        let catalogue = Catalogue::new(1_000);
        let stream = catalogue.stream(&StreamName::new("1", "main"));
        let kept = entry(0);
        stream.insert(kept.clone());
        let before = catalogue.changes().after(0).revision;
        for hour in 1..=MAX_REMOVED as i64 {
            let entry = entry(hour);
            stream.insert(entry.clone());
            assert!(stream.remove(&entry) && !stream.remove(&entry));
        }
        let since = catalogue.changes().after(before);
        assert_eq!(
            (since.whole, since.removed.len(), since.files.len()),
            (false, MAX_REMOVED, 0)
        );
        let one_more = entry(0);
        stream.insert(one_more.clone());
        stream.remove(&one_more);
        let since = catalogue.changes().after(before);
        assert_eq!((since.whole, since.removed.len(), since.files.len()), (true, 0, 1));
        let log = catalogue.changes().log.lock();
        assert!(log.by_revision.len() <= MAX_REMOVED + 1 && log.revision_of.len() == 1);
    }

    #[test]
    fn revisions_of_another_process_are_answered_in_whole() {
        let catalogue = Catalogue::new(1_000);
        catalogue.stream(&StreamName::new("1", "main")).insert(entry(0));
        for revision in [0, 1, 999, 1_002, u64::MAX] {
            assert!(catalogue.changes().after(revision).whole, "{revision}");
        }
        let since = catalogue.changes().after(1_001);
        assert!(!since.whole && since.files.is_empty());
    }
}
