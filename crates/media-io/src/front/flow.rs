//! The way of a byte source's bytes from the disk to a connection: one blocking thread reads ahead a little, the
//! connection takes what is there.
//!
//! A thread is held only while bytes flow. When the client stops taking (a paused player), the thread leaves after
//! `IDLE_HOLD` and a new one is asked for when the client goes on, so that many slow clients need few threads.

use crate::source::ByteSource;
use bytes::Bytes;
use media_core::{Error, ErrorKind};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::runtime::Handle;

/// Bytes asked for at once.
pub(super) const CHUNK_BYTES: usize = 256 << 10;
/// Bytes asked for first: the client sees them before the rest is read.
const FIRST_CHUNK_BYTES: usize = 64 << 10;
/// Chunks read before the connection takes them.
const PREFETCH_CHUNKS: usize = 2;
/// How long a thread waits for a client that does not take.
const IDLE_HOLD: Duration = Duration::from_secs(1);

struct State {
    chunks: VecDeque<Bytes>,
    /// Offset of the next byte to read.
    next: u64,
    /// A thread is reading or waiting for room.
    reading: bool,
    failure: Option<Error>,
    abandoned: bool,
    waker: Option<Waker>,
}

struct Flow {
    source: Arc<dyn ByteSource>,
    end: u64,
    state: Mutex<State>,
    room: Condvar,
}

/// The connection's end: yields the bytes in order. Dropping it ends the reading.
pub(super) struct FlowReader {
    flow: Arc<Flow>,
    runtime: Handle,
    /// Bytes not yet yielded.
    left: u64,
}

/// The thread's end.
pub(super) struct FlowPump {
    flow: Arc<Flow>,
}

/// Both ends of a flow of the bytes `range` of `source`, whose pump shall run on a blocking thread.
pub(super) fn flow(source: Arc<dyn ByteSource>, range: Range<u64>, runtime: Handle) -> (FlowPump, FlowReader) {
    let left = range.end.saturating_sub(range.start);
    let state = State {
        chunks: VecDeque::with_capacity(PREFETCH_CHUNKS),
        next: range.start,
        reading: true,
        failure: None,
        abandoned: false,
        waker: None,
    };
    let flow = Arc::new(Flow {
        source,
        end: range.end,
        state: Mutex::new(state),
        room: Condvar::new(),
    });
    (FlowPump { flow: flow.clone() }, FlowReader { flow, runtime, left })
}

impl FlowPump {
    /// Reads the first bytes, before the head of the answer goes out: an error can then still become a status.
    pub(super) fn read_first(&self) -> Result<(), Error> {
        let mut state = self.flow.state.lock();
        if state.next >= self.flow.end {
            return Ok(());
        }
        let first = self.flow.read(state.next, FIRST_CHUNK_BYTES)?;
        state.next += first.len() as u64;
        state.chunks.push_back(first);
        Ok(())
    }

    /// Reads on until everything is read, the client is gone, or it has not taken anything for `IDLE_HOLD`.
    pub(super) fn run(self) {
        let flow = &self.flow;
        let mut state = flow.state.lock();
        loop {
            while state.chunks.len() >= PREFETCH_CHUNKS && !state.abandoned && state.next < flow.end {
                let timed_out = flow.room.wait_for(&mut state, IDLE_HOLD).timed_out();
                if timed_out && state.chunks.len() >= PREFETCH_CHUNKS {
                    state.reading = false;
                    return;
                }
            }
            if state.abandoned || state.next >= flow.end {
                state.reading = false;
                return;
            }
            let at = state.next;
            let read = MutexGuard::unlocked(&mut state, || flow.read(at, CHUNK_BYTES));
            match read {
                Ok(chunk) => {
                    state.next += chunk.len() as u64;
                    state.chunks.push_back(chunk);
                }
                Err(error) => {
                    state.failure = Some(error);
                    state.reading = false;
                }
            }
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
            if !state.reading {
                return;
            }
        }
    }
}

impl Drop for FlowPump {
    /// A source that panicked must not leave the connection waiting for ever.
    fn drop(&mut self) {
        let mut state = self.flow.state.lock();
        if state.reading {
            state.reading = false;
            state.failure = Some(Error::new(
                ErrorKind::Internal,
                "the reading of a source stopped half way",
            ));
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
    }
}

impl Flow {
    /// Never empty, never more than is wanted.
    fn read(&self, at: u64, max_bytes: usize) -> Result<Bytes, Error> {
        let wanted = usize::try_from(self.end - at).unwrap_or(usize::MAX).min(max_bytes);
        let mut chunk = self.source.read_at(at, wanted)?;
        if chunk.is_empty() {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("a source of {} bytes ended at byte {at}", self.source.size_bytes()),
            ));
        }
        chunk.truncate(wanted);
        Ok(chunk)
    }
}

impl FlowReader {
    /// Bytes not yet yielded.
    pub(super) fn left_bytes(&self) -> u64 {
        self.left
    }

    /// The next chunk; None at the end.
    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let mut state = self.flow.state.lock();
        let chunk = state.chunks.pop_front();
        let resume = !state.reading && state.failure.is_none() && state.next < self.flow.end;
        if resume {
            state.reading = true;
        }
        let answer = match chunk {
            Some(chunk) => {
                self.flow.room.notify_one();
                self.left -= chunk.len() as u64;
                Poll::Ready(Some(Ok(chunk)))
            }
            None => match state.failure.take() {
                Some(error) => Poll::Ready(Some(Err(error))),
                None if state.next >= self.flow.end => Poll::Ready(None),
                None => {
                    state.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            },
        };
        drop(state);
        if resume {
            let pump = FlowPump {
                flow: self.flow.clone(),
            };
            self.runtime.spawn_blocking(move || pump.run());
        }
        answer
    }
}

impl Drop for FlowReader {
    fn drop(&mut self) {
        let mut state = self.flow.state.lock();
        state.abandoned = true;
        state.chunks.clear();
        self.flow.room.notify_all();
    }
}
