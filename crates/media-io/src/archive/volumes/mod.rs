//! Volumes: the directories that recordings lie in, usually a disk each, and how each of them does.
//!
//! Whoever meets an error of a disk notes it here (`Volume::failed`); new files go where `choose` says. A volume that
//! failed is tried again with a small file of its own, never with a recording.

mod choice;
mod options;

pub(crate) use choice::{choose, last_resort, most_room};
pub use options::{MAIN_VOLUME, VolumeOptions, VolumeTier};
pub(crate) use options::{check, check_names};

use super::disk::{self, DiskSpace, storage_error, sync_directory};
use super::lock::Lock;
use super::marker::Marker;
use crate::clock::Clock;
use media_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// The longest pause before a failing volume is tried again, µs.
const LONGEST_RETRY_US: u64 = 300_000_000;

/// A file that was just begun counts as this much already when the next one's volume is chosen: else all cameras of a
/// start would go to the same.
const BEGUN_FILE_BYTES: u64 = 64 << 20;

/// How many names of an hour belong to one volume while another is missing.
const OWN_NUMBERS: u32 = 1_000;

/// Bytes of the file that a failing volume is tried with.
const TRIAL_BYTES: usize = 64 << 10;

/// How a volume does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumeState {
    /// Takes new files.
    Ok,
    /// Less than the reserve is free, or the disk said that it is full.
    Full,
    /// Something on it failed or did not answer; it is tried again.
    Failing,
    /// Its directory or mount is not there; it is looked for again.
    Missing,
}

/// A volume at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeStatus {
    /// As configured.
    pub name: String,
    /// As configured.
    pub path: PathBuf,
    /// As configured.
    pub weight: u32,
    /// As configured.
    pub tier: VolumeTier,
    /// As configured.
    pub reserve_bytes: u64,
    /// Whether it takes new files.
    pub state: VolumeState,
    /// Why not.
    pub reason: Option<String>,
    /// Of its file system, as last seen.
    pub free_bytes: u64,
    /// Of its file system, as last seen.
    pub total_bytes: u64,
    /// Of the recordings on it.
    pub recorded_bytes: u64,
    /// Appended to recordings since the start.
    pub bytes_written_total: u64,
    /// Writes and syncs that failed since the start.
    pub write_errors_total: u64,
}

struct Health {
    state: VolumeState,
    reason: Option<String>,
    failed_at_us: u64,
    retry_at_us: u64,
    retry_after_us: u64,
}

/// An operation on the disk, for tests that make it fail or take long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Write,
    Sync,
    Seal,
    Trial,
}

#[cfg(test)]
type Fault = Arc<dyn Fn(Operation) -> io::Result<()> + Send + Sync>;

/// One volume. Its number is its place in the configuration.
pub(crate) struct Volume {
    pub options: VolumeOptions,
    pub number: usize,
    cameras_directory: PathBuf,
    clock: Arc<dyn Clock>,
    health: Mutex<Health>,
    /// As `health` says; read with every fragment.
    takes_files: AtomicBool,
    present: AtomicBool,
    space: Mutex<(DiskSpace, u64)>,
    retry_us: u64,
    bytes_written: AtomicU64,
    write_errors: AtomicU64,
    begun_files: AtomicU64,
    first_number: AtomicU32,
    /// None: it is the archive's own directory, which needs no marker.
    marker: Option<Marker>,
    lock: Mutex<Option<Lock>>,
    #[cfg(test)]
    pub fault: Mutex<Option<Fault>>,
}

impl std::fmt::Debug for Volume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Volume({})", self.options.name)
    }
}

impl Volume {
    pub fn new(
        options: VolumeOptions,
        number: usize,
        marker: Option<Marker>,
        clock: Arc<dyn Clock>,
        retry_us: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            cameras_directory: options.path.join("cameras"),
            options,
            number,
            clock,
            health: Mutex::new(Health {
                state: VolumeState::Missing,
                reason: None,
                failed_at_us: 0,
                retry_at_us: 0,
                retry_after_us: retry_us,
            }),
            takes_files: AtomicBool::new(false),
            present: AtomicBool::new(false),
            space: Mutex::default(),
            retry_us,
            bytes_written: AtomicU64::new(0),
            write_errors: AtomicU64::new(0),
            begun_files: AtomicU64::new(0),
            first_number: AtomicU32::new(1),
            marker,
            lock: Mutex::new(None),
            #[cfg(test)]
            fault: Mutex::new(None),
        })
    }

    /// A volume that is not there.
    #[cfg(test)]
    pub fn nowhere() -> Arc<Self> {
        let clock = crate::clock::ManualClock::at(0);
        Self::new(VolumeOptions::main(Path::new("/nowhere")), 0, None, clock, 10_000_000)
    }

    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// `{path}/cameras`.
    pub fn cameras_directory(&self) -> &Path {
        &self.cameras_directory
    }

    /// Whether new files should come here.
    pub fn takes_files(&self) -> bool {
        self.takes_files.load(Ordering::Acquire)
    }

    /// Whether its recordings are there.
    pub fn is_present(&self) -> bool {
        self.present.load(Ordering::Acquire)
    }

    /// From which number on the files of an hour are named.
    pub fn first_number(&self) -> u32 {
        self.first_number.load(Ordering::Relaxed)
    }

    /// While a volume is missing nobody knows which names it has: the others use names of their own.
    pub fn use_own_numbers(&self, own: bool) {
        let first = match own {
            true => (self.number as u32 % 9 + 1) * OWN_NUMBERS,
            false => 1,
        };
        self.first_number.store(first, Ordering::Relaxed);
    }

    /// Before every operation on the disk; only tests make anything of it.
    #[cfg(not(test))]
    pub fn before(&self, _operation: Operation) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    pub fn before(&self, operation: Operation) -> io::Result<()> {
        let fault = self.fault.lock().clone();
        fault.map_or(Ok(()), |fault| fault(operation))
    }

    /// Finds the directory, or makes it at its first use, and takes its lock. Its recordings are still to be read.
    pub fn find(&self) -> Result<()> {
        let path = &self.options.path;
        if let Some(marker) = &self.marker {
            marker.check(path)?;
            let mut lock = self.lock.lock();
            if lock.is_none() {
                *lock = Some(Lock::take(path)?);
            }
        }
        std::fs::create_dir_all(&self.cameras_directory)
            .and_then(|()| sync_directory(path))
            .map_err(|e| storage_error(&e, self.cameras_directory.display()))
    }

    /// Its recordings are read: it takes part.
    pub fn came(&self) {
        let mut health = self.health.lock();
        self.present.store(true, Ordering::Release);
        self.set(&mut health, VolumeState::Ok, None);
        drop(health);
        self.look_at_space();
    }

    /// Nobody writes to it any more.
    pub fn release(&self) {
        *self.lock.lock() = None;
    }

    /// It is not there (any more).
    pub fn went(&self, reason: &str) {
        self.present.store(false, Ordering::Release);
        *self.lock.lock() = None;
        *self.space.lock() = Default::default();
        let now_us = self.clock.monotonic_us();
        let mut health = self.health.lock();
        health.retry_at_us = now_us + self.retry_us;
        self.set(&mut health, VolumeState::Missing, Some(reason.to_owned()));
    }

    /// Whether the directory is still the volume's. Only an answer that says so makes it missing: a disk that fails is
    /// failing.
    pub fn is_gone(&self) -> Option<Error> {
        let error = self.marker.as_ref()?.check_again(&self.options.path).err()?;
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::Conflict => Some(error),
            _ => None,
        }
    }

    /// Notes a failed operation. What concerns one file alone (a directory that may not be entered) is no failure of
    /// the volume. The error in the words of a recording's state.
    pub fn failed(&self, error: &io::Error, what: impl std::fmt::Display) -> Error {
        self.write_errors.fetch_add(1, Ordering::Relaxed);
        let told = storage_error(error, what);
        match error.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => self.fail(VolumeState::Full, told.message()),
            Some(
                libc::EIO
                | libc::EROFS
                | libc::ENODEV
                | libc::ENXIO
                | libc::ESTALE
                | libc::ENOTCONN
                | libc::ETIMEDOUT
                | libc::EHOSTDOWN,
            ) => self.fail(VolumeState::Failing, told.message()),
            _ => {}
        }
        told
    }

    /// An operation takes too long.
    pub fn hangs(&self, what: &str) {
        if self.takes_files() {
            self.write_errors.fetch_add(1, Ordering::Relaxed);
        }
        self.fail(VolumeState::Failing, what);
    }

    fn fail(&self, state: VolumeState, reason: &str) {
        let now_us = self.clock.monotonic_us();
        let mut health = self.health.lock();
        if health.state == VolumeState::Missing {
            return;
        }
        // What failed again soon after it was tried waits twice as long.
        if health.state == VolumeState::Ok {
            let again = health.failed_at_us > 0
                && now_us.saturating_sub(health.failed_at_us) < health.retry_after_us.saturating_mul(3);
            health.retry_after_us = if again {
                health
                    .retry_after_us
                    .saturating_mul(2)
                    .min(LONGEST_RETRY_US.max(self.retry_us))
            } else {
                self.retry_us
            };
        }
        health.failed_at_us = now_us.max(1);
        health.retry_at_us = now_us + health.retry_after_us;
        self.set(&mut health, state, Some(reason.to_owned()));
    }

    fn set(&self, health: &mut Health, state: VolumeState, reason: Option<String>) {
        self.takes_files.store(state == VolumeState::Ok, Ordering::Release);
        if health.state != state {
            let (name, reason) = (self.name(), reason.as_deref().unwrap_or(""));
            match state {
                VolumeState::Ok => tracing::info!(volume = name, "volume ready"),
                _ => tracing::error!(volume = name, state = ?state, reason, "volume not ready"),
            }
        }
        health.state = state;
        health.reason = reason;
    }

    /// A recording was written here although the volume is not ready, as there is no other: then it works.
    pub fn wrote(&self, bytes: u64) {
        self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
        if self.takes_files() {
            return;
        }
        let now_us = self.clock.monotonic_us();
        let mut health = self.health.lock();
        let below_reserve = self.space.lock().0.free_bytes < self.options.reserve_bytes;
        if health.state != VolumeState::Missing && !below_reserve && now_us >= health.failed_at_us + 1_000_000 {
            self.set(&mut health, VolumeState::Ok, None);
        }
    }

    /// Compares what is free with the reserve, and tries a failing volume when its time has come.
    pub fn look_after(&self) {
        self.look_at_space();
        let now_us = self.clock.monotonic_us();
        {
            let health = self.health.lock();
            let tried_later = now_us < health.retry_at_us;
            if matches!(health.state, VolumeState::Ok | VolumeState::Missing) || tried_later {
                return;
            }
        }
        // Somewhat more than the reserve, or files would begin and end with every byte freed and written.
        let enough = self
            .options
            .reserve_bytes
            .saturating_add(self.options.reserve_bytes / 8);
        if self.space.lock().0.free_bytes < enough {
            return;
        }
        let tried = self.before(Operation::Trial).and_then(|()| self.try_to_write());
        let mut health = self.health.lock();
        match tried {
            Ok(()) => self.set(&mut health, VolumeState::Ok, None),
            Err(e) => {
                health.retry_after_us = health
                    .retry_after_us
                    .saturating_mul(2)
                    .min(LONGEST_RETRY_US.max(self.retry_us));
                health.failed_at_us = now_us.max(1);
                health.retry_at_us = now_us + health.retry_after_us;
                let reason = storage_error(&e, self.options.path.display()).message().to_owned();
                let state = match e.raw_os_error() {
                    Some(libc::ENOSPC | libc::EDQUOT) => VolumeState::Full,
                    _ => VolumeState::Failing,
                };
                self.set(&mut health, state, Some(reason));
            }
        }
    }

    fn try_to_write(&self) -> io::Result<()> {
        use std::io::Write;
        let path = self.options.path.join(".vms-trial");
        let mut file = std::fs::File::create(&path)?;
        let written = file.write_all(&[0x5a; TRIAL_BYTES]).and_then(|()| file.sync_all());
        let _ = std::fs::remove_file(&path);
        written
    }

    fn look_at_space(&self) {
        let Ok(found) = disk::disk_space(&self.options.path) else {
            return;
        };
        let device = disk::device_of(&self.options.path).unwrap_or(0);
        *self.space.lock() = (found, device);
        let mut health = self.health.lock();
        let enough = found.free_bytes >= self.options.reserve_bytes;
        match health.state {
            VolumeState::Ok if !enough => {
                let reason = format!(
                    "{} bytes are free, less than the reserve of {}",
                    found.free_bytes, self.options.reserve_bytes
                );
                self.set(&mut health, VolumeState::Full, Some(reason));
            }
            _ => {}
        }
    }

    /// Whether it is time to look for a missing volume again.
    pub fn is_due(&self) -> bool {
        let health = self.health.lock();
        health.state == VolumeState::Missing && self.clock.monotonic_us() >= health.retry_at_us
    }

    /// Space of its file system as last seen, and which file system that is.
    pub fn space(&self) -> (DiskSpace, u64) {
        *self.space.lock()
    }

    pub fn bytes_written(&self) -> u64 {
        self.bytes_written.load(Ordering::Relaxed)
    }

    pub fn write_errors(&self) -> u64 {
        self.write_errors.load(Ordering::Relaxed)
    }

    /// Whether it works and has room, although less than its reserve.
    pub fn has_room(&self) -> bool {
        let health = self.health.lock();
        health.state == VolumeState::Full && self.space.lock().0.free_bytes >= BEGUN_FILE_BYTES
    }

    /// A file is begun here, or about to be.
    pub fn begun_file(&self) {
        self.begun_files.fetch_add(1, Ordering::Relaxed);
    }

    /// It is closed, or not begun after all.
    pub fn ended_file(&self) {
        let fewer = |count: u64| Some(count.saturating_sub(1));
        let _ = self
            .begun_files
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
    }

    /// Bytes per weight, by which the next file's volume is chosen.
    fn load(&self) -> u64 {
        let begun = self
            .begun_files
            .load(Ordering::Relaxed)
            .saturating_mul(BEGUN_FILE_BYTES);
        let bytes = self.bytes_written().saturating_add(begun);
        bytes / u64::from(self.options.weight.max(1))
    }

    pub fn status(&self, recorded_bytes: u64) -> VolumeStatus {
        let health = self.health.lock();
        let space = self.space.lock().0;
        VolumeStatus {
            name: self.options.name.clone(),
            path: self.options.path.clone(),
            weight: self.options.weight,
            tier: self.options.tier,
            reserve_bytes: self.options.reserve_bytes,
            state: health.state,
            reason: health.reason.clone(),
            free_bytes: space.free_bytes,
            total_bytes: space.total_bytes,
            recorded_bytes,
            bytes_written_total: self.bytes_written(),
            write_errors_total: self.write_errors(),
        }
    }
}
