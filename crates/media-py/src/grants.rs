//! Grants for Python: the same signing that front checks.

use crate::error::{bad_document, raise};
use media_core::{Error, ErrorKind};
use media_io::front::{Claims, GrantKey};
use pyo3::prelude::*;

/// Signs and checks grants with one key.
#[pyclass(frozen, module = "vms_media")]
pub struct Grants {
    key: GrantKey,
}

#[pymethods]
impl Grants {
    #[new]
    fn new(key_hex: &str) -> PyResult<Self> {
        Ok(Self {
            key: GrantKey::new(&key_from_hex(key_hex)?),
        })
    }

    fn sign(&self, claims: &str) -> PyResult<String> {
        let claims: Claims = serde_json::from_str(claims).map_err(|e| bad_document("grant", &e))?;
        Ok(self.key.sign(&claims))
    }

    fn verify(&self, token: &str) -> PyResult<String> {
        let claims = self.key.verify(token).ok_or_else(|| {
            raise(Error::new(
                ErrorKind::Unauthorized,
                "the token is not one of ours, or was changed",
            ))
        })?;
        serde_json::to_string(&claims).map_err(|e| raise(Error::new(ErrorKind::Internal, e.to_string())))
    }
}

/// Key bytes from hexadecimal digits; at least 16 bytes.
pub fn key_from_hex(text: &str) -> PyResult<Vec<u8>> {
    let bad = || {
        raise(Error::new(
            ErrorKind::Invalid,
            "a grant key is at least 32 hexadecimal digits",
        ))
    };
    if text.len() < 32 || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return Err(bad());
    }
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| bad()))
        .collect()
}
