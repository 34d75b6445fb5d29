//! AAC (RFC 3640, mode AAC-hbr): one frame per packet behind a 13-bit size and a 3-bit index; fragments when too large.

use super::{Content, Payloads};
use crate::{Error, Result};

pub(super) fn packetize(unit: &[u8], limit: usize, out: &mut Payloads) -> Result<()> {
    if unit.is_empty() || unit.len() >= 1 << 13 {
        let size = unit.len();
        return Err(Error::malformed(format!(
            "AAC frame of {size} bytes does not fit a 13-bit size (RFC 3640)"
        )));
    }
    // AU-headers-length 16 bits; §3.2.3.1: each fragment carries the size of the whole frame.
    let [high, low] = ((unit.len() as u16) << 3).to_be_bytes();
    for chunk in unit.chunks(limit - 4) {
        out.push(&[&[0, 16, high, low], chunk], false, Content::Picture);
    }
    out.mark_last();
    Ok(())
}
