//! The RTSP connection: TCP or TLS, read into the worker thread's buffer.

use super::status::SharedStatus;
use super::{tls, unavailable};
use media_core::rtsp::url::RtspUrl;
use media_core::{Error, ErrorKind, Result};
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

/// A camera has so long to accept the connection, and as long for the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that one read may bring: a whole frame, most key frames too.
const READ_BYTES: usize = 256 << 10;
/// More read and not used up than this is no message: the longest have 272 KiB.
const MAX_REST_BYTES: usize = 512 << 10;
/// Reads in a row before others get their turn.
const READS_PER_WAKE: usize = 8;
/// More waiting to be written than this means that the camera does not listen any more.
const MAX_UNSENT_BYTES: usize = 256 << 10;

/// Whether an address means this machine or its link alone: loopback, link-local, unspecified, multicast. The same as
/// `vms.ingest.sources.is_local_to_server` says of literal addresses before anything is stored.
fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || ip.is_multicast(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified() || ip.is_multicast(),
    }
}

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
    /// Connects to the camera at `url`: the connection, this end's address and the camera's. Unless `allow_local`, a
    /// name that stands for this machine is `Invalid`: whoever edits cameras and a DNS zone would reach what
    /// listens here alone.
    pub(super) async fn open(
        url: &RtspUrl,
        allow_local: bool,
        status: &SharedStatus,
    ) -> Result<(Self, IpAddr, IpAddr)> {
        let RtspUrl { host, port, .. } = url;
        let address = || format!("{host}:{port}");
        let connecting = async {
            let found: Vec<SocketAddr> = lookup_host((host.as_str(), *port)).await?.collect();
            let allowed: Vec<SocketAddr> = found
                .iter()
                .copied()
                .filter(|a| allow_local || !is_local(a.ip()))
                .collect();
            if allowed.is_empty() && !found.is_empty() {
                return Ok(None);
            }
            TcpStream::connect(&allowed[..]).await.map(Some)
        };
        let stream = timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| unavailable(format!("{} does not answer", address())))?
            .map_err(|e| unavailable(format!("{} cannot be reached: {e}", address())))?
            .ok_or_else(|| {
                let reason = format!("{} is an address of the server itself or of its link", address());
                Error::new(ErrorKind::Invalid, reason)
            })?;
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
                if total - used > MAX_REST_BYTES {
                    return Poll::Ready(Err(Error::malformed("the camera sends a message without end")));
                }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    /// A connection to a camera that sends `bytes` and then ends.
    async fn connection_to(bytes: Vec<u8>) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut camera, _) = listener.accept().await.unwrap();
        tokio::spawn(async move { camera.write_all(&bytes).await });
        Connection::new(Stream::Plain(stream))
    }

    /// Reads to the end: the most that was kept between two reads, bytes, and why it ended.
    async fn most_kept(connection: &mut Connection, take: impl Fn(&[u8]) -> usize) -> (usize, Error) {
        let mut most = 0;
        loop {
            if let Err(error) = poll_fn(|cx| connection.poll_read(cx, |bytes, _| Ok(take(bytes)))).await {
                return (most, error);
            }
            most = most.max(connection.rest.len());
        }
    }

    #[tokio::test]
    async fn what_is_never_used_up_ends_the_connection() {
        let mut connection = connection_to(vec![b'a'; 4 << 20]).await;
        let (most, error) = most_kept(&mut connection, |_| 0).await;
        assert!(most <= MAX_REST_BYTES, "{most}");
        assert!(error.message().contains("without end"), "{error}");
        let mut connection = connection_to(vec![b'a'; 4 << 20]).await;
        let (most, error) = most_kept(&mut connection, |bytes| bytes.len() - 100).await;
        assert_eq!((most, error.kind()), (100, ErrorKind::Unavailable));
    }
}
