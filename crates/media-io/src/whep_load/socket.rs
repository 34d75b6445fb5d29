//! Many datagrams per system call, with the kernel's time of their arrival.
//!
//! The arrival is stamped when a datagram enters the socket's queue, so that a busy client does not make the server look
//! slow. With UDP_GRO a train of datagrams that the server sent in one call may arrive in one piece.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

/// Pieces taken per call.
const PIECES: usize = 16;
/// The largest train that the kernel hands over.
const PIECE_BYTES: usize = 64 << 10;
/// What a viewer's socket may hold: a key frame and more. The kernel gives what net.core.rmem_max allows.
const SOCKET_BYTES: usize = 1 << 20;

/// Room for the arrival time and the length of a train's parts, aligned as `cmsghdr` must be.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 128]);

/// A viewer's socket on `local`, any port. `trains`: several datagrams may arrive in one piece.
pub(super) fn bind(local: IpAddr, trains: bool) -> io::Result<UdpSocket> {
    let address = SocketAddr::new(local, 0);
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    let _ = socket.set_recv_buffer_size(SOCKET_BYTES);
    socket.set_nonblocking(true)?;
    set_option(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)?;
    if trains {
        // Kernels before 5.0 have none.
        let _ = set_option(&socket, libc::SOL_UDP, libc::UDP_GRO);
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn set_option(socket: &Socket, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is an int that outlives the call.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Buffers for one call, used again for every socket.
pub(super) struct Batch {
    bytes: Vec<u8>,
    controls: Vec<Control>,
    sources: Vec<libc::sockaddr_storage>,
    messages: Vec<libc::mmsghdr>,
    received: usize,
}

/// One piece as it arrived: a datagram, or a train of equal ones of which the last may be shorter.
pub(super) struct Piece<'a> {
    bytes: &'a [u8],
    part_bytes: usize,
    /// Who sent it; None for what is no internet address.
    pub(super) source: Option<SocketAddr>,
    /// µs since the Unix epoch.
    pub(super) arrived_us: Option<u64>,
}

impl<'a> Piece<'a> {
    /// The datagrams of the piece.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.bytes.chunks(self.part_bytes.max(1))
    }
}

impl Batch {
    pub(super) fn new() -> Self {
        // SAFETY: all-zero is a valid value of these C structures.
        let (source, message) = unsafe { (zeroed(), zeroed()) };
        Self {
            bytes: vec![0; PIECES * PIECE_BYTES],
            controls: vec![Control([0; 128]); PIECES],
            sources: vec![source; PIECES],
            messages: vec![message; PIECES],
            received: 0,
        }
    }

    /// Takes what waits in `socket`, without waiting; true when there may be more.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<bool> {
        self.received = 0;
        let mut parts: [libc::iovec; PIECES] = std::array::from_fn(|index| libc::iovec {
            iov_base: self.bytes[index * PIECE_BYTES..].as_mut_ptr().cast(),
            iov_len: PIECE_BYTES,
        });
        for (index, message) in self.messages.iter_mut().enumerate() {
            let header = &mut message.msg_hdr;
            header.msg_name = (&raw mut self.sources[index]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &raw mut parts[index];
            header.msg_iovlen = 1;
            header.msg_control = (&raw mut self.controls[index]).cast();
            header.msg_controllen = size_of::<Control>() as _;
            header.msg_flags = 0;
        }
        // SAFETY: every pointer above leads to memory that is not moved or freed before the call returns, of the
        // lengths given.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.messages.as_mut_ptr(),
                PIECES as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        match usize::try_from(count) {
            Ok(count) => {
                self.received = count;
                Ok(count == PIECES)
            }
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() == io::ErrorKind::WouldBlock {
                    return Ok(false);
                }
                Err(error)
            }
        }
    }

    /// What the last call received.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.messages[..self.received]
            .iter()
            .enumerate()
            .map(|(index, message)| {
                let length = (message.msg_len as usize).min(PIECE_BYTES);
                let bytes = &self.bytes[index * PIECE_BYTES..][..length];
                let (part_bytes, arrived_us) = control_of(message, &self.controls[index]);
                Piece {
                    bytes,
                    part_bytes: part_bytes.unwrap_or(length),
                    source: address_of(&self.sources[index]),
                    arrived_us,
                }
            })
    }
}

/// The length of a train's parts and the time of arrival.
fn control_of(message: &libc::mmsghdr, control: &Control) -> (Option<usize>, Option<u64>) {
    let length = message.msg_hdr.msg_controllen.min(control.0.len());
    let (mut part_bytes, mut arrived_us) = (None, None);
    let mut rest = &control.0[..length];
    let head_bytes = size_of::<libc::cmsghdr>();
    // The layout of CMSG_NXTHDR: a header of length, level and type, then data, padded to whole words.
    while let Some(head) = rest.get(..head_bytes) {
        let word = |at: usize| i32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let whole = usize::from_ne_bytes(std::array::from_fn(|at| head[at]));
        let (level, kind) = (word(size_of::<usize>()), word(size_of::<usize>() + 4));
        let Some(data) = rest.get(head_bytes..whole) else {
            break;
        };
        match (level, kind) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let bytes = data.first_chunk::<4>().map(|bytes| i32::from_ne_bytes(*bytes));
                part_bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
            }
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS) => {
                let seconds = data.first_chunk::<8>().map(|bytes| u64::from_ne_bytes(*bytes));
                let nanos = data.get(8..).and_then(|rest| rest.first_chunk::<8>());
                arrived_us = seconds
                    .zip(nanos.map(|bytes| u64::from_ne_bytes(*bytes)))
                    .map(|(seconds, nanos)| seconds * 1_000_000 + nanos / 1000);
            }
            _ => {}
        }
        rest = rest
            .get(whole.next_multiple_of(size_of::<usize>())..)
            .unwrap_or_default();
    }
    (part_bytes, arrived_us)
}

fn address_of(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    // SAFETY: the kernel wrote an address of the family that it names; `sockaddr_storage` has room for each.
    unsafe {
        match libc::c_int::from(storage.ss_family) {
            libc::AF_INET => {
                let v4 = &*(&raw const *storage).cast::<libc::sockaddr_in>();
                let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                Some(SocketAddr::new(ip.into(), u16::from_be(v4.sin_port)))
            }
            libc::AF_INET6 => {
                let v6 = &*(&raw const *storage).cast::<libc::sockaddr_in6>();
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                Some(SocketAddr::new(ip.into(), u16::from_be(v6.sin6_port)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    fn taken(batch: &mut Batch, socket: &UdpSocket) -> Vec<(Vec<u8>, Option<SocketAddr>, u64)> {
        batch.receive(socket).unwrap();
        batch
            .pieces()
            .flat_map(|piece| {
                let (source, arrived_us) = (piece.source, piece.arrived_us.unwrap());
                piece
                    .datagrams()
                    .map(move |d| (d.to_vec(), source, arrived_us))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn datagrams_arrive_with_their_time_and_source() {
        let socket = bind("127.0.0.1".parse().unwrap(), false).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut batch = Batch::new();
        assert!(taken(&mut batch, &socket).is_empty());
        for text in [&b"one"[..], b"three", b"five"] {
            sender.send_to(text, socket.local_addr().unwrap()).unwrap();
        }
        let now_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
        let got = taken(&mut batch, &socket);
        let texts: Vec<&[u8]> = got.iter().map(|(bytes, _, _)| bytes.as_slice()).collect();
        assert_eq!(texts, [&b"one"[..], b"three", b"five"]);
        for (_, source, arrived_us) in &got {
            assert_eq!(*source, Some(sender.local_addr().unwrap()));
            assert!(arrived_us.abs_diff(now_us) < 1_000_000, "{arrived_us} {now_us}");
        }
    }

    #[test]
    fn a_train_comes_apart_again() {
        for trains in [true, false] {
            let socket = bind("127.0.0.1".parse().unwrap(), trains).unwrap();
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            let part_bytes: libc::c_int = 100;
            // SAFETY: the option's value is an int that outlives the call.
            let status = unsafe {
                libc::setsockopt(
                    sender.as_raw_fd(),
                    libc::SOL_UDP,
                    libc::UDP_SEGMENT,
                    (&raw const part_bytes).cast(),
                    4,
                )
            };
            assert_eq!(status, 0);
            sender.send_to(&[7; 350], socket.local_addr().unwrap()).unwrap();
            let mut batch = Batch::new();
            let got = taken(&mut batch, &socket);
            let lengths: Vec<usize> = got.iter().map(|(bytes, _, _)| bytes.len()).collect();
            assert_eq!(lengths, [100, 100, 100, 50]);
            assert_eq!(batch.pieces().count(), if trains { 1 } else { 4 });
        }
    }
}
