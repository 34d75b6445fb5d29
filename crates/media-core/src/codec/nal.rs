//! NAL units in their two framings: Annex B start codes (ITU-T H.264 Annex B) and the 4-byte length prefix of
//! ISO/IEC 14496-15, which is how access units travel through the media core.

/// The NAL units of an access unit with 4-byte length prefixes. Ends early where a length runs past the end.
pub fn length_prefixed(unit: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = unit;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        if length > after.len() {
            rest = &[];
            return None;
        }
        let (nal, after) = after.split_at(length);
        rest = after;
        Some(nal)
    })
    .filter(|nal| !nal.is_empty())
}

/// The NAL units between the start codes of a byte stream, without start codes and trailing zero bytes.
/// What stands before the first start code is skipped.
pub fn annex_b(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(stream).unwrap_or(&[]);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (nal, after) = match find_start_code(rest) {
            Some(at) => (&rest[..at], &rest[at + 3..]),
            None => (rest, &[][..]),
        };
        rest = after;
        let length = nal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Some(&nal[..length])
    })
    .filter(|nal| !nal.is_empty())
}

/// An access unit with 4-byte length prefixes from one with start codes.
pub fn to_length_prefixed(stream: &[u8]) -> Vec<u8> {
    let mut unit = Vec::with_capacity(stream.len() + 8);
    for nal in annex_b(stream) {
        push_length_prefixed(&mut unit, nal);
    }
    unit
}

/// An access unit with start codes from one with 4-byte length prefixes.
pub fn to_annex_b(unit: &[u8]) -> Vec<u8> {
    let mut stream = Vec::with_capacity(unit.len());
    for nal in length_prefixed(unit) {
        stream.extend_from_slice(&[0, 0, 0, 1]);
        stream.extend_from_slice(nal);
    }
    stream
}

/// Appends `nal` with its 4-byte length.
pub fn push_length_prefixed(unit: &mut Vec<u8>, nal: &[u8]) {
    unit.extend_from_slice(&(nal.len() as u32).to_be_bytes());
    unit.extend_from_slice(nal);
}

fn find_start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|window| window == [0, 0, 1])
}

fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    find_start_code(bytes).map(|at| &bytes[at + 3..])
}

/// The payloads of an SEI message with this payload type (ITU-T H.264 §7.3.2.3.1, H.265 §7.3.5). `rbsp` is the
/// unescaped SEI NAL unit without its header.
pub(crate) fn sei_payloads(rbsp: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut rest = rbsp;
    std::iter::from_fn(move || {
        // What remains when only rbsp_trailing_bits are left.
        if rest.len() < 2 || rest == [0x80, 0] {
            return None;
        }
        let kind = sei_number(&mut rest)?;
        let length = sei_number(&mut rest)? as usize;
        let payload = rest.get(..length)?;
        rest = &rest[length..];
        Some((kind, payload))
    })
}

fn sei_number(rest: &mut &[u8]) -> Option<u32> {
    let mut number = 0u32;
    loop {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number = number.checked_add(*byte as u32)?;
        if *byte != 0xff {
            return Some(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_framings_give_the_same_units() {
        let stream = [9, 9, 0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 0, 0, 1, 0x65, 1, 2, 0, 0];
        let nals: Vec<_> = annex_b(&stream).collect();
        assert_eq!(nals, [&[0x67, 1][..], &[0x68], &[0x65, 1, 2]]);
        let unit = to_length_prefixed(&stream);
        assert_eq!(length_prefixed(&unit).collect::<Vec<_>>(), nals);
        assert_eq!(annex_b(&to_annex_b(&unit)).collect::<Vec<_>>(), nals);
    }

    #[test]
    fn a_length_past_the_end_ends_the_walk() {
        assert_eq!(
            length_prefixed(&[0, 0, 0, 1, 7, 0, 0, 0, 9, 1]).collect::<Vec<_>>(),
            [&[7]]
        );
        assert_eq!(length_prefixed(&[0xff, 0xff, 0xff, 0xff]).count(), 0);
        assert_eq!(length_prefixed(&[0, 0, 0]).count(), 0);
        assert_eq!(annex_b(&[0, 0, 1]).count(), 0);
    }

    #[test]
    fn sei_sizes_past_the_end_end_the_walk() {
        assert_eq!(
            sei_payloads(&[6, 1, 0x80, 5, 200, 1, 0x80]).collect::<Vec<_>>(),
            [(6, &[0x80][..])]
        );
        assert_eq!(sei_payloads(&[0xff, 0xff]).count(), 0);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..80)) {
            let _ = length_prefixed(&bytes).count();
            let _ = annex_b(&bytes).count();
            let _ = sei_payloads(&bytes).count();
        }
    }
}
