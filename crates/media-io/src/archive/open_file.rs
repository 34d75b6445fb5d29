//! A file that is being recorded. The writer thread appends fragments; the sync thread makes them durable, then writes
//! their index records, then lets the catalogue know: a record never names bytes that could still be lost.

use super::catalogue::{FileEntry, FileState, StreamFiles};
use super::checksum::{self, Sha256};
use super::disk::{sync_directory, write_all_at};
use super::pair::{create_pair, make_directory, remove_pair};
use super::volumes::{Operation, Volume};
use aws_lc_rs::digest::{Context, SHA256};
use media_core::fmp4::{MAX_FRAGMENT_BYTES, Sample, fragment_header, init_segment};
use media_core::index::{
    FLAG_DISCONTINUITY, FLAG_PACKETS_LOST, Fragment as FragmentRecord, Gap, GapCause, HEADER_BYTES, Header, MAX_TRACKS,
    Record, Seal,
};
use media_core::recording::file_name::rfc3339;
use media_core::recording::fragmenter::{Fragment, rescale};
use media_core::recording::ranges::Coverage;
use media_core::recording::repair::{clock_box, end_us, mark_keys};
use media_core::{Error, ErrorKind, Result, TrackParameters};
use parking_lot::Mutex;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Most files of one stream in one hour.
const MAX_FILES_PER_HOUR: u32 = 9_999;

/// How often the day's directory is made again when it goes while a file is made in it.
const MAX_ATTEMPTS: u32 = 3;

/// The index itself is made durable this often, µs; what it lacks after a power cut is rebuilt from the `.mp4`.
const INDEX_SYNC_US: u64 = 10_000_000;

/// The writer's half.
struct Append {
    length: u64,
    sequence: u32,
    /// Of all that was appended; None without checksums.
    hash: Option<Context>,
    /// Written, not yet durable.
    unsynced: Vec<(FragmentRecord, GapCause)>,
    /// Nothing more comes.
    closing: bool,
    /// A write left the end of the file in doubt, or a sync failed: the file is left for repair.
    damaged: bool,
}

/// The sync thread's half.
struct Durable {
    fresh: bool,
    index_length: u64,
    records: u64,
    coverage: Coverage,
    leading_gap: Option<Gap>,
    size_bytes: u64,
    video_samples: u32,
    key_samples: u32,
    index_synced_at_us: u64,
    in_catalogue: bool,
}

/// What a round of syncing did with a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Synced {
    /// Nothing was due.
    Idle,
    /// New data became durable.
    Data,
    /// Sealed, or found empty and removed: done with it.
    Done,
}

pub(crate) struct OpenFile {
    pub stream: Arc<StreamFiles>,
    volume: Arc<Volume>,
    entry: Arc<FileEntry>,
    header: Header,
    mp4: File,
    index: File,
    append: Mutex<Append>,
    durable: Mutex<Durable>,
}

/// When and what a new file records.
pub(crate) struct NewFile<'a> {
    /// Server time of the first video sample, µs.
    pub start_us: i64,
    /// Its decoding time, ticks of 1/90,000 s.
    pub origin_90k: i64,
    pub tracks: &'a [Arc<TrackParameters>],
    /// Time before the file that is known to be missing, and why.
    pub leading_gap: Option<Gap>,
    /// Whether the file gets a checksum.
    pub checksum: bool,
}

impl OpenFile {
    /// Makes the next free file of the hour, with its initialization segment and its index's header.
    pub fn create(stream: &Arc<StreamFiles>, volume: &Arc<Volume>, new: &NewFile) -> Result<Self> {
        let tracks: Vec<TrackParameters> = new.tracks.iter().map(|t| (**t).clone()).collect();
        let mut head = init_segment(&tracks)?;
        let header = Header {
            tracks: tracks.len().min(MAX_TRACKS) as u16,
            origin_90k: new.origin_90k,
            timescale: std::array::from_fn(|t| tracks.get(t).map_or(0, |p| p.clock_rate)),
            init_size_bytes: head.len() as u64,
        };
        head.extend_from_slice(&clock_box(new.start_us));
        let mut slot = stream.next_slot(new.start_us);
        slot.number = slot.number.max(volume.first_number());
        let directory = stream.day_directory(volume, slot);
        volume
            .before(Operation::Create)
            .map_err(|e| volume.failed(&e, directory.display()))?;
        make_directory(volume, &directory)?;
        let mut attempts = 0;
        let (mp4, index) = loop {
            match create_pair(stream, volume, slot) {
                Ok(files) => break files,
                // The day was empty, and went between the two steps.
                Err(e) if e.kind() == io::ErrorKind::NotFound && attempts < MAX_ATTEMPTS => {
                    attempts += 1;
                    make_directory(volume, &directory)?;
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && slot.number < MAX_FILES_PER_HOUR => {
                    slot.number += 1
                }
                Err(e) => return Err(volume.failed(&e, directory.join(slot.video_name(&stream.name.stream)).display())),
            }
        };
        let begun =
            write_all_at(&mp4, &head, std::iter::empty(), 0).and_then(|()| index.write_all_at(&header.encode(), 0));
        if let Err(e) = begun {
            remove_pair(stream, volume, slot);
            return Err(volume.failed(&e, stream.paths_on(volume, slot).video.display()));
        }
        let hash = new.checksum.then(|| {
            let mut hash = Context::new(&SHA256);
            hash.update(&head);
            hash
        });
        let state = FileState {
            end_us: new.start_us,
            size_bytes: head.len() as u64,
            recording: true,
            ..FileState::default()
        };
        Ok(Self {
            stream: stream.clone(),
            volume: volume.clone(),
            entry: Arc::new(FileEntry::new(volume, slot, new.start_us, state)),
            header,
            mp4,
            index,
            append: Mutex::new(Append {
                length: head.len() as u64,
                sequence: 0,
                hash,
                unsynced: Vec::new(),
                closing: false,
                damaged: false,
            }),
            durable: Mutex::new(Durable {
                fresh: true,
                index_length: HEADER_BYTES as u64,
                records: 0,
                coverage: Coverage::default(),
                leading_gap: new.leading_gap,
                size_bytes: head.len() as u64,
                video_samples: 0,
                key_samples: 0,
                index_synced_at_us: 0,
                in_catalogue: false,
            }),
        })
    }

    /// The file's name, for messages.
    pub fn path(&self) -> String {
        let paths = self.stream.paths_on(&self.volume, self.entry.slot);
        paths.video.display().to_string()
    }

    /// The volume it is made on.
    pub fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    /// Nothing more is tried: its volume is not there any more.
    pub fn abandon(&self) {
        let mut append = self.append.lock();
        append.damaged = true;
        append.unsynced.clear();
    }

    /// Server time of the end of what is durable, µs.
    pub fn durable_end_us(&self) -> i64 {
        self.entry.end_us()
    }

    /// The error of an operation on it, noted for its volume.
    fn failed(&self, error: &io::Error) -> Error {
        self.volume.failed(error, self.path())
    }

    /// True when nothing can be appended any more.
    pub fn is_damaged(&self) -> bool {
        self.append.lock().damaged
    }

    /// Appends a fragment, before which others may have been lost, and for what cause; the bytes written. `accept` is
    /// asked when they are written: when it refuses, they are cut off again and the file is closed (None). After an
    /// error the file either is as before, or `is_damaged`.
    /// `Invalid` when the fragment does not fit into the file at all (before its origin).
    pub fn append(
        &self,
        fragment: &Fragment,
        cause: GapCause,
        after_loss: bool,
        accept: &dyn Fn() -> bool,
    ) -> Result<Option<u64>> {
        let timescale = self.header.timescale.get(fragment.track as usize).copied().unwrap_or(0);
        let origin = rescale(self.header.origin_90k, 90_000, timescale);
        let data_bytes = fragment.size_bytes() as u64;
        let media_time = fragment.first_dts().saturating_sub(origin);
        if timescale == 0 || media_time < 0 || data_bytes > MAX_FRAGMENT_BYTES || fragment.units.len() > 0xffff {
            let message = format!("{}: a fragment of track {} does not fit", self.path(), fragment.track);
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let samples: Vec<Sample> = fragment
            .units
            .iter()
            .zip(fragment.durations())
            .map(|(unit, duration)| Sample {
                duration,
                size_bytes: unit.data.len() as u32,
                key: unit.key,
                composition_offset: unit
                    .pts
                    .saturating_sub(unit.dts)
                    .clamp(i32::MIN.into(), i32::MAX.into()) as i32,
            })
            .collect();
        let mut append = self.append.lock();
        let sequence = append.sequence.wrapping_add(1);
        let head = fragment_header(sequence, fragment.track, media_time as u64, &samples);
        let size_bytes = head.len() as u64 + data_bytes;
        let written = self
            .volume
            .before(Operation::Write)
            .and_then(|()| write_all_at(&self.mp4, &head, fragment.units.iter().map(|u| &u.data), append.length));
        let accepted = accept();
        append.closing |= !accepted;
        if written.is_err() || !accepted {
            // A part may have been written. Where it can be cut off the file goes on; else its end is in doubt.
            append.damaged |= self.mp4.set_len(append.length).is_err();
        }
        if let Err(e) = written {
            return Err(self.failed(&e));
        }
        if !accepted {
            return Ok(None);
        }
        // Only now: of a write that failed nothing stays in the file.
        if let Some(hash) = &mut append.hash {
            hash.update(&head);
            fragment.units.iter().for_each(|unit| hash.update(&unit.data));
        }
        let lost_packets = fragment
            .units
            .iter()
            .fold(0u32, |sum, u| sum.saturating_add(u.lost_packets));
        let mut record = FragmentRecord {
            track: fragment.track,
            flags: if fragment.discontinuity || after_loss {
                FLAG_DISCONTINUITY
            } else {
                0
            } | if lost_packets > 0 { FLAG_PACKETS_LOST } else { 0 },
            samples: samples.len() as u16,
            start_us: fragment.start_us(),
            media_time,
            duration: fragment.duration(),
            size_bytes: size_bytes as u32,
            offset: append.length,
            moof_bytes: head.len() as u32,
            sequence,
            lost_packets,
            ..FragmentRecord::default()
        };
        mark_keys(&mut record, &samples);
        append.unsynced.push((record, cause));
        append.length += size_bytes;
        append.sequence = sequence;
        Ok(Some(size_bytes))
    }

    /// Nothing more comes: the next sync seals the file.
    pub fn close(&self) {
        self.append.lock().closing = true;
    }

    /// Whether the next sync that seals closes the file.
    pub fn is_closing(&self) -> bool {
        self.append.lock().closing
    }

    /// Makes what was appended durable and, when the file is closing and `seals` says so, seals it. After an error
    /// nothing is lost that was durable before: what can be tried again will be, and a damaged file answers `Done` at the
    /// next call.
    pub fn sync(&self, now_us: u64, seals: bool) -> Result<Synced> {
        let mut durable = self.durable.lock();
        let (batch, closing, damaged, length, hash) = {
            let mut append = self.append.lock();
            (
                std::mem::take(&mut append.unsynced),
                append.closing,
                append.damaged,
                append.length,
                append.hash.clone().filter(|_| append.closing && seals),
            )
        };
        if damaged && batch.is_empty() {
            return Ok(Synced::Done);
        }
        let mut answer = Synced::Idle;
        if !batch.is_empty() {
            if let Err(e) = self.sync_data(&mut durable) {
                // The kernel may have dropped the pages: what is on the disk is for repair to find out.
                self.append.lock().damaged = true;
                return Err(self.failed(&e));
            }
            if let Err(e) = self.append_records(&mut durable, &batch) {
                // What the records name is durable; they are written with the next.
                let mut append = self.append.lock();
                let newer = std::mem::replace(&mut append.unsynced, batch);
                append.unsynced.extend(newer);
                return Err(self.failed(&e));
            }
            answer = Synced::Data;
            if now_us.saturating_sub(durable.index_synced_at_us) >= INDEX_SYNC_US {
                durable.index_synced_at_us = now_us;
                if let Err(e) = self.index.sync_data() {
                    self.append.lock().damaged = true;
                    return Err(self.failed(&e));
                }
            }
        }
        if closing && !damaged && seals {
            self.seal(&mut durable, length, hash.map(checksum::finish))?;
            return Ok(Synced::Done);
        }
        Ok(answer)
    }

    fn sync_data(&self, durable: &mut Durable) -> io::Result<()> {
        self.volume.before(Operation::Sync)?;
        if durable.fresh {
            self.mp4.sync_all()?;
            self.index.sync_all()?;
            let directory = self.stream.day_directory(&self.volume, self.entry.slot);
            sync_directory(&directory)?;
            // Others make the day's directory too, and perhaps made it just now.
            self.stream.make_day_last(&directory)?;
            durable.fresh = false;
            return Ok(());
        }
        self.mp4.sync_data()
    }

    fn append_records(&self, durable: &mut Durable, batch: &[(FragmentRecord, GapCause)]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(batch.len() * media_core::index::RECORD_BYTES);
        for (record, _) in batch {
            bytes.extend_from_slice(&Record::Fragment(*record).encode());
        }
        if let Err(e) = self.index.write_all_at(&bytes, durable.index_length) {
            // Whole records behind the known end would be written twice.
            let _ = self.index.set_len(durable.index_length);
            return Err(e);
        }
        durable.index_length += bytes.len() as u64;
        durable.records += batch.len() as u64;
        for (record, cause) in batch {
            durable.size_bytes = record.offset + u64::from(record.size_bytes);
            if record.track == 0 {
                durable
                    .coverage
                    .add(record.start_us, end_us(&self.header, record), *cause);
                durable.video_samples = durable.video_samples.saturating_add(u32::from(record.samples));
                durable.key_samples = durable.key_samples.saturating_add(u32::from(record.key_samples));
            }
        }
        self.publish(durable, false);
        Ok(())
    }

    fn publish(&self, durable: &mut Durable, sealed: bool) {
        {
            let mut state = self.entry.state.write();
            state.end_us = durable.coverage.end_us.max(self.entry.start_us);
            state.records = durable.records;
            state.size_bytes = durable.size_bytes;
            state.sealed = sealed;
            state.recording = !sealed;
            let known = state
                .gaps
                .len()
                .saturating_sub(usize::from(durable.leading_gap.is_some()));
            if state.gaps.is_empty() {
                state.gaps.extend(durable.leading_gap);
            }
            state
                .gaps
                .extend_from_slice(&durable.coverage.gaps[known.min(durable.coverage.gaps.len())..]);
        }
        if !durable.in_catalogue {
            durable.in_catalogue = true;
            self.stream.insert(self.entry.clone());
            self.stream.give_name_back(self.entry.slot);
        } else if sealed {
            self.stream.changed(&self.entry);
        }
    }

    /// The checksum comes first: a file that is closed has it.
    fn seal(&self, durable: &mut Durable, length: u64, sum: Option<Sha256>) -> Result<()> {
        if durable.records == 0 {
            // Nothing was recorded: an empty file would only be in the way.
            remove_pair(&self.stream, &self.volume, self.entry.slot);
            return Ok(());
        }
        self.volume.before(Operation::Seal).map_err(|e| self.failed(&e))?;
        if let Some(sum) = &sum {
            let path = self.stream.paths_on(&self.volume, self.entry.slot).checksum;
            match checksum::write(&path, &self.entry.slot.video_name(&self.stream.name.stream), sum) {
                // What is no file has its name, and will have it: the recording is closed without.
                Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory) => {
                    tracing::warn!(path = self.path(), error = %e, "no checksum can be written");
                }
                written => written.map_err(|e| self.failed(&e))?,
            }
        }
        let gaps: Vec<Gap> = durable
            .leading_gap
            .iter()
            .chain(&durable.coverage.gaps)
            .copied()
            .collect();
        let start_us = durable.coverage.start_us.unwrap_or(self.entry.start_us);
        let seal = Seal {
            start_us,
            end_us: durable.coverage.end_us.max(start_us),
            gaps: gaps.len() as u32,
            file_size_bytes: length,
            video_samples: durable.video_samples,
            key_samples: durable.key_samples,
        };
        let mut bytes: Vec<u8> = gaps.iter().flat_map(|g| Record::Gap(*g).encode()).collect();
        bytes.extend_from_slice(&Record::Seal(seal).encode());
        let sealed = self
            .index
            .write_all_at(&bytes, durable.index_length)
            .and_then(|()| self.index.sync_data());
        if let Err(e) = sealed {
            let _ = self.index.set_len(durable.index_length);
            return Err(self.failed(&e));
        }
        self.entry.state.write().sha256 = sum;
        self.publish(durable, true);
        tracing::debug!(
            path = self.path(),
            start = rfc3339(seal.start_us),
            end = rfc3339(seal.end_us),
            samples = seal.video_samples,
            gaps = seal.gaps,
            "file closed"
        );
        Ok(())
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        // One that could not be sealed is nobody's now: the next start repairs it, unless it is removed before.
        self.entry.state.write().recording = false;
        self.stream.give_name_back(self.entry.slot);
    }
}
