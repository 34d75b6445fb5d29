//! Receives arbitrary datagrams, and authentic ones that arbitrary bytes were mixed into.
//!
//! Input: a byte that chooses the profile, then datagrams of a length byte and so many bytes. Each is received as it
//! is, and as a change to an authentic packet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::srtp::{SrtpProfile, SrtpReceiver, SrtpSender};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, mut rest)) = bytes.split_first() else {
        return;
    };
    let profile = SrtpProfile::ALL[usize::from(*choice) % 3];
    let (key, salt) = ([7; 32], [9; 14]);
    let (key, salt) = (&key[..profile.key_bytes()], &salt[..profile.salt_bytes()]);
    let mut sender = SrtpSender::new(profile, key, salt).expect("ours");
    let mut receiver = SrtpReceiver::new(profile, key, salt).expect("ours");
    let (mut packet, mut clear) = (Vec::new(), Vec::new());
    // The first packet comes before the wrap, as receivers assume.
    let mut sequence = 50_000u64;
    while let [length, tail @ ..] = rest {
        let (datagram, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        clear.clear();
        assert!(receiver.unprotect_rtp(datagram, &mut clear).is_err());
        assert!(receiver.unprotect_rtcp(datagram, &mut clear).is_err());
        assert!(clear.is_empty(), "what is refused leaves nothing");

        sequence += 1 + datagram.first().map_or(0, |step| u64::from(*step) * 50);
        let header = [
            &[0x80, 96][..],
            &(sequence as u16).to_be_bytes(),
            &[0, 0, 0, 1, 0, 0, 0, 2],
        ]
        .concat();
        packet.clear();
        sender
            .protect_rtp(&header, datagram, sequence, &mut packet)
            .expect("ours");
        let mut changed = packet.clone();
        for (byte, change) in changed.iter_mut().rev().zip(datagram) {
            *byte ^= change;
        }
        let arrived = receiver.unprotect_rtp(&changed, &mut clear);
        assert_eq!(arrived.is_ok(), changed == packet);
        if arrived.is_err() {
            assert_eq!(receiver.unprotect_rtp(&packet, &mut clear), Ok(sequence));
        }
        assert_eq!(clear[12..], *datagram);
        assert!(receiver.unprotect_rtp(&packet, &mut clear).is_err(), "a replay");
    }
});
