//! The UDP sockets of one track: RTP on an even port, RTCP on the next one, received many datagrams at a time.

use super::connection::with_buffer;
use media_core::Result;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Kernel buffer for a burst: a key frame of 2 MB that arrives while this process waits for a processor.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// Datagrams per system call.
const BATCH: usize = 32;
/// Longest datagram taken whole; longer ones are cut and then counted as malformed.
const DATAGRAM_BYTES: usize = 2048;
/// System calls in a row before others get their turn.
const CALLS_PER_WAKE: usize = 8;
/// Port pairs tried.
const BIND_ATTEMPTS: usize = 64;

/// One track's sockets.
pub(super) struct Datagrams {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    port: u16,
    camera: IpAddr,
}

impl Datagrams {
    /// Binds a pair of ports on `local`, for datagrams from `camera`.
    pub(super) fn bind(local: IpAddr, camera: IpAddr) -> Result<Self> {
        let mut last_error = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..BIND_ATTEMPTS {
            match bind_pair(local) {
                Ok(Some((rtp, rtcp, port))) => {
                    return Ok(Self {
                        rtp,
                        rtcp,
                        port,
                        camera: camera.to_canonical(),
                    });
                }
                Ok(None) => {}
                Err(e) => last_error = e,
            }
        }
        Err(media_core::Error::from(last_error).within("no pair of UDP ports could be bound"))
    }

    /// The RTP port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Opens a way through address translation and firewalls to the camera's ports, as far as it needs one.
    pub(super) fn punch(&self, server_ports: Option<(u16, u16)>, receiver_report: &[u8]) {
        let Some((rtp_port, rtcp_port)) = server_ports else {
            return;
        };
        // An RTP packet without payload. What fails here only fails to help.
        let empty = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let _ = self.rtp.try_send_to(&empty, SocketAddr::new(self.camera, rtp_port));
        let _ = self
            .rtcp
            .try_send_to(receiver_report, SocketAddr::new(self.camera, rtcp_port));
    }

    /// Sends a receiver report.
    pub(super) fn send_report(&self, server_ports: Option<(u16, u16)>, report: &[u8]) {
        if let Some((_, rtcp_port)) = server_ports {
            let _ = self.rtcp.try_send_to(report, SocketAddr::new(self.camera, rtcp_port));
        }
    }

    /// Gives every datagram of the camera that is there to `take` (rtcp?, bytes); ready when there was one.
    pub(super) fn poll_receive(&self, cx: &mut Context<'_>, mut take: impl FnMut(bool, &[u8])) -> Poll<()> {
        let mut received_any = false;
        for (socket, rtcp) in [(&self.rtp, false), (&self.rtcp, true)] {
            let mut calls = 0;
            while socket.poll_recv_ready(cx).is_ready() {
                if calls == CALLS_PER_WAKE {
                    cx.waker().wake_by_ref();
                    break;
                }
                calls += 1;
                let received = socket.try_io(Interest::READABLE, || {
                    receive_batch(socket.as_raw_fd(), self.camera, &mut |bytes| {
                        received_any = true;
                        take(rtcp, bytes);
                    })
                });
                // What is left as an error is an ICMP answer to what was sent (a closed port): not our affair.
                drop(received);
            }
        }
        if received_any { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn bind_pair(local: IpAddr) -> io::Result<Option<(UdpSocket, UdpSocket, u16)>> {
    let first = bind(SocketAddr::new(local, 0))?;
    let port = first.local_addr()?.port();
    // The other half of the pair around the port that the system chose.
    let (other_port, even) = if port.is_multiple_of(2) {
        (port + 1, true)
    } else {
        (port - 1, false)
    };
    match bind(SocketAddr::new(local, other_port)) {
        Ok(second) if even => Ok(Some((first, second, port))),
        Ok(second) => Ok(Some((second, first, other_port))),
        Err(_) => Ok(None),
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // More than the system's limit is silently cut to it.
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// One recvmmsg; the datagrams that do not come from `camera` are left out. A batch that is not full has emptied the
/// socket and ends as `WouldBlock`, which saves asking once more.
fn receive_batch(fd: i32, camera: IpAddr, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    with_buffer(BATCH * DATAGRAM_BYTES, |buffer| {
        // SAFETY: all-zero is a valid value of these C structures.
        let mut senders: [libc::sockaddr_storage; BATCH] = unsafe { std::mem::zeroed() };
        let mut vectors: [libc::iovec; BATCH] = unsafe { std::mem::zeroed() };
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for (n, header) in headers.iter_mut().enumerate() {
            vectors[n].iov_base = buffer[n * DATAGRAM_BYTES..].as_mut_ptr().cast();
            vectors[n].iov_len = DATAGRAM_BYTES;
            header.msg_hdr.msg_iov = &raw mut vectors[n];
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = (&raw mut senders[n]).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        }
        // SAFETY: every header points to its own vector, address and stretch of the buffer, all of which outlive the
        // call; `fd` is open, as the caller borrows its socket.
        let count = unsafe {
            libc::recvmmsg(
                fd,
                headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        if count < 0 {
            return Err(io::Error::last_os_error());
        }
        for n in 0..(count as usize).min(BATCH) {
            if sender_address(&senders[n]) == Some(camera) {
                let length = (headers[n].msg_len as usize).min(DATAGRAM_BYTES);
                take(&buffer[n * DATAGRAM_BYTES..n * DATAGRAM_BYTES + length]);
            }
        }
        if (count as usize) < BATCH {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(())
        }
    })
}

fn sender_address(sender: &libc::sockaddr_storage) -> Option<IpAddr> {
    match i32::from(sender.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which structure the kernel wrote; the storage is large enough and aligned for it.
            let v4 = unsafe { &*(&raw const *sender).cast::<libc::sockaddr_in>() };
            Some(IpAddr::from(v4.sin_addr.s_addr.to_ne_bytes()))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*(&raw const *sender).cast::<libc::sockaddr_in6>() };
            Some(IpAddr::from(v6.sin6_addr.s6_addr).to_canonical())
        }
        _ => None,
    }
}
