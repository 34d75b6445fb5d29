//! The pair of UDP ports that all clients share: RTP leaves from the even one, RTCP from the one above it.

use media_core::rtsp::server::Delivery;
use media_core::{Error, ErrorKind, Result};
use socket2::SockRef;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Both sockets, non-blocking.
pub(super) struct UdpPair {
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
    pub ports: (u16, u16),
}

/// Binds two neighbouring ports on `ip`, the first even (RFC 3550 §11). Unavailable when none are free.
pub(super) fn bind_pair(ip: IpAddr) -> Result<UdpPair> {
    for _ in 0..100 {
        let rtp = UdpSocket::bind((ip, 0))?;
        let port = rtp.local_addr()?.port();
        if port % 2 != 0 || port == u16::MAX {
            continue;
        }
        let Ok(rtcp) = UdpSocket::bind((ip, port + 1)) else {
            continue;
        };
        for socket in [&rtp, &rtcp] {
            socket.set_nonblocking(true)?;
            // One socket feeds all clients: a burst of key frames must fit. The kernel caps it at its own maximum.
            SockRef::from(socket).set_send_buffer_size(4 << 20)?;
        }
        return Ok(UdpPair {
            rtp,
            rtcp,
            ports: (port, port + 1),
        });
    }
    Err(Error::new(
        ErrorKind::Unavailable,
        format!("no two neighbouring UDP ports are free on {ip}"),
    ))
}

impl UdpPair {
    /// Sends one packet to the client at `ip`; false when the network did not take it (it is lost, as on any network).
    pub(super) fn send(&self, packet: &[u8], control: bool, ip: IpAddr, delivery: Delivery) -> bool {
        let Delivery::Udp { rtp_port, rtcp_port } = delivery else {
            return false;
        };
        let (socket, port) = if control {
            (&self.rtcp, rtcp_port)
        } else {
            (&self.rtp, rtp_port)
        };
        socket.send_to(packet, SocketAddr::new(ip, port)).is_ok()
    }
}
