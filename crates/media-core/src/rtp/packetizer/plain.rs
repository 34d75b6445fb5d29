//! Formats without a payload header: G.711 (RFC 3551 §4.5.14), Opus (RFC 7587), ONVIF metadata (Streaming §5.1.2.1.1).

use super::{Content, Payloads};
use crate::{Error, Result};

pub(super) fn packetize_pcm(unit: &[u8], channels: u16, limit: usize, out: &mut Payloads) -> Result<()> {
    let frame_bytes = channels as usize;
    if unit.is_empty() || !unit.len().is_multiple_of(frame_bytes) {
        let size = unit.len();
        return Err(Error::malformed(format!(
            "G.711 unit of {size} bytes is no whole number of samples"
        )));
    }
    let chunk_bytes = (limit - limit % frame_bytes).max(frame_bytes);
    let mut samples_before = 0;
    for chunk in unit.chunks(chunk_bytes) {
        out.begin();
        out.extend(chunk);
        out.end(false, samples_before, Content::Picture);
        samples_before += (chunk.len() / frame_bytes) as u32;
    }
    Ok(())
}

pub(super) fn packetize_opus(unit: &[u8], limit: usize, out: &mut Payloads) -> Result<()> {
    if unit.is_empty() || unit.len() > limit {
        let size = unit.len();
        return Err(Error::malformed(format!(
            "Opus packet of {size} bytes is not within 1 to {limit}"
        )));
    }
    out.push(&[unit], false, Content::Picture);
    Ok(())
}

pub(super) fn packetize_document(unit: &[u8], limit: usize, out: &mut Payloads) -> Result<()> {
    if unit.is_empty() {
        return Err(Error::malformed("empty metadata document"));
    }
    for chunk in unit.chunks(limit) {
        out.push(&[chunk], false, Content::Picture);
    }
    out.mark_last();
    Ok(())
}
