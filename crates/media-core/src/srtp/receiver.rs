//! Checks and decrypts what comes from the other side.

use super::cipher::PacketCipher;
use super::key_derivation::{Protocol, session_cipher};
use super::replay::ReplayWindow;
use super::{ENCRYPTED, INDEX_BYTES, RTCP_CLEAR_BYTES, RTP_FIXED_BYTES, SrtpProfile, word_at};
use crate::{Error, ErrorKind, Result};

/// Streams of one session: video, audio, their retransmissions, with room for a client that renews its SSRCs.
const MAX_STREAMS: usize = 32;

/// The receiving half of an SRTP session. State is kept for streams with authentic packets only.
pub struct SrtpReceiver {
    profile: SrtpProfile,
    rtp: PacketCipher,
    rtcp: PacketCipher,
    rtp_streams: Streams,
    rtcp_streams: Streams,
}

/// A few streams by SSRC: searched faster than hashed.
#[derive(Default)]
struct Streams(Vec<(u32, ReplayWindow)>);

impl Streams {
    fn window(&self, ssrc: u32) -> Option<&ReplayWindow> {
        self.0
            .iter()
            .find(|(known, _)| *known == ssrc)
            .map(|(_, window)| window)
    }

    fn note(&mut self, ssrc: u32, index: u64) -> Result<()> {
        if let Some((_, window)) = self.0.iter_mut().find(|(known, _)| *known == ssrc) {
            window.note(index);
            return Ok(());
        }
        if self.0.len() == MAX_STREAMS {
            let message = format!("SRTP stream {ssrc:08x} beyond {MAX_STREAMS} of one session");
            return Err(Error::new(ErrorKind::Exhausted, message));
        }
        let mut window = ReplayWindow::default();
        window.note(index);
        self.0.push((ssrc, window));
        Ok(())
    }
}

impl SrtpReceiver {
    /// Derives the session keys. `Invalid` when the master key or salt has not the profile's length.
    pub fn new(profile: SrtpProfile, master_key: &[u8], master_salt: &[u8]) -> Result<Self> {
        Ok(Self {
            profile,
            rtp: session_cipher(profile, master_key, master_salt, Protocol::Rtp)?,
            rtcp: session_cipher(profile, master_key, master_salt, Protocol::Rtcp)?,
            rtp_streams: Streams::default(),
            rtcp_streams: Streams::default(),
        })
    }

    /// Appends the RTP packet in `datagram` to `out`, and returns its extended sequence number.
    ///
    /// `Malformed`: too short, a replay, or not authentic. `Exhausted`: too many streams. `out` is then as it was.
    pub fn unprotect_rtp(&mut self, datagram: &[u8], out: &mut Vec<u8>) -> Result<u64> {
        let header_bytes = rtp_header_bytes(datagram).ok_or_else(|| short("SRTP", datagram))?;
        let ssrc = word_at(datagram, RTP_FIXED_BYTES - 4).ok_or_else(|| short("SRTP", datagram))?;
        let sequence = u16::from_be_bytes([datagram[2], datagram[3]]);
        let window = self.rtp_streams.window(ssrc);
        let index = window.map_or(u64::from(sequence), |window| window.closest_index(sequence));
        if index >> 48 != 0 || window.is_some_and(|window| window.is_replay(index)) {
            return Err(replayed("SRTP", ssrc, index));
        }
        let body_bytes = (datagram.len() - header_bytes)
            .checked_sub(self.profile.rtp_tag_bytes())
            .ok_or_else(|| short("SRTP", datagram))?;
        let (header, rest) = datagram.split_at(header_bytes);
        let (body, tag) = rest.split_at(body_bytes);
        let start = out.len();
        let opened = match &self.rtp {
            PacketCipher::Galois(cipher) => {
                out.extend_from_slice(header);
                out.resize(start + header_bytes + body_bytes, 0);
                cipher.open(ssrc, index, header, body, tag, &mut out[start + header_bytes..])
            }
            PacketCipher::Counter(cipher) => {
                let packet = &datagram[..header_bytes + body_bytes];
                cipher.verify(packet, (index >> 16) as u32, tag).and_then(|()| {
                    out.extend_from_slice(packet);
                    cipher.apply(ssrc, index, &mut out[start + header_bytes..])
                })
            }
        };
        let noted = opened
            .map_err(|_| forged("SRTP", ssrc, index))
            .and_then(|()| self.rtp_streams.note(ssrc, index));
        if noted.is_err() {
            out.truncate(start);
        }
        noted.map(|()| index)
    }

    /// Appends the compound RTCP packet in `datagram` to `out`.
    ///
    /// `Malformed`: too short, in clear, a replay, or not authentic. `Exhausted`: too many streams. `out` is then as
    /// it was.
    pub fn unprotect_rtcp(&mut self, datagram: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let packet_bytes = datagram
            .len()
            .checked_sub(self.profile.rtcp_overhead_bytes())
            .filter(|length| *length >= RTCP_CLEAR_BYTES)
            .ok_or_else(|| short("SRTCP", datagram))?;
        let index_at = match &self.rtcp {
            PacketCipher::Galois(_) => datagram.len() - INDEX_BYTES,
            PacketCipher::Counter(_) => packet_bytes,
        };
        let ssrc = word_at(datagram, RTCP_CLEAR_BYTES - 4).ok_or_else(|| short("SRTCP", datagram))?;
        let word = word_at(datagram, index_at).ok_or_else(|| short("SRTCP", datagram))?;
        let index = u64::from(word & !ENCRYPTED);
        if word & ENCRYPTED == 0 {
            return Err(Error::malformed(format!(
                "SRTCP packet {index} of stream {ssrc:08x} is in clear"
            )));
        }
        if self
            .rtcp_streams
            .window(ssrc)
            .is_some_and(|window| window.is_replay(index))
        {
            return Err(replayed("SRTCP", ssrc, index));
        }
        let (header, body) = datagram[..packet_bytes].split_at(RTCP_CLEAR_BYTES);
        let start = out.len();
        let opened = match &self.rtcp {
            PacketCipher::Galois(cipher) => {
                let mut authenticated = [0; RTCP_CLEAR_BYTES + INDEX_BYTES];
                authenticated[..RTCP_CLEAR_BYTES].copy_from_slice(header);
                authenticated[RTCP_CLEAR_BYTES..].copy_from_slice(&word.to_be_bytes());
                out.extend_from_slice(header);
                out.resize(start + packet_bytes, 0);
                let tag = &datagram[packet_bytes..index_at];
                let clear = &mut out[start + RTCP_CLEAR_BYTES..];
                cipher.open(ssrc, index, &authenticated, body, tag, clear)
            }
            PacketCipher::Counter(cipher) => {
                let tag = &datagram[packet_bytes + INDEX_BYTES..];
                cipher.verify(&datagram[..packet_bytes], word, tag).and_then(|()| {
                    out.extend_from_slice(&datagram[..packet_bytes]);
                    cipher.apply(ssrc, index, &mut out[start + RTCP_CLEAR_BYTES..])
                })
            }
        };
        let noted = opened
            .map_err(|_| forged("SRTCP", ssrc, index))
            .and_then(|()| self.rtcp_streams.note(ssrc, index));
        if noted.is_err() {
            out.truncate(start);
        }
        noted
    }
}

/// Header, contributing sources and extension; None when the packet ends before they do or is no RTP.
fn rtp_header_bytes(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    if first >> 6 != 2 {
        return None;
    }
    let mut header_bytes = RTP_FIXED_BYTES + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let words = packet.get(header_bytes + 2..header_bytes + 4)?;
        header_bytes += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    (packet.len() >= header_bytes).then_some(header_bytes)
}

fn short(protocol: &str, datagram: &[u8]) -> Error {
    Error::malformed(format!("{protocol} packet of {} bytes is none", datagram.len()))
}

fn replayed(protocol: &str, ssrc: u32, index: u64) -> Error {
    Error::malformed(format!(
        "{protocol} packet {index} of stream {ssrc:08x} was received before"
    ))
}

fn forged(protocol: &str, ssrc: u32, index: u64) -> Error {
    Error::malformed(format!(
        "{protocol} packet {index} of stream {ssrc:08x} is not authentic"
    ))
}
