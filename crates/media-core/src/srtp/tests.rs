#![allow(clippy::unwrap_used)]

use super::cipher::PacketCipher;
use super::key_derivation::derive;
use super::{SrtpProfile, SrtpReceiver, SrtpSender};
use crate::ErrorKind;
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn master(profile: SrtpProfile) -> (Vec<u8>, Vec<u8>) {
    let bytes: Vec<u8> = (1..=46).collect();
    let (key, rest) = bytes.split_at(profile.key_bytes());
    (key.to_vec(), rest[..profile.salt_bytes()].to_vec())
}

fn pair(profile: SrtpProfile) -> (SrtpSender, SrtpReceiver) {
    let (key, salt) = master(profile);
    (
        SrtpSender::new(profile, &key, &salt).unwrap(),
        SrtpReceiver::new(profile, &key, &salt).unwrap(),
    )
}

fn header(sequence: u64, ssrc: u32) -> Vec<u8> {
    let mut header = vec![0x80, 96];
    header.extend_from_slice(&(sequence as u16).to_be_bytes());
    header.extend_from_slice(&[0, 1, 2, 3]);
    header.extend_from_slice(&ssrc.to_be_bytes());
    header
}

fn protected(sender: &mut SrtpSender, header: &[u8], payload: &[u8], sequence: u64) -> Vec<u8> {
    let mut out = Vec::new();
    sender.protect_rtp(header, payload, sequence, &mut out).unwrap();
    out
}

/// RFC 3711 appendix B.3.
#[test]
fn keys_are_derived_as_in_the_standard() {
    let key = hex("e1f97a0d3e018be0d64fa32c06de4139");
    let salt = hex("0ec675ad498afeebb6960b3aabe6");
    for (label, expected) in [
        (0, "c61e7a93744f39ee10734afe3ff7a087"),
        (1, "cebe321f6ff7716b6fd4ab49af256a156d38baa4"),
        (2, "30cbbc08863d8c85d49db34a9ae1"),
    ] {
        let mut derived = vec![0; expected.len() / 2];
        derive(&key, &salt, label, &mut derived).unwrap();
        assert_eq!(derived, hex(expected), "label {label}");
    }
}

/// RFC 3711 appendix B.2.
#[test]
fn the_counter_mode_key_stream_is_that_of_the_standard() {
    let cipher = PacketCipher::new(
        SrtpProfile::AesCm128HmacSha1_80,
        &hex("2b7e151628aed2a6abf7158809cf4f3c"),
        &[0; 20],
        &hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd"),
    )
    .unwrap();
    let PacketCipher::Counter(cipher) = cipher else {
        unreachable!();
    };
    let mut stream = [0; 48];
    cipher.apply(0, 0, &mut stream).unwrap();
    let expected = "e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab41e95b3bb0a2e8dd477901e4fca894c0";
    assert_eq!(&stream[..], hex(expected));
}

const RTP: &str = "8040f17b8041f8d35501a0b2\
    47616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573";
const RTCP: &str = "81c8000d4d617273\
    4e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";

/// RFC 7714 §16 and §17: the session keys are given there, so these go below the derivation.
#[test]
fn galois_mode_packets_are_those_of_the_standard() {
    let key: Vec<u8> = (0..32).collect();
    for (profile, rtp, rtcp) in [
        (
            SrtpProfile::AeadAes128Gcm,
            "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
             899d7f27beb16a9152cf765ee4390cce",
            "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b\
             c84aa45896cf4d2fc5abf87245d9eade800005d4",
        ),
        (
            SrtpProfile::AeadAes256Gcm,
            "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b\
             7aa3db36dfffd6b0f9bb7878d7a76c13",
            "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad\
             1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
        ),
    ] {
        let cipher = || PacketCipher::new(profile, &key[..profile.key_bytes()], &[], b"Quid pro quo").unwrap();
        let mut sender = SrtpSender::with_ciphers(cipher(), cipher(), 0x5d4);
        let (packet, compound) = (hex(RTP), hex(RTCP));
        let out = protected(&mut sender, &packet[..12], &packet[12..], 0xf17b);
        assert_eq!(out, [&packet[..12], &hex(rtp)].concat(), "{profile:?}");
        let mut out = Vec::new();
        sender.protect_rtcp(&compound, &mut out).unwrap();
        assert_eq!(out, [&compound[..8], &hex(rtcp)].concat(), "{profile:?}");
    }
}

/// Packets that libsrtp 2.5 made (GStreamer's srtpenc) of 80 bytes of µ-law silence, the second one of a stream whose
/// sequence number wraps: derivation, roll-over counter, cipher and tag together.
#[test]
fn packets_are_those_of_libsrtp() {
    for (profile, expected) in [
        (
            SrtpProfile::AesCm128HmacSha1_80,
            "80000000000004381234567845137b65bec202364bf088618cdca120abb408a261ae3c55204ef899a3ac56dd0072931115b2e8ff72\
             25d4deff5c99a9ea3418080761c46b4865c6483bf7544684c361dce118c1b1a851f179055100541e2f06d9c0b2ca86497e",
        ),
        (
            SrtpProfile::AeadAes128Gcm,
            "800000000000043812345678ceb8699918c1fa72df8027a821f40f19a5493a865bb1671fb4ef9e2bedd7245705188dc18808aea3ee\
             9c13058751d0bcfa21dec16b44e3c54fa0708259a3ffd9f99f5b3878620de22af3bc2c921a1be5138bac63de1a066c66d872597d32\
             ae17",
        ),
        (
            SrtpProfile::AeadAes256Gcm,
            "8000000000000438123456789e0e4d230dea056532ff60e7d9b9a8bc0378997e87ae78091d4d97fbdb1845607c119f0535e901b015\
             b45130ec2f653b787af0db176e8f2fdc4c0b80b87b3d857669ccb6b6d48f174acc08ce70b39febffffafe456f11680f4904bd75010\
             0afb",
        ),
    ] {
        let expected = hex(expected);
        let (mut sender, mut receiver) = pair(profile);
        let out = protected(&mut sender, &expected[..12], &[0xff; 80], 0x1_0000);
        assert_eq!(out, expected, "{profile:?}");

        // A receiver learns of the wrap from the packet before it.
        let before = protected(&mut sender, &header(0xffff, 0x1234_5678), b"", 0xffff);
        let mut clear = Vec::new();
        receiver.unprotect_rtp(&before, &mut Vec::new()).unwrap();
        assert_eq!(receiver.unprotect_rtp(&expected, &mut clear).unwrap(), 0x1_0000);
        assert_eq!(clear[12..], [0xff; 80]);
    }
}

#[test]
fn keys_of_another_length_are_refused() {
    for profile in SrtpProfile::ALL {
        let (key, salt) = master(profile);
        assert!(SrtpSender::new(profile, &key[1..], &salt).is_err());
        assert!(SrtpSender::new(profile, &key, &salt[1..]).is_err());
        assert!(SrtpReceiver::new(profile, &[], &[]).is_err());
    }
}

#[test]
fn a_header_that_contradicts_its_sequence_number_is_not_sent() {
    for profile in SrtpProfile::ALL {
        let mut sender = pair(profile).0;
        let mut out = vec![7];
        for (header, sequence) in [
            (header(5, 1), 6),
            (header(5, 1), 5 | 1 << 48),
            (header(5, 1)[..11].to_vec(), 5),
        ] {
            let error = sender.protect_rtp(&header, b"x", sequence, &mut out).unwrap_err();
            assert_eq!((error.kind(), out.as_slice()), (ErrorKind::Invalid, &[7][..]));
        }
        assert!(sender.protect_rtcp(&[0x80; 7], &mut out).is_err());
    }
}

#[test]
fn the_last_rtcp_index_is_not_used_twice() {
    let (key, salt) = master(SrtpProfile::AeadAes128Gcm);
    let cipher = || PacketCipher::new(SrtpProfile::AeadAes128Gcm, &key, &[], &salt).unwrap();
    let mut sender = SrtpSender::with_ciphers(cipher(), cipher(), (1 << 31) - 1);
    let mut out = Vec::new();
    sender.protect_rtcp(&hex(RTCP), &mut out).unwrap();
    let error = sender.protect_rtcp(&hex(RTCP), &mut out).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted);
}

#[test]
fn headers_with_sources_and_extension_stay_in_clear() {
    for profile in SrtpProfile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        let mut long = header(9, 1);
        long[0] |= 0x12;
        long.extend_from_slice(&[1; 8]);
        long.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x10, 5, 0, 0]);
        let out = protected(&mut sender, &long, b"payload", 9);
        assert_eq!(out[..long.len()], long);
        assert_eq!(out.len(), long.len() + 7 + profile.rtp_tag_bytes());
        let mut clear = Vec::new();
        receiver.unprotect_rtp(&out, &mut clear).unwrap();
        assert_eq!(clear, [&long[..], b"payload"].concat());
    }
}

#[test]
fn replays_are_refused_whatever_the_protocol() {
    for profile in SrtpProfile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        let mut out = vec![1, 2];
        let packets: Vec<_> = (65_500..65_600)
            .map(|sequence| protected(&mut sender, &header(sequence, 7), b"data", sequence))
            .collect();
        for packet in &packets {
            receiver.unprotect_rtp(packet, &mut out).unwrap();
        }
        out.truncate(2);
        for packet in &packets {
            let error = receiver.unprotect_rtp(packet, &mut out).unwrap_err();
            assert_eq!((error.kind(), out.len()), (ErrorKind::Malformed, 2));
        }
        let mut report = Vec::new();
        sender.protect_rtcp(&hex(RTCP), &mut report).unwrap();
        receiver.unprotect_rtcp(&report, &mut out).unwrap();
        assert_eq!(out[2..], hex(RTCP));
        assert!(receiver.unprotect_rtcp(&report, &mut out).is_err());
        assert_eq!(out.len(), 2 + hex(RTCP).len());
    }
}

#[test]
fn reports_in_clear_are_refused() {
    for profile in SrtpProfile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        let mut report = Vec::new();
        sender.protect_rtcp(&hex(RTCP), &mut report).unwrap();
        let index_at = match profile {
            SrtpProfile::AesCm128HmacSha1_80 => report.len() - 14,
            _ => report.len() - 4,
        };
        report[index_at] &= 0x7f;
        let error = receiver.unprotect_rtcp(&report, &mut Vec::new()).unwrap_err();
        assert!(error.message().contains("in clear"), "{error}");
    }
}

#[test]
fn streams_beyond_a_bound_are_refused() {
    let (mut sender, mut receiver) = pair(SrtpProfile::AeadAes256Gcm);
    let mut out = Vec::new();
    for ssrc in 0..32 {
        let packet = protected(&mut sender, &header(1, ssrc), b"", 1);
        receiver.unprotect_rtp(&packet, &mut out).unwrap();
    }
    out.clear();
    let packet = protected(&mut sender, &header(1, 99), b"", 1);
    let error = receiver.unprotect_rtp(&packet, &mut out).unwrap_err();
    assert_eq!((error.kind(), out.len()), (ErrorKind::Exhausted, 0));
    let packet = protected(&mut sender, &header(2, 5), b"", 2);
    assert!(receiver.unprotect_rtp(&packet, &mut out).is_ok(), "those known go on");
}

fn any_profile() -> impl Strategy<Value = SrtpProfile> {
    (0..3usize).prop_map(|index| SrtpProfile::ALL[index])
}

proptest! {
    #[test]
    fn what_is_protected_comes_out_again(
        profile in any_profile(),
        payload in proptest::collection::vec(any::<u8>(), 0..1300),
        ssrc in any::<u32>(),
        start in 0u64..60_000,
        steps in proptest::collection::vec(1u64..20_000, 1..12),
    ) {
        let (mut sender, mut receiver) = pair(profile);
        let mut sequence = start;
        for step in steps {
            let header = header(sequence, ssrc);
            let packet = protected(&mut sender, &header, &payload, sequence);
            prop_assert_eq!(packet.len(), header.len() + payload.len() + profile.rtp_tag_bytes());
            prop_assert!(payload.len() < 16 || packet[12..12 + payload.len()] != payload[..]);
            let mut clear = Vec::new();
            prop_assert_eq!(receiver.unprotect_rtp(&packet, &mut clear).unwrap(), sequence);
            prop_assert_eq!(clear, [&header[..], &payload].concat());

            let compound = [&[0x80, 201, 0, 1][..], &ssrc.to_be_bytes(), &payload].concat();
            let (mut report, mut clear) = (Vec::new(), Vec::new());
            sender.protect_rtcp(&compound, &mut report).unwrap();
            prop_assert_eq!(report.len(), compound.len() + profile.rtcp_overhead_bytes());
            receiver.unprotect_rtcp(&report, &mut clear).unwrap();
            prop_assert_eq!(clear, compound);
            sequence += step;
        }
    }

    #[test]
    fn a_flipped_bit_is_refused(
        profile in any_profile(),
        payload in proptest::collection::vec(any::<u8>(), 0..100),
        at in any::<prop::sample::Index>(),
        bit in 0u32..8,
    ) {
        let (mut sender, mut receiver) = pair(profile);
        let mut packet = protected(&mut sender, &header(77, 3), &payload, 77);
        let at_rtp = at.index(packet.len());
        packet[at_rtp] ^= 1u8 << bit;
        let mut clear = Vec::new();
        prop_assert!(receiver.unprotect_rtp(&packet, &mut clear).is_err());
        let compound = [&[0x80, 201, 0, 1, 0, 0, 0, 3][..], &payload].concat();
        let mut report = Vec::new();
        sender.protect_rtcp(&compound, &mut report).unwrap();
        let at_rtcp = at.index(report.len());
        report[at_rtcp] ^= 1u8 << bit;
        prop_assert!(receiver.unprotect_rtcp(&report, &mut clear).is_err());
        prop_assert!(clear.is_empty());
        // What is refused leaves no trace: the true packets still pass.
        packet[at_rtp] ^= 1u8 << bit;
        report[at_rtcp] ^= 1u8 << bit;
        prop_assert!(receiver.unprotect_rtp(&packet, &mut clear).is_ok());
        prop_assert!(receiver.unprotect_rtcp(&report, &mut clear).is_ok());
    }

    #[test]
    fn any_bytes_are_refused(profile in any_profile(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut receiver = pair(profile).1;
        prop_assert!(receiver.unprotect_rtp(&bytes, &mut Vec::new()).is_err());
        prop_assert!(receiver.unprotect_rtcp(&bytes, &mut Vec::new()).is_err());
    }
}
