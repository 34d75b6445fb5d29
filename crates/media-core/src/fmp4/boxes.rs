//! Boxes (ISO/IEC 14496-12 §4.2): writing them around a closure, and walking them in a slice.

use crate::error::{Error, Result};

/// Appends a box of `kind` whose body is what `body` appends. The box must stay below 4 GiB.
pub(crate) fn write_box(out: &mut Vec<u8>, kind: &[u8; 4], body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(kind);
    body(out);
    let size = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// Appends a box that starts with a version and 24 bits of flags.
pub(crate) fn write_full_box(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    body: impl FnOnce(&mut Vec<u8>),
) {
    write_box(out, kind, |out| {
        put_u32(out, (version as u32) << 24 | flags);
        body(out);
    });
}

pub(crate) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Size and kind of a box as its header gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BoxHeader {
    pub kind: [u8; 4],
    pub header_bytes: usize,
    /// Whole box with its header.
    pub size_bytes: u64,
}

impl BoxHeader {
    /// Reads the header at the start of `bytes`; None when more bytes are needed to know it.
    /// Size 0 ("to the end of the file") is malformed here: a growing file cannot have it.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(first) = bytes.first_chunk::<8>() else {
            return Ok(None);
        };
        let kind = [first[4], first[5], first[6], first[7]];
        let small = u32::from_be_bytes([first[0], first[1], first[2], first[3]]);
        let (header_bytes, size_bytes) = if small == 1 {
            let Some(both) = bytes.first_chunk::<16>() else {
                return Ok(None);
            };
            (16, u64::from_be_bytes(std::array::from_fn(|i| both[8 + i])))
        } else {
            (8, small as u64)
        };
        if size_bytes < header_bytes as u64 {
            return Err(Error::malformed(format!(
                "a box {} of {size_bytes} bytes",
                kind_name(kind)
            )));
        }
        Ok(Some(Self {
            kind,
            header_bytes,
            size_bytes,
        }))
    }
}

/// A box kind as text, with other bytes than printable ASCII escaped.
pub(crate) fn kind_name(kind: [u8; 4]) -> String {
    kind.escape_ascii().to_string()
}

/// Walks the boxes inside a box body.
pub(crate) struct Boxes<'a> {
    rest: &'a [u8],
    within: &'static str,
}

impl<'a> Boxes<'a> {
    /// The boxes of `body`; `within` names the parent in messages.
    pub fn new(body: &'a [u8], within: &'static str) -> Self {
        Self { rest: body, within }
    }

    /// The next box as kind and body; None after the last.
    pub fn next(&mut self) -> Result<Option<([u8; 4], &'a [u8])>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let header = BoxHeader::read(self.rest)
            .map_err(|e| e.within(self.within))?
            .ok_or_else(|| Error::malformed(format!("{}: {} loose bytes", self.within, self.rest.len())))?;
        if header.size_bytes > self.rest.len() as u64 {
            return Err(Error::malformed(format!(
                "{}: {} of {} bytes, {} left",
                self.within,
                kind_name(header.kind),
                header.size_bytes,
                self.rest.len()
            )));
        }
        let (whole, rest) = self.rest.split_at(header.size_bytes as usize);
        self.rest = rest;
        Ok(Some((header.kind, &whole[header.header_bytes..])))
    }

    /// The body of the first box of `kind` from here on.
    pub fn find(mut self, kind: &[u8; 4]) -> Result<&'a [u8]> {
        while let Some((found, body)) = self.next()? {
            if found == *kind {
                return Ok(body);
            }
        }
        Err(Error::malformed(format!("{}: no {}", self.within, kind_name(*kind))))
    }
}

/// Reads big-endian fields one after the other.
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    within: &'static str,
}

impl<'a> Fields<'a> {
    /// The fields of `bytes`; `within` names them in messages.
    pub fn new(bytes: &'a [u8], within: &'static str) -> Self {
        Self { bytes, at: 0, within }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let taken = self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.get(..count))
            .ok_or_else(|| {
                Error::malformed(format!(
                    "{}: ends at byte {}, {count} more needed",
                    self.within,
                    self.bytes.len()
                ))
            })?;
        self.at += count;
        Ok(taken)
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub fn u16(&mut self) -> Result<u16> {
        let taken = self.take(2)?;
        Ok(u16::from_be_bytes([taken[0], taken[1]]))
    }

    pub fn u32(&mut self) -> Result<u32> {
        let taken = self.take(4)?;
        Ok(u32::from_be_bytes([taken[0], taken[1], taken[2], taken[3]]))
    }

    pub fn u64(&mut self) -> Result<u64> {
        let taken = self.take(8)?;
        Ok(u64::from_be_bytes(std::array::from_fn(|i| taken[i])))
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }
}
