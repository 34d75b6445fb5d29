//! RTSP URLs as people type them: with passwords that nobody escaped, ports left out, blanks around.

use super::digest::Credentials;
use crate::{Error, ErrorKind, Result};

/// A camera's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtspUrl {
    /// True for `rtsps`.
    pub tls: bool,
    /// Host name or address, IPv6 without brackets.
    pub host: String,
    /// Port; 554 or 322 (rtsps) when the URL has none.
    pub port: u16,
    /// Name and password found in the URL.
    pub credentials: Option<Credentials>,
    /// The URL without name and password, as it is sent in requests.
    pub request_uri: String,
}

impl RtspUrl {
    /// Reads a URL. `Invalid` for other schemes and for a missing host; the message never contains the password.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |why: &str| Error::new(ErrorKind::Invalid, format!("not an RTSP URL: {why}"));
        let text = text.trim();
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| invalid("it does not start with rtsp://"))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "rtsp" | "rtspt" => false,
            "rtsps" => true,
            _ => return Err(invalid("its scheme is neither rtsp nor rtsps")),
        };
        if rest.contains(|c: char| c.is_ascii_control() || c == ' ') {
            return Err(invalid("it contains a blank or a control character"));
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (mut authority, mut path) = rest.split_at(end);
        if !authority.contains('@')
            && let Some(at) = rest
                .find('@')
                .filter(|at| rest[..*at].contains(':') && port_fails(authority))
        {
            // A slash or question mark inside an unescaped password.
            let end = rest[at..].find(['/', '?']).map_or(rest.len(), |end| at + end);
            (authority, path) = rest.split_at(end);
        }
        let (userinfo, host_port) = match authority.rsplit_once('@') {
            Some((userinfo, host_port)) => (Some(userinfo), host_port),
            None => (None, authority),
        };
        let (host, port) = match host_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => host_port
                .split_once(':')
                .map_or((host_port, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() {
            return Err(invalid("it names no host"));
        }
        let port = match port {
            None | Some("") => {
                if tls {
                    322
                } else {
                    554
                }
            }
            Some(port) => port
                .parse()
                .ok()
                .filter(|p| *p != 0)
                .ok_or_else(|| invalid("its port is not a number"))?,
        };
        let credentials = userinfo.filter(|userinfo| !userinfo.is_empty()).map(|userinfo| {
            let (username, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
            Credentials {
                username: percent_decode(username),
                password: percent_decode(password),
            }
        });
        let path = path.split('#').next().unwrap_or_default();
        let request_uri = format!("{}://{host_port}{path}", if tls { "rtsps" } else { "rtsp" });
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
            credentials,
            request_uri,
        })
    }
}

/// `a:b` where b is no port: probably a name and the start of a password.
fn port_fails(authority: &str) -> bool {
    authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_err())
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |n: usize| bytes.get(at + n).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[at], hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high << 4 | low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The URL of a medium: its `a=control` seen from `base` (Content-Base, or the URL asked for).
///
/// Cameras mean relative values to be appended, not resolved as RFC 3986 would: `base` may end in a query.
pub fn control_url(base: &str, control: Option<&str>) -> String {
    let Some(control) = control.map(str::trim).filter(|c| !c.is_empty() && *c != "*") else {
        return base.to_owned();
    };
    if is_absolute(control) {
        return control.to_owned();
    }
    let origin_end = base.find("://").map_or(0, |at| at + 3);
    let path_at = base[origin_end..].find('/').map_or(base.len(), |at| origin_end + at);
    let base_path = base[path_at..].trim_end_matches('/');
    if !base_path.is_empty() && control.starts_with(base_path) {
        return format!("{}{control}", &base[..path_at]);
    }
    format!("{}/{}", base.trim_end_matches('/'), control.trim_start_matches('/'))
}

/// Whether `text` is an RTSP URL with its scheme.
pub fn is_absolute(text: &str) -> bool {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    lower.starts_with("rtsp://") || lower.starts_with("rtsps://")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_taken_apart() {
        let url = RtspUrl::parse(" rtsp://admin:s%40c@10.0.0.9/cam?channel=1&subtype=0 ").unwrap();
        assert_eq!((url.tls, url.host.as_str(), url.port), (false, "10.0.0.9", 554));
        let credentials = url.credentials.unwrap();
        assert_eq!(
            (credentials.username.as_str(), credentials.password.as_str()),
            ("admin", "s@c")
        );
        assert_eq!(url.request_uri, "rtsp://10.0.0.9/cam?channel=1&subtype=0");
        let url = RtspUrl::parse("RTSPS://[fe80::1]:7441").unwrap();
        assert_eq!(
            (url.tls, url.host.as_str(), url.port, url.credentials),
            (true, "fe80::1", 7441, None)
        );
        assert_eq!(RtspUrl::parse("rtsps://h/x").unwrap().port, 322);
    }

    #[test]
    fn unescaped_passwords_are_understood() {
        let url = RtspUrl::parse("rtsp://user:p@ss@h:8554/s").unwrap();
        assert_eq!(
            (url.host.as_str(), url.credentials.unwrap().password),
            ("h", "p@ss".to_owned())
        );
        let url = RtspUrl::parse("rtsp://user:p/a?s@h:8554/s").unwrap();
        assert_eq!(
            (url.host.as_str(), url.credentials.unwrap().password),
            ("h", "p/a?s".to_owned())
        );
        assert_eq!(
            RtspUrl::parse("rtsp://h:554/a@b").unwrap().request_uri,
            "rtsp://h:554/a@b"
        );
    }

    #[test]
    fn other_addresses_are_refused_without_showing_the_password() {
        for text in [
            "http://h/",
            "10.0.0.9",
            "rtsp://",
            "rtsp://u:secret@",
            "rtsp://u:secret@h:99999/",
            "rtsp://h/a b",
        ] {
            let error = RtspUrl::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            assert!(!error.message().contains("secret"));
        }
    }

    #[test]
    fn controls_are_seen_from_their_base() {
        let cases = [
            ("rtsp://h/s/", Some("trackID=1"), "rtsp://h/s/trackID=1"),
            ("rtsp://h/s", Some("trackID=1"), "rtsp://h/s/trackID=1"),
            ("rtsp://h/s?c=1&t=0", Some("trackID=1"), "rtsp://h/s?c=1&t=0/trackID=1"),
            ("rtsp://h/s", Some("/trackID=1"), "rtsp://h/s/trackID=1"),
            ("rtsp://h/s", Some("/s/trackID=1"), "rtsp://h/s/trackID=1"),
            ("rtsp://h", Some("video"), "rtsp://h/video"),
            ("rtsp://h/s", Some("RTSP://10.0.0.9/x"), "RTSP://10.0.0.9/x"),
            ("rtsp://h/s", Some("*"), "rtsp://h/s"),
            ("rtsp://h/s", None, "rtsp://h/s"),
        ];
        for (base, control, url) in cases {
            assert_eq!(control_url(base, control), url);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(rtsp://)?\\PC{0,40}", control in "\\PC{0,20}") {
            let _ = RtspUrl::parse(&text);
            let _ = control_url(&text, Some(&control));
        }
    }
}
