#![allow(clippy::unwrap_used)]
use super::super::tests::{Made, T0_US, made};
use super::*;
use crate::fmp4::read_init;
use crate::index::GapCause;

fn rebuild_bytes(mp4: &[u8], present: &[u8]) -> Result<Rebuilt> {
    let init = read_init(mp4)?;
    rebuild(&init, mp4.len() as u64, present, &mut |offset, length| {
        let from = (offset as usize).min(mp4.len());
        Ok(mp4[from..(from + length).min(mp4.len())].to_vec())
    })
}

/// The index of a closed file, with what only a recorder knows: its clock was 7 ms off, packets were lost, and nothing
/// was recorded before because the disk was full.
fn closed(made: &Made) -> Vec<u8> {
    let mut index = made.header.encode().to_vec();
    let mut fragments = made.fragments.clone();
    for fragment in &mut fragments {
        fragment.start_us += 7_000;
    }
    fragments[6].flags |= FLAG_PACKETS_LOST;
    fragments[6].lost_packets = 3;
    for fragment in &fragments {
        index.extend_from_slice(&Record::Fragment(*fragment).encode());
    }
    let gap = Gap {
        start_us: T0_US - 1_000_000,
        end_us: T0_US + 7_000,
        cause: GapCause::Disk,
    };
    let (_, mut end) = seal(&made.header, &fragments, made.mp4.len() as u64);
    end.gaps = 1;
    index.extend_from_slice(&Record::Gap(gap).encode());
    index.extend_from_slice(&Record::Seal(end).encode());
    index
}

#[test]
fn a_good_index_is_made_again_byte_for_byte() {
    let made = made(6);
    let index = closed(&made);
    let rebuilt = rebuild_bytes(&made.mp4, &index).unwrap();
    assert_eq!(rebuilt.index, index);
    assert_eq!(
        (rebuilt.records, rebuilt.records_rebuilt, rebuilt.fragments),
        (14, 0, 12)
    );
}

#[test]
fn what_is_lost_is_made_from_the_video_and_what_is_whole_stays() {
    let made = made(6);
    let index = closed(&made);
    // Any record flipped: its neighbours keep their times, and its own follows from theirs.
    for record in 0..14 {
        let mut ruined = index.clone();
        ruined[HEADER_BYTES + record * RECORD_BYTES + 9] ^= 0x40;
        let rebuilt = rebuild_bytes(&made.mp4, &ruined).unwrap();
        let differs: Vec<usize> = (0..rebuilt.records as usize)
            .filter(|n| {
                let at = HEADER_BYTES + n * RECORD_BYTES;
                rebuilt.index[at..at + RECORD_BYTES] != ruined[at..at + RECORD_BYTES]
            })
            .collect();
        match record {
            // The first of a track falls back on the file's own clock, and with it the file's beginning: two records.
            0 => assert!(differs.contains(&0) && rebuilt.seal.start_us == T0_US),
            6 => assert_ne!(rebuilt.index, index, "that packets were lost is not in the video"),
            1 | 12 => assert!(rebuilt.records_rebuilt >= 1),
            _ => assert_eq!(
                (rebuilt.index, rebuilt.records_rebuilt),
                (index.clone(), 1),
                "record {record}"
            ),
        }
    }
}

#[test]
fn without_an_index_the_files_clock_says_when() {
    let made = made(4);
    for nothing in [&[][..], &[0x5a; 1_000], &made.index[..30]] {
        let rebuilt = rebuild_bytes(&made.mp4, nothing).unwrap();
        let (records, _) = rebuilt.index[HEADER_BYTES..].split_at(8 * RECORD_BYTES);
        assert_eq!(records, &made.index[HEADER_BYTES..], "8 fragments");
        assert_eq!((rebuilt.records, rebuilt.records_rebuilt), (9, 9));
    }
}

#[test]
fn a_record_that_is_there_twice_or_names_another_place_counts_for_nothing() {
    let made = made(4);
    let index = closed(&made);
    let block = |n: usize| &index[HEADER_BYTES + n * RECORD_BYTES..HEADER_BYTES + (n + 1) * RECORD_BYTES];
    let mut twice = index[..HEADER_BYTES].to_vec();
    for n in [0, 1, 2, 2, 1, 3, 4, 5, 6, 7, 8, 9] {
        twice.extend_from_slice(block(n));
    }
    assert_eq!(rebuild_bytes(&made.mp4, &twice).unwrap().index, index);
    // A whole record that says another size at the same offset is not believed.
    let Ok(Record::Fragment(mut wrong)) = Record::decode(block(2), 2) else {
        panic!()
    };
    wrong.size_bytes += 1;
    wrong.start_us += 3_600_000_000;
    let mut lying = index.clone();
    lying[HEADER_BYTES + 2 * RECORD_BYTES..HEADER_BYTES + 3 * RECORD_BYTES]
        .copy_from_slice(&Record::Fragment(wrong).encode());
    assert_eq!(rebuild_bytes(&made.mp4, &lying).unwrap().index, index);
}

#[test]
fn a_video_that_is_not_whole_is_refused() {
    let made = made(4);
    let whole = made.mp4.len();
    for cut in [1, 5, 100, 700] {
        assert!(rebuild_bytes(&made.mp4[..whole - cut], &made.index).is_err(), "{cut}");
    }
    let mut broken = made.mp4.clone();
    broken[made.fragments[3].offset as usize + 5] ^= 0xff;
    let error = rebuild_bytes(&broken, &made.index).unwrap_err();
    assert!(
        error.message().contains(&format!("byte {}", made.fragments[3].offset)),
        "{error}"
    );
    assert!(rebuild_bytes(&made.mp4[..made.header.init_size_bytes as usize + 32], &[]).is_err());
}
