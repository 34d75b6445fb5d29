//! The media core's errors as `vms_media.MediaError`, which is written in Python (`python/vms_media/error.py`).

use media_core::{Error, ErrorKind};
use pyo3::prelude::*;

/// The exception for `error`.
pub fn raise(error: Error) -> PyErr {
    Python::attach(|py| {
        let made = py
            .import("vms_media.error")
            .and_then(|module| module.getattr("MediaError"))
            .and_then(|exception| exception.call1((error.message(), error.kind().as_str())));
        match made {
            Ok(exception) => PyErr::from_value(exception),
            Err(import_error) => import_error,
        }
    })
}

/// A document from Python that does not have the shape that the `.pyi` gives.
pub fn bad_document(what: &str, error: &serde_json::Error) -> PyErr {
    raise(Error::new(ErrorKind::Invalid, format!("{what}: {error}")))
}
