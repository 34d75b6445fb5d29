//! The Python extension `vms_media`: converts, maps errors, releases the GIL. Its interface is written down in
//! `python/vms_media/__init__.pyi`.
#![allow(missing_docs, reason = "documented in the .pyi, which is what Python sees")]

mod engine;
mod error;
mod grants;
mod simulator;

use media_io::archive::{SparseArchive, make_sparse};
use pyo3::prelude::*;
use tracing_subscriber::EnvFilter;

/// Sends the media core's log to stderr; a second call changes nothing.
#[pyfunction]
fn log_to_stderr(level: &str, json: bool) -> PyResult<()> {
    let filter = EnvFilter::try_new(level).map_err(|e| {
        error::raise(media_core::Error::new(media_core::ErrorKind::Invalid, format!("log level {level}: {e}")))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = if json { builder.json().flatten_event(true).try_init() } else { builder.with_ansi(false).try_init() };
    Ok(())
}

#[pyfunction]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[pyfunction]
fn make_sparse_archive(
    py: Python<'_>,
    data_dir: std::path::PathBuf,
    camera_ids: Vec<String>,
    hours: u32,
    end_us: i64,
    configuration: Vec<u8>,
) -> PyResult<u64> {
    py.detach(|| {
        let archive = SparseArchive {
            camera_ids,
            hours,
            end_us,
            parameters: simulator::parameters("h264", &configuration, 90_000, 0, None)?,
            fps: 30,
            gop_pictures: 60,
            bitrate_bps: 4_000_000,
            fragment_ms: 500,
            gap_every_hours: 0,
        };
        make_sparse(&data_dir.join("storage"), &archive)
    })
    .map_err(error::raise)
}

#[pymodule]
fn vms_media(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<engine::Engine>()?;
    module.add_class::<engine::Picture>()?;
    module.add_class::<grants::Grants>()?;
    module.add_class::<simulator::Simulator>()?;
    module.add_function(wrap_pyfunction!(log_to_stderr, module)?)?;
    module.add_function(wrap_pyfunction!(make_sparse_archive, module)?)?;
    module.add_function(wrap_pyfunction!(version, module)?)?;
    Ok(())
}
