//! `Engine`: archive, cameras, live and front of one process, as one Python object.

use crate::content::Content;
use crate::error::{bad_document, raise};
use crate::front::front_config;
use media_core::{Error, ErrorKind};
use media_io::archive::{self, Archive, ArchiveOptions, ExportRequest, ObjectReader, VolumeOptions};
use media_io::cameras::{CameraSpec, Cameras};
use media_io::clock::{Clock, SystemClock};
use media_io::front::{Front, FrontHandle};
use media_io::tap::{TapOptions, Taps};
use media_io::whep::{Limits, Listen, PublicAddress, SendPath, Whep};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Deserialize;
use std::os::fd::{BorrowedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EngineDocument {
    fragment_ms: u32,
    sync_ms: u32,
    worker_threads: usize,
    allow_local_cameras: bool,
    checksums: bool,
    webrtc: WebRtcDocument,
    #[serde(default)]
    volumes: Vec<VolumeOptions>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebRtcDocument {
    udp_port: u16,
    tcp_port: u16,
    public_addresses: Vec<String>,
    max_viewers: usize,
    /// The program that makes Opus of AAC, with its arguments; None: viewers of AAC cameras hear nothing.
    #[serde(default)]
    audio_worker: Option<Vec<String>>,
}

/// The access units that lead to one picture.
#[pyclass(frozen, module = "vms_media")]
pub struct Picture {
    inner: archive::Picture,
}

#[pymethods]
impl Picture {
    #[getter]
    fn codec(&self) -> &'static str {
        self.inner.codec.as_str()
    }

    #[getter]
    fn configuration<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.configuration)
    }

    #[getter]
    fn width(&self) -> u32 {
        self.inner.width
    }

    #[getter]
    fn height(&self) -> u32 {
        self.inner.height
    }

    #[getter]
    fn units<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.inner.units.iter().map(|unit| PyBytes::new(py, unit)).collect()
    }

    #[getter]
    fn pts_90k(&self) -> Vec<i64> {
        self.inner.pts_90k.clone()
    }

    #[getter]
    fn wanted_pts_90k(&self) -> i64 {
        self.inner.wanted_pts_90k
    }

    #[getter]
    fn captured_us(&self) -> i64 {
        self.inner.captured_us
    }
}

/// See the `.pyi`.
#[pyclass(frozen, module = "vms_media")]
pub struct Engine {
    runtime: Mutex<Option<Runtime>>,
    archive: Arc<Archive>,
    cameras: Cameras,
    taps: Taps,
    whep: Option<Arc<Whep>>,
    front: Mutex<Option<FrontHandle>>,
    repair_report: String,
    clock: Arc<dyn Clock>,
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, data_dir: PathBuf, config: &str) -> PyResult<Self> {
        let config: EngineDocument = serde_json::from_str(config).map_err(|e| bad_document("engine", &e))?;
        py.detach(|| Self::open(data_dir, &config)).map_err(raise)
    }

    fn repair_report(&self) -> String {
        self.repair_report.clone()
    }

    fn set_camera(&self, py: Python<'_>, camera_id: &str, config: &str) -> PyResult<()> {
        let spec: CameraSpec = serde_json::from_str(config).map_err(|e| bad_document("camera", &e))?;
        py.detach(|| self.cameras.set(camera_id, spec)).map_err(raise)
    }

    fn remove_camera(&self, py: Python<'_>, camera_id: &str) -> PyResult<()> {
        py.detach(|| self.cameras.remove(camera_id)).map_err(raise)
    }

    fn camera_status(&self, py: Python<'_>, camera_id: &str) -> PyResult<String> {
        py.detach(|| self.cameras.status(camera_id).and_then(|status| document(&status)))
            .map_err(raise)
    }

    fn camera_statuses(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| document(&self.cameras.statuses())).map_err(raise)
    }

    fn timeline(&self, py: Python<'_>, camera_id: &str, start_us: i64, end_us: i64) -> PyResult<String> {
        py.detach(|| {
            self.archive
                .timeline(camera_id, start_us, end_us)
                .and_then(|t| document(&t))
        })
        .map_err(raise)
    }

    #[pyo3(signature = (camera_id, at_us, stream = "main"))]
    fn picture_at(&self, py: Python<'_>, camera_id: &str, at_us: i64, stream: &str) -> PyResult<Picture> {
        py.detach(|| self.archive.picture(camera_id, stream, at_us))
            .map(|inner| Picture { inner })
            .map_err(raise)
    }

    #[pyo3(signature = (camera_id, at_us, stream = "main"))]
    fn key_picture_at(&self, py: Python<'_>, camera_id: &str, at_us: i64, stream: &str) -> PyResult<Picture> {
        py.detach(|| self.archive.key_picture(camera_id, stream, at_us))
            .map(|inner| Picture { inner })
            .map_err(raise)
    }

    #[pyo3(signature = (camera_id, stream, fd, *, all_tracks = false, key_frames_only = false))]
    fn tap(
        &self,
        py: Python<'_>,
        camera_id: &str,
        stream: &str,
        fd: RawFd,
        all_tracks: bool,
        key_frames_only: bool,
    ) -> PyResult<u64> {
        let options = TapOptions {
            all_tracks,
            key_frames_only,
        };
        py.detach(|| {
            if fd < 0 {
                return Err(Error::new(ErrorKind::Invalid, format!("{fd} is no descriptor")));
            }
            let hub = self.cameras.hub(camera_id, stream)?;
            // SAFETY: used for this one call, which fails with EBADF where the number is not open.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?;
            self.taps.open(&hub, fd, options)
        })
        .map_err(raise)
    }

    fn untap(&self, py: Python<'_>, number: u64) {
        py.detach(|| self.taps.close(number));
    }

    #[pyo3(signature = (camera_id, stream = "main"))]
    fn picture_now(&self, py: Python<'_>, camera_id: &str, stream: &str) -> PyResult<Picture> {
        py.detach(|| self.cameras.picture_now(camera_id, stream))
            .map(|inner| Picture { inner })
            .map_err(raise)
    }

    #[pyo3(signature = (camera_id, stream, offer_sdp, tile_height_px = None))]
    fn whep_open(
        &self,
        py: Python<'_>,
        camera_id: &str,
        stream: &str,
        offer_sdp: &str,
        tile_height_px: Option<u32>,
    ) -> PyResult<(String, String)> {
        py.detach(|| {
            if stream != "auto" {
                let hub = self.cameras.hub(camera_id, stream)?;
                return self.live()?.open(hub, offer_sdp);
            }
            let (main, sub) = (
                self.cameras.hub(camera_id, "main")?,
                self.cameras.hub(camera_id, "sub")?,
            );
            // A camera of one stream has that in place of the other.
            if Arc::ptr_eq(&main, &sub) {
                return self.live()?.open(main, offer_sdp);
            }
            self.live()?.open_adaptive(main, sub, tile_height_px, offer_sdp)
        })
        .map_err(raise)
    }

    fn whep_patch(&self, py: Python<'_>, session_id: &str, fragment: &str) -> PyResult<()> {
        py.detach(|| self.live()?.patch(session_id, fragment)).map_err(raise)
    }

    fn whep_resize(&self, py: Python<'_>, session_id: &str, tile_height_px: u32) -> PyResult<()> {
        py.detach(|| self.live()?.resize(session_id, tile_height_px))
            .map_err(raise)
    }

    fn whep_rtp_offset(&self, py: Python<'_>, session_id: &str) -> PyResult<Option<u32>> {
        py.detach(|| self.live()?.rtp_offset(session_id)).map_err(raise)
    }

    fn whep_close(&self, py: Python<'_>, session_id: &str) -> PyResult<()> {
        py.detach(|| self.live()?.close(session_id)).map_err(raise)
    }

    fn export_start(&self, py: Python<'_>, export_id: &str, request: &str) -> PyResult<()> {
        let wanted: ExportRequest = serde_json::from_str(request).map_err(|e| bad_document("export", &e))?;
        py.detach(|| self.archive.export_start(export_id, wanted))
            .map_err(raise)
    }

    fn export_progress(&self, py: Python<'_>, export_id: &str) -> PyResult<String> {
        py.detach(|| {
            self.archive
                .export_progress(export_id)
                .and_then(|progress| document(&progress))
        })
        .map_err(raise)
    }

    fn file_changes(&self, py: Python<'_>, after_revision: u64) -> PyResult<String> {
        py.detach(|| document(&self.archive.file_changes(after_revision)))
            .map_err(raise)
    }

    fn remove_file(&self, py: Python<'_>, camera_id: &str, name: &str) -> PyResult<u64> {
        py.detach(|| self.archive.remove_file(camera_id, name)).map_err(raise)
    }

    #[pyo3(signature = (camera_id, name, max_bytes_per_s = None))]
    fn hash_file(&self, py: Python<'_>, camera_id: &str, name: &str, max_bytes_per_s: Option<u64>) -> PyResult<String> {
        py.detach(|| self.archive.hash_file(camera_id, name, max_bytes_per_s))
            .map_err(raise)
    }

    #[pyo3(signature = (camera_id, name, volume, max_bytes_per_s = None))]
    fn move_file(
        &self,
        py: Python<'_>,
        camera_id: &str,
        name: &str,
        volume: &str,
        max_bytes_per_s: Option<u64>,
    ) -> PyResult<()> {
        py.detach(|| self.archive.move_file(camera_id, name, volume, max_bytes_per_s))
            .map_err(raise)
    }

    fn use_object(&self, py: Python<'_>, camera_id: &str, name: &str, object_key: &str) -> PyResult<u64> {
        py.detach(|| self.archive.use_object(camera_id, name, object_key))
            .map_err(raise)
    }

    fn read_objects_with(&self, py: Python<'_>, reader: Py<PyAny>) {
        let reader: Arc<ObjectReader> = Arc::new(move |key, offset, length| {
            // Attached for the call only: whatever waits for the object storage is Python's to let go of.
            Python::attach(|py| {
                let answer = reader.call1(py, (key, offset, length));
                answer
                    .and_then(|bytes| Ok(bytes.extract::<&[u8]>(py)?.to_vec()))
                    .map_err(|e| e.to_string())
            })
        });
        py.detach(|| self.archive.read_objects_with(reader));
    }

    fn volumes(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| document(&self.archive.volumes())).map_err(raise)
    }

    fn rebuild_index(&self, py: Python<'_>, camera_id: &str, name: &str) -> PyResult<String> {
        py.detach(|| {
            self.archive
                .rebuild_index(camera_id, name)
                .and_then(|report| document(&report))
        })
        .map_err(raise)
    }

    fn export_cancel(&self, py: Python<'_>, export_id: &str) -> PyResult<()> {
        py.detach(|| self.archive.export_cancel(export_id)).map_err(raise)
    }

    fn playback_open(
        &self,
        py: Python<'_>,
        camera_id: &str,
        stream: &str,
        start_us: i64,
        end_us: i64,
    ) -> PyResult<Content> {
        py.detach(|| self.archive.playback(camera_id, stream, start_us, end_us))
            .map(|playback| Content {
                source: playback.source,
                start_us: Some(playback.start_us),
                next_start_us: playback.next_start_us,
            })
            .map_err(raise)
    }

    fn hls_playlist(
        &self,
        py: Python<'_>,
        camera_id: &str,
        stream: &str,
        start_us: i64,
        end_us: i64,
    ) -> PyResult<String> {
        py.detach(|| self.archive.hls_playlist(camera_id, stream, start_us, end_us))
            .map_err(raise)
    }

    fn hls_init(&self, py: Python<'_>, camera_id: &str, stream: &str, name: &str) -> PyResult<Content> {
        py.detach(|| self.archive.hls_init(camera_id, stream, name))
            .map(Content::of)
            .map_err(raise)
    }

    #[pyo3(signature = (camera_id, stream, name, granted_start_us = None, granted_end_us = None))]
    fn hls_segment(
        &self,
        py: Python<'_>,
        camera_id: &str,
        stream: &str,
        name: &str,
        granted_start_us: Option<i64>,
        granted_end_us: Option<i64>,
    ) -> PyResult<Content> {
        let granted_us = (granted_start_us.unwrap_or(i64::MIN), granted_end_us.unwrap_or(i64::MAX));
        py.detach(|| self.archive.hls_segment(camera_id, stream, name, granted_us))
            .map(Content::of)
            .map_err(raise)
    }

    fn start_front(&self, py: Python<'_>, config: &str) -> PyResult<u16> {
        let config = front_config(config, self.clock.clone())?;
        py.detach(|| {
            let runtime = self.runtime.lock();
            let runtime = runtime.as_ref().ok_or_else(closed)?;
            let front = Front::start(runtime.handle(), config, self.archive.clone())?;
            let port = front.port();
            *self.front.lock() = Some(front);
            Ok(port)
        })
        .map_err(raise)
    }

    fn media_metrics(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| {
            let written = self.archive.write_counters();
            let disk = self.archive.disk_space();
            let live = self.whep.as_ref().map(|whep| whep.stats());
            document(&serde_json::json!({
                "bytes_written_total": written.bytes_written,
                "fragments_written_total": written.fragments_written,
                "syncs_total": written.syncs,
                "write_errors_total": written.write_errors,
                "disk_free_bytes": disk.free_bytes,
                "disk_total_bytes": disk.total_bytes,
                "recorded_bytes": self.archive.recorded_bytes(),
                "volumes": self.archive.volumes(),
                "webrtc": live,
                "taps": self.taps.counters(),
                "http_requests_total": self.front.lock().as_ref().map_or(0, |front| front.counters().requests_total),
            }))
        })
        .map_err(raise)
    }

    #[pyo3(signature = (timeout_s = 4.0))]
    fn close(&self, py: Python<'_>, timeout_s: f64) {
        let timeout = Duration::from_secs_f64(timeout_s.clamp(0.1, 60.0));
        py.detach(|| {
            let Some(runtime) = self.runtime.lock().take() else {
                return;
            };
            // Recordings first: whatever else takes long, they are closed.
            let recorders = runtime.block_on(self.cameras.close());
            self.archive.close();
            drop(recorders);
            let front = self.front.lock().take();
            runtime.block_on(async {
                if let Some(whep) = &self.whep {
                    let _ = tokio::time::timeout(timeout / 4, whep.shutdown()).await;
                }
                if let Some(front) = front {
                    front.shutdown(timeout / 2).await;
                }
            });
            runtime.shutdown_timeout(timeout / 4);
        });
    }
}

impl Engine {
    fn open(data_dir: PathBuf, config: &EngineDocument) -> media_core::Result<Self> {
        let clock: Arc<dyn Clock> = SystemClock::new();
        let options = ArchiveOptions {
            fragment_ms: config.fragment_ms,
            sync_ms: config.sync_ms,
            checksums: config.checksums,
            ..ArchiveOptions::default()
        };
        let volumes = config.volumes.clone();
        let (archive, report) = Archive::open_on(&data_dir.join("storage"), volumes, options, clock.clone())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.worker_threads.clamp(1, 64))
            .thread_name("vms-media")
            .enable_all()
            .build()?;
        let whep = match config.webrtc.udp_port {
            0 => None,
            port => {
                let listen = Listen {
                    public: public_addresses(&config.webrtc.public_addresses)?,
                    ..Listen::everywhere(port, config.webrtc.tcp_port)
                };
                let limits = Limits {
                    max_viewers: config.webrtc.max_viewers,
                };
                let send_path = SendPath::default();
                let whep = Whep::start_with(runtime.handle(), &listen, limits, clock.clone(), send_path)?;
                whep.transcode_with(config.webrtc.audio_worker.clone().unwrap_or_default());
                Some(whep)
            }
        };
        let allow_local = config.allow_local_cameras;
        Ok(Self {
            cameras: Cameras::new(
                runtime.handle().clone(),
                clock.clone(),
                archive.clone(),
                whep.clone(),
                allow_local,
            ),
            taps: Taps::new(runtime.handle().clone()),
            clock,
            runtime: Mutex::new(Some(runtime)),
            repair_report: document(&report)?,
            archive,
            whep,
            front: Mutex::new(None),
        })
    }

    fn live(&self) -> media_core::Result<&Arc<Whep>> {
        self.whep.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                "live WebRTC is off (VMS_WEBRTC__UDP_PORT is 0)".to_owned(),
            )
        })
    }
}

fn public_addresses(texts: &[String]) -> media_core::Result<Vec<PublicAddress>> {
    let wrong = |text: &str, e| Error::new(ErrorKind::Invalid, format!("public address {text:.64}: {e}"));
    let read = |text: &String| text.parse().map_err(|e| wrong(text, e));
    texts.iter().map(read).collect()
}

fn document<T: serde::Serialize>(value: &T) -> media_core::Result<String> {
    serde_json::to_string(value).map_err(unserializable)
}

fn unserializable(error: serde_json::Error) -> Error {
    Error::new(
        ErrorKind::Internal,
        format!("a result cannot be written as JSON: {error}"),
    )
}

fn closed() -> Error {
    Error::new(ErrorKind::Conflict, "the engine is closed")
}
