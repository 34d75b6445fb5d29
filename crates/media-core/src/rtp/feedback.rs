//! What a viewer says about what it receives: reports, requests for packets and pictures, bandwidth (RTCP feedback).
//!
//! RFC 3550 §6.4 (reports), RFC 4585 §6 (NACK, PLI), RFC 5104 §4.3.1 (FIR), draft-alvestrand-rmcat-remb-03,
//! draft-holmer-rmcat-transport-wide-cc-extensions-01. Reduced-size compounds (RFC 5506) are taken.

use super::rtcp::{CompoundPart, CompoundParts, GOODBYE, RECEIVER_REPORT, ReportBlock, SENDER_REPORT, blocks, word};
use crate::{Error, Result};

const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// Formats of transport feedback.
const NACK: usize = 1;
const TRANSPORT_WIDE: usize = 15;
/// Formats of payload feedback.
const PICTURE_LOSS: usize = 1;
const FULL_INTRA_REQUEST: usize = 4;
const APPLICATION: usize = 15;

/// Sequence numbers that one datagram may ask for. Chromium gives up on a stream before it lacks 1000 packets.
pub const MAX_NACK_SEQUENCES: usize = 1000;
/// Packets that one transport-wide feedback may cover; a run of 8191 takes two bytes, so the wire sets no bound.
pub const MAX_TRANSPORT_PACKETS: usize = 4096;

/// One statement of a viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feedback {
    /// Packets to send again (RFC 4585 §6.2.1).
    Nack {
        /// The stream that lacks them.
        media_ssrc: u32,
        /// Their sequence numbers, as listed.
        sequences: Vec<u16>,
    },
    /// The decoder lost its reference and needs a key frame (RFC 4585 §6.3.1).
    PictureLoss {
        /// The stream meant.
        media_ssrc: u32,
    },
    /// A key frame is wanted (RFC 5104 §4.3.1); a number seen before is a repetition.
    FullIntraRequest {
        /// The stream meant.
        media_ssrc: u32,
        /// Number of the request.
        number: u8,
    },
    /// What the receiver believes the path carries.
    Remb {
        /// Bits per second, all `ssrcs` together.
        bitrate_bps: u64,
        /// The streams meant.
        ssrcs: Vec<u32>,
    },
    /// Blocks of a receiver or sender report.
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// One per stream received.
        blocks: Vec<ReportBlock>,
    },
    /// When packets arrived, for an estimate on this side.
    TransportFeedback(TransportFeedback),
    /// A source leaves.
    Bye {
        /// The source.
        ssrc: u32,
    },
}

/// Arrivals by transport-wide sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportFeedback {
    /// The stream named; the numbers span all streams.
    pub media_ssrc: u32,
    /// Counts feedbacks, so that a lost one is noticed.
    pub number: u8,
    /// Transport-wide sequence number of the first packet.
    pub base_sequence: u16,
    /// One per packet from `base_sequence` on: its arrival in µs on the receiver's clock (which wraps at 2²⁴ · 64 ms),
    /// or None where it did not arrive.
    pub arrivals_us: Vec<Option<i64>>,
}

/// Reads the feedback in a compound RTCP packet, in order. Packets of no interest are passed over.
///
/// `Malformed`: a packet contradicts its length, or asks for more than the bounds above.
pub fn parse_feedback(compound: &[u8]) -> Result<Vec<Feedback>> {
    let mut found = Vec::new();
    let mut nack_sequences = 0;
    for part in CompoundParts::new(compound) {
        let part = part?;
        read_part(&part, &mut nack_sequences, &mut found)?.ok_or_else(|| part.cut_short())?;
    }
    Ok(found)
}

/// None when the part is cut short.
fn read_part(part: &CompoundPart<'_>, nack_sequences: &mut usize, found: &mut Vec<Feedback>) -> Result<Option<()>> {
    let body = part.body;
    let read =
        match (part.packet_type, part.count) {
            (SENDER_REPORT, count) => report(body, 24, count),
            (RECEIVER_REPORT, count) => report(body, 4, count),
            (GOODBYE, count) => {
                found.extend((0..count).map_while(|at| {
                    Some(Feedback::Bye {
                        ssrc: word(body, at * 4)?,
                    })
                }));
                return Ok(Some(()));
            }
            (TRANSPORT_FEEDBACK, NACK) => nack(body, nack_sequences)?,
            (TRANSPORT_FEEDBACK, TRANSPORT_WIDE) => transport_wide(body)?.map(Feedback::TransportFeedback),
            (PAYLOAD_FEEDBACK, PICTURE_LOSS) => word(body, 4).map(|media_ssrc| Feedback::PictureLoss { media_ssrc }),
            (PAYLOAD_FEEDBACK, FULL_INTRA_REQUEST) => {
                found.extend(body.get(8..).unwrap_or_default().chunks_exact(8).map(|entry| {
                    Feedback::FullIntraRequest {
                        media_ssrc: u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]]),
                        number: entry[4],
                    }
                }));
                return Ok(Some(()));
            }
            (PAYLOAD_FEEDBACK, APPLICATION) if body.get(8..12) == Some(b"REMB") => remb(body),
            _ => return Ok(Some(())),
        };
    Ok(read.map(|feedback| found.push(feedback)))
}

fn report(body: &[u8], blocks_at: usize, count: usize) -> Option<Feedback> {
    Some(Feedback::ReceiverReport {
        ssrc: word(body, 0)?,
        blocks: blocks(body.get(blocks_at..)?, count),
    })
}

fn nack(body: &[u8], taken: &mut usize) -> Result<Option<Feedback>> {
    let (Some(media_ssrc), Some(entries)) = (word(body, 4), body.get(8..)) else {
        return Ok(None);
    };
    let mut sequences = Vec::new();
    for entry in entries.chunks_exact(4) {
        let first = u16::from_be_bytes([entry[0], entry[1]]);
        let following = u16::from_be_bytes([entry[2], entry[3]]);
        sequences.push(first);
        sequences.extend(
            (0..16)
                .filter(|bit| following >> bit & 1 == 1)
                .map(|bit| first.wrapping_add(bit + 1)),
        );
        if *taken + sequences.len() > MAX_NACK_SEQUENCES {
            return Err(Error::malformed(format!(
                "RTCP NACK for more than {MAX_NACK_SEQUENCES} packets of stream {media_ssrc:08x}"
            )));
        }
    }
    *taken += sequences.len();
    Ok(Some(Feedback::Nack { media_ssrc, sequences }))
}

fn remb(body: &[u8]) -> Option<Feedback> {
    let rate = word(body, 12)?;
    let count = (rate >> 24) as usize;
    let exponent = rate >> 18 & 0x3f;
    let mantissa = u64::from(rate & 0x3_ffff);
    Some(Feedback::Remb {
        // The largest exponents go beyond 64 bits: as much as there is.
        bitrate_bps: u64::try_from(u128::from(mantissa) << exponent).unwrap_or(u64::MAX),
        ssrcs: (0..count).map_while(|at| word(body, 16 + at * 4)).collect(),
    })
}

fn transport_wide(body: &[u8]) -> Result<Option<TransportFeedback>> {
    let Some((head, rest)) = body.split_first_chunk::<16>() else {
        return Ok(None);
    };
    let count = usize::from(u16::from_be_bytes([head[10], head[11]]));
    if count > MAX_TRANSPORT_PACKETS {
        return Err(Error::malformed(format!(
            "RTCP transport feedback on {count} packets, more than {MAX_TRANSPORT_PACKETS}"
        )));
    }
    let Some((symbols, deltas)) = symbols(rest, count) else {
        return Ok(None);
    };
    // 24 bits, signed, in 64 ms.
    let reference = i32::from_be_bytes([head[12], head[13], head[14], 0]) >> 8;
    let mut arrival_us = i64::from(reference) * 64_000;
    let mut deltas = deltas.iter().copied();
    let mut arrivals_us = Vec::with_capacity(count);
    for symbol in symbols {
        let delta = match symbol {
            Symbol::Lost => {
                arrivals_us.push(None);
                continue;
            }
            Symbol::SmallDelta => deltas.next().map(i64::from),
            Symbol::LargeDelta => deltas
                .next()
                .zip(deltas.next())
                .map(|(high, low)| i64::from(i16::from_be_bytes([high, low]))),
        };
        let Some(delta) = delta else {
            return Ok(None);
        };
        arrival_us += delta * 250;
        arrivals_us.push(Some(arrival_us));
    }
    Ok(Some(TransportFeedback {
        media_ssrc: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
        number: head[15],
        base_sequence: u16::from_be_bytes([head[8], head[9]]),
        arrivals_us,
    }))
}

#[derive(Debug, Clone, Copy)]
enum Symbol {
    Lost,
    /// One unsigned byte in 250 µs.
    SmallDelta,
    /// Two bytes, signed, in 250 µs.
    LargeDelta,
}

impl Symbol {
    /// The value kept for later use has no delta, as a packet that was lost.
    fn of(bits: u16) -> Self {
        match bits & 3 {
            1 => Self::SmallDelta,
            2 => Self::LargeDelta,
            _ => Self::Lost,
        }
    }
}

/// Reads the chunks that say how each of `count` packets fared; what follows them are the deltas.
fn symbols(mut chunks: &[u8], count: usize) -> Option<(Vec<Symbol>, &[u8])> {
    let mut symbols = Vec::with_capacity(count);
    while symbols.len() < count {
        let (chunk, rest) = chunks.split_first_chunk::<2>()?;
        chunks = rest;
        let chunk = u16::from_be_bytes(*chunk);
        let left = count - symbols.len();
        match chunk >> 14 {
            // A run: two bits of symbol, 13 of length.
            0 | 1 => {
                let run = usize::from(chunk & 0x1fff);
                if run == 0 {
                    return None;
                }
                symbols.extend(std::iter::repeat_n(Symbol::of(chunk >> 13), run.min(left)));
            }
            2 => symbols.extend((0..14).rev().take(left).map(|at| Symbol::of(chunk >> at & 1))),
            _ => symbols.extend((0..7).rev().take(left).map(|at| Symbol::of(chunk >> (2 * at)))),
        }
    }
    Some((symbols, chunks))
}

/// Appends a request for packets; `sequences` in rising order pack best.
pub fn write_nack(sender_ssrc: u32, media_ssrc: u32, sequences: &[u16], out: &mut Vec<u8>) {
    let start = out.len();
    write_head(TRANSPORT_FEEDBACK, NACK, sender_ssrc, media_ssrc, out);
    let mut rest = sequences;
    while let [first, following @ ..] = rest {
        let mut mask = 0u16;
        let mut taken = 0;
        for sequence in following {
            let ahead = sequence.wrapping_sub(*first);
            if !(1..=16).contains(&ahead) {
                break;
            }
            mask |= 1 << (ahead - 1);
            taken += 1;
        }
        out.extend_from_slice(&first.to_be_bytes());
        out.extend_from_slice(&mask.to_be_bytes());
        rest = &following[taken..];
    }
    close(start, out);
}

/// Appends a request for a key frame.
pub fn write_picture_loss(sender_ssrc: u32, media_ssrc: u32, out: &mut Vec<u8>) {
    let start = out.len();
    write_head(PAYLOAD_FEEDBACK, PICTURE_LOSS, sender_ssrc, media_ssrc, out);
    close(start, out);
}

fn write_head(packet_type: u8, format: usize, sender_ssrc: u32, media_ssrc: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x80 | format as u8, packet_type, 0, 0]);
    out.extend_from_slice(&sender_ssrc.to_be_bytes());
    out.extend_from_slice(&media_ssrc.to_be_bytes());
}

/// Writes the length, in words less one, of the packet that began at `start`.
fn close(start: usize, out: &mut [u8]) {
    let words = ((out.len() - start) / 4 - 1) as u16;
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

#[cfg(test)]
#[path = "feedback_tests.rs"]
mod tests;
