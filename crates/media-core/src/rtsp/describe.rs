//! Session descriptions that a server offers: what each track's parameters look like in SDP (RFC 8866 and the
//! payload formats' media types).

use crate::codec::{h264, h265};
use crate::{Codec, Error, ErrorKind, Result, TrackParameters};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One track of a description.
#[derive(Debug, Clone, Copy)]
pub struct DescribedTrack<'a> {
    /// Codec, clock and configuration.
    pub parameters: &'a TrackParameters,
    /// RTP payload type that the track's packets carry.
    pub payload_type: u8,
    /// Whether the parameter sets of H.264 and H.265 are told here (`sprop-…`), not in band only.
    pub tell_parameter_sets: bool,
}

/// The static payload type of the codec (RFC 3551 table 4 and 5) or 96 + `track`.
pub fn payload_type(parameters: &TrackParameters, track: u8) -> u8 {
    match (parameters.codec, parameters.clock_rate, parameters.channels) {
        (Codec::PcmU, 8000, 0 | 1) => 0,
        (Codec::PcmA, 8000, 0 | 1) => 8,
        (Codec::Mjpeg, ..) => 26,
        _ => 96 + track % 32,
    }
}

/// The description of a live session: `session_name`, then each track with the control attribute `trackID=N`.
/// Malformed when a configuration record does not fit its codec; unsupported for AV1.
pub fn session_description(session_name: &str, session_id: u64, tracks: &[DescribedTrack<'_>]) -> Result<String> {
    let name = session_name.replace(['\r', '\n'], " ");
    let mut sdp = format!(
        "v=0\r\no=- {session_id} 1 IN IP4 0.0.0.0\r\ns={name}\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
         a=control:*\r\na=range:npt=now-\r\n"
    );
    for (index, track) in tracks.iter().enumerate() {
        let lines = media_lines(track).map_err(|e| e.within(format!("track {index}")))?;
        sdp.push_str(&lines);
        sdp.push_str(&format!("a=control:trackID={index}\r\n"));
    }
    Ok(sdp)
}

fn media_lines(track: &DescribedTrack<'_>) -> Result<String> {
    let DescribedTrack {
        parameters,
        payload_type: pt,
        tell_parameter_sets,
    } = *track;
    let rate = parameters.clock_rate;
    let channels = parameters.channels.max(1);
    let configuration = &parameters.configuration;
    let (media, map, format) = match parameters.codec {
        Codec::H264 => (
            "video",
            format!("H264/{rate}"),
            Some(h264_format(configuration, tell_parameter_sets)?),
        ),
        Codec::H265 => (
            "video",
            format!("H265/{rate}"),
            h265_format(configuration, tell_parameter_sets)?,
        ),
        Codec::Mjpeg => ("video", format!("JPEG/{rate}"), None),
        Codec::Aac => {
            let hex: String = configuration.iter().map(|b| format!("{b:02x}")).collect();
            let format = format!(
                "streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config={hex}"
            );
            ("audio", format!("MPEG4-GENERIC/{rate}/{channels}"), Some(format))
        }
        Codec::PcmA => ("audio", format!("PCMA/{rate}/{channels}"), None),
        Codec::PcmU => ("audio", format!("PCMU/{rate}/{channels}"), None),
        // RFC 7587 §7: always 48000 and 2, whatever is coded.
        Codec::Opus => ("audio", "opus/48000/2".to_owned(), None),
        Codec::OnvifMetadata => ("application", format!("vnd.onvif.metadata/{rate}"), None),
        Codec::Av1 => return Err(Error::new(ErrorKind::Unsupported, "AV1 is not described in SDP yet")),
    };
    let mut lines = format!("m={media} 0 RTP/AVP {pt}\r\na=rtpmap:{pt} {map}\r\n");
    if let Some(format) = format {
        lines.push_str(&format!("a=fmtp:{pt} {format}\r\n"));
    }
    if parameters.fps_milli > 0 {
        lines.push_str(&format!("a=framerate:{}\r\n", f64::from(parameters.fps_milli) / 1000.0));
    }
    Ok(lines)
}

/// RFC 6184 §8.1.
fn h264_format(configuration: &[u8], tell_parameter_sets: bool) -> Result<String> {
    let mut format = "packetization-mode=1".to_owned();
    if configuration.is_empty() {
        return Ok(format);
    }
    if let Some([profile, compatibility, level]) = configuration.get(1..4) {
        format.push_str(&format!(
            ";profile-level-id={profile:02x}{compatibility:02x}{level:02x}"
        ));
    }
    if tell_parameter_sets {
        let sets: Vec<_> = h264::parameter_sets(configuration)?
            .iter()
            .map(|nal| STANDARD.encode(nal))
            .collect();
        format.push_str(&format!(";sprop-parameter-sets={}", sets.join(",")));
    }
    Ok(format)
}

/// RFC 7798 §7.1.
fn h265_format(configuration: &[u8], tell_parameter_sets: bool) -> Result<Option<String>> {
    if configuration.is_empty() || !tell_parameter_sets {
        return Ok(None);
    }
    let sets = h265::parameter_sets(configuration)?;
    let of_type = |wanted: u8| {
        let matching = sets.iter().filter(|nal| h265::nal_type(nal) == wanted);
        matching.map(|nal| STANDARD.encode(nal)).collect::<Vec<_>>().join(",")
    };
    Ok(Some(format!(
        "sprop-vps={};sprop-sps={};sprop-pps={}",
        of_type(32),
        of_type(33),
        of_type(34)
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn parameters(codec: Codec, clock_rate: u32, channels: u16, configuration: &[u8]) -> TrackParameters {
        let configuration = bytes::Bytes::copy_from_slice(configuration);
        TrackParameters {
            codec,
            clock_rate,
            configuration,
            width: 0,
            height: 0,
            channels,
            reorder_depth: 0,
            fps_milli: 0,
        }
    }

    const AVCC: &[u8] = &[1, 0x64, 0, 0x28, 0xff, 0xe1, 0, 3, 0x67, 1, 2, 1, 0, 2, 0x68, 3];

    fn hvcc() -> Vec<u8> {
        let mut record = vec![0; 22];
        record.push(4);
        for (kind, body) in [(32, 1), (33, 2), (34, 3), (39, 4)] {
            record.extend([0x80 | kind, 0, 1, 0, 3, kind << 1, 1, body]);
        }
        record
    }

    fn described(parameters: &TrackParameters) -> Result<String> {
        let track = DescribedTrack {
            parameters,
            payload_type: payload_type(parameters, 1),
            tell_parameter_sets: true,
        };
        session_description("camera\r\na=forged", 7, &[track])
    }

    #[test]
    fn each_codec_is_described_as_its_rfc_says() {
        for (track, wanted) in [
            (
                parameters(Codec::H264, 90_000, 0, AVCC),
                "m=video 0 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\na=fmtp:97 packetization-mode=1;profile-level-id=640028;sprop-parameter-sets=ZwEC,aAM=\r\n",
            ),
            (
                parameters(Codec::H265, 90_000, 0, &hvcc()),
                "a=fmtp:97 sprop-vps=QAEB;sprop-sps=QgEC;sprop-pps=RAED\r\n",
            ),
            (
                parameters(Codec::Aac, 48_000, 2, &[0x11, 0x90]),
                "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\na=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190\r\n",
            ),
            (
                parameters(Codec::PcmA, 8000, 1, &[]),
                "m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000/1\r\n",
            ),
            (
                parameters(Codec::PcmU, 16_000, 1, &[]),
                "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 PCMU/16000/1\r\n",
            ),
            (
                parameters(Codec::Mjpeg, 90_000, 0, &[]),
                "m=video 0 RTP/AVP 26\r\na=rtpmap:26 JPEG/90000\r\n",
            ),
            (
                parameters(Codec::OnvifMetadata, 90_000, 0, &[]),
                "m=application 0 RTP/AVP 97\r\na=rtpmap:97 vnd.onvif.metadata/90000\r\n",
            ),
        ] {
            let sdp = described(&track).unwrap();
            assert!(sdp.contains(wanted), "{sdp}");
            assert!(sdp.ends_with("a=control:trackID=0\r\n"));
            assert!(!sdp.contains("\na=forged"));
        }
    }

    #[test]
    fn parameter_sets_are_left_out_on_demand() {
        for track in [
            parameters(Codec::H264, 90_000, 0, AVCC),
            parameters(Codec::H265, 90_000, 0, &hvcc()),
        ] {
            let described = DescribedTrack {
                parameters: &track,
                payload_type: 96,
                tell_parameter_sets: false,
            };
            assert!(
                !session_description("camera", 7, &[described])
                    .unwrap()
                    .contains("sprop")
            );
        }
    }

    #[test]
    fn cut_configurations_are_refused() {
        for length in 1..AVCC.len() {
            assert!(
                described(&parameters(Codec::H264, 90_000, 0, &AVCC[..length])).is_err(),
                "{length}"
            );
        }
        for length in 1..hvcc().len() {
            assert!(
                described(&parameters(Codec::H265, 90_000, 0, &hvcc()[..length])).is_err(),
                "{length}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_configuration_is_described_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            for codec in [Codec::H264, Codec::H265, Codec::Aac] {
                let _ = described(&parameters(codec, 90_000, 1, &bytes));
            }
        }
    }
}
