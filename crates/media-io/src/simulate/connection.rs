//! The sending side of one RTSP connection: answers and frames leave in order and whole, or not at all.

use media_core::rtsp::server::ServerSession;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Bytes that may wait for a client that does not read; a frame that would exceed it is dropped whole.
const WAITING_LIMIT_BYTES: usize = 1 << 20;

/// One client's connection, shared by the task that reads it and the loop that paces frames (one thread).
pub(super) struct Connection {
    pub stream: TcpStream,
    pub peer: SocketAddr,
    pub session: RefCell<ServerSession>,
    /// Wakes the reading task when bytes wait or the connection is to be closed.
    pub changed: Notify,
    waiting: RefCell<Waiting>,
    closed: Cell<bool>,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    sent: usize,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, peer: SocketAddr, session: ServerSession) -> Self {
        Self {
            stream,
            peer,
            session: RefCell::new(session),
            changed: Notify::new(),
            waiting: RefCell::default(),
            closed: Cell::new(false),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Ends the connection; its task notices.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.changed.notify_one();
    }

    /// True while bytes wait for the client.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.borrow().bytes.is_empty()
    }

    /// True when a frame of `frame_bytes` can be taken now; if not, it is to be dropped whole.
    pub(super) fn has_room(&self, frame_bytes: usize) -> bool {
        let waiting = self.waiting.borrow();
        waiting.bytes.is_empty() || waiting.bytes.len() - waiting.sent + frame_bytes <= WAITING_LIMIT_BYTES
    }

    /// Sends `bytes` now as far as the socket takes them and keeps the rest for later. An answer is always taken.
    pub(super) fn write(&self, bytes: &[u8]) {
        if self.is_closed() {
            return;
        }
        let mut waiting = self.waiting.borrow_mut();
        let mut sent = 0;
        if waiting.bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(count) => sent = count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.close();
                    return;
                }
            }
        }
        if sent < bytes.len() {
            let done = std::mem::take(&mut waiting.sent);
            waiting.bytes.drain(..done);
            waiting.bytes.extend_from_slice(&bytes[sent..]);
            self.changed.notify_one();
        }
    }

    /// Sends what waits, as far as the socket takes it.
    pub(super) fn flush(&self) {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.sent < waiting.bytes.len() {
            match self.stream.try_write(&waiting.bytes[waiting.sent..]) {
                Ok(count) => waiting.sent += count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.close();
                    return;
                }
            }
        }
        waiting.bytes.clear();
        waiting.sent = 0;
    }
}
