//! The listening socket, its connections, and their end.

use super::FrontConfig;
use super::FrontLimits;
use super::body::FrontBody;
use super::counters::Counters;
use super::peer::Peer;
use super::service::Service;
use super::stall::StallGuard;
use super::tls::ALPN_H2;
use bytes::Bytes;
use http::header::{HOST, LOCATION};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use media_core::{Error, ErrorKind, Result};
use socket2::{Domain, Protocol, Socket, Type};
use std::convert::Infallible;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;

const BACKLOG: i32 = 1024;
/// After accept fails for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// HTTP/2 streams of one connection.
const H2_STREAMS: u32 = 128;
const H2_PING_INTERVAL: Duration = Duration::from_secs(20);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(20);
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\
    Content-Length: 0\r\n\r\n";

/// How far the front's life has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Requests are answered.
    Serving,
    /// Answers begun are finished, nothing new begins.
    Draining,
    /// Whatever is left ends now.
    Stopped,
}

/// Held by every task of the front: tells it when to end, and tells who waits that it has.
#[derive(Clone)]
pub(super) struct Lifeline {
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) _alive: mpsc::Sender<Infallible>,
}

impl Lifeline {
    /// Until the front drains, or is gone.
    pub(super) async fn draining(&mut self) {
        let _ = self.phase.wait_for(|phase| *phase >= Phase::Draining).await;
    }

    /// Until the front stops, or is gone.
    pub(super) async fn stopped(&mut self) {
        let _ = self.phase.wait_for(|phase| *phase >= Phase::Stopped).await;
    }
}

/// Binds `config.host` and `config.port`.
///
/// Errors: `Invalid` for a host that is none, `Conflict` when the port is taken, `Forbidden` when it may not be used.
pub(super) fn bind(config: &FrontConfig) -> Result<std::net::TcpListener> {
    let shown = format!("{} port {}", config.host, config.port);
    let host = config.host.trim_start_matches('[').trim_end_matches(']');
    let address = (host, config.port)
        .to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| Error::new(ErrorKind::Invalid, format!("“{}” is no host to listen on", config.host)))?;
    listen(address).map_err(|error| {
        if error.kind() == std::io::ErrorKind::AddrInUse {
            Error::new(ErrorKind::Conflict, format!("{shown} is in use by another program"))
        } else if error.kind() == std::io::ErrorKind::AddrNotAvailable {
            Error::new(ErrorKind::Invalid, format!("{shown} is no address of this machine"))
        } else {
            Error::from(error).within(format!("cannot listen on {shown}"))
        }
    })
}

fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// What the connections share.
pub(super) struct Connections {
    pub(super) service: Arc<Service>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) limits: FrontLimits,
    pub(super) counters: Arc<Counters>,
}

impl Connections {
    /// Accepts until the front drains.
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener, mut lifeline: Lifeline) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = lifeline.draining() => return,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                self.counters.connection_refused();
                if self.tls.is_none() {
                    refuse(stream).await;
                }
                continue;
            };
            let connection = self.clone().serve(stream, address, place, lifeline.clone());
            tokio::spawn(connection);
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        place: OwnedSemaphorePermit,
        mut lifeline: Lifeline,
    ) {
        self.counters.connection_opened();
        let mut stopping = lifeline.clone();
        tokio::select! {
            () = self.speak(stream, address, &mut lifeline) => {}
            () = stopping.stopped() => {}
        }
        self.counters.connection_closed();
        drop(place);
    }

    async fn speak(&self, stream: TcpStream, address: SocketAddr, lifeline: &mut Lifeline) {
        // The last packet of an answer shall not wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            let peer = Peer {
                address: address.ip(),
                is_tls: false,
            };
            return self
                .speak_http1(StallGuard::new(stream, self.limits.write_stall_timeout), peer, lifeline)
                .await;
        };
        let handshake = async {
            let mut first = [0];
            if stream.peek(&mut first).await.is_ok_and(|read| read == 1) && first[0].is_ascii_uppercase() {
                return Err(stream);
            }
            Ok(tls
                .accept(StallGuard::new(stream, self.limits.write_stall_timeout))
                .await)
        };
        match tokio::time::timeout(self.limits.header_timeout, handshake).await {
            Ok(Ok(Ok(stream))) => {
                let peer = Peer {
                    address: address.ip(),
                    is_tls: true,
                };
                if stream.get_ref().1.alpn_protocol() == Some(ALPN_H2) {
                    self.speak_http2(stream, peer, lifeline).await;
                } else {
                    self.speak_http1(stream, peer, lifeline).await;
                }
            }
            Ok(Err(plain)) => self.point_to_https(plain, lifeline).await,
            Ok(Ok(Err(error))) => {
                self.counters.handshake_failed();
                tracing::debug!(%error, "a TLS handshake failed");
            }
            Err(_) => self.counters.handshake_failed(),
        }
    }

    async fn speak_http1<S>(&self, stream: S, peer: Peer, lifeline: &mut Lifeline)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let held = lifeline.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let (service, held) = (self.service.clone(), held.clone());
            async move { Ok::<_, Infallible>(service.answer(request, peer, &held).await) }
        });
        let connection = self
            .http1()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = lifeline.draining() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
    }

    async fn speak_http2<S>(&self, stream: S, peer: Peer, lifeline: &mut Lifeline)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (held, service) = (lifeline.clone(), self.service.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (service, held) = (service.clone(), held.clone());
            async move { Ok::<_, Infallible>(service.answer(request, peer, &held).await) }
        });
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(H2_STREAMS)
            .max_header_list_size(u32::try_from(self.limits.header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(H2_PING_INTERVAL)
            .keep_alive_timeout(H2_PING_TIMEOUT);
        let mut connection = pin!(http2.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = lifeline.draining() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
    }

    /// Somebody typed http:// where https:// is spoken.
    async fn point_to_https(&self, stream: TcpStream, lifeline: &mut Lifeline) {
        let service = service_fn(async |request: Request<Incoming>| Ok::<_, Infallible>(to_https(&request)));
        let stream = StallGuard::new(stream, self.limits.write_stall_timeout);
        let mut http1 = self.http1();
        http1.keep_alive(false);
        tokio::select! {
            _ = http1.serve_connection(TokioIo::new(stream), service) => {}
            () = lifeline.draining() => {}
        }
    }

    fn http1(&self) -> http1::Builder {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            .max_headers(self.limits.headers)
            .max_header_size(self.limits.header_bytes)
            .half_close(false);
        http1
    }
}

fn to_https(request: &Request<Incoming>) -> Response<FrontBody> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let location = host.and_then(|host| {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        HeaderValue::try_from(format!("https://{host}{path}")).ok()
    });
    let mut response = Response::new(FrontBody::whole(Bytes::from_static(b"This port speaks HTTPS.\n")));
    match location {
        Some(location) => {
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            response.headers_mut().insert(LOCATION, location);
        }
        None => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

/// Says that there is no room, as far as that takes no waiting.
async fn refuse(mut stream: TcpStream) {
    let _ = tokio::time::timeout(Duration::from_millis(10), stream.write_all(REFUSAL)).await;
}
