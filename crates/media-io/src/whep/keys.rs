//! The keys that a DTLS handshake agrees on, taken where str0m's own DTLS hands them over.
//!
//! str0m keeps SRTP to itself and tells nobody its keys. Its crypto, however, is pluggable: the DTLS provider given to
//! it here makes the same instances as its own and remembers what comes out of them. After the handshake the instance
//! outlives str0m's session: repeated flights and the goodbye still need it, everything else of str0m is dropped.

use media_core::srtp::{SrtpProfile, SrtpReceiver, SrtpSender};
use media_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{
    DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion, SrtpProfile as NegotiatedProfile,
};

/// What a handshake has agreed on.
#[derive(Clone)]
struct Agreement {
    material: Vec<u8>,
    profile: NegotiatedProfile,
    /// Whether this side was the DTLS client, whose keys come first.
    client: bool,
}

/// One DTLS instance, used by str0m during the handshake and by its session afterwards.
struct Watched {
    instance: Mutex<Box<dyn DtlsInstance>>,
    agreement: Mutex<Option<Agreement>>,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the keys.
        f.write_str("Watched")
    }
}

thread_local! {
    /// The instance made last on this thread: str0m makes one while it builds a session and offers no way to it.
    static MADE: RefCell<Option<Arc<Watched>>> = const { RefCell::new(None) };
}

/// The DTLS of one session, seen from outside of str0m.
pub(crate) struct Dtls(Arc<Watched>);

impl Dtls {
    /// Runs `build` and takes hold of the DTLS instance that str0m makes within, None when it makes none.
    pub(crate) fn watch<T>(build: impl FnOnce() -> T) -> (T, Option<Dtls>) {
        MADE.take();
        let built = build();
        (built, MADE.take().map(Dtls))
    }

    /// The SRTP contexts of both directions, once the handshake is done.
    ///
    /// `Unavailable`: it is not. `Unsupported`: a profile unknown here.
    pub(crate) fn srtp(&self) -> Result<(SrtpSender, SrtpReceiver)> {
        let agreement = self.0.agreement.lock().clone();
        let not_yet = || Error::new(ErrorKind::Unavailable, "DTLS handshake without SRTP keys");
        let agreement = agreement.ok_or_else(not_yet)?;
        let profile = match agreement.profile {
            NegotiatedProfile::AEAD_AES_256_GCM => SrtpProfile::AeadAes256Gcm,
            NegotiatedProfile::AEAD_AES_128_GCM => SrtpProfile::AeadAes128Gcm,
            NegotiatedProfile::AES128_CM_SHA1_80 => SrtpProfile::AesCm128HmacSha1_80,
            other => return Err(Error::new(ErrorKind::Unsupported, format!("SRTP profile {other}"))),
        };
        // RFC 5764 §4.2: client key, server key, client salt, server salt.
        let (key, salt) = (profile.key_bytes(), profile.salt_bytes());
        let material = &agreement.material;
        let part = |at: usize, length: usize| {
            let short = || Error::malformed(format!("{} bytes of SRTP keys", material.len()));
            material.get(at..at + length).ok_or_else(short)
        };
        let client = (part(0, key)?, part(2 * key, salt)?);
        let server = (part(key, key)?, part(2 * key + salt, salt)?);
        let (own, theirs) = if agreement.client {
            (client, server)
        } else {
            (server, client)
        };
        Ok((
            SrtpSender::new(profile, own.0, own.1)?,
            SrtpReceiver::new(profile, theirs.0, theirs.1)?,
        ))
    }

    /// Hands a datagram of the viewer to DTLS and gives each answer to `send`. True when the viewer said goodbye.
    ///
    /// `Internal`: the instance has broken and is of no further use.
    pub(super) fn receive(&self, datagram: &[u8], send: impl FnMut(&[u8])) -> Result<bool> {
        guarded(|| {
            // What is no DTLS of this session (anyone can forge it) is without effect.
            let _ = self.0.instance.lock().handle_packet(datagram);
            self.drain(send)
        })
    }

    /// Says goodbye (close_notify). `Internal`: the instance has broken.
    pub(super) fn close(&self, send: impl FnMut(&[u8])) -> Result<()> {
        guarded(|| {
            let _ = self.0.instance.lock().close();
            self.drain(send);
        })
    }

    fn drain(&self, mut send: impl FnMut(&[u8])) -> bool {
        /// An instance that never comes to rest is broken; no handshake flight is that long.
        const MAX_OUTPUTS: usize = 64;
        let mut buffer = [0; 2048];
        let mut closed = false;
        let mut instance = self.0.instance.lock();
        for _ in 0..MAX_OUTPUTS {
            match instance.poll_output(&mut buffer) {
                DtlsOutput::Packet(packet) => send(packet),
                DtlsOutput::CloseNotify => closed = true,
                DtlsOutput::Timeout(_) => break,
                _ => {}
            }
        }
        closed
    }
}

/// Runs code of the DTLS library: a parser of strangers' bytes that we did not write.
fn guarded<T>(act: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|_| Error::new(ErrorKind::Internal, "the DTLS of a viewer has broken"))
}

/// A DTLS provider whose instances can be watched.
#[derive(Debug)]
struct WatchedProvider(&'static dyn DtlsProvider);

/// str0m's crypto with a DTLS whose keys are known.
pub(crate) fn crypto_provider() -> CryptoProvider {
    static WATCHED: OnceLock<WatchedProvider> = OnceLock::new();
    let mut provider = str0m::crypto::from_feature_flags();
    provider.dtls_provider = WATCHED.get_or_init(|| WatchedProvider(provider.dtls_provider));
    provider
}

/// `provider` with DTLS instances that can be watched.
#[cfg(test)]
pub(super) fn watched(mut provider: CryptoProvider) -> CryptoProvider {
    provider.dtls_provider = Box::leak(Box::new(WatchedProvider(provider.dtls_provider)));
    provider
}

impl DtlsProvider for WatchedProvider {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.0.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> std::result::Result<Box<dyn DtlsInstance>, CryptoError> {
        let watched = Arc::new(Watched {
            instance: Mutex::new(self.0.new_dtls(certificate, now, version, mtu)?),
            agreement: Mutex::default(),
        });
        MADE.set(Some(watched.clone()));
        Ok(Box::new(WatchedInstance(watched)))
    }

    fn is_test(&self) -> bool {
        self.0.is_test()
    }
}

/// str0m's end of a [`Watched`].
#[derive(Debug)]
struct WatchedInstance(Arc<Watched>);

impl DtlsInstance for WatchedInstance {
    fn set_active(&mut self, active: bool) {
        self.0.instance.lock().set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> std::result::Result<(), DtlsImplError> {
        self.0.instance.lock().handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        let mut instance = self.0.instance.lock();
        let output = instance.poll_output(buffer);
        if let DtlsOutput::KeyingMaterial(material, profile) = &output {
            *self.0.agreement.lock() = Some(Agreement {
                material: material.to_vec(),
                profile: *profile,
                client: instance.is_active(),
            });
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> std::result::Result<(), DtlsImplError> {
        self.0.instance.lock().handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> std::result::Result<usize, DtlsImplError> {
        self.0.instance.lock().send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.instance.lock().is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.instance.lock().protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.instance.lock().is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.instance.lock().is_closed()
    }

    fn close(&mut self) -> std::result::Result<(), DtlsImplError> {
        self.0.instance.lock().close()
    }
}

/// A connected viewer's DTLS that panics at whatever it is given.
#[cfg(test)]
impl Dtls {
    pub(super) fn broken() -> Self {
        Self(Arc::new(Watched {
            instance: Mutex::new(Box::new(Broken)),
            agreement: Mutex::default(),
        }))
    }
}

#[cfg(test)]
#[derive(Debug)]
struct Broken;

#[cfg(test)]
impl DtlsInstance for Broken {
    fn set_active(&mut self, _: bool) {}

    fn handle_packet(&mut self, _: &[u8]) -> std::result::Result<(), DtlsImplError> {
        panic!("as if by an assertion of the library")
    }

    fn poll_output<'a>(&mut self, _: &'a mut [u8]) -> DtlsOutput<'a> {
        panic!("as if by an assertion of the library")
    }

    fn handle_timeout(&mut self, _: Instant) -> std::result::Result<(), DtlsImplError> {
        Ok(())
    }

    fn send_application_data(&mut self, _: &[u8]) -> std::result::Result<usize, DtlsImplError> {
        Ok(0)
    }

    fn is_active(&self) -> bool {
        false
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        None
    }

    fn is_closing(&self) -> bool {
        false
    }

    fn is_closed(&self) -> bool {
        false
    }

    fn close(&mut self) -> std::result::Result<(), DtlsImplError> {
        Ok(())
    }
}
