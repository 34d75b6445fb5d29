//! The UDP socket of all viewers: datagrams with the local address they came to and leave from.
//!
//! ICE pairs addresses: an answer must leave from the very address that the question was sent to, and a socket bound to
//! `0.0.0.0` does not tell which that was. So the kernel is asked for it with every datagram (IP_PKTINFO) and told it
//! with every answer.

use super::batch::Message;
use media_core::{Error, ErrorKind, Result};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::UdpSocket;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Wanted socket buffers; the kernel gives what net.core.{r,w}mem_max allow. A key frame for every viewer of a port is
/// written in one go.
const BUFFER_BYTES: libc::c_int = 4 << 20;
/// Messages in one `sendmmsg`.
const MAX_MESSAGES: usize = 64;
/// Room for control messages with an `in6_pktinfo` (40 bytes) and a segment size (24), aligned as `cmsghdr` must be.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

/// One UDP socket, IPv4 or IPv6 only.
pub(super) struct DatagramSocket {
    socket: UdpSocket,
    local: SocketAddr,
}

impl DatagramSocket {
    /// Binds to `address` (port 0: any).
    pub(super) fn bind(address: SocketAddr) -> Result<Self> {
        let bind = || -> io::Result<Self> {
            let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
            let (level, option) = if address.is_ipv4() {
                (libc::IPPROTO_IP, libc::IP_PKTINFO)
            } else {
                socket.set_only_v6(true)?;
                (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
            };
            set_option(&socket, level, option, 1)?;
            // Refused by tight limits: smaller buffers still work. Privileged processes may exceed the limits.
            for (option, forced) in [
                (libc::SO_SNDBUF, libc::SO_SNDBUFFORCE),
                (libc::SO_RCVBUF, libc::SO_RCVBUFFORCE),
            ] {
                if set_option(&socket, libc::SOL_SOCKET, forced, BUFFER_BYTES).is_err() {
                    let _ = set_option(&socket, libc::SOL_SOCKET, option, BUFFER_BYTES);
                }
            }
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            let socket = UdpSocket::from(socket);
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

    /// Takes one datagram: its length in `buffer`, where it came from and the local address it was sent to.
    /// `WouldBlock` when there is none.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
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
    pub(super) fn send_now(&self, bytes: &[u8], source: IpAddr, destination: SocketAddr) -> io::Result<()> {
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
            message.msg_controllen = write_control(&message, Some(source), None);
            libc::sendmsg(self.socket.as_raw_fd(), &raw const message, 0)
        };
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// Sends the first `messages`, whose bytes lie in `bytes`, in one call; how many. `WouldBlock` when the socket's
    /// buffer is full before the first. An error is about the first message.
    pub(super) fn send_many(&self, bytes: &[u8], messages: &[Message]) -> io::Result<usize> {
        let messages = &messages[..messages.len().min(MAX_MESSAGES)];
        // A socket bound to one address sends from nowhere else: the kernel need not be told.
        let told = self.local.ip().is_unspecified();
        let mut controls = [Control([0; 64]); MAX_MESSAGES];
        // SAFETY: all-zero is a valid value of these C structures.
        let (mut headers, mut parts, mut names): (
            [libc::mmsghdr; MAX_MESSAGES],
            [libc::iovec; MAX_MESSAGES],
            [Name; MAX_MESSAGES],
        ) = unsafe { (zeroed(), zeroed(), zeroed()) };
        for (index, message) in messages.iter().enumerate() {
            let datagrams = &bytes[message.start..message.start + message.length];
            parts[index] = libc::iovec {
                iov_base: datagrams.as_ptr().cast_mut().cast(),
                iov_len: datagrams.len(),
            };
            let header = &mut headers[index].msg_hdr;
            header.msg_namelen = names[index].write(message.path.destination);
            header.msg_name = (&raw mut names[index]).cast();
            header.msg_iov = &raw mut parts[index];
            header.msg_iovlen = 1;
            let source = told.then_some(message.path.source);
            let segment = (message.length > message.segment).then_some(message.segment as u16);
            if source.is_some() || segment.is_some() {
                header.msg_control = controls[index].0.as_mut_ptr().cast();
                header.msg_controllen = controls[index].0.len();
                // SAFETY: the control buffer is alive, aligned and 64 bytes long.
                header.msg_controllen = unsafe { write_control(header, source, segment) };
            }
        }
        // SAFETY: the kernel only reads what the headers point to, all of it alive, and writes lengths into them.
        let sent = unsafe {
            libc::sendmmsg(
                self.socket.as_raw_fd(),
                headers.as_mut_ptr(),
                messages.len() as libc::c_uint,
                0,
            )
        };
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(sent as usize)
        }
    }

    /// Waits until the socket's buffer has room, at most for `limit`; how long it took.
    pub(super) fn wait_writable(&self, limit: Duration) -> Duration {
        let start = Instant::now();
        let mut wanted = libc::pollfd {
            fd: self.socket.as_raw_fd(),
            events: libc::POLLOUT,
            revents: 0,
        };
        // SAFETY: one live pollfd.
        unsafe { libc::poll(&raw mut wanted, 1, limit.as_millis().max(1) as libc::c_int) };
        // Never nothing, so that a wait in steps ends.
        start.elapsed().max(Duration::from_micros(10))
    }
}

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A socket address in the kernel's form: the larger of the two has room for both.
#[repr(C)]
#[derive(Clone, Copy)]
union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl Name {
    /// Writes `address`; its length.
    fn write(&mut self, address: SocketAddr) -> libc::socklen_t {
        match address {
            SocketAddr::V4(address) => {
                // SAFETY: all-zero is a valid sockaddr_in.
                let mut v4: libc::sockaddr_in = unsafe { zeroed() };
                v4.sin_family = libc::AF_INET as libc::sa_family_t;
                v4.sin_port = address.port().to_be();
                v4.sin_addr.s_addr = u32::from(*address.ip()).to_be();
                self.v4 = v4;
                size_of::<libc::sockaddr_in>() as libc::socklen_t
            }
            SocketAddr::V6(address) => {
                // SAFETY: all-zero is a valid sockaddr_in6.
                let mut v6: libc::sockaddr_in6 = unsafe { zeroed() };
                v6.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                v6.sin6_port = address.port().to_be();
                v6.sin6_addr.s6_addr = address.ip().octets();
                v6.sin6_scope_id = address.scope_id();
                self.v6 = v6;
                size_of::<libc::sockaddr_in6>() as libc::socklen_t
            }
        }
    }
}

/// Sets an integer option.
fn set_option(socket: &Socket, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the value is a c_int of the length given, alive during the call.
    let set = unsafe {
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length)
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

/// Writes the control messages that make a datagram leave from `source` and cut it into segments; their length.
///
/// # Safety
/// The control buffer of `message` is writable, aligned and holds at least 64 bytes.
unsafe fn write_control(message: &libc::msghdr, source: Option<IpAddr>, segment: Option<u16>) -> usize {
    let mut used = 0;
    // SAFETY: there is room for both, an address (40 bytes at most) and a segment size (24).
    unsafe {
        match source {
            Some(IpAddr::V4(ip)) => {
                let mut info: libc::in_pktinfo = zeroed();
                info.ipi_spec_dst.s_addr = u32::from(ip).to_be();
                used += append_control(message, used, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            Some(IpAddr::V6(ip)) => {
                let mut info: libc::in6_pktinfo = zeroed();
                info.ipi6_addr.s6_addr = ip.octets();
                used += append_control(message, used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
            None => {}
        }
        if let Some(segment) = segment {
            used += append_control(message, used, libc::SOL_UDP, libc::UDP_SEGMENT, segment);
        }
    }
    used
}

/// Writes one control message at `used`; the room it takes.
///
/// # Safety
/// The control buffer of `message` is writable, aligned, and has the room from `used` on.
unsafe fn append_control<T>(
    message: &libc::msghdr,
    used: usize,
    level: libc::c_int,
    kind: libc::c_int,
    value: T,
) -> usize {
    // SAFETY: by the contract above; headers lie at multiples of their alignment because lengths are CMSG_SPACEs.
    unsafe {
        let header = message.msg_control.cast::<u8>().add(used).cast::<libc::cmsghdr>();
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<T>() as u32) as usize;
        libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
        libc::CMSG_SPACE(size_of::<T>() as u32) as usize
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn exchange(bind: &str, ip: &str) {
        let socket = DatagramSocket::bind(bind.parse().unwrap()).unwrap();
        let target = SocketAddr::new(ip.parse().unwrap(), socket.local().port());
        let client = UdpSocket::bind(SocketAddr::new(target.ip(), 0)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        // Both ends lie in one kernel: what is sent is there.
        client.send_to(b"question", target).unwrap();
        let mut buffer = [0; 100];
        let (length, source, destination) = socket.receive(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..length], source, destination),
            (&b"question"[..], client.local_addr().unwrap(), target)
        );
        socket.send_now(b"answer", destination.ip(), source).unwrap();
        let (length, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..length], from),
            (&b"answer"[..], target),
            "leaves from the address asked"
        );
        let none = socket.receive(&mut buffer).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn answers_leave_from_the_address_that_was_asked() {
        exchange("0.0.0.0:0", "127.0.0.1");
        // Another address of the loopback network: the kernel would answer from 127.0.0.1.
        exchange("0.0.0.0:0", "127.0.0.7");
    }

    #[test]
    fn ipv6_too() {
        if std::net::UdpSocket::bind("[::1]:0").is_err() {
            return eprintln!("ipv6_too: not tried, this machine has no ::1");
        }
        exchange("[::]:0", "::1");
    }

    #[test]
    fn a_taken_port_is_named() {
        let first = DatagramSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = DatagramSocket::bind(first.local()).map(|_| ()).unwrap_err();
        let message = format!("WebRTC UDP port {}: another process has it", first.local());
        assert_eq!((error.kind(), error.message()), (ErrorKind::Conflict, message.as_str()));
    }
}
