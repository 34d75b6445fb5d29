#![allow(clippy::unwrap_used)]
use super::block::close_block;
use super::*;
use crate::error::ErrorKind;
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
