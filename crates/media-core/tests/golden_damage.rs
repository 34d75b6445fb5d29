//! The golden files cut at every byte and flipped at every bit: reading and repairing them ends, never panics, and never
//! tells of bytes that are not there.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use media_core::fmp4::{FragmentRead, read_fragment_header, read_init};
use media_core::index::{Fragment, HEADER_BYTES, Header, RECORD_BYTES, Record, newer_version};
use media_core::recording::repair::{clock_box, read_fragments, read_sealed_tail, rebuild, repair};
use std::path::PathBuf;

/// Reads of one repair at most: a few for the beginning, and a few for each of four fragments.
const MAX_READS: usize = 40;

fn golden(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    std::fs::read(folder.join(name)).unwrap()
}

/// The golden recording with the clock box that says when it was recorded, and samples that are whole NAL units; and
/// the index that goes with it.
fn with_clock() -> (Vec<u8>, Vec<u8>) {
    let (mp4, index) = (golden("recording.mp4"), golden("index.vms-idx"));
    let init_bytes = read_init(&mp4).unwrap().size_bytes;
    let mut made = mp4[..init_bytes].to_vec();
    let clock = clock_box(1_763_892_000_000_000);
    made.extend_from_slice(&clock);
    made.extend_from_slice(&mp4[init_bytes..]);
    let mut moved = index[..HEADER_BYTES].to_vec();
    for block in index[HEADER_BYTES..].chunks_exact(RECORD_BYTES) {
        let record = match Record::decode(block, 0).unwrap() {
            Record::Fragment(fragment) => {
                let offset = fragment.offset + clock.len() as u64;
                write_nal_lengths(&mut made, offset as usize);
                Record::Fragment(Fragment { offset, ..fragment })
            }
            Record::Seal(mut seal) => {
                seal.file_size_bytes = made.len() as u64;
                Record::Seal(seal)
            }
            gap @ Record::Gap(_) => gap,
        };
        moved.extend_from_slice(&record.encode());
    }
    (made, moved)
}

fn write_nal_lengths(mp4: &mut [u8], offset: usize) {
    let FragmentRead::Whole(header) = read_fragment_header(&mp4[offset..]).unwrap() else {
        panic!("torn")
    };
    let mut at = offset + header.moof_bytes as usize;
    for sample in header.samples.iter().filter(|_| header.track == 0) {
        mp4[at..at + 4].copy_from_slice(&(sample.size_bytes - 4).to_be_bytes());
        at += sample.size_bytes as usize;
    }
}

/// Everything that reads these files, on a pair that may be damaged.
fn read_all(mp4: &[u8], index: &[u8]) {
    let _ = newer_version(index);
    if let Ok(header) = Header::decode(index) {
        let records = &index[HEADER_BYTES..];
        let fragments = read_fragments(records, &header, mp4.len() as u64);
        fragments.iter().for_each(|fragment| assert_is_there(fragment, mp4));
        let _ = read_sealed_tail(records, (records.len() / RECORD_BYTES) as u64);
    }
    let Ok(init) = read_init(mp4) else { return };
    let mut reads = 0;
    let mut read_at = |offset: u64, length: usize| {
        reads += 1;
        assert!(reads < MAX_READS, "it does not end");
        let from = usize::try_from(offset).unwrap().min(mp4.len());
        Ok(mp4[from..from.saturating_add(length).min(mp4.len())].to_vec())
    };
    if let Ok(repaired) = repair(&init, mp4.len() as u64, index, &mut read_at) {
        repaired
            .fragments
            .iter()
            .for_each(|fragment| assert_is_there(fragment, mp4));
        repaired.fragments[repaired.kept..]
            .iter()
            .for_each(|fragment| assert_is_the_moofs(fragment, mp4));
        let end = repaired
            .fragments
            .last()
            .map_or(0, |f| f.offset + u64::from(f.size_bytes));
        assert!(repaired.fragments.is_empty() || end == repaired.file_size_bytes);
        assert!(repaired.seal.file_size_bytes <= mp4.len() as u64);
    }
    reads = 0;
    let mut read_at = |offset: u64, length: usize| {
        reads += 1;
        assert!(reads < MAX_READS, "it does not end");
        let from = usize::try_from(offset).unwrap().min(mp4.len());
        Ok(mp4[from..from.saturating_add(length).min(mp4.len())].to_vec())
    };
    if let Ok(rebuilt) = rebuild(&init, mp4.len() as u64, index, &mut read_at) {
        for block in rebuilt.index[HEADER_BYTES..].chunks_exact(RECORD_BYTES) {
            if let Record::Fragment(fragment) = Record::decode(block, 0).unwrap() {
                assert_is_the_moofs(&fragment, mp4);
            }
        }
    }
}

fn assert_is_there(fragment: &Fragment, mp4: &[u8]) {
    assert!(
        fragment.offset + u64::from(fragment.size_bytes) <= mp4.len() as u64,
        "{fragment:?}"
    );
}

fn assert_is_the_moofs(fragment: &Fragment, mp4: &[u8]) {
    assert_is_there(fragment, mp4);
    let FragmentRead::Whole(header) = read_fragment_header(&mp4[fragment.offset as usize..]).unwrap() else {
        panic!("{fragment:?} is torn")
    };
    assert_eq!(
        (header.track, header.size_bytes, header.samples.len(), header.media_time),
        (
            fragment.track,
            u64::from(fragment.size_bytes),
            usize::from(fragment.samples),
            fragment.media_time as u64
        )
    );
}

/// Calls with every cut of `bytes`, and at every place with flipped bits (all eight, or one by turns), 0 and 255.
fn damaged(bytes: &[u8], all_bits: bool, mut each: impl FnMut(&[u8])) {
    for length in 0..=bytes.len() {
        each(&bytes[..length]);
    }
    let mut flipped = bytes.to_vec();
    for at in 0..bytes.len() {
        for bit in (0..8).filter(|bit| all_bits || at % 8 == *bit) {
            flipped[at] ^= 1 << bit;
            each(&flipped);
            flipped[at] ^= 1 << bit;
        }
        for value in [0x00, 0xff] {
            flipped[at] = value;
            each(&flipped);
        }
        flipped[at] = bytes[at];
    }
}

#[test]
fn the_golden_pair_is_whole() {
    let (mp4, index) = with_clock();
    let init = read_init(&mp4).unwrap();
    let mut read_at = |offset: u64, length: usize| {
        let from = (offset as usize).min(mp4.len());
        Ok(mp4[from..(from + length).min(mp4.len())].to_vec())
    };
    let rebuilt = rebuild(&init, mp4.len() as u64, &index, &mut read_at).unwrap();
    assert_eq!((rebuilt.index, rebuilt.records_rebuilt), (index, 0));
    let repaired = repair(&init, mp4.len() as u64, &[], &mut read_at).unwrap();
    assert_eq!(
        (repaired.fragments.len(), repaired.kept),
        (4, 0),
        "from the video alone"
    );
}

#[test]
fn a_golden_index_damaged_anywhere_tells_of_nothing_that_is_not_there() {
    for (mp4, index) in [(golden("recording.mp4"), golden("index.vms-idx")), with_clock()] {
        damaged(&index, true, |index| read_all(&mp4, index));
        // … and of a file that is shorter than it says.
        damaged(&index, true, |index| read_all(&mp4[..mp4.len() - 100], index));
    }
}

#[test]
fn a_golden_recording_damaged_anywhere_is_not_made_more_of_than_it_is() {
    for (mp4, index) in [(golden("recording.mp4"), golden("index.vms-idx")), with_clock()] {
        damaged(&mp4, false, |mp4| {
            read_all(mp4, &index);
            read_all(mp4, &[]);
            read_all(mp4, &index[..HEADER_BYTES + RECORD_BYTES]);
        });
    }
}
