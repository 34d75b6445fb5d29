//! Runs one hot function a fixed number of times on fixed input, for callgrind (`vms bench instructions`).
//!
//! `hot_functions --list` names them; `hot_functions NAME` runs one; `hot_functions empty` only makes the input, so that
//! its count can be taken off.
#![allow(clippy::expect_used, missing_docs, reason = "a program on input of its own")]

use media_core::codec::h264;
use media_core::fmp4::{FragmentRead, Sample, fragment_header, read_fragment_header};
use media_core::index::{Fragment, Record};
use media_core::movie::{FragmentRef, Movie, TrackPlan};
use media_core::rtp::clock::Arrival;
use media_core::rtp::packet::RtpHeader;
use media_core::rtp::packetizer::{Packetizer, Payloads};
use media_core::rtp::track_receiver::TrackReceiver;
use media_core::rtsp::sdp::SessionDescription;
use media_core::{AccessUnit, TrackParameters};
use std::hint::black_box;

const CALLS: u32 = 1000;
const NAMES: [&str; 9] = [
    "fragment_header",
    "read_fragment_header",
    "index_encode",
    "index_decode",
    "random_access",
    "packetize_unit",
    "receive_unit",
    "movie_plan",
    "movie_tables",
];
/// A camera of 1080p, as its SDP says.
const DESCRIPTION: &str = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n\
    a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z2QAKKzZQHgCJ+XARAAAAwAEAAADAPA8YMZY,aOvjyyLA\n";
/// Ten seconds of fragments: what a player's first request covers.
const MOVIE_FRAGMENTS: u64 = 20;

struct Input {
    samples: Vec<Sample>,
    header: Vec<u8>,
    record: Record,
    block: [u8; 64],
    /// A picture of 16 KiB: 4 Mbit/s at 30 pictures a second.
    unit: Vec<u8>,
    packetizer: Packetizer,
    payloads: Payloads,
    receiver: TrackReceiver,
    parameters: TrackParameters,
    fragments: Vec<FragmentRef>,
}

impl Input {
    fn new() -> Self {
        let samples: Vec<Sample> = (0..15)
            .map(|i| Sample {
                duration: 3000,
                size_bytes: 16_000 + i,
                key: i == 0,
                composition_offset: 0,
            })
            .collect();
        let header = fragment_header(7, 0, 1_234_567, &samples);
        let fragment = |number: u64| Fragment {
            samples: 15,
            key_samples: 1,
            media_time: number as i64 * 45_000,
            duration: 45_000,
            moof_bytes: header.len() as u32,
            size_bytes: header.len() as u32 + samples.iter().map(|sample| sample.size_bytes).sum::<u32>(),
            offset: number * 241_000,
            ..Fragment::default()
        };
        let record = Record::Fragment(fragment(0));
        let fragments = (0..MOVIE_FRAGMENTS)
            .map(|number| FragmentRef::whole(0, &fragment(number), 0))
            .collect();
        let mut unit = 16_000u32.to_be_bytes().to_vec();
        unit.push(0x41);
        unit.resize(16_004, 0x5a);
        let description = SessionDescription::parse(DESCRIPTION.as_bytes()).expect("ours");
        let receiver = TrackReceiver::new(&description.medias[0], false).expect("ours");
        let parameters = TrackParameters::clone(receiver.parameters().expect("in the description"));
        Self {
            packetizer: Packetizer::new(&parameters, 1160).expect("H.264"),
            payloads: Payloads::default(),
            receiver,
            parameters,
            fragments,
            header,
            block: record.encode(),
            record,
            samples,
            unit,
        }
    }

    fn packetize(&mut self) {
        self.payloads.clear();
        self.packetizer
            .packetize(&self.unit, &mut self.payloads)
            .expect("a unit");
    }

    /// The packets of the unit as the camera's picture number `number`.
    fn packets(&self, number: u32) -> Vec<Vec<u8>> {
        let count = self.payloads.len() as u32;
        let packet = |index: usize| {
            let header = RtpHeader {
                marker: index as u32 + 1 == count,
                payload_type: 96,
                sequence: (number * count + index as u32) as u16,
                timestamp: number * 3_000,
                ssrc: 1,
            };
            [&header.to_bytes()[..], self.payloads.payload(index)].concat()
        };
        (0..self.payloads.len()).map(packet).collect()
    }

    fn movie(&self) -> Movie {
        let plan = TrackPlan {
            parameters: self.parameters.clone(),
            fragments: self.fragments.clone(),
        };
        Movie::new(vec![plan], 0, MOVIE_FRAGMENTS * 45_000).expect("a movie")
    }
}

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    if name == "--list" {
        println!("{}", NAMES.join("\n"));
        return;
    }
    let mut input = black_box(Input::new());
    input.packetize();
    let movie = input.movie();
    let FragmentRead::Whole(header) = read_fragment_header(&input.header).expect("ours") else {
        panic!("the header is whole");
    };
    let mut units: Vec<AccessUnit> = Vec::new();
    for number in 0..CALLS {
        // Made in every run, so that "receive_unit" counts the receiving alone.
        let packets = black_box(input.packets(number));
        match name.as_str() {
            "fragment_header" => drop(black_box(fragment_header(7, 0, 1_234_567, &input.samples))),
            "read_fragment_header" => drop(black_box(read_fragment_header(&input.header))),
            "index_encode" => drop(black_box(input.record.encode())),
            "index_decode" => drop(black_box(Record::decode(&input.block, 0))),
            "random_access" => drop(black_box(h264::is_random_access(&input.unit))),
            "packetize_unit" => input.packetize(),
            "receive_unit" => {
                let arrival = Arrival {
                    utc_us: 1_790_000_000_000_000 + i64::from(number) * 33_333,
                    monotonic_us: u64::from(number) * 33_333,
                };
                for packet in &packets {
                    input.receiver.push(packet, arrival, &mut units);
                }
                assert!(!units.is_empty(), "no unit came of its packets");
                units.clear();
            }
            "movie_plan" => drop(black_box(input.movie())),
            "movie_tables" => drop(black_box(movie.tables(|_| Ok(header.clone())))),
            "empty" => {}
            other => {
                eprintln!("there is no hot function {other}");
                std::process::exit(2);
            }
        }
    }
}
