//! Reads arbitrary bytes as an index, with their own checksums and with right ones. What reads must write the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::index::{HEADER_BYTES, Header, MAGIC, RECORD_BYTES, Record};

fuzz_target!(|bytes: &[u8]| {
    let _ = Header::decode(bytes);
    for (number, block) in bytes.chunks(RECORD_BYTES).enumerate() {
        let _ = Record::decode(block, number as u64);
        let Ok(mut block) = <[u8; RECORD_BYTES]>::try_from(block) else { continue };
        close(&mut block);
        if let Ok(record) = Record::decode(&block, number as u64) {
            assert_eq!(Record::decode(&record.encode(), 0), Ok(record));
        }
        block[..MAGIC.len()].copy_from_slice(&MAGIC);
        block[8..14].copy_from_slice(&[1, 0, HEADER_BYTES as u8, 0, RECORD_BYTES as u8, 0]);
        close(&mut block);
        if let Ok(header) = Header::decode(&block) {
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
    }
});

fn close(block: &mut [u8; RECORD_BYTES]) {
    let checksum = crc32c::crc32c(&block[..60]);
    block[60..].copy_from_slice(&checksum.to_le_bytes());
}
