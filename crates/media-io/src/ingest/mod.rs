//! Ingest: one task per camera stream that connects, receives, and publishes access units to the stream's hub.
//!
//! A task wakes when its sockets have bytes and once a second. Bytes are read into one buffer per worker thread, which
//! stays in the processor's cache; a connection itself keeps only what was cut off at the end of its last read. From
//! that buffer each packet's payload is copied once, into its access unit.

mod backoff;
mod connection;
mod datagrams;
mod session;
mod status;
mod tls;

pub use media_core::rtsp::client::TransportKind;
pub use media_core::rtsp::digest::Credentials;
pub use status::{StreamState, StreamStatus};

use crate::clock::Clock;
use crate::hub::Hub;
use backoff::Backoff;
use media_core::index::GapCause;
use media_core::rtsp::url::RtspUrl;
use media_core::{Error, ErrorKind};
use session::End;
use status::SharedStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Longest time that a stop takes.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// A camera stream to be received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamConfig {
    /// `camera/stream`, for messages.
    pub name: String,
    /// `rtsp://` or `rtsps://` URL; may hold a name and password.
    pub url: String,
    /// How media is asked for.
    pub transport: TransportKind,
    /// Name and password; they win over those in the URL.
    pub credentials: Option<Credentials>,
    /// Whether the camera may be at an address of this machine or of its link alone.
    pub allow_local: bool,
}

/// Starts ingest tasks.
pub struct Ingest;

/// A running ingest task; dropping it ends the task without a good-bye to the camera.
pub struct IngestHandle {
    status: Arc<SharedStatus>,
    stop: Arc<Notify>,
    task: Option<JoinHandle<()>>,
}

impl Ingest {
    /// Starts receiving `config` on `runtime`. Units go to `hub`; trouble shows in the status and is retried for ever.
    pub fn start(runtime: &Handle, config: StreamConfig, hub: Arc<Hub>, clock: Arc<dyn Clock>) -> IngestHandle {
        let status = Arc::new(SharedStatus::new());
        let stop = Arc::new(Notify::new());
        let task = runtime.spawn(receive(config, hub, clock, status.clone(), stop.clone()));
        IngestHandle {
            status,
            stop,
            task: Some(task),
        }
    }
}

impl IngestHandle {
    /// What the stream does now.
    pub fn status(&self) -> StreamStatus {
        self.status.snapshot()
    }

    /// Says good-bye to the camera and ends the task, within `STOP_TIMEOUT`.
    pub async fn stop(mut self) {
        self.stop.notify_one();
        if let Some(mut task) = self.task.take()
            && tokio::time::timeout(STOP_TIMEOUT, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

impl Drop for IngestHandle {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn receive(
    config: StreamConfig,
    hub: Arc<Hub>,
    clock: Arc<dyn Clock>,
    status: Arc<SharedStatus>,
    stop: Arc<Notify>,
) {
    let url = match RtspUrl::parse(&config.url) {
        Ok(url) => url,
        Err(error) => {
            // Only another configuration can help, and that is another task.
            status.failed(&error);
            stop.notified().await;
            return;
        }
    };
    let mut backoff = Backoff::default();
    // Why nothing comes since the last frame, as the sinks were told.
    let mut told: Option<GapCause> = None;
    loop {
        let (end, frames_us) = session::run(&config, url.clone(), &hub, &clock, &status, &stop).await;
        let (error, cause) = match end {
            End::Stopped => {
                if frames_us.is_some() {
                    hub.interrupt(GapCause::Stop);
                }
                return;
            }
            End::Lost(error, cause) => (error, cause),
        };
        // Once frames came; then for each other cause that the attempts to come back show.
        if frames_us.is_some() || told.is_some_and(|before| before != cause) {
            hub.interrupt(cause);
            told = Some(cause);
        }
        tracing::warn!(stream = %config.name, kind = error.kind().as_str(), %error, "camera stream lost");
        status.failed(&error);
        let delay = backoff.next(error.kind(), frames_us.unwrap_or(0), random_u64());
        tokio::select! {
            () = tokio::time::sleep(delay) => status.count_reconnect(),
            () = stop.notified() => return,
        }
    }
}

/// Random bits from the operating system, for nonces, synchronization sources and jitter.
fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    // A failing generator leaves zeros: worse jitter and a guessable client nonce, neither of which is a secret.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

fn unavailable(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}
