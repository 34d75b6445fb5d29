//! ICE-TCP, the passive side (RFC 6544): for viewers whose network lets no UDP through.
//!
//! A task accepts; each connection has a task of its own, which reads frames for the reception and writes what the
//! shards have put into its outbox. Whoever has not proven within five seconds to be the viewer of a session is closed,
//! and only so many are waited for at a time (`connections`).

use super::connections::{Connection, Connections};
use super::demultiplex::stun_ufrag;
use super::framing::next_frame;
use super::stats::{Counters, count};
use bytes::{Bytes, BytesMut};
use media_core::{Error, ErrorKind, Result};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// A connection must have named a session and signed with its password by then.
const PROVEN_WITHIN: Duration = Duration::from_secs(5);
/// A viewer's connection on which nothing arrives for so long is gone, or one that ICE did not choose.
const SILENT_AFTER: Duration = Duration::from_secs(30);
/// A connection that takes nothing for so long is closed.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// How long the last words of a session may take.
const FAREWELL_WITHIN: Duration = Duration::from_millis(500);
/// What the kernel may hold that it has not sent: more would only make pictures late.
const UNSENT_BYTES: u32 = 64 << 10;
/// Read at a time.
const RECEIVE_BYTES: usize = 4096;
/// After a failed accept (no file descriptor left), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const BACKLOG: i32 = 256;

/// What a connection tells the reception.
pub(super) enum Arrived {
    /// A datagram came by the connection.
    Datagram(Arc<Connection>, Bytes),
    /// The connection of this number is gone.
    Gone(u64),
}

/// A bound TCP port.
pub(super) struct Listener {
    listener: TcpListener,
    local: SocketAddr,
}

/// Where accepted connections belong.
#[derive(Clone)]
pub(super) struct Admission {
    pub(super) connections: Arc<Connections>,
    pub(super) counters: Arc<Counters>,
    pub(super) arrived: Sender<Arrived>,
    /// Connections at a time.
    pub(super) max: usize,
}

impl Listener {
    /// Listens at `address` (port 0: any) on the current tokio runtime.
    pub(super) fn bind(address: SocketAddr) -> Result<Self> {
        let bind = || -> io::Result<Self> {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            if address.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            // A restart finds connections of before that are not quite over.
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            let listener = TcpListener::from_std(socket.into())?;
            let local = listener.local_addr()?;
            Ok(Self { listener, local })
        };
        bind().map_err(|e| {
            let error = match e.kind() {
                io::ErrorKind::AddrInUse => Error::new(ErrorKind::Conflict, "another process has it"),
                _ => e.into(),
            };
            error.within(format!("WebRTC TCP port {address}"))
        })
    }

    /// The address bound to, with its real port.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Accepts for as long as the task lives.
    pub(super) async fn run(self, admission: Admission) {
        loop {
            match self.listener.accept().await {
                Ok((stream, viewer)) => admit(stream, viewer, &admission),
                Err(error) => {
                    tracing::warn!(%error, "a TCP connection of a viewer was not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn admit(stream: TcpStream, viewer: SocketAddr, admission: &Admission) {
    let prepared = prepare(&stream).and_then(|()| stream.local_addr()).ok();
    let admitted = prepared.and_then(|local| {
        let (connections, max) = (&admission.connections, admission.max);
        connections.admit(plain(viewer), plain(local), max)
    });
    let Some(connection) = admitted else {
        count(&admission.counters.tcp_refused, 1);
        return;
    };
    tokio::spawn(serve(connection, stream, admission.clone()));
}

/// Without flow and zone: the same address is the same candidate.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES)
}

/// Reads and writes one connection until it ends.
async fn serve(connection: Arc<Connection>, mut stream: TcpStream, admission: Admission) {
    let (reader, writer) = stream.split();
    let farewell = async {
        connection.ended.notified().await;
        sleep(FAREWELL_WITHIN).await;
    };
    tokio::select! {
        () = read(&connection, reader, &admission.arrived) => {}
        () = write(&connection, writer) => {}
        () = connection.refused.notified() => {}
        () = farewell => {}
    }
    if !connection.is_proven() {
        count(&admission.counters.tcp_refused, 1);
    }
    admission.connections.forget(connection.number);
    // A reception that is gone knows nobody any more.
    let _ = admission.arrived.send(Arrived::Gone(connection.number)).await;
}

/// Hands what arrives to the reception, until the connection ends, falls silent, or nobody can tell whose it is.
async fn read(connection: &Arc<Connection>, mut reader: ReadHalf<'_>, arrived: &Sender<Arrived>) {
    let mut received = BytesMut::with_capacity(RECEIVE_BYTES);
    let mut until = Instant::now() + PROVEN_WITHIN;
    let mut was_proven = false;
    loop {
        received.reserve(RECEIVE_BYTES);
        match timeout_at(until, reader.read_buf(&mut received)).await {
            Ok(Ok(read)) if read > 0 => {}
            Err(_) if connection.is_proven() && !was_proven => {}
            _ => return,
        }
        if connection.is_proven() && !was_proven {
            was_proven = true;
            until = Instant::now() + SILENT_AFTER;
        }
        loop {
            let Ok(frame) = next_frame(&mut received) else {
                return;
            };
            let Some(frame) = frame else { break };
            if connection.is_proven() {
                until = Instant::now() + SILENT_AFTER;
            } else if stun_ufrag(&frame).is_none() {
                return;
            }
            if arrived
                .send(Arrived::Datagram(connection.clone(), frame))
                .await
                .is_err()
            {
                return;
            }
        }
    }
}

/// Writes what is put into the outbox, until the viewer takes nothing any more.
async fn write(connection: &Connection, mut writer: WriteHalf<'_>) {
    let mut taken = Vec::new();
    loop {
        connection.take(&mut taken).await;
        let mut rest = &taken[..];
        while !rest.is_empty() {
            match timeout(STALLED_AFTER, writer.write(rest)).await {
                Ok(Ok(written)) if written > 0 => {
                    connection.written(written);
                    rest = &rest[written..];
                }
                _ => return,
            }
        }
        taken.clear();
        // What a stall has left behind.
        taken.shrink_to(UNSENT_BYTES as usize);
    }
}
