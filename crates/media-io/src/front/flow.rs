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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::front::tests::support::{Computed, PATIENCE, bytes};
    use std::future::poll_fn;
    use std::sync::atomic::Ordering;
    use std::time::Instant;

    const SIZE_BYTES: u64 = 8 << 20;

    fn begin(source: Computed) -> (FlowReader, tokio::task::JoinHandle<()>) {
        let (pump, reader) = flow(Arc::new(source), 0..SIZE_BYTES, Handle::current());
        (reader, tokio::task::spawn_blocking(move || pump.run()))
    }

    async fn next(reader: &mut FlowReader) -> Option<Result<Bytes, Error>> {
        tokio::time::timeout(PATIENCE, poll_fn(|cx| reader.poll_chunk(cx)))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn the_thread_leaves_a_client_that_pauses_and_comes_back_when_it_goes_on() {
        let (mut reader, thread) = begin(Computed::new(SIZE_BYTES));
        // Nothing is taken: the thread is given back, with the chunks it read waiting.
        tokio::time::timeout(PATIENCE, thread).await.unwrap().unwrap();
        assert!(!reader.flow.state.lock().reading);
        let mut received = Vec::new();
        while let Some(chunk) = next(&mut reader).await {
            received.extend_from_slice(&chunk.unwrap());
        }
        assert!(received == bytes(0..SIZE_BYTES));
        assert_eq!(reader.left_bytes(), 0);
    }

    #[tokio::test]
    async fn the_thread_leaves_at_once_when_the_client_is_gone() {
        let source = Computed::new(SIZE_BYTES);
        let reads = source.reads.clone();
        let (mut reader, thread) = begin(source);
        assert!(next(&mut reader).await.is_some());
        let begun = Instant::now();
        drop(reader);
        thread.await.unwrap();
        assert!(begun.elapsed() < IDLE_HOLD / 2, "{:?}", begun.elapsed());
        assert!(reads.load(Ordering::Relaxed) <= 2 + PREFETCH_CHUNKS as u64);
    }

    #[tokio::test]
    async fn a_source_that_ends_early_or_panics_is_an_error_and_not_a_wait() {
        for source in [
            Computed {
                broken_at: 3 << 20,
                ..Computed::new(SIZE_BYTES)
            },
            Computed::new(SIZE_BYTES - 1),
            // Division by zero.
            Computed {
                border: 0,
                ..Computed::new(SIZE_BYTES)
            },
        ] {
            let (mut reader, _thread) = begin(source);
            let last = loop {
                match next(&mut reader).await {
                    Some(Ok(_)) => {}
                    last => break last,
                }
            };
            assert!(matches!(last, Some(Err(_))));
        }
    }
}
