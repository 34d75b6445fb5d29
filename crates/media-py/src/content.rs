//! `Content`: bytes of recordings that are made when they are read.

use crate::error::raise;
use media_io::source::ByteSource;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Arc;

/// See the `.pyi`.
#[pyclass(frozen, module = "vms_media")]
pub struct Content {
    pub source: Arc<dyn ByteSource>,
    pub start_us: Option<i64>,
    pub next_start_us: Option<i64>,
}

impl Content {
    /// Of an HLS segment, whose place in time its name tells.
    pub fn of(source: Arc<dyn ByteSource>) -> Self {
        Self {
            source,
            start_us: None,
            next_start_us: None,
        }
    }
}

#[pymethods]
impl Content {
    #[getter]
    fn size_bytes(&self) -> u64 {
        self.source.size_bytes()
    }

    #[getter]
    fn etag(&self) -> &str {
        self.source.etag()
    }

    #[getter]
    fn content_type(&self) -> &str {
        self.source.content_type()
    }

    #[getter]
    fn start_us(&self) -> Option<i64> {
        self.start_us
    }

    #[getter]
    fn next_start_us(&self) -> Option<i64> {
        self.next_start_us
    }

    fn read_at<'py>(&self, py: Python<'py>, offset: u64, max_bytes: usize) -> PyResult<Bound<'py, PyBytes>> {
        let read = py.detach(|| self.source.read_at(offset, max_bytes)).map_err(raise)?;
        Ok(PyBytes::new(py, &read))
    }
}
