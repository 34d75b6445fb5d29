//! Protects what goes to one viewer.

use super::cipher::PacketCipher;
use super::key_derivation::{Protocol, session_cipher};
use super::{ENCRYPTED, INDEX_BYTES, RTCP_CLEAR_BYTES, RTP_FIXED_BYTES, SrtpProfile, word_at};
use crate::{Error, ErrorKind, Result};
use aws_lc_rs::error::Unspecified;

/// The sending half of an SRTP session: all streams of one direction.
pub struct SrtpSender {
    rtp: PacketCipher,
    rtcp: PacketCipher,
    /// Counts RTCP packets of all streams: unique for each, which is what their nonces need.
    next_rtcp_index: u32,
}

impl SrtpSender {
    /// Derives the session keys. `Invalid` when the master key or salt has not the profile's length.
    pub fn new(profile: SrtpProfile, master_key: &[u8], master_salt: &[u8]) -> Result<Self> {
        Ok(Self {
            rtp: session_cipher(profile, master_key, master_salt, Protocol::Rtp)?,
            rtcp: session_cipher(profile, master_key, master_salt, Protocol::Rtcp)?,
            next_rtcp_index: 0,
        })
    }

    #[cfg(test)]
    pub(super) fn with_ciphers(rtp: PacketCipher, rtcp: PacketCipher, next_rtcp_index: u32) -> Self {
        Self {
            rtp,
            rtcp,
            next_rtcp_index,
        }
    }

    /// Appends the protected packet to `out`; nothing is allocated when `out` has room for both parts and
    /// `rtp_tag_bytes`.
    ///
    /// `header` is the RTP header with contributing sources and extension, `sequence` the extended sequence number
    /// (roll-over counter above 16 bits), whose low half the header must show. A sequence number must never stand for
    /// two different packets of a stream. `Invalid`: the header is cut short or contradicts `sequence`; `out` is then
    /// as it was.
    pub fn protect_rtp(&mut self, header: &[u8], payload: &[u8], sequence: u64, out: &mut Vec<u8>) -> Result<()> {
        let ssrc = match word_at(header, RTP_FIXED_BYTES - 4) {
            Some(ssrc) if header[2..4] == (sequence as u16).to_be_bytes() && sequence >> 48 == 0 => ssrc,
            Some(_) => {
                let shown = u16::from_be_bytes([header[2], header[3]]);
                let message = format!("RTP header with sequence number {shown} for extended {sequence}");
                return Err(Error::new(ErrorKind::Invalid, message));
            }
            None => {
                let message = format!("RTP header of {} bytes", header.len());
                return Err(Error::new(ErrorKind::Invalid, message));
            }
        };
        let start = out.len();
        out.extend_from_slice(header);
        out.extend_from_slice(payload);
        let (header, body) = out[start..].split_at_mut(header.len());
        let sealed = match &self.rtp {
            PacketCipher::Galois(cipher) => cipher
                .seal(ssrc, sequence, header, body)
                .map(|tag| out.extend_from_slice(&tag)),
            PacketCipher::Counter(cipher) => cipher.apply(ssrc, sequence, body).map(|()| {
                let tag = cipher.tag(&out[start..], (sequence >> 16) as u32);
                out.extend_from_slice(&tag);
            }),
        };
        settle(sealed, start, out)
    }

    /// Appends a protected compound RTCP packet to `out`. `Invalid`: shorter than a header. `Exhausted`: the session
    /// has sent 2³¹ packets.
    pub fn protect_rtcp(&mut self, compound: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let Some(ssrc) = word_at(compound, RTCP_CLEAR_BYTES - 4) else {
            let message = format!("RTCP packet of {} bytes", compound.len());
            return Err(Error::new(ErrorKind::Invalid, message));
        };
        let index = self.next_rtcp_index;
        if index & ENCRYPTED != 0 {
            let message = "the SRTCP packets of this session are used up";
            return Err(Error::new(ErrorKind::Exhausted, message));
        }
        self.next_rtcp_index += 1;
        let word = index | ENCRYPTED;
        let start = out.len();
        out.extend_from_slice(compound);
        let (header, body) = out[start..].split_at_mut(RTCP_CLEAR_BYTES);
        let sealed = match &self.rtcp {
            PacketCipher::Galois(cipher) => {
                let mut authenticated = [0; RTCP_CLEAR_BYTES + INDEX_BYTES];
                authenticated[..RTCP_CLEAR_BYTES].copy_from_slice(header);
                authenticated[RTCP_CLEAR_BYTES..].copy_from_slice(&word.to_be_bytes());
                cipher.seal(ssrc, u64::from(index), &authenticated, body).map(|tag| {
                    out.extend_from_slice(&tag);
                    out.extend_from_slice(&word.to_be_bytes());
                })
            }
            PacketCipher::Counter(cipher) => cipher.apply(ssrc, u64::from(index), body).map(|()| {
                let tag = cipher.tag(&out[start..], word);
                out.extend_from_slice(&word.to_be_bytes());
                out.extend_from_slice(&tag);
            }),
        };
        settle(sealed, start, out)
    }
}

fn settle(sealed: std::result::Result<(), Unspecified>, start: usize, out: &mut Vec<u8>) -> Result<()> {
    sealed.map_err(|_| {
        let message = format!("a packet of {} bytes cannot be encrypted", out.len() - start);
        out.truncate(start);
        Error::new(ErrorKind::Internal, message)
    })
}
