//! Runs one hot function a fixed number of times on fixed input, for callgrind (`vms bench instructions`).
//!
//! `hot_functions --list` names them; `hot_functions NAME` runs one; `hot_functions empty` only makes the input, so that
//! its count can be taken off.
#![allow(missing_docs, reason = "a program")]

use media_core::codec::h264;
use media_core::fmp4::{Sample, fragment_header, read_fragment_header};
use media_core::index::{Fragment, Record};
use std::hint::black_box;

const CALLS: u32 = 1000;
const NAMES: [&str; 5] = [
    "fragment_header",
    "read_fragment_header",
    "index_encode",
    "index_decode",
    "random_access",
];

struct Input {
    samples: Vec<Sample>,
    header: Vec<u8>,
    record: Record,
    block: [u8; 64],
    unit: Vec<u8>,
}

fn input() -> Input {
    let samples: Vec<Sample> = (0..15)
        .map(|i| Sample {
            duration: 3000,
            size_bytes: 16_000 + i,
            key: i == 0,
            composition_offset: 0,
        })
        .collect();
    let header = fragment_header(7, 0, 1_234_567, &samples);
    let record = Record::Fragment(Fragment {
        samples: 15,
        duration: 45_000,
        size_bytes: 240_000,
        ..Fragment::default()
    });
    let mut unit = 16_000u32.to_be_bytes().to_vec();
    unit.push(0x41);
    unit.resize(16_004, 0x5a);
    Input {
        header,
        block: record.encode(),
        record,
        samples,
        unit,
    }
}

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    if name == "--list" {
        println!("{}", NAMES.join("\n"));
        return;
    }
    let input = black_box(input());
    for _ in 0..CALLS {
        match name.as_str() {
            "fragment_header" => drop(black_box(fragment_header(7, 0, 1_234_567, &input.samples))),
            "read_fragment_header" => drop(black_box(read_fragment_header(&input.header))),
            "index_encode" => drop(black_box(input.record.encode())),
            "index_decode" => drop(black_box(Record::decode(&input.block, 0))),
            "random_access" => drop(black_box(h264::is_random_access(&input.unit))),
            "empty" => {}
            other => {
                eprintln!("there is no hot function {other}");
                std::process::exit(2);
            }
        }
    }
}
