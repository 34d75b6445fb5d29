//! What the fuzz targets start from: every target has seeds, and those taken from the golden streams are up to date.
//! `UPDATE_GOLDEN=1 cargo test -p media-core --test fuzz_seeds` writes them.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod camera_dump;

use camera_dump::*;
use media_core::Codec;
use media_core::codec::{h264, h265, nal};
use media_core::rtsp::message::interleaved_header;

/// Packets of a stream that a seed takes: enough for key frame, B-frames and parameter sets.
const PACKETS: usize = 48;
const RTP_HEADER_BYTES: usize = 12;

/// The first packets in the form of the target `depacketizers`, whose description number `choice` fits; every second
/// pair changes places when `reorder`.
fn packet_seed(name: &str, choice: u8, reorder: bool) -> Vec<u8> {
    const REORDER_BUFFER: u8 = 8;
    let mut packets: Vec<(u16, u32, u8, Vec<u8>)> = packets(name)
        .into_iter()
        .take(PACKETS)
        .map(|(_, packet)| {
            let sequence = u16::from_be_bytes([packet[2], packet[3]]);
            let timestamp = u32::from_be_bytes(packet[4..8].try_into().unwrap());
            (sequence, timestamp, packet[1] >> 7, packet[RTP_HEADER_BYTES..].to_vec())
        })
        .collect();
    if reorder {
        packets.chunks_exact_mut(4).for_each(|four| four.swap(1, 2));
    }
    let mut seed = vec![choice | if reorder { REORDER_BUFFER } else { 0 }];
    let (mut last_sequence, mut last_timestamp) = (packets[0].0.wrapping_sub(1), packets[0].1);
    for (sequence, timestamp, marker, payload) in packets {
        // Steps of 0 to 3, two less with the bit for going back.
        let step = sequence.wrapping_sub(last_sequence) as i16;
        let (back, forth) = if step < 0 { (0x40, step + 2) } else { (0, step) };
        let moved = u8::from(timestamp != last_timestamp);
        seed.push(marker | (forth as u8) << 1 | moved << 3 | back);
        seed.push(u8::try_from(payload.len()).expect("the golden streams' packets are small"));
        seed.extend_from_slice(&payload);
        (last_sequence, last_timestamp) = (sequence, timestamp);
    }
    seed
}

/// A session as the client of the target `rtsp_message` sees it, up to the first packets over TCP.
fn session_seed(name: &str) -> Vec<u8> {
    let description = format!("v=0\r\n{}", text(&format!("{name}.sdp")));
    let mut seed = format!(
        "RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, PLAY\r\n\r\n\
         RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Base: rtsp://c/s/\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{description}\
         RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: 1;timeout=30\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n\
         RTSP/1.0 200 OK\r\nCSeq: 4\r\nSession: 1\r\nRTP-Info: url=rtsp://c/s/;seq=65500;rtptime=1\r\n\r\n",
        description.len()
    )
    .into_bytes();
    for (_, packet) in packets(name).into_iter().take(12) {
        seed.extend_from_slice(&interleaved_header(0, packet.len() as u16));
        seed.extend_from_slice(&packet);
    }
    seed
}

#[test]
fn seeds_of_the_golden_streams_are_up_to_date() {
    for name in STREAMS {
        let units = receive(name, 0);
        let parameters = &units[0].parameters;
        let (choice, target, sps) = match parameters.codec {
            Codec::H264 => (0, "h264_parameters", {
                let sets = h264::parameter_sets(&parameters.configuration).unwrap();
                sets.into_iter().find(|nal| h264::nal_type(nal) == h264::NAL_SPS)
            }),
            _ => (1, "h265_parameters", {
                let sets = h265::parameter_sets(&parameters.configuration).unwrap();
                sets.into_iter().find(|nal| h265::nal_type(nal) == h265::NAL_SPS)
            }),
        };
        compare_seed("depacketizers", name, &packet_seed(name, choice, false));
        compare_seed(target, name, sps.unwrap());
        // An entry that is no IDR picture, with its delimiters and messages; the slices' beginnings tell enough.
        let entry = units.iter().skip(1).find(|unit| unit.key).unwrap();
        let heads = nal::length_prefixed(&entry.data).flat_map(|nal| {
            let head = &nal[..nal.len().min(40)];
            [&(head.len() as u32).to_be_bytes(), head].concat()
        });
        compare_seed(target, &format!("{name}.entry"), &heads.collect::<Vec<u8>>());
        compare_seed("sdp", name, text(&format!("{name}.sdp")).as_bytes());
    }
    for name in ["b_frames_h264", "b_frames_h265"] {
        let choice = u8::from(name.ends_with('5'));
        compare_seed(
            "depacketizers",
            &format!("{name}.reordered"),
            &packet_seed(name, choice, true),
        );
        compare_seed("rtsp_message", name, &session_seed(name));
    }
}

#[test]
fn every_target_has_seeds() {
    let targets = seeds("").join("../fuzz_targets");
    let mut found = 0;
    for target in std::fs::read_dir(targets).unwrap() {
        let path = target.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let seeds = std::fs::read_dir(seeds(name)).map_or(0, Iterator::count);
        assert!(seeds >= 3, "{name} has {seeds} seeds");
        found += 1;
    }
    assert!(found >= 7, "{found} targets");
}
