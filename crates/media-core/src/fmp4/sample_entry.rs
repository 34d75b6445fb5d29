//! Sample entries (stsd): the container's view of `TrackParameters`.
//!
//! H.264 `avc1`/avcC and H.265 `hvc1`/hvcC (ISO/IEC 14496-15), AV1 `av01`/av1C, Motion JPEG `mp4v` with object type
//! 0x6C (ISO/IEC 14496-1), AAC `mp4a`/esds (ISO/IEC 14496-14), G.711 `alaw`/`ulaw`, Opus `Opus`/dOps, ONVIF metadata
//! `metx` (ISO/IEC 14496-12 §12.3).

use super::boxes::{Boxes, Fields, kind_name, put_u16, put_u32, write_box, write_full_box};
use crate::error::{Error, ErrorKind, Result};
use crate::track::{Codec, TrackKind, TrackParameters};
use bytes::Bytes;

const OBJECT_TYPE_AAC: u8 = 0x40;
const OBJECT_TYPE_JPEG: u8 = 0x6c;
const STREAM_TYPE_VISUAL: u8 = 0x11;
const STREAM_TYPE_AUDIO: u8 = 0x15;
const ONVIF_NAMESPACE: &[u8] = b"http://www.onvif.org/ver10/schema\0";

/// Refuses parameters that no sample entry can express.
pub(crate) fn check(parameters: &TrackParameters) -> Result<()> {
    let name = parameters.codec.as_str();
    let invalid = |what: &str| Error::new(ErrorKind::Invalid, format!("{name} track: {what}"));
    if parameters.clock_rate == 0 {
        return Err(invalid("clock rate 0"));
    }
    match parameters.codec.kind() {
        TrackKind::Video if parameters.width > 0xffff || parameters.height > 0xffff => {
            return Err(invalid("a picture of more than 65,535 pixels a side"));
        }
        TrackKind::Audio if parameters.channels == 0 => return Err(invalid("no channels")),
        _ => {}
    }
    let configured = matches!(
        parameters.codec,
        Codec::H264 | Codec::H265 | Codec::Av1 | Codec::Aac | Codec::Opus
    );
    if configured && parameters.configuration.is_empty() {
        return Err(invalid("no decoder configuration"));
    }
    if parameters.configuration.len() > 0xffff {
        return Err(invalid("a decoder configuration of more than 65,535 bytes"));
    }
    Ok(())
}

/// Appends the sample entry of `parameters`, which `check` accepted.
pub(crate) fn write(out: &mut Vec<u8>, parameters: &TrackParameters) {
    let kind = match parameters.codec {
        Codec::H264 => b"avc1",
        Codec::H265 => b"hvc1",
        Codec::Av1 => b"av01",
        Codec::Mjpeg => b"mp4v",
        Codec::Aac => b"mp4a",
        Codec::PcmA => b"alaw",
        Codec::PcmU => b"ulaw",
        Codec::Opus => b"Opus",
        Codec::OnvifMetadata => b"metx",
    };
    write_box(out, kind, |out| {
        out.extend_from_slice(&[0; 6]);
        put_u16(out, 1); // data_reference_index
        match parameters.codec.kind() {
            TrackKind::Video => write_visual(out, parameters),
            TrackKind::Audio => write_audio(out, parameters),
            TrackKind::Metadata => {
                out.push(0); // content_encoding: none
                out.extend_from_slice(ONVIF_NAMESPACE);
                out.push(0); // schema_location: none
            }
        }
        let configuration = &parameters.configuration;
        match parameters.codec {
            Codec::H264 => write_box(out, b"avcC", |out| out.extend_from_slice(configuration)),
            Codec::H265 => write_box(out, b"hvcC", |out| out.extend_from_slice(configuration)),
            Codec::Av1 => write_box(out, b"av1C", |out| out.extend_from_slice(configuration)),
            Codec::Opus => write_box(out, b"dOps", |out| out.extend_from_slice(configuration)),
            Codec::Mjpeg => write_esds(out, OBJECT_TYPE_JPEG, STREAM_TYPE_VISUAL, &[]),
            Codec::Aac => write_esds(out, OBJECT_TYPE_AAC, STREAM_TYPE_AUDIO, configuration),
            Codec::PcmA | Codec::PcmU | Codec::OnvifMetadata => {}
        }
    });
}

fn write_visual(out: &mut Vec<u8>, parameters: &TrackParameters) {
    out.extend_from_slice(&[0; 16]);
    put_u16(out, parameters.width as u16);
    put_u16(out, parameters.height as u16);
    put_u32(out, 0x0048_0000); // 72 dpi
    put_u32(out, 0x0048_0000);
    put_u32(out, 0);
    put_u16(out, 1); // frame_count
    out.extend_from_slice(&[0; 32]); // compressorname
    put_u16(out, 0x18); // depth
    put_u16(out, 0xffff);
}

fn write_audio(out: &mut Vec<u8>, parameters: &TrackParameters) {
    out.extend_from_slice(&[0; 8]);
    put_u16(out, parameters.channels);
    put_u16(out, 16); // samplesize: 16 also for G.711, as QuickTime has it
    put_u32(out, 0);
    // 16.16 fixed point; higher rates do not fit and stand in mdhd alone.
    put_u32(
        out,
        if parameters.clock_rate <= 0xffff {
            parameters.clock_rate << 16
        } else {
            0
        },
    );
}

/// ES_Descriptor with one DecoderConfigDescriptor (ISO/IEC 14496-1 §7.2.6).
fn write_esds(out: &mut Vec<u8>, object_type: u8, stream_type: u8, specific: &[u8]) {
    let specific_bytes = if specific.is_empty() {
        0
    } else {
        descriptor_bytes(specific.len())
    };
    let decoder_bytes = 13 + specific_bytes;
    write_full_box(out, b"esds", 0, 0, |out| {
        put_descriptor(out, 3, 3 + descriptor_bytes(decoder_bytes) + descriptor_bytes(1));
        put_u16(out, 0); // ES_ID
        out.push(0);
        put_descriptor(out, 4, decoder_bytes);
        out.extend_from_slice(&[object_type, stream_type]);
        out.extend_from_slice(&[0; 11]); // bufferSizeDB, maxBitrate, avgBitrate: not known
        if !specific.is_empty() {
            put_descriptor(out, 5, specific.len());
            out.extend_from_slice(specific);
        }
        put_descriptor(out, 6, 1);
        out.push(2); // SLConfigDescriptor: reserved for MP4
    });
}

/// Whole length of a descriptor: tag, length in groups of seven bits, body.
fn descriptor_bytes(body_bytes: usize) -> usize {
    1 + (0..4)
        .take_while(|group| *group == 0 || body_bytes >> (7 * group) != 0)
        .count()
        + body_bytes
}

fn put_descriptor(out: &mut Vec<u8>, tag: u8, body_bytes: usize) {
    out.push(tag);
    for group in (0..4).rev() {
        if group == 0 || body_bytes >> (7 * group) != 0 {
            out.push((body_bytes >> (7 * group)) as u8 & 0x7f | if group == 0 { 0 } else { 0x80 });
        }
    }
}

/// Reads the first sample entry of an stsd body (after version and flags) of a track with `clock_rate`.
/// `Unsupported` for sample entries that this code does not write.
pub(crate) fn read(stsd_entries: &[u8], clock_rate: u32) -> Result<TrackParameters> {
    let (kind, body) = Boxes::new(stsd_entries, "stsd")
        .next()?
        .ok_or_else(|| Error::malformed("stsd: no sample entry"))?;
    let codec = match &kind {
        b"avc1" => Codec::H264,
        b"hvc1" => Codec::H265,
        b"av01" => Codec::Av1,
        b"mp4v" => Codec::Mjpeg,
        b"mp4a" => Codec::Aac,
        b"alaw" => Codec::PcmA,
        b"ulaw" => Codec::PcmU,
        b"Opus" => Codec::Opus,
        b"metx" => Codec::OnvifMetadata,
        _ => {
            let message = format!("stsd: sample entry {} is not supported", kind_name(kind));
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    };
    let mut parameters = TrackParameters {
        codec,
        clock_rate,
        configuration: Bytes::new(),
        width: 0,
        height: 0,
        channels: 0,
        reorder_depth: 0,
        fps_milli: 0,
    };
    let mut fields = Fields::new(body, "sample entry");
    fields.take(8)?;
    match codec.kind() {
        TrackKind::Video => {
            fields.take(16)?;
            parameters.width = fields.u16()? as u32;
            parameters.height = fields.u16()? as u32;
            fields.take(50)?;
        }
        TrackKind::Audio => {
            fields.take(8)?;
            parameters.channels = fields.u16()?;
            fields.take(10)?;
        }
        TrackKind::Metadata => return Ok(parameters),
    }
    let boxes = Boxes::new(fields.rest(), "sample entry");
    parameters.configuration = match codec {
        Codec::H264 => Bytes::copy_from_slice(boxes.find(b"avcC")?),
        Codec::H265 => Bytes::copy_from_slice(boxes.find(b"hvcC")?),
        Codec::Av1 => Bytes::copy_from_slice(boxes.find(b"av1C")?),
        Codec::Opus => Bytes::copy_from_slice(boxes.find(b"dOps")?),
        Codec::Aac => read_esds(boxes.find(b"esds")?, OBJECT_TYPE_AAC)?,
        Codec::Mjpeg => read_esds(boxes.find(b"esds")?, OBJECT_TYPE_JPEG)?,
        Codec::PcmA | Codec::PcmU | Codec::OnvifMetadata => Bytes::new(),
    };
    Ok(parameters)
}

/// The DecoderSpecificInfo of an esds body; `Unsupported` for another object type than `object_type`.
fn read_esds(body: &[u8], object_type: u8) -> Result<Bytes> {
    let mut fields = Fields::new(body, "esds");
    fields.u32()?;
    let mut elementary = Fields::new(descriptor(&mut fields, 3)?, "ES_Descriptor");
    elementary.take(3)?;
    let mut decoder = Fields::new(descriptor(&mut elementary, 4)?, "DecoderConfigDescriptor");
    let found = decoder.u8()?;
    if found != object_type {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("esds: object type {found:#04x} is not supported"),
        ));
    }
    decoder.take(12)?;
    if decoder.rest().is_empty() {
        return Ok(Bytes::new());
    }
    Ok(Bytes::copy_from_slice(descriptor(&mut decoder, 5)?))
}

fn descriptor<'a>(fields: &mut Fields<'a>, tag: u8) -> Result<&'a [u8]> {
    let found = fields.u8()?;
    if found != tag {
        return Err(Error::malformed(format!("esds: descriptor {found}, {tag} expected")));
    }
    let mut length = 0;
    for _ in 0..4 {
        let group = fields.u8()?;
        length = length << 7 | (group & 0x7f) as usize;
        if group & 0x80 == 0 {
            return fields.take(length);
        }
    }
    Err(Error::malformed("esds: a length of more than four bytes"))
}
