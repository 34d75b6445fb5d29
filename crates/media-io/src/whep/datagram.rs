//! The UDP socket of all viewers: datagrams with the local address they came to and leave from.
//!
//! ICE pairs addresses: an answer must leave from the very address that the question was sent to, and a socket bound to
//! `0.0.0.0` does not tell which that was. So the kernel is asked for it with every datagram (IP_PKTINFO) and told it
//! with every answer.

use media_core::{Error, ErrorKind, Result};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Wanted socket buffers; the kernel gives what net.core.{r,w}mem_max allow. A key frame for every viewer of a port is
/// written in one go.
const BUFFER_BYTES: usize = 4 << 20;
/// Room for one control message with an `in6_pktinfo`, aligned as `cmsghdr` must be.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// One UDP socket, IPv4 or IPv6 only.
pub(super) struct DatagramSocket {
    socket: UdpSocket,
    local: SocketAddr,
}

impl DatagramSocket {
    /// Binds to `address` (port 0: any) on the current tokio runtime.
    pub(super) fn bind(address: SocketAddr) -> Result<Self> {
        let bind = || -> io::Result<Self> {
            let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
            let (level, option) = if address.is_ipv4() {
                (libc::IPPROTO_IP, libc::IP_PKTINFO)
            } else {
                socket.set_only_v6(true)?;
                (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
            };
            set_option(&socket, level, option)?;
            // Refused by tight limits: smaller buffers still work.
            let _ = socket.set_send_buffer_size(BUFFER_BYTES);
            let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            let socket = UdpSocket::from_std(socket.into())?;
            let local = socket.local_addr()?;
            Ok(Self { socket, local })
        };
        bind().map_err(|e| {
            let error = match e.kind() {
                io::ErrorKind::AddrInUse => Error::new(ErrorKind::Conflict, "another process has it"),
                _ => e.into(),
            };
            error.within(format!("WebRTC UDP port {address}"))
        })
    }

    /// The address bound to, with its real port.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Ready when a datagram may be there.
    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_recv_ready(context)
    }

    /// Takes one datagram: its length in `buffer`, where it came from and the local address it was sent to.
    /// `WouldBlock` when there is none.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        self.socket.try_io(Interest::READABLE, || self.receive_now(buffer))
    }

    fn receive_now(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        // SAFETY: all-zero is a valid value of these C structures.
        let (mut from, mut message): (libc::sockaddr_storage, libc::msghdr) = unsafe { (zeroed(), zeroed()) };
        let mut part = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        let mut control = Control([0; 64]);
        message.msg_name = (&raw mut from).cast();
        message.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len();
        // SAFETY: every pointer in `message` is to a live buffer of the length given with it.
        let length = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, 0) };
        if length < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: recvmsg succeeded and filled `from` and `control` as the lengths in `message` say.
        let (source, destination) = unsafe { (socket_address(&from), destination_of(&message)) };
        let source = source.ok_or(io::ErrorKind::InvalidData)?;
        let ip = destination.unwrap_or(self.local.ip());
        Ok((length as usize, source, SocketAddr::new(ip, self.local.port())))
    }

    /// Sends one datagram from the local address `source`. `WouldBlock` when the socket's buffer is full.
    pub(super) fn send(&self, bytes: &[u8], source: IpAddr, destination: SocketAddr) -> io::Result<()> {
        self.socket
            .try_io(Interest::WRITABLE, || self.send_now(bytes, source, destination))
    }

    fn send_now(&self, bytes: &[u8], source: IpAddr, destination: SocketAddr) -> io::Result<()> {
        let to = socket2::SockAddr::from(destination);
        let mut control = Control([0; 64]);
        // SAFETY: all-zero is a valid msghdr.
        let mut message: libc::msghdr = unsafe { zeroed() };
        let mut part = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        message.msg_name = to.as_ptr().cast_mut().cast();
        message.msg_namelen = to.len();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len();
        // SAFETY: `control` has room for the one message written; the kernel only reads what `message` points to.
        let sent = unsafe {
            message.msg_controllen = write_source(&message, source);
            libc::sendmsg(self.socket.as_raw_fd(), &raw const message, 0)
        };
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

/// Sets an integer option to 1.
fn set_option(socket: &Socket, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the value is a c_int of the length given, alive during the call.
    let set = unsafe {
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), length)
    };
    if set < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// # Safety
/// `storage` holds what the kernel wrote for its family.
unsafe fn socket_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says so, and sockaddr_storage is large and aligned enough.
            let v4 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            // Without flow and zone: the same peer is the same key in every map.
            Some(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, 0).into())
        }
        _ => None,
    }
}

/// The address a received datagram was sent to.
///
/// # Safety
/// `message` was filled by a successful recvmsg and its control buffer is alive.
unsafe fn destination_of(message: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR stay within msg_controllen; the data of each kind has the type read.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while let Some(control) = header.as_ref() {
            let data = libc::CMSG_DATA(header);
            match (control.cmsg_level, control.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    return Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                _ => header = libc::CMSG_NXTHDR(message, header),
            }
        }
    }
    None
}

/// Writes the control message that makes a datagram leave from `source`; its length.
///
/// # Safety
/// The control buffer of `message` is writable, aligned and holds at least 64 bytes.
unsafe fn write_source(message: &libc::msghdr, source: IpAddr) -> usize {
    // SAFETY: the first header lies at the start of the buffer, which has room for either structure after it.
    unsafe {
        let Some(header) = libc::CMSG_FIRSTHDR(message).as_mut() else {
            return 0;
        };
        let (level, kind, length) = match source {
            IpAddr::V4(ip) => {
                let mut info: libc::in_pktinfo = zeroed();
                info.ipi_spec_dst.s_addr = u32::from(ip).to_be();
                libc::CMSG_DATA(header).cast::<libc::in_pktinfo>().write_unaligned(info);
                (libc::IPPROTO_IP, libc::IP_PKTINFO, size_of::<libc::in_pktinfo>())
            }
            IpAddr::V6(ip) => {
                let mut info: libc::in6_pktinfo = zeroed();
                info.ipi6_addr.s6_addr = ip.octets();
                libc::CMSG_DATA(header)
                    .cast::<libc::in6_pktinfo>()
                    .write_unaligned(info);
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, size_of::<libc::in6_pktinfo>())
            }
        };
        header.cmsg_level = level;
        header.cmsg_type = kind;
        header.cmsg_len = libc::CMSG_LEN(length as u32) as usize;
        libc::CMSG_SPACE(length as u32) as usize
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn exchange(bind: &str, ip: &str) {
        let socket = DatagramSocket::bind(bind.parse().unwrap()).unwrap();
        let target = SocketAddr::new(ip.parse().unwrap(), socket.local().port());
        let client = UdpSocket::bind(SocketAddr::new(target.ip(), 0)).await.unwrap();
        client.send_to(b"question", target).await.unwrap();
        std::future::poll_fn(|context| socket.poll_readable(context))
            .await
            .unwrap();
        let mut buffer = [0; 100];
        let (length, source, destination) = socket.receive(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..length], source, destination),
            (&b"question"[..], client.local_addr().unwrap(), target)
        );
        socket.send(b"answer", destination.ip(), source).unwrap();
        let (length, from) = client.recv_from(&mut buffer).await.unwrap();
        assert_eq!(
            (&buffer[..length], from),
            (&b"answer"[..], target),
            "leaves from the address asked"
        );
        let none = socket.receive(&mut buffer).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn answers_leave_from_the_address_that_was_asked() {
        exchange("0.0.0.0:0", "127.0.0.1").await;
        // Another address of the loopback network: the kernel would answer from 127.0.0.1.
        exchange("0.0.0.0:0", "127.0.0.7").await;
    }

    #[tokio::test]
    async fn ipv6_too() {
        if std::net::UdpSocket::bind("[::1]:0").is_ok() {
            exchange("[::]:0", "::1").await;
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let first = DatagramSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = DatagramSocket::bind(first.local()).map(|_| ()).unwrap_err();
        let message = format!("WebRTC UDP port {}: another process has it", first.local());
        assert_eq!((error.kind(), error.message()), (ErrorKind::Conflict, message.as_str()));
    }
}
