//! Whose datagram is this: a STUN request names its session, everything else is known by its address (RFC 7983).

/// The session part of the USERNAME of a STUN message (`session:viewer`, RFC 8445 §7.2.2); None for anything else.
pub(super) fn stun_ufrag(datagram: &[u8]) -> Option<&str> {
    const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
    const USERNAME: u16 = 0x0006;
    let (header, mut attributes) = datagram.split_first_chunk::<20>()?;
    if header[0] >= 4 || header[4..8] != MAGIC_COOKIE {
        return None;
    }
    while let Some((head, rest)) = attributes.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if u16::from_be_bytes([head[0], head[1]]) == USERNAME {
            let name = std::str::from_utf8(rest.get(..length)?).ok()?;
            return name.split_once(':').map(|(session, _)| session);
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        message.extend_from_slice(&[7; 12]);
        for (kind, value) in attributes {
            message.extend_from_slice(&kind.to_be_bytes());
            message.extend_from_slice(&(value.len() as u16).to_be_bytes());
            message.extend_from_slice(value);
            message.resize(message.len().next_multiple_of(4), 0);
        }
        message
    }

    #[test]
    fn the_user_name_tells() {
        let message = request(&[
            (0x24, &[1, 2, 3, 4]),
            (0x8029, b"12345"),
            (6, b"abcd:efgh"),
            (8, &[0; 20]),
        ]);
        assert_eq!(stun_ufrag(&message), Some("abcd"));
    }

    #[test]
    fn anything_else_tells_nothing() {
        let message = request(&[(0x24, &[1, 2, 3, 4]), (6, b"abcd:efgh")]);
        // Three bytes of padding may be missing.
        for length in 0..message.len() - 3 {
            let cut = stun_ufrag(&message[..length]);
            assert!(cut.is_none(), "cut at {length}: {cut:?}");
        }
        assert_eq!(stun_ufrag(&request(&[(6, b"no colon")])), None);
        assert_eq!(stun_ufrag(&request(&[(6, &[0xff, b':'])])), None);
        assert_eq!(stun_ufrag(&request(&[(0x24, &[1, 2, 3, 4])])), None);
        let mut no_cookie = message.clone();
        no_cookie[4] = 0;
        assert_eq!(stun_ufrag(&no_cookie), None);
        let mut dtls = message;
        dtls[0] = 22;
        assert_eq!(stun_ufrag(&dtls), None);
    }
}
