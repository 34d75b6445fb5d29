//! Datagrams on a TCP connection: a length of two bytes before each (RFC 4571 §2), as ICE-TCP has it (RFC 6544 §10.1).

use bytes::{Buf, Bytes, BytesMut};
use media_core::{Error, Result};

/// Larger than any datagram that a viewer sends, by UDP too (DTLS flights stay below 1500).
pub(super) const MAX_FRAME_BYTES: usize = 2048;
/// Bytes before each datagram.
pub(super) const LENGTH_BYTES: usize = 2;

/// Takes the first datagram out of what was `received`; None until all of it is there. `Malformed` when it is longer
/// than any that a viewer sends: the connection cannot be read on.
pub(super) fn next_frame(received: &mut BytesMut) -> Result<Option<Bytes>> {
    let Some(head) = received.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes(*head));
    if length > MAX_FRAME_BYTES {
        return Err(Error::malformed(format!(
            "a datagram of {length} bytes on a TCP connection"
        )));
    }
    if received.len() < LENGTH_BYTES + length {
        return Ok(None);
    }
    received.advance(LENGTH_BYTES);
    Ok(Some(received.split_to(length).freeze()))
}

/// Appends `datagram` with its length to `out`. What no length can say (above 65535 bytes) is left out.
pub(super) fn push_frame(datagram: &[u8], out: &mut Vec<u8>) {
    let Ok(length) = u16::try_from(datagram.len()) else {
        return;
    };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(datagram);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_framed_comes_out_however_it_arrives() {
        let datagrams: [&[u8]; 4] = [b"first", b"", &[7; MAX_FRAME_BYTES], b"last"];
        let mut stream = Vec::new();
        for datagram in datagrams {
            push_frame(datagram, &mut stream);
        }
        for portion in [1, 2, 3, 1000, stream.len()] {
            let mut received = BytesMut::new();
            let mut got = Vec::new();
            for part in stream.chunks(portion) {
                received.extend_from_slice(part);
                while let Some(frame) = next_frame(&mut received).unwrap() {
                    got.push(frame);
                }
            }
            assert_eq!(got, datagrams, "{portion} bytes at a time");
            assert!(received.is_empty());
        }
    }

    #[test]
    fn a_length_beyond_all_datagrams_is_refused_before_they_are_waited_for() {
        for length in [MAX_FRAME_BYTES as u16 + 1, u16::MAX, u16::from_be_bytes(*b"GE")] {
            let mut received = BytesMut::from(&length.to_be_bytes()[..]);
            let error = next_frame(&mut received).unwrap_err();
            assert_eq!(
                error.message(),
                format!("a datagram of {length} bytes on a TCP connection")
            );
        }
    }
}
