//! Grants for Python: the same signing that front checks.

use crate::error::raise;
use media_core::{Error, ErrorKind, grant};
use pyo3::prelude::*;

/// Signs and checks grants with one key.
#[pyclass(frozen, module = "vms_media")]
pub struct Grants {
    key: Vec<u8>,
}

#[pymethods]
impl Grants {
    #[new]
    fn new(key_hex: &str) -> PyResult<Self> {
        Ok(Self { key: key_from_hex(key_hex)? })
    }

    fn sign(&self, claims: &str) -> String {
        grant::sign(&self.key, claims.as_bytes())
    }

    fn verify(&self, token: &str) -> PyResult<String> {
        let claims = grant::verify(&self.key, token).map_err(raise)?;
        String::from_utf8(claims).map_err(|_| raise(Error::new(ErrorKind::Malformed, "a grant's claims are not UTF-8")))
    }
}

/// Key bytes from hexadecimal digits; at least 16 bytes.
pub fn key_from_hex(text: &str) -> PyResult<Vec<u8>> {
    let bad = || raise(Error::new(ErrorKind::Invalid, "a grant key is at least 32 hexadecimal digits"));
    if text.len() < 32 || text.len() % 2 != 0 || !text.is_ascii() {
        return Err(bad());
    }
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| bad())).collect()
}
