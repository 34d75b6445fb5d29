//! Connections to the application: HTTP/1.1 over its Unix socket, kept alive and used again.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep};

/// Connections kept without work.
const IDLE_CONNECTIONS: usize = 64;
/// Shorter than servers usually keep an idle connection (uvicorn: 5 s), so that we rarely meet one just closed.
const IDLE_TIME: Duration = Duration::from_secs(3);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection whose last answer was read whole is ready at once, but for the turn of its task.
const READY_TIMEOUT: Duration = Duration::from_millis(20);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum UpstreamError {
    /// Nobody listens on the socket.
    Down(io::Error),
    /// No answer in time.
    Timeout,
    /// The connection broke, or what came is no HTTP.
    Broken(hyper::Error),
}

/// The application, reached through its Unix socket.
pub(super) struct Upstream {
    socket: PathBuf,
    answer_timeout: Duration,
    runtime: Handle,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

impl Upstream {
    pub(super) fn new(socket: PathBuf, answer_timeout: Duration, runtime: Handle) -> Arc<Self> {
        Arc::new(Self {
            socket,
            answer_timeout,
            runtime,
            idle: Mutex::default(),
        })
    }

    /// Sends a request and waits for the head of its answer. A request that an old connection did not take, or that
    /// has no body and changes nothing, is sent once more on a new one.
    pub(super) async fn send(
        self: &Arc<Self>,
        request: Request<RequestBody>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        match tokio::time::timeout(self.answer_timeout, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(UpstreamError::Timeout),
        }
    }

    async fn exchange(
        self: &Arc<Self>,
        mut request: Request<RequestBody>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        loop {
            let used = self.take_idle().await;
            let is_used = used.is_some();
            let mut sender = match used {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            let again = (is_used && request.method().is_safe() && request.body().is_end_stream()).then(|| {
                let mut again = Request::new(RequestBody::empty());
                *again.method_mut() = request.method().clone();
                *again.uri_mut() = request.uri().clone();
                *again.headers_mut() = request.headers().clone();
                again
            });
            match sender.try_send_request(request).await {
                Ok(answer) => {
                    // After a 101 the connection speaks another protocol and is nobody's to use again.
                    let lease = (answer.status() != StatusCode::SWITCHING_PROTOCOLS).then(|| Lease {
                        upstream: self.clone(),
                        sender,
                    });
                    return Ok(answer.map(|incoming| UpstreamBody::new(incoming, lease)));
                }
                Err(mut failed) => match (failed.take_message(), again) {
                    (Some(unsent), _) if is_used => request = unsent,
                    (_, Some(again)) => request = again,
                    _ => return Err(UpstreamError::Broken(failed.into_error())),
                },
            }
        }
    }

    async fn take_idle(&self) -> Option<SendRequest<RequestBody>> {
        loop {
            let Idle { mut sender, since } = self.idle.lock().pop()?;
            if since.elapsed() > IDLE_TIME || sender.is_closed() {
                continue;
            }
            if matches!(tokio::time::timeout(READY_TIMEOUT, sender.ready()).await, Ok(Ok(()))) {
                return Some(sender);
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<RequestBody>, UpstreamError> {
        let stream = match tokio::time::timeout(CONNECT_TIMEOUT, UnixStream::connect(&self.socket)).await {
            Ok(stream) => stream.map_err(UpstreamError::Down)?,
            Err(_) => return Err(UpstreamError::Timeout),
        };
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(UpstreamError::Broken)?;
        self.runtime.spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to the application ended");
            }
        });
        Ok(sender)
    }

    fn give_back(&self, sender: SendRequest<RequestBody>) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock();
        idle.retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < IDLE_TIME);
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(Idle {
                sender,
                since: Instant::now(),
            });
        }
    }

    /// Closes what is idle.
    pub(super) fn close(&self) {
        self.idle.lock().clear();
    }
}

/// A connection in use.
struct Lease {
    upstream: Arc<Upstream>,
    sender: SendRequest<RequestBody>,
}

/// Body of an answer of the application. Read to its end it gives its connection back; dropped before, it closes it.
pub(super) struct UpstreamBody {
    incoming: Incoming,
    lease: Option<Lease>,
}

impl UpstreamBody {
    fn new(incoming: Incoming, lease: Option<Lease>) -> Self {
        let mut body = Self { incoming, lease };
        body.give_back_at_end();
        body
    }

    fn give_back_at_end(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(Lease { upstream, sender }) = self.lease.take()
        {
            upstream.give_back(sender);
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            None => {
                if let Some(Lease { upstream, sender }) = self.lease.take() {
                    upstream.give_back(sender);
                }
            }
            Some(Ok(_)) => self.give_back_at_end(),
            Some(Err(_)) => self.lease = None,
        }
        Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Why the body of a request was not passed on whole; shared between the body and who sends it.
#[derive(Clone, Default)]
pub(super) struct BodyFault(Arc<AtomicU8>);

const TOO_LARGE: u8 = 1;
const TOO_SLOW: u8 = 2;

impl BodyFault {
    pub(super) fn is_too_large(&self) -> bool {
        self.0.load(Ordering::Relaxed) == TOO_LARGE
    }

    pub(super) fn is_too_slow(&self) -> bool {
        self.0.load(Ordering::Relaxed) == TOO_SLOW
    }
}

/// Body of a request to the application.
pub(super) struct RequestBody {
    payload: RequestPayload,
}

enum RequestPayload {
    Empty,
    Whole(Bytes),
    Client(Box<ClientBody>),
}

struct ClientBody {
    incoming: Incoming,
    left_bytes: u64,
    stall_timeout: Duration,
    /// Runs while a frame is awaited.
    stalled: Option<Pin<Box<Sleep>>>,
    fault: BodyFault,
}

impl RequestBody {
    pub(super) fn empty() -> Self {
        Self {
            payload: RequestPayload::Empty,
        }
    }

    pub(super) fn whole(bytes: Bytes) -> Self {
        Self {
            payload: RequestPayload::Whole(bytes),
        }
    }

    /// The body that a client sends: at most `limit_bytes`, and each frame within `stall_timeout`.
    pub(super) fn client(incoming: Incoming, limit_bytes: u64, stall_timeout: Duration, fault: BodyFault) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        let client = ClientBody {
            incoming,
            left_bytes: limit_bytes,
            stall_timeout,
            stalled: None,
            fault,
        };
        Self {
            payload: RequestPayload::Client(Box::new(client)),
        }
    }
}

impl ClientBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            let timeout = self.stall_timeout;
            let stalled = self
                .stalled
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
            ready!(stalled.as_mut().poll(cx));
            self.fault.0.store(TOO_SLOW, Ordering::Relaxed);
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        };
        self.stalled = None;
        let Some(frame) = frame else { return Poll::Ready(None) };
        let frame = match frame.map_err(io::Error::other) {
            Ok(frame) => frame,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.left_bytes.checked_sub(bytes) {
            Some(left) => self.left_bytes = left,
            None => {
                self.fault.0.store(TOO_LARGE, Ordering::Relaxed);
                return Poll::Ready(Some(Err(io::ErrorKind::FileTooLarge.into())));
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.payload {
            RequestPayload::Empty => Poll::Ready(None),
            RequestPayload::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.payload = RequestPayload::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            RequestPayload::Client(client) => client.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.payload {
            RequestPayload::Empty => true,
            RequestPayload::Whole(_) => false,
            RequestPayload::Client(client) => client.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.payload {
            RequestPayload::Empty => SizeHint::with_exact(0),
            RequestPayload::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            RequestPayload::Client(client) => client.incoming.size_hint(),
        }
    }
}
