//! How datagrams are handed to the kernel, found out by trying.

use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind};
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// How datagrams are handed to the kernel, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendMethod {
    /// Runs of equal datagrams as one message (UDP_SEGMENT, Linux 4.18), many messages per call (`sendmmsg`).
    Segmented,
    /// Many datagrams per call (`sendmmsg`).
    Batched,
    /// One call per datagram.
    Single,
}

impl SendMethod {
    /// `segmented`, `batched`, `single`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Segmented => "segmented",
            Self::Batched => "batched",
            Self::Single => "single",
        }
    }

    /// The best that this kernel does, tried on loopback.
    pub(super) fn find() -> Self {
        match try_segments() {
            Ok(()) => return Self::Segmented,
            Err(error) => tracing::info!(%error, "no UDP segmentation offload"),
        }
        match try_batch() {
            Ok(()) => Self::Batched,
            Err(error) => {
                tracing::info!(%error, "no sendmmsg");
                Self::Single
            }
        }
    }
}

fn loopback() -> io::Result<(Socket, UdpSocket)> {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    receiver.set_read_timeout(Some(Duration::from_millis(200)))?;
    let sender = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    sender.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    sender.connect(&receiver.local_addr()?.into())?;
    Ok((sender, receiver))
}

fn expect(receiver: &UdpSocket, datagrams: &[&[u8]]) -> io::Result<()> {
    for expected in datagrams {
        let mut buffer = [0; 64];
        let length = receiver.recv(&mut buffer)?;
        if &buffer[..length] != *expected {
            return Err(ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}

fn try_segments() -> io::Result<()> {
    let (sender, receiver) = loopback()?;
    let segment: libc::c_int = 4;
    // SAFETY: the value is a c_int of the length given, alive during the call.
    let set = unsafe {
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        let value = (&raw const segment).cast();
        libc::setsockopt(sender.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, value, length)
    };
    if set < 0 {
        return Err(io::Error::last_os_error());
    }
    sender.send(b"onlytwo")?;
    expect(&receiver, &[b"only", b"two"])
}

fn try_batch() -> io::Result<()> {
    let (sender, receiver) = loopback()?;
    let datagrams: [&[u8]; 2] = [b"only", b"two"];
    let mut parts = datagrams.map(|datagram| libc::iovec {
        iov_base: datagram.as_ptr().cast_mut().cast(),
        iov_len: datagram.len(),
    });
    // SAFETY: all-zero is a valid mmsghdr; every pointer in it is to a live buffer of the length given with it.
    let sent = unsafe {
        let mut messages: [libc::mmsghdr; 2] = zeroed();
        for (message, part) in messages.iter_mut().zip(&mut parts) {
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
        }
        libc::sendmmsg(sender.as_raw_fd(), messages.as_mut_ptr(), 2, 0)
    };
    match sent {
        2 => expect(&receiver, &datagrams),
        0.. => Err(ErrorKind::WriteZero.into()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_method_found_works_and_has_a_name() {
        // Kernels and sandboxes without either exist.
        let expected = match (try_segments(), try_batch()) {
            (Ok(()), _) => (SendMethod::Segmented, "segmented"),
            (Err(_), Ok(())) => (SendMethod::Batched, "batched"),
            (Err(_), Err(_)) => (SendMethod::Single, "single"),
        };
        let found = SendMethod::find();
        assert_eq!((found, found.as_str()), expected);
    }
}
