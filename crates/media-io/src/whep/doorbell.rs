//! When the reception looks at its sockets: when a datagram has come, but not for each of them when they come in masses.
//!
//! Whoever sends small datagrams fast would else wake the reception for every one, and each wakeup may push a thread that
//! sends pictures off its core. As a network card does it, looking pauses for a moment while much comes; the kernel's
//! buffer keeps what comes meanwhile, and all of it is read at once.

use super::datagram::DatagramSocket;
use media_core::{Error, Result};
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Datagrams per millisecond from which on they come in masses. A thousand viewers send two or three.
const MANY_PER_MS: u128 = 4;
/// The rate is that of a stretch of at least this length.
const STRETCH: Duration = Duration::from_millis(8);
/// How long nobody looks then. What is asked for meanwhile comes so much later.
const PAUSE: Duration = Duration::from_millis(1);

/// Rings once when a datagram has come to any of the sockets, and not again before it is armed.
///
/// A poll of its own between the sockets and the runtime's: there a socket that nobody waits for would still wake the
/// runtime's thread with every datagram.
pub(super) struct Doorbell {
    poll: AsyncFd<OwnedFd>,
    sockets: Vec<RawFd>,
    /// Which of the sockets have rung since they were armed.
    rung: Vec<usize>,
    events: Vec<libc::epoll_event>,
}

impl Doorbell {
    /// One for `sockets`, which must outlive it, armed. On the current tokio runtime.
    pub(super) fn hang(sockets: &[DatagramSocket]) -> Result<Self> {
        let hang = || -> io::Result<Self> {
            // SAFETY: epoll_create1 takes no pointers.
            let poll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
            if poll < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the descriptor was just made and is owned by nothing else.
            let poll = unsafe { OwnedFd::from_raw_fd(poll) };
            let sockets: Vec<RawFd> = sockets.iter().map(|socket| socket.as_fd().as_raw_fd()).collect();
            for (index, socket) in sockets.iter().enumerate() {
                control(&poll, libc::EPOLL_CTL_ADD, *socket, index)?;
            }
            Ok(Self {
                // SAFETY: the descriptor is owned and stays the same until it is dropped with its registration.
                poll: unsafe { AsyncFd::register_with_interest(poll, Interest::READABLE) }?,
                rung: Vec::with_capacity(sockets.len()),
                // SAFETY: all-zero is a valid value of this C structure.
                events: vec![unsafe { zeroed() }; sockets.len().max(1)],
                sockets,
            })
        };
        hang().map_err(|error| Error::from(error).within("WebRTC sockets"))
    }

    /// Returns when a datagram has come to a socket that is armed. Nothing is lost when it is dropped before.
    pub(super) async fn ring(&mut self) {
        let Ok(mut ready) = self.poll.readable().await else {
            // The runtime ends, and with it who waits.
            return std::future::pending().await;
        };
        // SAFETY: `events` has room for as many events as are said; the descriptor is open.
        let count = unsafe {
            libc::epoll_wait(
                self.poll.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len() as libc::c_int,
                0,
            )
        };
        let rung = &self.events[..usize::try_from(count).unwrap_or(0)];
        self.rung.extend(rung.iter().map(|event| event.u64 as usize));
        ready.clear_ready();
    }

    /// Lets the sockets that have rung ring again, at once where a datagram is there already.
    pub(super) fn arm(&mut self) {
        for index in self.rung.drain(..) {
            // Open and known to the poll: nothing that could fail.
            let _ = control(self.poll.get_ref(), libc::EPOLL_CTL_MOD, self.sockets[index], index);
        }
    }
}

/// Adds or arms a socket: it rings once.
fn control(poll: &OwnedFd, operation: libc::c_int, socket: RawFd, index: usize) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: (libc::EPOLLIN | libc::EPOLLONESHOT) as u32,
        u64: index as u64,
    };
    // SAFETY: the event outlives the call; both descriptors are open.
    let status = unsafe { libc::epoll_ctl(poll.as_raw_fd(), operation, socket, &raw mut event) };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Says when the sockets are looked at again.
#[derive(Debug)]
pub(super) struct Moderation {
    /// Begin of the stretch that is counted.
    since: Instant,
    datagrams: u64,
    /// Many came in the stretch before.
    many: bool,
}

impl Moderation {
    /// Nothing has come yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            datagrams: 0,
            many: false,
        }
    }

    /// Notes that `datagrams` were read; until when nobody is to look, None when a look is worth it at once.
    pub(super) fn pause_after(&mut self, datagrams: u64, now: Instant) -> Option<Instant> {
        self.datagrams += datagrams;
        let passed = now.saturating_duration_since(self.since);
        if passed >= STRETCH {
            self.many = u128::from(self.datagrams) * 1000 >= MANY_PER_MS * passed.as_micros();
            (self.since, self.datagrams) = (now, 0);
        }
        self.many.then(|| now + PAUSE)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::UdpSocket;

    const SOON: Duration = Duration::from_millis(20);
    const LATE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn it_rings_once_for_many_and_again_when_armed() {
        let sockets = ["127.0.0.1:0", "127.0.0.1:0"].map(|at| DatagramSocket::bind(at.parse().unwrap()).unwrap());
        let mut doorbell = Doorbell::hang(&sockets).unwrap();
        assert!(
            tokio::time::timeout(SOON, doorbell.ring()).await.is_err(),
            "nobody there"
        );
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..3 {
            sender.send_to(b"hello", sockets[1].local()).unwrap();
        }
        tokio::time::timeout(LATE, doorbell.ring()).await.unwrap();
        sender.send_to(b"hello", sockets[1].local()).unwrap();
        assert!(tokio::time::timeout(SOON, doorbell.ring()).await.is_err(), "not armed");
        sender.send_to(b"hello", sockets[0].local()).unwrap();
        tokio::time::timeout(LATE, doorbell.ring()).await.unwrap();
        // What was not read rings at once.
        doorbell.arm();
        tokio::time::timeout(LATE, doorbell.ring()).await.unwrap();
        let mut buffer = [0; 10];
        for socket in &sockets {
            while socket.receive(&mut buffer).is_ok() {}
        }
        doorbell.arm();
        assert!(tokio::time::timeout(SOON, doorbell.ring()).await.is_err(), "all read");
    }

    #[test]
    fn masses_are_looked_at_in_turns_and_a_lone_datagram_at_once() {
        let start = Instant::now();
        let mut moderation = Moderation::new(start);
        let mut now = start;
        // Twenty per millisecond, one wakeup each.
        let mut pauses = 0;
        for _ in 0..1000 {
            now += Duration::from_micros(50);
            if let Some(until) = moderation.pause_after(1, now) {
                assert_eq!(until, now + PAUSE);
                pauses += 1;
            }
        }
        assert!(pauses > 800, "{pauses}");
        // Read together after each pause it is as many.
        for _ in 0..20 {
            now += PAUSE;
            assert!(moderation.pause_after(20, now).is_some());
        }
        // Then an ordinary rate, and a lone one.
        for _ in 0..20 {
            now += Duration::from_millis(1);
            moderation.pause_after(2, now);
        }
        assert_eq!(moderation.pause_after(2, now), None);
        assert_eq!(moderation.pause_after(1, now + LATE), None);
    }
}
