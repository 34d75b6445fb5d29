//! The sample tables of one track: stts, ctts, stss, stsc, stsz and co64 (ISO/IEC 14496-12 §8.6, §8.7). Their length
//! depends on counts alone.

use super::{FragmentRef, Track};
use crate::error::{Error, Result};
use crate::fmp4::FragmentHeader;
use crate::fmp4::boxes::{put_u32, put_u64, write_full_box};

/// The tables of one track and what they mean for its edit list.
pub(super) struct Tables {
    /// stts to co64, as they follow stsd.
    pub bytes: Vec<u8>,
    /// Ticks added to every composition offset so that none is negative. Players take signed offsets less well
    /// (FFmpeg 5.1 looks for them in all entries but the last two); the edit begins that much later instead.
    pub composition_shift: i64,
}

impl Track {
    fn has_composition(&self) -> bool {
        self.plan.parameters.reorder_depth > 0
    }

    /// Without stss every sample is a key sample.
    fn has_sync_table(&self) -> bool {
        self.key_samples < self.samples
    }

    /// Length of `Tables::bytes`.
    pub(super) fn table_bytes(&self) -> u64 {
        let mut bytes = 16 + 8 * self.samples; // stts
        if self.has_composition() {
            bytes += 16 + 8 * self.samples; // ctts
        }
        if self.has_sync_table() {
            bytes += 16 + 4 * self.key_samples; // stss
        }
        bytes += 16 + 12 * self.chunk_runs.len() as u64; // stsc
        bytes += 20 + 4 * self.samples; // stsz
        bytes + 16 + 8 * self.plan.fragments.len() as u64 // co64
    }

    /// The tables for a movie whose head has `head_bytes`.
    pub(super) fn tables(
        &self,
        head_bytes: u64,
        headers: &mut impl FnMut(&FragmentRef) -> Result<FragmentHeader>,
    ) -> Result<Tables> {
        let capacity = self.samples as usize;
        let (mut durations, mut sizes) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        let mut offsets = Vec::with_capacity(if self.has_composition() { capacity } else { 0 });
        let mut keys = Vec::with_capacity(self.key_samples as usize);
        let mut dts = self.plan.fragments.first().map_or(0, |fragment| fragment.media_time);
        for (number, fragment) in self.plan.fragments.iter().enumerate() {
            let header = headers(fragment)?;
            fragment.check(&header)?;
            let first = fragment.first_sample as usize;
            let disagree = || Error::malformed(format!("{}: its samples are not those indexed", fragment.name()));
            let used = header
                .samples
                .get(first..first + fragment.samples as usize)
                .ok_or_else(disagree)?;
            let data_bytes: u64 = used.iter().map(|sample| sample.size_bytes as u64).sum();
            if data_bytes != fragment.data_bytes as u64 {
                return Err(disagree());
            }
            let keys_before = keys.len();
            for (place, sample) in used.iter().enumerate() {
                if sample.key && keys.len() - keys_before < fragment.key_samples as usize {
                    keys.push(sizes.len() as u32 + 1);
                }
                sizes.push(sample.size_bytes);
                if self.has_composition() {
                    offsets.push(sample.composition_offset);
                }
                // A fragment's last sample lasts until the next fragment: this is where a gap stays a gap, and where
                // an overlap is taken back.
                let duration = match self.plan.fragments.get(number + 1) {
                    Some(next) if place + 1 == used.len() => {
                        next.media_time.saturating_sub(dts).clamp(0, u32::MAX as i64) as u32
                    }
                    _ => sample.duration,
                };
                durations.push(duration);
                dts = dts.saturating_add(duration as i64);
            }
            if keys.len() - keys_before != fragment.key_samples as usize {
                return Err(disagree());
            }
        }
        let composition_shift = offsets
            .iter()
            .copied()
            .min()
            .map_or(0, |least: i32| -(least.min(0) as i64));
        let mut out = Vec::with_capacity(self.table_bytes() as usize);
        write_full_box(&mut out, b"stts", 0, 0, |out| {
            put_u32(out, durations.len() as u32);
            for duration in durations {
                put_u32(out, 1);
                put_u32(out, duration);
            }
        });
        if self.has_composition() {
            write_full_box(&mut out, b"ctts", 0, 0, |out| {
                put_u32(out, offsets.len() as u32);
                for offset in offsets {
                    put_u32(out, 1);
                    put_u32(out, (offset as i64 + composition_shift) as u32);
                }
            });
        }
        if self.has_sync_table() {
            write_full_box(&mut out, b"stss", 0, 0, |out| {
                put_u32(out, keys.len() as u32);
                keys.iter().for_each(|key| put_u32(out, *key));
            });
        }
        write_full_box(&mut out, b"stsc", 0, 0, |out| {
            put_u32(out, self.chunk_runs.len() as u32);
            for (first_chunk, samples) in &self.chunk_runs {
                put_u32(out, *first_chunk);
                put_u32(out, *samples);
                put_u32(out, 1); // sample_description_index
            }
        });
        write_full_box(&mut out, b"stsz", 0, 0, |out| {
            put_u32(out, 0); // sizes differ
            put_u32(out, sizes.len() as u32);
            sizes.iter().for_each(|size| put_u32(out, *size));
        });
        write_full_box(&mut out, b"co64", 0, 0, |out| {
            put_u32(out, self.chunk_offsets.len() as u32);
            self.chunk_offsets
                .iter()
                .for_each(|offset| put_u64(out, head_bytes + offset));
        });
        Ok(Tables {
            bytes: out,
            composition_shift,
        })
    }
}
