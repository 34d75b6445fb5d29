#![allow(clippy::unwrap_used)]
use super::super::nal::push_length_prefixed;
use super::*;
use crate::codec::codec_string;
use proptest::prelude::*;

// Parameter sets of x265 streams: 1922x1080 at 29.97, and ten bits with scaling lists and two temporal layers.
const VPS: &str = "40010c01ffff016000000300900000030000030078959809";
const SPS: &str = "420101016000000300900000030000030078a003c48010e72796566924caf0168080000032000005da84";
const PPS: &str = "4401c172b46240";
const SPS_TEN_BITS: &str =
    "42010202200000030090000003000003003c0000a00a080b9f6d965662b349272bc05a020000030002000003001410";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn unit(nals: &[&[u8]]) -> Vec<u8> {
    let mut unit = Vec::new();
    for nal in nals {
        push_length_prefixed(&mut unit, nal);
    }
    unit
}

#[test]
fn real_parameter_sets_read_as_encoded() {
    let main = SequenceParameters::parse(&hex(SPS)).unwrap();
    assert_eq!((main.width, main.height, main.fps_milli), (1922, 1080, 29_970));
    assert_eq!(
        (main.reorder_depth, main.temporal_layers, main.bit_depth_luma),
        (2, 1, 8)
    );
    let ten = SequenceParameters::parse(&hex(SPS_TEN_BITS)).unwrap();
    assert_eq!((ten.width, ten.height, ten.fps_milli), (320, 180, 10_000));
    assert_eq!(
        (ten.temporal_layers, ten.bit_depth_luma, ten.bit_depth_chroma),
        (2, 10, 10)
    );
}

#[test]
fn the_configuration_holds_the_sets_in_three_arrays() {
    let (vps, sps, pps) = (hex(VPS), hex(SPS), hex(PPS));
    let track = parameters(&vps, &sps, &pps).unwrap();
    assert_eq!((track.width, track.height, track.reorder_depth), (1922, 1080, 2));
    assert_eq!(track.configuration[..2], [1, 1]);
    assert_eq!(track.configuration[12], 120);
    assert_eq!(track.configuration[16..23], [0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 3]);
    assert_eq!(
        parameter_sets(&track.configuration).unwrap(),
        [&vps[..], &sps[..], &pps[..]]
    );
    assert_eq!(codec_string(&track).unwrap(), "hvc1.1.6.L120.90");
    for length in 0..track.configuration.len() {
        assert!(parameter_sets(&track.configuration[..length]).is_err());
    }
}

#[test]
fn missing_or_swapped_sets_are_malformed() {
    let (vps, sps, pps) = (hex(VPS), hex(SPS), hex(PPS));
    for (vps, sps, pps) in [
        (&[][..], &sps[..], &pps[..]),
        (&vps, &pps, &sps),
        (&vps, &sps, &pps[..2]),
        (&vps, &sps[..20], &pps),
    ] {
        assert_eq!(parameters(vps, sps, pps).unwrap_err().kind(), ErrorKind::Malformed);
    }
    for missing in 0..3 {
        let mut sets = [&[&vps[..]][..], &[&sps[..]], &[&pps[..]]];
        sets[missing] = &[];
        assert!(parameters_of_sets(sets[0], sets[1], sets[2]).is_err());
    }
    let many = vec![&pps[..]; 256];
    let error = parameters_of_sets(&[&vps], &[&sps], &many).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_decoder_starts_at_irap_or_recovery_point() {
    let recovery = [39 << 1, 1, 6, 1, 0xc4, 0x80];
    let trail = [1 << 1, 1, 0x80];
    for kind in 16..=21u8 {
        assert!(is_random_access(&unit(&[&hex(VPS), &[kind << 1, 1, 0x80]])), "{kind}");
    }
    assert!(is_random_access(&unit(&[&recovery, &trail])));
    for kind in [0u8, 1, 8, 9, 22] {
        assert!(
            !is_random_access(&unit(&[&[39 << 1, 1], &[kind << 1, 1, 0x80]])),
            "{kind}"
        );
    }
    assert!(!is_random_access(&[]));
}

#[test]
fn only_the_highest_layers_non_references_are_disposable() {
    let slice = |kind: u8, temporal_id: u8| unit(&[&[kind << 1, temporal_id + 1, 0x80]]);
    assert!(is_disposable(&slice(0, 1), 2));
    assert!(!is_disposable(&slice(0, 0), 2));
    assert!(!is_disposable(&slice(1, 1), 2));
    assert!(!is_disposable(&slice(20, 1), 2));
    assert!(!is_disposable(&[], 1));
}

#[test]
fn sizes_out_of_range_are_malformed() {
    let mut nal = hex(SPS);
    nal[2] |= 0x0e;
    assert!(SequenceParameters::parse(&nal).is_err(), "eight temporal layers");
    assert!(SequenceParameters::parse(&hex(SPS)[..14]).is_err());
    assert!(SequenceParameters::parse(&[0x42]).is_err());
    assert!(SequenceParameters::parse(&[]).is_err());
}

proptest! {
    #[test]
    fn arbitrary_sets_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let nal = [&[0x42, 1], &bytes[..]].concat();
        let _ = SequenceParameters::parse(&nal);
        let _ = parameter_sets(&bytes);
        let _ = is_random_access(&unit(&[&bytes, &[78, 1], &nal]));
        let _ = is_random_access(&unit(&[&[78]]));
        let _ = is_disposable(&bytes, 1);
    }

    #[test]
    fn flipped_bits_never_panic(flips in proptest::collection::vec((any::<usize>(), 0u8..8), 1..5)) {
        for text in [SPS, SPS_TEN_BITS] {
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
