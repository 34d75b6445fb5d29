#![allow(clippy::unwrap_used)]
use super::*;
use bytes::Bytes;
use proptest::prelude::*;

fn parameters(codec: Codec, channels: u16) -> TrackParameters {
    TrackParameters {
        codec,
        clock_rate: 90_000,
        configuration: Bytes::new(),
        width: 0,
        height: 0,
        channels,
        reorder_depth: 0,
        fps_milli: 0,
    }
}

fn cut(codec: Codec, limit: usize, aggregate: bool, unit: &[u8]) -> Result<Payloads> {
    let mut out = Payloads::with_headroom(16);
    let packetizer = Packetizer::new(&parameters(codec, 1), limit)?.aggregating(aggregate);
    packetizer.packetize(unit, &mut out)?;
    Ok(out)
}

fn unit_of(nals: &[Vec<u8>]) -> Vec<u8> {
    let with_length = |nal: &Vec<u8>| [&(nal.len() as u32).to_be_bytes()[..], nal].concat();
    nals.iter().flat_map(with_length).collect()
}

/// Puts NAL units together again, checking every rule about fragments on the way. `header` is the NAL header's size.
fn joined(payloads: &Payloads, header: usize, fragment: u8, aggregate: u8) -> Vec<Vec<u8>> {
    let type_of = |bytes: &[u8]| {
        if header == 1 {
            bytes[0] & 0x1f
        } else {
            bytes[0] >> 1 & 0x3f
        }
    };
    let mut nals: Vec<Vec<u8>> = Vec::new();
    let mut open = false;
    for index in 0..payloads.len() {
        let payload = payloads.payload(index);
        if type_of(payload) == fragment {
            let fu = payload[header];
            assert_eq!(fu & 0x80 != 0, !open, "start bit exactly on the first fragment");
            assert_ne!(fu & 0xc0, 0xc0, "one packet must not both start and end a NAL unit");
            if !open {
                let mut first = payload[..header].to_vec();
                first[0] = if header == 1 {
                    payload[0] & 0xe0 | fu & 0x1f
                } else {
                    payload[0] & 0x81 | (fu & 0x3f) << 1
                };
                nals.push(first);
            }
            nals.last_mut().unwrap().extend_from_slice(&payload[header + 1..]);
            open = fu & 0x40 == 0;
            continue;
        }
        assert!(!open, "a NAL unit was left unfinished");
        if type_of(payload) == aggregate {
            let mut rest = &payload[header..];
            while let Some((length, after)) = rest.split_first_chunk::<2>() {
                let (nal, next) = after.split_at(u16::from_be_bytes(*length) as usize);
                nals.push(nal.to_vec());
                rest = next;
            }
        } else {
            nals.push(payload.to_vec());
        }
    }
    assert!(!open);
    nals
}

fn check_frame(payloads: &Payloads, limit: usize) {
    let mut end_before = 0;
    for (index, payload) in payloads.iter().enumerate() {
        assert_eq!(
            payload.range.start,
            end_before + 16,
            "payloads follow one another after their headroom"
        );
        assert!(payload.range.len() <= limit && !payload.range.is_empty());
        assert_eq!(
            payload.marker,
            index + 1 == payloads.len(),
            "marker on the last packet alone"
        );
        end_before = payload.range.end;
    }
    assert_eq!(end_before, payloads.bytes().len());
}

fn h264_nal() -> impl Strategy<Value = Vec<u8>> {
    (
        0u8..4,
        1u8..24,
        prop_oneof![0usize..60, 1390usize..1420, 2790usize..9000],
    )
        .prop_map(|(nri, kind, size)| {
            let body = (0..size).map(|n| (n % 251) as u8);
            std::iter::once(nri << 5 | kind).chain(body).collect()
        })
}

fn h265_nal() -> impl Strategy<Value = Vec<u8>> {
    (
        0u8..48,
        0u8..64,
        1u8..8,
        prop_oneof![0usize..60, 1390usize..1420, 2790usize..9000],
    )
        .prop_map(|(kind, layer, tid, size)| {
            let body = (0..size).map(|n| (n % 251) as u8);
            [kind << 1 | layer >> 5, layer << 3 | tid]
                .into_iter()
                .chain(body)
                .collect()
        })
}

proptest! {
    #[test]
    fn h264_comes_together_again(
        nals in prop::collection::vec(h264_nal(), 1..8), limit in 256usize..1500, aggregate: bool
    ) {
        let payloads = cut(Codec::H264, limit, aggregate, &unit_of(&nals)).unwrap();
        check_frame(&payloads, limit);
        prop_assert_eq!(joined(&payloads, 1, 28, 24), nals);
    }

    #[test]
    fn h265_comes_together_again(
        nals in prop::collection::vec(h265_nal(), 1..8), limit in 256usize..1500, aggregate: bool
    ) {
        let payloads = cut(Codec::H265, limit, aggregate, &unit_of(&nals)).unwrap();
        check_frame(&payloads, limit);
        prop_assert_eq!(joined(&payloads, 2, 49, 48), nals);
    }

    #[test]
    fn no_bytes_make_it_panic_or_leave_half_a_unit(unit in prop::collection::vec(any::<u8>(), 0..300)) {
        for codec in [Codec::H264, Codec::H265, Codec::Mjpeg, Codec::Aac, Codec::PcmA, Codec::Opus, Codec::OnvifMetadata] {
            let packetizer = Packetizer::new(&parameters(codec, 2), 256).unwrap();
            let mut out = Payloads::with_headroom(4);
            if packetizer.packetize(&unit, &mut out).is_err() {
                prop_assert!(out.is_empty() && out.bytes().is_empty());
            }
        }
    }
}

#[test]
fn a_stap_a_takes_the_highest_reference_and_keeps_kinds_apart() {
    let nals = [
        vec![0x09, 0xf0],
        vec![0x27, 1],
        vec![0x68, 2],
        vec![0x65, 3],
        vec![0x41, 4],
    ];
    let payloads = cut(Codec::H264, 1400, true, &unit_of(&nals)).unwrap();
    let found: Vec<_> = payloads
        .iter()
        .map(|p| (payloads.bytes()[p.range.start], p.content))
        .collect();
    assert_eq!(
        found,
        [
            (0x09, Content::Rest),
            (0x78, Content::ParameterSets),
            (0x78, Content::Picture)
        ]
    );
}

#[test]
fn broken_lengths_are_refused() {
    for unit in [
        &[][..],
        &[0, 0, 0],
        &[0, 0, 0, 0],
        &[0, 0, 0, 3, 1, 2],
        &[0, 0, 0, 1, 9, 7],
    ] {
        assert!(cut(Codec::H264, 1400, false, unit).is_err(), "{unit:?}");
    }
    assert!(
        cut(Codec::H265, 1400, false, &[0, 0, 0, 1, 0x26]).is_err(),
        "half a NAL header"
    );
}

#[test]
fn aac_carries_the_size_of_the_whole_frame_in_every_fragment() {
    let one = cut(Codec::Aac, 1400, false, &[7; 300]).unwrap();
    assert_eq!(
        &one.payload(0)[..4],
        [0, 16, (300u16 << 3 >> 8) as u8, (300u16 << 3 & 0xff) as u8]
    );
    assert!(one.iter().all(|p| p.marker));
    let three = cut(Codec::Aac, 256, false, &[7; 600]).unwrap();
    assert_eq!(
        three.iter().map(|p| (p.range.len(), p.marker)).collect::<Vec<_>>(),
        [(256, false), (256, false), (100, true)]
    );
    assert!((0..3).all(|i| three.payload(i)[..4] == [0, 16, 0x12, 0xc0]));
    assert!(cut(Codec::Aac, 1400, false, &[0; 8192]).is_err() && cut(Codec::Aac, 1400, false, &[]).is_err());
}

#[test]
fn long_g711_units_get_later_timestamps() {
    let packetizer = Packetizer::new(&parameters(Codec::PcmU, 2), 257).unwrap();
    let mut out = Payloads::default();
    packetizer.packetize(&[1; 600], &mut out).unwrap();
    let found: Vec<_> = out.iter().map(|p| (p.range.len(), p.timestamp_offset)).collect();
    assert_eq!(found, [(256, 0), (256, 128), (88, 256)]);
    assert!(packetizer.packetize(&[1; 3], &mut out).is_err(), "half a stereo sample");
}

fn jpeg(luma_sampling: u8, restart_interval: u16, scan: &[u8]) -> Vec<u8> {
    let mut image = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
    image.extend([11; 64]);
    image.extend([0xff, 0xdb, 0, 67, 1]);
    image.extend([22; 64]);
    image.extend([0xff, 0xdd, 0, 4]);
    image.extend(restart_interval.to_be_bytes());
    image.extend([
        0xff,
        0xc0,
        0,
        17,
        8,
        0,
        240,
        1,
        64,
        3,
        1,
        luma_sampling,
        0,
        2,
        0x11,
        1,
        3,
        0x11,
        1,
    ]);
    image.extend([0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0]);
    image.extend(scan);
    image.extend([0xff, 0xd9]);
    image
}

#[test]
fn jpeg_headers_tell_offset_kind_and_tables() {
    let scan: Vec<u8> = (0..700).map(|n| (n % 200) as u8).collect();
    let payloads = cut(Codec::Mjpeg, 400, false, &jpeg(0x22, 5, &scan)).unwrap();
    check_frame(&payloads, 400);
    let first = payloads.payload(0);
    assert_eq!(
        first[..16],
        [0, 0, 0, 0, 65, 255, 40, 30, 0, 5, 0xff, 0xff, 0, 0, 0, 128]
    );
    assert_eq!((first[16], first[16 + 64]), (11, 22));
    let second = payloads.payload(1);
    assert_eq!(
        second[..8],
        [0, 0, 1, 0, 65, 255, 40, 30],
        "offset of the first packet's 256 bytes"
    );
    let mut together = first[144..].to_vec();
    (1..payloads.len()).for_each(|i| together.extend(&payloads.payload(i)[12..]));
    assert_eq!(together, scan);
    assert_eq!(
        cut(Codec::Mjpeg, 400, false, &jpeg(0x21, 0, &scan)).unwrap().payload(0)[4],
        0
    );
}

#[test]
fn jpeg_that_rfc_2435_cannot_carry_is_refused() {
    let kind = |image: &[u8]| cut(Codec::Mjpeg, 1400, false, image).unwrap_err().kind();
    assert_eq!(kind(&jpeg(0x11, 0, &[1])), ErrorKind::Unsupported);
    let mut own_huffman = vec![0xff, 0xd8, 0xff, 0xc4, 0, 20, 0, 1];
    own_huffman.extend([0; 20]);
    assert_eq!(kind(&own_huffman), ErrorKind::Unsupported);
    assert_eq!(kind(&[0xff, 0xd8, 0xff, 0xc2, 0, 2]), ErrorKind::Unsupported);
    assert_eq!(kind(&jpeg(0x22, 0, &[1])[..100]), ErrorKind::Malformed);
    assert_eq!(kind(b"not a picture"), ErrorKind::Malformed);
    let mut three_tables = jpeg(0x22, 0, &[1]);
    let components = three_tables.len() - 2 - 1 - 14 - 9;
    assert_eq!(three_tables[components..components + 3], [1, 0x22, 0]);
    three_tables[components + 8] = 2;
    assert_eq!(kind(&three_tables), ErrorKind::Unsupported);
    let mut missing_table = jpeg(0x22, 0, &[1]);
    missing_table[components + 2] = 3;
    assert_eq!(kind(&missing_table), ErrorKind::Malformed);
    let mut one_table = jpeg(0x22, 0, &[1]);
    (one_table[components + 5], one_table[components + 8]) = (0, 0);
    let payloads = cut(Codec::Mjpeg, 1400, false, &one_table).unwrap();
    assert_eq!(
        (payloads.payload(0)[12], payloads.payload(0)[12 + 64]),
        (11, 11),
        "one table serves both"
    );
}

#[test]
fn av1_and_tiny_limits_are_refused() {
    assert_eq!(
        Packetizer::new(&parameters(Codec::Av1, 0), 1400).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    assert_eq!(
        Packetizer::new(&parameters(Codec::H264, 0), 255).unwrap_err().kind(),
        ErrorKind::Invalid
    );
}
