//! Access units to RTP payloads, the sending half of the payload formats.
//!
//! A [`Packetizer`] cuts one unit (in the form that [`Codec`] documents) into payloads that lie one after another in a
//! [`Payloads`], each with free room before it, so that the caller writes RTP headers in place and sends a whole frame
//! with one write.

mod aac;
mod h264;
mod h265;
mod mjpeg;
mod plain;

use crate::{Codec, Error, ErrorKind, Result, TrackParameters};
use std::ops::Range;

/// What a payload carries, for senders that leave parameter sets out or put something before the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// VPS, SPS or PPS only.
    ParameterSets,
    /// At least one NAL unit of the coded picture, or a part of one; every payload of other codecs.
    Picture,
    /// Delimiters, SEI and anything else.
    Rest,
}

/// One payload within [`Payloads::bytes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Where the payload lies; the room for headers ends at `range.start`.
    pub range: Range<usize>,
    /// The RTP marker bit: last packet of a picture, of a document or of an AAC frame.
    pub marker: bool,
    /// Ticks after the unit's own timestamp (only G.711 units that need several packets have any).
    pub timestamp_offset: u32,
    /// What is inside.
    pub content: Content,
}

/// The payloads of one or more units, contiguous, each after `headroom` zero bytes.
#[derive(Debug, Default)]
pub struct Payloads {
    bytes: Vec<u8>,
    payloads: Vec<Payload>,
    headroom: usize,
    open_at: usize,
}

impl Payloads {
    /// Nothing yet; every payload will have `headroom` bytes before it.
    pub fn with_headroom(headroom: usize) -> Self {
        Self {
            headroom,
            ..Self::default()
        }
    }

    /// All bytes, headers' room included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All bytes, to write headers into.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The payloads in sending order.
    pub fn iter(&self) -> std::slice::Iter<'_, Payload> {
        self.payloads.iter()
    }

    /// Number of payloads.
    pub fn len(&self) -> usize {
        self.payloads.len()
    }

    /// True before the first payload.
    pub fn is_empty(&self) -> bool {
        self.payloads.is_empty()
    }

    /// The bytes of one payload of this collection.
    pub fn payload(&self, index: usize) -> &[u8] {
        &self.bytes[self.payloads[index].range.clone()]
    }

    /// Forgets the payloads and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.payloads.clear();
    }

    fn begin(&mut self) {
        self.bytes.resize(self.bytes.len() + self.headroom, 0);
        self.open_at = self.bytes.len();
    }

    fn extend(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
    }

    fn end(&mut self, marker: bool, timestamp_offset: u32, content: Content) {
        let range = self.open_at..self.bytes.len();
        self.payloads.push(Payload {
            range,
            marker,
            timestamp_offset,
            content,
        });
    }

    /// One payload made of `parts`.
    fn push(&mut self, parts: &[&[u8]], marker: bool, content: Content) {
        self.begin();
        for part in parts {
            self.extend(part);
        }
        self.end(marker, 0, content);
    }

    fn mark_last(&mut self) {
        if let Some(last) = self.payloads.last_mut() {
            last.marker = true;
        }
    }
}

/// Default payload limit: with RTP, UDP and IP headers it stays below 1,460 bytes, the habit of cameras.
pub const DEFAULT_MAX_PAYLOAD_BYTES: usize = 1400;

/// Cuts units of one codec into payloads of a greatest size.
#[derive(Debug, Clone)]
pub struct Packetizer {
    codec: Codec,
    channels: u16,
    max_payload_bytes: usize,
    aggregate: bool,
}

impl Packetizer {
    /// A packetizer for tracks with `parameters`. Unsupported for AV1; invalid for a limit below 256 bytes.
    pub fn new(parameters: &TrackParameters, max_payload_bytes: usize) -> Result<Self> {
        if parameters.codec == Codec::Av1 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "RTP packets of AV1 are not written yet",
            ));
        }
        if !(256..=65_000).contains(&max_payload_bytes) {
            let message = format!("a payload limit of {max_payload_bytes} bytes is not within 256 to 65000");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let channels = parameters.channels.max(1);
        Ok(Self {
            codec: parameters.codec,
            channels,
            max_payload_bytes,
            aggregate: false,
        })
    }

    /// Puts consecutive small NAL units of one kind into one packet (STAP-A of H.264, AP of H.265).
    #[must_use]
    pub fn aggregating(self, aggregate: bool) -> Self {
        Self { aggregate, ..self }
    }

    /// Appends the payloads of one unit to `out`. Malformed when the unit breaks the form that its codec documents;
    /// then `out` is as before.
    pub fn packetize(&self, unit: &[u8], out: &mut Payloads) -> Result<()> {
        let (bytes_before, payloads_before) = (out.bytes.len(), out.payloads.len());
        let limit = self.max_payload_bytes;
        let done = match self.codec {
            Codec::H264 => h264::packetize(unit, limit, self.aggregate, out),
            Codec::H265 => h265::packetize(unit, limit, self.aggregate, out),
            Codec::Mjpeg => mjpeg::packetize(unit, limit, out),
            Codec::Aac => aac::packetize(unit, limit, out),
            Codec::PcmA | Codec::PcmU => plain::packetize_pcm(unit, self.channels, limit, out),
            Codec::Opus => plain::packetize_opus(unit, limit, out),
            Codec::OnvifMetadata => plain::packetize_document(unit, limit, out),
            Codec::Av1 => Err(Error::new(
                ErrorKind::Unsupported,
                "RTP packets of AV1 are not written yet",
            )),
        };
        if done.is_err() {
            out.bytes.truncate(bytes_before);
            out.payloads.truncate(payloads_before);
        }
        done
    }
}

/// The NAL units of a unit with 4-byte lengths. Malformed when a length is zero or passes the end.
fn nal_units(unit: &[u8]) -> Result<Vec<&[u8]>> {
    let mut found = Vec::new();
    let mut rest = unit;
    while !rest.is_empty() {
        let at = unit.len() - rest.len();
        let Some((length, after)) = rest.split_first_chunk::<4>() else {
            return Err(Error::malformed(format!(
                "NAL length cut short at byte {at} of the unit"
            )));
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length == 0 || length > after.len() {
            let left = after.len();
            return Err(Error::malformed(format!(
                "NAL unit at byte {at} says {length} bytes, {left} are left"
            )));
        }
        let (nal, next) = after.split_at(length);
        found.push(nal);
        rest = next;
    }
    if found.is_empty() {
        return Err(Error::malformed("unit without a NAL unit"));
    }
    Ok(found)
}

/// How many of the NAL units from the first on go together into one aggregation packet: same content, and
/// `header_bytes` plus two bytes of length each within the limit.
fn aggregated(nals: &[&[u8]], content_of: fn(&[u8]) -> Content, header_bytes: usize, limit: usize) -> usize {
    let Some(first) = nals.first() else { return 0 };
    let content = content_of(first);
    let mut size = header_bytes;
    let fits = |nal: &&&[u8]| {
        size += 2 + nal.len();
        size <= limit && content_of(nal) == content
    };
    nals.iter().take_while(fits).count()
}

#[cfg(test)]
mod tests;
