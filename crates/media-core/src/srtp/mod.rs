//! SRTP and SRTCP (RFC 3711, with AES-GCM as in RFC 7714), as WebRTC uses them: keys from a DTLS handshake
//! (RFC 5764), no key derivation rate, no MKI, RTCP always encrypted.
//!
//! str0m protects what it sends itself, but builds each packet anew for each viewer. These contexts protect packets
//! that were cut once for all viewers, into a buffer of the caller's. Ciphers are set up once per viewer.

mod cipher;
mod key_derivation;
mod receiver;
mod replay;
mod sender;

pub use receiver::SrtpReceiver;
pub use sender::SrtpSender;

/// What a DTLS handshake agrees on for SRTP (the IANA registry of RFC 5764 §4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SrtpProfile {
    /// AES-256 in Galois/Counter Mode, 16-byte tags: what Chromium and Firefox choose first.
    AeadAes256Gcm,
    /// AES-128 in Galois/Counter Mode, 16-byte tags.
    AeadAes128Gcm,
    /// AES-128 in counter mode with HMAC-SHA1 tags of 10 bytes: what every WebRTC client must know.
    AesCm128HmacSha1_80,
}

impl SrtpProfile {
    /// All, preferred first.
    pub const ALL: [Self; 3] = [Self::AeadAes256Gcm, Self::AeadAes128Gcm, Self::AesCm128HmacSha1_80];

    /// Length of the master key.
    pub fn key_bytes(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            Self::AeadAes128Gcm | Self::AesCm128HmacSha1_80 => 16,
        }
    }

    /// Length of the master salt.
    pub fn salt_bytes(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => 12,
            Self::AesCm128HmacSha1_80 => 14,
        }
    }

    /// What protection adds to an RTP packet.
    pub fn rtp_tag_bytes(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => 16,
            Self::AesCm128HmacSha1_80 => 10,
        }
    }

    /// What protection adds to a compound RTCP packet: the tag and the index.
    pub fn rtcp_overhead_bytes(self) -> usize {
        self.rtp_tag_bytes() + INDEX_BYTES
    }
}

/// The word with the SRTCP index (RFC 3711 §3.4).
const INDEX_BYTES: usize = 4;
/// In that word: the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;
/// The RTCP header and the sender's SSRC stay in clear.
const RTCP_CLEAR_BYTES: usize = 8;
/// RTP header without contributing sources and extension.
const RTP_FIXED_BYTES: usize = 12;

fn word_at(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
}

#[cfg(test)]
mod tests;
