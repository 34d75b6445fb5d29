//! Archives of any length for measurements: true indexes and true fragment headers, but video that takes no room.
//!
//! One hour is made once, as a sparse file in which only the headers are written; every other hour is a hard link to it
//! with an index of its own, so that thirty days of a camera take a few hundred megabytes of indexes and little else.

use super::disk::storage_error;
use super::lock::Lock;
use bytes::Bytes;
use media_core::fmp4::{Sample, fragment_header, init_segment};
use media_core::index::{Fragment, HEADER_BYTES, Header, RECORD_BYTES, Record, Seal};
use media_core::recording::file_name::{FileSlot, HOUR_US, MAIN_STREAM, check_camera_id};
use media_core::recording::fragmenter::{rescale, ticks_to_us};
use media_core::recording::repair::{clock_box, mark_keys};
use media_core::{Codec, Error, ErrorKind, Result, TrackParameters};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Most hours of one made-up archive: a year.
const MAX_HOURS: usize = 366 * 24;

/// avcC of 1080p, Main profile, level 4.
const CONFIGURATION_1080P: [u8; 42] = [
    0x01, 0x4d, 0x40, 0x28, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x4d, 0x40, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0xc0,
    0x44, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20, 0x01, 0x00, 0x05, 0x68,
    0xeb, 0xc3, 0xcb, 0x20,
];

/// What to make.
#[derive(Debug, Clone)]
pub struct SparseArchive {
    /// One recording each.
    pub camera_ids: Vec<String>,
    /// First instant, µs since the Unix epoch; rounded down to the hour.
    pub start_us: i64,
    /// The end, µs; rounded up to the hour.
    pub end_us: i64,
    /// The video track; its clock rate must be 90,000.
    pub parameters: TrackParameters,
    /// Pictures per second, 1 to 120.
    pub fps: u32,
    /// Pictures from key frame to key frame.
    pub gop_pictures: u32,
    /// Bits per second.
    pub bitrate_bps: u32,
    /// Length of a fragment, ms.
    pub fragment_ms: u32,
    /// Leaves out every so manieth hour; 0 leaves out none.
    pub gap_every_hours: u32,
}

/// Makes the archive of one camera of 1080p30 and 4 Mbit/s with a key frame every 2 s; see `make_sparse_archive`.
pub fn make_sparse(storage: &Path, camera_id: &str, start_us: i64, end_us: i64) -> Result<u64> {
    let parameters = TrackParameters {
        codec: Codec::H264,
        clock_rate: 90_000,
        configuration: Bytes::from_static(&CONFIGURATION_1080P),
        width: 1920,
        height: 1080,
        channels: 0,
        reorder_depth: 0,
        fps_milli: 30_000,
    };
    let wanted = SparseArchive {
        camera_ids: vec![camera_id.to_owned()],
        start_us,
        end_us,
        parameters,
        fps: 30,
        gop_pictures: 60,
        bitrate_bps: 4_000_000,
        fragment_ms: 500,
        gap_every_hours: 0,
    };
    make_sparse_archive(storage, &wanted)
}

/// Makes the archive's files in `storage`, which no process may have open (`Conflict`). Hours that are there already
/// are left as they are. Gives the number of files made.
pub fn make_sparse_archive(storage: &Path, wanted: &SparseArchive) -> Result<u64> {
    check(wanted)?;
    let cameras = storage.join("cameras");
    let failed = |e: std::io::Error| storage_error(&e, cameras.display());
    std::fs::create_dir_all(&cameras).map_err(failed)?;
    let _lock = Lock::take(storage)?;
    let hour_path = storage.join(".sparse-hour.mp4");
    let (header, records, size_bytes) = make_hour(&hour_path, wanted)?;
    let hours = hours(wanted);
    let mut made = 0;
    for camera_id in &wanted.camera_ids {
        for hour in hours.clone() {
            let place = hour - hours.start + 1;
            if wanted.gap_every_hours > 0 && place % i64::from(wanted.gap_every_hours) == 0 {
                continue;
            }
            let slot = FileSlot { hour, number: 1 };
            let directory = cameras.join(camera_id).join(slot.directory());
            std::fs::create_dir_all(&directory).map_err(failed)?;
            let video_path = directory.join(slot.video_name(MAIN_STREAM));
            match std::fs::hard_link(&hour_path, &video_path) {
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => continue,
                linked => linked.map_err(failed)?,
            }
            let index = index_of_hour(&header, &records, size_bytes, slot.hour * HOUR_US);
            std::fs::write(directory.join(slot.index_name(MAIN_STREAM)), index).map_err(failed)?;
            made += 1;
        }
    }
    std::fs::remove_file(&hour_path).map_err(failed)?;
    Ok(made)
}

/// Hours since the Unix epoch.
fn hours(wanted: &SparseArchive) -> Range<i64> {
    wanted.start_us.div_euclid(HOUR_US)..wanted.end_us.saturating_add(HOUR_US - 1).div_euclid(HOUR_US)
}

fn check(wanted: &SparseArchive) -> Result<()> {
    let invalid = |what: &str| Err(Error::new(ErrorKind::Invalid, format!("sparse archive: {what}")));
    for camera_id in &wanted.camera_ids {
        check_camera_id(camera_id)?;
    }
    match wanted {
        SparseArchive { fps, .. } if !(1..=120).contains(fps) => invalid("1 to 120 pictures per second"),
        SparseArchive { parameters, .. } if parameters.clock_rate != 90_000 => invalid("a clock rate of 90,000"),
        _ if !(1..=MAX_HOURS).contains(&hours(wanted).count()) => invalid("1 hour to a year"),
        SparseArchive { gop_pictures: 0, .. } | SparseArchive { fragment_ms: 0, .. } => {
            invalid("no empty GOP or fragment")
        }
        _ => Ok(()),
    }
}

/// Writes the hour that all files share. Its header (with origin 0), its records (from time 0) and its length.
fn make_hour(path: &Path, wanted: &SparseArchive) -> Result<(Header, Vec<Fragment>, u64)> {
    let failed = |e: std::io::Error| storage_error(&e, path.display());
    let file = File::create(path).map_err(failed)?;
    let mut head = init_segment(std::slice::from_ref(&wanted.parameters))?;
    let header = Header {
        tracks: 1,
        origin_90k: 0,
        timescale: [90_000, 0, 0, 0],
        init_size_bytes: head.len() as u64,
    };
    head.extend_from_slice(&clock_box(0));
    file.write_all_at(&head, 0).map_err(failed)?;
    let per_fragment = (wanted.fps * wanted.fragment_ms / 1_000).max(1);
    let pictures = wanted.fps * 3_600;
    let mut records = Vec::with_capacity((pictures / per_fragment) as usize + 1);
    let mut offset = head.len() as u64;
    let mut next = 0;
    while next < pictures {
        let count = per_fragment.min(pictures - next);
        let time_of = |picture: u32| i64::from(picture) * 90_000 / i64::from(wanted.fps);
        let samples: Vec<Sample> = (next..next + count)
            .map(|picture| Sample {
                duration: (time_of(picture + 1) - time_of(picture)) as u32,
                size_bytes: picture_bytes(wanted, picture),
                key: picture % wanted.gop_pictures == 0,
                composition_offset: 0,
            })
            .collect();
        let sequence = records.len() as u32 + 1;
        let moof = fragment_header(sequence, 0, time_of(next) as u64, &samples);
        file.write_all_at(&moof, offset).map_err(failed)?;
        let data_bytes: u32 = samples.iter().map(|s| s.size_bytes).sum();
        let mut record = Fragment {
            samples: samples.len() as u16,
            start_us: ticks_to_us(time_of(next), 90_000),
            media_time: time_of(next),
            duration: (time_of(next + count) - time_of(next)) as u32,
            size_bytes: moof.len() as u32 + data_bytes,
            offset,
            moof_bytes: moof.len() as u32,
            sequence,
            ..Fragment::default()
        };
        mark_keys(&mut record, &samples);
        offset += u64::from(record.size_bytes);
        records.push(record);
        next += count;
    }
    file.set_len(offset).map_err(failed)?;
    Ok((header, records, offset))
}

/// Sizes that vary as a camera's do and come to the bit rate: a key frame is as large as six others, and these differ
/// by up to a quarter in a pattern that always repeats.
fn picture_bytes(wanted: &SparseArchive, picture: u32) -> u32 {
    let gop_bytes = u64::from(wanted.bitrate_bps) * u64::from(wanted.gop_pictures) / u64::from(wanted.fps) / 8;
    let share = (gop_bytes / (u64::from(wanted.gop_pictures) + 5)).max(16) as u32;
    if picture.is_multiple_of(wanted.gop_pictures) {
        return share.saturating_mul(6);
    }
    let wave = picture.wrapping_mul(2_654_435_761) >> 24;
    share * 3 / 4 + share / 2 * wave / 256
}

fn index_of_hour(header: &Header, records: &[Fragment], size_bytes: u64, start_us: i64) -> Vec<u8> {
    let mut index = Vec::with_capacity(HEADER_BYTES + (records.len() + 1) * RECORD_BYTES);
    index.extend_from_slice(
        &Header {
            origin_90k: rescale(start_us, 1_000_000, 90_000),
            ..header.clone()
        }
        .encode(),
    );
    let mut seal = Seal {
        start_us,
        end_us: start_us + HOUR_US,
        file_size_bytes: size_bytes,
        ..Seal::default()
    };
    for record in records {
        let moved = Fragment {
            start_us: record.start_us + start_us,
            ..*record
        };
        index.extend_from_slice(&Record::Fragment(moved).encode());
        seal.video_samples += u32::from(record.samples);
        seal.key_samples += u32::from(record.key_samples);
    }
    index.extend_from_slice(&Record::Seal(seal).encode());
    index
}
