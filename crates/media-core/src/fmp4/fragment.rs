//! One fragment: `moof` (mfhd, traf: tfhd, tfdt, trun) and the header of its `mdat` (ISO/IEC 14496-12 §8.8).

use super::boxes::{BoxHeader, Boxes, Fields, kind_name, put_u32, put_u64, write_box, write_full_box};
use crate::error::{Error, Result};

/// Position, from the start of the moof, of the eight bytes of tfdt's baseMediaDecodeTime in every fragment written here.
pub const TFDT_TIME_POSITION: usize = 60;
/// Longest moof that is read; 65,535 samples (the index's limit) need 1 MiB.
pub const MAX_MOOF_BYTES: usize = 4 << 20;
/// Most bytes of samples in a fragment: moof + mdat must stay below 4 GiB, the index's limit.
pub const MAX_FRAGMENT_BYTES: u64 = 3 << 30;

const TFHD_BASE_DATA_OFFSET: u32 = 0x01;
const TFHD_SAMPLE_DESCRIPTION: u32 = 0x02;
const TFHD_DURATION: u32 = 0x08;
const TFHD_SIZE: u32 = 0x10;
const TFHD_FLAGS: u32 = 0x20;
const TFHD_BASE_IS_MOOF: u32 = 0x02_0000;
const TRUN_DATA_OFFSET: u32 = 0x001;
const TRUN_FIRST_FLAGS: u32 = 0x004;
const TRUN_DURATION: u32 = 0x100;
const TRUN_SIZE: u32 = 0x200;
const TRUN_FLAGS: u32 = 0x400;
const TRUN_COMPOSITION: u32 = 0x800;
/// sample_depends_on = 2 (on none).
const SAMPLE_FLAGS_KEY: u32 = 0x0200_0000;
/// sample_depends_on = 1 (on others), sample_is_non_sync_sample = 1.
const SAMPLE_FLAGS_DELTA: u32 = 0x0101_0000;
const SAMPLE_IS_NON_SYNC: u32 = 0x0001_0000;

/// One sample of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// Ticks of the track to the next sample's decoding time.
    pub duration: u32,
    /// Bytes of data.
    pub size_bytes: u32,
    /// A decoder can start here.
    pub key: bool,
    /// Presentation time − decoding time in ticks of the track.
    pub composition_offset: i32,
}

/// What a moof and the header of its mdat say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentHeader {
    /// mfhd sequence_number.
    pub sequence: u32,
    /// Index of the track from 0 (track_ID − 1).
    pub track: u8,
    /// Decoding time of the first sample in ticks of the track (tfdt).
    pub media_time: u64,
    /// Samples in decoding order.
    pub samples: Vec<Sample>,
    /// Length of moof + mdat header: the distance from the moof's start to the first sample's data.
    pub moof_bytes: u32,
    /// Length of moof + mdat.
    pub size_bytes: u64,
}

/// What `read_fragment_header` made of the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FragmentRead {
    /// The header is whole (the samples' data need not be there).
    Whole(FragmentHeader),
    /// The bytes end inside the header; at least this many from the moof's start are needed. At the end of a file this
    /// means: torn.
    NeedBytes(usize),
}

/// The `moof` and the `mdat` header to put before the concatenated data of `samples`.
///
/// `track` counts from 0; `media_time` is the decoding time of the first sample in the track's ticks. The samples must
/// hold at most `MAX_FRAGMENT_BYTES` together.
pub fn fragment_header(sequence: u32, track: u8, media_time: u64, samples: &[Sample]) -> Vec<u8> {
    let composed = samples.iter().any(|sample| sample.composition_offset != 0);
    let sample_bytes = if composed { 16 } else { 12 };
    let moof_bytes = 88 + samples.len() * sample_bytes;
    let flags = TRUN_DATA_OFFSET | TRUN_DURATION | TRUN_SIZE | TRUN_FLAGS | if composed { TRUN_COMPOSITION } else { 0 };
    let mut data_bytes = 0u64;
    let mut out = Vec::with_capacity(moof_bytes + 8);
    write_box(&mut out, b"moof", |out| {
        write_full_box(out, b"mfhd", 0, 0, |out| put_u32(out, sequence));
        write_box(out, b"traf", |out| {
            write_full_box(out, b"tfhd", 0, TFHD_BASE_IS_MOOF, |out| put_u32(out, track as u32 + 1));
            write_full_box(out, b"tfdt", 1, 0, |out| put_u64(out, media_time));
            write_full_box(out, b"trun", 1, flags, |out| {
                put_u32(out, samples.len() as u32);
                put_u32(out, moof_bytes as u32 + 8);
                for sample in samples {
                    put_u32(out, sample.duration);
                    put_u32(out, sample.size_bytes);
                    put_u32(
                        out,
                        if sample.key {
                            SAMPLE_FLAGS_KEY
                        } else {
                            SAMPLE_FLAGS_DELTA
                        },
                    );
                    if composed {
                        put_u32(out, sample.composition_offset as u32);
                    }
                    data_bytes += sample.size_bytes as u64;
                }
            });
        });
    });
    debug_assert_eq!(out.len(), moof_bytes);
    debug_assert!(data_bytes <= MAX_FRAGMENT_BYTES);
    put_u32(&mut out, (data_bytes + 8) as u32);
    out.extend_from_slice(b"mdat");
    out
}

/// Reads the moof and the mdat header at the start of `bytes`.
///
/// `Malformed` when the bytes there cannot be a fragment as docs/format/recording.md gives it: another box, several
/// tracks or runs, data that does not follow the moof at once, sizes that do not add up.
pub fn read_fragment_header(bytes: &[u8]) -> Result<FragmentRead> {
    let Some(moof) = BoxHeader::read(bytes).map_err(|e| e.within("fragment"))? else {
        return Ok(FragmentRead::NeedBytes(box_header_bytes(bytes)));
    };
    if moof.kind != *b"moof" {
        return Err(Error::malformed(format!(
            "fragment: begins with {}, not moof",
            kind_name(moof.kind)
        )));
    }
    if moof.size_bytes > MAX_MOOF_BYTES as u64 {
        return Err(Error::malformed(format!(
            "fragment: a moof of {} bytes",
            moof.size_bytes
        )));
    }
    let moof_size = moof.size_bytes as usize;
    let (Some(body), Some(after)) = (bytes.get(moof.header_bytes..moof_size), bytes.get(moof_size..)) else {
        return Ok(FragmentRead::NeedBytes(moof_size + 8));
    };
    let Some(mdat) = BoxHeader::read(after).map_err(|e| e.within("fragment"))? else {
        return Ok(FragmentRead::NeedBytes(
            moof_size + if after.len() < 8 { 8 } else { 16 },
        ));
    };
    if mdat.kind != *b"mdat" {
        return Err(Error::malformed(format!(
            "fragment: {} follows the moof, not mdat",
            kind_name(mdat.kind)
        )));
    }
    let moof_bytes = moof_size + mdat.header_bytes;
    let header = read_moof(body, moof_bytes, moof.size_bytes.saturating_add(mdat.size_bytes))?;
    let data_bytes: u64 = header.samples.iter().map(|sample| sample.size_bytes as u64).sum();
    if data_bytes != mdat.size_bytes - mdat.header_bytes as u64 {
        return Err(Error::malformed(format!(
            "fragment {}: samples of {data_bytes} bytes in an mdat of {}",
            header.sequence, mdat.size_bytes
        )));
    }
    Ok(FragmentRead::Whole(header))
}

/// Bytes of the torn box header at the start of `bytes`: 16 where its first eight announce a 64-bit size.
fn box_header_bytes(bytes: &[u8]) -> usize {
    if bytes.len() < 8 { 8 } else { 16 }
}

fn read_moof(body: &[u8], moof_bytes: usize, size_bytes: u64) -> Result<FragmentHeader> {
    let (mut sequence, mut traf) = (None, None);
    let mut boxes = Boxes::new(body, "moof");
    while let Some((kind, body)) = boxes.next()? {
        match &kind {
            b"mfhd" => {
                let mut fields = Fields::new(body, "mfhd");
                fields.u32()?;
                sequence = Some(fields.u32()?);
            }
            b"traf" if traf.is_some() => return Err(Error::malformed("moof: more than one traf")),
            b"traf" => traf = Some(body),
            _ => {}
        }
    }
    let sequence = sequence.ok_or_else(|| Error::malformed("moof: no mfhd"))?;
    let traf = traf.ok_or_else(|| Error::malformed("moof: no traf"))?;
    let (mut tfhd, mut media_time, mut trun) = (None, None, None);
    let mut boxes = Boxes::new(traf, "traf");
    while let Some((kind, body)) = boxes.next()? {
        match &kind {
            b"tfhd" => tfhd = Some(read_tfhd(body)?),
            b"tfdt" => {
                let mut fields = Fields::new(body, "tfdt");
                let version = fields.u32()? >> 24;
                media_time = Some(if version == 0 {
                    fields.u32()? as u64
                } else {
                    fields.u64()?
                });
            }
            b"trun" if trun.is_some() => return Err(Error::malformed("traf: more than one trun")),
            b"trun" => trun = Some(body),
            _ => {}
        }
    }
    let tfhd = tfhd.ok_or_else(|| Error::malformed("traf: no tfhd"))?;
    let media_time = media_time.ok_or_else(|| Error::malformed("traf: no tfdt"))?;
    let trun = trun.ok_or_else(|| Error::malformed("traf: no trun"))?;
    let samples = read_trun(trun, &tfhd, moof_bytes)?;
    Ok(FragmentHeader {
        sequence,
        track: tfhd.track,
        media_time,
        samples,
        moof_bytes: moof_bytes as u32,
        size_bytes,
    })
}

struct Tfhd {
    track: u8,
    duration: u32,
    size_bytes: u32,
    flags: u32,
}

fn read_tfhd(body: &[u8]) -> Result<Tfhd> {
    let mut fields = Fields::new(body, "tfhd");
    let present = fields.u32()? & 0xff_ffff;
    let track_id = fields.u32()?;
    let track = u8::try_from(track_id.wrapping_sub(1))
        .map_err(|_| Error::malformed(format!("tfhd: track_ID {track_id} is out of range")))?;
    if present & TFHD_BASE_IS_MOOF == 0 || present & TFHD_BASE_DATA_OFFSET != 0 {
        return Err(Error::malformed("tfhd: the data is not addressed from the moof"));
    }
    let mut optional = |flag: u32| if present & flag != 0 { fields.u32() } else { Ok(0) };
    optional(TFHD_SAMPLE_DESCRIPTION)?;
    Ok(Tfhd {
        track,
        duration: optional(TFHD_DURATION)?,
        size_bytes: optional(TFHD_SIZE)?,
        flags: optional(TFHD_FLAGS)?,
    })
}

fn read_trun(body: &[u8], tfhd: &Tfhd, moof_bytes: usize) -> Result<Vec<Sample>> {
    let mut fields = Fields::new(body, "trun");
    let present = fields.u32()? & 0xff_ffff;
    let count = fields.u32()? as usize;
    let data_offset = if present & TRUN_DATA_OFFSET != 0 {
        fields.u32()? as usize
    } else {
        0
    };
    if data_offset != moof_bytes {
        return Err(Error::malformed(format!(
            "trun: data at {data_offset}, the mdat's begins at {moof_bytes}"
        )));
    }
    let first_flags = if present & TRUN_FIRST_FLAGS != 0 {
        Some(fields.u32()?)
    } else {
        None
    };
    let per_sample = [TRUN_DURATION, TRUN_SIZE, TRUN_FLAGS, TRUN_COMPOSITION];
    let fields_per_sample = per_sample.iter().filter(|flag| present & **flag != 0).count();
    // Bounds the allocation by the bytes that are there, or, where all is default, by what the index can count.
    if count > u16::MAX as usize || count.saturating_mul(4 * fields_per_sample) > fields.rest().len() {
        return Err(Error::malformed(format!(
            "trun: {count} samples in {} bytes",
            fields.rest().len()
        )));
    }
    let mut samples = Vec::with_capacity(count);
    for number in 0..count {
        let mut optional = |flag: u32, default: u32| if present & flag != 0 { fields.u32() } else { Ok(default) };
        let duration = optional(TRUN_DURATION, tfhd.duration)?;
        let size_bytes = optional(TRUN_SIZE, tfhd.size_bytes)?;
        let flags = optional(
            TRUN_FLAGS,
            if number == 0 {
                first_flags.unwrap_or(tfhd.flags)
            } else {
                tfhd.flags
            },
        )?;
        let composition_offset = optional(TRUN_COMPOSITION, 0)? as i32;
        samples.push(Sample {
            duration,
            size_bytes,
            key: flags & SAMPLE_IS_NON_SYNC == 0,
            composition_offset,
        });
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn samples() -> Vec<Sample> {
        vec![
            Sample {
                duration: 3000,
                size_bytes: 5000,
                key: true,
                composition_offset: 0,
            },
            Sample {
                duration: 3000,
                size_bytes: 700,
                key: false,
                composition_offset: 6000,
            },
            Sample {
                duration: 3001,
                size_bytes: 90,
                key: false,
                composition_offset: -3000,
            },
        ]
    }

    fn whole(bytes: &[u8]) -> FragmentHeader {
        match read_fragment_header(bytes).unwrap() {
            FragmentRead::Whole(header) => header,
            FragmentRead::NeedBytes(needed) => panic!("{needed} bytes needed"),
        }
    }

    #[test]
    fn a_fragment_header_reads_back() {
        let bytes = fragment_header(7, 1, 900_000, &samples());
        let header = whole(&bytes);
        assert_eq!((header.sequence, header.track, header.media_time), (7, 1, 900_000));
        assert_eq!(header.samples, samples());
        assert_eq!(header.moof_bytes as usize, bytes.len());
        assert_eq!(header.size_bytes, bytes.len() as u64 + 5790);
        let at = TFDT_TIME_POSITION;
        assert_eq!(u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()), 900_000);
    }

    #[test]
    fn every_cut_is_torn_and_says_how_much_is_needed() {
        let bytes = fragment_header(7, 0, 0, &samples());
        for length in 0..bytes.len() {
            let FragmentRead::NeedBytes(needed) = read_fragment_header(&bytes[..length]).unwrap() else {
                panic!("whole after {length} bytes")
            };
            assert!(needed > length && needed <= bytes.len());
        }
    }

    #[test]
    fn a_torn_64_bit_size_needs_sixteen_bytes() {
        let mut bytes = vec![0, 0, 0, 1];
        bytes.extend_from_slice(b"moof\0");
        assert_eq!(read_fragment_header(&bytes).unwrap(), FragmentRead::NeedBytes(16));
        let mut bytes = fragment_header(7, 0, 0, &samples());
        let mdat = bytes.len() - 8;
        bytes[mdat..mdat + 4].copy_from_slice(&[0, 0, 0, 1]);
        assert_eq!(
            read_fragment_header(&bytes).unwrap(),
            FragmentRead::NeedBytes(mdat + 16)
        );
    }

    #[test]
    fn what_is_no_fragment_is_malformed() {
        let sound = fragment_header(7, 0, 0, &samples());
        let broken = |at: usize, value: u8| {
            let mut bytes = sound.clone();
            bytes[at] = value;
            read_fragment_header(&bytes).unwrap_err().message().to_owned()
        };
        assert!(broken(4, b'x').contains("xoof"));
        assert!(broken(sound.len() - 1, b'x').contains("mdax"));
        assert!(broken(sound.len() - 5, 0).contains("samples of 5790 bytes"));
        assert!(broken(0, 0x7f).contains("a moof of"));
        assert!(broken(8 + 16 + 8 + 9, 0).contains("not addressed from the moof"));
        assert!(broken(8 + 16 + 8 + 15, 0).contains("track_ID 0"));
        assert!(broken(68 + 16 + 3, 9).contains("data at 9"));
        assert!(broken(68 + 12, 9).contains("samples in"));
        assert!(
            read_fragment_header(&[0; 64])
                .unwrap_err()
                .message()
                .contains("of 0 bytes")
        );
    }

    #[test]
    fn a_long_run_of_default_samples_does_not_allocate_without_bound() {
        let mut bytes = Vec::new();
        write_box(&mut bytes, b"moof", |out| {
            write_full_box(out, b"mfhd", 0, 0, |out| put_u32(out, 1));
            write_box(out, b"traf", |out| {
                write_full_box(out, b"tfhd", 0, TFHD_BASE_IS_MOOF, |out| put_u32(out, 1));
                write_full_box(out, b"tfdt", 0, 0, |out| put_u32(out, 0));
                write_full_box(out, b"trun", 0, TRUN_DATA_OFFSET, |out| {
                    put_u32(out, u32::MAX);
                    put_u32(out, 96);
                });
            });
        });
        bytes.extend_from_slice(&[0, 0, 0, 8]);
        bytes.extend_from_slice(b"mdat");
        let error = read_fragment_header(&bytes).unwrap_err();
        assert!(error.message().contains("trun"), "{error}");
    }

    prop_compose! {
        fn any_sample()(duration: u32, size_bytes in 0u32..1 << 20, key: bool, composition_offset: i32) -> Sample {
            Sample { duration, size_bytes, key, composition_offset }
        }
    }

    proptest! {
        #[test]
        fn headers_read_back(sequence: u32, track in 0u8..255, media_time: u64,
                             samples in proptest::collection::vec(any_sample(), 0..60)) {
            let header = whole(&fragment_header(sequence, track, media_time, &samples));
            prop_assert_eq!(header.sequence, sequence);
            prop_assert_eq!(header.track, track);
            prop_assert_eq!(header.media_time, media_time);
            prop_assert_eq!(header.samples, samples);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_fragment_header(&bytes);
        }

        #[test]
        fn flipped_bits_never_panic(flips in proptest::collection::vec((0usize..144, 0u8..8), 1..4)) {
            let mut bytes = fragment_header(7, 1, 900_000, &samples());
            let length = bytes.len();
            for (at, bit) in flips {
                bytes[at % length] ^= 1 << bit;
            }
            let _ = read_fragment_header(&bytes);
        }
    }
}
