//! Bits of a raw byte sequence payload: fixed-length and Exp-Golomb codes (ITU-T H.264 §7.2, §9.1).

use crate::error::{Error, Result};

/// The payload of a NAL unit without its emulation prevention bytes (ITU-T H.264 §7.4.1): 00 00 03 becomes 00 00.
pub(crate) fn unescape(nal: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        payload.push(byte);
    }
    payload
}

/// A raw byte sequence payload with emulation prevention bytes: 03 before a byte below 4 that follows 00 00.
pub(crate) fn escape(payload: &[u8]) -> Vec<u8> {
    let mut nal = Vec::with_capacity(payload.len() + payload.len() / 16);
    let mut zeros = 0;
    for &byte in payload {
        if zeros >= 2 && byte < 4 {
            nal.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        nal.push(byte);
    }
    nal
}

/// Reads bits from the most significant one on.
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
    name: &'static str,
}

impl<'a> BitReader<'a> {
    /// The bits of `bytes`; `name` says in messages what they are.
    pub fn new(bytes: &'a [u8], name: &'static str) -> Self {
        Self { bytes, at: 0, name }
    }

    /// The next bit.
    pub fn bit(&mut self) -> Result<bool> {
        let byte = self
            .bytes
            .get(self.at / 8)
            .ok_or_else(|| self.malformed("ends too early"))?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Ok(bit == 1)
    }

    /// The next `count` bits, at most 32, as a number: u(n).
    pub fn bits(&mut self, count: u32) -> Result<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            value = value << 1 | self.bit()? as u32;
        }
        Ok(value)
    }

    /// Steps over `count` bits.
    pub fn skip(&mut self, count: usize) -> Result<()> {
        if count > self.bytes.len() * 8 - self.at {
            return Err(self.malformed("ends too early"));
        }
        self.at += count;
        Ok(())
    }

    /// An unsigned Exp-Golomb code: ue(v), below 2^32 − 1.
    pub fn ue(&mut self) -> Result<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return Err(self.malformed("a number of more than 32 bits"));
            }
        }
        Ok((1u32 << zeros) - 1 + self.bits(zeros)?)
    }

    /// An unsigned Exp-Golomb code of at most `limit`; `what` names it when it is more.
    pub fn ue_to(&mut self, limit: u32, what: &str) -> Result<u32> {
        let value = self.ue()?;
        if value > limit {
            return Err(self.malformed(&format!("{what} {value} is more than {limit}")));
        }
        Ok(value)
    }

    /// A signed Exp-Golomb code: se(v).
    pub fn se(&mut self) -> Result<i64> {
        let code = self.ue()? as i64;
        Ok(if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) })
    }

    /// An error that names what is being read and the bit.
    pub fn malformed(&self, what: &str) -> Error {
        Error::malformed(format!("{}, bit {}: {what}", self.name, self.at))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn exp_golomb_codes_read_as_the_standard_lists_them() {
        // 1 010 011 00100 00101 → 0 1 2 3 4
        let bytes = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut bits = BitReader::new(&bytes, "test");
        let codes: Vec<_> = (0..5).map(|_| bits.ue().unwrap()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4]);
        let mut bits = BitReader::new(&bytes, "test");
        let codes: Vec<_> = (0..5).map(|_| bits.se().unwrap()).collect();
        assert_eq!(codes, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn the_end_and_long_codes_are_errors() {
        assert!(BitReader::new(&[], "test").bit().is_err());
        assert!(BitReader::new(&[0], "test").ue().is_err());
        assert!(
            BitReader::new(&[0; 20], "test")
                .ue()
                .unwrap_err()
                .message()
                .contains("more than 32 bits")
        );
        assert!(BitReader::new(&[0; 2], "test").skip(17).is_err());
        assert!(
            BitReader::new(&[0b0010_0000], "test")
                .ue_to(2, "count")
                .unwrap_err()
                .message()
                .contains("count 3")
        );
    }

    #[test]
    fn emulation_prevention_bytes_are_removed() {
        assert_eq!(unescape(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3]), [0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(unescape(&[3, 0, 3, 0, 0, 4]), [3, 0, 3, 0, 0, 4]);
    }
}
