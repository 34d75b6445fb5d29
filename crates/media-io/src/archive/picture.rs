//! The picture of a recording at an instant, as the access units that a decoder needs for it.

use super::Archive;
use super::reader::ReadFile;
use super::walk::{Place, Walk};
use media_core::fmp4::FragmentHeader;
use media_core::index::Fragment;
use media_core::recording::fragmenter::{GAP_US, rescale};
use media_core::{Codec, Error, ErrorKind, Result};
use std::sync::Arc;

/// Most bytes of access units for one picture.
const MAX_PICTURE_BYTES: u64 = 128 << 20;

/// How long pictures may still come, in decoding order, that are presented before the wanted one, µs.
const REORDER_US: i64 = 1_000_000;

/// Without a key frame in reach, a decoder gets this much of the stream to make something of it, µs.
const KEYLESS_US: i64 = 4_000_000;

/// The access units from a key frame to the wanted picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Codec of the units.
    pub codec: Codec,
    /// avcC, hvcC, av1C; empty for Motion JPEG.
    pub configuration: Vec<u8>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// In decoding order, as recorded.
    pub units: Vec<Vec<u8>>,
    /// Presentation time of each, ticks of 1/90,000 s.
    pub pts_90k: Vec<i64>,
    /// The picture asked for is the one with the greatest presentation time not after this.
    pub wanted_pts_90k: i64,
    /// Server time of that picture, µs.
    pub captured_us: i64,
}

/// A fragment with its header, and the samples of it in use.
struct Part {
    file: Arc<ReadFile>,
    record: Fragment,
    header: FragmentHeader,
    from: usize,
}

impl Archive {
    /// The picture that a stream showed at an instant: the last one presented at or before it. `NotFound` when nothing
    /// is recorded there (or in the 200 ms before).
    pub fn picture(&self, camera_id: &str, stream: &str, at_us: i64) -> Result<Picture> {
        let files = self.stream_files(camera_id, stream)?;
        let walk = Walk::new(&self.reader, &files);
        let place = place_at(&walk, at_us)?;
        let parts = parts_until(&walk, &place, at_us)?;
        let parameters = place.file.parameters()?.first().cloned();
        let parameters = parameters.ok_or_else(|| Error::malformed("a recording without tracks"))?;
        let rate = parameters.clock_rate;
        // Presentation times on the camera's clock, which runs on from file to file.
        let times: Vec<Vec<i64>> = parts.iter().map(|p| presentation_90k(p, rate)).collect();
        let limit_90k = to_90k(&place.file, place.file.media_time_of(place.record(), at_us), rate);
        let shown = |(part, sample): &(usize, usize)| times[*part][*sample] <= limit_90k;
        let all = || (0..parts.len()).flat_map(|part| (parts[part].from..times[part].len()).map(move |s| (part, s)));
        let wanted = all()
            .filter(shown)
            .max_by_key(|(part, sample)| times[*part][*sample])
            // Before the very first picture: that one.
            .or_else(|| all().min_by_key(|(part, sample)| times[*part][*sample]))
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    format!("{}: nothing is recorded there", files.name),
                )
            })?;
        let wanted_pts_90k = times[wanted.0][wanted.1];
        let mut picture = Picture {
            codec: parameters.codec,
            configuration: parameters.configuration.to_vec(),
            width: parameters.width,
            height: parameters.height,
            units: Vec::new(),
            pts_90k: Vec::new(),
            wanted_pts_90k,
            captured_us: 0,
        };
        let mut total = 0u64;
        for (number, part) in parts.iter().enumerate().take(wanted.0 + 1) {
            let to = if number == wanted.0 {
                wanted.1 + 1
            } else {
                part.header.samples.len()
            };
            total += read_units(part, to, &mut picture.units)?;
            if total > MAX_PICTURE_BYTES {
                let message = format!("{}: {total} bytes since the last key frame", files.name);
                return Err(Error::new(ErrorKind::Exhausted, message));
            }
            picture.pts_90k.extend_from_slice(&times[number][part.from..to]);
        }
        let part = &parts[wanted.0];
        let media = rescale(wanted_pts_90k.saturating_sub(part.file.header.origin_90k), 90_000, rate);
        picture.captured_us = part.file.utc_of(&part.record, media);
        Ok(picture)
    }

    /// The newest key frame that a stream showed at or before an instant, as a picture of one unit. `NotFound` when
    /// nothing is recorded there (or in the 200 ms before), or no key frame in the two minutes before.
    pub fn key_picture(&self, camera_id: &str, stream: &str, at_us: i64) -> Result<Picture> {
        let files = self.stream_files(camera_id, stream)?;
        let walk = Walk::new(&self.reader, &files);
        let Some((place, header, sample)) = walk.key_before(&place_at(&walk, at_us)?, at_us)? else {
            let message = format!("{}: there is no key frame before", files.name);
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        let parameters = place.file.parameters()?.first().cloned();
        let parameters = parameters.ok_or_else(|| Error::malformed("a recording without tracks"))?;
        let record = *place.record();
        let part = Part {
            file: place.file,
            record,
            header,
            from: sample,
        };
        let pts_90k = presentation_90k(&part, parameters.clock_rate)
            .get(sample)
            .copied()
            .ok_or_else(|| Error::malformed("a key frame outside its fragment"))?;
        let size = part.header.samples.get(sample).map_or(0, |s| u64::from(s.size_bytes));
        if size > MAX_PICTURE_BYTES {
            let message = format!("{}: a key frame of {size} bytes", files.name);
            return Err(Error::new(ErrorKind::Exhausted, message));
        }
        let mut units = Vec::with_capacity(1);
        read_units(&part, sample + 1, &mut units)?;
        let media = rescale(
            pts_90k.saturating_sub(part.file.header.origin_90k),
            90_000,
            parameters.clock_rate,
        );
        Ok(Picture {
            codec: parameters.codec,
            configuration: parameters.configuration.to_vec(),
            width: parameters.width,
            height: parameters.height,
            units,
            pts_90k: vec![pts_90k],
            wanted_pts_90k: pts_90k,
            captured_us: part.file.utc_of(&part.record, media),
        })
    }
}

/// The last fragment that begins at or before an instant at which something is recorded.
fn place_at(walk: &Walk, at_us: i64) -> Result<Place> {
    let mut place = walk.first(at_us.saturating_sub(GAP_US), at_us.saturating_add(1))?;
    while place
        .file
        .video
        .get(place.fragment + 1)
        .is_some_and(|f| f.start_us <= at_us)
    {
        place.fragment += 1;
    }
    Ok(place)
}

/// The fragments from the key frame before an instant to the last that can hold its picture.
fn parts_until(walk: &Walk, place: &Place, at_us: i64) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let (begin, first_sample) = match walk.entry_before(place, at_us)? {
        Some(entry) => (entry.place, entry.sample),
        None => {
            let mut begin = place.clone();
            while begin.fragment > 0 && begin.file.video[begin.fragment - 1].start_us > at_us.saturating_sub(KEYLESS_US)
            {
                begin.fragment -= 1;
            }
            (begin, 0)
        }
    };
    let files = walk.between(&begin.file, &place.file)?;
    for file in files {
        let from = if Arc::ptr_eq(&file.entry, &begin.file.entry) {
            begin.fragment
        } else {
            0
        };
        for record in &file.video[from.min(file.video.len())..] {
            if record.start_us > at_us.saturating_add(REORDER_US) {
                break;
            }
            let first = if parts.is_empty() { first_sample } else { 0 };
            parts.push(Part {
                file: file.clone(),
                record: *record,
                header: file.fragment_header(record)?,
                from: first,
            });
        }
    }
    Ok(parts)
}

fn to_90k(file: &ReadFile, media_time: i64, rate: u32) -> i64 {
    file.header.origin_90k.saturating_add(rescale(media_time, rate, 90_000))
}

/// Presentation time of every sample of a fragment.
fn presentation_90k(part: &Part, rate: u32) -> Vec<i64> {
    let mut dts = part.record.media_time;
    let times = part.header.samples.iter().map(|sample| {
        let pts = dts.saturating_add(sample.composition_offset.into());
        dts = dts.saturating_add(sample.duration.into());
        to_90k(&part.file, pts, rate)
    });
    times.collect()
}

/// Appends the units of a part up to sample `to`; their bytes.
fn read_units(part: &Part, to: usize, units: &mut Vec<Vec<u8>>) -> Result<u64> {
    let sizes = || part.header.samples.iter().map(|s| s.size_bytes as usize);
    let before: usize = sizes().take(part.from).sum();
    let used: usize = sizes().take(to).skip(part.from).sum();
    let offset = part.record.offset + u64::from(part.record.moof_bytes) + before as u64;
    let data = part.file.mp4.read_exactly(offset, used)?;
    let mut rest = &data[..];
    for size in sizes().take(to).skip(part.from) {
        let (unit, after) = rest.split_at_checked(size).unwrap_or((rest, &[]));
        units.push(unit.to_vec());
        rest = after;
    }
    Ok(used as u64)
}
