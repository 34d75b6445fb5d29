//! H.264 (RFC 6184): single NAL units, STAP-A (§5.7.1) and FU-A (§5.8), packetization-mode 1.

use super::{Content, Payloads, aggregated, nal_units};
use crate::Result;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;

fn content_of(nal: &[u8]) -> Content {
    match nal.first().map_or(0, |b| b & 0x1f) {
        1..=5 | 20 => Content::Picture,
        7 | 8 | 13 | 15 => Content::ParameterSets,
        _ => Content::Rest,
    }
}

pub(super) fn packetize(unit: &[u8], limit: usize, aggregate: bool, out: &mut Payloads) -> Result<()> {
    let nals = nal_units(unit)?;
    let mut rest = nals.as_slice();
    while let Some((nal, after)) = rest.split_first() {
        let content = content_of(nal);
        let together = if aggregate {
            aggregated(rest, content_of, 1, limit)
        } else {
            1
        };
        if together > 1 {
            let (group, next) = rest.split_at(together);
            push_stap_a(group, content, out);
            rest = next;
            continue;
        }
        if nal.len() <= limit {
            out.push(&[nal], false, content);
        } else {
            push_fu_a(nal, limit, content, out);
        }
        rest = after;
    }
    out.mark_last();
    Ok(())
}

fn push_stap_a(group: &[&[u8]], content: Content, out: &mut Payloads) {
    // §5.7: F is the bitwise OR of the F bits and NRI the maximum of the aggregated units.
    let forbidden = group.iter().fold(0, |bits, nal| bits | (nal[0] & 0x80));
    let reference = group.iter().map(|nal| nal[0] & 0x60).max().unwrap_or(0);
    out.begin();
    out.extend(&[forbidden | reference | STAP_A]);
    for nal in group {
        out.extend(&(nal.len() as u16).to_be_bytes());
        out.extend(nal);
    }
    out.end(false, 0, content);
}

fn push_fu_a(nal: &[u8], limit: usize, content: Content, out: &mut Payloads) {
    let header = nal[0];
    let body = &nal[1..];
    let chunk_bytes = limit - 2;
    let last = body.len().div_ceil(chunk_bytes) - 1;
    for (index, chunk) in body.chunks(chunk_bytes).enumerate() {
        let start = if index == 0 { 0x80 } else { 0 };
        let end = if index == last { 0x40 } else { 0 };
        let fu = [(header & 0xe0) | FU_A, start | end | (header & 0x1f)];
        out.push(&[&fu, chunk], false, content);
    }
}
