//! The recording index `.vms-idx`: a 64-byte header, then 64-byte records (docs/format/index.md).
//! All integers little-endian; each block ends with the CRC32C of its first 60 bytes.
