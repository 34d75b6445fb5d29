//! The ciphers of one direction and protocol, set up once and used for every packet.

use super::SrtpProfile;
use crate::{Error, ErrorKind, Result};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

/// Tag of AES-GCM.
pub(super) const GCM_TAG_BYTES: usize = 16;
/// Tag of HMAC-SHA1, cut to 80 bits.
pub(super) const SHA1_TAG_BYTES: usize = 10;

/// A cipher with its session keys. The larger keys are boxed: there are four ciphers per viewer.
pub(super) enum PacketCipher {
    /// RFC 7714.
    Galois(GaloisCipher),
    /// RFC 3711 §4.1.1 and §4.2.1.
    Counter(Box<CounterCipher>),
}

/// AES-GCM: encrypts and authenticates in one pass.
pub(super) struct GaloisCipher {
    key: LessSafeKey,
    salt: [u8; 12],
}

/// AES in counter mode with HMAC-SHA1.
pub(super) struct CounterCipher {
    key: EncryptingKey,
    authentication: hmac::Key,
    salt: [u8; 14],
}

/// AES in counter mode for a key of 16 or 32 bytes.
pub(super) fn counter_key(key: &[u8]) -> Result<EncryptingKey> {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    UnboundCipherKey::new(algorithm, key)
        .and_then(EncryptingKey::ctr)
        .map_err(|_| unusable(key))
}

fn unusable(key: &[u8]) -> Error {
    Error::new(ErrorKind::Internal, format!("AES key of {} bytes", key.len()))
}

impl PacketCipher {
    /// `key`, `authentication_key` and `salt` are session keys of the profile's lengths.
    pub(super) fn new(profile: SrtpProfile, key: &[u8], authentication_key: &[u8], salt: &[u8]) -> Result<Self> {
        let algorithm = match profile {
            SrtpProfile::AeadAes256Gcm => &AES_256_GCM,
            SrtpProfile::AeadAes128Gcm => &AES_128_GCM,
            SrtpProfile::AesCm128HmacSha1_80 => {
                return Ok(Self::Counter(Box::new(CounterCipher {
                    key: counter_key(key)?,
                    authentication: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, authentication_key),
                    salt: salt.try_into().map_err(|_| unusable(salt))?,
                })));
            }
        };
        Ok(Self::Galois(GaloisCipher {
            key: LessSafeKey::new(UnboundKey::new(algorithm, key).map_err(|_| unusable(key))?),
            salt: salt.try_into().map_err(|_| unusable(salt))?,
        }))
    }
}

impl GaloisCipher {
    /// Encrypts `body` in place and returns its tag. `index` has 48 bits: roll-over counter and sequence number, or
    /// the SRTCP index.
    pub(super) fn seal(
        &self,
        ssrc: u32,
        index: u64,
        authenticated: &[u8],
        body: &mut [u8],
    ) -> std::result::Result<[u8; GCM_TAG_BYTES], Unspecified> {
        let tag = self
            .key
            .seal_in_place_separate_tag(self.nonce(ssrc, index), Aad::from(authenticated), body)?;
        tag.as_ref().try_into().map_err(|_| Unspecified)
    }

    /// Decrypts `body` into `out`, which has its length.
    pub(super) fn open(
        &self,
        ssrc: u32,
        index: u64,
        authenticated: &[u8],
        body: &[u8],
        tag: &[u8],
        out: &mut [u8],
    ) -> std::result::Result<(), Unspecified> {
        self.key
            .open_separate_gather(self.nonce(ssrc, index), Aad::from(authenticated), body, tag, out)
    }

    /// RFC 7714 §8.1 and §9.1: two zero bytes, the SSRC, the index; mixed with the salt.
    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let place = u128::from(ssrc) << 48 | u128::from(index);
        let mut nonce = self.salt;
        for (byte, mix) in nonce.iter_mut().zip(&place.to_be_bytes()[4..]) {
            *byte ^= mix;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

impl CounterCipher {
    /// Encrypts or decrypts `body` in place.
    pub(super) fn apply(&self, ssrc: u32, index: u64, body: &mut [u8]) -> std::result::Result<(), Unspecified> {
        // RFC 3711 §4.1.1: the salt, the SSRC and the index, above 16 bits that count blocks.
        let place = u128::from(ssrc) << 64 | u128::from(index) << 16;
        let mut start = [0; 16];
        start[..14].copy_from_slice(&self.salt);
        for (byte, mix) in start.iter_mut().zip(place.to_be_bytes()) {
            *byte ^= mix;
        }
        self.key
            .less_safe_encrypt(body, EncryptionContext::Iv128(FixedLength::from(start)))?;
        Ok(())
    }

    /// The tag of `packet` followed by `counter`.
    pub(super) fn tag(&self, packet: &[u8], counter: u32) -> [u8; SHA1_TAG_BYTES] {
        let mut context = hmac::Context::with_key(&self.authentication);
        context.update(packet);
        context.update(&counter.to_be_bytes());
        let full = context.sign();
        let mut tag = [0; SHA1_TAG_BYTES];
        tag.copy_from_slice(&full.as_ref()[..SHA1_TAG_BYTES]);
        tag
    }

    /// Whether `tag` is that of `packet` followed by `counter`, in constant time.
    pub(super) fn verify(&self, packet: &[u8], counter: u32, tag: &[u8]) -> std::result::Result<(), Unspecified> {
        verify_slices_are_equal(&self.tag(packet, counter), tag)
    }
}
