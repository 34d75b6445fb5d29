//! The index of a closed file made anew from its `.mp4`.
//!
//! What only the recorder knew (server times, losses, why there are gaps) is taken from the records of the index there
//! is, where they are whole and name the same fragment; all else comes from the moofs.

use super::{
    CLOCK_BOX_BYTES, ReadAt, found_header, fragment_at, is_broken, made_header, read_clock_box, seal, start_us,
    ticks_to_us,
};
use crate::fmp4::Init;
use crate::index::{
    FLAG_DISCONTINUITY, FLAG_PACKETS_LOST, Fragment, Gap, HEADER_BYTES, Header, RECORD_BYTES, Record, Seal,
};
use crate::{Error, Result};
use std::collections::{HashMap, HashSet};

/// An index made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The whole index.
    pub index: Vec<u8>,
    /// Fragment records in it.
    pub fragments: u64,
    /// Gaps, as recorded in it.
    pub gaps: Vec<Gap>,
    /// Its last record.
    pub seal: Seal,
    /// Records in all.
    pub records: u64,
    /// Records that the index there was did not have so.
    pub records_rebuilt: u64,
}

/// Whole records of an index, whatever their order.
#[derive(Default)]
struct Known {
    /// By offset in the `.mp4`; where two name the same, the first.
    fragments: HashMap<u64, Fragment>,
    gaps: Vec<Gap>,
}

impl Known {
    fn read(index: &[u8]) -> Self {
        let mut known = Self::default();
        for (number, block) in index
            .get(HEADER_BYTES..)
            .unwrap_or_default()
            .chunks_exact(RECORD_BYTES)
            .enumerate()
        {
            match Record::decode(block, number as u64) {
                Ok(Record::Fragment(fragment)) => {
                    known.fragments.entry(fragment.offset).or_insert(fragment);
                }
                Ok(Record::Gap(gap)) => known.gaps.push(gap),
                Ok(Record::Seal(_)) | Err(_) => {}
            }
        }
        known
    }

    /// What is known of a fragment that the moofs tell of.
    fn of(&self, found: &Fragment) -> Option<&Fragment> {
        self.fragments.get(&found.offset).filter(|known| {
            let known = (known.track, known.media_time, known.size_bytes, known.samples);
            known == (found.track, found.media_time, found.size_bytes, found.samples)
        })
    }
}

/// Makes the index of a file of `file_size` bytes that begins with `init` and whose present index holds `present` (any
/// bytes). `Malformed` where the file is not whole fragments to its end, or nothing says when it was recorded.
pub fn rebuild(init: &Init, file_size: u64, present: &[u8], read_at: &mut ReadAt) -> Result<Rebuilt> {
    let init_size = init.size_bytes as u64;
    let clock = read_clock_box(&read_at(init_size, CLOCK_BOX_BYTES)?);
    let header = match found_header(init, present) {
        Some(header) => header,
        None => made_header(init, clock)?,
    };
    let known = Known::read(present);
    let origin_us = clock.unwrap_or_else(|| ticks_to_us(header.origin_90k, 90_000));
    let mut fragments = Vec::new();
    // By track: the last fragment, and the last whose server time is known.
    let mut last: [Option<Fragment>; 256] = [None; 256];
    let mut timed: [Option<Fragment>; 256] = [None; 256];
    let mut offset = init_size + if clock.is_some() { CLOCK_BOX_BYTES as u64 } else { 0 };
    while offset < file_size {
        let found = fragment_at(init, offset, file_size, read_at)?;
        let (mut fragment, _) =
            found.ok_or_else(|| Error::malformed(format!("no whole fragment at byte {offset} of {file_size}")))?;
        let track = fragment.track as usize;
        let rate = init.tracks.get(track).map_or(0, |p| p.clock_rate);
        match known.of(&fragment) {
            Some(known) => {
                fragment.start_us = known.start_us;
                fragment.flags |= known.flags & (FLAG_DISCONTINUITY | FLAG_PACKETS_LOST);
                fragment.lost_packets = known.lost_packets;
                timed[track] = Some(fragment);
            }
            None => {
                fragment.start_us = start_us(&fragment, timed[track].as_ref(), origin_us, rate);
                if is_broken(last[track].as_ref(), &fragment, rate) {
                    fragment.flags |= FLAG_DISCONTINUITY;
                }
            }
        }
        last[track] = Some(fragment);
        offset += u64::from(fragment.size_bytes);
        fragments.push(fragment);
    }
    if fragments.is_empty() {
        return Err(Error::malformed("there is no fragment in it"));
    }
    let (gaps, seal) = with_causes(&header, &fragments, offset, &known.gaps);
    Ok(encode(&header, &fragments, gaps, seal, present))
}

/// Gaps and seal, with the causes that the present index gives, and the gap before the file if it tells of one.
fn with_causes(header: &Header, fragments: &[Fragment], file_size: u64, known: &[Gap]) -> (Vec<Gap>, Seal) {
    let (found, mut seal) = seal(header, fragments, file_size);
    let leading = known.first().filter(|gap| gap.end_us == seal.start_us).copied();
    let gaps: Vec<Gap> = leading
        .into_iter()
        .chain(found.into_iter().map(|gap| {
            let same = known
                .iter()
                .find(|k| (k.start_us, k.end_us) == (gap.start_us, gap.end_us));
            same.copied().unwrap_or(gap)
        }))
        .collect();
    seal.gaps = gaps.len() as u32;
    (gaps, seal)
}

fn encode(header: &Header, fragments: &[Fragment], gaps: Vec<Gap>, seal: Seal, present: &[u8]) -> Rebuilt {
    let records = fragments.len() + gaps.len() + 1;
    let mut index = Vec::with_capacity(HEADER_BYTES + records * RECORD_BYTES);
    index.extend_from_slice(&header.encode());
    for fragment in fragments {
        index.extend_from_slice(&Record::Fragment(*fragment).encode());
    }
    for gap in &gaps {
        index.extend_from_slice(&Record::Gap(*gap).encode());
    }
    index.extend_from_slice(&Record::Seal(seal).encode());
    let blocks = |bytes| <[u8]>::chunks_exact(bytes, RECORD_BYTES);
    let there: HashSet<&[u8]> = blocks(present.get(HEADER_BYTES..).unwrap_or_default()).collect();
    let differ = blocks(&index[HEADER_BYTES..])
        .filter(|block| !there.contains(block))
        .count();
    Rebuilt {
        fragments: fragments.len() as u64,
        gaps,
        seal,
        records: records as u64,
        records_rebuilt: differ as u64,
        index,
    }
}

#[cfg(test)]
#[path = "rebuild_tests.rs"]
mod tests;
