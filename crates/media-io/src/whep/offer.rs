//! Reads of an SDP offer (RFC 8866) what the choice of codecs needs: sections, payload types and their parameters.
//! The full reading is str0m's; this one comes first because str0m can only be told which codecs to accept.

use media_core::{Error, Result};

/// Browsers offer 6 KB; anything far beyond is no offer.
const MAX_OFFER_BYTES: usize = 64 << 10;
/// A viewer needs two sections; conference clients send a few more.
const MAX_SECTIONS: usize = 16;

/// An offer, cut into the lines before the first section and the sections.
#[derive(Debug)]
pub(super) struct Offer<'a> {
    session_lines: Vec<&'a str>,
    pub(super) sections: Vec<Section<'a>>,
}

/// What a section describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SectionKind {
    Audio,
    Video,
    /// A data channel or something else that carries no media.
    Other,
}

/// One `m=` section.
#[derive(Debug)]
pub(super) struct Section<'a> {
    pub(super) kind: SectionKind,
    pub(super) mid: Option<&'a str>,
    lines: Vec<&'a str>,
}

/// One payload type of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) payload_type: u8,
    /// Lower-case name of the encoding, such as `h264`.
    pub(super) encoding: String,
    pub(super) clock_rate: u32,
    /// As written, if written.
    pub(super) channels: Option<u8>,
    /// What follows the payload type in `a=fmtp`, or nothing.
    pub(super) parameters: String,
    /// The payload type that carries its retransmissions (RFC 4588).
    pub(super) retransmission: Option<u8>,
}

impl<'a> Offer<'a> {
    /// Reads an offer. `Malformed` when it is not SDP, too large or without any section.
    pub(super) fn parse(text: &'a str) -> Result<Self> {
        if text.len() > MAX_OFFER_BYTES {
            return Err(Error::malformed(format!("SDP offer of {} bytes", text.len())));
        }
        let mut offer = Offer {
            session_lines: Vec::new(),
            sections: Vec::new(),
        };
        for (index, line) in text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .enumerate()
        {
            if index == 0 && line != "v=0" {
                return Err(Error::malformed("SDP offer does not start with v=0"));
            }
            if line.as_bytes().get(1) != Some(&b'=') {
                return Err(Error::malformed(format!(
                    "SDP offer, line {}: not of the form x=…",
                    index + 1
                )));
            }
            if let Some(media) = line.strip_prefix("m=") {
                let kind = match media.split(' ').next() {
                    Some("audio") => SectionKind::Audio,
                    Some("video") => SectionKind::Video,
                    _ => SectionKind::Other,
                };
                offer.sections.push(Section {
                    kind,
                    mid: None,
                    lines: vec![line],
                });
                if offer.sections.len() > MAX_SECTIONS {
                    return Err(Error::malformed(format!(
                        "SDP offer with more than {MAX_SECTIONS} sections"
                    )));
                }
            } else if let Some(section) = offer.sections.last_mut() {
                section.mid = line.strip_prefix("a=mid:").or(section.mid);
                section.lines.push(line);
            } else {
                offer.session_lines.push(line);
            }
        }
        if offer.sections.is_empty() {
            return Err(Error::malformed("SDP offer without any media section"));
        }
        Ok(offer)
    }

    /// The sections that share one transport (RFC 9143), by mid; None without `a=group:BUNDLE`.
    pub(super) fn bundle(&self) -> Option<Vec<&'a str>> {
        let group = self
            .session_lines
            .iter()
            .find_map(|line| line.strip_prefix("a=group:BUNDLE"))?;
        Some(group.split_ascii_whitespace().collect())
    }

    /// The offer with the media sections that are not in `kept` (indices) refused by port 0 and left out of the
    /// bundle. Sections that carry no media stay as they are.
    pub(super) fn keeping(&self, kept: &[usize]) -> String {
        let stays = |index: usize, section: &Section<'_>| section.kind == SectionKind::Other || kept.contains(&index);
        let mut text = String::with_capacity(8 << 10);
        for line in self
            .session_lines
            .iter()
            .filter(|line| !line.starts_with("a=group:BUNDLE"))
        {
            push_line(&mut text, line);
        }
        text.push_str("a=group:BUNDLE");
        for (_, section) in self
            .sections
            .iter()
            .enumerate()
            .filter(|(index, section)| stays(*index, section))
        {
            if let Some(mid) = section.mid {
                text.push(' ');
                text.push_str(mid);
            }
        }
        text.push_str("\r\n");
        for (index, section) in self.sections.iter().enumerate() {
            for line in &section.lines {
                match line.strip_prefix("m=").and_then(|media| media.split_once(' ')) {
                    Some((media, rest)) => {
                        let port_end = rest.find(' ').unwrap_or(rest.len());
                        // Port 9 also where a bundled section was offered with port 0 (bundle-only).
                        let port = if stays(index, section) { "9" } else { "0" };
                        push_line(&mut text, &format!("m={media} {port}{}", &rest[port_end..]));
                    }
                    None => push_line(&mut text, line),
                }
            }
        }
        text
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push_str("\r\n");
}

impl Section<'_> {
    /// Whether the other side wants to receive in this section. An offer that says nothing means both ways.
    pub(super) fn receives(&self) -> bool {
        !self
            .lines
            .iter()
            .any(|line| matches!(*line, "a=sendonly" | "a=inactive"))
    }

    /// Refused or stopped by the other side: port 0 and not part of the bundle.
    pub(super) fn refused(&self, bundle: &[&str]) -> bool {
        let port = self.lines.first().and_then(|line| line.split(' ').nth(1));
        port == Some("0") && !self.mid.is_some_and(|mid| bundle.contains(&mid))
    }

    /// The payload types in the order of preference. Retransmission and redundancy formats are left out.
    pub(super) fn formats(&self) -> Vec<Format> {
        let listed = self.lines.first().map_or("", |line| line).split(' ').skip(3);
        let mut formats: Vec<Format> = Vec::new();
        for payload_type in listed
            .filter_map(|number| number.parse::<u8>().ok())
            .filter(|number| *number < 128)
        {
            let known = formats.iter().any(|format| format.payload_type == payload_type);
            if let Some(format) = self.format(payload_type).filter(|_| !known) {
                formats.push(format);
            }
        }
        let repairs: Vec<(u8, u8)> = formats
            .iter()
            .filter(|format| format.encoding == "rtx")
            .filter_map(|format| Some((parameter(&format.parameters, "apt")?.parse().ok()?, format.payload_type)))
            .collect();
        for format in &mut formats {
            let repair = repairs.iter().find(|(original, _)| *original == format.payload_type);
            format.retransmission = repair.map(|(_, payload_type)| *payload_type);
        }
        formats.retain(|f| {
            !matches!(
                f.encoding.as_str(),
                "rtx" | "red" | "ulpfec" | "flexfec-03" | "telephone-event" | "cn"
            )
        });
        formats
    }

    fn format(&self, payload_type: u8) -> Option<Format> {
        let of_attribute = |attribute: &str| {
            self.lines.iter().find_map(|line| {
                let (number, value) = line.strip_prefix(attribute)?.split_once(' ')?;
                (number.parse() == Ok(payload_type)).then_some(value.trim())
            })
        };
        let map = match (of_attribute("a=rtpmap:"), payload_type) {
            (Some(map), _) => map,
            // Static payload types need no rtpmap (RFC 3551 §6).
            (None, 0) => "PCMU/8000",
            (None, 8) => "PCMA/8000",
            (None, _) => return None,
        };
        let mut parts = map.split('/');
        Some(Format {
            payload_type,
            encoding: parts.next()?.to_ascii_lowercase(),
            clock_rate: parts.next()?.parse().ok()?,
            channels: parts.next().and_then(|channels| channels.parse().ok()),
            parameters: of_attribute("a=fmtp:").unwrap_or_default().to_owned(),
            retransmission: None,
        })
    }
}

/// The value of `name` in the parameters of a format, `name=value;…`.
pub(super) fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use media_core::ErrorKind;

    const CHROMIUM: &str = include_str!("offers/chromium_audio_video.sdp");

    #[test]
    fn a_browsers_offer() {
        let offer = Offer::parse(CHROMIUM).unwrap();
        assert_eq!(offer.bundle().unwrap(), ["0", "1"]);
        let [audio, video] = &offer.sections[..] else {
            panic!("{} sections", offer.sections.len())
        };
        assert_eq!(
            (audio.kind, audio.mid, audio.receives()),
            (SectionKind::Audio, Some("0"), true)
        );
        let names: Vec<String> = audio.formats().into_iter().map(|f| f.encoding).collect();
        assert_eq!(names, ["opus", "g722", "pcmu", "pcma"]);
        assert_eq!(audio.formats()[0].channels, Some(2));
        assert_eq!(video.kind, SectionKind::Video);
        let main = video.formats().into_iter().find(|f| f.payload_type == 116).unwrap();
        assert_eq!(
            (main.encoding.as_str(), main.clock_rate, main.retransmission),
            ("h264", 90_000, Some(117))
        );
        assert_eq!(parameter(&main.parameters, "profile-level-id"), Some("4d001f"));
        assert_eq!(parameter(&main.parameters, "profile"), None);
    }

    #[test]
    fn refusing_a_section_leaves_the_rest_as_it_was() {
        let offer = Offer::parse(CHROMIUM).unwrap();
        let text = offer.keeping(&[1]);
        let again = Offer::parse(&text).unwrap();
        assert_eq!(again.bundle().unwrap(), ["1"]);
        assert!(text.contains("m=audio 0 UDP/TLS/RTP/SAVPF 111 63"), "{text}");
        assert!(text.contains("m=video 9 UDP/TLS/RTP/SAVPF 96 97"), "{text}");
        assert!(again.sections[0].refused(&["1"]) && !again.sections[1].refused(&["1"]));
        assert_eq!(text.lines().count(), CHROMIUM.lines().count());
    }

    #[test]
    fn static_payload_types_need_no_map() {
        let text = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 8 0 0 96 300 x\r\na=mid:a\r\na=sendonly\r\n";
        let offer = Offer::parse(text).unwrap();
        let formats = offer.sections[0].formats();
        let names: Vec<&str> = formats.iter().map(|f| f.encoding.as_str()).collect();
        assert_eq!(names, ["pcma", "pcmu"]);
        assert!(!offer.sections[0].receives());
        assert_eq!(offer.bundle(), None);
    }

    #[test]
    fn what_is_no_offer_is_malformed() {
        let many = format!("v=0\n{}", "m=video 9 UDP/TLS/RTP/SAVPF 96\n".repeat(17));
        let large = format!("v=0\nm=video 9 x 96\na={}", "x".repeat(65 << 10));
        for text in [
            "",
            "hello",
            "v=0",
            "v=0\r\nnonsense",
            "v=1\r\nm=video 9 x 96",
            "m=video 9 x 96",
            &many,
            &large,
        ] {
            let error = Offer::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Malformed, "{text:.40}");
        }
        // Odd lines inside do not matter here.
        for text in [
            "v=0\nm=",
            "v=0\nm=video",
            "v=0\nm=video \na=rtpmap:\na=fmtp:1\na=rtpmap:96 \u{e9}",
        ] {
            let offer = Offer::parse(text).unwrap();
            assert!(offer.sections[0].formats().is_empty());
            offer.keeping(&[0]);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(v=0\n)?(([amoc]=[ -~]{0,40}|m=(video|audio) [0-9]{1,4} x( [0-9]{1,3}){0,4})\n){0,20}") {
            if let Ok(offer) = Offer::parse(&text) {
                offer.keeping(&[0]);
                for section in &offer.sections {
                    section.formats();
                }
            }
        }
    }
}
