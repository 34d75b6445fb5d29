//! What an answer says about the packets that come.

use media_core::{Codec, Error, Result};

/// The payload types of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Formats {
    pub(super) video: u8,
    pub(super) codec: Codec,
    pub(super) repair: Option<u8>,
    pub(super) audio: Option<u8>,
}

impl Formats {
    /// Reads an answer. `Malformed` when it sends no video.
    pub(super) fn of(answer: &str) -> Result<Self> {
        let mut formats = Self {
            video: 0,
            codec: Codec::H264,
            repair: None,
            audio: None,
        };
        let (mut in_video, mut found) = (false, false);
        for line in answer.lines() {
            if let Some(media) = line.strip_prefix("m=") {
                let mut words = media.split_ascii_whitespace();
                let kind = words.next();
                let alive = words.next() != Some("0");
                let first = words.nth(1).and_then(|number| number.parse().ok());
                in_video = kind == Some("video") && alive;
                if let (Some(first), true) = (first, in_video) {
                    formats.video = first;
                    found = true;
                } else if kind == Some("audio") && alive {
                    formats.audio = first;
                }
            } else if let Some((number, map)) = line.strip_prefix("a=rtpmap:").and_then(|l| l.split_once(' ')) {
                if in_video && number.parse() == Ok(formats.video) && map.to_ascii_uppercase().starts_with("H265") {
                    formats.codec = Codec::H265;
                }
            } else if let Some((number, parameters)) = line.strip_prefix("a=fmtp:").and_then(|l| l.split_once(' '))
                && in_video
                && parameters.strip_prefix("apt=").and_then(|of| of.trim().parse().ok()) == Some(formats.video)
            {
                formats.repair = number.parse().ok();
            }
        }
        if found {
            Ok(formats)
        } else {
            Err(Error::malformed("SDP answer that sends no video"))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_names_its_payload_types() {
        let answer = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 108 109\r\na=rtpmap:108 H264/90000\r\n\
            a=fmtp:108 packetization-mode=1\r\na=rtpmap:109 rtx/90000\r\na=fmtp:109 apt=108\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 8\r\n";
        let expected = Formats {
            video: 108,
            codec: Codec::H264,
            repair: Some(109),
            audio: Some(8),
        };
        assert_eq!(Formats::of(answer).unwrap(), expected);
        let refused = answer.replace("audio 9", "audio 0").replace("H264", "H265");
        let formats = Formats::of(&refused).unwrap();
        assert_eq!((formats.audio, formats.codec), (None, Codec::H265));
        assert!(Formats::of("v=0\r\nm=video 0 UDP/TLS/RTP/SAVPF 108\r\n").is_err());
    }
}
