//! Session keys out of a master key and salt (RFC 3711 §4.3, RFC 6188 for AES-256), derived once.

use super::SrtpProfile;
use super::cipher::{PacketCipher, counter_key};
use crate::{Error, ErrorKind, Result};
use aws_lc_rs::cipher::EncryptionContext;
use aws_lc_rs::iv::FixedLength;

/// HMAC-SHA1 keys.
const AUTHENTICATION_KEY_BYTES: usize = 20;

/// Which of the two protocols a key is for; the value is the label of its encryption key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Protocol {
    Rtp = 0,
    Rtcp = 3,
}

/// Sets up the cipher of one direction and protocol. `Invalid` when the key or the salt has not the profile's length.
pub(super) fn session_cipher(
    profile: SrtpProfile,
    master_key: &[u8],
    master_salt: &[u8],
    protocol: Protocol,
) -> Result<PacketCipher> {
    if master_key.len() != profile.key_bytes() || master_salt.len() != profile.salt_bytes() {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "SRTP master key of {} and salt of {} bytes for {profile:?}, which takes {} and {}",
                master_key.len(),
                master_salt.len(),
                profile.key_bytes(),
                profile.salt_bytes()
            ),
        ));
    }
    let label = protocol as u8;
    let (mut key, mut authentication_key, mut salt) = ([0; 32], [0; AUTHENTICATION_KEY_BYTES], [0; 14]);
    let key = &mut key[..profile.key_bytes()];
    let salt = &mut salt[..profile.salt_bytes()];
    derive(master_key, master_salt, label, key)?;
    derive(master_key, master_salt, label + 1, &mut authentication_key)?;
    derive(master_key, master_salt, label + 2, salt)?;
    PacketCipher::new(profile, key, &authentication_key, salt)
}

/// The pseudo-random function: the key stream of AES in counter mode, started at the salt with the label mixed in.
/// The shorter salts of RFC 7714 are filled with zeros on the right.
pub(super) fn derive(master_key: &[u8], master_salt: &[u8], label: u8, out: &mut [u8]) -> Result<()> {
    let mut start = [0; 16];
    start[..master_salt.len()].copy_from_slice(master_salt);
    // The label stands before 48 bits of packet index, which is 0 without a derivation rate.
    start[7] ^= label;
    out.fill(0);
    counter_key(master_key)?
        .less_safe_encrypt(out, EncryptionContext::Iv128(FixedLength::from(start)))
        .map_err(|_| Error::new(ErrorKind::Internal, "SRTP key derivation failed"))?;
    Ok(())
}
