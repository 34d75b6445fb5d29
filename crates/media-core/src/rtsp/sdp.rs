//! Session descriptions (RFC 8866) as cameras write them: read what is understood, step over the rest.

use crate::track::{Codec, TrackKind};
use crate::{Error, Result};

/// A description, reduced to what a receiver needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionDescription {
    /// Session-level `a=control`.
    pub control: Option<String>,
    /// The media, in order.
    pub medias: Vec<Media>,
}

/// One `m=` section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Media {
    /// `video`, `audio`, `application`, …, in lower case.
    pub kind: String,
    /// `a=control`, absolute or relative to the session's.
    pub control: Option<String>,
    /// Payload types of the `m=` line with what is known of each.
    pub formats: Vec<Format>,
    /// `a=sendonly`: from the camera's side usually a back channel that wants sound from us.
    pub sendonly: bool,
    /// Size announced by `a=framesize`, `a=x-dimensions` or `a=cliprect`, (0, 0) when none is.
    pub size: (u32, u32),
}

/// One payload type of a medium.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Format {
    /// RTP payload type.
    pub payload_type: u8,
    /// Encoding name of `a=rtpmap` (or of the static payload type), in upper case; empty when unknown.
    pub encoding: String,
    /// RTP clock in Hz; 0 when unknown.
    pub clock_rate: u32,
    /// Audio channels; 1 when not stated.
    pub channels: u16,
    /// `a=fmtp` parameters in order.
    pub parameters: Vec<(String, String)>,
}

impl Format {
    /// The fmtp parameter `name`, compared without regard to case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// The codec, if it is one that we carry.
    pub fn codec(&self) -> Option<Codec> {
        Some(match self.encoding.as_str() {
            "H264" => Codec::H264,
            "H265" | "HEVC" => Codec::H265,
            "AV1" => Codec::Av1,
            "JPEG" => Codec::Mjpeg,
            "MPEG4-GENERIC" => Codec::Aac,
            "PCMA" => Codec::PcmA,
            "PCMU" => Codec::PcmU,
            "VND.ONVIF.METADATA" => Codec::OnvifMetadata,
            _ => return None,
        })
    }

    /// Static payload types (RFC 3551 §6) that cameras use without an rtpmap.
    fn of_static_type(payload_type: u8) -> Self {
        let (encoding, clock_rate) = match payload_type {
            0 => ("PCMU", 8_000),
            8 => ("PCMA", 8_000),
            26 => ("JPEG", 90_000),
            _ => ("", 0),
        };
        Self {
            payload_type,
            encoding: encoding.to_owned(),
            clock_rate,
            channels: 1,
            parameters: Vec::new(),
        }
    }
}

impl Media {
    /// The first format that we carry, with its codec. Its codec's kind must fit the section's.
    pub fn supported(&self) -> Option<(&Format, Codec)> {
        self.formats.iter().find_map(|f| {
            let codec = f.codec()?;
            let fits = match codec.kind() {
                TrackKind::Video => self.kind == "video",
                TrackKind::Audio => self.kind == "audio",
                TrackKind::Metadata => true,
            };
            (fits && f.clock_rate > 0).then_some((f, codec))
        })
    }

    /// Encoding names, for messages ("MP4V-ES, H263").
    pub fn encodings(&self) -> String {
        let names: Vec<&str> = self
            .formats
            .iter()
            .map(|f| f.encoding.as_str())
            .filter(|e| !e.is_empty())
            .collect();
        if names.is_empty() {
            "an unnamed encoding".to_owned()
        } else {
            names.join(", ")
        }
    }
}

/// How many sections and formats are read; more is no camera.
const MAX_MEDIAS: usize = 32;
const MAX_FORMATS: usize = 32;

impl SessionDescription {
    /// Reads a description. Only one without any `m=` line is refused (`Malformed`).
    pub fn parse(body: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(body);
        let mut session = Self::default();
        for line in text.split(['\n', '\r']) {
            let line = line.trim();
            let Some((kind, value)) = line.split_once('=') else {
                continue;
            };
            match kind.trim() {
                "m" if session.medias.len() < MAX_MEDIAS => session.medias.extend(parse_media(value)),
                "a" => {
                    let (name, value) = value.split_once(':').unwrap_or((value, ""));
                    let (name, value) = (name.trim(), value.trim());
                    match session.medias.last_mut() {
                        Some(media) => media.attribute(name, value),
                        None if name == "control" => session.control = Some(value.to_owned()),
                        None => {}
                    }
                }
                _ => {}
            }
        }
        if session.medias.is_empty() {
            return Err(Error::malformed("session description without any medium"));
        }
        Ok(session)
    }

    /// The tracks to set up: at most one of each kind, in the order video, audio, metadata, as (index, codec).
    /// Without a video track that we carry: `NotFound` or `Unsupported`, with the reason.
    pub fn select(&self) -> Result<Vec<(usize, Codec)>> {
        let of_kind = |kind: TrackKind| {
            let found = |with_sendonly: bool| {
                self.medias.iter().enumerate().find_map(|(at, media)| {
                    let (_, codec) = media.supported()?;
                    (codec.kind() == kind && (with_sendonly || !media.sendonly)).then_some((at, codec))
                })
            };
            // A medium marked sendonly is a back channel only beside another one: some cameras mark all.
            found(false).or_else(|| found(true))
        };
        let Some(video) = of_kind(TrackKind::Video) else {
            let shown = self.medias.iter().find(|m| m.kind == "video");
            return Err(match shown {
                Some(media) => Error::new(
                    crate::ErrorKind::Unsupported,
                    format!("the camera's video is {}, which is not supported", media.encodings()),
                ),
                None => Error::new(crate::ErrorKind::NotFound, "the camera offers no video"),
            });
        };
        let others = [of_kind(TrackKind::Audio), of_kind(TrackKind::Metadata)];
        Ok([Some(video)].into_iter().chain(others).flatten().collect())
    }
}

fn parse_media(value: &str) -> Option<Media> {
    let mut words = value.split_ascii_whitespace();
    let kind = words.next()?.to_ascii_lowercase();
    let formats = words
        .skip(2)
        .filter_map(|word| word.parse::<u8>().ok())
        .filter(|payload_type| *payload_type < 128)
        .take(MAX_FORMATS)
        .map(Format::of_static_type)
        .collect();
    Some(Media {
        kind,
        formats,
        ..Media::default()
    })
}

impl Media {
    fn attribute(&mut self, name: &str, value: &str) {
        match name {
            "control" => self.control = Some(value.to_owned()),
            "sendonly" => self.sendonly = true,
            "rtpmap" => self.rtpmap(value),
            "fmtp" => {
                if let Some((format, rest)) = self.format_of(value) {
                    format.parameters.extend(parameters(rest));
                }
            }
            // "26 3840-2160", "3840,2160", "0,0,2160,3840"
            "framesize" => {
                let size = value.split_once(' ').and_then(|(_, size)| size.trim().split_once('-'));
                self.set_size(size);
            }
            "x-dimensions" => self.set_size(value.split_once(',')),
            "cliprect" => {
                let mut sides = value.split(',').skip(2);
                self.set_size(sides.next().zip(sides.next()).map(|(height, width)| (width, height)));
            }
            _ => {}
        }
    }

    fn set_size(&mut self, size: Option<(&str, &str)>) {
        if let Some((Ok(width), Ok(height))) = size.map(|(w, h)| (w.trim().parse(), h.trim().parse())) {
            self.size = (width, height);
        }
    }

    /// The format whose payload type starts `value`, and the rest of it. A type missing on the `m=` line is added.
    fn format_of<'a>(&mut self, value: &'a str) -> Option<(&mut Format, &'a str)> {
        let (number, rest) = value.split_once([' ', '\t'])?;
        let payload_type: u8 = number.trim().parse().ok().filter(|t| *t < 128)?;
        let at = match self.formats.iter().position(|f| f.payload_type == payload_type) {
            Some(at) => at,
            None if self.formats.len() < MAX_FORMATS => {
                self.formats.push(Format::of_static_type(payload_type));
                self.formats.len() - 1
            }
            None => return None,
        };
        Some((&mut self.formats[at], rest.trim()))
    }

    fn rtpmap(&mut self, value: &str) {
        let Some((format, rest)) = self.format_of(value) else {
            return;
        };
        let mut parts = rest.split('/').map(str::trim);
        let encoding = parts.next().unwrap_or_default().to_ascii_uppercase();
        let clock_rate = parts.next().and_then(|rate| rate.parse().ok());
        let channels = parts.next().and_then(|channels| channels.parse().ok());
        // Video runs at 90 kHz whatever a careless camera leaves out or writes as 0.
        let default_rate = if matches!(encoding.as_str(), "H264" | "H265" | "JPEG" | "VND.ONVIF.METADATA") {
            90_000
        } else {
            format.clock_rate
        };
        format.clock_rate = clock_rate
            .filter(|rate| (1..=1_000_000).contains(rate))
            .unwrap_or(default_rate);
        format.channels = channels.filter(|channels| (1..=64).contains(channels)).unwrap_or(1);
        format.encoding = encoding;
    }
}

fn parameters(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    text.split(';').filter_map(|parameter| {
        let parameter = parameter.trim();
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (!name.is_empty()).then(|| (name.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const CAMERA: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=Media\r\nt=0 0\r\na=control:rtsp://10.0.0.9/s/\r\n\
        a=range:npt=now-\r\nm=video 0 RTP/AVP 96\r\na=control:trackID=1\r\na=rtpmap:96 H264/90000\r\n\
        a=fmtp:96 packetization-mode=1;profile-level-id=640028; sprop-parameter-sets=Z2QAKA==,aO48gA==\r\n\
        a=recvonly\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/16000/2\r\n\
        a=fmtp:97 streamtype=5; mode=AAC-hbr;config=1410;SizeLength=13\r\na=control:trackID=2\r\n\
        m=audio 0 RTP/AVP 0\r\na=sendonly\r\na=control:back\r\n\
        m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:trackID=3\r\n";

    #[test]
    fn a_camera_with_four_media_gives_video_audio_and_metadata() {
        let session = SessionDescription::parse(CAMERA.as_bytes()).unwrap();
        assert_eq!(session.control.as_deref(), Some("rtsp://10.0.0.9/s/"));
        assert_eq!(
            session.select().unwrap(),
            [(0, Codec::H264), (1, Codec::Aac), (3, Codec::OnvifMetadata)]
        );
        let (format, _) = session.medias[0].supported().unwrap();
        assert_eq!(format.parameter("sprop-parameter-sets"), Some("Z2QAKA==,aO48gA=="));
        let (format, _) = session.medias[1].supported().unwrap();
        assert_eq!((format.clock_rate, format.channels), (16_000, 2));
        assert_eq!(format.parameter("sizelength"), Some("13"));
    }

    #[test]
    fn the_back_channel_is_not_taken_for_sound() {
        let text = "m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\nm=audio 0 RTP/AVP 0\na=sendonly\na=control:back\n\
                    m=audio 0 RTP/AVP 8\na=control:sound\n";
        let session = SessionDescription::parse(text.as_bytes()).unwrap();
        assert_eq!(session.select().unwrap(), [(0, Codec::H265), (2, Codec::PcmA)]);
    }

    #[test]
    fn a_lone_medium_marked_sendonly_is_taken() {
        let text = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=sendonly\n";
        assert_eq!(
            SessionDescription::parse(text.as_bytes()).unwrap().select().unwrap(),
            [(0, Codec::H264)]
        );
    }

    #[test]
    fn static_types_and_a_missing_clock_rate_are_understood() {
        let text = "m=video 0 RTP/AVP 26\na=framesize:26 3840-2160\nm=audio 0 RTP/AVP 8\n";
        let session = SessionDescription::parse(text.as_bytes()).unwrap();
        assert_eq!(session.select().unwrap(), [(0, Codec::Mjpeg), (1, Codec::PcmA)]);
        assert_eq!(session.medias[0].size, (3840, 2160));
        let text = "m=video 0 RTP/AVP 35\na=rtpmap: 35 H264\na=rtpmap:35 H264\na=x-dimensions:640,480\n";
        let session = SessionDescription::parse(text.as_bytes()).unwrap();
        assert_eq!(session.medias[0].supported().unwrap().0.clock_rate, 90_000);
        assert_eq!(session.medias[0].size, (640, 480));
    }

    #[test]
    fn a_description_without_usable_video_says_why() {
        let parse = |text: &str| SessionDescription::parse(text.as_bytes());
        let audio = parse("m=audio 0 RTP/AVP 0\n").unwrap().select().unwrap_err();
        assert_eq!(audio.kind(), crate::ErrorKind::NotFound);
        let text = "m=video 0 RTP/AVP 96\na=rtpmap:96 MP4V-ES/90000\n";
        let mpeg4 = parse(text).unwrap().select().unwrap_err();
        assert_eq!(mpeg4.kind(), crate::ErrorKind::Unsupported);
        assert!(mpeg4.message().contains("MP4V-ES"));
        assert!(parse("<html></html>").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(lines in proptest::collection::vec("[ma]=[a-z:]{0,10}[ -~]{0,20}", 0..12)) {
            if let Ok(session) = SessionDescription::parse(lines.join("\r\n").as_bytes()) {
                let _ = session.select();
            }
        }
    }
}
