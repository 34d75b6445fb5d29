//! The Transport header (RFC 2326 §12.39), the Session header (§12.37) and what cameras make of them.

/// Longest session time-out that is believed, seconds.
const MAX_TIMEOUT_S: u32 = 3600;

/// How a track's packets come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// In the RTSP connection.
    Interleaved {
        /// Channel of the RTP packets.
        rtp_channel: u8,
        /// Channel of the RTCP packets.
        rtcp_channel: u8,
    },
    /// As datagrams.
    Udp {
        /// Our port for RTP; RTCP comes to the next one.
        client_port: u16,
        /// The camera's RTP and RTCP ports, where it tells them.
        server_ports: Option<(u16, u16)>,
    },
}

/// What a camera's Transport header says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transport {
    /// `interleaved=`
    pub interleaved: Option<(u8, u8)>,
    /// `server_port=`
    pub server_ports: Option<(u16, u16)>,
    /// `source=`
    pub source: Option<String>,
    /// `ssrc=`, hexadecimal
    pub ssrc: Option<u32>,
}

impl Transport {
    /// Reads the first transport of a header; unknown and unreadable parts are stepped over.
    pub fn parse(header: &str) -> Self {
        let mut transport = Self::default();
        for part in header.split(',').next().unwrap_or_default().split(';') {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "interleaved" => transport.interleaved = pair(value),
                "server_port" => transport.server_ports = pair(value),
                "source" if !value.is_empty() => transport.source = Some(value.to_owned()),
                "ssrc" => transport.ssrc = u32::from_str_radix(value.trim_start_matches("0x"), 16).ok(),
                _ => {}
            }
        }
        transport
    }
}

/// `a-b`, or `a` alone, which implies the next number.
fn pair<N: std::str::FromStr + Copy + Into<u32> + TryFrom<u32>>(text: &str) -> Option<(N, N)> {
    let (first, second) = text.split_once('-').unwrap_or((text, ""));
    let first: N = first.trim().parse().ok()?;
    let next = N::try_from(first.into() + 1).unwrap_or(first);
    Some((first, second.trim().parse().unwrap_or(next)))
}

/// Session id of a Session header, and its time-out in seconds if it states a believable one.
pub fn parse_session(header: &str) -> (String, Option<u32>) {
    let mut parts = header.split(';');
    let id = parts.next().unwrap_or_default().trim().to_owned();
    let timeout_s = parts
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .filter(|timeout_s| (1..=MAX_TIMEOUT_S).contains(timeout_s));
    (id, timeout_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_of_cameras_are_read() {
        let transport = Transport::parse("RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=000A959D");
        assert_eq!((transport.interleaved, transport.ssrc), (Some((2, 3)), Some(0xa959d)));
        let transport = Transport::parse("RTP/AVP;unicast; source=10.0.0.9;client_port=5000-5001;Server_Port=6970");
        assert_eq!(
            (transport.server_ports, transport.source.as_deref()),
            (Some((6970, 6971)), Some("10.0.0.9"))
        );
        assert_eq!(
            Transport::parse("RTP/AVP/TCP;interleaved=255").interleaved,
            Some((255, 255))
        );
        assert_eq!(Transport::parse("interleaved=300-301;ssrc=zz"), Transport::default());
    }

    #[test]
    fn sessions_are_read_with_their_time_out() {
        assert_eq!(parse_session("1234abcd;timeout=30"), ("1234abcd".into(), Some(30)));
        assert_eq!(parse_session(" 12 ; Timeout = 90 "), ("12".into(), Some(90)));
        assert_eq!(parse_session("12;timeout=0"), ("12".into(), None));
        assert_eq!(parse_session("12;timeout=4294967295"), ("12".into(), None));
    }

    proptest! {
        #[test]
        fn any_header_is_read(header in "\\PC{0,60}") {
            let _ = Transport::parse(&header);
            let _ = parse_session(&header);
        }
    }
}
