//! Keeping H.264 and H.265 parameter sets by their ids.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Ids that are kept; H.264 allows 256 picture parameter sets, no camera uses more than a few.
const MAX_SETS: usize = 16;

/// The newest set of each id.
#[derive(Debug, Default)]
pub struct ParameterSets(Vec<(u32, Vec<u8>)>);

impl ParameterSets {
    /// Keeps `nal` under `id` (an unreadable id counts as 0); true when that changes anything.
    pub fn keep(&mut self, id: Option<u32>, nal: &[u8]) -> bool {
        let id = id.unwrap_or(0);
        match self.0.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) if self.0[at].1 == nal => false,
            Ok(at) => {
                self.0[at].1 = nal.to_vec();
                true
            }
            Err(at) if self.0.len() < MAX_SETS => {
                self.0.insert(at, (id, nal.to_vec()));
                true
            }
            Err(_) => false,
        }
    }

    /// Whether none was kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every set, by rising id.
    pub fn all(&self) -> Vec<&[u8]> {
        self.0.iter().map(|(_, nal)| nal.as_slice()).collect()
    }
}

/// The unsigned Exp-Golomb number at the start of `bytes` (H.264 §9.1), if below 2^16.
pub fn first_exp_golomb(bytes: &[u8]) -> Option<u32> {
    let mut window = [0; 8];
    let given = bytes.len().min(8);
    window[..given].copy_from_slice(&bytes[..given]);
    let window = u64::from_be_bytes(window);
    let zeros = window.leading_zeros();
    if zeros > 15 || (2 * zeros + 1) as usize > given * 8 {
        return None;
    }
    Some((window >> (63 - 2 * zeros)) as u32 - 1)
}

/// The comma-separated base64 values of an `sprop` parameter; what is no base64 is left out. Blanks and missing
/// padding are forgiven.
pub fn decode_sprop(value: Option<&str>) -> Vec<Vec<u8>> {
    let forgiving = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let values = value
        .unwrap_or_default()
        .split(',')
        .map(|set| set.replace([' ', '\t'], ""));
    values
        .filter_map(|set| forgiving.decode(set).ok())
        .filter(|set| !set.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_numbers_are_read() {
        assert_eq!(first_exp_golomb(&[0x80]), Some(0));
        assert_eq!(first_exp_golomb(&[0x40]), Some(1));
        assert_eq!(first_exp_golomb(&[0x60]), Some(2));
        assert_eq!(first_exp_golomb(&[0x08, 0x80]), Some(16));
        assert_eq!(first_exp_golomb(&[0x01]), None);
        assert_eq!(first_exp_golomb(&[0; 9]), None);
        assert_eq!(first_exp_golomb(&[]), None);
    }

    #[test]
    fn sets_are_kept_by_id_and_bounded() {
        let mut sets = ParameterSets::default();
        assert!(sets.keep(Some(1), b"one"));
        assert!(sets.keep(Some(0), b"zero"));
        assert!(!sets.keep(Some(0), b"zero"));
        assert!(sets.keep(Some(1), b"other"));
        assert_eq!(sets.all(), [b"zero".as_slice(), b"other"]);
        for id in 2..100 {
            sets.keep(Some(id), b"more");
        }
        assert_eq!(sets.0.len(), MAX_SETS);
    }
}
