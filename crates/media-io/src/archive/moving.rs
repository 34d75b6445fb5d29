//! Moving a closed file to another volume: copied under names of its own, compared, renamed, then the original goes.
//!
//! Whatever the moment of a kill, one whole copy has the file's name on one volume: the next start removes what has a
//! name of a copy (`.moving`), an index without its video where another volume has both, and a second whole copy.

use super::Archive;
use super::catalogue::{FileEntry, FilePaths, StreamFiles};
use super::checksum::{self, Sha256, finish, hex};
use super::disk::{read_up_to, storage_error, sync_day, sync_directory, write_all_at};
use super::listing::check_sealed;
use super::pace::{Pace, STEP_BYTES};
use super::regular;
use super::volumes::{Operation, Volume, VolumeState};
use aws_lc_rs::digest::{Context, SHA256};
use media_core::recording::file_name::FileSlot;
use media_core::{Error, ErrorKind, Result};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the names of an unfinished copy end in.
pub(super) const MOVING: &str = ".moving";

/// The steps after which a test ends the process, so to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Begun,
    HalfCopied,
    Copied,
    ChecksumRenamed,
    IndexRenamed,
    VideoRenamed,
    OriginalVideoRemoved,
    OriginalIndexRemoved,
}

impl Archive {
    /// Copies a closed file to the volume called `volume`, no faster than `max_bytes_per_s`, reads the copy again and
    /// compares, then removes the original. Whoever reads it goes on. Blocks for as long as that takes.
    ///
    /// `NotFound` for the file or the volume; `Conflict` while it is being recorded or moved, when it is in the object
    /// storage or has no seal; `Unavailable` when the volume is missing or failing, or the archive is closed meanwhile;
    /// `Exhausted` when the volume is full; `Malformed` when the original or the copy does not match the checksum: the
    /// original stays.
    pub fn move_file(&self, camera_id: &str, name: &str, volume: &str, max_bytes_per_s: Option<u64>) -> Result<()> {
        let (stream, entry) = self.recorded(camera_id, name)?;
        let target = self.volumes.iter().find(|v| v.name() == volume);
        let target =
            target.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no volume {volume:.64}")))?;
        check_sealed(&stream, &entry)?;
        let source = entry.volume();
        if source.number == target.number {
            return Ok(());
        }
        let told = |e: Error| e.within(format!("camera {camera_id} {name} to volume {volume}"));
        if entry.object().is_some() {
            return Err(told(Error::new(ErrorKind::Conflict, "it is in the object storage")));
        }
        check_takes(target, entry.state.read().size_bytes).map_err(told)?;
        let _turn = self.moves.begin(&stream, entry.slot).map_err(told)?;
        self.move_between(&stream, &entry, &source, target, max_bytes_per_s)
            .map_err(told)
    }

    fn move_between(
        &self,
        stream: &Arc<StreamFiles>,
        entry: &Arc<FileEntry>,
        source: &Arc<Volume>,
        target: &Arc<Volume>,
        max_bytes_per_s: Option<u64>,
    ) -> Result<()> {
        let from = stream.paths_on(source, entry.slot);
        let to = stream.paths_on(target, entry.slot);
        let copies = copies_of(&to);
        let copied = self.copy(entry, (&from, &to, &copies), target, max_bytes_per_s);
        let placed = copied.and_then(|sum| self.put_in_place(stream, entry, (&from, &to, &copies), target, sum));
        if let Err(e) = placed {
            if !self.moves.is_stopped() {
                for path in [copies.video, copies.index, copies.checksum] {
                    let _ = std::fs::remove_file(path);
                }
                let _ = std::fs::remove_dir(&to.directory);
            }
            return Err(e);
        }
        self.reader.forget(entry);
        stream.changed(entry);
        tracing::info!(path = %to.video.display(), from = source.name(), "file moved");
        let _ = std::fs::remove_dir(&from.directory);
        Ok(())
    }

    /// Copies the video and makes it durable; its sum when original and copy are the same.
    fn copy(
        &self,
        entry: &FileEntry,
        (from, to, copies): (&FilePaths, &FilePaths, &FilePaths),
        target: &Volume,
        max_bytes_per_s: Option<u64>,
    ) -> Result<Sha256> {
        let failed = |e: io::Error| target.failed(&e, copies.video.display());
        let reading = |e: io::Error| read_error(&e, &from.video);
        std::fs::create_dir_all(&to.directory).map_err(failed)?;
        let original = regular::open(&from.video).map_err(reading)?;
        let length = original.metadata().map_err(reading)?.len();
        let copy = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&copies.video)
            .map_err(failed)?;
        self.moves.after(Step::Begun)?;
        let mut pace = Pace::new(max_bytes_per_s, &self.closing);
        let mut context = Context::new(&SHA256);
        let mut at = 0;
        while at < length {
            let bytes = read_up_to(&original, at, STEP_BYTES).map_err(reading)?;
            if bytes.is_empty() {
                return Err(Error::malformed(format!("{}: ends at byte {at}", from.video.display())));
            }
            context.update(&bytes);
            target
                .before(Operation::Write)
                .and_then(|()| write_all_at(&copy, &bytes, std::iter::empty(), at))
                .map_err(failed)?;
            at += bytes.len() as u64;
            pace.wait(bytes.len())?;
            if at >= length / 2 {
                self.moves.after(Step::HalfCopied)?;
            }
        }
        let sum = finish(context);
        let known = entry.state.read().sha256;
        if known.is_some_and(|known| known != sum) {
            let message = format!(
                "{}: its SHA-256 is {}, not the one recorded",
                from.video.display(),
                hex(&sum)
            );
            return Err(Error::malformed(message));
        }
        copy.sync_all().map_err(failed)?;
        // What is read now is to come from the disk.
        // SAFETY: advice on a descriptor that `copy` owns.
        unsafe { libc::posix_fadvise(copy.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        let found = hash(&copy, length, &mut pace).map_err(|e| e.within(copies.video.display()))?;
        if found != sum {
            target.failed(&io::Error::from_raw_os_error(libc::EIO), copies.video.display());
            let message = format!("{}: the copy differs from its original", copies.video.display());
            return Err(Error::malformed(message));
        }
        self.moves.after(Step::Copied)?;
        Ok(sum)
    }

    /// Gives the copy its name, has everybody read it, and removes the original.
    fn put_in_place(
        &self,
        stream: &StreamFiles,
        entry: &FileEntry,
        (from, to, copies): (&FilePaths, &FilePaths, &FilePaths),
        target: &Arc<Volume>,
        sum: Sha256,
    ) -> Result<()> {
        let _nothing_else_changes_it = entry.changing.lock();
        if entry.state.read().removed {
            return Err(Error::new(ErrorKind::NotFound, "it was removed meanwhile"));
        }
        let failed = |e: io::Error| target.failed(&e, copies.index.display());
        // Small, and perhaps made anew since the copying began.
        let index = std::fs::read(&from.index).map_err(|e| read_error(&e, &from.index))?;
        write_copy(&copies.index, &index).map_err(failed)?;
        let has_sum = entry.state.read().sha256.is_some();
        if has_sum {
            checksum::write(&copies.checksum, &entry.slot.video_name(&stream.name.stream), &sum).map_err(failed)?;
            std::fs::rename(&copies.checksum, &to.checksum).map_err(failed)?;
        }
        self.moves.after(Step::ChecksumRenamed)?;
        std::fs::rename(&copies.index, &to.index).map_err(failed)?;
        self.moves.after(Step::IndexRenamed)?;
        let named = std::fs::rename(&copies.video, &to.video)
            .and_then(|()| sync_directory(&to.directory))
            .and_then(|()| sync_day(&to.directory));
        if let Err(e) = named {
            // Without its video nobody looks at the rest.
            for path in [&to.video, &to.index, &to.checksum] {
                let _ = std::fs::remove_file(path);
            }
            return Err(failed(e));
        }
        self.moves.after(Step::VideoRenamed)?;
        entry.move_to(target);
        // The video first: an index without it is known for what it is.
        for (path, step) in [
            (&from.video, Some(Step::OriginalVideoRemoved)),
            (&from.index, Some(Step::OriginalIndexRemoved)),
            (&from.checksum, None),
        ] {
            match std::fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    // The copy counts; the next start removes the rest.
                    tracing::warn!(path = %path.display(), error = %e, "the original of a moved file stays");
                    break;
                }
                _ => {}
            }
            step.map_or(Ok(()), |step| self.moves.after(step))?;
        }
        Ok(())
    }
}

/// `Exhausted` or `Unavailable` when a volume cannot take as many bytes.
fn check_takes(target: &Volume, size_bytes: u64) -> Result<()> {
    let status = target.status(0);
    let room = status.free_bytes.saturating_sub(status.reserve_bytes);
    let refuse = |kind, what: String| Err(Error::new(kind, what));
    match status.state {
        VolumeState::Missing | VolumeState::Failing => {
            let reason = status.reason.unwrap_or_default();
            refuse(
                ErrorKind::Unavailable,
                format!("the volume cannot be written: {reason}"),
            )
        }
        VolumeState::Full => refuse(ErrorKind::Exhausted, "the volume is full".into()),
        VolumeState::Ok if room < size_bytes => refuse(
            ErrorKind::Exhausted,
            format!("the volume has room for {room} bytes only"),
        ),
        VolumeState::Ok => Ok(()),
    }
}

/// The names of an unfinished copy.
fn copies_of(paths: &FilePaths) -> FilePaths {
    let moving = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(MOVING);
        PathBuf::from(name)
    };
    FilePaths {
        directory: paths.directory.clone(),
        video: moving(&paths.video),
        index: moving(&paths.index),
        checksum: moving(&paths.checksum),
        object: paths.object.clone(),
    }
}

fn write_copy(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = File::create(path)?;
    write_all_at(&file, bytes, std::iter::empty(), 0)?;
    file.sync_all()
}

fn read_error(error: &io::Error, path: &Path) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, format!("{}: is not there", path.display())),
        _ => storage_error(error, path.display()),
    }
}

/// The SHA-256 of the first `length` bytes; `Malformed` when there are fewer.
pub(super) fn hash(file: &File, length: u64, pace: &mut Pace) -> Result<Sha256> {
    let mut context = Context::new(&SHA256);
    let mut at = 0;
    while at < length {
        let step = usize::try_from(length - at).unwrap_or(STEP_BYTES).min(STEP_BYTES);
        let bytes = read_up_to(file, at, step)?;
        if bytes.is_empty() {
            return Err(Error::malformed(format!("ends at byte {at}")));
        }
        context.update(&bytes);
        at += bytes.len() as u64;
        pace.wait(bytes.len())?;
    }
    Ok(finish(context))
}

/// Whether two files have the same content.
pub(super) fn are_same(one: &Path, other: &Path) -> Result<bool> {
    let (one, other) = (regular::open(one)?, regular::open(other)?);
    let length = one.metadata()?.len();
    if other.metadata()?.len() != length {
        return Ok(false);
    }
    let never = std::sync::atomic::AtomicBool::new(false);
    let mut pace = Pace::new(None, &never);
    Ok(hash(&one, length, &mut pace)? == hash(&other, length, &mut pace)?)
}

/// The files being moved: each once at a time.
#[derive(Default)]
pub(super) struct Moves {
    under_way: parking_lot::Mutex<Vec<(String, FileSlot)>>,
    #[cfg(test)]
    pub stop_after: parking_lot::Mutex<Option<Step>>,
    #[cfg(test)]
    stopped: std::sync::atomic::AtomicBool,
}

/// Ends with the move.
pub(super) struct Turn<'a> {
    moves: &'a Moves,
    file: (String, FileSlot),
}

impl Moves {
    pub(super) fn begin(&self, stream: &StreamFiles, slot: FileSlot) -> Result<Turn<'_>> {
        let file = (stream.name.to_string(), slot);
        let mut under_way = self.under_way.lock();
        if under_way.contains(&file) {
            return Err(Error::new(ErrorKind::Conflict, "it is being moved already"));
        }
        under_way.push(file.clone());
        Ok(Turn { moves: self, file })
    }

    #[cfg(not(test))]
    fn after(&self, _step: Step) -> Result<()> {
        Ok(())
    }

    #[cfg(not(test))]
    fn is_stopped(&self) -> bool {
        false
    }

    #[cfg(test)]
    fn after(&self, step: Step) -> Result<()> {
        if *self.stop_after.lock() != Some(step) {
            return Ok(());
        }
        self.stopped.store(true, std::sync::atomic::Ordering::Relaxed);
        Err(Error::new(ErrorKind::Internal, "killed, so to speak"))
    }

    #[cfg(test)]
    fn is_stopped(&self) -> bool {
        self.stopped.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.moves.under_way.lock().retain(|file| *file != self.file);
    }
}
