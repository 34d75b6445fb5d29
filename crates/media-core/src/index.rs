//! The recording index `.vms-idx`: a 64-byte header, then 64-byte records (docs/format/index.md).
//! All integers little-endian; each block ends with the CRC32C of its first 60 bytes.

use crate::error::{Error, ErrorKind, Result};

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

/// The first 64 bytes of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// How many tracks the file has, 1 to 4.
    pub tracks: u16,
    /// Absolute time of media time 0, in ticks of 1/90000 s since the Unix epoch.
    pub origin_90k: i64,
    /// Ticks per second of each track; 0 for tracks that the file does not have.
    pub timescale: [u32; MAX_TRACKS],
    /// Length of ftyp + moov at the start of the `.mp4`.
    pub init_size_bytes: u64,
}

impl Header {
    /// The 64 bytes of the header.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut block = [0; HEADER_BYTES];
        block[0..8].copy_from_slice(&MAGIC);
        block[8..10].copy_from_slice(&VERSION.to_le_bytes());
        block[10..12].copy_from_slice(&(HEADER_BYTES as u16).to_le_bytes());
        block[12..14].copy_from_slice(&(RECORD_BYTES as u16).to_le_bytes());
        block[14..16].copy_from_slice(&self.tracks.to_le_bytes());
        block[16..24].copy_from_slice(&self.origin_90k.to_le_bytes());
        for (track, timescale) in self.timescale.iter().enumerate() {
            block[24 + 4 * track..28 + 4 * track].copy_from_slice(&timescale.to_le_bytes());
        }
        block[40..48].copy_from_slice(&self.init_size_bytes.to_le_bytes());
        close_block(&mut block);
        block
    }

    /// Reads a header from the first 64 bytes of an index. `Malformed` when they are no sound header, `Unsupported`
    /// for a version that this code does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let block: &[u8; HEADER_BYTES] = bytes
            .first_chunk()
            .ok_or_else(|| Error::malformed(format!("index header: {} bytes, 64 needed", bytes.len())))?;
        if block[0..8] != MAGIC {
            return Err(Error::malformed("index header: does not begin with VMSIDX1"));
        }
        if !block_is_whole(block) {
            return Err(Error::malformed("index header: checksum does not match"));
        }
        let version = u16_at(block, 8);
        if version != VERSION
            || u16_at(block, 10) as usize != HEADER_BYTES
            || u16_at(block, 12) as usize != RECORD_BYTES
        {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("index header: version {version} is not known"),
            ));
        }
        let header = Self {
            tracks: u16_at(block, 14),
            origin_90k: i64_at(block, 16),
            timescale: std::array::from_fn(|track| u32_at(block, 24 + 4 * track)),
            init_size_bytes: i64_at(block, 40) as u64,
        };
        let tracks = header.tracks as usize;
        if tracks == 0 || tracks > MAX_TRACKS {
            return Err(Error::malformed(format!(
                "index header: {tracks} tracks, 1 to {MAX_TRACKS} expected"
            )));
        }
        if let Some(track) = header.timescale[..tracks].iter().position(|timescale| *timescale == 0) {
            return Err(Error::malformed(format!("index header: track {track} has timescale 0")));
        }
        Ok(header)
    }
}

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

fn close_block(block: &mut [u8; 64]) {
    let checksum = crc32c::crc32c(&block[..60]);
    block[60..64].copy_from_slice(&checksum.to_le_bytes());
}

fn block_is_whole(block: &[u8; 64]) -> bool {
    u32_at(block, 60) == crc32c::crc32c(&block[..60])
}

fn u16_at(block: &[u8; 64], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

fn u32_at(block: &[u8; 64], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| block[at + i]))
}

fn i64_at(block: &[u8; 64], at: usize) -> i64 {
    i64::from_le_bytes(std::array::from_fn(|i| block[at + i]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn header() -> Header {
        Header {
            tracks: 2,
            origin_90k: 159_000_000_000_000,
            timescale: [90_000, 8_000, 0, 0],
            init_size_bytes: 1_234,
        }
    }

    fn seal_over(block: &mut [u8; 64]) {
        close_block(block);
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let fragment = (
            (
                0u8..4,
                any::<u16>(),
                any::<u16>(),
                any::<i64>(),
                any::<i64>(),
                any::<u32>(),
            ),
            (
                any::<u32>(),
                0..1u64 << 62,
                any::<u32>(),
                any::<u32>(),
                any::<u32>(),
                any::<u16>(),
            ),
        )
            .prop_map(|((track, flags, samples, start_us, media_time, duration), rest)| {
                let (size_bytes, offset, key_offset, sequence, lost_packets, keys) = rest;
                Record::Fragment(Fragment {
                    track,
                    flags,
                    samples,
                    key_samples: keys.min(samples),
                    start_us,
                    media_time,
                    duration,
                    size_bytes,
                    offset,
                    key_offset,
                    moof_bytes: size_bytes / 2,
                    sequence,
                    lost_packets,
                })
            });
        let gap = (any::<i32>(), any::<u32>(), 0u32..6).prop_map(|(start, length, cause)| {
            Record::Gap(Gap {
                start_us: start as i64,
                end_us: start as i64 + length as i64,
                cause: GapCause::from_code(cause),
            })
        });
        let seal = (
            any::<i64>(),
            any::<i64>(),
            any::<u32>(),
            any::<u64>(),
            any::<u32>(),
            any::<u32>(),
        )
            .prop_map(
                |(start_us, end_us, gaps, file_size_bytes, video_samples, key_samples)| {
                    Record::Seal(Seal {
                        start_us,
                        end_us,
                        gaps,
                        file_size_bytes,
                        video_samples,
                        key_samples,
                    })
                },
            );
        prop_oneof![fragment, gap, seal]
    }

    #[test]
    fn a_header_reads_back() {
        assert_eq!(Header::decode(&header().encode()).unwrap(), header());
    }

    #[test]
    fn a_header_of_another_version_is_unsupported() {
        let mut block = header().encode();
        block[8] = 2;
        seal_over(&mut block);
        assert_eq!(Header::decode(&block).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn a_header_without_tracks_or_timescale_is_malformed() {
        for (at, value) in [(14, 0), (14, 5), (24, 0)] {
            let mut block = header().encode();
            block[at] = value;
            if at == 24 {
                block[24..28].fill(0);
            }
            seal_over(&mut block);
            assert_eq!(Header::decode(&block).unwrap_err().kind(), ErrorKind::Malformed);
        }
        assert!(Header::decode(&[0; 64]).is_err());
        assert!(Header::decode(&header().encode()[..63]).is_err());
    }

    #[test]
    fn contradictory_fragments_are_malformed_and_named() {
        let sound = Fragment {
            track: 1,
            samples: 3,
            key_samples: 1,
            size_bytes: 10,
            moof_bytes: 4,
            ..Default::default()
        };
        assert!(Record::decode(&Record::Fragment(sound).encode(), 0).is_ok());
        for broken in [
            Fragment { track: 4, ..sound },
            Fragment {
                moof_bytes: 11,
                ..sound
            },
            Fragment {
                key_samples: 4,
                ..sound
            },
            Fragment {
                offset: u64::MAX - 5,
                ..sound
            },
        ] {
            let error = Record::decode(&Record::Fragment(broken).encode(), 7).unwrap_err();
            assert!(error.message().starts_with("index record 7: "), "{error}");
        }
        let backwards = Record::Gap(Gap {
            start_us: 5,
            end_us: 4,
            cause: GapCause::Disk,
        });
        assert!(Record::decode(&backwards.encode(), 1).is_err());
    }

    #[test]
    fn unknown_kinds_and_short_records_are_malformed() {
        let mut block = [0; 64];
        block[0] = 9;
        seal_over(&mut block);
        assert!(
            Record::decode(&block, 3)
                .unwrap_err()
                .message()
                .contains("record 3: kind 9")
        );
        assert!(
            Record::decode(&block[..40], 3)
                .unwrap_err()
                .message()
                .contains("40 bytes")
        );
        assert!(
            Record::decode(&[0; 64], 3).is_err(),
            "a block of zeros, as a crash may leave it"
        );
    }

    proptest! {
        #[test]
        fn records_read_back(record in any_record(), number: u64) {
            prop_assert_eq!(Record::decode(&record.encode(), number).unwrap(), record);
        }

        #[test]
        fn a_flipped_bit_is_noticed(record in any_record(), bit in 0usize..512) {
            let mut block = record.encode();
            block[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Record::decode(&block, 0).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..130)) {
            let _ = Record::decode(&bytes, 0);
            let _ = Header::decode(&bytes);
            if let Some(block) = bytes.first_chunk::<64>() {
                let mut block = *block;
                close_block(&mut block);
                let _ = Record::decode(&block, 0);
                block[..8].copy_from_slice(&MAGIC);
                close_block(&mut block);
                let _ = Header::decode(&block);
            }
        }
    }
}
