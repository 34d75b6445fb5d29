//! The receiving thread: all sockets by epoll, all timers, and the course of a run.

use super::LoadOptions;
use super::reception::Totals;
use super::report::{Distribution, Report, ServerReport};
use super::server_usage::{Usage, drops_of, socket_drops};
use super::signalling::{Outcome, bring_viewers, unix_us};
use super::socket::Batch;
use super::viewer::{Role, Surroundings, Tallies, Viewer};
use media_core::{Error, ErrorKind, Result};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use url::Url;

/// Viewers that read the camera's stamps: enough for percentiles, few enough to cost nothing.
const SAMPLED: usize = 100;
/// After the last answer, viewers have this long to connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// From the last connection to the window: the bursts of joining are over.
const SETTLE: Duration = Duration::from_secs(2);
/// After the window, what is missing has this long to come by repair.
const REPAIRED_WITHIN: Duration = Duration::from_millis(500);
/// Sockets served per call.
const EVENTS: usize = 256;
/// Calls for the datagrams of one socket before the others have their turn.
const CALLS_PER_EVENT: usize = 8;
/// While viewers join, answers are looked for this often.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Runs the load to its end. Errors are those of this side; what the server refuses is in the report.
pub fn run(options: LoadOptions) -> Result<Report> {
    let options = Arc::new(options);
    let rss_before_bytes = options.server_pid.map_or(0, |pid| Usage::of(pid).rss_bytes);
    let (outcomes, joined) = channel();
    let (leave, leaving) = unbounded_channel();
    let signalling = {
        let options = options.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("signalling".into()).spawn(move || {
            let tasks = tokio::task::LocalSet::new();
            tasks.block_on(&runtime, bring_viewers(options, outcomes, leaving))
        })?
    };
    let mut report = Load::new(&options, joined, leave)?.run()?;
    let ended = signalling.join();
    ended.map_err(|_| Error::new(ErrorKind::Internal, "the signalling thread failed"))??;
    if let (Some(server), Some(pid)) = (&mut report.server, options.server_pid) {
        server.rss_before_bytes = rss_before_bytes;
        // Every session has ended by now, and every socket is closed.
        std::thread::sleep(options.afterwards);
        server.rss_afterwards_bytes = Usage::of(pid).rss_bytes;
    }
    Ok(report)
}

/// The readings at one end of the window.
struct Reading {
    at: Instant,
    tallies: Tallies,
    totals: Totals,
    own: Usage,
    server: Option<Usage>,
    socket_drops: u64,
}

struct Load<'a> {
    options: &'a LoadOptions,
    joined: Receiver<Outcome>,
    leave: UnboundedSender<Url>,
    poll: OwnedFd,
    viewers: Vec<Viewer>,
    failures: BTreeMap<String, usize>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    /// By viewer, the timer that counts.
    scheduled: Vec<Option<Instant>>,
    around: Surroundings,
    batch: Batch,
}

impl<'a> Load<'a> {
    fn new(options: &'a LoadOptions, joined: Receiver<Outcome>, leave: UnboundedSender<Url>) -> Result<Self> {
        // SAFETY: epoll_create1 takes no pointers.
        let poll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if poll < 0 {
            return Err(io::Error::last_os_error().into());
        }
        Ok(Self {
            options,
            joined,
            leave,
            // SAFETY: the descriptor was just made and is owned by nothing else.
            poll: unsafe { OwnedFd::from_raw_fd(poll) },
            viewers: Vec::new(),
            failures: BTreeMap::new(),
            timers: BinaryHeap::new(),
            scheduled: Vec::new(),
            around: Surroundings::new(options.nack, options.lose_percent),
            batch: Batch::new(),
        })
    }

    fn run(mut self) -> Result<Report> {
        self.join_all()?;
        self.serve_until(Instant::now() + SETTLE, EVENTS)?;
        self.around.window_from_us = unix_us();
        let before = self.reading();
        self.mark();
        self.serve_until(before.at + self.options.window, EVENTS)?;
        let after = self.reading();
        let lost_before = self.owed();
        self.mark();
        self.serve_until(after.at + REPAIRED_WITHIN, EVENTS)?;
        let mut report = self.report(&before, &after);
        report.lost = self.owed().saturating_sub(lost_before);
        for viewer in &mut self.viewers {
            if viewer.role != Role::Stalled && viewer.is_connected() {
                viewer.leave(&mut self.around);
            }
            let _ = self.leave.send(viewer.session.clone());
        }
        Ok(report)
    }

    /// Serves until every viewer is connected or has failed.
    fn join_all(&mut self) -> Result<()> {
        let mut all_answered_at = None;
        loop {
            loop {
                match self.joined.try_recv() {
                    Ok(Ok(viewer)) => self.add(*viewer)?,
                    Ok(Err((_, reason))) => *self.failures.entry(reason).or_default() += 1,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        all_answered_at.get_or_insert_with(Instant::now);
                        break;
                    }
                }
            }
            let now = Instant::now();
            self.serve_until(now + LOOK_EVERY, EVENTS)?;
            if let Some(answered_at) = all_answered_at {
                let connecting = self.viewers.iter().any(|v| !v.is_connected() && !v.is_gone());
                if !connecting || now.duration_since(answered_at) > CONNECT_WITHIN {
                    break;
                }
            }
        }
        for viewer in self.viewers.iter().filter(|viewer| !viewer.is_connected()) {
            let reason = if viewer.is_gone() {
                "ended while connecting"
            } else {
                "no connection in time"
            };
            *self.failures.entry(reason.into()).or_default() += 1;
        }
        Ok(())
    }

    fn add(&mut self, mut viewer: Viewer) -> Result<()> {
        let index = self.viewers.len();
        let every = (self.options.viewers / SAMPLED).max(1);
        viewer.sampled = viewer.role == Role::Watching && index.is_multiple_of(every);
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: index as u64,
        };
        // SAFETY: the event outlives the call; both descriptors are open.
        let status = unsafe {
            libc::epoll_ctl(
                self.poll.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                viewer.socket.as_raw_fd(),
                &raw mut event,
            )
        };
        if status != 0 {
            return Err(io::Error::last_os_error().into());
        }
        self.viewers.push(viewer);
        self.scheduled.push(None);
        self.tick(index, Instant::now());
        Ok(())
    }

    fn serve_until(&mut self, end: Instant, most: usize) -> Result<()> {
        // SAFETY: all-zero is a valid value of this C structure.
        let mut events: Vec<libc::epoll_event> = vec![unsafe { std::mem::zeroed() }; most];
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            self.run_timers(now);
            let wake_at = self.timers.peek().map_or(end, |Reverse((at, _))| (*at).min(end));
            // Rounded up: a timer that is a little early would be waited for in circles.
            let wait_ms = wake_at
                .saturating_duration_since(Instant::now())
                .as_micros()
                .div_ceil(1000);
            // SAFETY: `events` has room for as many events as are said.
            let count = unsafe {
                libc::epoll_wait(
                    self.poll.as_raw_fd(),
                    events.as_mut_ptr(),
                    events.len() as libc::c_int,
                    wait_ms.min(1000) as libc::c_int,
                )
            };
            let Ok(count) = usize::try_from(count) else {
                let error = io::Error::last_os_error();
                if error.kind() == io::ErrorKind::Interrupted {
                    continue;
                }
                return Err(error.into());
            };
            for event in &events[..count] {
                self.readable(event.u64 as usize);
            }
        }
    }

    fn readable(&mut self, index: usize) {
        let now = Instant::now();
        let viewer = &mut self.viewers[index];
        // Bounded, so that one socket that is kept full does not keep the others waiting; the poll tells again of the
        // rest. A socket error is the ICMP of a server that is gone; ICE notices.
        for _ in 0..CALLS_PER_EVENT {
            let Ok(more) = self.batch.receive(&viewer.socket) else {
                break;
            };
            for piece in self.batch.pieces() {
                let arrived_us = piece.arrived_us.unwrap_or_else(unix_us);
                for datagram in piece.datagrams() {
                    viewer.receive(datagram, piece.source, arrived_us, now, &mut self.around);
                }
            }
            if !more {
                break;
            }
        }
        if viewer.role == Role::Stalled && viewer.is_connected() {
            // From now on its socket fills up.
            self.forget(index);
        }
        self.schedule(index);
    }

    /// Takes a viewer's socket out of the poll; it stays open.
    fn forget(&mut self, index: usize) {
        // SAFETY: removing takes no event; both descriptors are open.
        unsafe {
            libc::epoll_ctl(
                self.poll.as_raw_fd(),
                libc::EPOLL_CTL_DEL,
                self.viewers[index].socket.as_raw_fd(),
                std::ptr::null_mut(),
            );
        }
    }

    fn run_timers(&mut self, now: Instant) {
        while let Some(Reverse((at, index))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            if self.scheduled[index] == Some(at) {
                self.scheduled[index] = None;
                self.tick(index, now);
            }
        }
    }

    fn tick(&mut self, index: usize, now: Instant) {
        self.viewers[index].tick(now, &mut self.around);
        self.schedule(index);
    }

    fn schedule(&mut self, index: usize) {
        let wake_at = self.viewers[index].wake_at(self.options.nack);
        // What is due at once waits its turn: the sockets of all the others come first.
        let soonest = Instant::now() + LOOK_EVERY;
        if let Some(at) = wake_at.map(|at| at.max(soonest))
            && self.scheduled[index].is_none_or(|scheduled| at < scheduled)
        {
            self.scheduled[index] = Some(at);
            self.timers.push(Reverse((at, index)));
        }
    }

    fn watching(&self) -> impl Iterator<Item = &Viewer> {
        self.viewers.iter().filter(|viewer| viewer.role == Role::Watching)
    }

    /// From now on what is owed counts from here.
    fn mark(&mut self) {
        self.viewers.iter_mut().for_each(Viewer::mark);
    }

    /// Packets sent before the mark that those who watch have not got.
    fn owed(&self) -> u64 {
        self.watching().map(Viewer::owed).sum()
    }

    fn reading(&self) -> Reading {
        let mut totals = Totals::default();
        for viewer in self.watching() {
            let of = viewer.totals();
            totals.repaired += of.repaired;
        }
        let stalled = self.viewers.iter().filter(|viewer| viewer.role == Role::Stalled);
        let stalled_drops: u64 = stalled.map(|viewer| drops_of(&viewer.socket)).sum();
        Reading {
            at: Instant::now(),
            tallies: self.around.tallies.clone(),
            totals,
            own: Usage::of(std::process::id()),
            server: self.options.server_pid.map(Usage::of),
            socket_drops: socket_drops().saturating_sub(stalled_drops),
        }
    }

    fn report(&self, before: &Reading, after: &Reading) -> Report {
        let window_s = after.at.duration_since(before.at).as_secs_f64();
        let between = |field: fn(&Tallies) -> u64| field(&after.tallies) - field(&before.tallies);
        let packets = between(|t| t.packets);
        let retransmitted = between(|t| t.retransmitted);
        let mut profiles = BTreeMap::new();
        for profile in self.watching().filter_map(|viewer| viewer.profile) {
            *profiles.entry(profile.to_owned()).or_default() += 1;
        }
        Report {
            viewers: self.options.viewers,
            connected: self
                .watching()
                .filter(|viewer| viewer.time_to_first_packet_us.is_some())
                .count(),
            connected_at_end: self.watching().filter(|viewer| viewer.is_connected()).count(),
            failures: self.failures.clone(),
            profiles,
            time_to_first_packet_ms: Distribution::of_us(
                self.watching()
                    .filter_map(|viewer| viewer.time_to_first_packet_us)
                    .collect(),
            ),
            window_s,
            packets,
            bytes: between(|t| t.bytes),
            retransmitted,
            lost: 0,
            repaired: after.totals.repaired - before.totals.repaired,
            thrown_away: between(|t| t.thrown_away),
            delay_ms: Distribution::of_us(after.tallies.delays_us.clone()),
            joining_delay_ms: Distribution::of_us(after.tallies.joining_delays_us.clone()),
            client_cores: (after.own.cpu_s - before.own.cpu_s) / window_s,
            socket_drops: after.socket_drops.saturating_sub(before.socket_drops),
            hostile_datagrams: between(|t| t.hostile_datagrams),
            server: before
                .server
                .as_ref()
                .zip(after.server.as_ref())
                .map(|(before, after)| {
                    let cpu_s = after.cpu_s - before.cpu_s;
                    ServerReport {
                        cores: cpu_s / window_s,
                        cpu_us_per_packet: cpu_s * 1e6 / (packets + retransmitted).max(1) as f64,
                        rss_before_bytes: 0,
                        rss_afterwards_bytes: 0,
                        rss_bytes: after.rss_bytes,
                        threads: busiest(before, after, window_s),
                    }
                }),
        }
    }
}

/// Threads that took at least a thousandth of a core; those of one name are added up.
fn busiest(before: &Usage, after: &Usage, window_s: f64) -> BTreeMap<String, f64> {
    let mut busiest: BTreeMap<String, f64> = BTreeMap::new();
    for (thread, cpu_s) in &after.threads {
        let cores = (cpu_s - before.threads.get(thread).unwrap_or(&0.0)) / window_s;
        if cores >= 0.001 {
            *busiest.entry(thread.1.clone()).or_default() += cores;
        }
    }
    busiest
}
