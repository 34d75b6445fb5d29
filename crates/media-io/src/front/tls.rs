//! TLS of the public port: version 1.3 alone, HTTP/2 and HTTP/1.1 by ALPN.

use media_core::{Error, ErrorKind, Result};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// What the server shows and how it proves that it is its own.
#[derive(Clone)]
pub struct TlsIdentity {
    /// The certificate and those that vouch for it, in PEM, the server's first.
    pub certificate_pem: String,
    /// Its private key in PEM (PKCS #8, SEC1 or PKCS #1).
    pub key_pem: String,
}

impl std::fmt::Debug for TlsIdentity {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsIdentity")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

/// Name of HTTP/2 in ALPN (RFC 9113 §3.1).
pub(super) const ALPN_H2: &[u8] = b"h2";

/// Errors: `Invalid` when the PEM cannot be read or the key does not belong to the certificate.
pub(super) fn acceptor(identity: &TlsIdentity) -> Result<TlsAcceptor> {
    let invalid =
        |what: &str, error: &dyn std::fmt::Display| Error::new(ErrorKind::Invalid, format!("{what}: {error}"));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes())
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| invalid("the TLS certificate cannot be read", &error))?;
    if chain.is_empty() {
        return Err(Error::new(
            ErrorKind::Invalid,
            "the TLS certificate file holds no certificate",
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())
        .map_err(|error| invalid("the TLS key cannot be read", &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| invalid("TLS 1.3 is not to be had", &error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| invalid("the TLS key and certificate are refused", &error))?;
    config.alpn_protocols = vec![ALPN_H2.to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_no_pem_is_refused() {
        for (certificate_pem, key_pem) in [("", ""), ("nonsense", "nonsense"), ("-----BEGIN CERTIFICATE-----", "")] {
            let identity = TlsIdentity {
                certificate_pem: certificate_pem.into(),
                key_pem: key_pem.into(),
            };
            assert_eq!(acceptor(&identity).err().unwrap().kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn the_key_is_not_printed() {
        let identity = TlsIdentity {
            certificate_pem: "C".into(),
            key_pem: "SECRET".into(),
        };
        assert!(!format!("{identity:?}").contains("SECRET"));
    }
}
