//! `Front`: the public listener of a process whose recordings another process keeps.

use crate::error::{bad_document, raise};
use crate::grants::key_from_hex;
use media_core::{Error, ErrorKind};
use media_io::clock::{Clock, SystemClock};
use media_io::front::{self, FrontConfig, FrontHandle, FrontLimits, TlsIdentity};
use parking_lot::Mutex;
use pyo3::prelude::*;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontDocument {
    host: String,
    port: u16,
    upstream: PathBuf,
    static_dir: Option<PathBuf>,
    grant_key: String,
    tls: Option<TlsDocument>,
    media_concurrency: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsDocument {
    certificate_pem: String,
    key_pem: String,
}

/// The front's configuration of the document that the `.pyi` describes.
pub fn front_config(document: &str, clock: Arc<dyn Clock>) -> PyResult<FrontConfig> {
    let wanted: FrontDocument = serde_json::from_str(document).map_err(|e| bad_document("front", &e))?;
    Ok(FrontConfig {
        host: wanted.host,
        port: wanted.port,
        upstream_socket: wanted.upstream,
        static_dir: wanted.static_dir,
        grant_key: key_from_hex(&wanted.grant_key)?,
        tls: wanted.tls.map(|tls| TlsIdentity {
            certificate_pem: tls.certificate_pem,
            key_pem: tls.key_pem,
        }),
        media_concurrency: wanted.media_concurrency,
        clock,
        limits: FrontLimits::default(),
    })
}

/// See the `.pyi`.
#[pyclass(frozen, module = "vms_media")]
pub struct Front {
    running: Mutex<Option<(Runtime, FrontHandle)>>,
    port: u16,
}

#[pymethods]
impl Front {
    #[new]
    #[pyo3(signature = (config, worker_threads = 2))]
    fn new(py: Python<'_>, config: &str, worker_threads: usize) -> PyResult<Self> {
        let config = front_config(config, SystemClock::new())?;
        py.detach(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(worker_threads.clamp(1, 64))
                .thread_name("vms-front")
                .enable_all()
                .build()?;
            let front = front::Front::start_without_archive(runtime.handle(), config)?;
            Ok(Self {
                port: front.port(),
                running: Mutex::new(Some((runtime, front))),
            })
        })
        .map_err(|error: Error| raise(error))
    }

    #[getter]
    fn port(&self) -> u16 {
        self.port
    }

    fn http_requests_total(&self) -> PyResult<u64> {
        let running = self.running.lock();
        let (_, front) = running
            .as_ref()
            .ok_or_else(|| raise(Error::new(ErrorKind::Conflict, "the front is closed")))?;
        Ok(front.counters().requests_total)
    }

    #[pyo3(signature = (timeout_s = 2.0))]
    fn close(&self, py: Python<'_>, timeout_s: f64) {
        let timeout = Duration::from_secs_f64(timeout_s.clamp(0.1, 60.0));
        py.detach(|| {
            // Let go of before the wait: who asks for the counters holds Python's lock.
            let running = self.running.lock().take();
            if let Some((runtime, front)) = running {
                runtime.block_on(front.shutdown(timeout));
                runtime.shutdown_timeout(timeout);
            }
        });
    }
}
