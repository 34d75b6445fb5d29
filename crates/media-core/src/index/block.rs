//! Blocks of 64 bytes, little-endian, with a checksum at the end.

pub(super) fn close_block(block: &mut [u8; 64]) {
    let checksum = crc32c::crc32c(&block[..60]);
    block[60..64].copy_from_slice(&checksum.to_le_bytes());
}

pub(super) fn block_is_whole(block: &[u8; 64]) -> bool {
    u32_at(block, 60) == crc32c::crc32c(&block[..60])
}

pub(super) fn u16_at(block: &[u8; 64], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

pub(super) fn u32_at(block: &[u8; 64], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| block[at + i]))
}

pub(super) fn i64_at(block: &[u8; 64], at: usize) -> i64 {
    i64::from_le_bytes(std::array::from_fn(|i| block[at + i]))
}
