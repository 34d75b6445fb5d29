//! DTLS that agrees on the SRTP profile that a test wants.
//!
//! str0m always offers all of its profiles, and always takes the first. So both ends do their real handshake and then
//! both understand its keys as those of the wanted profile.

use std::sync::Arc;
use std::time::Instant;
use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion, KeyingMaterial};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion, SrtpProfile};

#[derive(Debug)]
struct Forced(&'static dyn DtlsProvider, SrtpProfile);

#[derive(Debug)]
struct ForcedInstance(Box<dyn DtlsInstance>, SrtpProfile);

/// str0m's crypto, with `profile` as the outcome of every handshake.
pub(crate) fn forced(profile: SrtpProfile) -> CryptoProvider {
    let mut provider = str0m::crypto::from_feature_flags();
    provider.dtls_provider = Box::leak(Box::new(Forced(provider.dtls_provider, profile)));
    provider
}

/// The same for a viewer.
pub(crate) fn forced_for_viewer(profile: SrtpProfile) -> Arc<CryptoProvider> {
    Arc::new(forced(profile))
}

impl DtlsProvider for Forced {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.0.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let instance = self.0.new_dtls(certificate, now, version, mtu)?;
        Ok(Box::new(ForcedInstance(instance, self.1)))
    }
}

impl DtlsInstance for ForcedInstance {
    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        match self.0.poll_output(buffer) {
            DtlsOutput::KeyingMaterial(material, _) => {
                let keys: Vec<u8> = material
                    .iter()
                    .copied()
                    .cycle()
                    .take(self.1.keying_material_len())
                    .collect();
                DtlsOutput::KeyingMaterial(KeyingMaterial::new(&keys), self.1)
            }
            other => other,
        }
    }

    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}
