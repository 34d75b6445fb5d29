//! The Python extension `vms_media`: converts, maps errors, releases the GIL. Its interface is written down in
//! `python/vms_media/__init__.pyi`.
#![allow(missing_docs, reason = "documented in the .pyi, which is what Python sees")]

mod content;
mod engine;
mod error;
mod front;
mod grants;
mod simulator;

use pyo3::prelude::*;
use tracing_subscriber::EnvFilter;

/// Sends the media core's log to stderr; a second call changes nothing.
#[pyfunction]
fn log_to_stderr(level: &str, json: bool) -> PyResult<()> {
    let filter = EnvFilter::try_new(level).map_err(|e| {
        error::raise(media_core::Error::new(
            media_core::ErrorKind::Invalid,
            format!("log level {level}: {e}"),
        ))
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let _ = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(false).try_init()
    };
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
    camera_id: &str,
    start_us: i64,
    end_us: i64,
) -> PyResult<u64> {
    py.detach(|| media_io::archive::make_sparse(&data_dir.join("storage"), camera_id, start_us, end_us))
        .map_err(error::raise)
}

#[pymodule]
fn vms_media(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<content::Content>()?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<engine::Picture>()?;
    module.add_class::<front::Front>()?;
    module.add_class::<grants::Grants>()?;
    module.add_class::<simulator::Simulator>()?;
    module.add_function(wrap_pyfunction!(log_to_stderr, module)?)?;
    module.add_function(wrap_pyfunction!(make_sparse_archive, module)?)?;
    module.add_function(wrap_pyfunction!(version, module)?)?;
    Ok(())
}
