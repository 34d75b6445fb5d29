//! The cameras of this process: for each stream a hub, its ingest and, when it is recorded, its recorder.
//!
//! Configuration is declarative: `set` is given what a camera shall be and changes only what differs, so that editing a
//! name or switching the recording on does not cost the connection.

use crate::archive::{Archive, Picture, Recorder, RecordingState};
use crate::clock::Clock;
use crate::hub::{GOP_CACHE_BYTES, Hub, Sink};
use crate::ingest::{Ingest, IngestHandle, StreamConfig};
use crate::whep::Whep;
use media_core::rtsp::client::TransportKind;
use media_core::rtsp::digest::Credentials;
use media_core::{Codec, Error, ErrorKind, Result};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::runtime::Handle;

/// One stream as configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamSpec {
    /// `rtsp://` or `rtsps://`, without credentials.
    pub url: String,
    /// `tcp` or `udp`.
    pub transport: TransportSpec,
}

/// How RTP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportSpec {
    /// Interleaved in the RTSP connection.
    Tcp,
    /// Datagrams on ports of their own.
    Udp,
}

/// One camera as configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraSpec {
    /// By stream name, `main` and optionally `sub`.
    pub streams: BTreeMap<String, StreamSpec>,
    /// RTSP user, if the camera wants one.
    #[serde(default)]
    pub username: Option<String>,
    /// RTSP password.
    #[serde(default)]
    pub password: Option<String>,
    /// How each stream is recorded; those not named are not.
    #[serde(default)]
    pub recording: BTreeMap<String, RecordingMode>,
}

/// How a stream is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordingMode {
    /// Not at all.
    #[default]
    Off,
    /// In files of an hour.
    Continuous,
    /// In files of a minute, most of which go again.
    Buffered,
}

impl CameraSpec {
    fn recording_of(&self, stream: &str) -> RecordingMode {
        self.recording.get(stream).copied().unwrap_or_default()
    }
}

/// A camera's state as the API shows it: the main stream's, and each stream's own.
#[derive(Debug, Clone, Serialize)]
pub struct CameraStatus {
    /// The main stream's state (or the only stream's).
    #[serde(flatten)]
    pub main: Option<StreamReport>,
    /// Every stream by name.
    pub streams: BTreeMap<String, StreamReport>,
}

/// State of one stream's connection and recording.
#[derive(Debug, Clone, Serialize)]
pub struct StreamReport {
    /// `connecting`, `online`, `offline`, `unauthorized` or `error`.
    pub state: &'static str,
    /// Why it is not online.
    pub reason: Option<String>,
    /// Video codec, once known.
    pub codec: Option<&'static str>,
    /// Width of the video in pixels, 0 while unknown.
    pub width: u32,
    /// Height of the video in pixels, 0 while unknown.
    pub height: u32,
    /// Pictures per second over the last seconds.
    pub fps: f64,
    /// Bits per second over the last seconds.
    pub bitrate_bps: u64,
    /// Server time of the newest picture, µs since the Unix epoch.
    pub last_frame_us: Option<i64>,
    /// Connections tried after the first.
    pub reconnects: u64,
    /// RTP packets lost.
    pub rtp_lost: u64,
    /// How far the camera's clock is ahead of the server's, µs.
    pub clock_offset_us: Option<i64>,
    /// Access units published.
    pub units: u64,
    /// True while fragments reach the disk.
    pub recording: bool,
    /// Why nothing is recorded although it should be.
    pub recording_reason: Option<String>,
}

struct CameraStream {
    spec: StreamSpec,
    hub: Arc<Hub>,
    ingest: IngestHandle,
    recorder: Option<Arc<Recorder>>,
}

struct Camera {
    spec: CameraSpec,
    streams: BTreeMap<String, CameraStream>,
}

/// All cameras of this process.
pub struct Cameras {
    runtime: Handle,
    clock: Arc<dyn Clock>,
    archive: Arc<Archive>,
    whep: Option<Arc<Whep>>,
    allow_local: bool,
    cameras: Mutex<BTreeMap<String, Camera>>,
    /// Held through a whole change, which may wait for a disk; `cameras` never is, so that states are told at once.
    changes: Mutex<Changes>,
}

#[derive(Default)]
struct Changes {
    /// Closed: a camera added now would never be disconnected.
    over: bool,
}

impl Cameras {
    /// None yet; tasks will run on `runtime`. `whep` serves viewers of the streams, who leave with them. `allow_local`:
    /// cameras may be at addresses of this machine.
    pub fn new(
        runtime: Handle,
        clock: Arc<dyn Clock>,
        archive: Arc<Archive>,
        whep: Option<Arc<Whep>>,
        allow_local: bool,
    ) -> Self {
        Self {
            runtime,
            clock,
            archive,
            whep,
            allow_local,
            cameras: Mutex::new(BTreeMap::new()),
            changes: Mutex::default(),
        }
    }

    /// Adds `camera_id` or changes it to `spec`; streams whose address and credentials are unchanged stay connected.
    /// An error changes nothing; `Unavailable` once closed. May block on the disk, where a recording ends.
    pub fn set(&self, camera_id: &str, spec: CameraSpec) -> Result<()> {
        if spec.streams.is_empty() {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("camera {camera_id} has no stream"),
            ));
        }
        let one_change = self.changes.lock();
        if one_change.over {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("camera {camera_id}: the server stops"),
            ));
        }
        let mut recorders = self.new_recorders(camera_id, &spec)?;
        let mut over = Vec::new();
        {
            let mut cameras = self.cameras.lock();
            let mut previous = cameras.remove(camera_id);
            let credentials_kept = previous
                .as_ref()
                .is_some_and(|c| c.spec.username == spec.username && c.spec.password == spec.password);
            let mut streams = BTreeMap::new();
            for (name, stream_spec) in &spec.streams {
                let kept = previous.as_mut().and_then(|camera| camera.streams.remove(name));
                let mut stream = match kept {
                    Some(stream) if credentials_kept && stream.spec == *stream_spec => stream,
                    Some(mut stream) => {
                        // The hub, its viewers and the recorder outlive a change of address.
                        let ingest = self.ingest(camera_id, name, stream_spec, &spec, &stream.hub);
                        let previous = std::mem::replace(&mut stream.ingest, ingest);
                        self.runtime.spawn(previous.stop());
                        stream.spec = stream_spec.clone();
                        stream
                    }
                    None => {
                        let hub = Hub::new(format!("{camera_id}/{name}"), GOP_CACHE_BYTES);
                        let ingest = self.ingest(camera_id, name, stream_spec, &spec, &hub);
                        CameraStream {
                            spec: stream_spec.clone(),
                            hub,
                            ingest,
                            recorder: None,
                        }
                    }
                };
                if let Some(recorder) = recorders.remove(name) {
                    recorder.set_buffered(spec.recording_of(name) == RecordingMode::Buffered);
                    stream.hub.attach_at_key(recorder.clone() as Arc<dyn Sink>);
                    stream.recorder = Some(recorder);
                }
                match (spec.recording_of(name), &stream.recorder) {
                    (RecordingMode::Off, _) => over.extend(stream.detach_recorder()),
                    (mode, Some(recorder)) => recorder.set_buffered(mode == RecordingMode::Buffered),
                    (_, None) => {}
                }
                streams.insert(name.clone(), stream);
            }
            if let Some(camera) = previous {
                over.extend(self.end(camera));
            }
            cameras.insert(camera_id.to_owned(), Camera { spec, streams });
        }
        over.iter().for_each(|recorder| recorder.stop());
        Ok(())
    }

    /// Disconnects a camera and closes its recordings; what is recorded stays. May block on the disk.
    pub fn remove(&self, camera_id: &str) -> Result<()> {
        let _one_change = self.changes.lock();
        let removed = self.cameras.lock().remove(camera_id);
        let over = self.end(removed.ok_or_else(|| unknown(camera_id))?);
        over.iter().for_each(|recorder| recorder.stop());
        Ok(())
    }

    /// Disconnects every camera, all at once, and takes no more. What is pending in their recorders is the archive's to
    /// write: keep them until it has closed, since it refers to them weakly. Waits for a change under way, which may
    /// block on the disk.
    #[must_use]
    pub async fn close(&self) -> Vec<Arc<Recorder>> {
        let cameras = self.take_all();
        let mut recorders = Vec::new();
        let mut stopping = Vec::new();
        for stream in cameras.into_values().flat_map(|camera| camera.streams.into_values()) {
            stopping.push(self.runtime.spawn(stream.ingest.stop()));
            recorders.extend(stream.recorder);
        }
        for stop in stopping {
            // A stop that panicked has been reported; the connection is gone either way.
            let _ = stop.await;
        }
        recorders
    }

    /// All cameras, for good; not in `close` itself, so that no lock is held where it waits.
    fn take_all(&self) -> BTreeMap<String, Camera> {
        let mut last_change = self.changes.lock();
        last_change.over = true;
        std::mem::take(&mut *self.cameras.lock())
    }

    /// The hub of one stream; `main` stands in for a missing `sub`.
    pub fn hub(&self, camera_id: &str, stream: &str) -> Result<Arc<Hub>> {
        let cameras = self.cameras.lock();
        let camera = cameras.get(camera_id).ok_or_else(|| unknown(camera_id))?;
        let found = camera.streams.get(stream).or_else(|| camera.streams.get("main"));
        found.map(|s| s.hub.clone()).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("camera {camera_id} has no stream {stream}"),
            )
        })
    }

    /// The newest key frame that a stream shows. `Conflict` while it shows nothing.
    pub fn picture_now(&self, camera_id: &str, stream: &str) -> Result<Picture> {
        let gop = self.hub(camera_id, stream)?.gop();
        let unit = gop.first().ok_or_else(|| {
            Error::new(
                ErrorKind::Conflict,
                format!("camera {camera_id} shows nothing at the moment"),
            )
        })?;
        Ok(Picture {
            codec: unit.parameters.codec,
            configuration: unit.parameters.configuration.to_vec(),
            width: unit.parameters.width,
            height: unit.parameters.height,
            units: vec![unit.data.to_vec()],
            pts_90k: vec![unit.pts],
            wanted_pts_90k: unit.pts,
            captured_us: unit.utc_us,
        })
    }

    /// State of one camera.
    pub fn status(&self, camera_id: &str) -> Result<CameraStatus> {
        self.cameras
            .lock()
            .get(camera_id)
            .map(Camera::status)
            .ok_or_else(|| unknown(camera_id))
    }

    /// State of every camera, by id.
    pub fn statuses(&self) -> BTreeMap<String, CameraStatus> {
        self.cameras
            .lock()
            .iter()
            .map(|(id, camera)| (id.clone(), camera.status()))
            .collect()
    }

    fn ingest(
        &self,
        camera_id: &str,
        stream: &str,
        spec: &StreamSpec,
        camera: &CameraSpec,
        hub: &Arc<Hub>,
    ) -> IngestHandle {
        let credentials = camera.username.as_ref().map(|username| Credentials {
            username: username.clone(),
            password: camera.password.clone().unwrap_or_default(),
        });
        let transport = match spec.transport {
            TransportSpec::Tcp => TransportKind::Tcp,
            TransportSpec::Udp => TransportKind::Udp,
        };
        let config = StreamConfig {
            name: format!("{camera_id}/{stream}"),
            url: spec.url.clone(),
            transport,
            credentials,
            allow_local: self.allow_local,
        };
        Ingest::start(&self.runtime, config, hub.clone(), self.clock.clone())
    }

    /// Recorders for the streams that are to be recorded and are not yet.
    fn new_recorders(&self, camera_id: &str, spec: &CameraSpec) -> Result<BTreeMap<String, Arc<Recorder>>> {
        let recorded: Vec<String> = match self.cameras.lock().get(camera_id) {
            Some(camera) => camera
                .streams
                .iter()
                .filter(|(_, stream)| stream.recorder.is_some())
                .map(|(name, _)| name.clone())
                .collect(),
            None => Vec::new(),
        };
        let wanted = spec
            .streams
            .keys()
            .filter(|name| spec.recording_of(name) != RecordingMode::Off && !recorded.contains(name));
        wanted
            .map(|name| Ok((name.clone(), self.archive.recorder(camera_id, name)?)))
            .collect()
    }

    /// Ends the connections and the viewers of a camera that is no longer among the others; the recorders are the
    /// caller's to stop.
    fn end(&self, camera: Camera) -> Vec<Arc<Recorder>> {
        let mut recorders = Vec::new();
        for mut stream in camera.streams.into_values() {
            recorders.extend(stream.detach_recorder());
            self.runtime.spawn(stream.ingest.stop());
            if let Some(whep) = &self.whep {
                whep.close_hub(&stream.hub);
            }
        }
        recorders
    }
}

impl Camera {
    fn status(&self) -> CameraStatus {
        let streams: BTreeMap<String, StreamReport> = self
            .streams
            .iter()
            .map(|(name, stream)| (name.clone(), stream.report()))
            .collect();
        let main = streams.get("main").or_else(|| streams.values().next()).cloned();
        CameraStatus { main, streams }
    }
}

impl CameraStream {
    /// Takes the recorder off the stream, for the caller to stop where waiting for a disk holds up nobody.
    fn detach_recorder(&mut self) -> Option<Arc<Recorder>> {
        let recorder = self.recorder.take()?;
        self.hub.detach(&(recorder.clone() as Arc<dyn Sink>));
        Some(recorder)
    }

    fn report(&self) -> StreamReport {
        let ingest = self.ingest.status();
        let recording = self.recorder.as_ref().map(|recorder| recorder.state());
        StreamReport {
            state: ingest.state.as_str(),
            reason: ingest.reason,
            codec: ingest.codec.map(Codec::as_str),
            width: ingest.width,
            height: ingest.height,
            fps: ingest.fps,
            bitrate_bps: ingest.bitrate_bps,
            last_frame_us: ingest.last_frame_us,
            reconnects: ingest.reconnects,
            rtp_lost: ingest.rtp_lost,
            clock_offset_us: ingest.clock_offset_us,
            units: ingest.units,
            recording: recording == Some(RecordingState::Recording),
            recording_reason: match recording {
                Some(RecordingState::Failed(reason)) => Some(reason),
                _ => None,
            },
        }
    }
}

fn unknown(camera_id: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no camera {camera_id}"))
}

#[cfg(test)]
#[path = "cameras_tests.rs"]
mod tests;
