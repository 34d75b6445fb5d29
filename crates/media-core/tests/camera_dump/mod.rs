//! The golden streams: what cameras sent, as `tests/golden/make_streams.py` keeps it, received by a [`TrackReceiver`];
//! and the tables beside them.

#![allow(dead_code, clippy::unwrap_used, clippy::disallowed_methods)]

use media_core::AccessUnit;
use media_core::rtp::clock::Arrival;
use media_core::rtp::track_receiver::TrackReceiver;
use media_core::rtsp::sdp::SessionDescription;
use std::path::PathBuf;

/// Every stream that has packets.
pub const STREAMS: [&str; 6] = [
    "b_frames_h264",
    "b_frames_h265",
    "open_gop_h264",
    "open_gop_h265",
    "intra_refresh",
    "long_gop",
];

/// Server time at which the first packet arrives: 2026-11-23T10:00:00Z.
pub const START_UTC_US: i64 = 1_795_428_000_000_000;

/// A file of the golden streams.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../media-core/tests/golden/streams")
        .join(name)
}

/// Its text.
pub fn text(name: &str) -> String {
    let path = path(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub fn arrival(us: u64) -> Arrival {
    Arrival {
        utc_us: START_UTC_US + us as i64,
        monotonic_us: us,
    }
}

/// The packets of a dump in the format of rtptools, with their arrival in µs.
pub fn packets(name: &str) -> Vec<(u64, Vec<u8>)> {
    const FILE_HEADER_BYTES: usize = 16;
    const RECORD_HEADER_BYTES: usize = 8;
    let dump = std::fs::read(path(&format!("{name}.rtpdump"))).unwrap();
    let line_end = dump.iter().position(|byte| *byte == b'\n').unwrap();
    let mut rest = &dump[line_end + 1 + FILE_HEADER_BYTES..];
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes(rest[..2].try_into().unwrap()));
        let arrival_ms = u32::from_be_bytes(rest[4..8].try_into().unwrap());
        packets.push((u64::from(arrival_ms) * 1000, rest[RECORD_HEADER_BYTES..length].to_vec()));
        rest = &rest[length..];
    }
    packets
}

/// What a session makes of a stream that it joins at picture number `from_picture`.
pub fn receive(name: &str, from_picture: usize) -> Vec<AccessUnit> {
    let session = SessionDescription::parse(text(&format!("{name}.sdp")).as_bytes()).unwrap();
    let mut receiver = TrackReceiver::new(&session.medias[0], false).unwrap();
    let mut units = Vec::new();
    let mut picture = 0;
    for (arrival_us, packet) in packets(name) {
        if picture >= from_picture {
            receiver.push(&packet, arrival(arrival_us), &mut units);
        }
        picture += usize::from(packet[1] >> 7);
    }
    let figures = receiver.figures();
    assert_eq!(
        (figures.lost_packets, figures.malformed_packets, figures.discarded_units),
        (0, 0, 0),
        "{name}"
    );
    units
}

/// Compares `table` with the golden one, line by line. `UPDATE_GOLDEN=1` accepts it instead.
pub fn compare(name: &str, table: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path(name), table).unwrap();
    }
    let golden = text(name);
    for (number, (expected, found)) in golden.lines().zip(table.lines()).enumerate() {
        assert_eq!(expected, found, "{name} line {}", number + 1);
    }
    assert_eq!(golden.lines().count(), table.lines().count(), "lines of {name}");
}

/// The folder of a fuzz target's seeds.
pub fn seeds(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(target)
}

/// Compares a fuzz target's seed that is taken from the golden streams. `UPDATE_GOLDEN=1` writes it instead.
pub fn compare_seed(target: &str, name: &str, bytes: &[u8]) {
    let path = seeds(target).join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, bytes).unwrap();
    }
    let committed = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(committed == bytes, "{} differs", path.display());
}
