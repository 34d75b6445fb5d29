//! The golden files of the recording format: written anew and compared byte by byte, so that no change of the format
//! goes unnoticed. To accept a change on purpose: `UPDATE_GOLDEN=1 cargo test -p media-core --test golden`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use media_core::fmp4::{FragmentRead, Sample, fragment_header, init_segment, read_fragment_header, read_init};
use media_core::index::{
    FLAG_CONTAINS_KEY, FLAG_DISCONTINUITY, FLAG_PACKETS_LOST, FLAG_STARTS_WITH_KEY, Fragment, Gap, GapCause,
    HEADER_BYTES, Header, NO_KEY_OFFSET, RECORD_BYTES, Record, Seal,
};
use media_core::track::{Codec, TrackParameters};
use media_core::{codec, track};
use std::path::PathBuf;

/// 2025-11-23T10:00:00Z.
const START_US: i64 = 1_763_892_000_000_000;
const SPS: [u8; 26] = [
    0x67, 0x64, 0x00, 0x0d, 0xac, 0xd9, 0x41, 0x51, 0x9e, 0x22, 0x6c, 0x04, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00,
    0x00, 0x0f, 0x03, 0xc5, 0x0a, 0x65, 0x80,
];
const PPS: [u8; 6] = [0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];

fn tracks() -> Vec<TrackParameters> {
    let video = codec::h264::parameters(&SPS, &PPS).unwrap();
    let audio = TrackParameters {
        codec: Codec::PcmA,
        clock_rate: 8000,
        configuration: bytes::Bytes::new(),
        width: 0,
        height: 0,
        channels: 1,
        reorder_depth: 0,
        fps_milli: 0,
    };
    vec![video, audio]
}

fn sample(size_bytes: u32, key: bool, composition_offset: i32) -> Sample {
    Sample {
        duration: 3000,
        size_bytes,
        key,
        composition_offset,
    }
}

/// A file of three video fragments (B-frames; a gap before the third, which starts with a key frame) and one of audio.
fn recording() -> (Vec<u8>, Vec<u8>) {
    let mut file = init_segment(&tracks()).unwrap();
    let header = Header {
        tracks: 2,
        origin_90k: START_US / 1000 * 90,
        timescale: [90_000, 8000, 0, 0],
        init_size_bytes: file.len() as u64,
    };
    let mut index = header.encode().to_vec();
    let sound = Sample {
        duration: 160,
        size_bytes: 160,
        key: true,
        composition_offset: 0,
    };
    let fragments = [
        (
            0,
            0,
            vec![
                sample(60, true, 0),
                sample(20, false, 6000),
                sample(8, false, -3000),
                sample(8, false, -3000),
            ],
            0,
        ),
        (1, 0, vec![sound; 3], 0),
        (0, 12_000, vec![sample(24, false, 0)], FLAG_PACKETS_LOST),
        (
            0,
            90_000,
            vec![sample(50, true, 0), sample(20, false, 0)],
            FLAG_DISCONTINUITY,
        ),
    ];
    for (sequence, (track, media_time, samples, flags)) in fragments.into_iter().enumerate() {
        let moof = fragment_header(sequence as u32 + 1, track, media_time, &samples);
        let offset = file.len() as u64;
        file.extend_from_slice(&moof);
        for (number, sample) in samples.iter().enumerate() {
            file.extend((0..sample.size_bytes).map(|place| (place as u8).wrapping_mul(7) ^ (number as u8) << 4));
        }
        let keys = samples.iter().filter(|sample| sample.key).count() as u16;
        let timescale = tracks()[track as usize].clock_rate as i64;
        let found = if keys > 0 {
            FLAG_STARTS_WITH_KEY | FLAG_CONTAINS_KEY
        } else {
            0
        };
        let record = Record::Fragment(Fragment {
            track,
            flags: flags | found,
            samples: samples.len() as u16,
            key_samples: keys,
            start_us: START_US + media_time as i64 * 1_000_000 / timescale,
            media_time: media_time as i64,
            duration: samples.iter().map(|sample| sample.duration).sum(),
            size_bytes: (file.len() as u64 - offset) as u32,
            offset,
            key_offset: if keys > 0 { moof.len() as u32 } else { NO_KEY_OFFSET },
            moof_bytes: moof.len() as u32,
            sequence: sequence as u32 + 1,
            lost_packets: if flags & FLAG_PACKETS_LOST != 0 { 2 } else { 0 },
        });
        index.extend_from_slice(&record.encode());
    }
    let gap = Gap {
        start_us: START_US + 166_666,
        end_us: START_US + 1_000_000,
        cause: GapCause::Network,
    };
    index.extend_from_slice(&Record::Gap(gap).encode());
    let seal = Seal {
        start_us: START_US,
        end_us: START_US + 1_066_666,
        gaps: 1,
        file_size_bytes: file.len() as u64,
        video_samples: 7,
        key_samples: 2,
    };
    index.extend_from_slice(&Record::Seal(seal).encode());
    (file, index)
}

fn compare(name: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let differs = golden.iter().zip(bytes).position(|(a, b)| a != b);
    assert_eq!(
        (differs, golden.len()),
        (None, bytes.len()),
        "{name}: the written format has changed"
    );
}

#[test]
fn the_written_format_is_the_golden_one() {
    let (file, index) = recording();
    compare("recording.mp4", &file);
    compare("index.vms-idx", &index);
}

#[test]
fn the_golden_files_read_as_specified() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let file = std::fs::read(folder.join("recording.mp4")).unwrap();
    let index = std::fs::read(folder.join("index.vms-idx")).unwrap();
    let init = read_init(&file).unwrap();
    assert_eq!(init.tracks, tracks());
    assert_eq!(init.tracks[0].codec.kind(), track::TrackKind::Video);
    let header = Header::decode(&index).unwrap();
    assert_eq!(header.init_size_bytes as usize, init.size_bytes);
    let mut offset = init.size_bytes as u64;
    for (number, block) in index[HEADER_BYTES..].chunks(RECORD_BYTES).enumerate() {
        match Record::decode(block, number as u64).unwrap() {
            Record::Fragment(record) => {
                assert_eq!(record.offset, offset);
                let FragmentRead::Whole(moof) = read_fragment_header(&file[offset as usize..]).unwrap() else {
                    panic!("fragment {number} is torn");
                };
                assert_eq!((moof.track, moof.media_time as i64), (record.track, record.media_time));
                assert_eq!(
                    (moof.moof_bytes, moof.size_bytes),
                    (record.moof_bytes, record.size_bytes as u64)
                );
                assert_eq!(moof.samples.len(), record.samples as usize);
                assert_eq!(
                    moof.samples.iter().map(|sample| sample.duration).sum::<u32>(),
                    record.duration
                );
                offset += moof.size_bytes;
            }
            Record::Gap(gap) => assert_eq!((number, gap.cause), (4, GapCause::Network)),
            Record::Seal(seal) => assert_eq!((number, seal.file_size_bytes), (5, file.len() as u64)),
        }
    }
    assert_eq!(offset, file.len() as u64);
}
