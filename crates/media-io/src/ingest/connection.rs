//! The RTSP connection: TCP or TLS, read into the worker thread's buffer.

use super::status::SharedStatus;
use super::{tls, unavailable};
use media_core::Result;
use media_core::rtsp::url::RtspUrl;
use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

/// A camera has so long to accept the connection, and as long for the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that one read may bring: a whole frame, most key frames too.
const READ_BYTES: usize = 256 << 10;
/// Reads in a row before others get their turn.
const READS_PER_WAKE: usize = 8;
/// More waiting to be written than this means that the camera does not listen any more.
const MAX_UNSENT_BYTES: usize = 256 << 10;

thread_local! {
    /// One for all connections of a worker thread: nothing stays in it between two polls.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with the worker thread's buffer, at least `size_bytes` long.
pub(super) fn with_buffer<R>(size_bytes: usize, f: impl FnOnce(&mut [u8]) -> R) -> R {
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.len() < size_bytes {
            buffer.resize(size_bytes, 0);
        }
        f(buffer)
    })
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
}

/// A connection with what was read but not used, and what is written but not sent.
pub(super) struct Connection {
    stream: Stream,
    /// The cut-off end of the last read.
    rest: Vec<u8>,
    /// To be sent.
    pub(super) out: Vec<u8>,
    flushed: bool,
}

impl Connection {
    /// Connects to the camera at `url`: the connection, this end's address and the camera's.
    pub(super) async fn open(url: &RtspUrl, status: &SharedStatus) -> Result<(Self, IpAddr, IpAddr)> {
        let RtspUrl { host, port, .. } = url;
        let address = || format!("{host}:{port}");
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect((host.as_str(), *port)))
            .await
            .map_err(|_| unavailable(format!("{} does not answer", address())))?
            .map_err(|e| unavailable(format!("{} cannot be reached: {e}", address())))?;
        stream.set_nodelay(true)?;
        let (local, camera) = (stream.local_addr()?.ip(), stream.peer_addr()?.ip());
        if !url.tls {
            return Ok((Self::new(Stream::Plain(stream)), local, camera));
        }
        let (stream, sha256) = timeout(CONNECT_TIMEOUT, tls::connect(stream, host))
            .await
            .map_err(|_| unavailable(format!("{} does not finish the TLS handshake", address())))??;
        if let Some(sha256) = sha256 {
            status.certificate(sha256);
        }
        Ok((Self::new(Stream::Tls(stream)), local, camera))
    }

    fn new(stream: Stream) -> Self {
        Self {
            stream,
            rest: Vec::new(),
            out: Vec::new(),
            flushed: true,
        }
    }

    /// Reads what is there and gives it to `take`, which says how many bytes it used up; the rest comes again with
    /// the next bytes. Ready when something was read. The end of the stream is `Unavailable`.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&[u8], &mut Vec<u8>) -> Result<usize>,
    ) -> Poll<Result<()>> {
        let mut result = Poll::Pending;
        for _ in 0..READS_PER_WAKE {
            let held = self.rest.len();
            let read = with_buffer(held + READ_BYTES, |buffer| {
                let mut filled = ReadBuf::new(&mut buffer[held..held + READ_BYTES]);
                match self.stream.poll_read(cx, &mut filled) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(e)) => return Poll::Ready(Err(lost(&e))),
                    Poll::Ready(Ok(())) => {}
                }
                let total = held + filled.filled().len();
                if total == held {
                    return Poll::Ready(Err(unavailable("the camera closed the connection")));
                }
                buffer[..held].copy_from_slice(&self.rest);
                let used = take(&buffer[..total], &mut self.out)?;
                self.rest.clear();
                self.rest.extend_from_slice(&buffer[used..total]);
                Poll::Ready(Ok(()))
            });
            match read {
                Poll::Pending => return result,
                Poll::Ready(Ok(())) => result = Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        // More may be there: come back after the others.
        cx.waker().wake_by_ref();
        result
    }

    /// Sends what `out` holds, as far as the camera takes it. Ready when all is sent.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.out.is_empty() {
            match self.stream.poll_write(cx, &self.out) {
                Poll::Ready(Ok(sent)) => {
                    self.out.drain(..sent);
                    self.flushed = false;
                }
                Poll::Ready(Err(e)) => return Poll::Ready(Err(lost(&e))),
                Poll::Pending if self.out.len() > MAX_UNSENT_BYTES => {
                    return Poll::Ready(Err(unavailable("the camera does not read what it is sent")));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        if !self.flushed {
            match self.stream.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.flushed = true,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(lost(&e))),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn lost(e: &io::Error) -> media_core::Error {
    unavailable(format!("the connection to the camera failed: {e}"))
}
