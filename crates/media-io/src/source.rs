//! Byte sources of fixed length that the front serves with HTTP ranges: a virtual MP4, a segment, an export, a file.

use bytes::Bytes;
use media_core::Result;

/// A resource whose length is known before its bytes are.
pub trait ByteSource: Send + Sync {
    /// Total length in bytes.
    fn size_bytes(&self) -> u64;
    /// Strong entity tag without quotes; the same tag means the same bytes.
    fn etag(&self) -> &str;
    /// MIME type.
    fn content_type(&self) -> &str;
    /// Up to `max_bytes` from `offset` (fewer only at an inner boundary; empty only at the end).
    /// May block on the disk: call it off the network threads.
    fn read_at(&self, offset: u64, max_bytes: usize) -> Result<Bytes>;
}
