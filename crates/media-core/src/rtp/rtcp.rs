//! RTCP: sender and receiver reports, source descriptions and good-byes (RFC 3550 §6).

use crate::{Error, Result};

/// Seconds from the NTP epoch (1900) to the Unix epoch (1970).
const NTP_TO_UNIX_S: i64 = 2_208_988_800;

pub(super) const SENDER_REPORT: u8 = 200;
pub(super) const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
pub(super) const GOODBYE: u8 = 203;

/// One packet of a compound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RtcpPacket {
    /// SR.
    SenderReport(SenderReport),
    /// RR.
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// What it received.
        blocks: Vec<ReportBlock>,
    },
    /// SDES; only the canonical name is kept.
    SourceDescription {
        /// Whom it describes.
        ssrc: u32,
        /// CNAME, possibly empty.
        cname: String,
    },
    /// BYE.
    Goodbye {
        /// The sources that leave.
        ssrcs: Vec<u32>,
    },
    /// APP, feedback, extended reports: not used here.
    Other {
        /// RTCP packet type.
        packet_type: u8,
    },
}

/// A sender's word on which RTP timestamp belongs to which instant of its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderReport {
    /// Who sends.
    pub ssrc: u32,
    /// NTP time, 32.32 fixed point seconds since 1900.
    pub ntp: u64,
    /// RTP timestamp of the same instant.
    pub rtp_timestamp: u32,
    /// Packets sent so far.
    pub packets: u32,
    /// Payload bytes sent so far.
    pub bytes: u32,
    /// What the sender itself received.
    pub blocks: Vec<ReportBlock>,
}

/// Reception of one source (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// The source reported on.
    pub ssrc: u32,
    /// Share lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost in total; 24 bits, signed.
    pub cumulative_lost: i32,
    /// Highest sequence number with its count of wraps in the upper 16 bits.
    pub highest_sequence: u32,
    /// Interarrival jitter in RTP ticks.
    pub jitter: u32,
    /// Middle 32 bits of the last sender report's NTP time.
    pub last_sender_report: u32,
    /// Delay since then in 1/65,536 s.
    pub delay_since_sender_report: u32,
}

/// NTP 32.32 to µs since the Unix epoch.
pub fn ntp_to_unix_us(ntp: u64) -> i64 {
    let seconds = (ntp >> 32) as i64 - NTP_TO_UNIX_S;
    // Seconds below 2^31 belong to the era that starts in 2036 (RFC 4330 §3).
    let seconds = if ntp >> 63 == 0 { seconds + (1 << 32) } else { seconds };
    seconds * 1_000_000 + (((ntp & 0xffff_ffff) * 1_000_000 + (1 << 31)) >> 32) as i64
}

/// µs since the Unix epoch to NTP 32.32.
pub fn unix_us_to_ntp(unix_us: i64) -> u64 {
    let seconds = (unix_us.div_euclid(1_000_000) + NTP_TO_UNIX_S) as u64 & 0xffff_ffff;
    let micros = unix_us.rem_euclid(1_000_000) as u64;
    (seconds << 32) | ((micros << 32) / 1_000_000)
}

/// Reads a compound packet. Trailing bytes that are no RTCP end the list; a packet that contradicts its own length is
/// `Malformed`.
pub fn parse_compound(bytes: &[u8]) -> Result<Vec<RtcpPacket>> {
    CompoundParts::new(bytes)
        .map(|part| {
            let part = part?;
            parse_one(part.packet_type, part.count, part.body).ok_or_else(|| part.cut_short())
        })
        .collect()
}

/// One packet of a compound, before its type is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct CompoundPart<'a> {
    pub(super) packet_type: u8,
    /// The five bits that count blocks or name the format of feedback.
    pub(super) count: usize,
    /// What follows the first word, without padding.
    pub(super) body: &'a [u8],
}

impl CompoundPart<'_> {
    pub(super) fn cut_short(&self) -> Error {
        Error::malformed(format!("RTCP packet type {} is cut short", self.packet_type))
    }
}

/// The packets of a compound, one after the other. Ends after the first error.
pub(super) struct CompoundParts<'a> {
    rest: &'a [u8],
    first: bool,
}

impl<'a> CompoundParts<'a> {
    pub(super) fn new(compound: &'a [u8]) -> Self {
        Self {
            rest: compound,
            first: true,
        }
    }

    fn split(&mut self) -> Result<Option<CompoundPart<'a>>> {
        let [head, packet_type, high, low, rest @ ..] = std::mem::take(&mut self.rest) else {
            return match self.first {
                true => Err(Error::malformed("RTCP datagram shorter than a header")),
                false => Ok(None),
            };
        };
        if head >> 6 != 2 {
            return match self.first {
                true => Err(Error::malformed(format!("RTCP version {}, not 2", head >> 6))),
                false => Ok(None),
            };
        }
        self.first = false;
        let body_bytes = usize::from(u16::from_be_bytes([*high, *low])) * 4;
        let (mut body, next) = rest
            .split_at_checked(body_bytes)
            .ok_or_else(|| Error::malformed(format!("RTCP packet type {packet_type} longer than its datagram")))?;
        if head & 0x20 != 0 {
            let padding_bytes = usize::from(body.last().copied().unwrap_or(0));
            body = body.get(..body.len().saturating_sub(padding_bytes)).unwrap_or(body);
        }
        self.rest = next;
        Ok(Some(CompoundPart {
            packet_type: *packet_type,
            count: usize::from(head & 0x1f),
            body,
        }))
    }
}

impl<'a> Iterator for CompoundParts<'a> {
    type Item = Result<CompoundPart<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let part = self.split().transpose();
        if let Some(Err(_)) = part {
            self.first = false;
        }
        part
    }
}

fn parse_one(packet_type: u8, count: usize, body: &[u8]) -> Option<RtcpPacket> {
    Some(match packet_type {
        SENDER_REPORT => RtcpPacket::SenderReport(SenderReport {
            ssrc: word(body, 0)?,
            ntp: u64::from(word(body, 4)?) << 32 | u64::from(word(body, 8)?),
            rtp_timestamp: word(body, 12)?,
            packets: word(body, 16)?,
            bytes: word(body, 20)?,
            // Some cameras count blocks that they do not send: those that are there are taken.
            blocks: blocks(&body[24..], count),
        }),
        RECEIVER_REPORT => RtcpPacket::ReceiverReport {
            ssrc: word(body, 0)?,
            blocks: blocks(&body[4..], count),
        },
        SOURCE_DESCRIPTION if count == 0 => RtcpPacket::Other { packet_type },
        SOURCE_DESCRIPTION => RtcpPacket::SourceDescription {
            ssrc: word(body, 0)?,
            cname: cname(&body[4..]).unwrap_or_default(),
        },
        GOODBYE => RtcpPacket::Goodbye {
            ssrcs: (0..count).map_while(|n| word(body, n * 4)).collect(),
        },
        _ => RtcpPacket::Other { packet_type },
    })
}

pub(super) fn word(body: &[u8], at: usize) -> Option<u32> {
    body.get(at..at + 4)
        .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

pub(super) fn blocks(body: &[u8], count: usize) -> Vec<ReportBlock> {
    body.chunks_exact(24)
        .take(count)
        .filter_map(|b| {
            let lost = word(b, 4)?;
            Some(ReportBlock {
                ssrc: word(b, 0)?,
                fraction_lost: (lost >> 24) as u8,
                cumulative_lost: (lost << 8) as i32 >> 8,
                highest_sequence: word(b, 8)?,
                jitter: word(b, 12)?,
                last_sender_report: word(b, 16)?,
                delay_since_sender_report: word(b, 20)?,
            })
        })
        .collect()
}

fn cname(mut items: &[u8]) -> Option<String> {
    loop {
        let [kind, length, rest @ ..] = items else { return None };
        if *kind == 0 {
            return None;
        }
        let (text, next) = rest.split_at_checked(usize::from(*length))?;
        if *kind == 1 {
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        items = next;
    }
}

/// Appends a sender report with no blocks.
pub fn write_sender_report(report: &SenderReport, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x80 | report.blocks.len().min(31) as u8, SENDER_REPORT]);
    out.extend_from_slice(&(6 + 6 * report.blocks.len().min(31) as u16).to_be_bytes());
    out.extend_from_slice(&report.ssrc.to_be_bytes());
    out.extend_from_slice(&report.ntp.to_be_bytes());
    for field in [report.rtp_timestamp, report.packets, report.bytes] {
        out.extend_from_slice(&field.to_be_bytes());
    }
    write_blocks(&report.blocks, out);
}

/// Appends a receiver report.
pub fn write_receiver_report(ssrc: u32, blocks: &[ReportBlock], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x80 | blocks.len().min(31) as u8, RECEIVER_REPORT]);
    out.extend_from_slice(&(1 + 6 * blocks.len().min(31) as u16).to_be_bytes());
    out.extend_from_slice(&ssrc.to_be_bytes());
    write_blocks(blocks, out);
}

fn write_blocks(blocks: &[ReportBlock], out: &mut Vec<u8>) {
    for block in blocks.iter().take(31) {
        let lost = u32::from(block.fraction_lost) << 24 | block.cumulative_lost as u32 & 0x00ff_ffff;
        for field in [
            block.ssrc,
            lost,
            block.highest_sequence,
            block.jitter,
            block.last_sender_report,
            block.delay_since_sender_report,
        ] {
            out.extend_from_slice(&field.to_be_bytes());
        }
    }
}

/// Appends a source description with one canonical name (cut at 255 bytes).
pub fn write_source_description(ssrc: u32, cname: &str, out: &mut Vec<u8>) {
    let name = &cname.as_bytes()[..cname.len().min(255)];
    // The item list ends with at least one zero and fills its last word.
    let padded = (2 + name.len()) / 4 * 4 + 4;
    out.extend_from_slice(&[0x81, SOURCE_DESCRIPTION]);
    out.extend_from_slice(&((4 + padded) as u16 / 4).to_be_bytes());
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&[1, name.len() as u8]);
    out.extend_from_slice(name);
    out.resize(out.len() + padded - 2 - name.len(), 0);
}

/// Appends a good-bye of one source.
pub fn write_goodbye(ssrc: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x81, GOODBYE, 0, 1]);
    out.extend_from_slice(&ssrc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_compound_survives_writing_and_parsing() {
        let block = ReportBlock {
            ssrc: 9,
            fraction_lost: 3,
            cumulative_lost: -2,
            highest_sequence: 0x1_0005,
            jitter: 4,
            last_sender_report: 5,
            delay_since_sender_report: 6,
        };
        let report = SenderReport {
            ssrc: 7,
            ntp: unix_us_to_ntp(1_790_000_000_123_456),
            rtp_timestamp: 90_000,
            packets: 10,
            bytes: 1000,
            blocks: vec![block],
        };
        let mut bytes = Vec::new();
        write_sender_report(&report, &mut bytes);
        write_receiver_report(8, &[block], &mut bytes);
        write_source_description(7, "camera@host", &mut bytes);
        write_goodbye(7, &mut bytes);
        let packets = parse_compound(&bytes).unwrap();
        assert_eq!(
            packets,
            [
                RtcpPacket::SenderReport(report),
                RtcpPacket::ReceiverReport {
                    ssrc: 8,
                    blocks: vec![block]
                },
                RtcpPacket::SourceDescription {
                    ssrc: 7,
                    cname: "camera@host".into()
                },
                RtcpPacket::Goodbye { ssrcs: vec![7] },
            ]
        );
    }

    #[test]
    fn ntp_time_is_exact_to_the_microsecond_and_past_2036() {
        for unix_us in [1_790_000_000_123_456, 1, 2_085_978_496_000_001, 2_300_000_000_999_999] {
            assert_eq!(ntp_to_unix_us(unix_us_to_ntp(unix_us)), unix_us);
        }
    }

    #[test]
    fn a_report_that_counts_blocks_it_lacks_still_gives_its_times() {
        let mut bytes = Vec::new();
        let report = SenderReport {
            ssrc: 7,
            ntp: 1 << 63,
            rtp_timestamp: 5,
            packets: 0,
            bytes: 0,
            blocks: vec![],
        };
        write_sender_report(&report, &mut bytes);
        bytes[0] |= 2;
        assert_eq!(parse_compound(&bytes).unwrap(), [RtcpPacket::SenderReport(report)]);
    }

    #[test]
    fn cut_packets_are_refused() {
        let mut bytes = Vec::new();
        write_receiver_report(8, &[ReportBlock::default()], &mut bytes);
        assert!(parse_compound(&bytes[..bytes.len() - 1]).is_err());
        assert!(
            parse_compound(&[0x80, 200, 0, 1, 0, 0, 0, 7]).is_err(),
            "a sender report without its times"
        );
        assert!(parse_compound(&[0x80]).is_err());
        assert!(parse_compound(&[0, 200, 0, 0]).is_err());
    }

    #[test]
    fn every_length_of_name_is_padded_to_whole_words() {
        for length in 0..9 {
            let mut bytes = Vec::new();
            write_source_description(1, &"n".repeat(length), &mut bytes);
            assert_eq!(bytes.len() % 4, 0);
            let cname = "n".repeat(length);
            assert_eq!(
                parse_compound(&bytes).unwrap(),
                [RtcpPacket::SourceDescription { ssrc: 1, cname }]
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_compound(&bytes);
        }

        #[test]
        fn any_report_body_is_parsed_or_refused(kind in 200u8..208, count in 0u8..32, body in proptest::collection::vec(any::<u8>(), 0..25)) {
            let body = [body.as_slice(), &[0; 3]].concat();
            let words = body.len() / 4;
            let bytes = [&[0x80 | count, kind, 0, words as u8], &body[..words * 4]].concat();
            let _ = parse_compound(&bytes);
        }
    }
}
