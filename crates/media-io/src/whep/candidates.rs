//! ICE candidates of the answer beyond the sockets' own: public addresses that a router forwards here, and ICE-TCP.
//!
//! They are only told to the viewer. What arrives by them arrives at an address of this machine, which is all that the
//! ICE stack has to know.

use super::addresses;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// RFC 8445 §5.1.2.1, for host candidates.
const UDP_TYPE_PREFERENCE: u32 = 126;
/// Below every way by UDP that needs no relay, above relays (0): RFC 6544 §4.2 wants TCP below UDP of the same kind.
const TCP_TYPE_PREFERENCE: u32 = 90;
/// RFC 6544 §4.2: passive host candidates come between active (6) and simultaneous-open ones.
const PASSIVE_PREFERENCE: u32 = 4;
/// The lower 13 bits of the local preference of a TCP candidate.
const MAX_OTHER_PREFERENCE: u32 = 0x1fff;

/// An address by which viewers elsewhere reach this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicAddress {
    /// The address of the router, or of this machine as others see it.
    pub ip: IpAddr,
    /// The port there, UDP and TCP alike; None: the same as here.
    pub port: Option<u16>,
}

/// Not an address that a viewer could be told. Says what to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPublicAddress;

impl fmt::Display for NoPublicAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write IP, IP:port or [IPv6]:port, such as 203.0.113.7, 203.0.113.7:8189 or [2001:db8::7]:8189")
    }
}

impl std::error::Error for NoPublicAddress {}

impl FromStr for PublicAddress {
    type Err = NoPublicAddress;

    fn from_str(text: &str) -> Result<Self, NoPublicAddress> {
        let whole = text.parse().map(|ip: IpAddr| (ip, None));
        let with_port = || text.parse().map(|at: SocketAddr| (at.ip(), Some(at.port())));
        let (ip, port) = whole.or_else(|_| with_port()).map_err(|_| NoPublicAddress)?;
        if ip.is_unspecified() || ip.is_multicast() || port == Some(0) {
            return Err(NoPublicAddress);
        }
        Ok(Self { ip, port })
    }
}

/// The lines of all candidates that the ICE stack does not write: `public` addresses of the sockets bound to `udp`, and
/// every address of those that listen at `tcp`.
pub(super) fn lines(public: &[PublicAddress], udp: &[SocketAddr], tcp: &[SocketAddr]) -> Vec<String> {
    let by_udp = elsewhere(public, udp);
    let mut by_tcp = elsewhere(public, tcp);
    by_tcp.extend(addresses::reachable(tcp));
    let udp_lines = by_udp.iter().zip(0..).map(|(at, index)| {
        // Below the addresses of this machine, which are nearer: those count down from 65535.
        let priority = UDP_TYPE_PREFERENCE << 24 | (0x7fff - index) << 8 | 255;
        format!(
            "a=candidate:u{index} 1 udp {priority} {} {} typ host",
            at.ip(),
            at.port()
        )
    });
    let tcp_lines = by_tcp.iter().zip(0..).map(|(at, index)| {
        let local = PASSIVE_PREFERENCE << 13 | MAX_OTHER_PREFERENCE.saturating_sub(index);
        let priority = TCP_TYPE_PREFERENCE << 24 | local << 8 | 255;
        let (ip, port) = (at.ip(), at.port());
        format!("a=candidate:t{index} 1 tcp {priority} {ip} {port} typ host tcptype passive")
    });
    udp_lines.chain(tcp_lines).collect()
}

/// The public addresses of sockets bound to `bound`: of the families that they have, with their port unless another was
/// given.
fn elsewhere(public: &[PublicAddress], bound: &[SocketAddr]) -> Vec<SocketAddr> {
    let of = |address: &PublicAddress| {
        let socket = bound.iter().find(|b| b.is_ipv4() == address.ip.is_ipv4())?;
        Some(SocketAddr::new(address.ip, address.port.unwrap_or(socket.port())))
    };
    public.iter().filter_map(of).collect()
}

/// Writes `lines` into an answer: after the connection line of the first section that lives, where attributes may begin
/// (RFC 8866 §5) and the other candidates are.
pub(super) fn insert(answer: &str, lines: &[String]) -> String {
    let mut text = String::with_capacity(answer.len() + 100 * lines.len());
    let (mut alive, mut placed) = (false, false);
    for line in answer.lines() {
        if line.starts_with("m=") {
            alive = line.split(' ').nth(1) != Some("0");
        }
        text.push_str(line);
        text.push_str("\r\n");
        if line.starts_with("c=") && alive && !placed {
            placed = true;
            for candidate in lines {
                text.push_str(candidate);
                text.push_str("\r\n");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use str0m::Candidate;

    fn addresses_of(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn public_addresses_are_read() {
        for (text, ip, port) in [
            ("203.0.113.7", "203.0.113.7", None),
            ("203.0.113.7:18189", "203.0.113.7", Some(18189)),
            ("2001:db8::7", "2001:db8::7", None),
            ("[2001:db8::7]:443", "2001:db8::7", Some(443)),
        ] {
            let ip = ip.parse().unwrap();
            assert_eq!(text.parse(), Ok(PublicAddress { ip, port }), "{text}");
        }
        for text in [
            "",
            "vms.example",
            "vms.example:8189",
            "203.0.113.7:",
            "203.0.113.7:0",
            "203.0.113.7:65536",
            "0.0.0.0",
            "::",
            "[2001:db8::7]",
            "224.0.0.1",
            "203.0.113.7 ",
            "203.0.113",
        ] {
            assert_eq!(text.parse::<PublicAddress>(), Err(NoPublicAddress), "{text:?}");
        }
        assert!(NoPublicAddress.to_string().contains("[2001:db8::7]:8189"));
    }

    #[test]
    fn every_way_is_offered_with_its_rank() {
        let public = ["203.0.113.7:18189".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        let udp = addresses_of(&["192.0.2.1:8189", "[2001:db8::1]:8189"]);
        let tcp = addresses_of(&["192.0.2.1:8189"]);
        let lines = lines(&public, &udp, &tcp);
        let read = |line: &String| {
            let candidate = Candidate::from_sdp_string(line.strip_prefix("a=").unwrap()).unwrap();
            (candidate.addr(), candidate.proto().to_string(), candidate.prio())
        };
        let candidates: Vec<_> = lines.iter().map(read).collect();
        let ways: Vec<_> = candidates
            .iter()
            .map(|(at, proto, _)| format!("{proto} {at}"))
            .collect();
        assert_eq!(
            ways,
            [
                "udp 203.0.113.7:18189",
                "udp [2001:db8::7]:8189",
                // No TCP by IPv6 here.
                "tcp 203.0.113.7:18189",
                "tcp 192.0.2.1:8189",
            ]
        );
        let own = Candidate::host(udp[0], "udp").unwrap();
        assert!(own.prio() > candidates[0].2, "the machine's own addresses first");
        assert!(candidates.windows(2).all(|pair| pair[0].2 > pair[1].2), "{lines:?}");
        assert!(lines[2].ends_with(" typ host tcptype passive"));
    }

    #[test]
    fn they_go_into_the_first_section_that_lives() {
        let answer = "v=0\r\nm=audio 0 X 0\r\nc=IN IP4 0.0.0.0\r\nm=video 9 X 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\n\
            m=audio 9 X 8\r\nc=IN IP4 0.0.0.0\r\n";
        let text = insert(answer, &["a=candidate:x".to_owned()]);
        let expected = answer.replace("a=mid:1", "a=candidate:x\r\na=mid:1");
        assert_eq!(text, expected);
        assert_eq!(insert(answer, &[]), answer);
    }
}
