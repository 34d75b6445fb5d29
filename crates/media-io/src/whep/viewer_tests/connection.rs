//! A viewer behind a TCP connection that takes less than the camera sends.

#![allow(clippy::unwrap_used)]

use super::*;

/// Timestamp and marker of every RTP packet that `connection` has been given, video alone.
fn written(outside: &Outside, number: u64) -> Vec<(u32, bool)> {
    let connection = outside.connections.get(number).unwrap();
    let mut taken = Vec::new();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    if std::pin::pin!(connection.take(&mut taken))
        .poll(&mut context)
        .is_pending()
    {
        return Vec::new();
    }
    connection.written(taken.len());
    let (mut packets, mut rest) = (Vec::new(), &taken[..]);
    while let Some((head, after)) = rest.split_first_chunk::<2>() {
        let (packet, next) = after.split_at(usize::from(u16::from_be_bytes(*head)));
        if packet[8..12] == VIDEO.to_be_bytes() && packet[1] & 0x7f == 96 {
            let timestamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
            packets.push((timestamp, packet[1] & 0x80 != 0));
        }
        rest = next;
    }
    packets
}

/// A viewer behind a connection that nobody reads.
fn lone_by_tcp() -> (Lone, u64) {
    let mut lone = lone();
    let address = "127.0.0.1:9".parse().unwrap();
    let number = lone.outside.connections.admit(address, address, 1).unwrap().number;
    lone.viewer.path.carrier = Carrier::Connection(number);
    (lone, number)
}

#[test]
fn a_connection_that_takes_nothing_costs_whole_pictures() {
    let (mut lone, number) = lone_by_tcp();
    lone.viewer.start(&[], lone.now_us);
    lone.push(&picture(0, true, 20_000));
    let pass = |lone: &mut Lone, indices: std::ops::Range<i64>, key: bool| {
        for index in indices {
            lone.now_us += 33_333;
            lone.with(|viewer, turn| viewer.flush(turn));
            lone.push(&picture(index, key, 20_000));
            lone.push(&cut(index, true, 264, Codec::PcmA));
            let Lone { batch, outside, .. } = lone;
            batch.flush(outside);
        }
    };
    pass(&mut lone, 1..100, false);
    assert!(lone.outside.room(&lone.viewer.path) == 0 && lone.viewer.is_waiting());
    assert!(
        lone.counted(|stats| stats.units_dropped) > 100,
        "sound, and pictures that waited"
    );
    assert_eq!(lone.counted(|stats| stats.send_errors), 0);
    let mut packets = written(&lone.outside, number);
    // It reads again: the rest of what it had begun, and nothing new before a key frame.
    pass(&mut lone, 100..105, false);
    packets.extend(written(&lone.outside, number));
    let before = packets.len();
    pass(&mut lone, 105..106, true);
    pass(&mut lone, 106..110, false);
    packets.extend(written(&lone.outside, number));
    let ends = |packets: &[(u32, bool)]| packets.iter().filter(|(_, marker)| *marker).count();
    assert_eq!(ends(&packets[before..]), 5);
    assert!(!lone.viewer.is_waiting());
    let mut pictures: Vec<u32> = packets.iter().map(|(timestamp, _)| *timestamp).collect();
    pictures.dedup();
    assert_eq!(ends(&packets), pictures.len(), "whole pictures");
    assert!((15..30).contains(&pictures.len()), "{}", pictures.len());
}

#[test]
fn a_burst_that_a_connection_does_not_take_has_an_end() {
    let (mut lone, _) = lone_by_tcp();
    lone.viewer.start(&[picture(0, true, 1 << 20)], lone.now_us);
    for index in 1..40 {
        lone.now_us += 33_333;
        lone.push(&picture(index, false, 1 << 20));
        let Lone { batch, outside, .. } = &mut lone;
        batch.flush(outside);
        if let Phase::Bursting(units) = &lone.viewer.phase {
            assert!(units.len() <= 18, "{index}");
        }
    }
    assert!(matches!(lone.viewer.phase, Phase::WaitingForKey));
    assert!(lone.counted(|stats| stats.units_dropped) >= 17);
}
