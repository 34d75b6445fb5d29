//! The recording index `.vms-idx`: a 64-byte header, then 64-byte records (docs/format/index.md).
//! All integers little-endian; each block ends with the CRC32C of its first 60 bytes.

mod block;
mod header;

pub use header::{Header, newer_version};

use crate::error::{Error, Result};
use block::{block_is_whole, close_block, i64_at, u16_at, u32_at};

/// Length of the header in bytes.
pub const HEADER_BYTES: usize = 64;
/// Length of every record in bytes.
pub const RECORD_BYTES: usize = 64;
/// First eight bytes of every index.
pub const MAGIC: [u8; 8] = *b"VMSIDX1\0";
/// The format version that this code writes and reads.
pub const VERSION: u16 = 1;
/// Most tracks that a file can hold.
pub const MAX_TRACKS: usize = 4;

/// The fragment's first sample is a key sample.
pub const FLAG_STARTS_WITH_KEY: u16 = 1;
/// The fragment holds at least one key sample.
pub const FLAG_CONTAINS_KEY: u16 = 2;
/// The camera connected anew, or its clock jumped, just before the fragment's first sample.
pub const FLAG_DISCONTINUITY: u16 = 4;
/// RTP packets were lost before or inside the fragment.
pub const FLAG_PACKETS_LOST: u16 = 8;

/// `key_offset` of a fragment without a key sample.
pub const NO_KEY_OFFSET: u32 = u32::MAX;

const KIND_FRAGMENT: u8 = 1;
const KIND_GAP: u8 = 2;
const KIND_SEAL: u8 = 3;

/// Where one moof + mdat lies in the `.mp4`, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fragment {
    /// Index of the track, from 0 (track_ID − 1).
    pub track: u8,
    /// `FLAG_*` bits.
    pub flags: u16,
    /// Samples in the fragment.
    pub samples: u16,
    /// Key samples in the fragment.
    pub key_samples: u16,
    /// Server UTC of `media_time`, µs since the Unix epoch; inside the fragment
    /// utc(t) = start_us + (t − media_time) / timescale.
    pub start_us: i64,
    /// Decoding time of the first sample (tfdt), in ticks of the track.
    pub media_time: i64,
    /// Sum of the sample durations in ticks of the track.
    pub duration: u32,
    /// Length of moof + mdat in bytes.
    pub size_bytes: u32,
    /// Position of the moof in the `.mp4`.
    pub offset: u64,
    /// Bytes from the start of the moof to the data of the first key sample; `NO_KEY_OFFSET` without one.
    pub key_offset: u32,
    /// Length of moof + mdat header: the distance from `offset` to the first sample's data.
    pub moof_bytes: u32,
    /// Sequence number of the fragment (mfhd).
    pub sequence: u32,
    /// RTP packets known lost before or inside the fragment.
    pub lost_packets: u32,
}

/// Why nothing was recorded between two instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GapCause {
    /// Not known (for example found by repair after a crash).
    #[default]
    Unknown,
    /// The camera sent nothing, or its clock jumped.
    Camera,
    /// The connection was lost, or packets were.
    Network,
    /// The disk was full, slow or failed.
    Disk,
    /// Recording was stopped.
    Stop,
    /// The server could not keep up.
    Overload,
}

impl GapCause {
    /// Stable lower-case name used by the timeline.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Camera => "camera",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Stop => "stop",
            Self::Overload => "overload",
        }
    }

    fn code(self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::Camera => 1,
            Self::Network => 2,
            Self::Disk => 3,
            Self::Stop => 4,
            Self::Overload => 5,
        }
    }

    /// Codes of later versions read as `Unknown`.
    fn from_code(code: u32) -> Self {
        match code {
            1 => Self::Camera,
            2 => Self::Network,
            3 => Self::Disk,
            4 => Self::Stop,
            5 => Self::Overload,
            _ => Self::Unknown,
        }
    }
}

/// A hole of more than 200 ms in the video track, written when the file is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Where the recording stops, µs since the Unix epoch.
    pub start_us: i64,
    /// Where it resumes, µs since the Unix epoch.
    pub end_us: i64,
    /// Why.
    pub cause: GapCause,
}

/// The last record of a file that was closed in order (or repaired).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seal {
    /// Server UTC of the first sample, µs since the Unix epoch.
    pub start_us: i64,
    /// Server UTC of the end of the last sample.
    pub end_us: i64,
    /// Gap records directly before this record.
    pub gaps: u32,
    /// Length of the `.mp4`.
    pub file_size_bytes: u64,
    /// Video samples in the file.
    pub video_samples: u32,
    /// Video key samples in the file.
    pub key_samples: u32,
}

/// One 64-byte record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// A moof + mdat.
    Fragment(Fragment),
    /// A hole.
    Gap(Gap),
    /// The end of a closed file.
    Seal(Seal),
}

impl Record {
    /// The 64 bytes of the record.
    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut block = [0; RECORD_BYTES];
        match self {
            Self::Fragment(fragment) => {
                block[0] = KIND_FRAGMENT;
                block[1] = fragment.track;
                block[2..4].copy_from_slice(&fragment.flags.to_le_bytes());
                block[4..6].copy_from_slice(&fragment.samples.to_le_bytes());
                block[6..8].copy_from_slice(&fragment.key_samples.to_le_bytes());
                block[8..16].copy_from_slice(&fragment.start_us.to_le_bytes());
                block[16..24].copy_from_slice(&fragment.media_time.to_le_bytes());
                block[24..28].copy_from_slice(&fragment.duration.to_le_bytes());
                block[28..32].copy_from_slice(&fragment.size_bytes.to_le_bytes());
                block[32..40].copy_from_slice(&fragment.offset.to_le_bytes());
                block[40..44].copy_from_slice(&fragment.key_offset.to_le_bytes());
                block[44..48].copy_from_slice(&fragment.moof_bytes.to_le_bytes());
                block[48..52].copy_from_slice(&fragment.sequence.to_le_bytes());
                block[52..56].copy_from_slice(&fragment.lost_packets.to_le_bytes());
            }
            Self::Gap(gap) => {
                block[0] = KIND_GAP;
                block[8..16].copy_from_slice(&gap.start_us.to_le_bytes());
                block[16..24].copy_from_slice(&gap.end_us.to_le_bytes());
                block[24..28].copy_from_slice(&gap.cause.code().to_le_bytes());
            }
            Self::Seal(seal) => {
                block[0] = KIND_SEAL;
                block[8..16].copy_from_slice(&seal.start_us.to_le_bytes());
                block[16..24].copy_from_slice(&seal.end_us.to_le_bytes());
                block[24..28].copy_from_slice(&seal.gaps.to_le_bytes());
                block[32..40].copy_from_slice(&seal.file_size_bytes.to_le_bytes());
                block[40..44].copy_from_slice(&seal.video_samples.to_le_bytes());
                block[44..48].copy_from_slice(&seal.key_samples.to_le_bytes());
            }
        }
        close_block(&mut block);
        block
    }

    /// Reads record `number` (from 0, after the header; only for messages) from the first 64 bytes of `bytes`.
    /// `Malformed` when they are no sound record: too short, wrong checksum, unknown kind, or fields that contradict
    /// each other.
    pub fn decode(bytes: &[u8], number: u64) -> Result<Self> {
        let malformed = |what: String| Error::malformed(format!("index record {number}: {what}"));
        let block: &[u8; RECORD_BYTES] = bytes
            .first_chunk()
            .ok_or_else(|| malformed(format!("{} bytes, 64 needed", bytes.len())))?;
        if !block_is_whole(block) {
            return Err(malformed("checksum does not match".into()));
        }
        match block[0] {
            KIND_FRAGMENT => {
                let fragment = Fragment {
                    track: block[1],
                    flags: u16_at(block, 2),
                    samples: u16_at(block, 4),
                    key_samples: u16_at(block, 6),
                    start_us: i64_at(block, 8),
                    media_time: i64_at(block, 16),
                    duration: u32_at(block, 24),
                    size_bytes: u32_at(block, 28),
                    offset: i64_at(block, 32) as u64,
                    key_offset: u32_at(block, 40),
                    moof_bytes: u32_at(block, 44),
                    sequence: u32_at(block, 48),
                    lost_packets: u32_at(block, 52),
                };
                if fragment.track as usize >= MAX_TRACKS {
                    return Err(malformed(format!("track {} of at most {MAX_TRACKS}", fragment.track)));
                }
                if fragment.moof_bytes > fragment.size_bytes {
                    return Err(malformed(format!(
                        "a moof of {} bytes in a fragment of {}",
                        fragment.moof_bytes, fragment.size_bytes
                    )));
                }
                if fragment.key_samples > fragment.samples {
                    return Err(malformed(format!(
                        "{} key samples of {}",
                        fragment.key_samples, fragment.samples
                    )));
                }
                if fragment.offset.checked_add(fragment.size_bytes as u64).is_none() {
                    return Err(malformed(format!("offset {} is beyond any file", fragment.offset)));
                }
                Ok(Self::Fragment(fragment))
            }
            KIND_GAP => {
                let gap = Gap {
                    start_us: i64_at(block, 8),
                    end_us: i64_at(block, 16),
                    cause: GapCause::from_code(u32_at(block, 24)),
                };
                if gap.end_us < gap.start_us {
                    return Err(malformed(format!(
                        "a gap from {} back to {} µs",
                        gap.start_us, gap.end_us
                    )));
                }
                Ok(Self::Gap(gap))
            }
            KIND_SEAL => Ok(Self::Seal(Seal {
                start_us: i64_at(block, 8),
                end_us: i64_at(block, 16),
                gaps: u32_at(block, 24),
                file_size_bytes: i64_at(block, 32) as u64,
                video_samples: u32_at(block, 40),
                key_samples: u32_at(block, 44),
            })),
            kind => Err(malformed(format!("kind {kind} is not known"))),
        }
    }
}

/// Position of record `number` in the index file.
pub fn record_position(number: u64) -> u64 {
    HEADER_BYTES as u64 + number * RECORD_BYTES as u64
}

#[cfg(test)]
mod tests;
