#![allow(clippy::unwrap_used)]
use super::*;
use crate::TrackParameters;
use crate::fmp4::{fragment_header, init_segment, read_init};
use crate::index::FLAG_PACKETS_LOST;
use bytes::Bytes;
use proptest::prelude::*;

pub(super) const T0_US: i64 = 1_795_392_000_000_000;

pub(super) struct Made {
    pub mp4: Vec<u8>,
    pub index: Vec<u8>,
    pub header: Header,
    pub fragments: Vec<Fragment>,
}

fn tracks() -> Vec<TrackParameters> {
    let video = TrackParameters {
        codec: Codec::H264,
        clock_rate: 90_000,
        configuration: Bytes::from_static(&[1, 0x42, 0, 30, 0xff, 0xe0, 0]),
        width: 640,
        height: 360,
        channels: 0,
        reorder_depth: 0,
        fps_milli: 0,
    };
    let audio = TrackParameters {
        codec: Codec::Aac,
        clock_rate: 16_000,
        configuration: Bytes::from_static(&[0x11, 0x88]),
        width: 0,
        height: 0,
        channels: 1,
        ..video.clone()
    };
    vec![video, audio]
}

/// A file of alternating half seconds of video (six pictures, the first of every other fragment a key) and sound.
pub(super) fn made(halves: u32) -> Made {
    let tracks = tracks();
    let mut mp4 = init_segment(&tracks).unwrap();
    let header = Header {
        tracks: 2,
        origin_90k: rescale(T0_US, 1_000_000, 90_000),
        timescale: [90_000, 16_000, 0, 0],
        init_size_bytes: mp4.len() as u64,
    };
    mp4.extend_from_slice(&clock_box(T0_US));
    let mut fragments = Vec::new();
    for half in 0..halves {
        for track in 0..2u8 {
            let (duration, count) = if track == 0 { (7_500, 6) } else { (1_024, 23) };
            let samples: Vec<Sample> = (0..count)
                .map(|i| Sample {
                    duration,
                    size_bytes: 20 + half % 7,
                    key: track == 1 || (i == 0 && half % 2 == 0),
                    composition_offset: 0,
                })
                .collect();
            let media_time = u64::from(half) * u64::from(duration) * u64::from(count);
            let sequence = half * 2 + u32::from(track) + 1;
            let head = fragment_header(sequence, track, media_time, &samples);
            let offset = mp4.len() as u64;
            mp4.extend_from_slice(&head);
            for sample in &samples {
                mp4.extend_from_slice(&(sample.size_bytes - 4).to_be_bytes());
                mp4.extend(std::iter::repeat_n(0x41, sample.size_bytes as usize - 4));
            }
            let mut fragment = Fragment {
                track,
                samples: count as u16,
                start_us: T0_US + ticks_to_us(media_time as i64, header.timescale[track as usize]),
                media_time: media_time as i64,
                duration: duration * count,
                size_bytes: (mp4.len() as u64 - offset) as u32,
                offset,
                moof_bytes: head.len() as u32,
                sequence,
                ..Fragment::default()
            };
            if half == 0 {
                fragment.flags = FLAG_DISCONTINUITY;
            }
            mark_keys(&mut fragment, &samples);
            fragments.push(fragment);
        }
    }
    let mut index = header.encode().to_vec();
    for fragment in &fragments {
        index.extend_from_slice(&Record::Fragment(*fragment).encode());
    }
    Made {
        mp4,
        index,
        header,
        fragments,
    }
}

fn repair_bytes(mp4: &[u8], index: &[u8]) -> Result<Repaired> {
    let init = read_init(mp4)?;
    repair(&init, mp4.len() as u64, index, &mut |offset, length| {
        let from = (offset as usize).min(mp4.len());
        Ok(mp4[from..(from + length).min(mp4.len())].to_vec())
    })
}

/// How many of the fragments lie wholly in the first `length` bytes.
fn whole(made: &Made, length: usize) -> usize {
    made.fragments
        .iter()
        .filter(|f| f.offset + u64::from(f.size_bytes) <= length as u64)
        .count()
}

#[test]
fn a_file_cut_at_any_byte_of_its_last_two_fragments_loses_the_torn_one_only() {
    let made = made(4);
    let from = made.fragments[made.fragments.len() - 2].offset as usize;
    for length in from..=made.mp4.len() {
        let count = whole(&made, length);
        // The index is behind the data by anything from nothing to everything.
        for records in 0..=count {
            let index = &made.index[..HEADER_BYTES + records * RECORD_BYTES];
            let repaired = repair_bytes(&made.mp4[..length], index).unwrap();
            assert_eq!(
                repaired.fragments,
                made.fragments[..count],
                "cut at {length}, {records} records"
            );
            assert_eq!(repaired.kept, records);
            let end = made.fragments.get(count).map_or(made.mp4.len() as u64, |f| f.offset);
            assert_eq!((repaired.file_size_bytes, repaired.seal.file_size_bytes), (end, end));
        }
    }
}

#[test]
fn without_an_index_the_file_itself_says_when_it_was_recorded() {
    let made = made(5);
    for index in [
        &[][..],
        b"not an index at all, but longer than its header would be, to be sure of that",
    ] {
        let repaired = repair_bytes(&made.mp4, index).unwrap();
        assert_eq!(repaired.fragments, made.fragments);
        assert_eq!(repaired.header, made.header);
        assert_eq!(repaired.seal.start_us, T0_US);
        assert_eq!(repaired.seal.end_us, T0_US + 2_500_000);
        assert_eq!((repaired.seal.video_samples, repaired.seal.key_samples), (30, 3));
    }
    let mut foreign = init_segment(&tracks()).unwrap();
    foreign.extend_from_slice(&made.mp4[made.fragments[0].offset as usize..]);
    assert!(
        repair_bytes(&foreign, &[]).is_err(),
        "no clock box: the time is not known"
    );
}

#[test]
fn an_index_torn_at_any_byte_is_made_whole() {
    let made = made(3);
    for length in 0..=made.index.len() {
        let repaired = repair_bytes(&made.mp4, &made.index[..length]).unwrap();
        assert_eq!(repaired.fragments, made.fragments, "index cut at {length}");
        assert_eq!(repaired.kept, length.saturating_sub(HEADER_BYTES) / RECORD_BYTES);
    }
}

#[test]
fn a_tail_that_never_reached_the_disk_is_not_taken_for_video() {
    let made = made(3);
    let mut mp4 = made.mp4.clone();
    let last_video = made.fragments[4];
    let data = (last_video.offset + u64::from(last_video.moof_bytes)) as usize;
    mp4[data + 50..].fill(0);
    let repaired = repair_bytes(&mp4, &made.index[..HEADER_BYTES + 3 * RECORD_BYTES]).unwrap();
    assert_eq!(repaired.fragments, made.fragments[..4]);
}

#[test]
fn records_that_do_not_follow_each_other_end_the_index() {
    let made = made(4);
    let rewritten = |change: &dyn Fn(&mut Fragment)| {
        let mut third = made.fragments[2];
        change(&mut third);
        let mut index = made.index.clone();
        let at = HEADER_BYTES + 2 * RECORD_BYTES;
        index[at..at + RECORD_BYTES].copy_from_slice(&Record::Fragment(third).encode());
        repair_bytes(&made.mp4, &index).unwrap()
    };
    for repaired in [
        rewritten(&|f| f.offset += 1),
        rewritten(&|f| f.size_bytes = 1 << 30),
        rewritten(&|f| f.track = 2),
        rewritten(&|f| f.samples = 0),
    ] {
        assert_eq!(repaired.kept, 2);
        assert_eq!(repaired.fragments, made.fragments, "the rest comes from the file");
    }
}

#[test]
fn what_only_the_recorder_knew_survives_in_the_records_kept() {
    let mut made = made(2);
    made.fragments[0].flags |= FLAG_PACKETS_LOST;
    made.fragments[0].lost_packets = 7;
    made.index[HEADER_BYTES..HEADER_BYTES + RECORD_BYTES]
        .copy_from_slice(&Record::Fragment(made.fragments[0]).encode());
    assert_eq!(repair_bytes(&made.mp4, &made.index).unwrap().fragments, made.fragments);
}

#[test]
fn the_sealed_tail_reads_back_and_asks_for_more_when_it_is_long() {
    let gaps: Vec<Gap> = (0..5)
        .map(|i| Gap {
            start_us: i * 10,
            end_us: i * 10 + 5,
            cause: GapCause::Network,
        })
        .collect();
    let seal = Seal {
        start_us: 0,
        end_us: 100,
        gaps: 5,
        file_size_bytes: 9,
        video_samples: 3,
        key_samples: 1,
    };
    let mut tail: Vec<u8> = gaps.iter().flat_map(|g| Record::Gap(*g).encode()).collect();
    tail.extend_from_slice(&Record::Seal(seal).encode());
    assert_eq!(
        read_sealed_tail(&tail, 100),
        Ok(Some(SealedTail {
            seal,
            gaps: gaps.clone()
        }))
    );
    assert_eq!(read_sealed_tail(&tail[RECORD_BYTES..], 100), Err(6 * RECORD_BYTES));
    assert_eq!(
        read_sealed_tail(&tail[..tail.len() - RECORD_BYTES], 100),
        Ok(None),
        "no seal"
    );
    assert_eq!(read_sealed_tail(&tail[1..], 100), Ok(None), "not whole records");
    assert_eq!(read_sealed_tail(&tail, 5), Ok(None), "more gaps than records");
    let mut torn = tail.clone();
    torn[3] ^= 1;
    assert_eq!(read_sealed_tail(&torn, 100), Ok(None));
}

proptest! {
    #[test]
    fn the_clock_box_keeps_every_microsecond(start_us in 0i64..4_000_000_000_000_000) {
        prop_assert_eq!(read_clock_box(&clock_box(start_us)), Some(start_us));
    }

    #[test]
    fn no_bytes_make_repair_panic(
        cut in 0usize..4_000, noise in prop::collection::vec(any::<u8>(), 0..400), index in prop::collection::vec(any::<u8>(), 0..400),
        keep in 0usize..600,
    ) {
        let made = made(3);
        let mut mp4 = made.mp4[..made.mp4.len().min(cut)].to_vec();
        mp4.extend_from_slice(&noise);
        let mut records = made.index[..keep.min(made.index.len())].to_vec();
        records.extend_from_slice(&index);
        if let Ok(repaired) = repair_bytes(&mp4, &records) {
            prop_assert!(repaired.file_size_bytes <= mp4.len() as u64);
            prop_assert!(repaired.kept <= repaired.fragments.len());
            // What was whole before the noise is still there.
            let count = whole(&made, cut.min(made.mp4.len()));
            prop_assert!(repaired.fragments.len() >= count);
            for (found, original) in repaired.fragments.iter().zip(&made.fragments[..count]) {
                prop_assert_eq!((found.offset, found.media_time, found.start_us), (original.offset, original.media_time, original.start_us));
            }
        }
    }

    #[test]
    fn flipped_bits_in_the_index_change_nothing(at in 0usize..448, bit in 0u8..8) {
        let made = made(3);
        let mut index = made.index.clone();
        index[at] ^= 1 << bit;
        let repaired = repair_bytes(&made.mp4, &index).unwrap();
        prop_assert_eq!(repaired.fragments, made.fragments);
    }
}
