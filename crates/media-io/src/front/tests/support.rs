#![allow(clippy::unwrap_used)]
//! An application, recordings and clients for the tests.

use crate::clock::{Clock, ManualClock};
use crate::front::{
    Claims, Front, FrontConfig, FrontHandle, FrontLimits, GrantKey, MediaRoutes, Playback, TlsIdentity,
};
use crate::source::ByteSource;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use media_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener};
use tokio::runtime::Handle;
use tokio::sync::Notify;

pub const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
/// 2026-11-23T10:00:00Z.
pub const NOW_S: i64 = 1_795_428_000;
pub const NOW_US: i64 = NOW_S * 1_000_000;
/// No test may take longer for one step.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Byte `n` of every source.
pub fn byte(n: u64) -> u8 {
    (n.wrapping_mul(2_654_435_761) >> 13) as u8
}

pub fn bytes(range: std::ops::Range<u64>) -> Vec<u8> {
    range.map(byte).collect()
}

/// A resource that is computed.
pub struct Computed {
    pub size_bytes: u64,
    pub etag: String,
    pub reads: Arc<AtomicU64>,
    /// Reading fails from here on.
    pub broken_at: u64,
    /// Reads end at multiples of this, as at the borders between files.
    pub border: u64,
}

impl Computed {
    pub fn new(size_bytes: u64) -> Self {
        Self {
            size_bytes,
            etag: "tag".into(),
            reads: Arc::default(),
            broken_at: u64::MAX,
            border: 100_000,
        }
    }
}

impl ByteSource for Computed {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn etag(&self) -> &str {
        &self.etag
    }

    fn content_type(&self) -> &str {
        "video/mp4"
    }

    fn read_at(&self, offset: u64, max_bytes: usize) -> Result<Bytes> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if offset >= self.broken_at {
            return Err(Error::malformed("camera cam-1: a fragment is torn"));
        }
        let border = (offset / self.border + 1) * self.border;
        let end = (offset + max_bytes as u64)
            .min(border)
            .min(self.size_bytes)
            .min(self.broken_at);
        Ok(Bytes::from(bytes(offset..end)))
    }
}

/// Recordings of `cam-1` and `cam-2`.
pub struct Recordings {
    pub size_bytes: AtomicU64,
    pub broken_at: AtomicU64,
    pub reads: Arc<AtomicU64>,
    pub asked: Mutex<Vec<String>>,
}

impl Recordings {
    fn source(&self) -> Arc<dyn ByteSource> {
        Arc::new(Computed {
            reads: self.reads.clone(),
            broken_at: self.broken_at.load(Ordering::Relaxed),
            ..Computed::new(self.size_bytes.load(Ordering::Relaxed))
        })
    }

    fn ask(&self, camera_id: &str, what: String) -> Result<()> {
        self.asked.lock().push(what);
        match camera_id {
            "cam-1" | "cam-2" => Ok(()),
            _ => Err(Error::new(
                ErrorKind::NotFound,
                format!("camera {camera_id} is not known"),
            )),
        }
    }
}

impl MediaRoutes for Recordings {
    fn playback(&self, camera_id: &str, stream: &str, start_us: i64, end_us: i64) -> Result<Playback> {
        self.ask(camera_id, format!("playback {camera_id} {stream} {start_us} {end_us}"))?;
        assert_ne!(stream, "panic", "a bug in the archive");
        Ok(Playback {
            source: self.source(),
            start_us: start_us + 40_000,
            next_start_us: Some(end_us - 1),
        })
    }

    fn hls_playlist(&self, camera_id: &str, stream: &str, start_us: i64, end_us: i64) -> Result<String> {
        self.ask(camera_id, format!("playlist {camera_id} {stream} {start_us} {end_us}"))?;
        Ok("#EXTM3U\n#EXT-X-MAP:URI=\"init-a.mp4\"\n#EXTINF:2.0,\nsegment-1.m4s\n#EXT-X-ENDLIST\n".into())
    }

    fn hls_init(&self, camera_id: &str, stream: &str, name: &str) -> Result<Arc<dyn ByteSource>> {
        self.ask(camera_id, format!("init {camera_id} {stream} {name}"))?;
        Ok(self.source())
    }

    fn hls_segment(
        &self,
        camera_id: &str,
        stream: &str,
        name: &str,
        granted_us: (i64, i64),
    ) -> Result<Arc<dyn ByteSource>> {
        self.ask(camera_id, format!("segment {camera_id} {stream} {name}"))?;
        let number: i64 = name
            .parse()
            .map_err(|_| Error::new(ErrorKind::NotFound, "no such segment"))?;
        let start_us = NOW_US + number * 2_000_000;
        if start_us < granted_us.0 || start_us >= granted_us.1 {
            return Err(Error::new(ErrorKind::Forbidden, "the segment is of another time"));
        }
        Ok(self.source())
    }
}

/// What the application was asked.
#[derive(Clone)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
}

/// The application: answers over a Unix socket and remembers what it was asked.
pub struct Application {
    pub asked: Mutex<Vec<Asked>>,
    pub connections: AtomicUsize,
    /// Lets `/api/v1/stream` go on.
    pub go_on: Notify,
    /// File that `/api/v1/file` sends.
    pub file: Mutex<PathBuf>,
}

impl Application {
    pub fn start(socket: &std::path::Path) -> Arc<Self> {
        let application = Arc::new(Self {
            asked: Mutex::default(),
            connections: AtomicUsize::new(0),
            go_on: Notify::new(),
            file: Mutex::default(),
        });
        let listener = UnixListener::bind(socket).unwrap();
        let served = application.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                served.connections.fetch_add(1, Ordering::Relaxed);
                let application = served.clone();
                let service = service_fn(move |request| {
                    let application = application.clone();
                    async move { Ok::<_, Infallible>(application.answer(request).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades();
                tokio::spawn(connection);
            }
        });
        application
    }

    pub fn last(&self) -> Asked {
        self.asked.lock().last().cloned().unwrap()
    }

    async fn answer(self: Arc<Self>, mut request: Request<Incoming>) -> Response<BoxBody<Bytes, Infallible>> {
        self.asked.lock().push(Asked {
            method: request.method().clone(),
            path: request.uri().to_string(),
            headers: request.headers().clone(),
        });
        let full = |text: &str| Full::new(Bytes::from(text.to_owned())).boxed();
        let mut response = Response::new(full(""));
        response.headers_mut().insert("server", "uvicorn".parse().unwrap());
        response
            .headers_mut()
            .insert("keep-alive", "timeout=5".parse().unwrap());
        match request.uri().path() {
            "/api/v1/echo" => match request.into_body().collect().await {
                Ok(body) => *response.body_mut() = Full::new(body.to_bytes()).boxed(),
                Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
            },
            "/api/v1/stream" => {
                let (send, receive) = tokio::sync::mpsc::channel::<Bytes>(1);
                tokio::spawn(async move {
                    let _ = send.send(Bytes::from_static(b"first ")).await;
                    self.go_on.notified().await;
                    let _ = send.send(Bytes::from_static(b"second")).await;
                });
                let frames = futures_util::stream::unfold(receive, |mut receive| async {
                    let chunk = receive.recv().await?;
                    Some((Ok(Frame::data(chunk)), receive))
                });
                *response.body_mut() = BoxBody::new(StreamBody::new(frames));
            }
            "/api/v1/never" => std::future::pending().await,
            "/api/v1/file" => {
                let path = self.file.lock().display().to_string();
                response.headers_mut().insert("vms-send-file", path.parse().unwrap());
                response
                    .headers_mut()
                    .insert("content-type", "video/quicktime".parse().unwrap());
                response
                    .headers_mut()
                    .insert("content-disposition", "attachment; filename=\"a.mov\"".parse().unwrap());
            }
            "/internal/grants" => {
                let session = request
                    .headers()
                    .get("authorization")
                    .or(request.headers().get("cookie"))
                    .cloned();
                let question = request.into_body().collect().await.unwrap().to_bytes();
                let question: serde_json::Value = serde_json::from_slice(&question).unwrap();
                response
                    .headers_mut()
                    .insert("content-type", "application/json".parse().unwrap());
                match session.as_ref().map(http::HeaderValue::as_bytes) {
                    Some(b"Bearer good" | b"session=good") => {
                        let claims = Claims {
                            camera_id: question["camera_id"].as_str().unwrap().into(),
                            action: question["action"].as_str().unwrap().into(),
                            start_us: None,
                            end_us: None,
                            ..claims()
                        };
                        let grant = GrantKey::new(KEY).sign(&claims);
                        *response.body_mut() = full(&serde_json::json!({ "grant": grant }).to_string());
                    }
                    Some(b"Bearer foreign key") => {
                        let grant = GrantKey::new(b"another key that is not ours").sign(&claims());
                        *response.body_mut() = full(&serde_json::json!({ "grant": grant }).to_string());
                    }
                    Some(b"Bearer slow") => std::future::pending().await,
                    Some(b"Bearer garbage") => *response.body_mut() = full("{"),
                    _ => {
                        *response.status_mut() = StatusCode::FORBIDDEN;
                        response
                            .headers_mut()
                            .insert("content-type", "application/problem+json".parse().unwrap());
                        *response.body_mut() = full(r#"{"type":"urn:vms:problem:camera-not-yours","status":403}"#);
                    }
                }
            }
            "/ws/echo" => {
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert("connection", "Upgrade".parse().unwrap());
                response.headers_mut().insert("upgrade", "websocket".parse().unwrap());
                response
                    .headers_mut()
                    .insert("sec-websocket-accept", "x".parse().unwrap());
                let upgraded = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    let mut socket = TokioIo::new(upgraded.await.unwrap());
                    let mut piece = [0; 4096];
                    while let Ok(read @ 1..) = socket.read(&mut piece).await {
                        if socket.write_all(&piece[..read]).await.is_err() {
                            break;
                        }
                    }
                });
            }
            "/healthz" => *response.body_mut() = full("well"),
            _ => {
                *response.status_mut() = StatusCode::NOT_FOUND;
                response
                    .headers_mut()
                    .insert("content-type", "application/problem+json".parse().unwrap());
                *response.body_mut() = full("{\"from\":\"application\"}");
            }
        }
        response
    }
}

pub fn claims() -> Claims {
    Claims {
        camera_id: "cam-1".into(),
        action: "playback".into(),
        stream: None,
        start_us: Some(NOW_US),
        end_us: Some(NOW_US + 60_000_000),
        starts_before: NOW_S + 300,
        expires_at: NOW_S + 3_600,
        subject: "alice".into(),
    }
}

/// Everything that a test talks to.
pub struct Bench {
    pub front: FrontHandle,
    pub application: Arc<Application>,
    pub recordings: Arc<Recordings>,
    pub clock: Arc<ManualClock>,
    pub folder: tempfile::TempDir,
}

/// What a test wants otherwise.
pub struct Wishes {
    pub limits: FrontLimits,
    pub tls: Option<TlsIdentity>,
    pub media_concurrency: usize,
    pub page: bool,
    pub application: bool,
    /// Whether recordings lie here.
    pub archive: bool,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            limits: FrontLimits::default(),
            tls: None,
            media_concurrency: 8,
            page: false,
            application: true,
            archive: true,
        }
    }
}

impl Bench {
    pub fn new() -> Self {
        Self::with(Wishes::default())
    }

    pub fn with(wishes: Wishes) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("application.sock");
        let (idle, at) = (folder.path().join("idle.sock"), socket.clone());
        let application = Application::start(if wishes.application { &at } else { &idle });
        let static_dir = wishes.page.then(|| folder.path().join("dist"));
        if let Some(page) = &static_dir {
            std::fs::create_dir_all(page.join("assets")).unwrap();
            std::fs::write(page.join("index.html"), "<html>page</html>").unwrap();
            std::fs::write(page.join("assets/index-DiwrgTda.js"), "let x = 1").unwrap();
            std::fs::write(folder.path().join("secret.txt"), "secret").unwrap();
        }
        let recordings = Arc::new(Recordings {
            size_bytes: AtomicU64::new(1_000_000),
            broken_at: AtomicU64::new(u64::MAX),
            reads: Arc::default(),
            asked: Mutex::default(),
        });
        let clock = ManualClock::at(NOW_US);
        let config = FrontConfig {
            host: "127.0.0.1".into(),
            port: 0,
            upstream_socket: socket,
            static_dir,
            grant_key: KEY.to_vec(),
            tls: wishes.tls,
            media_concurrency: wishes.media_concurrency,
            clock: clock.clone() as Arc<dyn Clock>,
            limits: wishes.limits,
        };
        let front = if wishes.archive {
            Front::start(&Handle::current(), config, recordings.clone()).unwrap()
        } else {
            Front::start_without_archive(&Handle::current(), config).unwrap()
        };
        Self {
            front,
            application,
            recordings,
            clock,
            folder,
        }
    }

    pub fn token(&self, change: impl FnOnce(&mut Claims)) -> String {
        let mut claims = claims();
        change(&mut claims);
        GrantKey::new(KEY).sign(&claims)
    }

    /// Path of a playback with a good token.
    pub fn playback(&self) -> String {
        format!(
            "/api/v1/cameras/cam-1/playback.mp4?{RANGE}&token={}",
            self.token(|_| ())
        )
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.front.port())).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], "").await
    }

    pub async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "front.test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::from(body.to_owned()));
        answer_of(self.send(request.body(body).unwrap()).await).await
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(self.connect().await))
            .await
            .unwrap();
        tokio::spawn(connection);
        tokio::time::timeout(PATIENCE, sender.send_request(request))
            .await
            .unwrap()
            .unwrap()
    }

    /// Sends bytes as they are and reads until the front closes.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        let _ = stream.write_all(bytes.as_ref()).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .expect("the front closes");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// The first minute of what tokens permit.
pub const RANGE: &str = "start=2026-11-23T10:00:00Z&end=2026-11-23T10:01:00Z";

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn problem_type(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let document: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(document["status"], self.status);
        assert!(document["title"].is_string() && document["detail"].is_string());
        document["type"].as_str().unwrap().to_owned()
    }
}

pub async fn answer_of(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = tokio::time::timeout(PATIENCE, body.collect())
        .await
        .unwrap()
        .unwrap()
        .to_bytes();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    }
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
