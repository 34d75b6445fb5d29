//! What strangers send, as the fuzz targets reach it.

use super::demultiplex::stun_ufrag;
use super::framing::next_frame;
use super::offer::Offer;
use bytes::BytesMut;

/// Reads an offer, and what is kept of it.
pub fn read_offer(text: &str) {
    let Ok(offer) = Offer::parse(text) else {
        return;
    };
    let bundle = offer.bundle().unwrap_or_default();
    for section in &offer.sections {
        let _ = (section.formats(), section.receives(), section.refused(&bundle));
    }
    let kept = offer.keeping(&[0]);
    assert!(
        kept.len() > 64 << 10 || Offer::parse(&kept).is_ok(),
        "what is kept of an offer is none: {kept}"
    );
}

/// Looks for the session that a STUN request names.
pub fn read_stun(datagram: &[u8]) {
    if let Some(name) = stun_ufrag(datagram) {
        assert!(name.len() < datagram.len());
    }
}

/// Takes the datagrams out of what came by a TCP connection.
pub fn read_frames(stream: &[u8]) {
    let mut received = BytesMut::from(stream);
    let mut left = received.len();
    while let Ok(Some(frame)) = next_frame(&mut received) {
        assert_eq!(left - received.len(), 2 + frame.len());
        left = received.len();
        read_stun(&frame);
    }
}
