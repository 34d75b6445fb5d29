//! What a file that was not closed still holds.
//!
//! Index records count as far as they are whole and describe the `.mp4` without a hole; after the last of them the
//! `.mp4` itself is walked, fragment by fragment. What follows the last whole fragment is torn and goes.

use super::fragmenter::{GAP_US, rescale, ticks_to_us};
use super::ranges::Coverage;
use crate::fmp4::{FragmentRead, Init, MAX_MOOF_BYTES, Sample, read_fragment_header};
use crate::index::{
    FLAG_CONTAINS_KEY, FLAG_DISCONTINUITY, FLAG_STARTS_WITH_KEY, Fragment, Gap, GapCause, HEADER_BYTES, Header,
    MAX_TRACKS, NO_KEY_OFFSET, RECORD_BYTES, Record, Seal,
};
use crate::{Codec, Error, Result};

/// Bytes of the clock box.
pub const CLOCK_BOX_BYTES: usize = 32;

/// The first read of a fragment's header: enough for the half second of any usual camera.
const FIRST_READ_BYTES: usize = 4 << 10;

/// Seconds between 1900 and 1970: NTP times count from the former.
const NTP_EPOCH_SECONDS: u64 = 2_208_988_800;

/// Reads up to so many bytes from an offset of the `.mp4` (fewer only at its end).
pub type ReadAt<'a> = dyn FnMut(u64, usize) -> Result<Vec<u8>> + 'a;

/// The `prft` box (ISO/IEC 14496-12 §8.16.5) between moov and the first fragment: the server time of media time 0, so
/// that a file whose index is lost still knows when it was recorded.
pub fn clock_box(start_us: i64) -> [u8; CLOCK_BOX_BYTES] {
    let us = start_us.max(0) as u64;
    let seconds = (us / 1_000_000 + NTP_EPOCH_SECONDS) & 0xffff_ffff;
    // Rounded up, so that reading it back gives the same µs.
    let fraction = ((us % 1_000_000) << 32).div_ceil(1_000_000);
    let mut bytes = [0; CLOCK_BOX_BYTES];
    bytes[..4].copy_from_slice(&(CLOCK_BOX_BYTES as u32).to_be_bytes());
    bytes[4..8].copy_from_slice(b"prft");
    bytes[8] = 1;
    bytes[15] = 1;
    bytes[16..24].copy_from_slice(&(seconds << 32 | fraction).to_be_bytes());
    bytes
}

/// The server time (µs) that a clock box at the start of `bytes` gives; None when there is no such box.
pub fn read_clock_box(bytes: &[u8]) -> Option<i64> {
    let bytes: &[u8; CLOCK_BOX_BYTES] = bytes.first_chunk()?;
    if bytes[..8] != clock_box(0)[..8] || bytes[8] != 1 {
        return None;
    }
    let ntp = u64::from_be_bytes(std::array::from_fn(|i| bytes[16 + i]));
    let (mut seconds, fraction) = (ntp >> 32, ntp & 0xffff_ffff);
    // 32 bits of seconds wrap in 2036; nothing was recorded before 1970.
    if seconds < NTP_EPOCH_SECONDS {
        seconds += 1 << 32;
    }
    Some(((seconds - NTP_EPOCH_SECONDS) * 1_000_000 + ((fraction * 1_000_000) >> 32)) as i64)
}

/// The end of a closed file's index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedTail {
    /// The last record.
    pub seal: Seal,
    /// The gaps it counts, in order.
    pub gaps: Vec<Gap>,
}

/// Reads the end of an index, `tail`, of which the file holds `records` records in all: Ok(None) when it is not sealed,
/// `Err(n)` when n bytes of tail are needed for the gaps.
pub fn read_sealed_tail(tail: &[u8], records: u64) -> std::result::Result<Option<SealedTail>, usize> {
    if tail.len() < RECORD_BYTES || !tail.len().is_multiple_of(RECORD_BYTES) {
        return Ok(None);
    }
    let count = tail.len() / RECORD_BYTES;
    let Ok(Record::Seal(seal)) = Record::decode(&tail[(count - 1) * RECORD_BYTES..], records.saturating_sub(1)) else {
        return Ok(None);
    };
    let needed = seal.gaps as usize + 1;
    if needed as u64 > records {
        return Ok(None);
    }
    if needed > count {
        return Err(needed * RECORD_BYTES);
    }
    let mut gaps = Vec::with_capacity(seal.gaps as usize);
    for block in tail[(count - needed) * RECORD_BYTES..(count - 1) * RECORD_BYTES].chunks_exact(RECORD_BYTES) {
        match Record::decode(block, records) {
            Ok(Record::Gap(gap)) => gaps.push(gap),
            _ => return Ok(None),
        }
    }
    Ok(Some(SealedTail { seal, gaps }))
}

/// The fragment records at the start of `records` (the index after its header) that describe the first `file_size`
/// bytes of an `.mp4` without a hole. Ends before the first record that does not.
pub fn read_fragments(records: &[u8], header: &Header, file_size: u64) -> Vec<Fragment> {
    let mut fragments = Vec::with_capacity(records.len() / RECORD_BYTES);
    let mut expected = None;
    for (number, block) in records.chunks_exact(RECORD_BYTES).enumerate() {
        let Ok(Record::Fragment(fragment)) = Record::decode(block, number as u64) else {
            break;
        };
        let end = fragment.offset + u64::from(fragment.size_bytes);
        let follows = expected.map_or(fragment.offset >= header.init_size_bytes, |at| at == fragment.offset);
        if !follows || end > file_size || fragment.track as usize >= header.tracks as usize || fragment.samples == 0 {
            break;
        }
        expected = Some(end);
        fragments.push(fragment);
    }
    fragments
}

/// A file as repair leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// The index's header: the one found, or one made from the `.mp4`.
    pub header: Header,
    /// All fragments, in file order.
    pub fragments: Vec<Fragment>,
    /// How many of `fragments` stood in the index already.
    pub kept: usize,
    /// Length of the `.mp4` without what is torn.
    pub file_size_bytes: u64,
    /// Gaps, for the records before the seal.
    pub gaps: Vec<Gap>,
    /// The record that closes the index.
    pub seal: Seal,
}

/// Finds what is whole in a file of `file_size` bytes that begins with `init`, and whose index holds `index` bytes
/// (any bytes: empty when there is no index).
pub fn repair(init: &Init, file_size: u64, index: &[u8], read_at: &mut ReadAt) -> Result<Repaired> {
    let init_size = init.size_bytes as u64;
    let clock = read_clock_box(&read_at(init_size, CLOCK_BOX_BYTES)?);
    let (header, mut fragments) = match found_header(init, index) {
        Some(header) => {
            let fragments = read_fragments(&index[HEADER_BYTES..], &header, file_size);
            (header, fragments)
        }
        None => (made_header(init, clock)?, Vec::new()),
    };
    let kept = fragments.len();
    let first = init_size + if clock.is_some() { CLOCK_BOX_BYTES as u64 } else { 0 };
    let mut offset = fragments.last().map_or(first, |f| f.offset + u64::from(f.size_bytes));
    let origin_us = clock.unwrap_or_else(|| ticks_to_us(header.origin_90k, 90_000));
    while let Some(fragment) = next_fragment(init, &fragments, kept, origin_us, offset, file_size, read_at)? {
        offset += u64::from(fragment.size_bytes);
        fragments.push(fragment);
    }
    let (gaps, seal) = seal(&header, &fragments, offset);
    Ok(Repaired {
        header,
        fragments,
        kept,
        file_size_bytes: offset,
        gaps,
        seal,
    })
}

/// The header of an index that belongs to the file.
fn found_header(init: &Init, index: &[u8]) -> Option<Header> {
    let expected = header(init, 0);
    Header::decode(index).ok().filter(|found| {
        let found = (found.init_size_bytes, found.timescale, found.tracks);
        found == (expected.init_size_bytes, expected.timescale, expected.tracks)
    })
}

/// A header as the `.mp4` alone gives it.
fn made_header(init: &Init, clock: Option<i64>) -> Result<Header> {
    let start_us =
        clock.ok_or_else(|| Error::malformed("there is no index, and the file does not say when it was recorded"))?;
    Ok(header(init, rescale(start_us, 1_000_000, 90_000)))
}

fn header(init: &Init, origin_90k: i64) -> Header {
    Header {
        tracks: init.tracks.len().min(MAX_TRACKS) as u16,
        origin_90k,
        timescale: std::array::from_fn(|t| init.tracks.get(t).map_or(0, |p| p.clock_rate)),
        init_size_bytes: init.size_bytes as u64,
    }
}

/// The gaps and the seal of a file with these fragments and no better knowledge of causes.
pub fn seal(header: &Header, fragments: &[Fragment], file_size_bytes: u64) -> (Vec<Gap>, Seal) {
    let mut coverage = Coverage::default();
    let mut seal = Seal {
        file_size_bytes,
        ..Seal::default()
    };
    for fragment in fragments.iter().filter(|f| f.track == 0) {
        coverage.add(fragment.start_us, end_us(header, fragment), GapCause::Unknown);
        seal.video_samples = seal.video_samples.saturating_add(u32::from(fragment.samples));
        seal.key_samples = seal.key_samples.saturating_add(u32::from(fragment.key_samples));
    }
    // A file without video covers no time: it starts and ends with its first sound.
    let start_us = coverage
        .start_us
        .or_else(|| fragments.first().map(|f| f.start_us))
        .unwrap_or(0);
    seal.start_us = start_us;
    seal.end_us = coverage.end_us.max(start_us);
    seal.gaps = coverage.gaps.len() as u32;
    (coverage.gaps, seal)
}

/// Server time of a fragment's end, µs.
pub fn end_us(header: &Header, fragment: &Fragment) -> i64 {
    let timescale = header.timescale.get(fragment.track as usize).copied().unwrap_or(0);
    fragment
        .start_us
        .saturating_add(ticks_to_us(i64::from(fragment.duration), timescale))
}

/// The fragment after those `before`, at `offset`; None when there is no whole one.
fn next_fragment(
    init: &Init,
    before: &[Fragment],
    kept: usize,
    origin_us: i64,
    offset: u64,
    file_size: u64,
    read_at: &mut ReadAt,
) -> Result<Option<Fragment>> {
    let Some((mut fragment, samples)) = fragment_at(init, offset, file_size, read_at)? else {
        return Ok(None);
    };
    let Some(parameters) = init.tracks.get(fragment.track as usize) else {
        return Ok(None);
    };
    let data = read_at(
        offset + u64::from(fragment.moof_bytes),
        (fragment.size_bytes - fragment.moof_bytes) as usize,
    )?;
    if !samples_are_whole(parameters.codec, &samples, &data) {
        return Ok(None);
    }
    // From the last record kept, not from one rebuilt: rounding errors do not add up.
    let known = before[..kept].iter().rfind(|f| f.track == fragment.track);
    fragment.start_us = start_us(&fragment, known, origin_us, parameters.clock_rate);
    let last = before.iter().rfind(|f| f.track == fragment.track);
    if is_broken(last, &fragment, parameters.clock_rate) {
        fragment.flags |= FLAG_DISCONTINUITY;
    }
    Ok(Some(fragment))
}

/// What the moof at `offset` says of its fragment (without its server time), and its samples; None when no whole
/// fragment of a track of the file is there.
fn fragment_at(
    init: &Init,
    offset: u64,
    file_size: u64,
    read_at: &mut ReadAt,
) -> Result<Option<(Fragment, Vec<Sample>)>> {
    let left = file_size.saturating_sub(offset);
    let mut wanted = FIRST_READ_BYTES;
    let read = loop {
        let bytes = read_at(offset, wanted.min(usize::try_from(left).unwrap_or(usize::MAX)))?;
        match read_fragment_header(&bytes) {
            Ok(FragmentRead::Whole(read)) => break read,
            Ok(FragmentRead::NeedBytes(more))
                if more > bytes.len() && more as u64 <= left && more <= MAX_MOOF_BYTES + 16 =>
            {
                wanted = more;
            }
            _ => return Ok(None),
        }
    };
    let (Ok(size_bytes), Ok(samples), Ok(media_time)) = (
        u32::try_from(read.size_bytes),
        u16::try_from(read.samples.len()),
        i64::try_from(read.media_time),
    ) else {
        return Ok(None);
    };
    if read.size_bytes > left || samples == 0 || read.track as usize >= init.tracks.len() {
        return Ok(None);
    }
    let mut fragment = Fragment {
        track: read.track,
        samples,
        media_time,
        duration: read.samples.iter().fold(0u32, |sum, s| sum.saturating_add(s.duration)),
        size_bytes,
        offset,
        key_offset: NO_KEY_OFFSET,
        moof_bytes: read.moof_bytes,
        sequence: read.sequence,
        ..Fragment::default()
    };
    mark_keys(&mut fragment, &read.samples);
    Ok(Some((fragment, read.samples)))
}

/// Server time of a fragment: by media time from one whose time is known, else from media time 0.
fn start_us(fragment: &Fragment, known: Option<&Fragment>, origin_us: i64, clock_rate: u32) -> i64 {
    let (from_us, from) = known.map_or((origin_us, 0), |known| (known.start_us, known.media_time));
    from_us.saturating_add(ticks_to_us(fragment.media_time.saturating_sub(from), clock_rate))
}

/// Whether time is missing between two fragments of a track, or nothing is before the second.
fn is_broken(last: Option<&Fragment>, fragment: &Fragment, clock_rate: u32) -> bool {
    let end = |f: &Fragment| f.media_time.saturating_add(i64::from(f.duration));
    last.is_none_or(|last| ticks_to_us(fragment.media_time.saturating_sub(end(last)), clock_rate) > GAP_US)
}

/// Fills in the fields of an index record that speak of key samples; `moof_bytes` must be known.
pub fn mark_keys(fragment: &mut Fragment, samples: &[Sample]) {
    let mut at = fragment.moof_bytes;
    fragment.key_offset = NO_KEY_OFFSET;
    fragment.key_samples = 0;
    for (number, sample) in samples.iter().enumerate() {
        if sample.key {
            fragment.key_samples = fragment.key_samples.saturating_add(1);
            if fragment.key_offset == NO_KEY_OFFSET {
                fragment.key_offset = at;
            }
            fragment.flags |= FLAG_CONTAINS_KEY | if number == 0 { FLAG_STARTS_WITH_KEY } else { 0 };
        }
        at = at.saturating_add(sample.size_bytes);
    }
}

/// False when the samples' own structure shows that their bytes never reached the disk (a file can grow before its
/// data is there). Only codecs of length-prefixed NAL units say enough.
fn samples_are_whole(codec: Codec, samples: &[Sample], data: &[u8]) -> bool {
    if !matches!(codec, Codec::H264 | Codec::H265) {
        return true;
    }
    let mut rest = data;
    for sample in samples {
        let Some((mut unit, after)) = rest.split_at_checked(sample.size_bytes as usize) else {
            return false;
        };
        rest = after;
        while !unit.is_empty() {
            let Some((length, body)) = unit.split_first_chunk::<4>() else {
                return false;
            };
            let length = u32::from_be_bytes(*length) as usize;
            if length == 0 || length > body.len() {
                return false;
            }
            unit = &body[length..];
        }
    }
    true
}

#[cfg(test)]
mod tests;

mod rebuild;

pub use rebuild::{Rebuilt, rebuild};
