#![allow(clippy::unwrap_used)]
use super::super::nal::push_length_prefixed;
use super::*;
use crate::codec::codec_string;
use proptest::prelude::*;

// Parameter sets of x264 streams.
const BASELINE: &str = "6742c00cda05067e7c0440000003004000000c83c50aa8";
const HIGH_B_PYRAMID: &str = "6764000dacd941519e226c0440000003004000000f03c50a6580";
const HRD_SCALING: &str = "6764000dacd941419f9f01100000030010000003032602001e840007a12920c01e28532c";
const HIGH_444: &str = "67f4000c919b282833f1b808800000030080000019078a14cb";
const INTERLACED_1080: &str = "67640028acd94078044fde0220000003002000000643e2c5b2c0";
const PPS: &str = "68ebe3cb22c0";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn sps(text: &str) -> SequenceParameters {
    SequenceParameters::parse(&hex(text)).unwrap()
}

fn unit(nals: &[&[u8]]) -> Vec<u8> {
    let mut unit = Vec::new();
    for nal in nals {
        push_length_prefixed(&mut unit, nal);
    }
    unit
}

/// Writes an SPS bit by bit.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn u(mut self, count: u32, value: u32) -> Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    fn ue(self, value: u32) -> Self {
        let length = (value + 1).ilog2();
        self.u(length, 0).u(length + 1, value + 1)
    }

    fn nal(&self, header: u8) -> Vec<u8> {
        let mut nal = vec![header];
        for chunk in self.0.chunks(8) {
            nal.push(
                chunk
                    .iter()
                    .enumerate()
                    .fold(0, |byte, (at, bit)| byte | (*bit as u8) << (7 - at)),
            );
        }
        nal.push(0x80);
        nal
    }
}

/// Main profile, level 4.0, 1920x1088 uncropped, poc type 0, then the given tail.
fn main_sps(constraints: u32, poc_type: u32) -> Bits {
    let bits = Bits::default()
        .u(8, 77)
        .u(8, constraints)
        .u(8, 40)
        .ue(0)
        .ue(0)
        .ue(poc_type);
    let bits = if poc_type == 0 { bits.ue(0) } else { bits };
    bits.ue(4).u(1, 0).ue(119).ue(67).u(1, 1).u(1, 1)
}

#[test]
fn real_parameter_sets_read_as_encoded() {
    let base = sps(BASELINE);
    assert_eq!(
        (base.width, base.height, base.fps_milli, base.reorder_depth),
        (320, 180, 25_000, 0)
    );
    assert_eq!(base.profile_idc, 66);
    let high = sps(HIGH_B_PYRAMID);
    assert_eq!(
        (high.width, high.height, high.fps_milli, high.reorder_depth),
        (322, 182, 30_000, 2)
    );
    let hrd = sps(HRD_SCALING);
    assert_eq!(
        (hrd.width, hrd.height, hrd.fps_milli, hrd.reorder_depth),
        (320, 180, 25_000, 2)
    );
    let full = sps(HIGH_444);
    assert_eq!(
        (full.width, full.height, full.chroma_format_idc, full.profile_idc),
        (320, 180, 3, 244)
    );
    let interlaced = sps(INTERLACED_1080);
    assert_eq!(
        (interlaced.width, interlaced.height, interlaced.fps_milli),
        (1920, 1080, 25_000)
    );
}

#[test]
fn the_reorder_depth_without_a_vui_follows_profile_and_level() {
    let depth = |bits: Bits| {
        SequenceParameters::parse(&bits.u(2, 0).nal(0x67))
            .unwrap()
            .reorder_depth
    };
    assert_eq!(
        depth(main_sps(0, 0)),
        4,
        "32,768 macroblocks of level 4.0 hold four of 1920x1088"
    );
    assert_eq!(depth(main_sps(0x80, 0)), 0, "main that obeys baseline");
    assert_eq!(depth(main_sps(0, 2)), 0, "output order is decoding order");
}

#[test]
fn a_damaged_vui_leaves_the_rest() {
    let whole = main_sps(0, 0).u(1, 0).u(1, 1).u(4, 0);
    let torn = SequenceParameters::parse(&whole.nal(0x67)).unwrap();
    assert_eq!(
        (torn.width, torn.height, torn.fps_milli, torn.reorder_depth),
        (1920, 1088, 0, 4)
    );
}

#[test]
fn cropping_more_than_the_picture_is_malformed() {
    let bits = main_sps(0, 0).u(1, 1).ue(960).ue(0).ue(0).ue(0).u(1, 0);
    assert!(
        SequenceParameters::parse(&bits.nal(0x67))
            .unwrap_err()
            .message()
            .contains("crops 1920x0")
    );
}

#[test]
fn numbers_out_of_range_are_malformed() {
    let start = || Bits::default().u(8, 77).u(8, 0).u(8, 40);
    for bits in [
        start().ue(32),
        start().ue(0).ue(13),
        start().ue(0).ue(0).ue(3),
        start().ue(0).ue(0).ue(0).ue(0).ue(17),
        start().ue(0).ue(0).ue(2).ue(4).u(1, 0).ue(5000),
    ] {
        let error = SequenceParameters::parse(&bits.nal(0x67)).unwrap_err();
        assert!(error.message().contains("is more than"), "{error}");
    }
    assert!(SequenceParameters::parse(&[]).is_err());
    assert!(SequenceParameters::parse(&hex(PPS)).is_err());
}

#[test]
fn the_configuration_holds_the_sets_and_the_high_profile_fields() {
    let (sps, pps) = (hex(HIGH_B_PYRAMID), hex(PPS));
    let track = parameters(&sps, &pps).unwrap();
    assert_eq!(
        (track.width, track.height, track.reorder_depth, track.fps_milli),
        (322, 182, 2, 30_000)
    );
    assert_eq!(track.configuration[..6], [1, 100, 0, 13, 0xff, 0xe1]);
    assert_eq!(
        track.configuration[track.configuration.len() - 4..],
        [0xfd, 0xf8, 0xf8, 0]
    );
    assert_eq!(parameter_sets(&track.configuration).unwrap(), [&sps[..], &pps[..]]);
    assert_eq!(codec_string(&track).unwrap(), "avc1.64000d");
    for length in 0..track.configuration.len() - 4 {
        assert!(parameter_sets(&track.configuration[..length]).is_err());
    }
    let baseline = parameters(&hex(BASELINE), &pps).unwrap();
    assert!(baseline.configuration.ends_with(&pps));
}

#[test]
fn missing_or_swapped_sets_are_malformed() {
    let (sps, pps) = (hex(BASELINE), hex(PPS));
    for (sps, pps) in [
        (&[][..], &pps[..]),
        (&sps, &[]),
        (&pps, &sps),
        (&sps, &[0x68]),
        (&sps[..6], &pps),
    ] {
        assert_eq!(parameters(sps, pps).unwrap_err().kind(), ErrorKind::Malformed);
    }
    assert!(parameters_of_sets(&[], &[&pps]).is_err());
    assert!(parameters_of_sets(&[&sps], &[]).is_err());
    let many = vec![&pps[..]; 256];
    assert_eq!(
        parameters_of_sets(&[&sps], &many).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
}

#[test]
fn a_decoder_starts_at_idr_recovery_point_or_intra_with_sps() {
    let (sps, pps) = (hex(BASELINE), hex(PPS));
    let recovery = [6, 6, 1, 0xc4, 0x80];
    let refresh = [6, 6, 2, 0x02, 0xbc, 0x80]; // 0000001 0101111 00: 86
    let other_sei = [6, 5, 1, 0xc4, 0x80];
    // first_mb_in_slice 0, slice_type 7 (I) or 5 (P).
    let (intra, predicted) = ([0x41, 0x88, 0x84], [0x41, 0x9a, 0x84]);
    assert!(is_random_access(&unit(&[&[0x65, 0x88]])));
    assert!(is_random_access(&unit(&[&[9, 0xf0], &recovery, &predicted])));
    assert!(
        is_random_access(&unit(&[&refresh, &predicted])),
        "intra refresh has no other entry"
    );
    assert!(is_random_access(&unit(&[&sps, &pps, &intra, &intra])));
    assert!(!is_random_access(&unit(&[&sps, &pps, &intra, &predicted])));
    assert!(!is_random_access(&unit(&[&other_sei, &intra])));
    assert!(!is_random_access(&unit(&[&sps, &pps])));
    assert!(!is_random_access(&[]));
}

#[test]
fn only_units_that_nothing_refers_to_are_disposable() {
    assert!(is_disposable(&unit(&[&[9, 0xf0], &[0x01, 0x9a], &[0x01, 0x9a]])));
    assert!(!is_disposable(&unit(&[&[0x01, 0x9a], &[0x41, 0x9a]])));
    assert!(!is_disposable(&unit(&[&[9, 0xf0]])));
}

proptest! {
    #[test]
    fn arbitrary_sets_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), profile in prop_oneof![Just(66u8), Just(100), any::<u8>()]) {
        let nal = [&[0x67, profile], &bytes[..]].concat();
        let _ = SequenceParameters::parse(&nal);
        let _ = parameters(&nal, &[0x68, 1]);
        let _ = parameter_sets(&bytes);
        let _ = is_random_access(&unit(&[&bytes, &nal, &[0x06], &[0x41]]));
        let _ = is_disposable(&bytes);
    }

    #[test]
    fn flipped_bits_never_panic(flips in proptest::collection::vec((any::<usize>(), 0u8..8), 1..5)) {
        for text in [BASELINE, HIGH_B_PYRAMID, HRD_SCALING, HIGH_444] {
            let mut nal = hex(text);
            let length = nal.len();
            for (at, bit) in &flips {
                nal[at % length] ^= 1 << bit;
            }
            if let Ok(sequence) = SequenceParameters::parse(&nal) {
                prop_assert!(sequence.width > 0 && sequence.height > 0 && sequence.reorder_depth <= 16);
            }
        }
    }
}
