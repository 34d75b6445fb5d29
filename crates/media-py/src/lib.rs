//! The Python extension `vms_media`.
use pyo3::prelude::*;
#[pymodule]
fn vms_media(_m: &Bound<'_, PyModule>) -> PyResult<()> { Ok(()) }
