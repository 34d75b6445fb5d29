//! Motion JPEG (RFC 2435): baseline 4:2:2 or 4:2:0 with the standard Huffman tables, quantization tables in band.

use super::{Content, Payloads};
use crate::{Error, ErrorKind, Result};

/// What the main header tells and the scan that follows it.
struct Image<'a> {
    kind: u8,
    width: u16,
    height: u16,
    restart_interval: u16,
    tables: [&'a [u8]; 2],
    scan: &'a [u8],
}

/// What a frame header tells.
struct Frame {
    kind: u8,
    width: u16,
    height: u16,
    /// Numbers of the quantization tables of luma and chroma.
    tables_used: [u8; 2],
}

pub(super) fn packetize(unit: &[u8], limit: usize, out: &mut Payloads) -> Result<()> {
    let image = parse(unit)?;
    let mut offset = 0;
    while offset < image.scan.len() {
        out.begin();
        let header_at = out.bytes.len();
        let [_, high, middle, low] = (offset as u32).to_be_bytes();
        let kind = image.kind | if image.restart_interval > 0 { 64 } else { 0 };
        let size = [image.width.div_ceil(8) as u8, image.height.div_ceil(8) as u8];
        out.extend(&[0, high, middle, low, kind, 255, size[0], size[1]]);
        if image.restart_interval > 0 {
            // §3.1.7: whole frame reassembled before decoding, so F = L = 1 and the count is all ones.
            let [interval_high, interval_low] = image.restart_interval.to_be_bytes();
            out.extend(&[interval_high, interval_low, 0xff, 0xff]);
        }
        if offset == 0 {
            out.extend(&[0, 0, 0, 128]);
            out.extend(image.tables[0]);
            out.extend(image.tables[1]);
        }
        let room = limit - (out.bytes.len() - header_at);
        let end = image.scan.len().min(offset + room);
        out.extend(&image.scan[offset..end]);
        out.end(end == image.scan.len(), 0, Content::Picture);
        offset = end;
    }
    Ok(())
}

fn unsupported(what: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("JPEG with {what} cannot be sent by RFC 2435"),
    )
}

fn parse(unit: &[u8]) -> Result<Image<'_>> {
    let cut = || Error::malformed("JPEG image is cut short");
    let mut rest = unit
        .strip_prefix(&[0xff, 0xd8])
        .ok_or_else(|| Error::malformed("JPEG image without SOI"))?;
    let mut tables: [Option<&[u8]>; 4] = [None; 4];
    let mut frame = None;
    let mut restart_interval = 0;
    loop {
        let ([prefix, marker], after) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
        if *prefix != 0xff {
            let at = unit.len() - rest.len();
            return Err(Error::malformed(format!(
                "JPEG marker expected at byte {at}, found {prefix:#04x}"
            )));
        }
        if *marker == 0xff {
            rest = &rest[1..]; // fill byte
            continue;
        }
        let (length, _) = after.split_first_chunk::<2>().ok_or_else(cut)?;
        let length = u16::from_be_bytes(*length) as usize;
        let segment = after.get(2..length).ok_or_else(cut)?;
        rest = &after[length..];
        match marker {
            0xdb => read_tables(segment, &mut tables)?,
            0xc4 => check_huffman(segment)?,
            0xc0 | 0xc1 => frame = Some(read_frame(segment)?),
            0xc2..=0xcf if *marker != 0xc8 && *marker != 0xcc => return Err(unsupported("progressive coding")),
            0xdd => {
                let bytes = segment.first_chunk::<2>().ok_or_else(cut)?;
                restart_interval = u16::from_be_bytes(*bytes);
            }
            0xda => break,
            _ => {}
        }
    }
    let Frame {
        kind,
        width,
        height,
        tables_used,
    } = frame.ok_or_else(|| Error::malformed("JPEG scan before its frame header"))?;
    // §4.2: types 0 and 1 use table 0 for luma and table 1 for chroma, whatever numbers the image gave them.
    let [Some(luma), Some(chroma)] = tables_used.map(|number| tables.get(usize::from(number)).copied().flatten())
    else {
        return Err(Error::malformed("JPEG quantization table is missing"));
    };
    let scan = rest.strip_suffix(&[0xff, 0xd9]).unwrap_or(rest);
    if scan.is_empty() || scan.len() >= 1 << 24 {
        return Err(Error::malformed(format!("JPEG scan of {} bytes", scan.len())));
    }
    Ok(Image {
        kind,
        width,
        height,
        restart_interval,
        tables: [luma, chroma],
        scan,
    })
}

fn read_tables<'a>(mut segment: &'a [u8], tables: &mut [Option<&'a [u8]>; 4]) -> Result<()> {
    while let Some((head, after)) = segment.split_first() {
        if head >> 4 != 0 {
            return Err(unsupported("16-bit quantization"));
        }
        if after.len() < 64 {
            return Err(Error::malformed("JPEG quantization table is cut short"));
        }
        let (table, next) = after.split_at(64);
        let slot = tables
            .get_mut((head & 0xf) as usize)
            .ok_or_else(|| Error::malformed("JPEG quantization table number"))?;
        *slot = Some(table);
        segment = next;
    }
    Ok(())
}

fn read_frame(segment: &[u8]) -> Result<Frame> {
    let bytes = segment
        .first_chunk::<15>()
        .ok_or_else(|| unsupported("other than three components"))?;
    let [
        precision,
        h1,
        h0,
        w1,
        w0,
        components,
        _,
        luma,
        q_luma,
        _,
        cb,
        q_cb,
        _,
        cr,
        q_cr,
    ] = *bytes;
    let height = u16::from_be_bytes([h1, h0]);
    let width = u16::from_be_bytes([w1, w0]);
    if precision != 8 || components != 3 || (cb, cr) != (0x11, 0x11) {
        return Err(unsupported("other than 8-bit 4:2:2 or 4:2:0"));
    }
    if q_cb != q_cr {
        return Err(unsupported("a quantization table for each component"));
    }
    if width == 0 || height == 0 || width > 2040 || height > 2040 {
        return Err(unsupported(&format!("{width}x{height} pixels")));
    }
    let kind = match luma {
        0x21 => 0,
        0x22 => 1,
        _ => return Err(unsupported("other than 4:2:2 or 4:2:0")),
    };
    Ok(Frame {
        kind,
        width,
        height,
        tables_used: [q_luma, q_cb],
    })
}

/// RFC 2435 carries no Huffman tables: receivers put in those of ITU-T T.81 K.3, so others would decode to noise.
fn check_huffman(mut segment: &[u8]) -> Result<()> {
    while let Some((head, after)) = segment.split_first() {
        let counts = after
            .first_chunk::<16>()
            .ok_or_else(|| Error::malformed("JPEG Huffman table is cut short"))?;
        let standard: [u8; 16] = match head {
            0x00 => [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
            0x01 => [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
            0x10 => [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125],
            0x11 => [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119],
            _ => return Err(unsupported("more than four Huffman tables")),
        };
        if *counts != standard {
            return Err(unsupported("Huffman tables of its own"));
        }
        let values = counts.iter().map(|&n| n as usize).sum::<usize>();
        segment = after
            .get(16 + values..)
            .ok_or_else(|| Error::malformed("JPEG Huffman table is cut short"))?;
    }
    Ok(())
}
