//! Datagrams on their way out: collected in one buffer and given to the kernel many at a time.
//!
//! A picture is a run of datagrams of equal size to one address. With UDP generic segmentation offload (UDP_SEGMENT)
//! such a run is one message that walks the network stack once; `sendmmsg` hands over many messages in one call. What
//! the kernel can do is tried at start (see `send_method`) and given up when a device turns out not to.

use super::datagram::DatagramSocket;
use super::outside::Outside;
use super::send_method::SendMethod;
use super::stats::count;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Messages handed over in one call.
const MAX_MESSAGES: usize = 64;
/// Segments in a message: the kernel's UDP_MAX_SEGMENTS of old.
const MAX_SEGMENTS: usize = 60;
/// Bytes in a message: an IP packet with room for its headers.
const MAX_MESSAGE_BYTES: usize = 64_000;
/// How long a full socket buffer is waited for, in all, before what is left of a batch is given up as lost.
const FULL_FOR: Duration = Duration::from_millis(50);

/// What carries a viewer's datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// One of [`Outside::sockets`].
    Socket(usize),
    /// A TCP connection, one of [`Outside::connections`].
    Connection(u64),
}

/// Where a viewer's datagrams leave from and go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) carrier: Carrier,
    /// The local address that the viewer knows.
    pub(super) source: IpAddr,
    pub(super) destination: SocketAddr,
}

/// One datagram, or several of equal size (the last may be shorter).
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    pub(super) path: Path,
    pub(super) start: usize,
    pub(super) length: usize,
    /// Size of every datagram but the last.
    pub(super) segment: usize,
}

impl Message {
    /// Number of datagrams.
    pub(super) fn segments(&self) -> usize {
        self.length.div_ceil(self.segment.max(1))
    }
}

/// How messages get to the kernel: [`send`], but for tests.
type HandOver = fn(&DatagramSocket, SendMethod, &[u8], &[Message]) -> io::Result<usize>;

/// Datagrams that wait to be sent, in order.
pub(super) struct Batch {
    bytes: Vec<u8>,
    messages: Vec<Message>,
    method: SendMethod,
    hand_over: HandOver,
    /// Bytes ever added.
    pushed_bytes: u64,
    /// When the live units whose last datagram is in here were received from their cameras.
    ended_units_us: Vec<u64>,
}

impl Batch {
    /// An empty batch that will be sent by `method`.
    pub(super) fn new(method: SendMethod) -> Self {
        Self {
            bytes: Vec::with_capacity(256 << 10),
            messages: Vec::with_capacity(MAX_MESSAGES),
            method,
            hand_over: send,
            pushed_bytes: 0,
            ended_units_us: Vec::new(),
        }
    }

    /// Adds one datagram: what `write` appends to the buffer. Nothing is added when `write` fails.
    pub(super) fn push<E>(&mut self, path: &Path, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.bytes.len();
        if let Err(error) = write(&mut self.bytes) {
            self.bytes.truncate(start);
            return Err(error);
        }
        let length = self.bytes.len() - start;
        self.pushed_bytes += length as u64;
        if self.method == SendMethod::Segmented
            && let Some(last) = self.messages.last_mut()
            && length <= last.segment
            && last.length % last.segment == 0
            && last.length / last.segment < MAX_SEGMENTS
            && last.length + length <= MAX_MESSAGE_BYTES
            && last.path == *path
        {
            last.length += length;
            return Ok(());
        }
        self.messages.push(Message {
            path: *path,
            start,
            length,
            segment: length,
        });
        Ok(())
    }

    /// Bytes ever added, to bound what is done in one go.
    pub(super) fn pushed_bytes(&self) -> u64 {
        self.pushed_bytes
    }

    /// Notes that the last datagram of a live unit received at `received_us` was added.
    pub(super) fn end_unit(&mut self, received_us: u64) {
        self.ended_units_us.push(received_us);
    }

    /// What waits, one datagram after the other.
    #[cfg(test)]
    pub(super) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let of = |message: &Message| (message.start, message.length, message.segment);
        self.messages
            .iter()
            .map(of)
            .flat_map(|(start, length, segment)| self.bytes[start..start + length].chunks(segment))
    }

    /// Forgets what waits.
    #[cfg(test)]
    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.bytes.clear();
    }

    /// Sends everything once there is enough for a call.
    pub(super) fn flush_when_full(&mut self, outside: &Outside) {
        if self.messages.len() >= MAX_MESSAGES {
            self.flush(outside);
        }
    }

    /// Sends everything. What the system refuses is lost, as on any network, and counted.
    pub(super) fn flush(&mut self, outside: &Outside) {
        let mut rest = &self.messages[..];
        let (mut datagrams, mut bytes) = (0, 0);
        let mut patience = FULL_FOR;
        while let Some(first) = rest.first() {
            let carrier = first.path.carrier;
            let same = rest.iter().take_while(|m| m.path.carrier == carrier).count();
            let (now, later) = rest.split_at(same.min(MAX_MESSAGES));
            let socket = match carrier {
                Carrier::Socket(socket) => outside.sockets.get(socket),
                Carrier::Connection(number) => {
                    let put = put_out(&self.bytes, now, number, outside);
                    (datagrams, bytes) = (datagrams + put.0, bytes + put.1);
                    rest = later;
                    continue;
                }
            };
            let Some(socket) = socket else {
                count(&outside.counters.send_errors, now.len() as u64);
                rest = later;
                continue;
            };
            let sent = match (self.hand_over)(socket, self.method, &self.bytes, now) {
                Ok(sent) => sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !patience.is_zero() => {
                    patience = patience.saturating_sub(socket.wait_writable(patience));
                    0
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) if first.segments() > 1 && refuses_message(&error) => {
                    if self.method == SendMethod::Segmented && refuses_segments(&error) {
                        tracing::warn!(%error, "a network device refuses UDP segmentation offload; sending without");
                        self.method = SendMethod::Batched;
                    }
                    let apart = send_apart(socket, &self.bytes, first, outside);
                    (datagrams, bytes) = (datagrams + apart.0, bytes + apart.1);
                    rest = &rest[1..];
                    continue;
                }
                Err(_) => {
                    count(&outside.counters.send_errors, first.segments() as u64);
                    rest = &rest[1..];
                    continue;
                }
            };
            let done = &now[..sent.min(now.len())];
            datagrams += done.iter().map(|m| m.segments() as u64).sum::<u64>();
            bytes += done.iter().map(|m| m.length as u64).sum::<u64>();
            rest = &rest[done.len()..];
        }
        if datagrams > 0 {
            count(&outside.counters.datagrams_sent, datagrams);
            count(&outside.counters.bytes_sent, bytes);
        }
        if !self.ended_units_us.is_empty() {
            outside.record_delays(&self.ended_units_us);
            self.ended_units_us.clear();
        }
        self.messages.clear();
        self.bytes.clear();
    }
}

/// Sends the first of `messages`, or as many as one call takes; how many.
fn send(socket: &DatagramSocket, method: SendMethod, bytes: &[u8], messages: &[Message]) -> io::Result<usize> {
    match (method, messages) {
        (SendMethod::Single, [first, ..]) => {
            let datagram = &bytes[first.start..first.start + first.length];
            socket.send_now(datagram, first.path.source, first.path.destination)?;
            Ok(1)
        }
        _ => socket.send_many(bytes, messages),
    }
}

/// Puts `messages` into the outbox of a connection; how many datagrams and bytes found room.
fn put_out(bytes: &[u8], messages: &[Message], number: u64, outside: &Outside) -> (u64, u64) {
    let (mut datagrams, mut put_bytes) = (0, 0);
    for message in messages {
        let framed = &bytes[message.start..message.start + message.length];
        if outside.connections.push(number, framed, message.segment) {
            datagrams += message.segments() as u64;
            put_bytes += message.length as u64;
        } else {
            count(&outside.counters.send_errors, message.segments() as u64);
        }
    }
    (datagrams, put_bytes)
}

/// Whether segments are refused whatever they are and wherever they go. EIO: the device cannot checksum them.
fn refuses_segments(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::ENOPROTOOPT | libc::EOPNOTSUPP)
    )
}

/// Whether a message may go when its segments go one by one. EINVAL, EMSGSIZE: a segment is larger than its route takes,
/// which is the destination's affair and nobody else's: one viewer with a narrow path must not slow down all others.
fn refuses_message(error: &io::Error) -> bool {
    refuses_segments(error) || matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EMSGSIZE))
}

/// Sends the segments of one message one by one; how many datagrams and bytes went out.
fn send_apart(socket: &DatagramSocket, bytes: &[u8], message: &Message, outside: &Outside) -> (u64, u64) {
    let all = &bytes[message.start..message.start + message.length];
    let mut sent = (0, 0);
    for datagram in all.chunks(message.segment) {
        match socket.send_now(datagram, message.path.source, message.path.destination) {
            Ok(()) => sent = (sent.0 + 1, sent.1 + datagram.len() as u64),
            Err(_) => count(&outside.counters.send_errors, 1),
        }
    }
    sent
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
