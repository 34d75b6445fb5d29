//! H.265 (RFC 7798): single NAL units, aggregation packets (§4.4.2) and fragmentation units (§4.4.3), no DONL.

use super::{Content, Payloads, aggregated, nal_units};
use crate::{Error, Result};

const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;

fn nal_type(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |b| (b >> 1) & 0x3f)
}

fn content_of(nal: &[u8]) -> Content {
    match nal_type(nal) {
        0..=31 => Content::Picture,
        32..=34 => Content::ParameterSets,
        _ => Content::Rest,
    }
}

pub(super) fn packetize(unit: &[u8], limit: usize, aggregate: bool, out: &mut Payloads) -> Result<()> {
    let nals = nal_units(unit)?;
    if let Some(short) = nals.iter().find(|nal| nal.len() < 2) {
        return Err(Error::malformed(format!(
            "H.265 NAL unit of {} byte has no whole header",
            short.len()
        )));
    }
    let mut rest = nals.as_slice();
    while let Some((nal, after)) = rest.split_first() {
        let content = content_of(nal);
        let together = if aggregate {
            aggregated(rest, content_of, 2, limit)
        } else {
            1
        };
        if together > 1 {
            let (group, next) = rest.split_at(together);
            push_aggregation(group, content, out);
            rest = next;
            continue;
        }
        if nal.len() <= limit {
            out.push(&[nal], false, content);
        } else {
            push_fragments(nal, limit, content, out);
        }
        rest = after;
    }
    out.mark_last();
    Ok(())
}

fn push_aggregation(group: &[&[u8]], content: Content, out: &mut Payloads) {
    // §4.4.2: F is the OR, LayerId and TID are the lowest of the aggregated units.
    let forbidden = group.iter().fold(0, |bits, nal| bits | (nal[0] & 0x80));
    let layer_of = |nal: &&[u8]| ((nal[0] & 1) << 5) | (nal[1] >> 3);
    let layer = group.iter().map(layer_of).min().unwrap_or(0);
    let temporal = group.iter().map(|nal| nal[1] & 7).min().unwrap_or(1);
    out.begin();
    out.extend(&[forbidden | (AGGREGATION << 1) | (layer >> 5), (layer << 3) | temporal]);
    for nal in group {
        out.extend(&(nal.len() as u16).to_be_bytes());
        out.extend(nal);
    }
    out.end(false, 0, content);
}

fn push_fragments(nal: &[u8], limit: usize, content: Content, out: &mut Payloads) {
    let (header, body) = nal.split_at(2);
    let chunk_bytes = limit - 3;
    let last = body.len().div_ceil(chunk_bytes) - 1;
    for (index, chunk) in body.chunks(chunk_bytes).enumerate() {
        let start = if index == 0 { 0x80 } else { 0 };
        let end = if index == last { 0x40 } else { 0 };
        let fu = [
            (header[0] & 0x81) | (FRAGMENTATION << 1),
            header[1],
            start | end | nal_type(nal),
        ];
        out.push(&[&fu, chunk], false, content);
    }
}
