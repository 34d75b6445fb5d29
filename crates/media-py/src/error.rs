//! `MediaError`: the media core's errors as one Python exception with a `kind`.

use media_core::{Error, ErrorKind};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

/// `vms_media.MediaError(message, kind)`.
#[pyclass(extends = PyException, subclass, module = "vms_media", name = "MediaError")]
pub struct MediaError {
    #[pyo3(get)]
    kind: String,
}

#[pymethods]
impl MediaError {
    #[new]
    #[pyo3(signature = (message, kind = "internal".to_owned()))]
    fn new(message: &str, kind: String) -> Self {
        let _ = message; // kept by the exception itself, as its only shown argument
        Self { kind }
    }

    fn __str__(this: &Bound<'_, Self>) -> PyResult<String> {
        this.getattr("args")?.get_item(0)?.extract()
    }
}

/// Raises `error` in Python.
pub fn raise(error: Error) -> PyErr {
    PyErr::new::<MediaError, _>((error.message().to_owned(), error.kind().as_str().to_owned()))
}

/// A document from Python that does not have the shape that the `.pyi` gives.
pub fn bad_document(what: &str, error: &serde_json::Error) -> PyErr {
    raise(Error::new(ErrorKind::Invalid, format!("{what}: {error}")))
}
