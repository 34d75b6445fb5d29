//! The header: what a reader must know before the first record.

use super::block::{block_is_whole, close_block, i64_at, u16_at, u32_at};
use super::{HEADER_BYTES, MAGIC, MAX_TRACKS, RECORD_BYTES, VERSION};
use crate::error::{Error, ErrorKind, Result};

/// The first 64 bytes of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// How many tracks the file has, 1 to 4.
    pub tracks: u16,
    /// Absolute time of media time 0, in ticks of 1/90000 s since the Unix epoch.
    pub origin_90k: i64,
    /// Ticks per second of each track; 0 for tracks that the file does not have.
    pub timescale: [u32; MAX_TRACKS],
    /// Length of ftyp + moov at the start of the `.mp4`.
    pub init_size_bytes: u64,
}

/// The version of an index that a newer program wrote; None for one of ours, sound or not, and for anything else.
///
/// What is newer must not be repaired: what its bytes mean is not known. A header of ours in which only the version
/// is damaged has the checksum of version 1.
pub fn newer_version(bytes: &[u8]) -> Option<u16> {
    let block: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
    let version = u16_at(block, 8);
    if block[0..8] != MAGIC || version <= VERSION {
        return None;
    }
    let mut ours = *block;
    ours[8..10].copy_from_slice(&VERSION.to_le_bytes());
    (!block_is_whole(&ours)).then_some(version)
}

impl Header {
    /// The 64 bytes of the header.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut block = [0; HEADER_BYTES];
        block[0..8].copy_from_slice(&MAGIC);
        block[8..10].copy_from_slice(&VERSION.to_le_bytes());
        block[10..12].copy_from_slice(&(HEADER_BYTES as u16).to_le_bytes());
        block[12..14].copy_from_slice(&(RECORD_BYTES as u16).to_le_bytes());
        block[14..16].copy_from_slice(&self.tracks.to_le_bytes());
        block[16..24].copy_from_slice(&self.origin_90k.to_le_bytes());
        for (track, timescale) in self.timescale.iter().enumerate() {
            block[24 + 4 * track..28 + 4 * track].copy_from_slice(&timescale.to_le_bytes());
        }
        block[40..48].copy_from_slice(&self.init_size_bytes.to_le_bytes());
        close_block(&mut block);
        block
    }

    /// Reads a header from the first 64 bytes of an index. `Malformed` when they are no sound header, `Unsupported`
    /// for a version that this code does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let block: &[u8; HEADER_BYTES] = bytes
            .first_chunk()
            .ok_or_else(|| Error::malformed(format!("index header: {} bytes, 64 needed", bytes.len())))?;
        if block[0..8] != MAGIC {
            return Err(Error::malformed("index header: does not begin with VMSIDX1"));
        }
        if !block_is_whole(block) {
            return Err(Error::malformed("index header: checksum does not match"));
        }
        let version = u16_at(block, 8);
        if version != VERSION
            || u16_at(block, 10) as usize != HEADER_BYTES
            || u16_at(block, 12) as usize != RECORD_BYTES
        {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("index header: version {version} is not known"),
            ));
        }
        let header = Self {
            tracks: u16_at(block, 14),
            origin_90k: i64_at(block, 16),
            timescale: std::array::from_fn(|track| u32_at(block, 24 + 4 * track)),
            init_size_bytes: i64_at(block, 40) as u64,
        };
        let tracks = header.tracks as usize;
        if tracks == 0 || tracks > MAX_TRACKS {
            return Err(Error::malformed(format!(
                "index header: {tracks} tracks, 1 to {MAX_TRACKS} expected"
            )));
        }
        if let Some(track) = header.timescale[..tracks].iter().position(|timescale| *timescale == 0) {
            return Err(Error::malformed(format!("index header: track {track} has timescale 0")));
        }
        Ok(header)
    }
}
