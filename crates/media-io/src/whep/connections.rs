//! TCP connections of viewers as the rest of the output sees them: who they are, and what waits to be written to them.
//!
//! Nobody but a connection's own task waits for its viewer. The shards and the reception put datagrams into an outbox of
//! bounded size; what finds no room is lost, as on any network. A shard asks for the room before it begins (`room`), so
//! that whole pictures are held back rather than parts of them lost.

use super::batch::Carrier;
use super::framing::{LENGTH_BYTES, push_frame};
use super::handshake::Origin;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// What a shard may have waiting for a connection: a key frame of ordinary size.
const ROOM_BYTES: usize = 256 << 10;
/// What may wait in all: what one turn of a shard adds after it has asked, reports and answers to ICE included.
const OUTBOX_BYTES: usize = 1 << 20;
/// Connections of one address (one /64 of IPv6) that have not proven whose they are. A wall of sixteen pictures opens
/// one per picture and address of the server, at once.
const MAX_STRANGERS_PER_ADDRESS: usize = 128;
/// All connections that have not proven whose they are.
const MAX_STRANGERS: usize = 512;

/// One TCP connection.
pub(super) struct Connection {
    pub(super) number: u64,
    viewer: SocketAddr,
    /// The address of this machine that the viewer connected to.
    local: SocketAddr,
    /// A request signed with a session's password came by it.
    proven: AtomicBool,
    outbox: Mutex<Vec<u8>>,
    /// Bytes that the kernel has not taken yet.
    waiting_bytes: AtomicUsize,
    /// Something is in the outbox.
    more: Notify,
    /// To be closed at once.
    pub(super) refused: Notify,
    /// To be closed when the last words are written.
    pub(super) ended: Notify,
}

impl Connection {
    /// Where its datagrams come from.
    pub(super) fn origin(&self) -> Origin {
        Origin {
            local: self.local,
            viewer: self.viewer,
            carrier: Carrier::Connection(self.number),
        }
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// How many bytes a shard may still add.
    fn room(&self) -> usize {
        ROOM_BYTES.saturating_sub(self.waiting_bytes.load(Ordering::Relaxed))
    }

    /// Adds `bytes`, cut into datagrams of `segment` bytes; false, and nothing added, when there is no room.
    fn push(&self, bytes: &[u8], segment: usize) -> bool {
        let segment = segment.max(1);
        let framed_bytes = bytes.len() + bytes.len().div_ceil(segment) * LENGTH_BYTES;
        let mut outbox = self.outbox.lock();
        if self.waiting_bytes.load(Ordering::Relaxed) + framed_bytes > OUTBOX_BYTES {
            return false;
        }
        for datagram in bytes.chunks(segment) {
            push_frame(datagram, &mut outbox);
        }
        self.waiting_bytes.fetch_add(framed_bytes, Ordering::Relaxed);
        drop(outbox);
        self.more.notify_one();
        true
    }

    /// Swaps what waits into the empty `taken`, once there is something.
    pub(super) async fn take(&self, taken: &mut Vec<u8>) {
        loop {
            std::mem::swap(taken, &mut *self.outbox.lock());
            if !taken.is_empty() {
                return;
            }
            self.more.notified().await;
        }
    }

    /// Notes that the kernel has taken `bytes`.
    pub(super) fn written(&self, bytes: usize) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Who is connected, and how many of them nobody knows yet.
#[derive(Default)]
struct Register {
    open: HashMap<u64, Arc<Connection>>,
    strangers: HashMap<IpAddr, usize>,
    stopped: bool,
}

impl Register {
    fn forget_stranger(&mut self, viewer: SocketAddr) {
        let address = network_of(viewer.ip());
        if let Some(strangers) = self.strangers.get_mut(&address) {
            *strangers -= 1;
            if *strangers == 0 {
                self.strangers.remove(&address);
            }
        }
    }
}

/// All TCP connections.
#[derive(Default)]
pub(super) struct Connections {
    register: RwLock<Register>,
    numbers: AtomicU64,
    /// The last connection has gone.
    pub(super) emptied: Notify,
}

impl Connections {
    /// A new connection, unless there are `max` already or too many that nobody knows.
    pub(super) fn admit(&self, viewer: SocketAddr, local: SocketAddr, max: usize) -> Option<Arc<Connection>> {
        let mut register = self.register.write();
        let all: usize = register.strangers.values().sum();
        let address = network_of(viewer.ip());
        let of_address = register.strangers.get(&address).copied().unwrap_or_default();
        let full = register.open.len() >= max || all >= MAX_STRANGERS || of_address >= MAX_STRANGERS_PER_ADDRESS;
        if full || register.stopped {
            return None;
        }
        let connection = Arc::new(Connection {
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            viewer,
            local,
            proven: AtomicBool::new(false),
            outbox: Mutex::default(),
            waiting_bytes: AtomicUsize::new(0),
            more: Notify::new(),
            refused: Notify::new(),
            ended: Notify::new(),
        });
        *register.strangers.entry(address).or_default() += 1;
        register.open.insert(connection.number, connection.clone());
        Some(connection)
    }

    /// A connection that is gone.
    pub(super) fn forget(&self, number: u64) {
        let mut register = self.register.write();
        let Some(connection) = register.open.remove(&number) else {
            return;
        };
        if !connection.is_proven() {
            register.forget_stranger(connection.viewer);
        }
        if register.open.is_empty() {
            self.emptied.notify_one();
        }
    }

    pub(super) fn get(&self, number: u64) -> Option<Arc<Connection>> {
        self.register.read().open.get(&number).cloned()
    }

    /// Connections open now.
    pub(super) fn len(&self) -> usize {
        self.register.read().open.len()
    }

    /// A signed request came by a connection: it is no stranger's any more.
    pub(super) fn prove(&self, number: u64) {
        let mut register = self.register.write();
        let Some(connection) = register.open.get(&number).cloned() else {
            return;
        };
        if !connection.proven.swap(true, Ordering::Relaxed) {
            register.forget_stranger(connection.viewer);
        }
    }

    /// Closes a connection at once.
    pub(super) fn refuse(&self, number: u64) {
        if let Some(connection) = self.get(number) {
            connection.refused.notify_one();
        }
    }

    /// Closes a connection when the last words are written.
    pub(super) fn end(&self, number: u64) {
        if let Some(connection) = self.get(number) {
            connection.ended.notify_one();
        }
    }

    /// Admits nobody any more, and closes what nobody knows.
    pub(super) fn stop(&self) {
        let mut register = self.register.write();
        register.stopped = true;
        for connection in register.open.values() {
            let closing = if connection.is_proven() {
                &connection.ended
            } else {
                &connection.refused
            };
            closing.notify_one();
        }
    }

    /// Whether nobody is admitted any more.
    #[cfg(test)]
    pub(super) fn is_stopped(&self) -> bool {
        self.register.read().stopped
    }

    /// How many bytes a shard may still add to a connection; none when it is gone.
    pub(super) fn room(&self, number: u64) -> usize {
        let register = self.register.read();
        register.open.get(&number).map_or(0, |connection| connection.room())
    }

    /// Adds `bytes`, cut into datagrams of `segment` bytes, to a connection; false when it is gone or full.
    pub(super) fn push(&self, number: u64, bytes: &[u8], segment: usize) -> bool {
        let register = self.register.read();
        let connection = register.open.get(&number);
        connection.is_some_and(|connection| connection.push(bytes, segment))
    }
}

/// What one stranger has many of: an IPv4 address, or a network of 2^64 IPv6 addresses.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => {
            let network = u128::from(ip) >> 64 << 64;
            IpAddr::V6(network.into())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MAX: usize = 10_000;

    fn local() -> SocketAddr {
        "192.0.2.1:8189".parse().unwrap()
    }

    fn at(ip: &str, port: usize) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), port as u16)
    }

    #[test]
    fn strangers_are_bounded_per_address_and_in_all() {
        let connections = Connections::default();
        let admit = |ip: &str, count: usize| {
            let admitted = (0..count).filter_map(|port| connections.admit(at(ip, port), local(), MAX));
            admitted.collect::<Vec<_>>()
        };
        let first = admit("192.0.2.9", 1000);
        assert_eq!(first.len(), MAX_STRANGERS_PER_ADDRESS);
        // Addresses of one IPv6 network are one stranger's.
        assert_eq!(admit("2001:db8::1", 1000).len(), MAX_STRANGERS_PER_ADDRESS);
        assert_eq!(admit("2001:db8::2", 1).len(), 0);
        assert_eq!(admit("2001:db8:0:1::2", 1).len(), 1);
        // Who has proven to be a viewer makes room, and so does who has gone, once.
        connections.prove(first[0].number);
        connections.prove(first[0].number);
        connections.forget(first[0].number);
        connections.forget(first[1].number);
        connections.forget(first[1].number);
        assert_eq!(admit("192.0.2.9", 1000).len(), 2);
        let all: usize = (0..20)
            .map(|network| admit(&format!("198.51.100.{network}"), 100).len())
            .sum();
        assert_eq!(all, MAX_STRANGERS - 2 * MAX_STRANGERS_PER_ADDRESS - 1);
        let numbers: Vec<u64> = connections.register.read().open.keys().copied().collect();
        for number in numbers {
            connections.forget(number);
        }
        assert!(connections.register.read().strangers.is_empty());
        assert!(
            connections.admit(at("192.0.2.9", 1), local(), 0).is_none(),
            "the bound of all"
        );
        connections.stop();
        assert!(connections.admit(at("192.0.2.9", 1), local(), MAX).is_none());
    }

    #[tokio::test]
    async fn an_outbox_is_bounded_and_keeps_whole_datagrams() {
        let connections = Connections::default();
        let number = connections.admit(at("192.0.2.9", 1), local(), MAX).unwrap().number;
        assert_eq!(connections.room(number), ROOM_BYTES);
        assert!(connections.push(number, &[7; 2500], 1000));
        let mut taken = Vec::new();
        let connection = connections.get(number).unwrap();
        connection.take(&mut taken).await;
        let lengths = [&taken[..2], &taken[1002..1004], &taken[2004..2006]];
        assert_eq!((taken.len(), lengths), (2506, [&[3, 232][..], &[3, 232], &[1, 244]]));
        assert_eq!(connections.room(number), ROOM_BYTES - 2506, "not written yet");
        connection.written(taken.len());
        assert_eq!(connections.room(number), ROOM_BYTES);
        let pushed = (0..10_000)
            .filter(|_| connections.push(number, &[7; 1000], 1000))
            .count();
        assert_eq!(pushed, OUTBOX_BYTES / 1002);
        assert_eq!(connections.room(number), 0);
        connections.forget(number);
        assert!(
            !connections.push(number, &[7], 1) && connections.room(number) == 0,
            "gone"
        );
    }
}
