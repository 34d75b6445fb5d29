//! Grants: signed, short-lived permissions that the application gives and the front checks.
//!
//! token = "v1." + base64url(claims) + "." + base64url(HMAC-SHA256(key, "v1." + base64url(claims))), no padding.
//! What the claims mean is for the callers; here they are bytes.

use crate::error::{Error, ErrorKind, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// Longest token that is looked at.
pub const MAX_TOKEN_BYTES: usize = 4096;

const VERSION: &str = "v1.";
const BLOCK_BYTES: usize = 64;
const DIGEST_BYTES: usize = 32;

/// A token that carries `claims`.
pub fn sign(key: &[u8], claims: &[u8]) -> String {
    let mut token = String::from(VERSION);
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = hmac_sha256(key, token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

/// The claims of a token that was signed with `key`. `Unauthorized` for every other string; the message does not say
/// what is wrong with it.
pub fn verify(key: &[u8], token: &str) -> Result<Vec<u8>> {
    let refused = || Error::new(ErrorKind::Unauthorized, "the grant is not valid");
    if token.len() > MAX_TOKEN_BYTES {
        return Err(refused());
    }
    let (signed, signature) = token.rsplit_once('.').ok_or_else(refused)?;
    let claims = signed.strip_prefix(VERSION).ok_or_else(refused)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| refused())?;
    if !equal_in_constant_time(&signature, &hmac_sha256(key, signed.as_bytes())) {
        return Err(refused());
    }
    URL_SAFE_NO_PAD.decode(claims).map_err(|_| refused())
}

/// HMAC with SHA-256 (RFC 2104).
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block[..DIGEST_BYTES].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

/// Compares without telling by its duration where the first difference is.
fn equal_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    let difference = left.iter().zip(right).fold(0, |sum, (a, b)| sum | (a ^ b));
    left.len() == right.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn hmac_gives_the_values_of_rfc_4231() {
        assert_eq!(
            hex(&hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac_sha256(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            )),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn a_token_gives_its_claims_back() {
        let token = sign(b"key", br#"{"a":1}"#);
        assert!(token.starts_with("v1.eyJhIjoxfQ."));
        assert_eq!(verify(b"key", &token).unwrap(), br#"{"a":1}"#);
    }

    #[test]
    fn every_other_string_is_refused_alike() {
        let token = sign(b"key", br#"{"a":1}"#);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let unknown_version = token.replace("v1.", "v2.");
        let long = format!("v1.{}", "A".repeat(MAX_TOKEN_BYTES));
        // Signed by the right key, but no base64url in front.
        let mut loose = String::from("v1.***.");
        URL_SAFE_NO_PAD.encode_string(hmac_sha256(b"key", b"v1.***"), &mut loose);
        for broken in [
            "",
            "v1.",
            "v1..",
            "a.b.c",
            signed,
            &token[..token.len() - 1],
            &unknown_version,
            &long,
            &loose,
            &format!("{signed}."),
            &format!("v1.eyJhIjoyfQ.{signature}"),
            &format!("{token}="),
            &format!("{token} "),
        ] {
            let error = verify(b"key", broken).unwrap_err();
            assert_eq!(
                (error.kind(), error.message()),
                (ErrorKind::Unauthorized, "the grant is not valid"),
                "{broken}"
            );
        }
        assert!(verify(b"other", &token).is_err());
    }

    proptest! {
        #[test]
        fn any_changed_character_is_refused(claims in proptest::collection::vec(any::<u8>(), 0..60), place: usize, by in 1u8..127) {
            let token = sign(b"key", &claims);
            prop_assert_eq!(verify(b"key", &token).unwrap(), claims);
            let mut bytes = token.clone().into_bytes();
            let place = place % bytes.len();
            bytes[place] = (bytes[place] + by) % 127;
            if let Ok(changed) = String::from_utf8(bytes) && changed != token {
                prop_assert!(verify(b"key", &changed).is_err());
            }
        }

        #[test]
        fn arbitrary_strings_are_refused(text in ".{0,80}") {
            prop_assert!(verify(b"key", &text).is_err());
        }
    }
}
