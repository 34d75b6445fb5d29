//! Exports: parts of recordings copied out as an MP4, or as a ZIP of several with a manifest, with SHA-256. Each runs
//! on a thread of its own, one after the other, and leaves nothing behind when it is cancelled or fails.

mod copy;

use super::Archive;
use super::catalogue::StreamFiles;
use super::disk::storage_error;
use super::timeline::check_interval;
use super::walk::Walk;
use super::zip::ZipWriter;
use aws_lc_rs::digest::{Context, SHA256};
use copy::{Copy, Hashed, hex};
use media_core::recording::file_name::{MAIN_STREAM, check_camera_id, date_of_day, rfc3339};
use media_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Exports remembered after they ended.
const MAX_REMEMBERED: usize = 1_000;

/// What comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// One MP4 where one camera was recorded with the same parameters throughout; else as `Zip`.
    Mp4,
    /// A ZIP of MP4s and `manifest.json`.
    Zip,
}

/// What to export.
#[derive(Debug, Clone, Deserialize)]
pub struct ExportRequest {
    /// Cameras; of each its main stream, or the one it has.
    pub camera_ids: Vec<String>,
    /// First instant, µs since the Unix epoch.
    pub start_us: i64,
    /// The end, µs.
    pub end_us: i64,
    /// MP4 or ZIP.
    pub format: ExportFormat,
    /// Where the result is put, as `{export id}.mp4` or `.zip`; made if missing.
    pub directory: PathBuf,
}

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportState {
    /// Under way, or waiting for another to end.
    Running,
    /// The file is there.
    Done,
    /// It did not work; `error` says why.
    Failed,
    /// It was called off.
    Cancelled,
}

/// A file of an export: the result itself, or a member of the ZIP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportedFile {
    /// Its name in the directory or in the ZIP.
    pub name: String,
    /// Length.
    pub size_bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
}

/// State and result of an export.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportProgress {
    /// Where it stands.
    pub state: ExportState,
    /// 0 to 1, by recorded time.
    pub progress: f64,
    /// Bytes written so far.
    pub bytes_written: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// The result.
    pub path: Option<PathBuf>,
    /// SHA-256 of the result.
    pub sha256: Option<String>,
    /// The MP4s, with their SHA-256.
    pub files: Vec<ExportedFile>,
}

/// A camera's stream and the time of it that is asked for.
struct Wanted {
    camera_id: String,
    files: Arc<StreamFiles>,
    recorded_us: i64,
}

struct Export {
    cancelled: AtomicBool,
    bytes_written: AtomicU64,
    /// Millionths.
    progress: AtomicU64,
    result: Mutex<Option<Outcome>>,
}

enum Outcome {
    Done {
        path: PathBuf,
        sha256: String,
        files: Vec<ExportedFile>,
    },
    Failed(String),
    Cancelled,
}

/// All exports of an archive.
#[derive(Default)]
pub(super) struct Exports {
    jobs: Mutex<HashMap<String, Arc<Export>>>,
    /// Held by the one that copies.
    turn: Mutex<()>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

impl Exports {
    /// Calls all exports off and waits for their threads.
    pub fn close(&self) {
        for job in self.jobs.lock().values() {
            job.cancelled.store(true, Ordering::Relaxed);
        }
        let threads = std::mem::take(&mut *self.threads.lock());
        let this = std::thread::current().id();
        // An export's thread may be the last that holds the archive, and so the one that closes it.
        for thread in threads.into_iter().filter(|t| t.thread().id() != this) {
            // A panic in there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

#[derive(Serialize)]
struct Manifest<'a> {
    version: u32,
    start: String,
    end: String,
    files: &'a [ManifestFile],
    /// Cameras of which nothing was recorded in that time.
    nothing_recorded: &'a [String],
}

#[derive(Serialize)]
struct ManifestFile {
    name: String,
    camera_id: String,
    stream: String,
    start: String,
    end: String,
    start_us: i64,
    end_us: i64,
    size_bytes: u64,
    sha256: String,
}

impl Archive {
    /// Starts an export under an id of the caller's choice. `NotFound` when nothing is recorded of any of the cameras,
    /// `Conflict` for an id that is taken, `Invalid` for a request that makes no sense.
    pub fn export_start(self: &Arc<Self>, export_id: &str, request: ExportRequest) -> Result<()> {
        check_camera_id(export_id).map_err(|e| e.within("export id"))?;
        check_interval(request.start_us, request.end_us)?;
        if request.camera_ids.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "an export needs at least one camera"));
        }
        let (wanted, missing) = self.wanted(&request)?;
        if wanted.is_empty() {
            return Err(Error::new(
                ErrorKind::NotFound,
                "nothing is recorded of these cameras in that time",
            ));
        }
        let job = Arc::new(Export {
            cancelled: AtomicBool::new(false),
            bytes_written: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            result: Mutex::new(None),
        });
        {
            let mut jobs = self.exports.jobs.lock();
            if jobs.contains_key(export_id) {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("export {export_id} exists already"),
                ));
            }
            if jobs.len() >= MAX_REMEMBERED {
                jobs.retain(|_, job| job.result.lock().is_none());
            }
            jobs.insert(export_id.to_owned(), job.clone());
        }
        let archive: Weak<Self> = Arc::downgrade(self);
        let id = export_id.to_owned();
        let run = move || {
            let outcome = match archive.upgrade() {
                Some(archive) => archive.run_export(&id, &request, &wanted, &missing, &job),
                None => Outcome::Cancelled,
            };
            *job.result.lock() = Some(outcome);
        };
        let thread = std::thread::Builder::new().name("archive-export".into()).spawn(run);
        let thread = thread.map_err(|e| {
            self.exports.jobs.lock().remove(export_id);
            Error::from(e).within("thread archive-export")
        })?;
        let mut threads = self.exports.threads.lock();
        threads.retain(|t| !t.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// How an export stands. `NotFound` for an id that is not known.
    pub fn export_progress(&self, export_id: &str) -> Result<ExportProgress> {
        let job = self.export(export_id)?;
        let result = job.result.lock();
        let mut answer = ExportProgress {
            state: ExportState::Running,
            progress: job.progress.load(Ordering::Relaxed).min(1_000_000) as f64 / 1e6,
            bytes_written: job.bytes_written.load(Ordering::Relaxed),
            error: None,
            path: None,
            sha256: None,
            files: Vec::new(),
        };
        match &*result {
            None => {}
            Some(Outcome::Done { path, sha256, files }) => {
                answer.state = ExportState::Done;
                answer.progress = 1.0;
                answer.path = Some(path.clone());
                answer.sha256 = Some(sha256.clone());
                answer.files = files.clone();
            }
            Some(Outcome::Failed(error)) => {
                answer.state = ExportState::Failed;
                answer.error = Some(error.clone());
            }
            Some(Outcome::Cancelled) => answer.state = ExportState::Cancelled,
        }
        Ok(answer)
    }

    /// Calls an export off; one that is done stays done. `NotFound` for an id that is not known.
    pub fn export_cancel(&self, export_id: &str) -> Result<()> {
        self.export(export_id)?.cancelled.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn export(&self, export_id: &str) -> Result<Arc<Export>> {
        let found = self.exports.jobs.lock().get(export_id).cloned();
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("export {export_id} is not known")))
    }

    /// What there is of the cameras, and the cameras of which there is nothing.
    fn wanted(&self, request: &ExportRequest) -> Result<(Vec<Wanted>, Vec<String>)> {
        let (mut wanted, mut missing) = (Vec::new(), Vec::new());
        for camera_id in &request.camera_ids {
            let timeline = self.timeline(camera_id, request.start_us, request.end_us)?;
            let has = |stream: &str| timeline.ranges.iter().any(|r| r.stream == stream);
            let stream = if has(MAIN_STREAM) {
                Some(MAIN_STREAM)
            } else {
                timeline.ranges.first().map(|r| &r.stream[..])
            };
            let found = stream.and_then(|s| Some((s, self.catalogue.find(camera_id, s)?)));
            let Some((stream, files)) = found else {
                missing.push(camera_id.clone());
                continue;
            };
            if wanted.iter().any(|w: &Wanted| w.camera_id == *camera_id) {
                continue;
            }
            let of_stream = timeline.ranges.iter().filter(|r| r.stream == stream);
            let recorded_us = of_stream.map(|r| r.end_us - r.start_us).sum();
            Walk::new(&self.reader, &files).first(request.start_us, request.end_us)?;
            wanted.push(Wanted {
                camera_id: camera_id.clone(),
                files,
                recorded_us,
            });
        }
        Ok((wanted, missing))
    }

    fn run_export(
        &self,
        id: &str,
        request: &ExportRequest,
        wanted: &[Wanted],
        missing: &[String],
        job: &Export,
    ) -> Outcome {
        let _turn = self.exports.turn.lock();
        let part_path = request.directory.join(format!("{id}.part"));
        let result = self.write_export(id, request, wanted, missing, job, &part_path);
        if result.is_err() {
            // It may not have been made at all.
            let _ = std::fs::remove_file(&part_path);
        }
        match result {
            Ok(done) => done,
            Err(_) if job.cancelled.load(Ordering::Relaxed) => Outcome::Cancelled,
            Err(e) => {
                tracing::warn!(export = id, error = e.message(), "export failed");
                Outcome::Failed(e.message().to_owned())
            }
        }
    }

    fn write_export(
        &self,
        id: &str,
        request: &ExportRequest,
        wanted: &[Wanted],
        missing: &[String],
        job: &Export,
        part_path: &Path,
    ) -> Result<Outcome> {
        let failed = |e: io::Error| storage_error(&e, part_path.display());
        std::fs::create_dir_all(&request.directory).map_err(failed)?;
        let mut copy = Copy {
            job,
            out: Hashed {
                file: File::create(part_path).map_err(failed)?,
                digest: Context::new(&SHA256),
            },
            total_us: wanted.iter().map(|w| w.recorded_us).sum::<i64>().max(1),
            done_us: 0,
        };
        let single = match wanted {
            [only] if request.format == ExportFormat::Mp4 => {
                let playback = self.movie(&only.files, request.start_us, request.end_us)?;
                playback.next_start_us.is_none().then_some(playback)
            }
            _ => None,
        };
        let (extension, files, out) = match single {
            Some(playback) => {
                copy.playback(&playback, io::Write::write_all)?;
                ("mp4", None, copy.out)
            }
            None => {
                let (files, out) = self.write_zip(request, wanted, missing, copy)?;
                ("zip", Some(files), out)
            }
        };
        out.file.sync_all().map_err(failed)?;
        let size_bytes = out.file.metadata().map_err(failed)?.len();
        let name = format!("{id}.{extension}");
        let path = request.directory.join(&name);
        std::fs::rename(part_path, &path).map_err(failed)?;
        let sha256 = hex(out.digest.finish().as_ref());
        let files = files.unwrap_or_else(|| {
            vec![ExportedFile {
                name,
                size_bytes,
                sha256: sha256.clone(),
            }]
        });
        Ok(Outcome::Done { path, sha256, files })
    }

    fn write_zip(
        &self,
        request: &ExportRequest,
        wanted: &[Wanted],
        missing: &[String],
        copy: Copy,
    ) -> Result<(Vec<ExportedFile>, Hashed)> {
        let failed = |e: io::Error| storage_error(&e, request.directory.display());
        let Copy {
            job,
            out,
            total_us,
            done_us,
        } = copy;
        let date = date_of_day(self.now_us().div_euclid(86_400_000_000));
        let mut copy = Copy {
            job,
            out: ZipWriter::new(out, date),
            total_us,
            done_us,
        };
        let mut listed = Vec::new();
        for one in wanted {
            let mut from = Some(request.start_us);
            let mut number = 1;
            while let Some(start_us) = from.take() {
                let playback = match self.movie(&one.files, start_us, request.end_us) {
                    // Only at the end of the last part: what was there is exported.
                    Err(e) if e.kind() == ErrorKind::NotFound && number > 1 => break,
                    found => found?,
                };
                let (camera_id, stream) = (&one.camera_id, &one.files.name.stream);
                let begun: String = rfc3339(playback.start_us)
                    .chars()
                    .take(19)
                    .filter(|c| !"-:".contains(*c))
                    .collect();
                let name = format!("{camera_id}/{camera_id}_{stream}_{begun}Z_{number}.mp4");
                copy.out.begin(&name).map_err(failed)?;
                let mut digest = Context::new(&SHA256);
                copy.playback(&playback, |out, bytes| {
                    digest.update(bytes);
                    out.write_data(bytes)
                })?;
                listed.push(ManifestFile {
                    name,
                    camera_id: camera_id.clone(),
                    stream: stream.clone(),
                    start: rfc3339(playback.start_us),
                    end: rfc3339(playback.end_us),
                    start_us: playback.start_us,
                    end_us: playback.end_us,
                    size_bytes: playback.source.size_bytes(),
                    sha256: hex(digest.finish().as_ref()),
                });
                // A part always moves on, whatever the clocks did.
                from = playback.next_start_us.map(|next| next.max(start_us.saturating_add(1)));
                number += 1;
            }
        }
        let manifest = Manifest {
            version: 1,
            start: rfc3339(request.start_us),
            end: rfc3339(request.end_us),
            files: &listed,
            nothing_recorded: missing,
        };
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("manifest.json: {e}")))?;
        copy.out.begin("manifest.json").map_err(failed)?;
        copy.out.write_data(&text).map_err(failed)?;
        let out = copy.out.finish().map_err(failed)?;
        let files = listed
            .into_iter()
            .map(|f| ExportedFile {
                name: f.name,
                size_bytes: f.size_bytes,
                sha256: f.sha256,
            })
            .collect();
        Ok((files, out))
    }
}
